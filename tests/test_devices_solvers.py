"""Solves on a GPU wait while they are set up and at a look at the stop rule, and at no iteration.

A second solve waits at the door alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import fastip
from cases.checks import data_for, image_for, noise, relative
from cases.devices import BETA, INVERSES, PROBLEMS, SOLVERS, net_of, waits_of
from cases.gpu import plain_float32 as plain_float32
from cases.pretended import CUDA, ours, pretended
from cases.priors import smooth
from fastip import inverses, nets, operators, priors, psf
from fastip.errors import InvalidInput, Unsupported
from fastip.stopping import EVERY, relative_change


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("solver", SOLVERS)
def test_an_iteration_waits_for_nothing(solver: str, problem: str) -> None:
    """Four more iterations, no more waits; and the answer is that of the CPU."""
    op, shape = PROBLEMS[problem]
    y, solve = data_for(op, shape, torch.float32), SOLVERS[solver]
    short, _, _ = waits_of(y, lambda far: solve(far, op, 3))
    long, atomics, x = waits_of(y, lambda far: solve(far, op, 7))
    assert len(long) <= len(short)  # the second solve may find constants in place
    assert not atomics
    assert relative(x, solve(y, op, 7).x) < 2e-3


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("solver", SOLVERS)
def test_a_second_solve_waits_at_the_door_and_at_the_end_alone(solver: str, problem: str) -> None:
    """For the check of the data and for that of the result: whatever it needs is in place."""
    op, shape = PROBLEMS[problem]
    y, solve = data_for(op, shape, torch.float32), SOLVERS[solver]
    first, _, _ = waits_of(y, lambda far: solve(far, op, 2))
    second, _, _ = waits_of(y, lambda far: solve(far, op, 2))
    looks = ["not_finite"] * 2  # of data and result; between them, whether Fourier samples are those of a real image
    looks[1:1] = ["check_measured"] if isinstance(op, operators.MaskedFourier) else []
    assert [event.place.split()[-1] for event in second] == looks and len(first) >= len(second)


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("solver", SOLVERS)
def test_a_second_solve_fits_into_a_graph(solver: str, problem: str) -> None:
    """In a capture nothing may wait, and the data need not be there yet."""
    op, shape = PROBLEMS[problem]
    y, solve = data_for(op, shape, torch.float32), SOLVERS[solver]
    with pretended() as gpu:
        expected = solve(gpu.put(y), op, 2).x
        gpu.capturing = True
        assert torch.equal(gpu.get(solve(gpu.put(y), op, 2).x), gpu.get(expected))
        with pytest.raises(RuntimeError, match="capturing"):
            expected.sum().item()


# ---- half precision --------------------------------------------------------------------------------------------------


# relative, after five iterations: some roundings of 2^-11 and 2^-8
HALVES = {torch.float16: 5e-3, torch.bfloat16: 4e-2}


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("problem", [name for name in PROBLEMS if "fourier" not in name])
@pytest.mark.parametrize(
    "solver", [name for name in SOLVERS if name not in ("admm-wavelet", "pgd-back-projection", "npgd")]
)
def test_half_precision_on_a_gpu(solver: str, problem: str, dtype: torch.dtype) -> None:
    """Every solver in half precision, but for wavelets, back-projection and npgd.

    Wavelets refuse it, back-projection divides by 1e-3, and the step of npgd is made of differences of images.
    """
    op, shape = PROBLEMS[problem]
    y, solve = data_for(op, shape, torch.float32).to(dtype), SOLVERS[solver]
    expected = solve(y.double(), op, 5).x
    with pretended() as gpu:
        x = gpu.get(solve(gpu.put(y), op, 5).x)
        assert x.dtype == dtype and relative(x.double(), expected) < HALVES[dtype]


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("problem", [name for name in PROBLEMS if "fourier" not in name])
def test_npgd_in_half_precision_comes_as_near_to_the_data(problem: str, dtype: torch.dtype) -> None:
    """Of an image in the box that is the prior.

    The exact misfit is small, and that of no step at all several times as large.
    """
    op, shape = PROBLEMS[problem]
    y = op(torch.rand(shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)).to(dtype)
    expected = SOLVERS["npgd"](y.double(), op, 20).x
    with pretended() as gpu:
        x = gpu.get(SOLVERS["npgd"](gpu.put(y), op, 20).x)
    misfits = [
        float((y.double() - op(one.double())).norm() / y.double().norm())
        for one in (x, expected, op.adjoint(y.double()).clamp(0, 1))
    ]
    assert x.dtype == dtype and misfits[0] < misfits[1] + HALVES[dtype]


def test_half_precision_on_a_cpu_is_refused() -> None:
    op, shape = PROBLEMS["deblurring"]
    for dtype in HALVES:
        with pytest.raises(InvalidInput, match=rf"y has dtype {dtype} on cpu; .* GPUs only: convert with y\.float\(\)"):
            fastip.admm(data_for(op, shape, torch.float32).to(dtype), op, priors.TV(1e-3))


def test_wavelets_refuse_half_precision() -> None:
    with (
        pretended() as gpu,
        pytest.raises(Unsupported, match="Wavelet takes float32 or float64; the data is torch.float16"),
    ):
        SOLVERS["admm-wavelet"](gpu.put(noise((1, 1, 12, 14), torch.float32).half()), operators.Identity(), 2)


def test_large_half_precision_images_are_no_infinities() -> None:
    """Their sums, squares and norms are beyond the largest number of float16."""
    op, y = operators.Identity(), 1000 + 100 * noise((1, 1, 300, 300), torch.float32).half()
    with pretended() as gpu:
        solution = fastip.admm(gpu.put(y), op, priors.TV(60.0, steps=1), beta=0.3, iterations=5, tolerance=1e-6)
        ratios = solution.residuals
        assert gpu.get(relative_change(gpu.put(y), gpu.put(-y))).tolist() == [2.0]
        assert (
            bool(torch.isfinite(ratios).all())
            and bool((ratios > 0).all())
            and bool(torch.isfinite(gpu.get(solution.x)).all())
        )


@pytest.mark.parametrize(
    "inverse",
    [inverses.ConjugateGradient(1e-6), inverses.GradientDescent(9), inverses.Exact(side="data")],
    ids=lambda i: type(i).__name__,
)
def test_inverses_round_half_precision_once(inverse: Any) -> None:
    op, y = _dense(), 3 + noise((400, 5), torch.float32).half()
    step = inverse.bind(op, y.double(), 0.3)
    expected = step.apply(y.double())
    with pretended() as gpu:
        found = gpu.get(inverse.bind(op, gpu.put(y), 0.3).apply(gpu.put(y)))
    assert found.dtype == torch.float16 and relative(found.double(), expected) < 2.2e-4  # of rounding alone


def _dense() -> operators.Dense:
    """A that is exact in float16."""
    matrix = torch.zeros(5, 6, dtype=torch.float64)
    matrix[range(5), range(5)], matrix[range(5), range(1, 6)] = 1.0, 0.25
    return operators.Dense(matrix)


@pytest.mark.parametrize(
    "name", [name for name, bound in INVERSES.items() if name.startswith(("stencil", "exact-scalar", "learned-taps"))]
)
def test_a_whole_solve_finds_its_weights_on_the_device(name: str) -> None:
    inverse, op, shape, _ = INVERSES[name]
    with pretended() as gpu:
        step = inverse.bind(op, gpu.put(data_for(op, shape, torch.float32)), BETA).fused()
        for weights in (step.convolution.psf, step.taps):
            assert gpu.get(weights).dtype == torch.float64


@pytest.mark.parametrize("problem", ["deblurring", "mirrored", "inpainting", "stacked", "fourier"])
def test_a_schedule_of_betas_moves_nothing_again(problem: str) -> None:
    """Each iteration has another beta, so it is set up anew; what does not depend on beta is there already."""
    op, shape = PROBLEMS[problem]
    y = data_for(op, shape, torch.float32)

    def solve(far: Tensor, n: int) -> Any:
        betas = [0.3 * 0.8**k for k in range(n)]
        return fastip.admm(
            far, op, priors.Denoiser(smooth, sigma=0.1), beta=betas, inverse=inverses.Exact(), iterations=n, tolerance=0
        )

    assert len(waits_of(y, lambda far: solve(far, 8))[0]) <= len(waits_of(y, lambda far: solve(far, 3))[0])


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("solver", [fastip.admm, fastip.pgd])
def test_a_look_waits_once(problem: str, solver: Callable[..., Any]) -> None:
    op, shape = PROBLEMS[problem]
    y = data_for(op, shape, torch.float32)
    waits_of(y, lambda far: solver(far, op, priors.TV(0.3, steps=1), iterations=1))
    waits, _, _ = waits_of(
        y, lambda far: solver(far, op, priors.TV(0.3, steps=1), iterations=4 * EVERY + 2, tolerance=1e-30)
    )
    assert len([event for event in waits if event.place.startswith("stopping.py")]) == 5
    fewer, _, _ = waits_of(
        y, lambda far: solver(far, op, priors.TV(0.3, steps=1), iterations=2 * EVERY + 2, tolerance=1e-30)
    )
    assert len(waits) - len(fewer) == 2


# ---- two devices in one call -----------------------------------------------------------------------------------------


def test_a_start_on_another_device_is_refused() -> None:
    op, shape = PROBLEMS["deblurring"]
    y, x = data_for(op, shape, torch.float32), image_for(op, shape, torch.float32)
    resumed = fastip.admm(y, op, priors.TV(1e-3), iterations=2)
    with pretended() as gpu:
        far = gpu.put(y)
        for solver in (fastip.admm, fastip.pgd):
            with pytest.raises(InvalidInput, match=r"init has .* on cpu; expected .* on cuda:0, as y: convert"):
                solver(far, op, priors.TV(1e-3), init=x, iterations=2)
        with pytest.raises(InvalidInput, match=r"on cpu; expected one on cuda:0"):
            fastip.admm(far, op, priors.TV(1e-3), init=resumed, iterations=2)


def test_a_network_on_another_device_is_refused() -> None:
    op, shape = operators.Identity(), (1, 2, 8, 10)
    y = noise(shape, torch.float32)
    conv = nn.Conv2d(2, 2, 3, padding=1).requires_grad_(False)
    beside = [priors.Denoiser(conv, sigma=0.1), priors.Denoiser(priors.adapters.blind(conv), sigma=0.1)]
    beside.append(
        priors.PixelShuffleAutoencoder(
            net_of(nets.PixelShuffleAutoencoder, colours=2, widths=(4,), blocks=(1,)), sigma=0.1
        )
    )
    with pretended() as gpu:
        for prior in beside:
            with pytest.raises(
                InvalidInput, match=r"y is on cuda:0 and the network on cpu; move it with net\.to\('cuda:0'\)"
            ):
                prior.bind(gpu.put(y), op)
            prior.bind(y, op)
        assert priors.Denoiser(smooth, sigma=0.1).bind(gpu.put(y), op)(gpu.put(y), 0.1).device == CUDA


def test_a_learned_inverse_is_copied_to_the_data_once() -> None:
    inverse, op, shape, _ = INVERSES["learned-layers"]
    y = data_for(op, shape, torch.float32)
    with pretended() as gpu:
        op.adjoint(gpu.put(y))  # the operator's own weights
        for _ in range(2):
            step = inverse.bind(op, gpu.put(y), BETA)
            gpu.waits.clear()
            step(gpu.put(image_for(op, shape, torch.float32)), step.start())
            assert not ours(gpu.waits)
    assert all(p.device.type == "cpu" for p in inverse.net.parameters())


def test_a_learned_inverse_that_is_being_trained_is_not_copied() -> None:
    """A copy would take the gradient.

    There are none on the pretended device, so the data are on the CPU and the weights nowhere.
    """
    net = nets.InverseNet(channels=(3,), sizes=(9,))
    inverse = inverses.Learned(net.to("meta"))
    with pytest.raises(InvalidInput, match=r"y is on cpu and the network on meta; move it with net\.to\('cpu'\)"):
        inverse._beside(noise((1, 1, 20, 21)))


# ---- on a real device ------------------------------------------------------------------------------------------------


def synchronisations(call: Callable[[], Any]) -> int:
    """How often PyTorch says that it waited."""
    torch.cuda.synchronize()
    mode = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            call()
    finally:
        torch.cuda.set_sync_debug_mode(mode)
    return sum("synchronizing CUDA operation" in str(warning.message) for warning in caught)


@pytest.mark.gpu
@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("solver", SOLVERS)
def test_an_iteration_waits_for_nothing_on_a_gpu(solver: str, problem: str) -> None:
    op, shape = PROBLEMS[problem]
    y, solve = data_for(op, shape, torch.float32), SOLVERS[solver]
    far = y.to("cuda")
    solve(far, op, 3)  # kernels are compiled, constants put in place
    assert synchronisations(lambda: far.sum().item()) == 1
    assert synchronisations(lambda: solve(far, op, 7)) == synchronisations(lambda: solve(far, op, 3))
    result = solve(far, op, 7).x
    assert result.device == far.device
    assert relative(result.cpu(), solve(y, op, 7).x) < 2e-3


# ---- the choice of a weight ------------------------------------------------------------------------------------------


def _selections(y: Tensor) -> list[Any]:
    op = operators.Blur(psf.gaussian(5, sigma=1.0), boundary="circular")
    rules: tuple[tuple[str, Any], ...] = (("discrepancy", 0.05), ("sure", 0.05), ("gcv", None), ("lcurve", None))
    weights = [1e-3, 1e-2, 1e-1]
    given: dict[str, Any] = {"iterations": 10, "tolerance": 1e-2}
    chosen = [
        fastip.select(y, op, priors.TV, rule=rule, noise=level, weights=weights, **given) for rule, level in rules
    ]
    return [*chosen, fastip.select(y, op, priors.TV, noise=0.05, **given)]


def _same(one: Any, other: Any, x: Tensor) -> None:
    assert one.weight == pytest.approx(other.weight, rel=2e-2) and relative(x, other.solution.x) < 1e-2
    for here, there in zip(one.scores, other.scores, strict=True):
        assert here == pytest.approx(there, rel=0.1, abs=2e-4, nan_ok=True)


def _areas() -> Tensor:
    op = operators.Blur(psf.gaussian(5, sigma=1.0), boundary="circular")
    areas = torch.rand(2, 1, 3, 3, generator=torch.Generator().manual_seed(70)).repeat_interleave(8, 2)
    return op(areas.repeat_interleave(8, 3)) + 0.05 * noise((2, 1, 24, 24), torch.float32, seed=71)


def test_a_weight_is_chosen_on_a_device() -> None:
    y = _areas()
    with pretended() as gpu:
        there = [(found, gpu.get(found.solution.x)) for found in _selections(gpu.put(y))]
    for (found, x), due in zip(there, _selections(y), strict=True):
        _same(found, due, x)


def test_a_weight_is_chosen_without_the_extension(monkeypatch: pytest.MonkeyPatch) -> None:
    y = _areas()
    due = _selections(y)
    monkeypatch.setenv("FASTIP_BACKEND", "reference")
    for found, other in zip(_selections(y), due, strict=True):
        _same(found, other, found.solution.x)


COMPLEX = {
    "fourier": (operators.MaskedFourier(noise((12, 14), seed=5) > 0, image="complex"), (2, 2, 12, 14)),
    "volumes": (operators.MaskedFourier(noise((3, 6, 7), seed=5) > 0, image="complex", axes=3), (1, 1, 3, 6, 7)),
    "sense": (
        operators.Sense(noise((12, 14), seed=5) > 0, torch.view_as_complex(noise((3, 12, 14, 2)))),
        (2, 1, 12, 14),
    ),
    "blur": (operators.Complex(operators.Blur(psf.motion(5, 30))), (1, 2, 12, 14)),
}


@pytest.mark.parametrize("problem", COMPLEX)
@pytest.mark.parametrize("prior", [priors.L1(0.02), priors.TV(0.02)], ids=["l1", "tv"])
def test_complex_images_wait_at_the_door_and_at_the_end_alone(prior: priors.Prior, problem: str) -> None:
    op, shape = COMPLEX[problem]
    y = data_for(op, shape, torch.float32)

    def solve(y: Tensor, n: int) -> Any:
        return fastip.admm(y, op, prior, beta=BETA, iterations=n, tolerance=0)

    first, _, _ = waits_of(y, lambda far: solve(far, 2))
    second, atomics, x = waits_of(y, lambda far: solve(far, 5))
    assert [event.place.split()[-1] for event in second] == ["not_finite"] * 2 and len(first) >= 2 and not atomics
    assert x.is_complex() and relative(x, solve(y, 5).x) < 2e-3
