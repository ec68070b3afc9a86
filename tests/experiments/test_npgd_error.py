"""The error against the number of measurements at a small size.

The generator is linear and its projector exact, so that what must come out is known.
"""

from __future__ import annotations

import copy
import functools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cases.generators import Linear
from fastip import data, nets, operators, priors
from fastip.checkpoint import shipped
from fastip.errors import InvalidInput
from fastip.experiments.generative import compressed_sensing, lasso, npgd_error
from fastip.experiments.generative.npgd_error import CSGM, DESIGNED, NPGD, PGDGAN

GRID = (2, 10, 20)


class Exact(nets.Projector):
    """The projector on the range of 0.5 + W z, W z small enough for images in [0, 1], in float32."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        generator = Linear((1, 28, 28), latent=4)
        generator.offset.fill_(0.5)
        generator.weight.mul_(0.5)
        self.generator, self.encoder, self.corrector = generator.float(), Inverse(generator), None
        self.eval()


class Inverse(nn.Module):
    """z = W^+ (x - 0.5)."""

    def __init__(self, generator: Linear) -> None:
        super().__init__()
        self.register_buffer("matrix", torch.linalg.pinv(generator.weight))

    def forward(self, x: Tensor) -> Tensor:
        return (x.flatten(1) - 0.5) @ self.matrix.T


class Drawn:
    """Images of that generator."""

    endless = True

    def __init__(self, split: str) -> None:
        self.seed = {"test": 1, "validation": 2}[split]

    def batch(self, numbers: range) -> Tensor:
        return Exact().generator.sample(len(numbers), seed=self.seed)


@pytest.fixture(autouse=True)
def linear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lasso, "ITERATIONS", 60)
    monkeypatch.setattr(data, "Digits", Drawn)
    monkeypatch.setattr(shipped, "projector", lambda name: priors.Projector(Exact()))


SMALL = {
    "count": 6,
    "searched": 4,
    "measurements": GRID,
    "iterations": 150,
    "restarts": 2,
    "projections": 12,
    "inner": 40,
    "starts": 1,
    "validation": 3,
    "tuned": 2,
    "pairs": 40,
}


@functools.cache
def _numbers() -> dict[str, Any]:
    return dict(npgd_error.run(**SMALL).numbers)


@pytest.fixture
def numbers(linear: None) -> dict[str, Any]:
    return copy.deepcopy(_numbers())


def test_what_determines_the_image_brings_it_back(numbers: dict[str, Any]) -> None:
    """Every method that has the generator finds 4 unknowns from 10 numbers.

    From 2 none does, and sparsity never.
    """
    curves = numbers["curves"]
    assert set(curves) == set(npgd_error.STYLES) and numbers["projected"][0] < 1e-10
    for name in (NPGD, DESIGNED, CSGM):
        at_two, at_ten, at_twenty = curves[name]["mean"]
        assert at_two > 4e-4 and at_ten < 1e-5 and at_twenty < 1e-6, name
    assert curves[PGDGAN]["mean"][2] < 1e-3  # the weight of its prior, on the mean over the pixels, holds it back
    for kind in ("pixels", "DCT", "wavelet"):
        assert min(curves[f"Lasso, {kind}"]["mean"]) > 2e-3, kind


def test_the_designed_rows_are_the_directions_of_the_range(numbers: dict[str, Any]) -> None:
    """Two of the four directions, those along which the images differ most.

    What is lost is less than from two random numbers.
    """
    assert numbers["curves"][DESIGNED]["mean"][0] < 0.5 * numbers["curves"][NPGD]["mean"][0]


def test_the_searches_and_their_comparison_are_on_the_same_pictures(numbers: dict[str, Any]) -> None:
    curves, same = numbers["curves"], numbers["same"]
    assert {name: curve["images"] for name, curve in curves.items()} == {
        name: 4 if name in (CSGM, PGDGAN) else 6 for name in curves
    }
    assert same[CSGM]["mean"] == [curves[CSGM]["mean"][-1], curves[CSGM]["bar"][-1]] and same[NPGD]["above"] == [0, 0]
    for one in same.values():
        assert one["mean"][0] - same[NPGD]["mean"][0] == pytest.approx(one["above"][0], abs=1e-12)


def test_few_designed_measurements_are_compared_with_many_random_ones(numbers: dict[str, Any]) -> None:
    few, many = numbers["curves"][DESIGNED]["mean"][0], numbers["curves"][NPGD]["mean"][-1]
    assert numbers["designed"]["mean"][0] == few and numbers["designed"]["above"][0] == pytest.approx(few - many)


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_the_lasso_is_set_up_on_the_validation_pictures_under_the_same_noise(noise: float) -> None:
    chosen = npgd_error.run(
        **SMALL | {"measurements": (20,), "noise": noise, "iterations": 1, "projections": 1}
    ).numbers["chosen"]
    op, held_out = operators.GaussianMeasurements(20, (1, 28, 28)), Drawn("validation").batch(range(3))
    for kind, bases in lasso.bases(28).items():
        due = lasso.choose(op, bases, compressed_sensing.measured(held_out, op, noise, seed=1), held_out)
        assert chosen[kind] == [[due.basis.title, due.weight]]


def test_noise_is_felt(numbers: dict[str, Any]) -> None:
    noisy = npgd_error.run(**SMALL | {"noise": 0.5, "measurements": (20,)}).numbers["curves"]
    assert (
        noisy[NPGD]["mean"][0] > 50 * numbers["curves"][NPGD]["mean"][-1]
        and noisy[CSGM]["mean"][0] > 100 * numbers["curves"][CSGM]["mean"][-1]
    )


def test_the_page_tells_the_numbers(numbers: dict[str, Any]) -> None:
    page = npgd_error.page(numbers)
    for name, curve in numbers["curves"].items():
        assert f"| {name} | {curve['images']} | {curve['mean'][0]:.3g} ± {curve['bar'][0]:.2g} |" in page
    assert "no noise" in page and "CSGM with 150 steps, 2 starts, PGDGAN with 12 × 40 steps, 1 start" in page


def test_the_page_tells_the_weights_that_were_tried_in_the_run(numbers: dict[str, Any]) -> None:
    assert numbers["settings"]["tried"] == {**compressed_sensing.WEIGHTS, "Lasso": lasso.WEIGHTS}
    numbers["settings"] |= {
        "tried": {CSGM: [0.5, 1e-6], PGDGAN: [0.25], "Lasso": [0.125, 2]},
        "weights": {CSGM: 0.5, PGDGAN: 0.25},
    }
    page = npgd_error.page(numbers)
    assert (
        "on 2 validation pictures: 0.5 for CSGM (tried:\n0.5, 1e-06) and 0.25 for PGDGAN (tried: 0.25)." in page
        and "out of\n0.125, 2, and of" in page
    )


@pytest.mark.parametrize("low", [False, True])
def test_the_page_says_what_follows_whichever_way_it_comes_out(numbers: dict[str, Any], low: bool) -> None:
    own, other = ([0.01, 0.001], [0.02, 0.001]) if low else ([0.02, 0.001], [0.01, 0.001])
    numbers["same"][NPGD]["mean"], numbers["same"][CSGM]["mean"], numbers["same"][CSGM]["above"] = (
        own,
        other,
        [other[0] - own[0], 0.002],
    )
    numbers["curves"][NPGD] |= {"mean": [own[0]] * 3, "bar": [own[1]] * 3}
    numbers["designed"] = {"mean": other, "above": [other[0] - own[0], 0.002], "median": 0.0}
    for kind in ("pixels", "DCT", "wavelet"):
        numbers["curves"][f"Lasso, {kind}"]["mean"] = [0.3, 0.2, 0.015]
    page = npgd_error.page(numbers)
    difference = "-0.01 ± 0.002" if low else "0.01 ± 0.002"
    assert (
        f"NPGD's mean error is {'no worse' if low else 'worse'} than CSGM's: "
        f"{own[0]:g} against {other[0]:g}, the difference {difference} is more" in page
    )
    assert (
        f"2 designed measurements is {'not as good as' if low else 'at least as good as'} with 20 random ones" in page
    )
    assert ("At none of these m" in page) is low and ("At m = 20 its best basis has a lower" in page) is not low


def test_the_grid_follows_the_size() -> None:
    assert npgd_error._grid((0,), 28) == ((10, 20, 50, 100, 200, 500), 20, 100)
    assert npgd_error._grid((0,), 64) == ((100, 200, 500, 1000, 2000, 5000), 200, 1000)
    assert npgd_error._grid((30, 5, 30), 28) == ((5, 30), 5, 30)


def test_what_is_refused() -> None:
    with pytest.raises(InvalidInput, match="searched is 7; expected 1 to 6"):
        npgd_error.run(**SMALL | {"searched": 7})
    with pytest.raises(InvalidInput, match="tuned is 4; expected 1 to 3"):
        npgd_error.run(**SMALL | {"tuned": 4})
    with pytest.raises(InvalidInput, match="inner"):
        npgd_error.run(**SMALL | {"inner": 0})


def test_where_a_search_overtakes() -> None:
    curves = {
        "NPGD": {"mean": [0.3, 0.2, 0.1], "images": 9},
        "CSGM": {"mean": [0.4, 0.1, 0.05], "images": 3},
        "PGDGAN": {"mean": [0.4, 0.3, 0.2], "images": 3},
    }
    below = "over 3 pictures against 9, lies below that of NPGD at m = 50, m = 100."
    assert npgd_error._crossed("CSGM", curves, [20, 50, 100]).endswith(below)
    assert npgd_error._crossed("PGDGAN", curves, [20, 50, 100]).endswith("lies above that of NPGD at every m.")
