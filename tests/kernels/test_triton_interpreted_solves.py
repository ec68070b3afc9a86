"""Whole solves of the Triton kernels, interpreted in a process of their own.

Against the reference loop under its stop rule, and as users run them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import fastip
from cases.interpretation import EPS, INTERPRETED, assert_close, draw, problem, run_again
from cases.interpretation import inspected as inspected
from cases.solves import judged_loop as looped
from cases.solves import rule_for
from fastip import inverses, kernels, operators, priors, psf
from fastip.contracts import Pointwise, Status, StencilStep
from fastip.errors import InvalidInput, Unsupported
from fastip.kernels import choose
from fastip.kernels.family import FAMILIES, Implementations
from fastip.stopping import StopRule

triton = Implementations("triton")

PROX = Pointwise(l1=0.02, l2=0.1, low=-0.4, high=1.0)


class TestOutside:
    __test__ = not INTERPRETED

    def test_solves_interpreted(self) -> None:
        run_again(__file__)


@pytest.fixture(params=["sweeps", "planes"])
def run(request: pytest.FixtureRequest, inspected: object) -> Callable[..., Any]:
    """A solve in sweeps over all planes, or in programs that keep a plane; q and y stay as they are."""
    from fastip.kernels.triton import solve as module

    def solve(
        step: StencilStep, prox: Pointwise, x: Tensor, q: Tensor, y: Tensor, rule: StopRule, relaxation: float
    ) -> Any:
        x, before = x.clone(), (q.clone(), y.clone())
        found = module.run(step, prox, x, q, y, rule, relaxation, by_plane=request.param == "planes")
        assert torch.equal(q, before[0]) and torch.equal(y, before[1]) and found[0].data_ptr() == x.data_ptr()
        return found

    return solve


class TestSolves:
    __test__ = INTERPRETED

    @pytest.mark.parametrize(
        "boundary, relaxation", [("circular", 1.0), ("circular", 1.6), ("valid", 1.0), ("valid", 1.6), ("zero", 1.0)]
    )
    @pytest.mark.parametrize(
        "geometry", [(2, 3, 1, 0, 5, 7, (1, 1)), (1, 4, 3, 0, 4, 3, (1, 1)), (3, 5, 4, 1, 3, 4, (1, 1))], ids=str
    )
    def test_equals_the_reference_loop(
        self, geometry: Any, boundary: str, relaxation: float, run: Callable[..., Any]
    ) -> None:
        step, x, q, y = problem(*geometry, boundary)
        found = run(step, PROX, x, q, y, StopRule(0.0, 2), relaxation)
        expected = looped(step, PROX, x, q, y, StopRule(0.0, 2), relaxation)
        assert found[2:4] == (2, Status.ITERATIONS) and found[4].shape == (0, 2, len(y))
        for a, b in zip(found[:2], expected[:2], strict=True):
            assert_close(a, b, torch.float64, units=10)

    @pytest.mark.parametrize("dtype", EPS, ids=str)
    def test_dtypes(self, dtype: torch.dtype, run: Callable[..., Any]) -> None:
        relaxation = 1.6 if dtype is torch.bfloat16 else 1.0
        step, *wide = problem(2, 3, 2, 1, 4, 5, (2, 1), "circular")
        x, q, y = (t.to(dtype) for t in wide)
        expected = looped(step, PROX, x.double(), q.double(), y.double(), StopRule(0.0, 2), relaxation)
        for a, b in zip(run(step, PROX, x, q, y, StopRule(0.0, 2), relaxation)[:2], expected[:2], strict=True):
            assert_close(a, b, dtype, units=6)

    @pytest.mark.parametrize(
        "prox",
        [Pointwise(), Pointwise(l1=0.1), Pointwise(l2=0.3), Pointwise(low=0.0), Pointwise(low=0.1, high=0.6)],
        ids=str,
    )
    def test_priors(self, prox: Pointwise, run: Callable[..., Any]) -> None:
        step, x, q, y = problem(2, 3, 2, 0, 4, 5, (1, 1), "zero")
        expected = looped(step, prox, x, q, y, StopRule(0.0, 2), 1.0)
        for a, b in zip(run(step, prox, x, q, y, StopRule(0.0, 2), 1.0)[:2], expected[:2], strict=True):
            assert_close(a, b, torch.float64, units=10)

    @pytest.mark.parametrize("tolerance, iterations, relaxation", [(1e-30, 7, 1.0), (5e-2, 60, 1.6)])
    def test_stops_as_the_visible_loop_does(
        self, tolerance: float, iterations: int, relaxation: float, run: Callable[..., Any]
    ) -> None:
        step, x, q, y = problem(1, 2, 2, 0, 3, 4, (2, 1), "circular")
        step = StencilStep(step.convolution, torch.full((1, 1), 0.7, dtype=torch.float64), 0.3)
        found = run(step, PROX, x, q, y, rule_for(step, y, tolerance, iterations), relaxation)
        expected = looped(step, PROX, x, q, y, rule_for(step, y, tolerance, iterations), relaxation)
        assert found[2:4] == expected[2:4] and (found[3] is Status.CONVERGED) == (tolerance > 1e-20)
        torch.testing.assert_close(found[4], expected[4], rtol=1e-9, atol=1e-13)
        for a, b in zip(found[:2], expected[:2], strict=True):
            assert_close(a, b, torch.float64, units=100)

    @pytest.mark.parametrize("scale", [2.0**-83, 2.0**66])
    def test_data_of_any_size_are_judged_alike(self, scale: float, run: Callable[..., Any]) -> None:
        """Squares of such numbers are 0 or infinite in float32."""
        step, *wide = problem(1, 2, 2, 0, 3, 4, (2, 1), "circular")
        step = StencilStep(step.convolution, torch.full((1, 1), 0.7, dtype=torch.float64), 0.3)
        (x, q, y), prox = (t.float() for t in wide), Pointwise(low=0.0)
        usual = run(step, prox, x, q, y, rule_for(step, y, 5e-2, 60), 1.0)
        found = run(step, prox, x * scale, q * scale, y * scale, rule_for(step, y * scale, 5e-2, 60), 1.0)
        assert found[2:4] == usual[2:4] and found[3] is Status.CONVERGED
        assert torch.equal(found[0], usual[0] * scale) and torch.equal(found[4], usual[4])

    @pytest.mark.usefixtures("inspected")
    def test_unstable_is_said(self) -> None:
        step, x, q, y = problem(1, 1, 1, 0, 4, 4, (1, 1), "circular")
        wild = StencilStep(step.convolution, torch.full((1, 1), 9.0, dtype=torch.float64), 0.3)
        expected = looped(wild, Pointwise(), x, q, y, rule_for(step, y, 1e-6, 100), 1.0)
        found = triton.solve(wild, Pointwise(), x, q, y, rule_for(step, y, 1e-6, 100), 1.0)
        assert found[3] is Status.UNSTABLE and found[2:4] == expected[2:4]
        torch.testing.assert_close(found[4], expected[4], rtol=1e-9, atol=0)
        y[0, 0, 0, 0] = float("nan")
        assert triton.solve(step, PROX, torch.zeros_like(x), q, y, rule_for(step, y, 1e-6, 20), 1.0)[2:4] == (
            5,
            Status.UNSTABLE,
        )

    def test_zero_data_divides_by_nothing(self, run: Callable[..., Any]) -> None:
        step, x, q, y = problem(1, 2, 2, 0, 4, 4, (2, 1), "zero")
        _, _, done, status, residuals = run(step, PROX, 0 * x, 0 * q, 0 * y, rule_for(step, 0 * y, 1e-6, 20), 1.0)
        assert (done, status) == (5, Status.CONVERGED) and bool((residuals == 0).all())

    @pytest.mark.parametrize("tolerance", [0.0, 1e-6])
    def test_empty_batch(self, tolerance: float, run: Callable[..., Any]) -> None:
        step, x, q, y = problem(3, 3, 2, 1, 4, 4, (1, 1), "zero")
        found = run(step, PROX, x[:0], q[:0], y[:0], rule_for(step, y[:0], tolerance, 5), 1.0)
        assert found[0].shape == (0, 1, 8, 8) and found[1].shape == (0, 1, 4, 4) and found[2] == 5

    def test_many_tiles(self, run: Callable[..., Any]) -> None:
        """Several programs a plane, and several tiles a program: none waits for another."""
        step, x, q, y = problem(1, 3, 4, 0, 3, 36, (1, 2), "circular")
        expected = looped(step, PROX, x, q, y, rule_for(step, y, 1e-30, 2), 1.6)
        found = run(step, PROX, x.float(), q.float(), y.float(), rule_for(step, y, 1e-30, 2), 1.6)
        for a, b in zip(found[:2], expected[:2], strict=True):
            assert_close(a, b, torch.float32, units=10)

    def test_refusals(self) -> None:
        step, x, q, y = problem(3, 3, 2, 1, 4, 4, (1, 1), "zero")
        rule = StopRule(0.0, 2)
        for wrong in ((x[..., :7], q, y), (x.float(), q, y), (x, q[..., :3], y), (x[0], q, y)):
            with pytest.raises(InvalidInput):
                triton.solve(step, PROX, *wrong, rule, 1.0)
        with pytest.raises(Unsupported, match="reflect"):
            triton.solve(*problem(3, 3, 2, 1, 4, 4, (1, 1), "reflect")[:1], PROX, x, q, y, rule, 1.0)


class TestAsUsersDo:
    __test__ = INTERPRETED

    @pytest.fixture(autouse=True)
    def both(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        """What a function gives on the Triton backend and on the reference, and which Triton functions ran."""
        called: list[str] = []
        for name in (
            "solve",
            "strided_conv",
            "strided_conv_adjoint",
            "soft_threshold",
            "spectral_step_",
            "tv_prox",
            "woodbury",
        ):
            original = FAMILIES[name].triton
            monkeypatch.setattr(
                FAMILIES[name],
                "triton",
                lambda *a, name=name, original=original, **k: called.append(name) or original(*a, **k),
            )

        def run(make: Callable[[], Any]) -> tuple[Any, Any, set[str]]:
            results = []
            for backend in ("triton", "reference"):
                monkeypatch.setenv("FASTIP_BACKEND", backend)
                choose.choice.cache_clear()
                results.append(make())
                if backend == "reference":
                    break
                names = set(called)
            assert set(called) == names, "the reference ran Triton"
            return results[0], results[1], names

        yield run
        choose.choice.cache_clear()

    def test_admm(self, both: Any) -> None:
        prior = priors.L1(1e-2) + priors.Box(0.0, 1.0)
        op = operators.Blur(psf.gaussian(3, sigma=1.0), stride=2, boundary="circular")
        y = op(draw(2, 1, 8, 10).abs())
        options = {"beta": 0.1, "inverse": inverses.Stencil(1), "iterations": 6, "tolerance": 1e-4}

        def solve() -> Any:
            return fastip.admm(y, op, prior, **options), fastip.explain(
                op, prior, y, inverse=options["inverse"], beta=0.1
            )

        (found, words), (expected, _), called = both(solve)
        assert (
            "solve" in called
            and "loop: fused" in words
            and "kernels: Triton, on cpu, because: FASTIP_BACKEND asks for it" in words
        )
        assert (found.iterations, found.status) == (expected.iterations, expected.status)
        torch.testing.assert_close(
            (found.x, found.q, found.residuals), (expected.x, expected.q, expected.residuals), rtol=1e-10, atol=1e-12
        )

    def test_other_solves(self, both: Any) -> None:
        """The FFT on the image grid, and total variation: the families that have loops of their own."""
        op = operators.Blur(psf.gaussian(3, sigma=1.0), boundary="circular")
        y = op(draw(1, 2, 6, 8).abs())
        for prior, name in ((priors.L1(1e-2), "spectral_step_"), (priors.TV(1e-2), "tv_prox")):
            found, expected, called = both(
                lambda prior=prior: (
                    fastip.admm(y, op, prior, beta=0.1, inverse=inverses.Exact(), iterations=6, tolerance=0.0).x
                )
            )
            assert name in called
            torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)

    def test_gradients(self, both: Any) -> None:
        weights, y = psf.gaussian(3, sigma=1.0).clone(), draw(1, 1, 4, 4)

        def gradients() -> tuple[Tensor, ...]:
            x, taps = draw(1, 1, 8, 8, seed=1).requires_grad_(), weights.clone().requires_grad_()
            loss = (kernels.strided_conv(x, taps, 2, "zero") - y).square().sum()
            return torch.autograd.grad(loss, (x, taps))

        found, expected, called = both(gradients)
        assert {"strided_conv", "strided_conv_adjoint"} <= called
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
