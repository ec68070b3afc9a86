"""The container: a safetensors file of tensors and one JSON record, checked when it is read.

A file is written under another name and renamed, so a reader sees the old one, the new one, never half of one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from .._version import __version__
from ..errors import InvalidInput, Unsupported
from ..io.replace import replace_file
from ..operators.base.fingerprint import check_lasting

FORMAT = 1
SUFFIX = ".safetensors"
_DTYPES = (
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
    torch.int64,
    torch.int32,
    torch.uint8,
    torch.bool,
)
_KEY = "fastip"  # the one entry of the file's metadata
_KINDS = {
    "inverse": "a trained inverse",
    "prior": "a trained prior",
    "generator": "a trained generator",
    "projector": "a trained projector",
    "training": "the state of a training that is not finished",
}
AGAIN = "copy it again from where it came, or train it anew"


def check_path(path: str | Path) -> Path:
    """Refuse, before any work is done, a path that no checkpoint could be written to in the end.

    Args:
        path: The file to write, with the suffix ``.safetensors``.

    Returns:
        The same as a ``Path``.

    Raises:
        InvalidInput: For another suffix, for a folder, and where the file's folder does not exist.
    """
    path = Path(path)
    if path.suffix != SUFFIX:
        raise InvalidInput(
            f"the checkpoint {path} has the suffix {path.suffix!r}; expected {SUFFIX}: "
            f"rename it to {path.with_suffix(SUFFIX).name}"
        )
    if path.is_dir():
        raise InvalidInput(f"{path} is a folder; expected the name of a {SUFFIX} file to write")
    if not path.parent.is_dir():
        raise InvalidInput(
            f"the folder {path.parent} does not exist, so {path.name} cannot be written in it; create it first"
        )
    return path


def write(path: Path, kind: str, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> None:
    """Write tensors and a record as one file of this kind, which appears whole or not at all.

    Args:
        path: The file to write; see :func:`check_path`.
        kind: What it holds: "inverse", "prior", "generator", "projector" or "training".
        tensors: By name, on any device; written without gradients.
        record: JSON values. Format, kind, version and digest are added to it.

    Raises:
        InvalidInput: For NaN, Inf or what is no JSON value in the record, and where the file cannot be written.
        Unsupported: Where the package safetensors is not installed, and for the fingerprint of an operator that no
            other process knows again.
    """
    library = _safetensors()
    check_lasting(record)
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    whole_record = {"format": FORMAT, "kind": kind, "fastip": __version__} | dict(record)
    try:
        text = json.dumps(whole_record | {"digest": digest(whole_record, whole)}, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidInput(
            f"{path} is not written: its record holds what JSON cannot ({error}); "
            "expected finite numbers, texts, lists and dictionaries (NaN or infinite: the training went wrong)"
        ) from None
    data = library.torch.save(whole, metadata={_KEY: text})
    replace_file(path, partial(_put, data))


def _put(data: bytes, file: BinaryIO) -> None:
    file.write(data)


def read_record(path: str | Path, kind: str = "inverse") -> dict[str, Any]:
    """What a file says about itself, without its tensors.

    Args:
        path: A file that :func:`write` wrote.
        kind: What it must hold, as for :func:`write`.

    Returns:
        The record as JSON values.

    Raises:
        InvalidInput: For anything that is not a readable file of this kind and format.
        Unsupported: Where the package safetensors is not installed.
    """
    path = Path(path)
    library = _safetensors()
    if path.is_dir():
        raise InvalidInput(f"{path} is a folder; expected a {SUFFIX} file")
    if not path.exists():
        raise InvalidInput(f"{path} does not exist; check the spelling of the path")
    try:
        with library.safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(_KEY)
    except (library.SafetensorError, OSError) as error:
        raise InvalidInput(f"{path} is no safetensors file or is damaged ({error}): {AGAIN}") from None
    return _parsed(path, text, kind)


def _parsed(path: Path, text: str | None, kind: str) -> dict[str, Any]:
    if text is None:
        raise InvalidInput(
            f"{path} is a safetensors file without a record of fastip; "
            f"expected {_KINDS.get(kind, kind)} as fastip wrote it: give another file"
        )
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict):
        raise InvalidInput(f"the record in {path} is damaged: {AGAIN}")
    return _known(path, record, kind)


def _known(path: Path, record: dict[str, Any], kind: str) -> dict[str, Any]:
    if record.get("format") != FORMAT:
        written = f"by fastip {record.get('fastip')}, this is {__version__}"
        raise InvalidInput(
            f"{path} has format {record.get('format')!r} (written {written}); "
            f"this fastip reads format {FORMAT}: upgrade fastip or {AGAIN}"
        )
    if record.get("kind") != kind:
        what = _KINDS.get(str(record.get("kind")), repr(record.get("kind")))
        raise InvalidInput(f"{path} holds {what}; expected {_KINDS.get(kind, kind)}: give the file that belongs here")
    return record


def read(path: str | Path, kind: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The record and the tensors of a file of this kind.

    Args:
        path: A file that :func:`write` wrote.
        kind: What it must hold, as for :func:`write`.

    Returns:
        (record, tensors): JSON values, and tensors by name on the CPU.

    Raises:
        InvalidInput: As for :func:`read_record`, and for tensors that are not those that were written.
        Unsupported: Where the package safetensors is not installed.
    """
    path, library = Path(path), _safetensors()
    read_record(path, kind)  # a file of another kind is refused before its tensors are read
    try:
        with library.safe_open(path, framework="pt") as file:
            # The record of this very file: another may have taken the place of the one just looked at.
            text = (file.metadata() or {}).get(_KEY)
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}
    except (library.SafetensorError, OSError) as error:
        raise InvalidInput(f"{path} cannot be read ({error}): {AGAIN}") from None
    record = _parsed(path, text, kind)
    for name, tensor in tensors.items():
        if tensor.dtype not in _DTYPES:
            raise InvalidInput(
                f"the tensor {name} in {path} is {tensor.dtype}, which no checkpoint of fastip holds: {AGAIN}"
            )
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise InvalidInput(f"the tensor {name} in {path} holds NaN or Inf: {AGAIN}")
    if record.get("digest") != digest(record, tensors):
        raise InvalidInput(
            f"{path} is damaged: its tensors and its record are not those that were written "
            f"(the digest differs): {AGAIN}"
        )
    return record, tensors


def digest(record: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """sha256 over a record but for its own digest, and over names, dtypes, shapes and bytes of tensors.

    Args:
        record: JSON values; its entry "digest" is left out.
        tensors: By name, on any device; their order plays no role.

    Returns:
        The sha256 in hex.
    """
    rest = {key: value for key, value in record.items() if key != "digest"}
    result = hashlib.sha256(json.dumps(rest, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        result.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        result.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return result.hexdigest()


def _safetensors() -> Any:
    try:
        import safetensors
        import safetensors.torch
    except ImportError:
        raise Unsupported("checkpoints need the package safetensors: pip install safetensors") from None
    return safetensors
