"""Where the GPU benchmarks run and on what sizes.

FASTIP_BENCH_DEVICE=cpu runs every line of them on tiny problems without a GPU, to see that they work;
such times mean nothing and no page shows them.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

import fastip
from fastip.kernels import choose, whole_solve
from fastip.kernels.family import Implementations

native = Implementations("native")

Skipped = pytest.skip.Exception
PATIENCE = float(os.environ.get("FASTIP_BENCH_PATIENCE", "1"))  # times the seconds that each program is measured for


def rehearsal() -> bool:
    """Whether this is a run without a GPU, on tiny sizes."""
    return os.environ.get("FASTIP_BENCH_DEVICE", "cuda") == "cpu"


def why_absent() -> str | None:
    """None where the benchmarks can run, else the reason."""
    if rehearsal() or torch.cuda.is_available():
        return None
    return (
        f"no CUDA device: torch {torch.__version__} sees none "
        "(FASTIP_BENCH_DEVICE=cpu rehearses the GPU benchmarks on tiny sizes)"
    )


def device() -> torch.device:
    """The device of all tensors. Skips the test where there is none."""
    missing = why_absent()
    if missing is not None:
        pytest.skip(missing)
    return torch.device("cpu" if rehearsal() else "cuda")


def sized(full: Any, tiny: Any) -> Any:
    """``full``, or ``tiny`` in a rehearsal."""
    return tiny if rehearsal() else full


def describe() -> dict[str, Any] | None:
    """The GPU, for the results; None without one."""
    if rehearsal():
        none = dict.fromkeys(("memory_gib", "multiprocessors", "capability", "cache_mib", "cuda"))
        return {"name": "rehearsal without a GPU", **none}
    if not torch.cuda.is_available():
        return None
    p = torch.cuda.get_device_properties(0)
    numbers = {
        "memory_gib": round(p.total_memory / 2**30),
        "multiprocessors": p.multi_processor_count,
        "capability": f"{p.major}.{p.minor}",
    }
    return {
        "name": p.name,
        **numbers,
        "cache_mib": round(getattr(p, "L2_cache_size", 0) / 2**20),
        "cuda": torch.version.cuda,
    }


@contextlib.contextmanager
def backend(name: str, *images: Tensor) -> Iterator[None]:
    """fastip with FASTIP_BACKEND=name; skips the test where these images would take other kernels after all."""
    before = os.environ.get("FASTIP_BACKEND")
    os.environ["FASTIP_BACKEND"] = name
    choose.choice.cache_clear()
    try:
        missing = _why_another(name, images)
        if missing is not None:
            pytest.skip(missing)
        yield
    finally:
        os.environ.pop("FASTIP_BACKEND")
        os.environ.update({} if before is None else {"FASTIP_BACKEND": before})
        choose.choice.cache_clear()


def _why_another(name: str, images: tuple[Tensor, ...]) -> str | None:
    try:
        taken = choose.implementation(images)
    except fastip.FastipError as error:
        return f"FASTIP_BACKEND={name} cannot run here: {error}"
    return None if taken == name else f"FASTIP_BACKEND={name} takes others here: {choose.describe(images)}"


class DoesNotFit(Exception):
    """The planes are too large, or of a kind, to be kept on the chip."""


@dataclass(frozen=True)
class Way:
    """A way through the compiled ``admm``: the path, 0 the fastest, 1 sweeps through memory, 2 planes kept on the chip.

    On the chip: blocks a plane (0: as suits), and whether margins are fetched phase by phase, in the slower form.
    """

    path: int = 0
    ranks: int = 0
    by_phase: bool = False


FASTEST, SWEEPS, CHIP = Way(), Way(1), Way(2)


@contextlib.contextmanager
def way(taken: Way) -> Iterator[None]:
    """The compiled ``admm`` in this way alone. Raises DoesNotFit where planes cannot be kept on the chip so."""
    if taken == FASTEST:
        yield
        return
    ours = whole_solve.on_gpu
    whole_solve.on_gpu = functools.partial(ours, path=taken.path, ranks=taken.ranks, by_phase=taken.by_phase)
    try:
        yield
    except (RuntimeError, fastip.FastipError) as error:
        if "do not fit on the chip" in str(error):
            raise DoesNotFit(str(error)) from None
        raise
    finally:
        whole_solve.on_gpu = ours
