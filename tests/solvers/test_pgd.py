"""pgd finds the minimisers of ||y - A x||^2 + R by an independent solver.

Steps, momentum, stopping, gradients, bad inputs.
"""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest
import torch
from torch import Tensor

import fastip
from cases.problems import fista, gaussian, motion, objective, observe, spikes
from fastip import inverses, operators, priors, psf
from fastip.contracts import Status
from fastip.errors import InvalidInput, UnknownKeyword
from fastip.solvers.monitor import State
from fastip.solvers.pgd import BackProjection, GradientStep, Nesterov, pgd
from fastip.solvers.wiener import wiener

L1 = 2e-2


def small(stride: int = 2, boundary: str = "circular") -> operators.Blur:
    return operators.Blur(psf.gaussian(5, sigma=1.0).double(), stride=stride, boundary=boundary)


@pytest.mark.parametrize(
    "op", [gaussian(4, "circular"), motion("circular"), gaussian(2, "reflect")], ids=["x4", "motion", "reflect"]
)
@pytest.mark.parametrize("options", [{}, {"momentum": Nesterov()}], ids=["plain", "nesterov"])
def test_reaches_the_minimiser(op: operators.Operator, options: dict[str, object]) -> None:
    x0 = spikes(2, 1, 16, 16)
    y = observe(op, x0)
    best = objective(op, y, fista(op, y, L1, op.norm(x0.shape), 3000), L1)
    solution = pgd(y, op, priors.L1(L1), iterations=4000, tolerance=0, **options)  # type: ignore[arg-type]
    assert objective(op, y, solution.x, L1) - best < 1e-6 * best
    assert solution.status is Status.ITERATIONS and solution.iterations == 4000 and solution.q is None


@pytest.mark.parametrize("size", [0.5, 1.0, 1.9])
def test_every_step_below_the_limit_reaches_the_minimiser(size: float) -> None:
    """The largest allowed one is twice the default, 1 / (2 ||A||^2)."""
    op = small()
    y, norm = observe(op, spikes(1, 1, 16, 16)), op.norm((1, 1, 16, 16))
    best = objective(op, y, fista(op, y, L1, norm, 3000), L1)
    found = pgd(
        y, op, priors.L1(L1), step=GradientStep(size / (2 * norm**2)), iterations=round(15000 / size), tolerance=0
    ).x
    assert objective(op, y, found, L1) - best < 1e-6 * best


def test_box_and_l1_against_cvxpy() -> None:
    """An interior-point method, which shares nothing with proximal gradients."""
    op = small()
    y = observe(op, spikes(1, 1, 10, 12, density=0.3).abs().clamp(max=1.2))
    a = op(torch.eye(120, dtype=torch.float64).reshape(-1, 1, 10, 12)).flatten(1).T.numpy()
    x = cp.Variable(120)
    problem = cp.Problem(cp.Minimize(cp.sum_squares(y.numpy().ravel() - a @ x) + L1 * cp.norm1(x)), [x >= 0, x <= 1])
    best = problem.solve(solver="CLARABEL", tol_gap_abs=1e-12, tol_gap_rel=1e-12)
    prior = priors.L1(L1) + priors.Box(0, 1)
    found = pgd(y, op, prior, momentum=Nesterov(), iterations=3000, tolerance=0).x
    assert abs((y - op(found)).square().sum().item() + prior.value(found).item() - best) < 1e-7 * best


def test_the_step_of_the_docstring() -> None:
    """One iteration by hand: the gradient of the unhalved data term has a factor of two."""
    op, x = small(), spikes(1, 1, 8, 8, seed=3, density=1.0)
    y, eta = observe(op, spikes(1, 1, 8, 8)), 0.3
    v = x - eta * 2 * op.adjoint(op(x) - y)
    expected = v.sign() * (v.abs() - eta * 0.1).clamp(min=0)
    torch.testing.assert_close(pgd(y, op, priors.L1(0.1), step=eta, iterations=1, init=x, tolerance=0).x, expected)
    torch.testing.assert_close(
        pgd(y, op, priors.L1(0.1), step=GradientStep(eta), iterations=1, init=x, tolerance=0).x, expected
    )


