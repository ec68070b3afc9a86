"""Whole solves for the fused kernels.

Small problems of every shape, and the loop on reference kernels that they are compared with.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from fastip.contracts import Convolution, Pointwise, Scales, Status, StencilStep
from fastip.kernels import reference
from fastip.stopping import Error, StopRule, per_image, ratio, rounding

# kh, kw, stride, half width of the taps, h, w of the data, planes
SHAPES = [
    (3, 3, 1, 1, 7, 9, (1, 1)),
    (9, 9, 4, 2, 11, 19, (2, 3)),
    (4, 6, 3, 1, 13, 8, (3, 1)),
    (5, 1, 2, 0, 18, 37, (1, 2)),
    (2, 7, 5, 3, 10, 21, (1, 5)),
    (9, 9, 1, 6, 33, 70, (1, 3)),
]


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def problem(
    kh: int,
    kw: int,
    stride: int,
    half: int,
    h: int,
    w: int,
    planes: tuple[int, int],
    boundary: str,
    *,
    seed: int = 3,
    separable: bool = False,
) -> tuple[StencilStep, Tensor, Tensor, Tensor]:
    """(step, x, q, y) with random psf and taps whose sums of magnitudes are 1 and 1/2."""
    psf = draw(kh, 1, seed=seed) * draw(1, kw, seed=seed + 1) if separable else draw(kh, kw, seed=seed)
    psf = psf / psf.abs().sum()
    taps = draw(2 * half + 1, 2 * half + 1, seed=seed + 2)
    taps = taps / (2 * taps.abs().sum())
    height, width = ((h - 1) * stride + kh, (w - 1) * stride + kw) if boundary == "valid" else (h * stride, w * stride)
    x, q, y = (
        draw(*planes, height, width, seed=seed + 3),
        draw(*planes, h, w, seed=seed + 4),
        draw(*planes, h, w, seed=seed + 5),
    )
    return StencilStep(Convolution(psf, stride, boundary), taps, 0.3), x, q, y


def looped(
    step: Any, prox: Pointwise, x: Tensor, q: Tensor, y: Tensor, iterations: int, relaxation: float
) -> tuple[Tensor, Tensor]:
    """The two lines on reference kernels, whatever the taps are."""
    c, tau = step.convolution, 1 / (2 * step.beta)
    for _ in range(iterations):
        new, _ = reference.woodbury(x, q, y, c.psf, c.stride, c.boundary, step.taps, step.beta)
        pulled = reference.strided_conv_adjoint(2 * new - q, c.psf, c.stride, c.boundary)
        image = reference.soft_threshold(x, tau * prox.l1, 1 / (1 + 2 * tau * prox.l2), prox.low, prox.high, pulled)
        x, q = x + relaxation * (image - x), q + relaxation * (new - q)
    return image, q


def rule_for(step: StencilStep, y: Tensor, tolerance: float, iterations: int) -> StopRule:
    """A stop rule with the scales of this problem; ||A|| is bounded by the magnitudes of the psf."""
    c = step.convolution
    pulled = reference.strided_conv_adjoint(y.double(), c.psf, c.stride, c.boundary)
    scales = Scales(float(c.psf.abs().sum()), per_image(y.double()), per_image(pulled))
    return StopRule(tolerance, iterations, scales)


def assert_looks_agree(
    solve: Any, shape: tuple[Any, ...], boundary: str, relaxation: float, dtype: torch.dtype, bound: float
) -> None:
    """The looks of a solve, one of them after an odd number of iterations, find what those of the loop find."""
    step, *start = problem(*shape, boundary)
    x, q, y = (tensor.to(dtype) for tensor in start)
    prox = Pointwise(l1=0.02, l2=0.1, low=-0.4, high=1.0)
    expected = judged_loop(step, prox, x.double(), q.double(), y.double(), rule_for(step, y, 1e-30, 7), relaxation)
    found = solve(step, prox, x, q, y, rule_for(step, y, 1e-30, 7), relaxation)
    assert found[2:4] == expected[2:4] == (7, Status.ITERATIONS) and found[4].shape == (2, 2, len(y))
    torch.testing.assert_close(found[4], expected[4], rtol=bound, atol=0)


any_size = pytest.mark.parametrize(
    "dtype, scale", [(torch.float32, 1e-30), (torch.float32, 1e30), (torch.float64, 1e-140), (torch.float64, 1e140)]
)


def assert_judged_alike(solve: Any, scale: float, relaxation: float, dtype: torch.dtype, bound: float) -> None:
    """A solve of data of that size ends as one of data near one, and its looks find the same."""
    step, *start = problem(9, 9, 4, 3, 16, 48, (2, 1), "circular")
    found = []
    for factor in (1.0, scale):
        x, q, y = ((factor * tensor).to(dtype) for tensor in start)
        found.append(solve(step, Pointwise(), x, q, y, rule_for(step, y, 1e-2, 30), relaxation))
    assert found[0][2:4] == found[1][2:4]
    torch.testing.assert_close(found[1][4], found[0][4], rtol=bound, atol=0)


def judged_loop(
    step: StencilStep, prox: Pointwise, x: Tensor, q: Tensor, y: Tensor, rule: StopRule, relaxation: float
) -> tuple[Tensor, Tensor, int, Status, Tensor]:
    """:func:`looped` under its stop rule, each norm taken as it is written there."""
    c, scales = step.convolution, rule.scales
    verdict = None
    for k in range(1, rule.iterations + 1):
        q_new, r = reference.woodbury(x, q, y, c.psf, c.stride, c.boundary, step.taps, step.beta)
        pulled = reference.strided_conv_adjoint(2 * q_new - q, c.psf, c.stride, c.boundary)
        image, _ = looped(step, prox, x, q, y, 1, 1.0)
        if rule.due(k):
            assert scales is not None
            next_r = y - reference.strided_conv(image, c.psf, c.stride, c.boundary) - step.beta * q_new
            pending = scales.norm * per_image(step.beta * (q_new - q) - next_r)
            error = Error(per_image(image - x), pending, per_image(pulled), scales.floors)
            data = ratio(per_image(r), scales.sizes)
            verdict = rule.judge(torch.stack([data, error.ratio(step.beta, rule.tolerance, rounding(y.dtype))]))
        x, q = x + relaxation * (image - x), q + relaxation * (q_new - q)
        if verdict is not None:
            break
    return image, q, k, verdict or Status.ITERATIONS, rule.residuals(len(y))
