"""What the experiments on compressed sensing share.

Pictures, noise, errors with bars, comparisons, searches, and the passes that are counted.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import fastip
from cases.generators import dcgan, encoder, pictures
from fastip import data, nets, operators, priors
from fastip.checkpoint import shipped
from fastip.errors import InvalidInput
from fastip.experiments.generative import compressed_sensing as sensing
from fastip.experiments.generative.compressed_sensing import Average, Search
from fastip.experiments.generative.network_passes import Passes, work

OP = operators.GaussianMeasurements(30, (1, 28, 28))


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> data.Stored:
    stored = pictures(12)
    monkeypatch.setattr(data, "Digits", lambda split: {"test": stored}[split])
    return stored


def test_the_pictures_are_the_first_of_the_split(few: data.Stored) -> None:
    assert torch.equal(sensing.pictures("digits", "test", 5), few.batch(range(5)))
    with pytest.raises(InvalidInput, match="count is 13, but the test split of digits has 12"):
        sensing.pictures("digits", "test", 13)
    with pytest.raises(InvalidInput, match="'churches'; expected one of digits, fashion, avatars"):
        sensing.pictures("churches", "test", 1)


def test_the_networks_of_a_projector(monkeypatch: pytest.MonkeyPatch) -> None:
    net = nets.Projector(dcgan(), encoder()).eval()
    monkeypatch.setattr(shipped, "projector", lambda name: priors.Projector(net))
    assert sensing.networks(sensing.projector("digits")) is net
    with pytest.raises(InvalidInput, match="Identity; expected nets.Projector"):
        sensing.networks(priors.Projector(nn.Identity()))


@pytest.mark.parametrize("m", [10, 400])
def test_the_size_of_the_noise_does_not_depend_on_m(m: int) -> None:
    x, op = torch.rand(300, 1, 28, 28), operators.GaussianMeasurements(m, (1, 28, 28))
    assert torch.equal(sensing.measured(x, op, 0.0, seed=0), op(x))
    e = sensing.measured(x, op, 0.3, seed=0) - op(x)
    assert float(e.square().sum(dim=1).mean()) ** 0.5 == pytest.approx(0.3, rel=0.03)


def test_the_error_is_that_of_the_clipped_image() -> None:
    truth = torch.tensor([0.0, 1.0, 0.5, 0.5]).reshape(1, 1, 2, 2)
    x = torch.tensor([-3.0, 1.5, 0.7, 0.5]).reshape(1, 1, 2, 2)
    torch.testing.assert_close(
        sensing.errors(x, truth), torch.tensor([0.04 / 4], dtype=torch.float64), rtol=1e-6, atol=0
    )


def test_the_bar_is_95_percent_of_the_mean() -> None:
    """1.96 standard errors; over many draws 95 % of the intervals hold the true mean."""
    values = np.random.default_rng(0).normal(2.0, 3.0, size=(10_000, 40))
    found = [sensing.average(torch.from_numpy(row)) for row in values]
    assert found[0].mean == pytest.approx(values[0].mean()) and found[0].bar == pytest.approx(
        1.96 * values[0].std(ddof=1) / 40**0.5
    )
    assert 0.93 < np.mean([abs(one.mean - 2) < one.bar for one in found]) < 0.955
    assert sensing.average(torch.tensor([3.0])) == Average(3.0, 0.0)


def test_averages_in_words() -> None:
    assert Average(0.014449, 0.00346).text == "0.0144 ± 0.0035"
    told = sensing.compared(Average(0.01, 0.002), Average(0.03, 0.01), Average(-0.02, 0.009))
    assert told == "0.01 against 0.03, the difference -0.02 ± 0.009 is more than its bar"
    assert "do not tell them apart" in sensing.compared(
        Average(0.01, 0.002), Average(0.03, 0.01), Average(-0.02, 0.021)
    )


# ---- searches and passes ---------------------------------------------------------------------------------------------


def test_a_search_is_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = dcgan()
    y = OP(generator.sample(5, seed=3))
    csgm, pgdgan = Search(4, 2), Search(3, 2, 5)
    assert (csgm.name, csgm.words, csgm.steps) == ("CSGM", "4 steps, 2 starts", 8)
    assert (pgdgan.name, pgdgan.words, pgdgan.steps) == ("PGDGAN", "3 × 5 steps, 2 starts", 30)
    assert torch.equal(csgm.solve(y, OP, generator).x, fastip.csgm(y, OP, generator, iterations=4, restarts=2).x)
    assert torch.equal(
        pgdgan.solve(y, OP, generator).x, fastip.pgdgan(y, OP, generator, iterations=3, inner=5, restarts=2).x
    )
    for heavy, solve in ((Search(4, 2, weight=3.0), fastip.csgm), (Search(3, 2, 5, weight=0.2), fastip.pgdgan)):
        about = {"iterations": heavy.iterations, "restarts": 2, "weight": heavy.weight} | (
            {"inner": 5} if heavy.inner else {}
        )
        assert torch.equal(heavy.solve(y, OP, generator).x, solve(y, OP, generator, **about).x)
    monkeypatch.setattr(sensing, "PIXELS", 4 * 784)
    parts = csgm.parts(y, generator)
    assert [len(part) for part in parts] == [2, 2, 1] and torch.equal(torch.cat(parts), y)


@pytest.mark.parametrize("search", [Search(8, 2), Search(2, 2, 5)], ids=["CSGM", "PGDGAN"])
def test_the_weight_is_that_of_least_mean_error(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    """On data in parts; which of the weights it is differs with the pictures."""
    monkeypatch.setitem(sensing.WEIGHTS, search.name, (1e-3, 1.0, 30.0))
    monkeypatch.setattr(sensing, "PIXELS", 4 * 784)
    generator, chosen = dcgan(), set()
    for truth in (
        generator.sample(3, seed=3),
        generator(torch.zeros(3, generator.latent)),
        pictures(12).batch(range(3)),
    ):
        told: list[str] = []
        best = sensing.tuned(search, OP(truth), OP, generator, truth, told.append)
        found = {
            w: float(sensing.errors(replace(search, weight=w).solve(OP(truth), OP, generator).x, truth).mean())
            for w in (1e-3, 1.0, 30.0)
        }
        assert best == replace(search, weight=min(found, key=lambda w: found[w])) and told == [
            f"{search.name}, weight {w}" for w in ("0.001", "1", "30")
        ]
        chosen.add(best.weight)
    assert len(chosen) > 1


@pytest.mark.parametrize("corrected", [0, 1, 3])
def test_the_passes_are_those_of_the_method(corrected: int) -> None:
    """CSGM: one forward and one back a step for each start, then the objective and the images.

    NPGD: the projections of its two references beside its own.
    """
    net = nets.Projector(
        dcgan(), encoder(), encoder(seed=2, colours=2) if corrected else None, max(1, corrected)
    ).eval()
    y, count = OP(net.generator.sample(3, seed=3)), 1 + corrected
    with Passes(net) as passes:
        Search(7, 2).solve(y, OP, net.generator)
    assert passes.each(3) == {"generator": 2 * (7 + 2), "back": 2 * 7, "encoders": 0, "all": 2 * (7 + 2) + 2 * 2 * 7}
    with Passes(net) as passes, torch.no_grad():
        fastip.npgd(y, OP, priors.Projector(net), iterations=6, tolerance=0)
    assert passes.each(3) == {"generator": 8 * count, "back": 0, "encoders": 8 * count, "all": 16 * count}
    net(torch.zeros(1, 1, 28, 28))
    assert passes.generator == 24 * count  # outside of the with nothing is counted


def multiplications(net: nn.Module, *shape: int) -> float:
    """By hand: the weights of each convolution times the places where they are applied."""
    total = 0.0
    hooks = []

    def add(module: nn.Module, given: tuple[Tensor, ...], made: Tensor) -> None:
        nonlocal total
        places = given[0] if isinstance(module, nn.ConvTranspose2d) else made
        total += module.weight.numel() * (places.shape[2:].numel() if places.ndim == 4 else 1)

    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            hooks.append(module.register_forward_hook(add))
    net(torch.zeros(1, *shape))
    for hook in hooks:
        hook.remove()
    return total


@pytest.mark.parametrize("corrected", [False, True])
def test_the_multiplications_are_those_of_the_layers(corrected: bool) -> None:
    net = nets.Projector(dcgan(), encoder(), encoder(seed=2, colours=2) if corrected else None).eval()
    found, generator = work(net), multiplications(net.generator, 5)
    encoders = [multiplications(net.encoder, 1, 28, 28)] + (
        [multiplications(net.corrector, 2, 28, 28)] if net.corrector is not None else []
    )
    assert found.generator == generator and found.encoder == sum(encoders) / len(encoders)
    assert found.back == generator  # to z alone; with weights to train it would be twice that
    assert found.of({"generator": 3, "back": 2, "encoders": 4}) == 5 * generator + 4 * found.encoder
