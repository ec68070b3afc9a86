"""Denoiser: which level it is called with, what it may return, and that networks keep their gradients."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

import fastip
from cases.priors import draw, prox
from fastip import operators, priors, psf
from fastip.errors import InvalidInput, Unsupported
from fastip.solvers.wiener import wiener

V = draw(1, 1, 6, 6)
OP = operators.Identity()


def levels(seen: list[object]) -> Callable[[Tensor, float], Tensor]:
    """A denoiser that notes its level."""

    def denoise(v: Tensor, strength: float) -> Tensor:
        seen.append(strength)
        return 0.9 * v

    return denoise


def test_sigma_alone_is_the_level() -> None:
    seen: list[object] = []
    prior = priors.Denoiser(levels(seen), sigma=0.2)
    prox(prior, V, 0.5)
    prox(prior, V, 7.0)
    assert seen == [0.2, 0.2] and type(seen[0]) is float
    with pytest.raises(InvalidInput, match="without noise: pass beta"):
        prior.suggested_beta(OP, V.shape)


def test_noise_alone_makes_the_level_follow_the_step() -> None:
    seen: list[float] = []
    prior = priors.Denoiser(levels(seen), noise=0.1)  # type: ignore[arg-type]
    for beta in (1e-2, 1.0):
        prox(prior, V, 1 / (2 * beta))
    np.testing.assert_allclose(seen, [0.1 / 0.1, 0.1 / 1.0])
    with pytest.raises(InvalidInput, match="without sigma: pass beta"):
        prior.suggested_beta(OP, V.shape)


def test_noise_and_sigma_imply_beta() -> None:
    seen: list[object] = []
    prior = priors.Denoiser(levels(seen), sigma=0.2, noise=0.05)
    assert prior.suggested_beta(OP, V.shape) == pytest.approx(0.0625)
    op = operators.Blur(psf.gaussian(5, sigma=1.0).double(), stride=2)
    solution = fastip.admm(op(draw(1, 1, 8, 8)), op, prior, iterations=3, tolerance=0)
    assert solution.beta == pytest.approx(0.0625) and seen == [0.2] * 3


def test_three_that_disagree_are_refused() -> None:
    prior = priors.Denoiser(levels([]), sigma=0.2, noise=0.05)
    prior.check_beta(0.0625)
    with pytest.raises(InvalidInput, match=r"noise\^2 / sigma\^2 = 0.0625, but beta is 0.5"):
        prior.check_beta(0.5)
    op = operators.Identity()
    with pytest.raises(InvalidInput, match="leave one of the three out"):
        fastip.admm(V, op, prior, beta=0.5, iterations=1)


def test_a_schedule_of_beta_is_followed() -> None:
    seen: list[float] = []
    op = operators.Blur(psf.gaussian(5, sigma=1.0).double(), stride=2)
    fastip.admm(
        op(draw(1, 1, 8, 8)),
        op,
        priors.Denoiser(levels(seen), noise=0.1),
        beta=[0.01, 0.04, 0.25],
        iterations=4,
        tolerance=0,
    )  # type: ignore[arg-type]
    np.testing.assert_allclose(seen, [1.0, 0.5, 0.2, 0.2])


BAD_LEVELS = [
    {},
    {"noise": 0},
    {"sigma": 0},
    {"sigma": -1},
    {"sigma": float("nan")},
    {"sigma": "a"},
    {"sigma": 1, "noise": -0.1},
]


@pytest.mark.parametrize("options", BAD_LEVELS, ids=str)
def test_bad_levels_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(InvalidInput, match="sigma|noise"):
        priors.Denoiser(torch.clone, **options)  # type: ignore[arg-type]


def test_noise_zero_is_as_good_as_missing() -> None:
    seen: list[object] = []
    prox(priors.Denoiser(levels(seen), sigma=0.2, noise=0), V, 3.0)
    assert seen == [0.2]


def test_which_callables_get_the_level() -> None:
    got: list[object] = []

    class Net(torch.nn.Module):
        def forward(self, v: Tensor, sigma: Tensor | None = None) -> Tensor:
            got.append(sigma)
            return v

    def keyword_only(v: Tensor, *, clip: bool = False, noise_level: float = 0.0) -> Tensor:
        got.append(noise_level)
        return v

    def third(v: Tensor, window: int = 3, sigma: float = 0.0) -> Tensor:
        got.append(sigma)
        return v

    for denoiser in (
        Net(),
        torch.compile(Net(), backend="eager"),
        lambda v: v,
        lambda v, s: got.append(s) or v,
        lambda v, s, /: got.append(s) or v,
        lambda v, *, sigma: got.append(sigma) or v,
        lambda v, s, window=3: got.append(s) or v,
        keyword_only,
        third,
        functools.partial(third, sigma=7.0, window=1),
        lambda *all: got.append(len(all)) or all[0],
        torch.clone,
    ):
        prox(priors.Denoiser(denoiser, sigma=0.3), V, 1.0)
    assert got == [0.3] * 8 + [7.0, 1]


class Thresholded(torch.nn.Module):
    """A denoiser of another library, whose level has a name of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.got: list[float] = []

    def forward(self, v: Tensor, ths: float = 0.1, **more: object) -> Tensor:
        self.got.append(ths)
        return torch.nn.functional.softshrink(v, ths)


