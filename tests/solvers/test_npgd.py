"""npgd: the theorem of Raj, Li and Bresler with a linear generator, whose constants are known exactly.

Steps, starts and bad inputs, too. f(x) = ||A x - y||^2; alpha, beta: the extreme ||A s||^2 / ||s||^2 on the range. For
beta / alpha < 2 and the step 1 / beta::

    f(x') <= (beta / alpha - 1) f(x) + beta delta,

so f <= beta delta / (2 - beta / alpha) in the end, and ||x - x*||^2 <= delta / (2 alpha / beta - 1).
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import fastip
from cases.generators import Linear, Nearest, dcgan, encoder, restricted
from fastip import inverses, nets, operators, priors
from fastip.contracts import Status
from fastip.errors import InvalidInput, UnknownKeyword
from fastip.solvers.monitor import State
from fastip.solvers.pgd import BackProjection
from fastip.solvers.range_steps import RestrictedStep

GENERATOR = Linear(latent=3)
OP = operators.GaussianMeasurements(110, (1, 12, 12), seed=2)
ALPHA, BETA = restricted(OP, GENERATOR)
TRUTH = GENERATOR.sample(5, seed=1)
Y = OP(TRUTH)
START = GENERATOR.sample(5, seed=9)


def error(x: Tensor) -> Tensor:
    """f for each image."""
    return (OP(x) - Y).square().sum(dim=1)


def run(step: float, iterations: int, net: Nearest, init: Tensor = START) -> list[Tensor]:
    """x0 and the image after each iteration."""
    seen = [init]

    def look(state: State) -> None:
        seen.append(state.x)

    fastip.npgd(Y, OP, priors.Projector(net), step=step, iterations=iterations, tolerance=0, init=init, callback=look)
    return seen


def test_the_constants_are_those_of_the_theorem() -> None:
    assert 1.2 < BETA / ALPHA < 2
    s = GENERATOR.sample(500, seed=3) - GENERATOR.sample(500, seed=4)
    stretch = OP(s).square().sum(dim=1) / s.flatten(1).square().sum(dim=1)
    assert ALPHA - 1e-9 <= stretch.min() < 1.1 * ALPHA and 0.9 * BETA < stretch.max() <= BETA + 1e-9


def test_rate_and_limit() -> None:
    """At every step the bound holds; it is loose, and the true rate (1 - alpha / beta)^2 is met where it should be."""
    seen = run(1 / BETA, 40, Nearest(GENERATOR))
    values = torch.stack([error(x) for x in seen])
    above = values[:-1] > 1e-20
    assert (values[1:] <= (BETA / ALPHA - 1) * values[:-1] + 1e-22)[above].all()
    assert (values[1:] <= (1 - ALPHA / BETA) ** 2 * values[:-1] * (1 + 1e-9) + 1e-22)[above].all()
    late = (values[6] / values[5]).mean()  # what is left is the slowest direction
    assert late == pytest.approx((1 - ALPHA / BETA) ** 2, rel=0.05)
    torch.testing.assert_close(seen[-1], TRUTH, rtol=0, atol=1e-10)


@pytest.mark.parametrize("delta", [1e-2, 1e-4])
def test_an_approximate_projector_ends_at_the_floor(delta: float) -> None:
    """One that strays by delta^(1/2) inside the range, away from the truth.

    It ends no better than the floor, and no worse than the bound.
    """
    net = Nearest(GENERATOR, delta**0.5, TRUTH)
    w = START + 0.1 * torch.randn(START.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    extra = (net(w) - w).flatten(1).square().sum(1) - (Nearest(GENERATOR)(w) - w).flatten(1).square().sum(1)
    # it is a delta-approximate projector, and no better one
    torch.testing.assert_close(extra, torch.full_like(extra, delta), rtol=1e-6, atol=0)
    seen = run(1 / BETA, 60, net)
    values = torch.stack([error(x) for x in seen])
    assert (values[1:] <= (BETA / ALPHA - 1) * values[:-1] + BETA * delta + 1e-12).all()
    off = (seen[-1] - TRUTH).flatten(1).square().sum(dim=1)
    assert (values[-1] <= BETA * delta / (2 - BETA / ALPHA)).all() and (off <= delta / (2 * ALPHA / BETA - 1)).all()
    assert (off >= delta).all(), "the floor is real"


def test_twice_the_step_fails() -> None:
    """The step 2 / beta keeps the error along the direction that A stretches most; beyond, it grows.

    The gradient of f has this factor of 2 in it.
    """
    columns = OP(GENERATOR.basis.T.unflatten(1, (1, 12, 12))).T
    _, vectors = torch.linalg.eigh(columns.T @ columns)
    worst = (GENERATOR.basis @ vectors[:, -1]).reshape(1, 1, 12, 12)
    kept = run(2 / BETA, 60, Nearest(GENERATOR), TRUTH + worst)[-1] - TRUTH
    torch.testing.assert_close(kept.abs(), worst.abs().expand_as(kept), rtol=1e-6, atol=1e-9)
    assert (error(run(2.2 / BETA, 60, Nearest(GENERATOR), TRUTH + worst)[-1]) > 1e6).all()
    fine = run(1 / BETA, 60, Nearest(GENERATOR), TRUTH + worst)[-1]
    torch.testing.assert_close(fine, TRUTH, rtol=0, atol=1e-10)


def test_noise_ends_at_the_least_squares_solution() -> None:
    y = Y + 0.05 * torch.randn(Y.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    columns = OP(GENERATOR.basis.T.unflatten(1, (1, 12, 12))).T
    shift = y - OP(GENERATOR.offset.reshape(1, 1, 12, 12))
    best = (torch.linalg.lstsq(columns, shift.T).solution.T @ GENERATOR.basis.T + GENERATOR.offset).unflatten(
        1, (1, 12, 12)
    )
    solution = fastip.npgd(y, OP, priors.Projector(Nearest(GENERATOR)), step=1 / BETA, iterations=200, tolerance=1e-12)
    torch.testing.assert_close(solution.x, best, rtol=0, atol=1e-6)
    assert solution.status is Status.CONVERGED and solution.iterations < 200


def test_back_projection() -> None:
    """w = x + A^+ (y - A x): the image nearest to x among those that give the data."""
    x0 = START
    pinv = torch.linalg.pinv(OP.matrix)
    w = x0.flatten(1) + (Y - OP(x0)) @ pinv.T
    expected = Nearest(GENERATOR)(w.unflatten(1, (1, 12, 12)))
    prior = priors.Projector(Nearest(GENERATOR))
    given = fastip.npgd(
        Y, OP, prior, step=BackProjection(inverses.Exact(), epsilon=1e-6), iterations=1, tolerance=0, init=x0
    ).x
    torch.testing.assert_close(given, expected, rtol=0, atol=1e-4)


def test_the_step_of_the_range_is_the_default() -> None:
    """1 / beta of each image's last move, by hand; the first move is counted from P(0)."""
    project = Nearest(GENERATOR)
    last, x = project(torch.zeros_like(START)), project(OP.adjoint(Y))
    betas = []
    for _ in range(3):
        s = x - last
        beta = OP(s).square().sum(dim=1) / s.flatten(1).square().sum(dim=1)
        betas.append(beta)
        last, x = x, project(x + OP.adjoint(Y - OP(x)) / beta[:, None, None, None])
    prior = priors.Projector(project)
    torch.testing.assert_close(fastip.npgd(Y, OP, prior, iterations=3, tolerance=0).x, x, rtol=0, atol=1e-9)
    assert (betas[0] - betas[1]).abs().max() > 1e-2 and betas[0].std() > 1e-3, "it differs between moves and images"
    solution = fastip.npgd(Y, OP, prior, iterations=300)
    assert solution.status is Status.CONVERGED and solution.q is None
    torch.testing.assert_close(solution.x, TRUTH, rtol=0, atol=1e-3)


