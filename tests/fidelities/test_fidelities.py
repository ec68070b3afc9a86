"""``fidelity=``: the step that it makes, what it takes and refuses, and the same rules as for plain squares."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import fastip
from cases.checks import noise, relative
from cases.pretended import pretended
from fastip import fidelities, inverses, operators, priors, psf
from fastip.contracts import Status
from fastip.errors import InvalidInput, UnknownKeyword, Unsupported

Clipped, Squares = fidelities.Clipped, fidelities.Squares
BLUR = operators.Blur(noise((4, 3), seed=7).abs() / 12, boundary="valid")
HOLED = operators.Mask(noise((8, 9), seed=5)) @ BLUR
ZERO = operators.Blur(psf.box(3), boundary="zero")
FOURIER = operators.MaskedFourier(torch.ones(11, 11))
CASES = {  # data are those of an image 2 2 11 11 in about [0, 1.5]
    "weights": Squares(noise((8, 9), seed=4).abs().where(noise((8, 9), seed=6) > -0.5, 0)),
    "weights of each": Squares(noise((2, 1, 8, 9), seed=4).square()),
    "one weight": Squares(2.5),
    "high": Clipped(0.4),
    "both": Clipped(high=0.5, low=0.1),
    "absolute": fidelities.Absolute(),
    "absolute, weights": fidelities.Absolute(noise((8, 9), seed=4).abs().where(noise((8, 9), seed=6) > -0.5, 0)),
    "huber": fidelities.Huber(0.1, noise((2, 8, 9), seed=4).abs()),
    "counts": fidelities.Poisson(),
    "counts, background": fidelities.Poisson(0.3 + noise((2, 1, 8, 9), seed=4).abs(), weights=[[0.5] * 8 + [0.0]]),
    "masks": Clipped(high=noise((2, 8, 9), seed=2) > 0.8, low=noise((8, 9), seed=3) > 0.8),
}
TV = priors.TV(0.02) + priors.Box(0, float("inf"))


OF_EACH = ("weights of each", "masks", "counts, background")  # that are for two images
SMOOTH_SQUARES = ("weights", "weights of each", "one weight", "high", "both", "masks")


def observed(
    op: Any = HOLED, shape: tuple[int, ...] = (2, 2, 11, 11), dtype: torch.dtype = torch.float64, name: str = ""
) -> Tensor:
    """Data of ``op``; of a case that counts, without those below 0."""
    x = 1.5 * torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    y: Tensor = op(x)
    y = y + 0.02 * noise(y.shape, seed=4)
    y = y.clamp_min(0) + 0.05 if name.startswith("counts") else y
    return y if y.is_complex() else y.to(dtype)


def solved(y: Any, fidelity: Any, op: Any = HOLED, prior: Any = TV, **given: Any) -> fastip.Solution:
    given = {"beta": 0.1, "iterations": 12, "tolerance": 0, "inverse": inverses.Split()} | given
    return fastip.admm(y, op, prior, fidelity=fidelity, **given)


# ---- the prox, its gradient and its value ----------------------------------------------------------------------------


def terms(name: str, v: Tensor, y: Tensor) -> Tensor:
    """D(v) as the documentation has it, datum by datum."""
    fidelity: Any = CASES[name]
    if isinstance(fidelity, Squares):
        return fidelity.weights * (v - y).square()
    high, low = fidelity.high, fidelity.low
    least = high if isinstance(high, Tensor) else y >= high
    most = torch.zeros_like(least) if low is None else low if isinstance(low, Tensor) else y <= low
    ordinary = (v - y).square()
    ordinary = torch.where(least & ~most, (y - v).clamp_min(0).square(), ordinary)
    return torch.where(most & ~least, (v - y).clamp_min(0).square(), ordinary)


@pytest.mark.parametrize("name", SMOOTH_SQUARES)
def test_the_prox_the_slope_and_the_value(name: str) -> None:
    y = 0.4 * noise((2, 2, 8, 9), seed=1)
    scale, v, e = noise((8, 9), seed=8), 2 * noise(y.shape, seed=9), 0.3
    bound = CASES[name].bind(y, torch.float64)
    u = bound.prox(v, scale, e).requires_grad_()
    (gradient,) = torch.autograd.grad((terms(name, scale * u, y) + e * (u - v).square()).sum(), u)
    assert gradient.abs().max() < 1e-12
    at = v.clone().requires_grad_()
    (slope,) = torch.autograd.grad(terms(name, at, y).sum(), at)
    torch.testing.assert_close(bound.slope(v), -slope / 2)
    torch.testing.assert_close(bound.value(v), terms(name, v, y).flatten(1).sum(dim=1))


def test_a_datum_at_both_limits_is_an_ordinary_one() -> None:
    y, both = observed(), torch.ones(8, 9, dtype=torch.bool)
    split = inverses.Split(0.1)
    assert relative(solved(y, Clipped(both, both), inverse=split).x, solved(y, None, inverse=split).x) < 1e-12


# ---- squares ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["weights", "weights of each", "one weight"])
def test_weights_are_a_mask_of_their_roots(name: str) -> None:
    """The start, the penalties (the default beta where there is one weight), the stop rule and the iterates."""
    a: Any = CASES[name].weights  # type: ignore[union-attr]
    y, root = observed(BLUR), a.sqrt().expand(2, 1, 8, 9) if a.ndim else a.sqrt().expand(8, 9)
    given: dict[str, Any] = {"beta": 0.1 if a.ndim else None}
    for tolerance, iterations in ((0, 12), (1e-3, 300)):
        given |= {"tolerance": tolerance, "iterations": iterations}
        one = solved(y, CASES[name], BLUR, **given)
        two = solved(y * root, None, operators.Mask(root) @ BLUR, inverse=inverses.Split(), **given)
        assert relative(one.x, two.x) < 1e-9 and (one.status, one.iterations) == (two.status, two.iterations)
        torch.testing.assert_close(one.residuals[:, 1], two.residuals[:, 1], rtol=1e-6, atol=0)


def test_what_does_not_count_may_be_anything() -> None:
    y, a = observed(), CASES["weights"].weights  # type: ignore[union-attr]
    assert a is not None
    for value in (float("nan"), float("inf"), 1e30):
        spoilt = torch.where(a > 0, y, torch.full_like(y, value))
        for tolerance in (0, 1e-3):
            one, two = (solved(v, CASES["weights"], tolerance=tolerance, iterations=60) for v in (y, spoilt))
            assert torch.equal(one.x, two.x) and one.status is two.status is not Status.UNSTABLE
        assert "squares with weights" in fastip.explain(HOLED, TV, spoilt, fidelity=CASES["weights"])
        spoilt.requires_grad_()
        (gradient,) = torch.autograd.grad(solved(spoilt, CASES["weights"]).x.sum(), spoilt)
        assert torch.isfinite(gradient).all() and not gradient[(a == 0).expand_as(gradient)].any()
    spoilt = y.clone()
    spoilt[0, 0][a > 0] = float("nan")
    with pytest.raises(InvalidInput, match="NaN"):
        solved(spoilt, CASES["weights"])


def test_squares_without_weights_are_those_of_a_solve_without_a_fidelity() -> None:
    y = observed(BLUR)
    for inverse in ("auto", inverses.Exact(), inverses.Split()):
        assert torch.equal(solved(y, Squares(), BLUR, inverse=inverse).x, solved(y, None, BLUR, inverse=inverse).x)


# ---- the same rules as for plain squares -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [name for name in CASES if name not in ("weights of each", "masks", "counts, background")]
)
@pytest.mark.parametrize("dtype, allowed", [(torch.float32, 1e-5), (torch.float64, 1e-12)], ids=str)
def test_a_picture_does_not_depend_on_its_batch(name: str, dtype: torch.dtype, allowed: float) -> None:
    y = observed(dtype=dtype, name=name)
    # the default penalties of counts and absolute differences are made for the mean of the data
    given = {"inverse": inverses.Split(0.1)} if name not in SMOOTH_SQUARES else {}
    beside = solved(torch.cat((1e6 * y, y[:1])), CASES[name], **given)
    assert beside.x.dtype == dtype and relative(beside.x[2:], solved(y[:1], CASES[name], **given).x) < allowed


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_solution_is_resumed_exactly(name: str, dtype: torch.dtype) -> None:
    y = observed(dtype=dtype, name=name)
    whole, part = solved(y, CASES[name]), solved(y, CASES[name], iterations=5)
    part = pickle.loads(pickle.dumps(part))
    more = solved(y, CASES[name], iterations=7, init=part)
    assert torch.equal(more.x, whole.x) and torch.equal(more.q, whole.q)


@pytest.mark.parametrize("name", [name for name in CASES if "absolute" not in name])  # which comes to rest at kinks
def test_gradients(name: str) -> None:
    op = operators.Mask(noise((8, 9), seed=3).abs()) @ operators.Blur(noise((2, 3), seed=2).abs() / 6, boundary="valid")
    y = observed(op, (2, 2, 9, 11), name=name)
    weight = torch.tensor(0.05, dtype=torch.float64, requires_grad=True)
    direction, seen = noise(y.shape, seed=1), noise(op.input_shape(tuple(y.shape)), seed=2)

    def solve(t: Tensor, weight: Tensor) -> Tensor:
        given: dict[str, Any] = {"beta": [0.2, 0.1], "iterations": 4, "relaxation": 1.2, "prior": priors.L2(weight)}
        given |= {"inverse": inverses.Split(0.1)}  # the default of counts depends on them, without a gradient
        return (seen * solved(y + t * direction, CASES[name], op, **given).x).sum()

    t = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(solve, (t, weight))


@pytest.mark.parametrize("name", CASES)
def test_on_a_gpu_in_half_precision_and_without_waits(name: str) -> None:
    y = observed(name=name).half()
    expected = solved(y.double(), CASES[name]).x
    with pretended() as gpu:
        x = gpu.get(solved(gpu.put(y), CASES[name]).x)
        assert x.dtype == torch.float16 and relative(x.double(), expected) < 5e-3
        waits = len(gpu.waits)
        solved(gpu.put(y), CASES[name])
        looked = 0 if name in (*SMOOTH_SQUARES, "huber") else 1 + name.startswith("counts")  # their mean, the least
        assert len(gpu.waits) - waits <= 2 + 1 + looked  # the door and the end


@pytest.mark.parametrize("name", CASES)
def test_kept_and_told(name: str) -> None:
    y = observed(dtype=torch.float32, name=name)
    again = pickle.loads(pickle.dumps(CASES[name]))
    assert torch.equal(solved(y, again).x, solved(y, CASES[name]).x)
    assert np.array_equal(solved(y.numpy(), CASES[name]).x, solved(y, CASES[name]).x.numpy())
    text = fastip.explain(HOLED, TV, y, fidelity=CASES[name], inverse=inverses.Split(), relaxation=0.9)
    assert "second split" in text and CASES[name].describe() in text


def test_words() -> None:
    assert Clipped(1.0).describe() == "clipped above 1"
    assert Clipped(torch.ones(2, 2) > 0, 0.25).describe() == "clipped above where a mask says and below 0.25"
    assert Squares([[0.0, 3.0]]).describe() == "squares with weights up to 3"


def test_weights_and_limits_are_copied() -> None:
    weights, mask = torch.ones(8, 9), np.zeros((8, 9), bool)
    squares, clipped = Squares(weights), Clipped(high=mask)
    weights[:], mask[:] = 0, True
    y, split = observed(), inverses.Split(0.1)
    assert relative(solved(y, squares, inverse=split).x, solved(y, clipped, inverse=split).x) < 1e-12


def test_what_is_clipped_pulls_to_one_side() -> None:
    """The identity with l2: x = y / (1 + weight) for ordinary data; what is clipped stays at what it says."""
    y = torch.tensor([[[[0.2, 1.0, 0.6, 0.0]]]], dtype=torch.float64)
    op, given = operators.Mask(torch.ones(1, 4)), {"iterations": 400, "prior": priors.L2(0.25), "beta": 1.0}
    found = solved(y, Clipped(1.0, 0.0), op, **given).x.flatten()
    torch.testing.assert_close(found, y.flatten() / 1.25, rtol=1e-6, atol=1e-6)
    start = torch.full_like(y, 3.0)
    found = solved(y, Clipped(1.0), op, prior=priors.Box(0, 5), init=start, iterations=400).x.flatten()
    assert abs(found[0] - 0.2) < 1e-6 and found[1] > 1.5  # nothing pulls it down


# ---- saturated pixels ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
def test_groups_are_those_of_scipy(seed: int) -> None:
    label = pytest.importorskip("scipy.ndimage").label
    random = np.random.default_rng(seed)
    y = (random.random((2, 3, *random.integers(1, 30, 2))) < random.uniform(0.1, 0.8)).astype("float32")
    for group in (1, 2, 4, 9):
        expected = np.zeros(y.shape, bool)
        for plane, found in zip(y.reshape(6, *y.shape[2:]), expected.reshape(6, *y.shape[2:]), strict=True):
            labels = label(plane >= 1)[0]
            found[:] = (labels > 0) & (np.bincount(labels.ravel())[labels] >= group)
        found = fidelities.saturated(y, group=group)
        assert found.dtype == bool and np.array_equal(found, expected)
        strided = torch.from_numpy(y).to(memory_format=torch.channels_last)
        assert torch.equal(fidelities.saturated(strided, group=group), torch.from_numpy(expected))


def test_a_white_pixel_alone_is_an_ordinary_datum() -> None:
    y = torch.full((1, 2, 6, 7), 0.5)
    y[0, 0, 1, 1] = 1.0
    y[0, 1, 2:4, 3:5] = 1.25
    mask = fidelities.saturated(y)
    assert int(mask.sum()) == 4 and bool(mask[0, 1, 2:4, 3:5].all())
    assert torch.equal(fidelities.saturated(-y, -0.5, group=1), y == 0.5)
    assert not fidelities.saturated(y, 1.3).any()


@pytest.mark.parametrize(
    "given, words",
    [
        ({"y": torch.ones(3, 4)}, "four dimensions"),
        ({"y": torch.ones(1, 1, 3, 4, dtype=torch.int32)}, "dtype"),
        ({"high": float("nan")}, "high is nan"),
        ({"high": None}, "high is None"),
        ({"group": 0}, "group is 0"),
        ({"group": 2.5}, "group is 2.5"),
        ({"limit": 1}, "no keyword 'limit'"),
    ],
)
def test_saturated_refuses(given: dict[str, Any], words: str) -> None:
    with pytest.raises((InvalidInput, UnknownKeyword), match=words):
        fidelities.saturated(**({"y": torch.ones(1, 1, 3, 4)} | given))


# ---- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: Squares(-1.0), "negative"),
        (lambda: Squares(torch.zeros(8, 9)), "0 everywhere"),
        (lambda: Squares([1.0, float("nan")]), "NaN"),
        (lambda: Squares("many"), "array of numbers"),
        (lambda: Squares(torch.ones(8, 9, requires_grad=True)), r"parameters of a fidelity are constants"),
        (lambda: Squares(weight=1), "did you mean 'weights'"),
        (lambda: Clipped(), "neither high nor low"),
        (lambda: Clipped(float("nan")), "high is nan"),
        (lambda: Clipped(True), "high is True"),
        (lambda: Clipped(low="dark"), "low is 'dark'; expected a number"),
        (lambda: Clipped(high=0.1, low=0.1), "expected low < high"),
        (lambda: Clipped(high=torch.ones(8, 9)), "boolean mask .* y >= limits"),
        (lambda: Clipped(low=np.ones((8, 9))), "boolean mask .* y <= limits"),
        (lambda: Clipped(higher=1.0), "did you mean 'high'"),
    ],
)
def test_bad_ones_are_refused(make: Any, words: str) -> None:
    with pytest.raises((InvalidInput, Unsupported, UnknownKeyword), match=words):
        make()


@pytest.mark.parametrize(
    "fidelity, op, given, words",
    [
        (Squares(torch.ones(8, 8)), HOLED, {}, r"weights has shape \(8, 8\), which does not broadcast to the data"),
        (Squares(torch.ones(3, 1, 8, 9)), HOLED, {}, "does not broadcast"),
        (Clipped(torch.ones(2, 9) > 0), HOLED, {}, "high has shape"),
        (Clipped(None, torch.ones(2, 9) > 0), HOLED, {}, "low has shape"),
        (Clipped, HOLED, {}, "expected an object of fastip.fidelities"),
        ("clipped", HOLED, {}, r"fidelity is 'clipped'; .*Clipped\(high=1\.0\)"),
        (
            Clipped(1.0),
            HOLED,
            {"inverse": inverses.Exact()},
            r"Scalar\(\), inverses\.Diagonal\(\), inverses\.Split\(\)$",
        ),
        (
            Squares(2.0),
            BLUR,
            {"inverse": inverses.Stencil(2)},
            r"inverses\.Stencil, which has no step for fidelities\.Squares",
        ),
        (Squares(2.0), operators.Mask(noise((11, 11))), {"inverse": inverses.Stencil(2)}, r"inverses\.Exact\(\)$"),
        (Clipped(1.0), BLUR, {"inverse": "split"}, "inverse is 'split'"),
        (Clipped(1.0), ZERO, {"inverse": inverses.Split()}, r"one of inverses\.Scalar\(\), inverses\.Diagonal\(\)$"),
        (fidelities.Poisson(), HOLED, {}, "values down to -"),
        (fidelities.Poisson(torch.ones(3)), HOLED, {}, "background has shape"),
        (fidelities.Poisson(), FOURIER, {}, "y is torch.complex128, and fidelities.Poisson is of real data"),
        (Clipped(1.0), FOURIER, {}, "is of real data"),
    ],
)
def test_what_does_not_fit_is_refused(fidelity: Any, op: Any, given: dict[str, Any], words: str) -> None:
    y = observed(op)
    for function in (
        lambda: fastip.admm(y, op, TV, fidelity=fidelity, **given),
        lambda: fastip.explain(op, TV, y, fidelity=fidelity, **given),
    ):
        with pytest.raises((InvalidInput, Unsupported), match=words):
            function()
