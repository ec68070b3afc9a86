"""What solves on a GPU cost besides time: nothing waits for the device, and no memory is kept."""

from __future__ import annotations

import resource
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch

import fastip
from cases.gpu import DTYPES, GPU, KERNELS, OP, PROX, SLEEP, data, draw, problem, solve
from cases.gpu import backend_fixture as backend_fixture
from cases.gpu import plain_float32 as plain_float32
from fastip import inverses, priors, psf
from fastip.contracts import StencilStep
from fastip.kernels import reference
from fastip.kernels.family import FAMILIES
from fastip.stopping import StopRule

pytestmark = GPU


def waits(run: Callable[[], object]) -> bool:
    """Whether ``run`` comes back only after the device has done what was asked of it before."""
    run()
    torch.cuda.synchronize()
    torch.cuda._sleep(SLEEP)
    run()
    done = torch.cuda.current_stream().query()
    torch.cuda.synchronize()
    return done


def test_waits_are_seen() -> None:
    y = data(1, 1, 9, 9)
    assert waits(lambda: float(y.sum())) and not waits(lambda: y + 1)


@pytest.mark.parametrize("relaxation", [1.0, 1.6])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("kernels", KERNELS)
def test_the_kernel_does_not_wait(kernels: Any, dtype: torch.dtype, relaxation: float) -> None:
    step, x, q, y = (t if isinstance(t, StencilStep) else t.to(dtype) for t in problem(9, 9, 4, 1, 40, 40, (2, 3)))
    assert not waits(lambda: kernels.solve(step, PROX, x.clone(), q, y, StopRule(0.0, 30), relaxation))


def synchronizations(run: Callable[[], object]) -> int:
    """How often PyTorch makes the host wait."""
    run()
    torch.cuda.synchronize()
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            run()
    finally:
        torch.cuda.set_sync_debug_mode(before)
    return sum("synchroniz" in str(w.message) for w in seen)


@pytest.mark.parametrize("prior", [priors.L1(1e-3), priors.TV(1e-3)], ids=["l1", "tv"])
@pytest.mark.parametrize("inverse", [inverses.Stencil(2), inverses.Exact()], ids=["stencil", "exact"])
def test_iterations_do_not_wait(inverse: Any, prior: Any, backend: str) -> None:
    """The door looks at the data once, for NaN and Inf, and so does the end: between them nothing waits."""
    y = data(1, 3, 16, 16)
    few, many = (
        synchronizations(lambda n=n: fastip.admm(y, OP, prior, beta=1e-2, inverse=inverse, iterations=n, tolerance=0))
        for n in (5, 45)
    )
    assert few == many == 2


@pytest.mark.parametrize("prior", [priors.L1(1e-3), priors.TV(1e-3)], ids=["l1", "tv"])
@pytest.mark.parametrize("inverse", [inverses.Stencil(2), inverses.Exact()], ids=["stencil", "exact"])
def test_waiting_is_an_error(inverse: Any, prior: Any, backend: str) -> None:
    """The loop that a user sees, with what is set up before it; in this mode PyTorch raises where it would wait."""
    y = data(1, 3, 16, 17)
    step, prox = inverse.bind(OP, y, 1e-2), prior.bind(y, OP)

    def loop(iterations: int) -> None:
        x, q = step.guess(), step.start()
        for _ in range(iterations):
            new, r = step(x, q)
            x, q = prox(x + step.pull(2 * new - q), 50.0), new
            step.norm(r)

    loop(2)
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        loop(30)
    finally:
        torch.cuda.set_sync_debug_mode(before)


def held() -> tuple[int, int, int]:
    """Bytes of tensors, bytes taken from the device, bytes of the process at their highest."""
    torch.cuda.synchronize()
    free, total = torch.cuda.mem_get_info()
    return torch.cuda.memory_allocated(), total - free, 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def grown(run: Callable[[], object], calls: int = 10_000) -> tuple[int, int, int]:
    for _ in range(calls // 10):
        run()
    before = held()
    for _ in range(calls):
        run()
    return tuple(a - b for a, b in zip(held(), before, strict=True))  # type: ignore[return-value]


@pytest.mark.parametrize("tolerance", [0.0, 1e-30], ids=["blind", "looking"])
def test_memory_after_ten_thousand_solves(tolerance: float, backend: str) -> None:
    y = data(1, 1, 8, 8)
    tensors, device, host = grown(lambda: solve(y, 2, tolerance))
    assert tensors == 0 and device <= 4 << 20 and host <= 16 << 20


@pytest.mark.parametrize("kernels", KERNELS)
def test_memory_after_ten_thousand_calls_of_each_family(kernels: Any) -> None:
    """But admm, which has the test above."""
    x, y, kernel = draw(1, 1, 12, 12).float(), draw(1, 1, 3, 3).float(), psf.gaussian(5, sigma=1.0)
    phases, taps = reference.pixel_unshuffle(x, 4), torch.ones(3, 3, dtype=torch.float64) / 9
    f, gain = torch.fft.fft2(torch.complex(x, x)[0]), torch.full((12, 12, 2), 0.5, device=x.device)
    p, offset, u = torch.zeros_like(f), torch.zeros_like(f), x.new_zeros(2, *x.shape)
    r, pair, spectra = u.clone(), torch.stack((x, x), dim=1), f[None].clone()
    calls = {
        "strided_conv": lambda: kernels.strided_conv(x, kernel, 4, "circular"),
        "strided_conv_adjoint": lambda: kernels.strided_conv_adjoint(y, kernel, 4, "circular"),
        "stencil": lambda: kernels.stencil(y, taps, "circular"),
        "woodbury": lambda: kernels.woodbury(x, y, y, kernel, 4, "circular", taps, 0.1),
        "pixel_unshuffle": lambda: kernels.pixel_unshuffle(x, 4),
        "pixel_shuffle": lambda: kernels.pixel_shuffle(phases, 12, 12),
        "soft_threshold": lambda: kernels.soft_threshold(x, 0.1),
        "spectral_step_": lambda: kernels.spectral_step_(f, p, offset, gain),
        "split_open": lambda: kernels.split_open(x, pair),
        "split_mix": lambda: kernels.split_mix(spectra, spectra.clone(), f[0], gain[..., 0], f[0]),
        "split_close": lambda: kernels.split_close(x, x, x, pair, x, x, 0.1),
        "tv_prox": lambda: kernels.tv_prox(x, u, r, 0.5, 0.2, 0.3, 2, True, PROX),
    }
    assert set(calls) == set(FAMILIES) - {"solve"}
    tensors, device, host = grown(lambda: [call() for call in calls.values()])
    assert tensors == 0 and device <= 4 << 20 and host <= 16 << 20