def test_default_step_is_the_largest_without_overshoot() -> None:
    op = 3.0 * small()
    y = observe(op, spikes(1, 1, 8, 8))
    size = 1 / (2 * op.norm((1, 1, 8, 8)) ** 2)
    torch.testing.assert_close(
        pgd(y, op, priors.L1(L1), iterations=7, tolerance=0).x,
        pgd(y, op, priors.L1(L1), step=size, iterations=7, tolerance=0).x,
    )


def test_momentum_is_faster_and_restarts() -> None:
    op, x0 = gaussian(4, "circular"), spikes(1, 1, 32, 32)
    y = observe(op, x0)
    best = objective(op, y, fista(op, y, L1, op.norm(x0.shape), 4000), L1)
    gaps = [
        objective(op, y, pgd(y, op, priors.L1(L1), momentum=m, iterations=150, tolerance=0).x, L1) - best
        for m in (None, Nesterov())
    ]
    assert gaps[1] < gaps[0] / 5


def test_images_of_a_batch_do_not_share_the_momentum() -> None:
    op = small()
    y = torch.cat([observe(op, spikes(1, 1, 12, 12)), observe(op, 5 * spikes(1, 1, 12, 12, seed=4, density=0.5))])
    both = pgd(y, op, priors.L1(L1), momentum=Nesterov(), iterations=300, tolerance=0).x
    for k in range(2):
        alone = pgd(y[k : k + 1], op, priors.L1(L1), momentum=Nesterov(), iterations=300, tolerance=0).x
        torch.testing.assert_close(both[k : k + 1], alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize("boundary", ["circular", "valid", "zero"])
@pytest.mark.parametrize("momentum", [None, Nesterov()], ids=["plain", "nesterov"])
def test_back_projection_puts_the_data_back(boundary: str, momentum: Nesterov | None) -> None:
    """With nothing but a box the data are met, in far fewer iterations than by gradients."""
    op = small(2, boundary)
    truth = torch.rand(
        1,
        2,
        *(13, 15) if boundary == "valid" else (12, 16),
        generator=torch.Generator().manual_seed(0),
        dtype=torch.float64,
    )
    y = op(truth)
    images = [
        pgd(y, op, priors.Box(), step=step, momentum=momentum, iterations=60, tolerance=0).x
        for step in (None, BackProjection())
    ]
    misfit = [((y - op(x)).norm() / y.norm()).item() for x in images]
    assert misfit[1] < 1e-3 and misfit[1] < misfit[0] / 3


def test_back_projection_is_the_pseudo_inverse_step() -> None:
    op = small()
    x, y = spikes(1, 1, 8, 8, seed=3, density=1.0), observe(op, spikes(1, 1, 8, 8))
    a = op(torch.eye(64, dtype=torch.float64).reshape(-1, 1, 8, 8)).flatten(1).T
    expected = x + (torch.linalg.pinv(a) @ (y - op(x)).flatten()).reshape(x.shape)
    for inverse in (inverses.Exact(), inverses.Exact(side="data"), inverses.ConjugateGradient(1e-10)):
        got = pgd(y, op, priors.L1(0), step=BackProjection(inverse, epsilon=1e-9), iterations=1, init=x, tolerance=0).x
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-5)


def test_back_projection_minimises_the_weighted_objective() -> None:
    """<y - A x, C (y - A x)> + R, as its docstring says: compared with the same problem solved densely."""
    op, l2, epsilon = small(), 0.3, 0.05
    y = observe(op, spikes(1, 1, 8, 8))
    a = op(torch.eye(64, dtype=torch.float64).reshape(-1, 1, 8, 8)).flatten(1).T
    c = torch.linalg.inv(
        epsilon * torch.linalg.matrix_norm(a, 2) ** 2 * torch.eye(len(a), dtype=torch.float64) + a @ a.T
    )
    expected = torch.linalg.solve(a.T @ c @ a + l2 * torch.eye(64, dtype=torch.float64), a.T @ c @ y.flatten())
    got = pgd(y, op, priors.L2(l2), step=BackProjection(epsilon=epsilon), iterations=300, tolerance=0).x
    torch.testing.assert_close(got.flatten(), expected, rtol=0, atol=1e-9)


