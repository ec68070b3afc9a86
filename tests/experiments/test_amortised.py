"""Two short trainings through the solver, on pictures that need no download."""

import numpy as np
import pytest

from fastip import data
from fastip.experiments.inner_loop import amortised
from fastip.experiments.photographs import photographs
from fastip.experiments.record import plain

pytest.importorskip("skimage")
pytest.importorskip("lightning_fabric")


def pieces(split, size):
    """Parts of photographs in the place of the training set."""
    assert split == "train"
    x = photographs(2 * size, ("astronaut", "rocket")).unfold(2, size, size).unfold(3, size, size)
    images = x.permute(0, 2, 3, 1, 4, 5).reshape(-1, 3, size, size)
    return data.Stored((255 * images).byte().numpy(), np.zeros(len(images)))


@pytest.fixture(scope="module")
def outcome():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "Photographs", pieces)
        return amortised.run(steps=12, iterations=3, patch=32, batch=2, photos=("chelsea", "coffee"), size=64)


def test_both_learn_from_the_same_start(outcome):
    found = outcome.numbers["networks"]
    mean = {title: sum(entry["scores"]["psnr"]) / 2 for title, entry in found.items()}
    assert (
        mean[amortised.SEEING] > mean[amortised.START] + 0.05 and mean[amortised.BLIND] > mean[amortised.START] + 0.05
    )
    seeing, blind = (dict(found[title]["losses"]) for title in (amortised.SEEING, amortised.BLIND))
    # the new convolution makes nothing of the data before the first step
    assert len(seeing) == 12 and seeing[1] == pytest.approx(blind[1], rel=1e-3)
    assert seeing[12] != blind[12]


def test_one_convolution_more(outcome):
    seeing, blind = (outcome.numbers["networks"][title]["parameters"] for title in (amortised.SEEING, amortised.BLIND))
    assert blind < seeing < 1.05 * blind


def test_the_page_tells_who_is_better(outcome):
    numbers = plain(outcome.numbers)
    found = numbers["networks"]
    gain = (
        sum(
            a - b
            for a, b in zip(
                found[amortised.SEEING]["scores"]["psnr"], found[amortised.BLIND]["scores"]["psnr"], strict=True
            )
        )
        / 2
    )
    assert ("gains" if gain > 0 else "loses") + f" {abs(gain):.2g} dB" in amortised.page(numbers)
    found[amortised.SEEING]["scores"]["psnr"] = [value - 1 for value in found[amortised.BLIND]["scores"]["psnr"]]
    assert "loses 1 dB" in amortised.page(numbers) and "better on 0 of 2" in amortised.page(numbers)
