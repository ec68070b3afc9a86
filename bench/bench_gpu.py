"""One ADMM iteration on a GPU: x4 super-resolution, 9 x 9 Gaussian of sigma 1.6, circular, L1, float32.

The images are 24 planes of 1024^2, 1536 and 3 planes of 256^2.

As in bench_admm.py: the same ADMM from the same start for every program, 30 iterations from y to x, divided by 30, no
stop rule, no autograd. The clock waits for the device before and after a solve, so a time is what a caller waits. Each
program's x (deepinv: z) is compared with exact ADMM in float64 before it is timed. float32 means float32: tf32 is off,
and PyTorch's own choice of convolutions by trial is on.

fastip runs as a user calls it on each of its backends, and as the fused kernel alone (set-up made, start given): that
is what the bytes are counted for::

    12 bytes per pixel and iteration  in two passes: reads x (4), reads and writes x (8);
                                      the data grid adds 4 (3 + 4 + 1) / s^2 = 2
     8 bytes                          in one pass
    copy                              the same bytes, half read, half written, cold, 30 of them in one CUDA graph

torch.compile and CUDA graphs: constants, compilation and capture are made before and are not counted, which favours
these programs.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

import baselines
import deepinv_peer
import fastip
import gpu_baselines
import gpu_machine
from fastip.solvers import fused
from fastip.stopping import StopRule
from measure import ITERATIONS, difference, now, objective, per_iteration, rounds
from workloads import Problem, identifier, super_resolution

Shape = tuple[int, int, int, int]
SHAPES: tuple[Shape, ...] = gpu_machine.sized(
    ((8, 3, 1024, 1024), (512, 3, 256, 256), (1, 3, 256, 256)), ((2, 3, 32, 32), (1, 1, 16, 16))
)
BACKENDS = ("native", "triton", "reference")
# backend and way
KERNELS = {
    "native, two passes": ("native", gpu_machine.SWEEPS),
    "native, on the chip": ("native", gpu_machine.CHIP),
    "triton": ("triton", gpu_machine.FASTEST),
    "native": ("native", gpu_machine.FASTEST),
    "native, on the chip, margins by phase": ("native", gpu_machine.Way(2, by_phase=True)),
    **{f"native, on the chip, {n} blocks a plane": ("native", gpu_machine.Way(2, ranks=n)) for n in (2, 4, 8)},
}
HALF = ("native, two passes", "native, on the chip", "triton")  # measured in half precision too
Program = Callable[[Tensor, Problem, int], Tensor]
EAGER: dict[str, Program] = {
    "six variables, FFT at full size": baselines.fft_full_size,
    "two lines in eager PyTorch, FFT on the data grid": baselines.two_lines_eager,
    "six variables, FFT on the data grid": baselines.fft_data_grid,
    "six variables, CG to 1e-5, data side": baselines.cg_data_side,
    "six variables, CuPy's CG to 1e-5, data side": gpu_baselines.cupy_cg,
    "six variables, CG to 1e-5, image side": baselines.cg_image_side,
}
# program: how its solve is made, whether through torch.compile, whether in a CUDA graph
PREPARED: dict[str, tuple[Callable[..., gpu_baselines.Solve], bool, bool]] = {
    "six variables, FFT at full size, torch.compile": (gpu_baselines.full_size_solve, True, False),
    "six variables, FFT at full size, in a CUDA graph": (gpu_baselines.full_size_solve, False, True),
    "two lines, FFT on the data grid, torch.compile": (gpu_baselines.two_lines_solve, True, False),
    "two lines, FFT on the data grid, torch.compile, in a CUDA graph": (gpu_baselines.two_lines_solve, True, True),
}


@functools.lru_cache(maxsize=len(SHAPES))  # the tests alternate between the shapes, and a reference takes seconds
def case(shape: Shape) -> tuple[Problem, Tensor, Tensor, Tensor]:
    """Problem, data, and (x, z) of exact ADMM after ITERATIONS; skips where there is no GPU."""
    device = gpu_machine.device()
    problem = super_resolution(shape)
    y = problem.data().to(device)
    x, z = gpu_baselines.exact(y, problem, ITERATIONS)
    return problem, y, x.float(), z.float()


def solve(y: Tensor, problem: Problem, tolerance: float = 0.0) -> fastip.Solution:
    """The solve as a user writes it."""
    return fastip.admm(
        y, problem.op, fastip.priors.L1(problem.weight), beta=problem.beta, iterations=ITERATIONS, tolerance=tolerance
    )


def record(benchmark: Any, problem: Problem, program: str, **numbers: Any) -> None:
    """What the report needs besides the times."""
    benchmark.extra_info.update(
        kind="gpu iteration",
        program=program,
        pixels=problem.pixels,
        images=problem.shape[0],
        iterations=ITERATIONS,
        **numbers,
    )


def timed(
    benchmark: Any,
    problem: Problem,
    program: str,
    run: Callable[[], Any],
    budget: float,
    check: Callable[[Any], dict[str, Any]],
) -> None:
    """Compares the result, then times.

    A program that takes longer than ``budget`` seconds is timed once, after the first run, which is not timed.
    """
    benchmark.group, budget = f"GPU, {problem.name}", budget * gpu_machine.PATIENCE
    start = now()
    result = run()  # modules, plans, the library's own choices
    count, slow = 1, now() - start > 2 * budget
    if not slow:
        result, count = rounds(run, budget, 100)
    numbers = check(result)
    del result
    benchmark.pedantic(run, rounds=count, warmup_rounds=0 if slow else 1)
    record(benchmark, problem, program, **numbers)


def close(expected: Tensor, bound: float = 1e-4) -> Callable[[Tensor], dict[str, Any]]:
    """A check that the result is ``expected``, up to ``bound`` relative to its norm."""

    def check(x: Tensor) -> dict[str, Any]:
        error = difference(x.to(expected), expected)
        assert error < bound, f"another result: relative difference {error:.1e}, allowed {bound:.0e}"
        return {"difference": error}

    return check


# ---- the floor -------------------------------------------------------------------------------------------------------


@pytest.mark.benchmark(timer=per_iteration)
@pytest.mark.parametrize("shape", SHAPES, ids=identifier)
@pytest.mark.parametrize("how", ("driver", "kernel"))
@pytest.mark.parametrize("bytes_moved", (12, 8))
def test_copy(benchmark: Any, bytes_moved: int, how: str, shape: Shape) -> None:
    problem = super_resolution(shape)
    benchmark.group = f"GPU, {problem.name}"
    copy = gpu_baselines.DeviceCopy(problem.pixels, bytes_moved, gpu_machine.device(), how == "kernel")
    _, count = rounds(copy, gpu_machine.PATIENCE, 100)
    benchmark.pedantic(copy, rounds=max(count, 10), warmup_rounds=3)
    record(benchmark, problem, f"copy of {bytes_moved} bytes per pixel by {how}", bytes_moved=bytes_moved)


# ---- fastip ----------------------------------------------------------------------------------------------------------


def objective_of(x: Tensor, y: Tensor, problem: Problem, exact: Tensor, allowed: float = 1e-3) -> dict[str, Any]:
    """fastip's stencil is no exact inverse, so its objective is compared."""
    excess = objective(x, y, problem) / objective(exact, y, problem) - 1
    assert excess < allowed, (
        f"the objective is {excess:.1e} above that of exact ADMM after {ITERATIONS} iterations, allowed {allowed:.0e}"
    )
    return {"difference": difference(x.float(), exact), "objective_excess": excess}


