"""Weights with the problem they were trained for: safetensors files that hold tensors and one JSON record, checked when they are read.

A file is written under another name and renamed, so a reader sees the old one, the new one, never half of one.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from . import nets
from ._version import __version__
from .contracts import LinearOperator
from .errors import FastipError, InvalidInput, Unsupported, strict_keywords
from .files import replace_file
from .inverses import Certificate, Learned, Stored, Trained

FORMAT = 1
SUFFIX = ".safetensors"
_KEY = "fastip"  # the one entry of the file's metadata
_KINDS = {"inverse": "a trained inverse", "training": "the state of a training that is not finished"}
_AGAIN = "copy it again from where it came, or train it anew"


# ---- the container ---------------------------------------------------------------------------------------------------


def check_path(path: str | Path) -> Path:
    """Refuse, before any work is done, a path that no checkpoint could be written to in the end."""
    path = Path(path)
    if path.suffix != SUFFIX:
        raise InvalidInput(f"the checkpoint {path} has the suffix {path.suffix!r}; expected {SUFFIX}: rename it to {path.with_suffix(SUFFIX).name}")
    if path.is_dir():
        raise InvalidInput(f"{path} is a folder; expected the name of a {SUFFIX} file to write")
    if not path.parent.is_dir():
        raise InvalidInput(f"the folder {path.parent} does not exist, so {path.name} cannot be written in it; create it first")
    return path


def write(path: Path, kind: str, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> None:
    """Write tensors and a record (JSON values; NaN and Inf are refused) as one file of this kind."""
    library = _safetensors()
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    whole_record = {"format": FORMAT, "kind": kind, "fastip": __version__} | dict(record)
    try:
        text = json.dumps(whole_record | {"digest": digest(whole_record, whole)}, allow_nan=False)
    except ValueError as error:
        raise InvalidInput(f"{path} is not written: its record holds a number that is NaN or infinite ({error}); the training went wrong") from None
    data = library.torch.save(whole, metadata={_KEY: text})
    replace_file(path, partial(_put, data))


def _put(data: bytes, file: BinaryIO) -> None:
    file.write(data)


def read_record(path: str | Path, kind: str = "inverse") -> dict[str, Any]:
    """What a file says about itself, without its tensors. Raises InvalidInput for anything that is not a readable file of this kind and format."""
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
        raise InvalidInput(f"{path} is no safetensors file or is damaged ({error}): {_AGAIN}") from None
    if text is None:
        raise InvalidInput(f"{path} is a safetensors file without a record of fastip: expected one written by fastip.save_inverse")
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict):
        raise InvalidInput(f"the record in {path} is damaged: {_AGAIN}")
    return _known(path, record, kind)


def _known(path: Path, record: dict[str, Any], kind: str) -> dict[str, Any]:
    if record.get("format") != FORMAT:
        written = f"by fastip {record.get('fastip')}, this is {__version__}"
        raise InvalidInput(f"{path} has format {record.get('format')!r} (written {written}); this fastip reads format {FORMAT}: upgrade fastip or {_AGAIN}")
    if record.get("kind") != kind:
        what = _KINDS.get(str(record.get("kind")), repr(record.get("kind")))
        raise InvalidInput(f"{path} holds {what}; expected {_KINDS.get(kind, kind)}: give the file that belongs here")
    return record


def read(path: str | Path, kind: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """(record, tensors) of a file of this kind. Raises InvalidInput as :func:`read_record` does, and for tensors that are not those that were written."""
    record = read_record(path, kind)
    library = _safetensors()
    try:
        with library.safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}
    except (library.SafetensorError, OSError) as error:
        raise InvalidInput(f"{path} cannot be read ({error}): {_AGAIN}") from None
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise InvalidInput(f"the tensor {name} in {path} holds NaN or Inf: {_AGAIN}")
    if record.get("digest") != digest(record, tensors):
        raise InvalidInput(f"{path} is damaged: its tensors and its record are not those that were written (the digest differs): {_AGAIN}")
    return record, tensors


def digest(record: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """sha256 over a record but for its own digest, and over names, kinds, shapes and bytes of tensors, in hex."""
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


# ---- a trained inverse -----------------------------------------------------------------------------------------------


@strict_keywords
def save_inverse(path: str | Path, learned: Learned, *, op: LinearOperator | None = None, training: Mapping[str, Any] | None = None) -> None:
    """Write a trained inverse: its weights, its structure, and the problem it was trained for.

    ``op``: the operator, so that the file also says what it looks like (psf, stride, boundary). ``training``: how it was trained (JSON values).
    Raises InvalidInput for a path that cannot be written, an inverse without the record of its training, another operator, and weights that are NaN.
    """
    path = check_path(path)
    if not isinstance(learned.net, nets.InverseNet | nets.PaperInverseNet):
        raise InvalidInput(f"the net is {type(learned.net).__name__}; a checkpoint can hold one of {', '.join(nets.INVERSE_NETS)}: save others with torch.save")
    if learned.trained is None:
        raise InvalidInput(
            "this inverses.Learned does not know the problem it was trained for; make that record first: "
            "inverses.Learned(net, trained=inverses.examine(net, op, beta))"
        )
    if op is not None and op.fingerprint() != learned.trained.fingerprint:
        raise InvalidInput(f"op is {op!r}, and the inverse was trained for another operator; pass the one it was trained for")
    weights = learned.net.state_dict()
    for name, tensor in weights.items():
        if not bool(torch.isfinite(tensor).all()):
            raise InvalidInput(f"the weights {name} hold NaN or Inf and are not written: train again with a lower learning rate")
    write(path, "inverse", weights, inverse_record(learned, op, training))


def inverse_record(learned: Learned, op: LinearOperator | None, training: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a checkpoint says of an inverse beside its weights, as JSON values."""
    assert learned.trained is not None and isinstance(learned.net, nets.InverseNet | nets.PaperInverseNet)
    return {
        "net": {"name": type(learned.net).__name__, "config": learned.net.config()},
        "operator": {"fingerprint": learned.trained.fingerprint} | ({} if op is None else describe(op)),
        "trained": _pack(learned.trained),
        "training": dict(training or {}),
    }


