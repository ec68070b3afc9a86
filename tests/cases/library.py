"""Random arguments for every op of torch.ops.fastip.

Odd sizes, strides 1 to 4, all boundaries, one image and several.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from fastip.kernels import reference
from fastip.kernels.family import LIBRARY

BOUNDARIES = reference.BOUNDARIES
OPS = getattr(torch.ops, LIBRARY.ns)
INFINITY = math.inf


class Draw:
    """One random problem: a psf, a stride, a boundary, and tensors of what shape is asked for."""

    def __init__(
        self, seed: int, dtype: torch.dtype = torch.float64, stride: int | None = None, boundary: str | None = None
    ) -> None:
        self.random, self.generator, self.dtype = random.Random(seed), torch.Generator().manual_seed(seed), dtype
        self.stride = self.random.randint(1, 4) if stride is None else stride
        self.boundary = BOUNDARIES[seed % 4] if boundary is None else boundary
        self.batch = ((1, 1), (1, 3), (3, 2))[self.random.randrange(3)]
        self.k = self.random.randint(1, 4), self.random.randint(1, 5)
        self.psf = self.normal(*self.k, dtype=torch.float64)

    def normal(self, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        return torch.randn(shape, dtype=torch.float64, generator=self.generator).to(
            self.dtype if dtype is None else dtype
        )

    def positive(self, *shape: int) -> Tensor:
        return self.normal(*shape).abs() + 0.1

    def odd(self) -> tuple[int, int]:
        return 2 * self.random.randint(1, 3) + 1, 2 * self.random.randint(1, 3) + 1

    def image(self, divides: bool) -> Tensor:
        """An image, of a size that the stride divides or of any."""
        h, w = self.odd()
        if self.boundary == "valid":
            sizes = [(n - 1) * self.stride + k for n, k in zip((h, w), self.k, strict=True)]
        else:
            sizes = [n * self.stride for n in (h, w)]
        if not divides:
            sizes = [n + self.random.randrange(self.stride) for n in sizes]
        return self.normal(*self.batch, *sizes)


def strided_conv(d: Draw) -> tuple[Any, ...]:
    return d.image(divides=d.random.random() < 0.5), d.psf, d.stride, d.boundary


def strided_conv_adjoint(d: Draw) -> tuple[Any, ...]:
    return d.normal(*d.batch, *d.odd()), d.psf, d.stride, d.boundary


def stencil(d: Draw) -> tuple[Any, ...]:
    return d.normal(*d.batch, *d.odd()), d.normal(*d.odd(), dtype=torch.float64), d.boundary


def woodbury(d: Draw) -> tuple[Any, ...]:
    x = d.image(divides=d.random.random() < 0.5)
    shape = reference.strided_conv(x, d.psf, d.stride, d.boundary).shape
    side = d.random.choice((1, 3, 5))
    return (
        x,
        d.normal(*shape),
        d.normal(*shape),
        d.psf,
        d.stride,
        d.boundary,
        d.normal(side, side, dtype=torch.float64),
        0.1 + d.random.random(),
    )


def pixel_unshuffle(d: Draw) -> tuple[Any, ...]:
    return d.normal(*d.batch, *d.odd()), d.stride


def pixel_shuffle(d: Draw) -> tuple[Any, ...]:
    (h, w), s = d.odd(), d.stride
    return d.normal(*d.batch, s, s, h, w), h * s - d.random.randint(0, s + 1), w * s + d.random.randint(-1, 2)


def bounds(d: Draw) -> tuple[float, float]:
    return d.random.choice(((-INFINITY, INFINITY), (0.0, INFINITY), (-0.4, 0.9)))


def soft_threshold(d: Draw) -> tuple[Any, ...]:
    v = d.normal(*d.batch, *d.odd())
    add = d.random.choice((None, d.normal(*v.shape), d.normal(1, *v.shape[1:])))
    return v, d.random.choice((0.0, 0.3)), d.random.choice((1.0, 0.8)), *bounds(d), add


def soft_threshold_tensor(d: Draw) -> tuple[Any, ...]:
    v = d.normal(*d.batch, *d.odd())
    shapes = ((), (1, v.shape[1], 1, 1), (v.shape[0], 1, 1, 1), tuple(v.shape))
    t, shrink = (d.positive(*d.random.choice(shapes)) for _ in range(2))
    return v, 0.5 * t, shrink, *bounds(d), d.random.choice((None, d.normal(*v.shape)))


def spectral_step(d: Draw) -> tuple[Any, ...]:
    n, (h, w) = d.random.randint(1, 4), d.odd()
    f, p, offset = (torch.complex(d.normal(n, h, w), d.normal(n, h, w)) for _ in range(3))
    return f, p, offset, d.positive(h, w), d.random.choice((1.0, 1.6))


def admm(d: Draw) -> tuple[Any, ...]:
    x, psf = d.image(divides=True), d.psf / d.psf.abs().sum()
    shape = reference.strided_conv(x, psf, d.stride, d.boundary).shape
    taps = torch.full((1, 1), 0.9, dtype=torch.float64)
    numbers = (0.3, 0.02, 0.1, 0.0, 1.0, d.random.choice((1.0, 1.5)), d.random.randint(1, 7))
    return x, d.normal(*shape), d.normal(*shape), psf, d.stride, d.boundary, taps, *numbers


CASES: dict[str, Callable[[Draw], tuple[Any, ...]]] = {
    "strided_conv": strided_conv,
    "strided_conv_adjoint": strided_conv_adjoint,
    "stencil": stencil,
    "woodbury": woodbury,
    "pixel_unshuffle": pixel_unshuffle,
    "pixel_shuffle": pixel_shuffle,
    "soft_threshold": soft_threshold,
    "soft_threshold.Tensor": soft_threshold_tensor,
    "spectral_step": spectral_step,
    "admm": admm,
}
DIFFERENTIABLE = tuple(name for name in CASES if name != "admm")


def arguments(name: str, seed: int, dtype: torch.dtype = torch.float64, **fixed: Any) -> tuple[Any, ...]:
    """Arguments of the op for this seed."""
    return CASES[name](Draw(seed, dtype, **fixed))


def op(name: str) -> Any:
    """The overload itself."""
    packet, _, overload = name.partition(".")
    return getattr(getattr(OPS, packet), overload or "default")


def formula(name: str) -> Callable[..., Any]:
    """The reference of an op; that of admm is the loop of the solver, by the reference's kernels."""
    return solve if name == "admm" else getattr(reference, name.partition(".")[0])


