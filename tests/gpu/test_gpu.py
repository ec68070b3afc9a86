"""Whole solves on a GPU: the values, in every precision and layout, on every stream, in a CUDA graph."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import Tensor

import fastip
from cases.gpu import DTYPES, GPU, NATIVE, OP, PROX, SLEEP, TRITON, data, draw, problem, relative, solve
from cases.gpu import backend_fixture as backend_fixture
from cases.gpu import plain_float32 as plain_float32
from cases.solves import rule_for
from fastip import inverses, kernels, operators, priors, psf
from fastip.contracts import Convolution, Pointwise, Status, StencilStep
from fastip.kernels import choose, reference, whole_solve
from fastip.kernels.family import Implementations
from fastip.stopping import StopRule

library = Implementations("operator")
native = Implementations("native")
triton = Implementations("triton")

pytestmark = GPU


# ---- the values: kernels against the reference in float64 ------------------------------------------------------------


GEOMETRIES = (
    (3, 3, 1, 1, 7, 9, (1, 1)),
    (9, 9, 4, 2, 11, 19, (2, 3)),
    (9, 9, 4, 1, 65, 67, (1, 3)),
    (4, 6, 3, 1, 13, 8, (3, 1)),
    (2, 7, 5, 3, 10, 21, (1, 5)),
    (9, 9, 4, 1, 7, 5, (1000, 1)),
)


# Every combination on the compiled kernels; some on Triton's, which compiles for each of them.
COMBINATIONS = [
    pytest.param(
        kernels,
        geometry,
        boundary,
        relaxation,
        id=f"{name}-{'-'.join(map(str, geometry))}-{boundary}-{relaxation}",
        marks=marks,
    )
    for k, (geometry, boundary, relaxation) in enumerate(
        itertools.product(GEOMETRIES, ("circular", "valid", "zero"), (1.0, 1.6))
    )
    for name, kernels, marks, every in (("native", native, NATIVE, 1), ("triton", triton, TRITON, 7))
    if k % every == 0
]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("kernels, geometry, boundary, relaxation", COMBINATIONS)
def test_as_good_as_the_reference_in_the_same_precision(
    kernels: Any, geometry: Any, boundary: str, relaxation: float, dtype: torch.dtype
) -> None:
    """Both start from the same rounded numbers; the error is at most twice that of plain torch in this precision."""
    step, *wide = problem(*geometry, boundary=boundary)
    x, q, y = (t.to(dtype) for t in wide)
    expected = reference.solve(step, PROX, x.double(), q.double(), y.double(), StopRule(0.0, 7), relaxation)[:2]
    simple = reference.solve(step, PROX, x, q, y, StopRule(0.0, 7), relaxation)[:2]
    found = kernels.solve(step, PROX, x.clone(), q, y, StopRule(0.0, 7), relaxation)
    assert found[2:4] == (7, Status.ITERATIONS)
    rounding = 1e-13 if dtype == torch.float64 else 2 * torch.finfo(dtype).eps
    for ours, theirs, exact in zip(found[:2], simple, expected, strict=True):
        assert ours.device == y.device and ours.dtype == dtype
        assert relative(ours, exact) <= 2 * relative(theirs, exact) + rounding


@pytest.mark.parametrize("tolerance", [0.0, 1e-3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("stride, half, side", [(4, 1, 64), (1, 3, 90), (2, 2, 47)])
@NATIVE
def test_sweeps_and_planes_on_the_chip_agree(
    stride: int, half: int, side: int, dtype: torch.dtype, tolerance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both forced, which fails where planes do not fit; both judged by the error of plain torch in this precision."""
    step, *wide = problem(9, 9, stride, half, side, side, (3, 3))
    x, q, y = (t.to(dtype) for t in wide)
    exact = reference.solve(step, PROX, x.double(), q.double(), y.double(), StopRule(0.0, 33), 1.0)[:2]
    simple = reference.solve(step, PROX, x, q, y, StopRule(0.0, 33), 1.0)[:2]
    plain, solves = whole_solve.on_gpu, []
    for path in (1, 2):
        monkeypatch.setattr(whole_solve, "on_gpu", functools.partial(plain, path=path))
        solves.append(native.solve(step, PROX, x.clone(), q, y, rule_for(step, y, tolerance, 33), 1.0))
    swept, kept = solves
    assert swept[2:4] == kept[2:4] if dtype == torch.float32 or not tolerance else swept[3] in tuple(Status)
    if swept[2] == kept[2] == 33:
        for solve in solves:
            assert relative(solve[0], exact[0]) <= 2 * relative(simple[0], exact[0]) + 2 * torch.finfo(dtype).eps
    torch.testing.assert_close(kept[4][:1], swept[4][:1], rtol=0.05, atol=1e-3)