def test_an_optional_argument_that_is_not_known_is_refused_and_can_be_named() -> None:
    """Left out, sigma would change nothing, without a word."""
    net = Thresholded()
    with pytest.raises(InvalidInput, match=r"Thresholded has the arguments \(v, ths=0.1, .*level_keyword='ths'"):
        priors.Denoiser(net, sigma=0.3)
    named = [prox(priors.Denoiser(net, sigma=sigma, level_keyword="ths"), V, 1.0) for sigma in (0.05, 0.2)]
    alone = prox(priors.Denoiser(lambda v: net(v), sigma=0.3), V, 1.0)
    assert net.got == [0.05, 0.2, 0.1]
    torch.testing.assert_close(named[1], torch.nn.functional.softshrink(V, 0.2))
    torch.testing.assert_close(alone, torch.nn.functional.softshrink(V, 0.1))
    by_step = priors.Denoiser(net, noise=0.1, level_keyword="ths")
    prox(by_step, V, 0.5 / 0.25)
    assert net.got[-1] == pytest.approx(0.2)


UNKNOWN: list[tuple[object, dict[str, object], str]] = [
    (lambda v, window=3: v, {}, "level_keyword='window' passes the level there"),
    (lambda v, *, window=3: v, {}, "lambda v: denoiser\\(v\\) takes the image alone"),
    (lambda v, window=3, /: v, {}, "lambda v, level: ... passes the level there"),
    (functools.partial(lambda v, a=1, b=2: v, a=3), {}, "partial has the arguments \\(v, b=2\\)"),
    (lambda v, *, strength: v, {}, "if strength is the level, pass level_keyword='strength'"),
    (lambda v, s: v, {"level_keyword": "sigma"}, "level_keyword is 'sigma' and .* \\(v, s\\); expected the name"),
    (lambda v, s: v, {"level_keyword": "v"}, "level_keyword is 'v'"),
    (lambda v, s=1: v, {"level_keyword": 1}, "level_keyword is 1"),
    (lambda v, a, s=1: v, {"level_keyword": "s"}, "all others but the image optional"),
]


