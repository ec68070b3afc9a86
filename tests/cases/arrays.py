"""What the tests of arrays share: numbers, views of memory, and calls of every door that takes an array."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import fastip
from cases.checks import noise
from fastip import operators, priors
from fastip.operators import psf

OP = operators.Blur(psf.gaussian(5, sigma=1.1), stride=2)
SHAPE = (2, 3, 9, 11)
FLOATING = (np.float16, np.float32, np.float64, np.complex64, np.complex128)


def values(*shape: int, dtype: Any = np.float32, seed: int = 0) -> np.ndarray:
    """Random numbers, complex where the dtype is."""
    result = noise(shape, torch.float64, seed=seed, is_complex=np.dtype(dtype).kind == "c").numpy()
    return result.astype(dtype)


VIEWS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "steps": lambda a: a[::2, 1::3],
    "transposed": lambda a: a.T,
    "backwards": lambda a: a[::-1],
    "backwards on two axes": lambda a: a[::-1, ::-2],
    "repeated": lambda a: np.broadcast_to(a[0], a.shape).copy()[:, ::-1],
    "a single number": lambda a: a[2:3, 1],
}

CALLS: dict[str, Callable[[Any], Any]] = {
    "forward": lambda y: OP(OP.adjoint(y)),
    "composition": lambda y: (2.0 * (operators.Mask(np.ones((9, 11))) @ operators.Identity()))(y),
    "admm": lambda y: fastip.admm(y, OP, priors.L1(1e-2), iterations=3).x,
    "admm from a start": lambda y: fastip.admm(y, OP, priors.TV(1e-2), init=OP.adjoint(y), iterations=3).x,
    "pgd": lambda y: fastip.pgd(y, OP, priors.L1(1e-2), iterations=3).x,
    "wiener": lambda y: fastip.wiener(y, OP, 1e-2, iterations=3).x,
    "woodbury": lambda y: fastip.inverses.woodbury(fastip.inverses.Exact(), operators.Identity(), 0.1)(y),
}