@contextlib.contextmanager
def skipped() -> Iterator[None]:
    """What does not fit on the chip is not measured as if it did."""
    try:
        yield
    except gpu_machine.DoesNotFit as error:
        pytest.skip(str(error))


@pytest.mark.benchmark(timer=per_iteration)
@pytest.mark.parametrize("shape", SHAPES, ids=identifier)
@pytest.mark.parametrize("dtype", (torch.float32, torch.bfloat16), ids=str)
@pytest.mark.parametrize("name", KERNELS)
def test_kernel(benchmark: Any, name: str, dtype: torch.dtype, shape: Shape) -> None:
    """The fused kernel alone.

    Half precision: the image is stored in it, sums are float32; its objective is only shown.
    """
    if dtype is not torch.float32 and name not in HALF:
        pytest.skip("measured in float32")
    problem, data, exact, _ = case(shape)
    benchmark.group, y = f"GPU, {problem.name}", data.to(dtype)
    backend, way = KERNELS[name]
    if way != gpu_machine.FASTEST and not y.is_cuda:
        pytest.skip("the compiled kernels of the CPU have one way")
    with skipped(), gpu_machine.backend(backend, y), gpu_machine.way(way):
        inverse = fastip.inverses.choose(problem.op, data, problem.beta, pointwise=True)
        step = inverse.bind(problem.op, data, problem.beta)
        prox = fastip.priors.L1(problem.weight).bind(data, problem.op)
        start, q = step.guess().to(dtype), torch.zeros_like(y)
        why = fused.why_unfused(step, prox, start, q, y)
        if why is not None:
            pytest.skip(f"no fused kernel: {why}")
        x = torch.empty_like(start)

        def fresh() -> None:  # the kernel writes its result over the start
            x.copy_(start)

        def run() -> Tensor:
            found: Tensor = fused.admm(step, prox, x, q, y, StopRule(0.0, ITERATIONS), 1.0)[0]
            return found

        fresh()
        run()
        fresh()
        result, count = rounds(run, gpu_machine.PATIENCE, 100)
        numbers = objective_of(result, data, problem, exact, 1e-3 if dtype is torch.float32 else 1.0)
        del result
        benchmark.pedantic(run, setup=fresh, rounds=count, warmup_rounds=1)
    suffix = "" if dtype is torch.float32 else f", {str(dtype).removeprefix('torch.')}"
    record(benchmark, problem, f"fastip's kernel, {name}{suffix}", state_bytes=dtype.itemsize, **numbers)


