"""What must hold for every prior: the registry walk, optimality of the prox, gradients, sums, weights."""

from __future__ import annotations

import pytest
import torch

from cases.priors import CASES, CONVEX, SHAPE, Case, box, draw, prox
from fastip import operators, priors
from fastip.errors import FastipError, InvalidInput, UnknownKeyword, Unsupported

STEP, WEIGHT = 0.8, 0.15


def test_every_public_prior_has_a_case() -> None:
    public = set(priors.__all__) - {"Prior"}
    tested = {type(case.make(WEIGHT)).__name__ for case in CASES}
    assert public <= tested, f"give these a line in tests/prior_cases.py: {sorted(public - tested)}"
    assert all(issubclass(getattr(priors, name), priors.Prior) for name in public)


@pytest.mark.parametrize("case", [case for case in CONVEX if case.formula], ids=str)
@pytest.mark.parametrize("seed", [0, 1])
def test_nothing_beats_the_prox(case: Case, seed: int) -> None:
    """step R(x) + |x - v|^2 / 2 at random moves of all sizes, towards v, towards 0, and down the gradient."""
    prior, v = case.make(WEIGHT), draw(*SHAPE, seed=seed)
    x = prox(prior, v, STEP, case.calls)

    def objective(z: torch.Tensor) -> torch.Tensor:
        return STEP * prior.value(z) + (z - v).square().flatten(1).sum(dim=1) / 2

    best = objective(x)
    assert torch.isfinite(best).all()
    inside = x.clone().requires_grad_()
    (downhill,) = torch.autograd.grad(objective(inside).sum(), inside)
    downhill = downhill.nan_to_num()  # the length of a zero difference has no gradient
    generator = torch.Generator().manual_seed(seed)
    for scale in (1.0, 1e-1, 1e-2, 1e-3, 1e-4):
        moves = [torch.randn(x.shape, generator=generator, dtype=x.dtype), v - x, -x, -downhill]
        moves.append(torch.zeros_like(x).index_fill_(3, torch.tensor([seed]), 1.0))
        for move in moves:
            for sign in (1, -1):
                assert (objective((x + sign * scale * move).clamp(*box(prior))) >= best - 1e-9).all()


@pytest.mark.parametrize("case", [case for case in CONVEX if case.formula], ids=str)
def test_residual_is_a_subgradient(case: Case) -> None:
    """R(z) >= R(x) + <(v - x) / step, z - x> for every z: with x = prox(v) this is optimality itself."""
    prior, v = case.make(WEIGHT), draw(*SHAPE, seed=3)
    x = prox(prior, v, STEP, case.calls)
    slope = (v - x) / STEP
    for seed in range(20):
        for z in (draw(*SHAPE, seed=10 + seed), x + 10.0**-seed * draw(*SHAPE, seed=40 + seed), torch.zeros_like(x)):
            z = z.clamp(*box(prior))
            assert (prior.value(z) >= prior.value(x) + (slope * (z - x)).flatten(1).sum(dim=1) - 1e-8).all()