@NATIVE
def test_threads_that_solve_at_once_do_not_disturb_each_other() -> None:
    """Planes of two sizes ask for different amounts of a block's memory."""
    problems = [problem(9, 9, 4, 1, side, side, (3, 3)) for side in (64, 24)]
    alone = [
        native.solve(s, PROX, x.float(), q.float(), y.float(), StopRule(0.0, 9), 1.0)[0] for s, x, q, y in problems
    ]

    def again(k: int) -> bool:
        s, x, q, y = problems[k % 2]
        return torch.equal(
            native.solve(s, PROX, x.float(), q.float(), y.float(), StopRule(0.0, 9), 1.0)[0], alone[k % 2]
        )

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(again, range(400)))


# ---- the values: solves as users write them --------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1, 9, 11), (1, 3, 64, 64), (2, 3, 33, 65), (1000, 1, 9, 10)], ids=str)
@pytest.mark.parametrize("relaxation", [1.0, 1.7])
def test_equals_the_cpu(shape: tuple[int, int, int, int], relaxation: float, backend: str) -> None:
    y = data(*shape)
    gpu, cpu = solve(y, relaxation=relaxation), solve(y.cpu(), relaxation=relaxation)
    assert gpu.x.device == y.device and gpu.x.dtype == y.dtype
    assert relative(gpu.x.cpu(), cpu.x) < 2e-5 and relative(gpu.q.cpu(), cpu.q) < 2e-5


@pytest.mark.parametrize("iterations, tolerance", [(200, 1e-3), (23, 1e-9)])
def test_stops_where_the_cpu_stops(iterations: int, tolerance: float, backend: str) -> None:
    y = data(3, 1, 24, 31)
    gpu, cpu = solve(y, iterations, tolerance), solve(y.cpu(), iterations, tolerance)
    assert (gpu.status, gpu.iterations) == (cpu.status, cpu.iterations)
    torch.testing.assert_close(gpu.residuals.cpu(), cpu.residuals, rtol=1e-2, atol=1e-6)


def test_a_diverging_solve_is_stopped(backend: str) -> None:
    y = data(2, 1, 16, 16)
    step = StencilStep(
        Convolution(psf.gaussian(9, sigma=1.6), 4, "circular"), torch.full((1, 1), 1e4, dtype=torch.float64), 1e-2
    )
    *_, done, status, _ = kernels.solve(
        step, Pointwise(), OP.adjoint(y), torch.zeros_like(y), y, rule_for(step, y, 1e-6, 400), 1.0
    )
    assert status is Status.UNSTABLE and done < 400


@NATIVE
@TRITON
def test_both_backends_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    y, found = data(2, 3, 33, 40), {}
    for name in ("native", "triton"):
        monkeypatch.setenv("FASTIP_BACKEND", name)
        choose.choice.cache_clear()
        found[name] = solve(y)
    monkeypatch.undo()
    choose.choice.cache_clear()
    assert (
        relative(found["triton"].x, found["native"].x) < 5e-6 and relative(found["triton"].q, found["native"].q) < 5e-6
    )


@pytest.mark.parametrize("prior", [priors.L1(1e-3), priors.TV(1e-3)], ids=["l1", "tv"])
@pytest.mark.parametrize("inverse", ["auto", inverses.Exact()], ids=["auto", "exact"])
def test_twice_the_same_bits(inverse: Any, prior: Any, backend: str) -> None:
    y = data(5, 3, 40, 37)
    first, second = (
        fastip.admm(y, OP, prior, beta=1e-2, inverse=inverse, iterations=12, tolerance=0) for _ in range(2)
    )
    assert torch.equal(first.x, second.x) and torch.equal(first.q, second.q)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("shape", [(1, 1, 9, 11), (2, 3, 33, 65)], ids=str)