@pytest.mark.benchmark(timer=per_iteration)
@pytest.mark.parametrize("shape", SHAPES, ids=identifier)
@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("tolerance", (0.0, 1e-30), ids=("blind", "looking"))
def test_fastip(benchmark: Any, tolerance: float, name: str, shape: Shape) -> None:
    """As a user calls it; looking: with a stop rule that is never met."""
    if tolerance and name == "reference":
        pytest.skip("the visible loop with a stop rule is measured on the CPU")
    problem, y, exact, _ = case(shape)
    with gpu_machine.backend(name, y):
        how = fastip.explain(problem.op, fastip.priors.L1(problem.weight), y, beta=problem.beta)
        program = f"fastip, {name}" + (", stop rule on" if tolerance else "")
        timed(
            benchmark,
            problem,
            program,
            lambda: solve(y, problem, tolerance).x,
            1.0,
            lambda x: objective_of(x, y, problem, exact) | {"how": "; ".join(how.splitlines()[1:])},
        )


# ---- the others ------------------------------------------------------------------------------------------------------


@pytest.mark.benchmark(timer=per_iteration)
@pytest.mark.parametrize("shape", SHAPES, ids=identifier)
def test_deepinv(benchmark: Any, shape: Shape) -> None:
    missing = deepinv_peer.why_absent()
    if missing is not None:
        pytest.skip(missing)
    problem, y, _, z = case(shape)
    program = f"deepinv {deepinv_peer.VERSION}"
    timed(benchmark, problem, program, lambda: deepinv_peer.deepinv_admm(y, problem, ITERATIONS), 2.0, close(z))


@pytest.mark.benchmark(timer=per_iteration)
@pytest.mark.parametrize("shape", SHAPES, ids=identifier)
@pytest.mark.parametrize("program", EAGER)
def test_eager(benchmark: Any, program: str, shape: Shape) -> None:
    problem, y, exact, _ = case(shape)
    if EAGER[program] is gpu_baselines.cupy_cg and y.is_cuda:
        # CuPy may be there without its libraries
        pytest.importorskip("cupyx.scipy.sparse.linalg", exc_type=ImportError)
    timed(benchmark, problem, program, lambda: EAGER[program](y, problem, ITERATIONS), 2.0, close(exact))


@pytest.mark.benchmark(timer=per_iteration)
@pytest.mark.parametrize("shape", SHAPES, ids=identifier)
@pytest.mark.parametrize("program", PREPARED)
def test_prepared(benchmark: Any, program: str, shape: Shape) -> None:
    problem, y, exact, _ = case(shape)
    make, compiled, captured = PREPARED[program]
    run = make(problem, y, ITERATIONS, compiled)
    run = gpu_baselines.Captured(run, y) if captured else run
    timed(benchmark, problem, program, lambda: run(y), 1.0, close(exact))