@pytest.mark.parametrize("denoiser, options, words", UNKNOWN, ids=range(len(UNKNOWN)))
def test_the_refusal_says_what_to_do(denoiser: object, options: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        priors.Denoiser(denoiser, **{"sigma": 0.1} | options)  # type: ignore[arg-type]


def test_a_required_level_can_be_named_too() -> None:
    got: list[float] = []
    prox(priors.Denoiser(lambda v, *, strength: got.append(strength) or v, sigma=0.3, level_keyword="strength"), V, 1.0)
    prox(priors.Denoiser(lambda v, s: got.append(s) or v, sigma=0.4, level_keyword="s"), V, 1.0)
    assert got == [0.3, 0.4]


@pytest.mark.parametrize("keyword", [None, "level"])
def test_a_network_is_given_its_own_precision(keyword: str | None) -> None:
    """Data in double precision through weights in single precision: what single precision gives, in double."""
    torch.manual_seed(0)

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(1, 1, 3, padding=1)

        def forward(self, v: Tensor, level: float = 0.0) -> Tensor:
            return v - level * self.conv(v)

    net = Net().requires_grad_(False)
    op = operators.Blur(psf.gaussian(5, sigma=1.0), stride=2)
    y, prior = op(draw(1, 1, 8, 8)), priors.Denoiser(net, sigma=0.1, level_keyword=keyword)
    assert prox(prior, V, 1.0).dtype == torch.float64
    torch.testing.assert_close(prox(prior, V, 1.0), net(V.float(), 0.1).double(), rtol=0, atol=0)
    x, single = (fastip.admm(data, op, prior, beta=0.1, iterations=5, tolerance=0).x for data in (y, y.float()))
    assert x.dtype == torch.float64
    torch.testing.assert_close(x, single.double(), rtol=1e-5, atol=1e-6)
    with pytest.raises(InvalidInput, match="the denoiser returned"):
        prox(priors.Denoiser(lambda v: net(v.float()), sigma=0.1), V, 1.0)


def test_a_cast_network_keeps_its_gradients() -> None:
    net = torch.nn.Conv2d(1, 1, 3, padding=1)
    v = V.clone().requires_grad_()
    prox(priors.Denoiser(net, sigma=0.1), v, 1.0).sum().backward()
    assert net.weight.grad is not None and v.grad is not None and v.grad.dtype == torch.float64


@pytest.mark.parametrize(
    "denoiser", [None, 3, "tv", torch.nn.Identity, lambda: 0, lambda a, b, c: a, lambda v, *, strength: v], ids=range(7)
)
def test_things_that_do_not_denoise_are_refused(denoiser: object) -> None:
    with pytest.raises(InvalidInput, match="expected"):
        priors.Denoiser(denoiser, sigma=0.1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "answer",
    [V[..., 1:], V.float(), None, V.numpy(), V.mean(), V[0]],
    ids=["size", "dtype", "None", "NumPy", "mean", "one image"],
)
def test_wrong_answers_are_refused(answer: object) -> None:
    with pytest.raises(InvalidInput, match="the denoiser returned"):
        prox(priors.Denoiser(lambda v: answer, sigma=0.1), V, 1.0)


def test_value_is_refused() -> None:
    with pytest.raises(Unsupported, match="prox alone"):
        priors.Denoiser(torch.clone, sigma=0.1).value(V)


def test_networks_keep_their_gradients() -> None:
    torch.manual_seed(0)
    net = torch.nn.Conv2d(1, 1, 3, padding=1).double()
    op = operators.Blur(psf.gaussian(5, sigma=1.0).double(), stride=2)
    y = op(draw(1, 1, 8, 8))
    fastip.admm(y, op, priors.Denoiser(net, sigma=0.1), beta=0.1, iterations=3, tolerance=0).x.square().sum().backward()
    assert net.weight.grad is not None and net.weight.grad.abs().min() > 0


def test_a_linear_denoiser_reaches_its_closed_form() -> None:
    """v / (1 + 2 step weight) is the prox of weight |x|^2: plug and play with it is ridge regression."""
    op = operators.Blur(psf.gaussian(5, sigma=1.0).double(), stride=2)
    y, beta, weight = op(draw(1, 1, 8, 8)), 0.1, 0.03
    x = fastip.admm(
        y, op, priors.Denoiser(lambda v: v / (1 + weight / beta), sigma=0.1), beta=beta, iterations=500, tolerance=0
    ).x
    torch.testing.assert_close(x, wiener(y, op, weight).x)