def test_a_move_that_says_nothing_leaves_the_step_as_it_was() -> None:
    """A projector on one image never moves, one moves by what rounding would, and A sees nothing of a third's moves.

    So beta stays ||A||^2 = 4.
    """
    op = 2 * operators.Mask(torch.arange(784).reshape(28, 28) < 28)

    class Trembling(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 0.5 + 1e-5 * torch.sin(1e3 * x)

    class Below(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([torch.zeros_like(x[..., :14, :]), x[..., 14:, :] + 1], dim=-2)

    for net in (torch.nn.Hardtanh(0.5, 0.5 + 1e-12), Trembling(), Below()):
        step = RestrictedStep(net(torch.zeros(2, 1, 28, 28))).bind(op, op(torch.rand(2, 1, 28, 28)))
        x = net(torch.rand(2, 1, 28, 28))
        for _ in range(3):
            x = net(step(x))
        assert torch.allclose(step.beta, torch.full((2,), 4.0), rtol=1e-3) and bool(torch.isfinite(x).all())


def test_the_step_suits_the_operator() -> None:
    """For averages of 2 x 2, A A^T = I / 4, and smooth images, it is nearly four times that of a mask.

    That is what back-projection would take.
    """
    smooth = torch.nn.functional.interpolate(torch.rand(3, 1, 4, 4), size=(28, 28), mode="bicubic")
    for op, least, most in (
        (operators.Blur(torch.ones(2, 2) / 4, stride=2), 0.2, 0.25),
        (operators.GaussianMeasurements(300, (1, 28, 28)), 0.6, 1.5),
    ):
        step = RestrictedStep(torch.zeros_like(smooth)).bind(op, op(smooth))
        step(smooth)
        assert bool((step.beta > least).all()) and bool((step.beta <= most).all())


def test_where_it_starts() -> None:
    seen: list[Tensor] = []

    class Spy(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(x)
            return torch.zeros_like(x)

    prior = priors.Projector(Spy().eval())
    fastip.npgd(Y, OP, prior, step=0.3, iterations=2, tolerance=0)
    first = OP.adjoint(Y)
    torch.testing.assert_close(seen[0], first + 0.3 * OP.adjoint(Y - OP(first)))
    torch.testing.assert_close(seen[1], 0.3 * OP.adjoint(Y))
    assert len(seen) == 2, "one pass of the projector an iteration"


def test_a_prior_with_a_weight_is_told_the_step() -> None:
    """It is the same iteration as pgd with half the number, which counts steps of the gradient 2 A^T (A x - y)."""
    step = 1 / OP.norm((1, 1, 12, 12)) ** 2
    one: list[Tensor] = []
    fastip.npgd(
        Y,
        OP,
        priors.L1(0.05),
        step=step,
        iterations=7,
        tolerance=0,
        init=START,
        callback=lambda state: one.append(state.x),
    )
    torch.testing.assert_close(
        one[-1], fastip.pgd(Y, OP, priors.L1(0.05), step=step / 2, iterations=7, tolerance=0, init=START).x
    )


def test_each_image_is_on_its_own_and_nothing_is_random() -> None:
    prior = priors.Projector(nets.Projector(dcgan(), encoder()).eval())
    op = operators.GaussianMeasurements(60, (1, 28, 28))
    y = op(dcgan().sample(4, seed=3))
    torch.manual_seed(1)
    x = fastip.npgd(y, op, prior, tolerance=0, iterations=4).x
    torch.manual_seed(2)
    assert torch.equal(fastip.npgd(y, op, prior, tolerance=0, iterations=4).x, x)
    for k in range(4):
        torch.testing.assert_close(
            fastip.npgd(y[k : k + 1], op, prior, tolerance=0, iterations=4).x, x[k : k + 1], rtol=0, atol=1e-4
        )
    assert torch.equal(torch.from_numpy(fastip.npgd(y.numpy(), op, prior, tolerance=0, iterations=4).x), x)


class Wandering(torch.nn.Module):
    """The nearest image of the range, off by so much at each call in turn."""

    def __init__(self, *off: float) -> None:
        super().__init__()
        self.nearest, self.off = Nearest(GENERATOR), iter(off)

    def forward(self, x: Tensor) -> Tensor:
        along = (
            GENERATOR.basis[:, 0].reshape(1, 1, 12, 12)
            * torch.arange(1, len(x) + 1, dtype=x.dtype)[:, None, None, None]
        )
        return self.nearest(x) + next(self.off) * along


def test_the_iterate_nearest_to_the_data_is_returned() -> None:
    """For each image: the first ones are far off, the next hardly worse than the best, the last far off again."""
    seen: list[Tensor] = []
    prior = priors.Projector(Wandering(0.5, 0.1, 0.12, 0.5).eval())
    solution = fastip.npgd(
        Y, OP, prior, step=1 / BETA, init=TRUTH, iterations=4, tolerance=0, callback=lambda state: seen.append(state.x)
    )
    values = torch.stack([error(x) for x in seen])
    best = values.argmin(dim=0)
    assert (best == 1).all() and (values[2] < 2 * values[1]).all(), (
        "neither the last, nor the last that is about as near"
    )
    for k in range(5):
        torch.testing.assert_close(solution.x[k], seen[best[k]][k], rtol=0, atol=0)
    assert (error(solution.x) < error(seen[-1])).all()


def test_when_it_stops() -> None:
    """At the first look after which no image came nearer by more than the tolerance; at once for data that are met."""
    prior = priors.Projector(Nearest(GENERATOR))
    y = Y + 0.05 * torch.randn(Y.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    solution = fastip.npgd(y, OP, prior, step=0.3 / BETA, init=START, iterations=500, tolerance=1e-3)
    looks = solution.residuals[:, 0]
    assert (
        solution.status is Status.CONVERGED
        and solution.iterations == 5 * len(looks)
        and solution.residuals.shape == (len(looks), 2, 5)
    )
    fallen = looks[1:] / looks[:-1]
    assert (fallen[-1] >= 1 - 1e-3).all() and (fallen[:-1] < 1 - 1e-3).any(dim=1).all() and len(looks) > 3
    torch.testing.assert_close(looks[-1], (OP(solution.x) - y).norm(dim=1) / y.norm(dim=1))
    met = fastip.npgd(Y, OP, prior, step=1 / BETA, init=TRUTH, iterations=500, tolerance=1e-3)
    assert met.status is Status.CONVERGED and met.iterations == 5 and met.residuals.shape == (1, 2, 5)
    assert fastip.npgd(Y, OP, prior, iterations=7, tolerance=0).residuals.shape == (0, 2, 5)


def test_the_last_look_asks_no_less_than_the_others() -> None:
    """With fewer than five iterations since the look before, a small fall does not mean that an image has settled."""
    prior = priors.Projector(Nearest(GENERATOR))
    for count in (1, 6, 11, 13):
        solution = fastip.npgd(Y, OP, prior, step=0.02 / BETA, init=START, iterations=count, tolerance=0.02)
        assert solution.status is Status.ITERATIONS and solution.iterations == count
    assert fastip.npgd(Y, OP, prior, step=1e-4 / BETA, init=START, iterations=100, tolerance=0.02).iterations == 10


def test_what_is_driven_away_is_no_convergence() -> None:
    solution = fastip.npgd(Y, OP, priors.Projector(Nearest(GENERATOR)), step=2.2 / BETA, init=START, iterations=200)
    assert solution.status is Status.UNSTABLE and solution.iterations < 200
    first = fastip.npgd(
        Y, OP, priors.Projector(Nearest(GENERATOR)), step=2.2 / BETA, init=START, iterations=1, tolerance=0
    ).x
    assert (error(solution.x) <= error(first) + 1e-9).all(), "what was nearest is returned"


def test_an_image_does_not_depend_on_its_neighbours_whenever_they_stop() -> None:
    prior = priors.Projector(nets.Projector(dcgan(), encoder()).eval().double())
    op = operators.GaussianMeasurements(60, (1, 28, 28))
    y = op(torch.cat([dcgan().sample(3, seed=3), torch.rand(3, 1, 28, 28)]).double())
    whole = fastip.npgd(y, op, prior, iterations=60, tolerance=0.05)
    alone = [fastip.npgd(y[k : k + 1], op, prior, iterations=60, tolerance=0.05) for k in range(6)]
    assert len({one.iterations for one in alone}) > 1, "they stop apart"
    for k, one in enumerate(alone):
        torch.testing.assert_close(whole.x[k : k + 1], one.x, rtol=0, atol=1e-6)


def test_an_image_that_is_lost_does_not_stop_its_neighbours() -> None:
    """One of two images is driven away; the other goes on as if alone, and the solve says that one was lost."""
    scales = torch.cat([torch.full((8,), 0.3), torch.full((8,), 3.0)]).double()
    op = operators.Dense(torch.diag(scales), (1, 4, 4))
    slow, fast = torch.zeros(2, 1, 1, 4, 4, dtype=torch.float64)
    slow.flatten()[:8], fast.flatten()[8:] = 1.0, 1.0
    y, prior = op(torch.cat([slow, fast])), priors.Box(-1e9, 1e9)
    about = {
        "step": 0.3,
        "iterations": 200,
        "tolerance": 1e-4,
        "init": torch.full((1, 1, 4, 4), 0.5, dtype=torch.float64),
    }
    start = torch.cat([0.5 * slow, 0.5 * fast])
    both = fastip.npgd(y, op, prior, **about | {"init": start})
    alone = fastip.npgd(y[:1], op, prior, **about | {"init": start[:1]})
    torch.testing.assert_close(both.x[:1], alone.x, rtol=0, atol=1e-12)
    assert (
        both.status is Status.UNSTABLE
        and alone.status is not Status.UNSTABLE
        and both.iterations == alone.iterations > 20
    )


def test_the_default_step_is_for_projections() -> None:
    for prior in (priors.L1(0.1), priors.TV(0.1)):
        with pytest.raises(InvalidInput, match="step is None, which is for projections, and .* has a weight"):
            fastip.npgd(Y, OP, prior)
    assert fastip.npgd(Y, OP, priors.Box(0, 1), iterations=2).iterations == 2


def test_an_operator_that_sees_nothing_is_refused() -> None:
    with pytest.raises(InvalidInput, match="the operator is zero"):
        fastip.npgd(Y, 0.0 * OP, priors.Projector(Nearest(GENERATOR)))


def test_conjugated_data_are_data() -> None:
    op = operators.MaskedFourier(torch.ones(6, 6))
    y = op(torch.rand(1, 1, 6, 6)).conj()
    torch.testing.assert_close(
        fastip.npgd(y, op, priors.Box(0, 1), iterations=5).x,
        fastip.npgd(y.resolve_conj(), op, priors.Box(0, 1), iterations=5).x,
    )


class Scaled(Wandering):
    """The nearest image of the range times such a factor."""

    def forward(self, x: Tensor) -> Tensor:
        return self.nearest(x) * next(self.off)


def test_iterates_that_are_not_kept_have_no_part_in_the_gradient() -> None:
    """The third one is NaN, and its slope too."""
    y = Y.clone().requires_grad_()
    found = fastip.npgd(
        y,
        OP,
        priors.Projector(Scaled(1.0, 1.0, float("nan"), float("nan")).eval()),
        step=1 / BETA,
        init=TRUTH,
        iterations=4,
        tolerance=0,
    )
    (slope,) = torch.autograd.grad(found.x.sum(), y)
    assert torch.isfinite(found.x).all() and torch.isfinite(slope).all()


def test_it_follows_gradients() -> None:
    """Through the iterate that is returned, to the data."""
    y = Y.clone().requires_grad_()
    x = fastip.npgd(
        y, OP, priors.Projector(Nearest(GENERATOR)), step=0.5 / BETA, init=START, iterations=3, tolerance=0
    ).x
    (slope,) = torch.autograd.grad(x.square().sum(), y)
    moved = 1e-6 * torch.randn(Y.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    ends = [
        fastip.npgd(
            Y + sign * moved,
            OP,
            priors.Projector(Nearest(GENERATOR)),
            step=0.5 / BETA,
            init=START,
            iterations=3,
            tolerance=0,
        ).x
        for sign in (1, -1)
    ]
    change = (ends[0].square().sum() - ends[1].square().sum()) / 2
    torch.testing.assert_close((slope * moved).sum(), change, rtol=1e-4, atol=1e-12)


def test_a_projector_that_goes_to_nan_is_told() -> None:
    prior = priors.Projector(Wandering(*[0.1, float("nan")] * 10).eval())
    solution = fastip.npgd(Y, OP, prior, step=1 / BETA, init=TRUTH)
    assert solution.status is Status.UNSTABLE and solution.iterations == 5


def test_a_callback_stops_it() -> None:
    solution = fastip.npgd(
        Y,
        OP,
        priors.Projector(Nearest(GENERATOR)),
        step=1 / BETA,
        iterations=9,
        callback=lambda state: state.iteration < 3,
    )
    assert solution.status is Status.STOPPED and solution.iterations == 3


def test_bad_inputs() -> None:
    prior = priors.Projector(Nearest(GENERATOR))
    for step in (0.0, -1.0, float("nan"), "big", BackProjection):
        with pytest.raises(InvalidInput, match="step is"):
            fastip.npgd(Y, OP, prior, step=step)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="iterations"):
        fastip.npgd(Y, OP, prior, iterations=0)
    with pytest.raises(InvalidInput, match="b x 110"):
        fastip.npgd(Y[:, :-1], OP, prior)
    with pytest.raises(InvalidInput, match="NaN"):
        fastip.npgd(Y * float("nan"), OP, prior)
    with pytest.raises(InvalidInput, match="prior is"):
        fastip.npgd(Y, OP, Nearest(GENERATOR))  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="training mode"):
        fastip.npgd(Y, OP, priors.Projector(Nearest(GENERATOR).train()))
    with pytest.raises(UnknownKeyword, match="did you mean 'step'"):
        fastip.npgd(Y, OP, prior, stpe=1.0)  # type: ignore[call-arg]


def test_a_tolerance_may_be_any_number() -> None:
    a, y = torch.eye(3), torch.ones(2, 3)
    x = fastip.npgd(y, operators.Dense(a, (3, 1, 1)), priors.NonNegative(), tolerance="1e-3", step=0.5).x  # type: ignore[arg-type]
    assert (x - 1).abs().max() < 1e-2