@pytest.mark.parametrize("case", CONVEX, ids=str)
def test_firmly_nonexpansive(case: Case) -> None:
    prior = case.make(WEIGHT)
    a, b = draw(*SHAPE, seed=4), draw(*SHAPE, seed=5)
    moved = prox(prior, a, STEP, case.calls) - prox(prior, b, STEP, case.calls)
    inner = (moved * (a - b)).flatten(1).sum(dim=1)
    assert (inner >= moved.square().flatten(1).sum(dim=1) - 1e-7).all()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_images_of_a_batch_are_independent(case: Case) -> None:
    prior, v = case.make(WEIGHT), draw(3, 2, 9, 8, seed=6)
    x = prox(prior, v, STEP, 3)
    for k in range(3):
        torch.testing.assert_close(prox(prior, v[k : k + 1], STEP, 3), x[k : k + 1], rtol=0, atol=1e-14)
    if case.convex and case.formula:
        assert prior.value(x).shape == (3,)
        torch.testing.assert_close(prior.value(x[1:2])[0], prior.value(x)[1])


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_keeps_dtype_and_its_argument(case: Case, dtype: torch.dtype) -> None:
    """The argument is not written to, non-contiguous ones give the same answer, float32 agrees with float64."""
    prior = case.make(WEIGHT)
    v = draw(1, 3, 9, 8, seed=7, dtype=dtype)
    before = v.clone()
    x = prox(prior, v, STEP, 2)
    assert x.dtype == dtype and x.shape == v.shape and torch.equal(v, before)
    strided = v.transpose(2, 3).contiguous().transpose(2, 3)
    assert not strided.is_contiguous()
    torch.testing.assert_close(prox(prior, strided, STEP, 2), x, rtol=0, atol=1e-6 if dtype == torch.float32 else 1e-14)
    torch.testing.assert_close(x.double(), prox(prior, v.double(), STEP, 2), rtol=0, atol=2e-6)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradient_in_the_image(case: Case) -> None:
    prior, v = case.make(WEIGHT), draw(1, 2, 5, 4, seed=8).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: prox(prior, z, STEP, 2), v)
    with torch.no_grad():
        plain = prox(prior, v.detach(), STEP, 2)
    torch.testing.assert_close(prox(prior, v, STEP, 2).detach(), plain, rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    "case, shape",
    [(c, s) for c in CASES if c.weighted for s in ((), (1,), (1, 2, 1, 1))[: 2 + c.channels]],
    ids=str,
)
def test_gradient_in_the_weight(case: Case, shape: tuple[int, ...]) -> None:
    weight = (
        (WEIGHT + 0.05 * torch.arange(1, 1 + max(1, sum(shape) // 2), dtype=torch.float64)[: torch.Size(shape).numel()])
        .reshape(shape)
        .requires_grad_()
    )
    v = draw(1, 2, 5, 4, seed=9)
    assert case.make(weight).bind(v, operators.Identity()).pointwise() is None
    assert torch.autograd.gradcheck(lambda w: prox(case.make(w), v, STEP, 2), weight)
    if case.formula:
        assert torch.autograd.gradcheck(lambda w: case.make(w).value(prox(case.make(0.1), v, STEP)), weight)


@pytest.mark.parametrize("case", [c for c in CASES if c.weighted and c.channels], ids=str)
def test_a_weight_for_each_channel(case: Case) -> None:
    """A tensor 1 c 1 1 does to each channel what the number does."""
    weights, v = torch.tensor([0.05, 0.2, 0.0], dtype=torch.float64), draw(2, 3, 8, 9, seed=10)
    x = prox(case.make(weights.reshape(1, 3, 1, 1)), v, STEP, 4)
    for c, weight in enumerate(weights):
        alone = case.make(float(weight))
        torch.testing.assert_close(
            x[:, c : c + 1], prox(alone, v[:, c : c + 1].contiguous(), STEP, 4), rtol=0, atol=1e-14
        )
    if case.formula:
        total = sum(case.make(float(w)).value(x[:, c : c + 1]) for c, w in enumerate(weights))
        torch.testing.assert_close(case.make(weights.reshape(1, 3, 1, 1)).value(x), total)


@pytest.mark.parametrize("case", [c for c in CASES if c.weighted and "+" not in c.id and c.id != "Separable"], ids=str)
def test_weight_zero_is_the_identity(case: Case) -> None:
    v = draw(1, 2, 8, 9, seed=11)
    torch.testing.assert_close(prox(case.make(0.0), v, STEP, 3), v, rtol=0, atol=1e-12)


@pytest.mark.parametrize("case", [c for c in CASES if c.weighted], ids=str)
@pytest.mark.parametrize(
    "weight",
    [
        -0.1,
        float("nan"),
        float("inf"),
        "much",
        None,
        torch.tensor([[[[-1.0]]]]),
        torch.tensor(float("nan")),
        torch.ones(2),
        torch.ones(1, 2),
        torch.tensor(1),
    ],
    ids=str,
)
def test_bad_weights_are_refused(case: Case, weight: object) -> None:
    with pytest.raises(InvalidInput, match="expected"):
        case.make(weight)


@pytest.mark.parametrize("case", [c for c in CASES if c.weighted and c.channels], ids=str)
def test_weights_that_do_not_fit_the_image_are_refused(case: Case) -> None:
    prior = case.make(torch.full((1, 2, 1, 1), 0.1, dtype=torch.float64))
    with pytest.raises(InvalidInput, match="does not broadcast"):
        prior.bind(draw(1, 3, 8, 8), operators.Identity())


def test_a_learned_weight_that_went_negative_is_refused() -> None:
    weight = torch.tensor(0.1, requires_grad=True)
    prior = priors.TV(weight)
    with torch.no_grad():
        weight.sub_(0.2)
    with pytest.raises(InvalidInput, match="logarithm"):
        prior.bind(torch.zeros(1, 1, 8, 8), operators.Identity())


@pytest.mark.parametrize("name", sorted(set(priors.__all__) - {"Prior", "NonNegative"}))
def test_misspelt_keywords_are_refused(name: str) -> None:
    with pytest.raises(UnknownKeyword, match="has no keyword"):
        getattr(priors, name)(wieght=0.1)


def test_misspelt_keyword_of_an_argumentless_prior() -> None:
    with pytest.raises(UnknownKeyword):
        priors.NonNegative(low=0)  # type: ignore[call-arg]


def test_sums_that_have_no_exact_prox_are_refused() -> None:
    tv, wavelet = priors.TV(0.1), priors.Wavelet(0.1)
    denoiser = priors.Denoiser(torch.clone, sigma=1)
    for a, b in (
        (tv, tv),
        (tv, priors.AnisotropicTV(0.1)),
        (wavelet, priors.Box()),
        (priors.L1(0.1), wavelet),
        (denoiser, priors.Box()),
    ):
        with pytest.raises(Unsupported, match="no exact prox"):
            a + b
    for stranger in (3, torch.zeros(2), "L1"):
        with pytest.raises(FastipError, match="only priors can be added"):
            tv + stranger  # type: ignore[operator]


def test_sums_leave_their_terms_alone() -> None:
    tv = priors.TV(0.1, steps=7)
    total = tv + priors.Box(0, 1) + priors.L1(0.2)
    assert (
        isinstance(total, priors.TV) and total.steps == 7 and (total.separable.high, total.separable.l1) == (1.0, 0.2)
    )
    assert tv.separable.high == float("inf")
    assert isinstance(priors.Box() + priors.AnisotropicTV(0.1), priors.AnisotropicTV)


def test_value_of_a_sum_is_the_sum_of_the_values() -> None:
    x = draw(2, 3, 6, 7, seed=12).clamp(0, 1)
    for a, b in (
        (priors.TV(0.3), priors.L1(0.2)),
        (priors.L2(0.1), priors.ElasticNet(0.2, 0.3)),
        (priors.Box(0, 1), priors.AnisotropicTV(0.3)),
    ):
        torch.testing.assert_close((a + b).value(x), a.value(x) + b.value(x))
