"""Trained inverses with the problem they were trained for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import nets
from ..contracts import LinearOperator
from ..errors import InvalidInput, strict_keywords
from ..inverses import Certificate, Learned, Stored, Trained
from .container import AGAIN, check_path, read, write
from .parts import build, check_weights, describe, number


@strict_keywords
def save_inverse(
    path: str | Path, learned: Learned, *, op: LinearOperator | None = None, training: Mapping[str, Any] | None = None
) -> None:
    """Write a trained inverse: its weights, its structure, and the problem it was trained for.

    Args:
        path: The ``.safetensors`` file to write.
        learned: The inverse, with the record of its training (``trained``).
        op: The operator, so that the file also says what it looks like (psf, stride, boundary).
        training: How it was trained (JSON values).

    Raises:
        InvalidInput: For a path that cannot be written, an inverse without the record of its training or changed
            since, another operator, and NaN.
        Unsupported: Where the package safetensors is not installed.
    """
    path = check_path(path)
    if not isinstance(learned.net, nets.InverseNet | nets.PaperInverseNet):
        raise InvalidInput(
            f"the net is {type(learned.net).__name__}; a checkpoint can hold one of {', '.join(nets.INVERSE_NETS)}: "
            "save others with torch.save"
        )
    if learned.trained is None:
        raise InvalidInput(
            "this inverses.Learned does not know the problem it was trained for; make that record first: "
            "inverses.Learned(net, trained=inverses.examine(net, op, beta))"
        )
    if op is not None and op.fingerprint() != learned.trained.fingerprint:
        raise InvalidInput(
            f"op is {op!r}, and the inverse was trained for another operator; pass the one it was trained for"
        )
    weights = learned.net.state_dict()
    check_weights(weights)
    if not learned.unchanged:
        raise InvalidInput(
            "the weights have changed since this inverse was examined; examine them again: "
            "inverses.Learned(net, trained=inverses.examine(net, op, beta))"
        )
    write(path, "inverse", weights, inverse_record(learned, op, training))


def inverse_record(learned: Learned, op: LinearOperator | None, training: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a checkpoint says of an inverse beside its weights.

    Args:
        learned: The inverse, with the record of its training.
        op: Its operator, to be described for readers, or None.
        training: How it was trained (JSON values), or None.

    Returns:
        JSON values: the net's structure, the operator, the record of the training's problem, and the training.
    """
    assert learned.trained is not None and isinstance(learned.net, nets.InverseNet | nets.PaperInverseNet)
    return {
        "net": {"name": type(learned.net).__name__, "config": learned.net.config()},
        "operator": {"fingerprint": learned.trained.fingerprint} | ({} if op is None else describe(op)),
        "trained": _pack(learned.trained),
        "training": dict(training or {}),
    }


@strict_keywords
def load_inverse(path: str | Path) -> Learned:
    """The trained inverse in a checkpoint.

    Args:
        path: A file that :func:`save_inverse` wrote.

    Returns:
        The inverse, frozen, on the CPU; ``admm`` refuses it for another operator or a beta outside its range.

    Raises:
        InvalidInput: For a file that is missing, damaged, of another kind or of another format, and for weights that
            do not fit its structure.
        Unsupported: Where the package safetensors is not installed.
    """
    path = Path(path)
    record, tensors = read(path, "inverse")
    trained = _unpack(path, record)
    return Learned(build(path, record, tensors, nets.INVERSE_NETS), trained=trained)


_CERTIFICATE = ("kappa", "low", "high", "smallest", "relaxation")


def _pack(trained: Trained) -> dict[str, Any]:
    stored = [
        {"beta": s.beta} | {key: getattr(s.certificate, key) for key in _CERTIFICATE} for s in trained.certificates
    ]
    return {
        "beta": list(trained.beta),
        "accuracy": trained.accuracy,
        "certificates": stored,
        "estimate": trained.estimate,
    }


def _certificate(entry: Mapping[str, Any]) -> Certificate:
    found = Certificate(*(number(entry[key]) for key in _CERTIFICATE))
    # A positive definite C has kappa > 0, which ``scale`` divides by. A larger bound could refuse a C that is merely
    # too small; a smaller one lets a damaged record scale by what is no more than rounding.
    if not (0 < found.relaxation < 2 and found.low <= found.high) or (found.smallest > 0 and not found.kappa > 1e-6):
        raise ValueError(f"no certificate can be {found}")
    return found


def _unpack(path: Path, record: dict[str, Any]) -> Trained:
    """The problem in the record. Raises InvalidInput where an entry is missing or no finite number."""
    try:
        trained, fingerprint = record["trained"], record["operator"]["fingerprint"]
        low, high = map(number, trained["beta"])
        if not isinstance(fingerprint, str) or not 0 < low <= high:
            raise ValueError("a fingerprint and betas with 0 < low <= high are expected")
        certificates = tuple(Stored(number(s["beta"]), _certificate(s)) for s in trained["certificates"])
        estimate = trained["estimate"]
        return Trained(
            fingerprint,
            (low, high),
            number(trained["accuracy"]),
            certificates,
            None if estimate is None else number(estimate),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(
            f"the record in {path} is damaged: it does not say what the inverse was trained for ({error!r}): {AGAIN}"
        ) from None
