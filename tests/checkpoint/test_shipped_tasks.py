"""The trained networks of the digit and the colour task, on pictures that no training saw and no test downloads."""

import importlib.util
import json
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch

import fastip
from fastip import data, metrics, operators, psf
from fastip.experiments import colour_baselines

OPERATORS = {
    "digits-sr4": operators.Blur(psf.gaussian(9, 1.6), stride=4),
    "colorize-sr2": operators.Blur(psf.box(2), stride=2) @ operators.ToGray(),
}


def shipped(name):
    return resources.as_file(resources.files("fastip") / "weights" / "tasks" / name)


def restored(y, name):
    with shipped(f"{name}.safetensors") as path:
        prior = fastip.load_prior(path)
    beta = prior.trained.beta
    with torch.no_grad():
        return fastip.admm(y, OPERATORS[name], prior, beta=beta, iterations=len(beta), tolerance=0).x


def handwritten(count):
    """The 8 x 8 digits of scikit-learn as MNIST has them.

    20 x 20 in a frame of 4, with as many bright and as few grey pixels.
    """
    # importing scikit-learn brings another OpenMP
    table = Path(importlib.util.find_spec("sklearn").origin).parent / "datasets" / "data" / "digits.csv.gz"
    small = torch.tensor(np.loadtxt(table, delimiter=",", max_rows=count)[:, :64] / 16, dtype=torch.float32).view(
        -1, 1, 8, 8
    )
    strokes = (2 * (torch.nn.functional.interpolate(small, size=20, mode="bicubic") - 0.3)).clamp(0, 1)
    return torch.nn.functional.pad(strokes, (4, 4, 4, 4))


def test_digits_from_a_sixteenth_of_their_pixels():
    x = handwritten(60)
    y = OPERATORS["digits-sr4"](x)
    errors = metrics.nmse(restored(y, "digits-sr4"), x)
    assert errors.mean() <= 0.06 and errors.max() <= 0.2  # 0.029 on MNIST's own, where it is to be 0.12 at most
    one = metrics.nmse(restored(y[:1], "digits-sr4"), x[:1])
    assert torch.allclose(one, errors[:1], rtol=1e-3)


def test_a_colour_is_found_that_beats_grey_and_the_mean_colour():
    """Mean PSNR of the tiles of each picture, then over the pictures."""
    ours, grey, constant = [], [], []
    for picture in data.held_out_photographs(data.EVERYDAY).values():
        x = colour_baselines.tiles(picture, 3)
        y = OPERATORS["colorize-sr2"](x)
        estimates = (restored(y, "colorize-sr2").clamp(0, 1), colour_baselines.grey(y), colour_baselines.mean_chroma(y))
        for ratios, estimate in zip((ours, grey, constant), estimates, strict=True):
            ratios.append(metrics.psnr(estimate, x).mean().item())
    assert np.mean(ours) > max(np.mean(grey), np.mean(constant)) + 0.2


@pytest.mark.parametrize("size", [(2, 6), (38, 90), (64, 64)])
def test_any_even_size_is_coloured(size):
    torch.manual_seed(size[1])
    x = colour_baselines.tiles(next(iter(data.held_out_photographs(("coffee",)).values())), 2, side=96)[
        :2, :, : size[0], : size[1]
    ]
    y = OPERATORS["colorize-sr2"](x)
    result = restored(y, "colorize-sr2")
    assert result.shape == x.shape and bool(torch.isfinite(result).all())
    assert (OPERATORS["colorize-sr2"](result) - y).abs().mean() < 0.02


@pytest.mark.parametrize("name", OPERATORS)
def test_the_log_beside_the_weights_tells_how_they_were_made(name):
    with shipped(f"{name}.json") as log, shipped(f"{name}.safetensors") as weights:
        training, prior = json.loads(log.read_text())["training"], fastip.load_prior(weights)
    prior.trained.check_operator(OPERATORS[name])
    settings = training["settings"]
    assert settings["kind"] == "unrolled" and [tuple(pair) for pair in settings["schedule"]] == list(
        prior.trained.schedule
    )
    assert training["losses"]["step"][-1] + 1 >= settings["steps"] and settings["net"]["config"] == prior.net.config()
    assert training["machine"]["threads"] >= 1 and training["seconds"] > 0
