"""admm(gradient="implicit"): the gradient of the fixed point, against a long unrolled solve, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import fastip
from cases.checks import noise, relative
from fastip import Status, fidelities, inverses, operators, priors, psf
from fastip.errors import InvalidInput, Unsupported
from fastip.operators import Operator
from fastip.solvers import implicit

BLUR = operators.Blur(psf.gaussian(5, sigma=0.6))
VALID = operators.Blur(psf.gaussian(5, sigma=0.6), boundary="valid")
SHAPE = (2, 1, 10, 12)


def scene() -> Tensor:
    x = 0.3 * noise(SHAPE).abs()
    x[..., 3:8, 4:9] += 1
    return x


def measured(op: Operator, dtype: torch.dtype = torch.float64) -> Tensor:
    y: Tensor = op(scene())
    return (y + 0.02 * noise(y.shape, seed=1)).to(dtype)


def gradients(y: Tensor, op: Operator, make: Callable[[Any], Any], **named: Any) -> tuple[Any, list[Tensor]]:
    """The solution, and the gradients of its squared error by the data and the parameter."""
    y, parameter = y.clone().requires_grad_(), torch.tensor(0.02, dtype=torch.float64, requires_grad=True)
    solution = fastip.admm(y, op, make(parameter), **named)
    (solution.x - scene().to(y.dtype)).square().sum().backward()
    return solution, [t.grad for t in (y, parameter) if t.grad is not None]


def box(weight: Tensor) -> Any:
    return priors.TV(weight) + priors.Box(0, 1)


PROBLEMS: dict[str, tuple[Operator, Callable[[Any], Any], dict[str, Any], int]] = {
    "l1": (BLUR, priors.L1, {}, 250),
    "l1-relaxed": (BLUR, priors.L1, {"relaxation": 1.6}, 200),
    "l1-stencil": (BLUR, priors.L1, {"inverse": inverses.Stencil(2)}, 250),
    "l2-strided": (operators.Blur(psf.gaussian(5, sigma=1.1), 2), priors.L2, {}, 250),
    "fused": (BLUR, lambda _: priors.L1(0.02) + priors.NonNegative(), {}, 250),
    "tv": (BLUR, priors.TV, {}, 500),
    "tv-box": (BLUR, box, {}, 500),
    "l2-split": (VALID, priors.L2, {"inverse": inverses.Split()}, 600),
    "l2-conjugate": (VALID, priors.L2, {"inverse": inverses.ConjugateGradient(1e-9)}, 150),
    "tv-betas": (BLUR, priors.TV, {"beta": [1.0, 0.5, 0.1]}, 500),
    "clipped": (VALID, priors.L2, {"fidelity": fidelities.Clipped(high=0.9)}, 400),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_equals_a_long_unrolled_solve(name):
    op, make, named, count = PROBLEMS[name]
    y = measured(op)
    fixed, found = gradients(y, op, make, gradient="implicit", tolerance=1e-7, iterations=3000, **named)
    _, expected = gradients(y, op, make, tolerance=0, iterations=count, **named)
    assert fixed.status is Status.CONVERGED and len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert relative(one, other) <= 1e-4


def test_in_single_precision_and_for_one_image_alone():
    y = measured(BLUR, torch.float32)
    named: dict[str, Any] = {"gradient": "implicit", "tolerance": 1e-5, "iterations": 3000}
    solution, (to_y, to_weight) = gradients(y, BLUR, priors.TV, **named)
    _, wide = gradients(y.double(), BLUR, priors.TV, **named | {"tolerance": 1e-7})
    assert solution.x.dtype == to_y.dtype == torch.float32
    assert relative(to_y.double(), wide[0]) <= 2e-3 and relative(to_weight, wide[1]) <= 2e-3
    given = y.double().requires_grad_()
    fastip.admm(given, BLUR, priors.TV(0.02), **named).x[0].sum().backward()
    assert given.grad[0].any() and not given.grad[1].any()


def test_reaches_the_parameters_of_a_denoiser():
    net = torch.nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular").double()
    torch.nn.init.constant_(net.weight, 0.05)
    torch.nn.init.constant_(net.bias, 0.01)
    prior = priors.Denoiser(lambda v: 0.5 * v + net(v), sigma=0.1, noise=0.1)
    found = []
    for named in ({"gradient": "implicit", "tolerance": 1e-7}, {"tolerance": 0}):
        net.zero_grad()
        fastip.admm(measured(BLUR), BLUR, prior, iterations=300, **named).x.square().sum().backward()
        found.append([p.grad.clone() for p in net.parameters()])
    for one, other in zip(*found, strict=True):
        assert relative(one, other) <= 1e-4


def test_gradcheck():
    y = measured(BLUR)[:1, :, :5, :6].clone().requires_grad_()
    prior = priors.L2(0.05) + priors.L1(0.01)
    assert torch.autograd.gradcheck(
        lambda z: fastip.admm(z, BLUR, prior, gradient="implicit", tolerance=1e-9, iterations=3000).x,
        y,
        atol=1e-4,
        rtol=1e-3,
    )


def saved(**named: Any) -> tuple[int, int]:
    """Numbers that a solve keeps for its backward pass, and its iterations."""
    count = [0]

    def pack(t: Tensor) -> Tensor:
        count[0] += t.numel()
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        y = measured(BLUR).requires_grad_()
        solution = fastip.admm(y, BLUR, priors.TV(0.02), **named)
    return count[0], solution.iterations


def test_memory_does_not_grow_with_the_iterations():
    few, short = saved(gradient="implicit", tolerance=1e-2)
    many, long = saved(gradient="implicit", tolerance=1e-7, iterations=3000)
    assert long >= 3 * short and many == few < 2 * saved(tolerance=0, iterations=1)[0] + 1000 * 120
    assert saved(tolerance=0, iterations=3)[0] > 1.5 * saved(tolerance=0, iterations=2)[0] - 1000


def test_the_solve_is_that_without_a_gradient():
    y, named = measured(BLUR), {"tolerance": 1e-4, "iterations": 500}
    prior = priors.TV(0.02)
    plain = fastip.admm(y, BLUR, prior, **named)
    for given in (y, y.clone().requires_grad_()):
        solution = fastip.admm(given, BLUR, prior, gradient="implicit", **named)
        assert torch.equal(solution.x, plain.x) and torch.equal(solution.q, plain.q)
        assert solution.iterations == plain.iterations and solution.x.requires_grad == given.requires_grad
        assert not solution.q.requires_grad
        assert all(torch.equal(a, b) for a, b in zip(solution.prior_state, plain.prior_state, strict=True))
    short = {"tolerance": 1e-9, "iterations": 7, "gradient": "implicit"}  # nothing is asked of what did not converge
    assert fastip.admm(y.numpy(), BLUR, prior, **short).status is Status.ITERATIONS
    with torch.no_grad():
        assert fastip.admm(y.requires_grad_(), BLUR, prior, **short).status is Status.ITERATIONS


class Keeping(priors.Prior):
    """A prior that keeps its last image, and has no derivative of it."""

    def bind(self, y, op):
        class Bound(priors.prior.BoundWithout):
            def __call__(self, v, step):
                self.last = v / (1 + step)
                return self.last

            def state(self):
                return (self.last.detach(),)

        return Bound()


@pytest.mark.parametrize(
    "named, says",
    [
        ({"tolerance": 0}, "tolerance=0 runs a number of iterations without looking"),
        ({"callback": lambda state: None}, "a callback may stop it before"),
        ({"iterations": 5, "tolerance": 1e-9}, "this one did not: the iterations were used up"),
    ],
)
def test_what_has_no_fixed_point_is_refused(named, says):
    with pytest.raises(Unsupported, match=says):
        fastip.admm(measured(BLUR).requires_grad_(), BLUR, priors.TV(0.02), gradient="implicit", **named)


def test_other_refusals(monkeypatch):
    y = measured(BLUR).requires_grad_()
    with pytest.raises(InvalidInput, match="expected 'unrolled' or 'implicit'"):
        fastip.admm(y, BLUR, priors.TV(0.02), gradient="implict")
    with pytest.raises(Unsupported, match="define fields"):
        fastip.admm(y, BLUR, Keeping(), gradient="implicit", beta=0.1)
    solution = fastip.admm(y, BLUR, priors.TV(0.02), gradient="implicit", tolerance=1e-4, iterations=500)
    with pytest.raises(RuntimeError, match="twice"):
        (once,) = torch.autograd.grad(solution.x.square().sum(), y, create_graph=True)
        once.sum().backward()
    monkeypatch.setattr(implicit, "MOST", 20)
    solution = fastip.admm(y, BLUR, priors.TV(0.02), gradient="implicit", tolerance=1e-4, iterations=500)
    with pytest.raises(Unsupported, match="did not settle in 20 terms"):
        solution.x.square().sum().backward()