def test_half_precision(
    shape: tuple[int, int, int, int], dtype: torch.dtype, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the same rounded data: at most twice the error of the same solve in PyTorch."""
    y = data(*shape).to(dtype)
    found, exact = solve(y, 7), solve(y.cpu().double(), 7).x.to(y.device)
    monkeypatch.setenv("FASTIP_BACKEND", "reference")
    choose.choice.cache_clear()
    simple = solve(y, 7).x
    assert found.x.dtype == dtype and found.q.dtype == dtype
    assert relative(found.x, exact) <= 2 * relative(simple, exact) + 2 * torch.finfo(dtype).eps


def layouts(y: Tensor) -> dict[str, Tensor]:
    """``y`` in other memory."""
    b, c, h, w = y.shape
    gaps = torch.empty(b, c, h, 2 * w, device=y.device)[..., ::2].copy_(y)
    found = {
        "every other": gaps,
        "channels last": y.contiguous(memory_format=torch.channels_last),
        "transposed": y.mT.contiguous().mT,
    }
    for offset in (1, 2, 3):
        found[f"offset {offset}"] = torch.empty(y.numel() + offset, device=y.device)[offset:].view(y.shape).copy_(y)
    return found


def test_any_layout(backend: str) -> None:
    y = data(2, 3, 33, 36)
    expected = solve(y).x
    for name, other in layouts(y).items():
        assert torch.equal(other, y)
        assert relative(solve(other).x, expected) < 1e-6, name
    same = y[:1].expand(4, -1, -1, -1)
    assert relative(solve(same).x, solve(y[:1]).x.expand(4, -1, -1, -1)) < 1e-6


@pytest.mark.parametrize("prior", [priors.TV(1e-3), priors.L1(1e-3)], ids=["tv", "l1"])
@pytest.mark.parametrize("inverse", [inverses.Exact(), inverses.Stencil(2)], ids=["exact", "stencil"])
@pytest.mark.parametrize("stride", [1, 4])
def test_other_solves_equal_the_cpu(stride: int, inverse: Any, prior: Any, backend: str) -> None:
    op = operators.Blur(psf.gaussian(5, sigma=1.0), stride=stride, boundary="circular")
    y = op(draw(2, 3, 36, 44, seed=2).cpu().abs()).float()
    options = {"beta": 0.1, "inverse": inverse, "iterations": 20, "tolerance": 0.0}
    gpu, cpu = (fastip.admm(t, op, prior, **options).x.cpu() for t in (y.cuda(), y))
    assert relative(gpu, cpu) < 2e-5


# ---- streams, graphs, devices ----------------------------------------------------------------------------------------


def test_another_stream(backend: str) -> None:
    """The data come late on the stream in use; work on any other stream would see zeros."""
    y = data(2, 3, 32, 32)
    expected = solve(y).x
    late, side = torch.zeros_like(y), torch.cuda.Stream()
    torch.cuda.synchronize()
    with torch.cuda.stream(side):
        torch.cuda._sleep(SLEEP)
        late.copy_(y)
        x = solve(late).x
    side.synchronize()
    torch.testing.assert_close(x, expected, rtol=0, atol=0)


def test_two_streams_at_once(backend: str) -> None:
    """Two solves with one new operator, set up on the stream of the first, which is late."""
    y, other = data(2, 3, 32, 32), data(2, 3, 32, 32, seed=5)
    op = operators.Blur(psf.gaussian(9, sigma=1.7), stride=4)
    prior, options = priors.L1(1e-3), {"beta": 1e-2, "iterations": 30, "tolerance": 0.0}
    torch.cuda.synchronize()
    found, streams = [], (torch.cuda.Stream(), torch.cuda.Stream())
    for k, (stream, values) in enumerate(zip(streams, (y, other), strict=True)):
        with torch.cuda.stream(stream):
            torch.cuda._sleep(SLEEP // (10 * k + 1))
            found.append(fastip.admm(values, op, prior, **options).x)
    torch.cuda.synchronize()
    for x, values in zip(found, (y, other), strict=True):
        assert torch.equal(x, fastip.admm(values, op, prior, **options).x)


def captured(y: Tensor, run: Callable[[Tensor], Tensor]) -> tuple[torch.cuda.CUDAGraph, Tensor]:
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        run(y)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        x = run(y)
    return graph, x


@pytest.mark.parametrize("shape", [(1, 3, 64, 64), (2, 1, 70, 33)], ids=str)
def test_a_solve_in_a_cuda_graph(shape: tuple[int, int, int, int], backend: str) -> None:
    y = data(*shape)
    graph, x = captured(y, lambda t: solve(t).x)
    for seed in (5, 7):
        y.copy_(data(*shape, seed=seed))
        graph.replay()
        assert relative(x, solve(y).x) < 1e-6


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="one CUDA device")
def test_the_second_device(backend: str) -> None:
    y = data(2, 3, 32, 32)
    other = solve(y.to("cuda:1"))
    assert other.x.device == torch.device("cuda", 1) and torch.cuda.current_device() == 0
    assert relative(other.x.to("cuda:0"), solve(y).x) < 1e-6


# ---- torch.compile ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_an_unrolled_solve_compiles_into_one_graph(dtype: torch.dtype, backend: str) -> None:
    """The two lines over torch.ops.fastip: values and gradients are those of the loop that is not compiled."""
    step, _, _, y = problem(9, 9, 4, 2, 11, 13, (2, 3))
    c, weight = step.convolution, torch.full((1, 3, 1, 1), 0.02, dtype=dtype, device=y.device)

    def loop(y: Tensor, weight: Tensor) -> Tensor:
        x, q = library.strided_conv_adjoint(y, c.psf, c.stride, c.boundary), torch.zeros_like(y)
        for _ in range(3):
            new, _ = library.woodbury(x, q, y, c.psf, c.stride, c.boundary, step.taps, step.beta)
            x = library.soft_threshold(
                x + library.strided_conv_adjoint(2 * new - q, c.psf, c.stride, c.boundary), weight
            )
            q = new
        return x

    torch.compiler.reset()
    results = []
    for function in (loop, torch.compile(loop, fullgraph=True)):
        given = y.to(dtype).requires_grad_(), weight.clone().requires_grad_()
        x = function(*given)
        results.append((x.detach(), *torch.autograd.grad(x.square().sum(), given)))
    for compiled, plain in zip(*reversed(results), strict=True):
        assert compiled.device == plain.device and relative(compiled, plain) < (
            1e-5 if dtype == torch.float32 else 1e-12
        )