def test_stops_when_both_residuals_are_small_and_says_so() -> None:
    op = small()
    y = observe(op, spikes(3, 1, 12, 12))
    solution = pgd(y, op, priors.L2(0.5), iterations=500, tolerance=1e-6)
    assert solution.status is Status.CONVERGED and solution.iterations < 100 and solution.iterations % 5 == 0
    assert solution.residuals.shape == (solution.iterations // 5, 2, 3) and (solution.residuals[-1] <= 1e-6).all()
    torch.testing.assert_close(solution.x, wiener(y, op, 0.5).x, rtol=0, atol=1e-5)
    assert pgd(y, op, priors.L2(0.5), iterations=12, tolerance=1e-9).status is Status.ITERATIONS


def test_data_of_zeros_converge() -> None:
    op = small()
    solution = pgd(torch.zeros(1, 1, 4, 4), op, priors.L1(0.1))
    assert solution.status is Status.CONVERGED and (solution.x == 0).all()


def test_an_expansive_prior_ends_as_unstable() -> None:
    op = small()
    solution = pgd(observe(op, spikes(1, 1, 12, 12)), op, priors.Denoiser(lambda v: 3 * v, sigma=0.1), iterations=300)
    assert solution.status is Status.UNSTABLE and solution.iterations < 100


def test_callback_sees_each_iteration_and_stops() -> None:
    op, seen = small(), []

    def stop(state: State) -> bool | None:
        seen.append((state.iteration, state.x.clone(), state.residuals.shape))
        return False if state.iteration == 7 else None

    solution = pgd(observe(op, spikes(2, 1, 12, 12)), op, priors.L1(L1), callback=stop, tolerance=0)
    assert [s[0] for s in seen] == list(range(1, 8)) and solution.status is Status.STOPPED and solution.iterations == 7
    assert torch.equal(solution.x, seen[-1][1]) and seen[0][2] == (2, 2)


def test_resumes_from_an_image_or_a_solution() -> None:
    op = small()
    y = observe(op, spikes(1, 1, 12, 12))
    whole = pgd(y, op, priors.L1(L1), iterations=10, tolerance=0)
    half = pgd(y, op, priors.L1(L1), iterations=5, tolerance=0)
    for init in (half, half.x, half.x.numpy()):
        torch.testing.assert_close(pgd(y, op, priors.L1(L1), iterations=5, tolerance=0, init=init).x, whole.x)


def test_numpy_in_numpy_out() -> None:
    op = small()
    y = observe(op, spikes(1, 1, 12, 12)).float()
    x = pgd(y.numpy(), op, priors.L1(L1)).x
    assert isinstance(x, np.ndarray) and x.dtype == np.float32
    np.testing.assert_array_equal(x, pgd(y, op, priors.L1(L1)).x.numpy())


def test_complex_data() -> None:
    """Masked Fourier: complex data, real images; the same minimiser as admm."""
    mask = (torch.rand(12, 10, generator=torch.Generator().manual_seed(1)) > 0.5).double()
    op = operators.MaskedFourier(mask)
    y = op(spikes(2, 1, 12, 10))
    for step in (None, BackProjection(epsilon=1e-6)):
        assert pgd(y, op, priors.L1(1e-3), step=step, iterations=20).x.dtype == torch.float64
    expected = fastip.admm(y, op, priors.L1(1e-2), beta=0.5, iterations=2000, tolerance=0).x
    torch.testing.assert_close(
        pgd(y, op, priors.L1(1e-2), momentum=Nesterov(), iterations=2000, tolerance=0).x, expected, rtol=0, atol=1e-6
    )


@pytest.mark.parametrize(
    "options", [{}, {"momentum": Nesterov()}, {"step": BackProjection(epsilon=0.1)}], ids=["plain", "nesterov", "back"]
)
def test_gradients(options: dict[str, object]) -> None:
    op = small()
    y = observe(op, spikes(1, 1, 6, 6, density=0.5)).requires_grad_()
    weight = torch.tensor(0.05, dtype=torch.float64, requires_grad=True)

    def solve(y: Tensor, weight: Tensor) -> Tensor:
        return pgd(y, op, priors.ElasticNet(weight, weight), iterations=4, tolerance=0, **options).x  # type: ignore[arg-type]

    assert torch.autograd.gradcheck(solve, (y, weight))


GOOD: dict[str, object] = {"y": torch.ones(1, 1, 6, 6), "op": small(), "prior": priors.L1(0.1)}
BAD = [
    {"y": "image"},
    {"y": torch.ones(1, 1, 6, 6, dtype=torch.int64)},
    {"y": torch.full((1, 1, 6, 6), float("nan"))},
    {"y": torch.ones(0, 1, 6, 6)},
    {"op": None},
    {"prior": priors.L1},
    {"prior": lambda v: v},
    {"step": 0.0},
    {"step": -1.0},
    {"step": float("nan")},
    {"step": 5.0},
    {"step": "gradient"},
    {"step": BackProjection},
    {"step": 3.0, "momentum": Nesterov()},
    {"momentum": 0.9},
    {"momentum": Nesterov},
    {"iterations": 0},
    {"iterations": 2.5},
    {"tolerance": -1e-3},
    {"init": torch.ones(1, 1, 6, 6)},
    {"init": torch.ones(1, 1, 12, 12, dtype=torch.float64)},
    {"init": torch.full((1, 1, 12, 12), float("inf"))},
    {"init": 3},
]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: " ".join(f"{k}={type(v).__name__}" for k, v in bad.items()))
def test_bad_inputs_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        pgd(**{**GOOD, **bad})  # type: ignore[arg-type]