def describe(op: LinearOperator) -> dict[str, Any]:
    """An operator for readers: its text and, for a convolution, psf, stride and boundary."""
    convolution = op.convolution()
    if convolution is None:
        return {"text": repr(op), "convolution": None}
    shape = {"psf": convolution.psf.tolist(), "stride": convolution.stride, "boundary": convolution.boundary}
    return {"text": repr(op), "convolution": shape}


@strict_keywords
def load_inverse(path: str | Path) -> Learned:
    """The trained inverse in a checkpoint, frozen, on the CPU; ``admm`` refuses it for another operator or a beta outside its range.

    Raises InvalidInput for a file that is missing, damaged, of another kind or of another format, and for weights that do not fit its structure.
    """
    path = Path(path)
    record, tensors = read(path, "inverse")
    trained = _unpack(path, record)
    net = _build(path, record, tensors)
    net.load_state_dict(tensors)
    return Learned(net.eval().requires_grad_(False), trained=trained)


def _build(path: Path, record: dict[str, Any], tensors: dict[str, Tensor]) -> Any:
    """The network that the record describes; its tensors are compared before any memory is taken for it."""
    try:
        name, config = record["net"]["name"], dict(record["net"]["config"])
        with torch.device("meta"):
            expected = nets.build(name, config).state_dict()
    except FastipError as error:
        raise InvalidInput(f"the network in {path} cannot be built: {error}") from None
    except (KeyError, TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise InvalidInput(f"the record in {path} is damaged: it describes no network ({error!r}): {_AGAIN}") from None
    for wrong, names in (("misses", expected.keys() - tensors.keys()), ("has unknown", tensors.keys() - expected.keys())):
        if names:
            raise InvalidInput(f"{path} {wrong} tensors for {name}: {', '.join(sorted(names))}: {_AGAIN}")
    for key, tensor in tensors.items():
        if tensor.shape != expected[key].shape or not tensor.is_floating_point():
            found, due = f"{tuple(tensor.shape)} {tensor.dtype}", f"{tuple(expected[key].shape)} of a floating type"
            raise InvalidInput(f"the tensor {key} in {path} is {found}; expected {due}: {_AGAIN}")
    dtypes = {tensor.dtype for tensor in tensors.values()}
    return nets.build(name, config).to(dtypes.pop() if len(dtypes) == 1 else torch.float32)


_CERTIFICATE = ("kappa", "low", "high", "smallest", "relaxation")


def _pack(trained: Trained) -> dict[str, Any]:
    stored = [{"beta": s.beta} | {key: getattr(s.certificate, key) for key in _CERTIFICATE} for s in trained.certificates]
    return {"beta": list(trained.beta), "accuracy": trained.accuracy, "certificates": stored, "estimate": trained.estimate}


def _unpack(path: Path, record: dict[str, Any]) -> Trained:
    """The problem in the record. Raises InvalidInput where an entry is missing or no finite number."""
    try:
        trained, fingerprint = record["trained"], record["operator"]["fingerprint"]
        low, high = map(_number, trained["beta"])
        if not isinstance(fingerprint, str) or not 0 < low <= high:
            raise ValueError("a fingerprint and betas with 0 < low <= high are expected")
        certificates = tuple(Stored(_number(s["beta"]), Certificate(*(_number(s[key]) for key in _CERTIFICATE))) for s in trained["certificates"])
        estimate = trained["estimate"]
        return Trained(fingerprint, (low, high), _number(trained["accuracy"]), certificates, None if estimate is None else _number(estimate))
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"the record in {path} is damaged: it does not say what the inverse was trained for ({error!r}): {_AGAIN}") from None


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no finite number")
    return float(value)
