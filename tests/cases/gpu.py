"""What the tests on a GPU share: data, a solve, the two backends, and problems for the kernels themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

import fastip
from fastip import operators, priors, psf
from fastip.contracts import Convolution, Pointwise, StencilStep
from fastip.kernels import choose
from fastip.kernels.family import Implementations
from fastip.kernels.triton import start

native = Implementations("native")
triton = Implementations("triton")

GPU = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
PROX = Pointwise(l1=0.02, l2=0.1, low=-0.4, high=1.0)
NATIVE = pytest.mark.skipif(
    not fastip.kernels.available().get("cuda_compiled"), reason="the extension is compiled without CUDA"
)
TRITON = pytest.mark.skipif(start.why_missing() is not None, reason=str(start.why_missing()))
KERNELS = (pytest.param(native, id="native", marks=NATIVE), pytest.param(triton, id="triton", marks=TRITON))
BACKENDS = (pytest.param("native", marks=NATIVE), pytest.param("triton", marks=TRITON))
SLEEP = 1_000_000_000  # clock cycles of a GPU that does nothing: about half a second


def draw(*shape: int, seed: int = 0) -> Tensor:
    """Fresh normal numbers, float64 on the GPU where there is one.

    Tables of cases are made where there is none, too.
    """
    numbers = torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return numbers.cuda() if torch.cuda.is_available() else numbers


def relative(a: Tensor, b: Tensor) -> float:
    return float((a.double() - b.double()).norm() / b.double().norm())


@pytest.fixture(autouse=True)
def plain_float32() -> Iterator[None]:
    """What PyTorch computes in float32 is float32: its convolutions would round it to ten bits."""
    settings = torch.backends.cudnn, torch.backends.cuda.matmul
    before = [setting.allow_tf32 for setting in settings]
    for setting in settings:
        setting.allow_tf32 = False
    yield
    for setting, value in zip(settings, before, strict=True):
        setting.allow_tf32 = value


@pytest.fixture(name="backend", params=BACKENDS)
def backend_fixture(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """FASTIP_BACKEND, and that it is the one that runs."""
    monkeypatch.setenv("FASTIP_BACKEND", request.param)
    choose.choice.cache_clear()
    assert choose.implementation((torch.zeros(1, 1, 4, 4, device="cuda"),)) == request.param
    yield request.param
    monkeypatch.undo()
    choose.choice.cache_clear()


def problem(
    kh: int, kw: int, stride: int, half: int, h: int, w: int, images: tuple[int, int], boundary: str = "circular"
) -> tuple[StencilStep, Tensor, Tensor, Tensor]:
    """(step, x, q, y) with random weights, float64: psf kh x kw, C of (2 half + 1)^2 taps, data h x w, images b c."""
    kernel, taps = draw(kh, kw, seed=kh).cpu(), draw(2 * half + 1, 2 * half + 1, seed=kw).cpu()
    step = StencilStep(Convolution(kernel / kernel.abs().sum(), stride, boundary), taps / (2 * taps.abs().sum()), 0.3)
    height, width = ((h - 1) * stride + kh, (w - 1) * stride + kw) if boundary == "valid" else (h * stride, w * stride)
    return step, draw(*images, height, width, seed=3), draw(*images, h, w, seed=4), draw(*images, h, w, seed=5)


OP = operators.Blur(psf.gaussian(9, sigma=1.6), stride=4, boundary="circular")


def data(b: int, c: int, h: int, w: int, seed: int = 0) -> Tensor:
    """Spikes seen through OP, float32 on the GPU."""
    x = draw(b, c, 4 * h, 4 * w, seed=seed) * (draw(b, c, 4 * h, 4 * w, seed=seed + 1) > 1.6)
    return OP(x.cpu()).float().cuda()


def solve(y: Tensor, iterations: int = 30, tolerance: float = 0.0, **options: Any) -> fastip.Solution:
    return fastip.admm(y, OP, priors.L1(1e-3), beta=1e-2, iterations=iterations, tolerance=tolerance, **options)