def test_bad_strategies_are_refused() -> None:
    for strategy, argument in (
        (GradientStep, 0),
        (GradientStep, "a"),
        (BackProjection, "exact"),
        (BackProjection, inverses.Exact),
    ):
        with pytest.raises(InvalidInput, match="expected"):
            strategy(argument)  # type: ignore[operator]
    with pytest.raises(InvalidInput, match="epsilon"):
        BackProjection(epsilon=0)
    # it is momentum that makes 3 too large
    assert pgd(torch.ones(1, 1, 6, 6), small(), priors.L1(0.1), step=3.0, iterations=2).iterations == 2
    with pytest.raises(InvalidInput, match="operator is zero"):
        pgd(torch.ones(1, 1, 6, 6), 0.0 * operators.Identity(), priors.L1(0.1))


def test_misspelt_keywords_are_refused() -> None:
    with pytest.raises(UnknownKeyword, match="did you mean 'momentum'"):
        pgd(torch.ones(1, 1, 6, 6), small(), priors.L1(0.1), momentun=None)  # type: ignore[call-arg]
    with pytest.raises(UnknownKeyword, match="did you mean 'epsilon'"):
        BackProjection(epsilom=1)  # type: ignore[call-arg]
    with pytest.raises(UnknownKeyword):
        GradientStep(sise=1)  # type: ignore[call-arg]


def test_the_prior_is_asked_about_the_step_before_any_work() -> None:
    asked: list[float] = []

    class Careful(priors.L1):
        def check_beta(self, beta: float) -> None:
            asked.append(beta)
            raise InvalidInput("no")

        def bind(self, y: Tensor, op: operators.Operator) -> None:  # type: ignore[override]
            raise AssertionError("bound")

    with pytest.raises(InvalidInput, match="no"):
        pgd(torch.ones(1, 1, 6, 6), small(), Careful(0.1), step=0.25)
    assert asked == [2.0]


def test_a_denoiser_whose_numbers_contradict_the_step_is_refused() -> None:
    y, op = torch.ones(1, 1, 6, 6), small()
    with pytest.raises(InvalidInput, match="leave one of the three out"):
        pgd(y, op, priors.Denoiser(torch.clone, sigma=0.1, noise=0.3))
    assert pgd(y, op, priors.Denoiser(lambda v: 0.9 * v, sigma=0.1), iterations=3).x.shape == (1, 1, 12, 12)
