"""The fused iteration against the reference kernels looped in float64.

On every instruction set, layout and border, and its geometry at odd sizes.
"""

import os
import subprocess

import pytest
import torch

import fastip
from cases.programs import PYTHON
from cases.solves import SHAPES, draw, looped, problem, rule_for
from fastip.contracts import Pointwise, Status, StencilStep
from fastip.errors import InvalidInput, Unsupported
from fastip.kernels import reference
from fastip.kernels.family import Implementations
from fastip.stopping import StopRule

native = Implementations("native")
triton = Implementations("triton")

ISAS = ("base", "avx2", "avx512")


@pytest.mark.parametrize("each_isa", ISAS, indirect=True)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("boundary", ["circular", "valid", "zero"])
@pytest.mark.parametrize("kh, kw, stride, half, h, w, planes", SHAPES)
def test_equals_the_reference_loop(kh, kw, stride, half, h, w, planes, boundary, dtype, each_isa):
    prox = Pointwise(l1=0.02, l2=0.1, low=-0.4, high=1.0)
    for separable in (False, True):
        step, x, q, y = problem(kh, kw, stride, half, h, w, planes, boundary, seed=kh + 10 * kw, separable=separable)
        expected = looped(step, prox, x, q, y, 7, 1.6)
        image, dual, done, status, residuals = native.solve(
            step, prox, x.to(dtype), q.to(dtype), y.to(dtype), StopRule(0.0, 7), 1.6
        )
        assert (done, status, len(residuals)) == (7, Status.ITERATIONS, 0)
        bound = 1e-12 if dtype is torch.float64 else 2e-5
        assert (image - expected[0]).abs().max() < bound * expected[0].abs().max()
        assert (dual - expected[1]).abs().max() < bound * expected[1].abs().max()


@pytest.mark.parametrize("boundary", ["circular", "valid"])
@pytest.mark.parametrize("relaxation", [1.0, 1.6])
@pytest.mark.parametrize("h, w, planes", [(17, 16, (2, 3)), (101, 104, (1, 1)), (104, 101, (1, 3))])
def test_any_team_gives_the_same_bits(h, w, planes, relaxation, boundary):
    """Planes shared out whole, and large planes whose rows are shared."""
    step, x, q, y = problem(9, 9, 4, 2, h, w, planes, boundary, seed=5)
    before, results = torch.get_num_threads(), []
    try:
        for n in (1, 2, 3, 5):
            torch.set_num_threads(n)
            results.append(
                native.solve(step, Pointwise(l1=0.01), x.clone(), q, y, rule_for(step, y, 1e-30, 12), relaxation)
            )
    finally:
        torch.set_num_threads(before)
    assert results[0][4].shape == (3, 2, planes[0])
    for other in results[1:]:
        assert all(torch.equal(results[0][i], other[i]) for i in (0, 1, 4))


LIMITED = """
import sys, torch, fastip
torch.set_num_threads(4)
op = fastip.operators.Blur(fastip.psf.gaussian(9, sigma=1.6), stride=4)
y = torch.rand(1, 1, 128, 128, generator=torch.Generator().manual_seed(0))
options = {"beta": 0.01, "inverse": fastip.inverses.Stencil(3), "iterations": 8, "tolerance": 0.0}
fused = fastip.admm(y, op, fastip.priors.L1(1e-2), **options).x
visible = fastip.admm(y, op, fastip.priors.L1(1e-2), callback=lambda state: None, **options).x
sys.exit(0 if (fused - visible).abs().max() < 1e-4 else 1)
"""


@pytest.mark.parametrize("variable", ["OMP_THREAD_LIMIT=2", "OMP_DYNAMIC=true"])
def test_fewer_threads_than_asked_for_lose_no_rows(variable, compiled):
    name, value = variable.split("=")
    assert subprocess.run([*PYTHON, "-c", LIMITED], env={**os.environ, name: value}, timeout=300).returncode == 0


@pytest.mark.parametrize("tolerance", [0.0, 1e-3])
@pytest.mark.parametrize("module", [native, triton], ids=["native", "triton"])
def test_no_iteration_is_refused(module, tolerance):
    """It has no result, and no look that a verdict could be read from."""
    if module is triton:
        pytest.importorskip("triton")
    step, x, q, y = problem(3, 3, 2, 1, 5, 6, (1, 2), "zero", seed=1)
    with pytest.raises(InvalidInput, match="iterations is 0; expected at least one"):
        module.solve(step, Pointwise(), x, q, y, StopRule(tolerance, 0), 1.6)


def test_a_diverging_solve_is_stopped():
    step, x, q, y = problem(3, 3, 1, 0, 16, 16, (2, 1), "circular", seed=1)
    wild = StencilStep(step.convolution, torch.full((1, 1), 50.0, dtype=torch.float64), step.beta)
    _, _, done, status, residuals = native.solve(wild, Pointwise(), x, q, y, rule_for(wild, y, 1e-6, 400), 1.0)
    assert status is Status.UNSTABLE and done <= 30 and residuals[-1, 0].max() > 1


@pytest.mark.parametrize("relaxation", [1.0, 1.7])
@pytest.mark.parametrize("dtype", [torch.complex128, torch.complex64])
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 7), (2, 64, 65), (5, 90, 91)])
def test_spectral_step(shape, dtype, relaxation):
    f, p, offset = (torch.complex(draw(*shape, seed=i), draw(*shape, seed=9 + i)).to(dtype) for i in range(3))
    gain = draw(*shape[1:], seed=20).to(dtype.to_real()).sigmoid()
    expected = reference.spectral_step(f, p, offset, gain, relaxation)
    native.spectral_step_(f, p, offset, gain[:, :, None].expand(*gain.shape, 2).contiguous(), relaxation)
    bound = 1e-13 if dtype is torch.complex128 else 2e-6
    torch.testing.assert_close((f, p), expected, rtol=bound, atol=bound)


@pytest.mark.parametrize("boundary, size", [("reflect", 9), ("circular", 2)])
def test_a_solve_that_no_kernel_runs_is_refused(boundary, size, compiled):
    """Its margins would hold other pixels than the operator's."""
    step, x, q, y = problem(7, 7, 1, 3, size, size, (1, 1), boundary, seed=1)
    with pytest.raises(Unsupported, match="call fastip.admm"):
        fastip.kernels.solve(step, Pointwise(l1=0.01), x, q, y, StopRule(0.0, 3))
