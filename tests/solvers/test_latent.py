"""csgm and pgdgan.

Against the exact solutions of a linear generator, restarts, independence of the images of a batch, seeds, bad
inputs.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import fastip
from cases.generators import Linear, dcgan, restricted
from cases.pretended import pretended
from fastip import nets, operators
from fastip.contracts import Status
from fastip.errors import InvalidInput, UnknownKeyword
from fastip.solvers.monitor import State
from fastip.solvers.pgd import BackProjection
from fastip.streams import stream

GENERATOR = Linear(latent=3)
OP = operators.GaussianMeasurements(60, (1, 12, 12), seed=2)
TRUTH = GENERATOR.sample(4, seed=1)
Y = OP(TRUTH) + 0.05 * torch.randn(4, 60, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
SOLVERS = pytest.mark.parametrize("solver", [fastip.csgm, fastip.pgdgan])


def exact(weight: float) -> Tensor:
    """argmin ||y - A (W z + c)||^2 + weight ||z||^2, as an image."""
    columns = OP((GENERATOR.weight.T).unflatten(1, (1, 12, 12))).T
    shift = Y - OP(GENERATOR.offset.reshape(1, 1, 12, 12))
    z = torch.linalg.solve(columns.T @ columns + weight * torch.eye(3, dtype=torch.float64), columns.T @ shift.T).T
    return GENERATOR(z)


class Wavy(nets.Generator):
    """One number to an image, with many local minima."""

    def __init__(self) -> None:
        super().__init__()
        self.latent, self.shape = 1, (1, 2, 3)
        generator = torch.Generator().manual_seed(3)
        self.rates = nn.Parameter(3 * torch.randn(6, generator=generator, dtype=torch.float64), requires_grad=False)
        self.eval()

    def config(self) -> dict[str, Any]:
        return {}

    def draw(self, z: Tensor) -> Tensor:
        return torch.sin(z * self.rates + self.rates.cos()).unflatten(1, self.shape)


# ---- what is found ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_csgm_reaches_the_least_squares_solution(weight: float) -> None:
    solution = fastip.csgm(Y, OP, GENERATOR, iterations=700, restarts=2, learning_rate=0.03, weight=weight)
    best = exact(weight)
    torch.testing.assert_close(solution.x, best, rtol=0, atol=1e-5)
    assert (
        solution.status is Status.ITERATIONS
        and solution.iterations == 700
        and solution.q is None
        and solution.beta is None
    )
    ratio = (Y - OP(best)).norm(dim=1) / Y.norm(dim=1)
    assert solution.residuals.shape == (1, 2, 4)
    torch.testing.assert_close(solution.residuals[0, 0], ratio, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("back", [False, True], ids=["fixed step", "back-projection"])
def test_pgdgan_reaches_it_too(back: bool) -> None:
    """With a step the least-squares solution; with back-projection that of the data weighted by (A A^T)^-1."""
    _, beta = restricted(OP, GENERATOR)
    options = {"iterations": 30, "inner": 80, "learning_rate": 0.05, "weight": 0.0}
    solution = fastip.pgdgan(Y, OP, GENERATOR, step=BackProjection(epsilon=1e-6) if back else 1 / beta, **options)
    best = exact(0.0)
    if back:
        columns, shift = (
            OP(GENERATOR.weight.T.unflatten(1, (1, 12, 12))).T,
            Y - OP(GENERATOR.offset.reshape(1, 1, 12, 12)),
        )
        middle = torch.linalg.inv(OP.matrix @ OP.matrix.T)
        best = GENERATOR(torch.linalg.solve(columns.T @ middle @ columns, columns.T @ middle @ shift.T).T)
        assert (best - exact(0.0)).abs().max() > 1e-3
    torch.testing.assert_close(solution.x, best, rtol=0, atol=2e-3)
    assert solution.iterations == 30


def test_the_first_steps_of_pgdgan_by_hand() -> None:
    """x0 = 0; w by the step; Adam anew for each w, from the last z; the mean over pixels and weight ||z||^2."""
    z = torch.randn(3, generator=stream(0, "starts")).double().repeat(4, 1).requires_grad_()
    x = torch.zeros(4, 1, 12, 12, dtype=torch.float64)
    for _ in range(3):
        w = x + 0.4 * OP.adjoint(Y - OP(x))
        adam = torch.optim.Adam([z], lr=0.03)
        for _ in range(5):
            adam.zero_grad()
            ((GENERATOR(z) - w).square().flatten(1).mean(1) + 0.01 * z.square().sum(1)).sum().backward()
            adam.step()
        x = GENERATOR(z).detach()
    found = fastip.pgdgan(Y, OP, GENERATOR, step=0.4, iterations=3, inner=5, learning_rate=0.03, weight=0.01).x
    torch.testing.assert_close(found, x, rtol=0, atol=1e-12)


# ---- restarts --------------------------------------------------------------------------------------------------------


@SOLVERS
def test_for_each_image_the_best_start_is_kept(solver: Any) -> None:
    """Each start replayed alone; more of them are never worse, and which is best differs from image to image."""
    generator = Wavy()
    op = operators.Dense(torch.eye(6, dtype=torch.float64)[:4], image_shape=(1, 2, 3))
    y = op(generator(torch.tensor([[-1.3], [0.2], [0.9], [2.1], [-0.4]], dtype=torch.float64)))
    options = (
        {"iterations": 40, "learning_rate": 0.02}
        if solver is fastip.csgm
        else {"iterations": 5, "inner": 10, "learning_rate": 0.02}
    )
    weight = 0.01 if solver is fastip.csgm else 0.0

    def objective(x: Tensor, z: Tensor) -> Tensor:
        return (y - op(x)).square().sum(1) + weight * z.square().sum(1)

    draws, found = stream(7, "starts"), []
    for _ in range(8):
        z = torch.randn(1, generator=draws).double().repeat(5, 1).requires_grad_()
        x = torch.zeros(5, 1, 2, 3, dtype=torch.float64)
        for _ in range(1 if solver is fastip.csgm else 5):
            w, adam = x + op.adjoint(y - op(x)), torch.optim.Adam([z], lr=0.02)
            for _ in range(40 if solver is fastip.csgm else 10):
                adam.zero_grad()
                loss = (
                    objective(generator(z), z)
                    if solver is fastip.csgm
                    else (generator(z) - w).square().flatten(1).mean(1)
                )
                loss.sum().backward()
                adam.step()
            x = generator(z).detach()
        found.append((objective(x, z.detach()), x))
    values = torch.stack([value for value, _ in found])
    assert len(set(values.argmin(dim=0).tolist())) > 1
    last = torch.full((5,), float("inf"), dtype=torch.float64)
    for count in (1, 2, 5, 8):
        best = values[:count].argmin(dim=0)
        step = {} if solver is fastip.csgm else {"step": 1.0}
        x = solver(y, op, generator, restarts=count, weight=weight, seed=7, **options, **step).x
        torch.testing.assert_close(x, torch.stack([found[int(r)][1][i] for i, r in enumerate(best)]), rtol=0, atol=1e-9)
        now = values[:count].min(dim=0).values
        assert (now <= last).all()
        last = now


@SOLVERS
def test_each_image_is_on_its_own(solver: Any) -> None:
    """An image alone gives what it gives in a batch, wherever it stands there."""
    generator, op = dcgan(), operators.GaussianMeasurements(50, (1, 28, 28))
    y = op(generator.sample(3, seed=3))
    options = {"restarts": 2, "iterations": 6} | ({} if solver is fastip.csgm else {"inner": 3})
    x = solver(y, op, generator, **options).x
    for k in range(3):
        torch.testing.assert_close(solver(y[k : k + 1], op, generator, **options).x, x[k : k + 1], rtol=0, atol=1e-3)
    torch.testing.assert_close(solver(y.flip(0), op, generator, **options).x.flip(0), x, rtol=0, atol=1e-3)


@SOLVERS
def test_the_seed_decides(solver: Any) -> None:
    options = {"iterations": 3, "restarts": 2}
    torch.manual_seed(1)
    x = solver(Y, OP, GENERATOR, seed=4, **options).x
    torch.manual_seed(2)
    assert torch.equal(solver(Y, OP, GENERATOR, seed=4, **options).x, x)
    assert not torch.equal(solver(Y, OP, GENERATOR, seed=5, **options).x, x)
    with torch.no_grad():
        assert torch.equal(solver(Y, OP, GENERATOR, seed=4, **options).x, x)
    assert not x.requires_grad
    numbers = solver(Y.numpy(), OP, GENERATOR, seed=4, **options)
    assert torch.equal(torch.from_numpy(numbers.x), x)


def test_the_starts_are_not_the_latent_vectors_that_the_same_seed_samples() -> None:
    truth = GENERATOR.sample(1, seed=0)
    x = fastip.csgm(OP(truth), OP, GENERATOR, iterations=1, restarts=1, learning_rate=1e-9, seed=0).x
    assert (x - truth).abs().max() > 1e-2


@SOLVERS
def test_a_start_that_diverges_is_not_chosen(solver: Any) -> None:
    class Cliff(Linear):
        """NaN for some z."""

        def draw(self, z: Tensor) -> Tensor:
            return torch.where(z[:, :1, None, None] > 0, super().draw(z), torch.nan)

    generator = Cliff(latent=3)
    z = torch.randn(8, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert any(torch.randn(3, generator=draws)[0] < 0 for draws in [stream(0, "starts")] for _ in range(6))
    y = OP(Linear(latent=3)(z[:1].abs()))
    solution = solver(y, OP, generator, restarts=6, iterations=2, learning_rate=1e-6)
    assert torch.isfinite(solution.x).all() and solution.status is Status.ITERATIONS
    generator.weight.fill_(float("nan"))
    assert solver(y, OP, generator, restarts=2, iterations=2).status is Status.UNSTABLE


@SOLVERS
def test_a_callback_sees_and_stops_it(solver: Any) -> None:
    seen: list[State] = []

    def look(state: State) -> bool:
        seen.append(state)
        return state.iteration < 3

    solution = solver(Y, OP, GENERATOR, iterations=9, restarts=1, callback=look)
    assert solution.status is Status.STOPPED and solution.iterations == 3 == len(seen)
    assert torch.equal(seen[-1].x, solution.x) and torch.equal(seen[-1].residuals.double(), solution.residuals[0])


# ---- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", [fastip.csgm, fastip.pgdgan])
def test_gradients_must_be_possible(solver: Any) -> None:
    with torch.inference_mode(), pytest.raises(InvalidInput, match="inference_mode"):
        solver(Y, OP, GENERATOR)
    with torch.no_grad():
        assert solver(Y, OP, GENERATOR, iterations=1).x.shape == (len(Y), 1, 12, 12)
    with pretended() as gpu, pytest.raises(InvalidInput, match="y has dtype torch.float16; .*vanish in half precision"):
        solver(gpu.put(Y.half()), OP, GENERATOR)


@SOLVERS
def test_bad_inputs(solver: Any) -> None:
    for wrong in ({"iterations": 0}, {"restarts": 0}, {"seed": -1}, {"restarts": 1.5}):
        with pytest.raises(InvalidInput, match="whole number"):
            solver(Y, OP, GENERATOR, **wrong)
    for wrong in ({"learning_rate": 0.0}, {"weight": -1.0}, {"weight": float("nan")}):
        with pytest.raises(InvalidInput, match="number >"):
            solver(Y, OP, GENERATOR, **wrong)
    for stranger in (torch.clone, None, Linear, nn.Linear(3, 144)):
        with pytest.raises(InvalidInput, match="expected a network of fastip.nets"):
            solver(Y, OP, stranger)
    with pytest.raises(InvalidInput, match=r"training mode.*eval\(\)"):
        solver(Y, OP, Linear(latent=3).train())
    with pytest.raises(InvalidInput, match=r"generator.to\(y\)"):
        solver(Y.float(), OP, GENERATOR)
    with pytest.raises(InvalidInput, match=r"makes \(b, 1, 28, 28\)"):
        solver(Y, OP, dcgan().double())
    with pytest.raises(InvalidInput, match="real data"):
        mask = torch.ones(12, 12)
        solver(operators.MaskedFourier(mask)(TRUTH), operators.MaskedFourier(mask), GENERATOR)
    with pytest.raises(InvalidInput, match="NaN"):
        solver(Y * float("nan"), OP, GENERATOR)
    with pytest.raises(UnknownKeyword, match="did you mean 'restarts'"):
        solver(Y, OP, GENERATOR, restart=3)


@SOLVERS
def test_an_operator_for_each_image_takes_one_start(solver: Any) -> None:
    op = operators.Mask((torch.rand(4, 1, 12, 12, generator=torch.Generator().manual_seed(0)) > 0.3).double())
    y = op(TRUTH)
    with pytest.raises(InvalidInput, match="restarts=3 .*restarts=1"):
        solver(y, op, GENERATOR, restarts=3)
    options = (
        {"iterations": 500, "learning_rate": 0.03}
        if solver is fastip.csgm
        else {"iterations": 15, "inner": 80, "learning_rate": 0.05}
    )
    torch.testing.assert_close(solver(y, op, GENERATOR, restarts=1, weight=0.0, **options).x, TRUTH, rtol=0, atol=1e-3)


def test_pgdgan_refuses_bad_steps() -> None:
    for wrong in ({"step": 0.0}, {"step": "big"}, {"inner": 0}):
        with pytest.raises(InvalidInput, match="step is|inner is"):
            fastip.pgdgan(Y, OP, GENERATOR, **wrong)
