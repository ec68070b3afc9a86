"""What every fidelity gives, datum by datum: both proxes, the slope, the distance of a slope, and the value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import fastip
from cases.checks import noise, relative
from fastip import fidelities, inverses, operators, priors, psf
from fastip.contracts import Status
from fastip.errors import InvalidInput, Unsupported
from fastip.solvers.pgd import BackProjection, Nesterov

Y = torch.tensor([0.0, 0.2, 1.0, 7.0, 0.5], dtype=torch.float64)
A = torch.tensor([1.0, 2.0, 0.3, 1.0, 0.0], dtype=torch.float64)
B = torch.tensor([0.5, 0.0, 0.1, 2.0, 0.0], dtype=torch.float64)
INFINITE = torch.tensor(float("inf"), dtype=torch.float64)


def counts(v: Tensor, y: Tensor, a: Tensor, b: Tensor) -> Tensor:
    t = v + b
    value = t - torch.where(y > 0, y * t.clamp_min(1e-300).log(), 0.0)
    return torch.where(a > 0, a * torch.where((t > 0) | ((t == 0) & (y == 0)), value, INFINITE), 0.0)


def huber(r: Tensor) -> Tensor:
    return torch.where(r.abs() <= 0.3, r.square(), 0.6 * r.abs() - 0.09)


ONE, NONE = torch.ones_like(Y), torch.zeros_like(Y)
CASES: dict[str, tuple[Any, Callable[[Tensor], Tensor]]] = {  # the fidelity, and D at each datum of Y
    "squares": (fidelities.Squares(A), lambda v: A * (v - Y).square()),
    "clipped": (
        fidelities.Clipped(1.0, 0.1, weights=A),
        lambda v: (
            A * torch.where(Y >= 1, (Y - v).clamp_min(0), torch.where(Y <= 0.1, (v - Y).clamp_min(0), v - Y)) ** 2
        ),
    ),
    "counts": (fidelities.Poisson(), lambda v: counts(v, Y, ONE, NONE)),
    "counts, background": (fidelities.Poisson(B, weights=A), lambda v: counts(v, Y, A, B)),
    "absolute": (fidelities.Absolute(), lambda v: (v - Y).abs()),
    "absolute, weights": (fidelities.Absolute(A), lambda v: A * (v - Y).abs()),
    "huber": (fidelities.Huber(0.3), lambda v: huber(v - Y)),
    "huber, weights": (fidelities.Huber(0.3, A), lambda v: A * huber(v - Y)),
}
EVERY = pytest.mark.parametrize("name", CASES)


def bound(name: str) -> tuple[Any, Callable[[Tensor], Tensor]]:
    fidelity, terms = CASES[name]
    return fidelity.bind(fidelity.known(Y), torch.float64), terms


def drawn(seed: int) -> tuple[Tensor, Tensor, float]:
    """v, a scale that is 0 or negative at some data, and a penalty."""
    random = np.random.default_rng(seed)
    v, scale = 4 * random.standard_normal(5), random.standard_normal(5) * (random.random(5) < 0.8)
    return torch.from_numpy(v), torch.from_numpy(scale), float(10 ** random.uniform(-2, 2))


@EVERY
@pytest.mark.parametrize("seed", range(20))
def test_nothing_beats_the_prox(name: str, seed: int) -> None:
    """A fine scan, and candidates near it; where nothing counts it moves nothing."""
    term, terms = bound(name)
    v, scale, e = drawn(seed)
    u = term.prox(v, scale, e)

    def objective(u: Tensor) -> Tensor:
        t = scale * u
        # what lies on the border of the domain stays there
        moved = torch.where(torch.isinf(terms(t)), t + 1e-12 * (1 + t.abs()), t)
        return terms(moved) + e * (u - v).square()

    best = objective(u)
    assert torch.isfinite(best).all()
    for step in (*torch.linspace(-8, 8, 400), *(10.0 ** torch.arange(-6, 1)), *-(10.0 ** torch.arange(-6, 1))):
        assert (objective(u + step) >= best - 1e-9 * (1 + best.abs())).all(), step
    still = (scale == 0) | (A == 0) if "weights" in name or name in ("squares", "clipped") else scale == 0
    torch.testing.assert_close(u[still], v[still])


@EVERY
@pytest.mark.parametrize("seed", range(20))
def test_the_conjugate_prox_is_moreau_s(name: str, seed: int) -> None:
    """``prox_{s D*}(w) = w - s prox_{D / s}(w / s)``, for a number and for one of each datum."""
    term, _ = bound(name)
    w, _, sigma = drawn(seed)
    expected = w - sigma * term.prox(w / sigma, ONE, sigma / 2)
    torch.testing.assert_close(term.conjugate(w, sigma), expected, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(term.conjugate(w, sigma * ONE), expected, rtol=1e-8, atol=1e-8)
    single = CASES[name][0].bind(CASES[name][0].known(Y).float(), torch.float32).conjugate(w.float(), sigma)
    torch.testing.assert_close(single.double(), expected, rtol=1e-4, atol=1e-4)


@EVERY
@pytest.mark.parametrize("seed", range(5))
def test_how_far_a_slope_is(name: str, seed: int) -> None:
    """0 at the point where it is one; D(v) + D*(nu) - nu v, D* by its definition, elsewhere."""
    term, terms = bound(name)
    w, _, sigma = drawn(seed)
    nu = term.conjugate(w, sigma)
    at = (w - nu) / sigma
    assert term.apart(at, nu).abs().max() < 1e-9 * (1 + at.abs().max() ** 2)
    v = at + torch.rand(5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    v = v.clamp_min(0) + 0.01
    scan = torch.linspace(-20, 60, 40001, dtype=torch.float64)[:, None].expand(-1, 5)
    conjugate = (nu * scan - terms(scan)).amax(dim=0)
    torch.testing.assert_close(term.apart(v, nu), terms(v) + conjugate - nu * v, rtol=1e-3, atol=2e-3)


@EVERY
def test_the_slope_and_the_value(name: str) -> None:
    fidelity, terms = CASES[name]
    term = fidelity.bind(fidelity.known(Y)[None], torch.float64)
    v = torch.tensor([0.35, 1.4, 0.2, 3.0, 0.8], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(terms(v).sum(), v)
    torch.testing.assert_close(term.slope(v.detach())[0], -gradient / 2)
    least = terms(term.least).sum() if not name.startswith("counts") else terms(term.least.clamp_min(1e-300)).sum()
    if name != "counts, background":  # whose least v is below 0 where the background is above the counts
        torch.testing.assert_close(term.value(v[None]).detach(), terms(v).detach().sum()[None] - least)
    assert term.value(v[None].detach()).item() >= 0 and term.whole().shape == (1,)


@EVERY
def test_what_pulls_at_zero(name: str) -> None:
    """Half the slope where there is one; half of the most that absolute values and counts can have, by weights."""
    term, terms = bound(name)
    weights = A if "weights" in name or "background" in name else ONE
    expected = weights * (4 * Y / 7).clamp_max(1) / 4 if name.startswith("absolute") else weights / 2
    if term.smooth:
        expected = -torch.func.grad(lambda v: terms(v).sum())(torch.zeros_like(Y)) / 2
    torch.testing.assert_close(term.pulled, expected)


@pytest.mark.parametrize("name", ["squares", "clipped", "huber", "huber, weights", "counts, dark"])
def test_the_steepest_slope(name: str) -> None:
    """D'' / 2 is that at the most for v >= 0, and that somewhere."""
    fidelity = fidelities.Poisson(B + 0.1) if name == "counts, dark" else CASES[name][0]
    term: Any = fidelity.bind(fidelity.known(Y), torch.float64)
    v = torch.linspace(0, 9, 9001, dtype=torch.float64)[:, None].expand(-1, 5)
    steepest = float((term.slope(v[:-1]) - term.slope(v[1:])).max() / 1e-3)
    assert steepest == pytest.approx(fidelity.steepest(Y), rel=2e-2)


def test_moduli_of_complex_data() -> None:
    y = torch.complex(noise((4, 3), seed=1), noise((4, 3), seed=2))
    w = torch.complex(noise((4, 3), seed=3), noise((4, 3), seed=4))
    for fidelity, most in ((fidelities.Absolute(), 1.0), (fidelities.Huber(0.2), 0.4)):
        term: Any = fidelity.bind(y, torch.float64)
        nu = term.conjugate(w, 0.7)
        assert nu.abs().max() <= most * (1 + 1e-12) and (nu.abs() > 0.99 * most).any()
        assert term.apart((w - nu) / 0.7, nu).abs().max() < 1e-12
        assert (term.apart(w, nu) > 0).all()


# ---- a number or a diagonal for A A^T --------------------------------------------------------------------------------

REFLECT = operators.Mask(noise((9, 8), seed=5).abs() + 0.1) @ operators.Blur(
    psf.gaussian(3, sigma=0.8), boundary="reflect"
)
TV = priors.TV(0.05) + priors.NonNegative()
SOLVED: dict[str, Any] = {
    "squares": fidelities.Squares(noise((9, 8), seed=4).abs().where(noise((9, 8), seed=6) > -0.5, 0)),
    "counts": fidelities.Poisson(),
    "counts, background": fidelities.Poisson(0.2),
    "absolute": fidelities.Absolute(noise((9, 8), seed=4).abs()),
    "huber": fidelities.Huber(0.1),
    "clipped": fidelities.Clipped(0.5),
}


def seen(op: Any = REFLECT, name: str = "", shape: tuple[int, ...] = (2, 1, 9, 8)) -> Tensor:
    x = torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    y: Tensor = op(x)
    return y.clamp_min(0) if name.startswith("counts") else y


@pytest.mark.parametrize("name", SOLVED)
def test_both_end_where_the_second_split_does(name: str) -> None:
    op = operators.Mask(noise((9, 8), seed=5).abs() + 0.1) @ operators.Blur(psf.gaussian(3, sigma=0.8))
    y, given = seen(op, name), {"iterations": 1000, "tolerance": 1e-5, "fidelity": SOLVED[name]}
    found = [
        fastip.admm(y, op, TV, inverse=inverse, **given)
        for inverse in (inverses.Split(), inverses.Scalar(), inverses.Diagonal())
    ]
    term = SOLVED[name].bind(SOLVED[name].known(y), torch.float64)
    values = [term.value(op(s.x)) + TV.value(s.x) for s in found]
    assert name == "absolute" or all(s.status is Status.CONVERGED for s in found)  # differences that end at 0 are slow
    allowed = 5e-3 if name == "absolute" else 1e-4
    assert relative(values[1], values[0]) < allowed and relative(values[2], values[1]) < allowed


def test_where_a_diagonal_is_known_squares_are_exact() -> None:
    op, weights = operators.Mask(noise((9, 8), seed=5)), SOLVED["squares"].weights
    y = seen(op)
    given: dict[str, Any] = {"beta": 0.1, "tolerance": 0, "fidelity": SOLVED["squares"]}
    found = fastip.admm(y, op, TV, inverse=inverses.Exact(), init=torch.zeros_like(y), **given)
    plain = fastip.admm(
        y * weights.sqrt(),
        operators.Mask(weights.sqrt()) @ op,
        TV,
        beta=0.1,
        tolerance=0,
        init=torch.zeros_like(y),
        inverse=inverses.Exact(),
    )
    assert relative(found.x, plain.x) < 1e-12 and relative(found.q, plain.q * weights.sqrt()) < 1e-10


@pytest.mark.parametrize("name", SOLVED)
def test_gradients(name: str) -> None:
    y = seen(REFLECT, name) + 0.01
    weight = torch.tensor(0.05, dtype=torch.float64, requires_grad=True)
    direction, at = noise(y.shape, seed=1), noise((2, 1, 9, 8), seed=2)

    def solve(t: Tensor, weight: Tensor) -> Tensor:
        data, prior = y + t * direction * (y > 0.02), priors.L2(weight)
        given: dict[str, Any] = {"beta": 0.3, "iterations": 4, "tolerance": 0, "relaxation": 1.2}
        inverse = inverses.Scalar()
        return (at * fastip.admm(data, REFLECT, prior, fidelity=SOLVED[name], inverse=inverse, **given).x).sum()

    t = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(solve, (t, weight))


@pytest.mark.parametrize("name", ["counts, background", "huber"])
def test_the_gradient_of_the_fixed_point(name: str) -> None:
    y, found = seen(REFLECT, name) + 0.01, []
    for given in (
        {"gradient": "implicit", "tolerance": 1e-6, "iterations": 5000},
        {"tolerance": 0, "iterations": 300},
    ):
        weight = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
        data = y.clone().requires_grad_()
        more: dict[str, Any] = {"fidelity": SOLVED[name], "inverse": inverses.Scalar(), "beta": 0.3, **given}
        fastip.admm(data, REFLECT, priors.L2(weight), **more).x.square().sum().backward()
        found.append((data.grad, weight.grad))
    for one, other in zip(*found, strict=True):
        assert one is not None and other is not None and relative(one, other) < 1e-3


@pytest.mark.parametrize("name", ["counts", "absolute"])  # whose curvature depends on the data
@pytest.mark.parametrize("scale", [1e2, 1e4])
def test_the_default_beta_follows_counts(name: str, scale: float) -> None:
    """Counts that are as many times as high take as many iterations, the image as many times as high."""
    y = 5 * seen(REFLECT, name)
    given: dict[str, Any] = {"fidelity": SOLVED[name], "iterations": 3000}
    one, other = (fastip.admm(times * y, REFLECT, priors.TV(0.1), **given) for times in (1.0, scale))
    assert one.status is other.status is Status.CONVERGED and abs(one.iterations - other.iterations) <= 5
    assert relative(other.x / scale, one.x) < 1e-6 and abs(other.beta * scale / one.beta - 1) < 1e-6  # type: ignore[operator]


def test_what_serves() -> None:
    matrix = operators.Dense(noise((20, 72), seed=1), image_shape=(1, 9, 8))
    rows = operators.Sparse((torch.eye(72) * torch.arange(1.0, 73.0)).double().to_sparse(), image_shape=(1, 9, 8))
    poisson = fidelities.Poisson(100.0)
    for op, words in (
        (operators.Blur(psf.box(3)), "a prox in line one, a number"),
        (REFLECT, "a prox in line one, a number"),
        (rows, "number for each datum"),
        (operators.MaskedFourier(torch.ones(9, 8)), "a number"),
        (matrix, "line one"),
    ):
        y = op(torch.rand(1, 1, 9, 8, dtype=torch.float64))
        fidelity = fidelities.Absolute() if y.is_complex() else poisson
        y = y if y.is_complex() else y.abs()
        assert words in fastip.explain(op, priors.TV(1.0), y, fidelity=fidelity), words


def test_words() -> None:
    assert fidelities.Poisson(2.0).describe() == "counts (Poisson) with a background up to 2"
    assert repr(fidelities.Huber(0.5)) == "Huber(0.5)" and repr(fidelities.Poisson()) == "Poisson(0)"


# ---- masked arrays ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [None, *SOLVED])
def test_what_a_masked_array_masks_does_not_count(name: str | None) -> None:
    fidelity = None if name is None else SOLVED[name]
    y, mask = seen(REFLECT, name or "").numpy(), noise((2, 1, 9, 8), seed=7).numpy() > 0.8
    given: dict[str, Any] = {"iterations": 40, "tolerance": 0, "beta": 0.1}
    spoilt = np.where(mask, np.nan, y)
    found = fastip.admm(np.ma.masked_array(spoilt, mask), REFLECT, TV, fidelity=fidelity, **given).x
    without = (fidelities.Squares() if fidelity is None else fidelity).without(torch.from_numpy(mask))
    expected = fastip.admm(np.where(mask, 0.0, y), REFLECT, TV, fidelity=without, **given).x
    assert type(found) is np.ndarray and np.array_equal(found, expected)
    assert "weights" in fastip.explain(REFLECT, TV, np.ma.masked_array(y, mask)) and np.isfinite(found).all()
    nothing = np.ma.masked_array(y, np.zeros_like(mask))
    assert np.array_equal(
        fastip.admm(nothing, REFLECT, TV, fidelity=fidelity, **given).x,
        fastip.admm(y, REFLECT, TV, fidelity=fidelity, **given).x,
    )


def test_a_masked_array_without_data_is_refused() -> None:
    y = np.ma.masked_array(np.ones((1, 1, 9, 8)), True)
    with pytest.raises(InvalidInput, match="all values of y are masked"):
        fastip.admm(y, REFLECT, TV)


# ---- projected gradient descent --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["squares", "huber", "clipped", "counts, background"])
def test_gradient_descent_ends_at_the_same_minimum(name: str) -> None:
    y, prior = seen(REFLECT, name) + 0.3, priors.L2(0.1) + priors.NonNegative()
    given: dict[str, Any] = {"fidelity": SOLVED[name], "iterations": 20000, "tolerance": 1e-8}
    one = fastip.pgd(y, REFLECT, prior, momentum=Nesterov(), **given)
    assert one.status is Status.CONVERGED
    other = fastip.admm(y, REFLECT, prior, **given | {"tolerance": 1e-7})
    assert relative(one.x, other.x) < 1e-3


@pytest.mark.parametrize(
    "fidelity, given, words",
    [
        (fidelities.Absolute(), {}, "that of absolute differences does not"),
        (fidelities.Poisson(), {}, "Poisson with a background > 0"),
        (fidelities.Huber(0.1), {"step": 1.5}, "diverges"),
        (fidelities.Huber(0.1), {"step": BackProjection()}, "not for Huber"),
    ],
)
def test_gradient_descent_refuses(fidelity: Any, given: dict[str, Any], words: str) -> None:
    with pytest.raises((InvalidInput, Unsupported), match=words):
        fastip.pgd(seen(REFLECT).abs(), REFLECT, TV, fidelity=fidelity, **given)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: fidelities.Poisson(-1.0), "background is negative"),
        (lambda: fidelities.Poisson(weights=0.0), "0 everywhere"),
        (lambda: fidelities.Poisson(float("nan")), "NaN"),
        (lambda: fidelities.Huber(0.0), "width is 0"),
        (lambda: fidelities.Absolute(-1.0), "negative"),
    ],
)
def test_bad_ones_are_refused(make: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        make()