def solve(
    x: Tensor,
    q: Tensor,
    y: Tensor,
    psf: Tensor,
    stride: int,
    boundary: str,
    taps: Tensor,
    beta: float,
    l1: float,
    l2: float,
    low: float,
    high: float,
    relaxation: float,
    iterations: int,
) -> tuple[Tensor, Tensor]:
    """The w-form: z = x + A^T q', prox(x + A^T (2 q' - q)), blended."""
    tau = 1 / (2 * beta)
    for _ in range(iterations):
        r = y - reference.strided_conv(x, psf, stride, boundary) - beta * q
        q_new = q + reference.stencil(r, taps, boundary)
        v = x + reference.strided_conv_adjoint(2 * q_new - q, psf, stride, boundary)
        last = (torch.sign(v) * (v.abs() - tau * l1).clamp(min=0) / (1 + 2 * tau * l2)).clamp(low, high)
        x, q = (1 - relaxation) * x + relaxation * last, (1 - relaxation) * q + relaxation * q_new
    return last, q


def tensors(result: Any) -> tuple[Tensor, ...]:
    """One tensor or several, as several."""
    return (result,) if isinstance(result, Tensor) else tuple(result)


def clones(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """A copy of the arguments, the tensors with memory of their own."""
    return tuple(v.detach().clone() if isinstance(v, Tensor) else v for v in values)


def with_gradients(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """A copy of the arguments in which every tensor requires a gradient."""
    return tuple(v.detach().clone().requires_grad_() if isinstance(v, Tensor) else v for v in values)


def exactly(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The same numbers in float64."""
    wide = {True: torch.complex128, False: torch.float64}
    return tuple(v.to(wide[v.is_complex()]) if isinstance(v, Tensor) else v for v in values)
