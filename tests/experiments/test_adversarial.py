"""The experiment on losses at a small size, on pictures and a network that need no download."""

import numpy as np
import pytest
import torch

from fastip import data, operators, psf
from fastip.checkpoint import save_prior
from fastip.errors import InvalidInput
from fastip.experiments.generative import adversarial
from fastip.nets import PixelShuffleAutoencoder
from fastip.priors import PixelShuffleAutoencoder as Prior
from fastip.priors import Trained
from fastip.train import prior


def patches(split, size):
    """Parts of two of the retina's and the tissue's pictures.

    They are not among those that the experiment measures.
    """
    assert split == "train"
    whole = [data.centre(x, 500) for x in data.held_out_photographs(["retina", "ihc"]).values()]
    generator = np.random.default_rng(0)
    found = []
    for _ in range(40):
        x, (top, left) = whole[generator.integers(2)], generator.integers(0, 500 - size, 2)
        found.append((255 * x[0, :, top : top + size, left : left + size]).byte().numpy())
    return data.Stored(np.stack(found), np.zeros(40))


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A small denoiser and two iterations of a solver."""
    path, op = (
        tmp_path_factory.mktemp("start") / "start.safetensors",
        operators.Blur(psf.gaussian(5, sigma=1.0), stride=2),
    )
    torch.manual_seed(0)
    made = prior(
        PixelShuffleAutoencoder(widths=(8,), blocks=(1,), factor=2),
        patches("train", 32),
        noise=(0.02, 0.2),
        steps=60,
        batch=4,
        learning_rate=3e-3,
    )
    trained = Trained((0.05, 0.1), None, ((0.02, 0.1), (0.02, 0.05)))
    save_prior(path, Prior(made.net, sigma=trained.sigma, trained=trained), op=op)
    return str(path)


@pytest.fixture(scope="module")
def outcome(start):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "Photographs", patches)
        small = {"steps": 60, "batch": 2, "patch": 32, "size": 80, "kernel": "gaussian:5:1.0", "stride": 2}
        seen = []
        return adversarial.run(
            lambda *told: seen.append(told), start=start, comparator=2.0, learning_rate=3e-3, **small
        ), seen


def test_the_losses_lower_the_distance(outcome):
    """And cost little of the PSNR."""
    scores = outcome[0].numbers["scores"]
    mean = {name: {kind: adversarial._mean(of, kind) for kind in ("psnr", "distance")} for name, of in scores.items()}
    pixels = mean[adversarial.PIXELS]
    for name in (adversarial.COMPARATOR, adversarial.BOTH):
        assert mean[name]["distance"] < 0.98 * pixels["distance"] and mean[name]["psnr"] > pixels["psnr"] - 0.5
    assert pixels["psnr"] > mean[adversarial.START]["psnr"]
    assert list(scores[adversarial.BOTH]) == list(data.EVERYDAY)


def test_progress_is_told(outcome):
    assert outcome[1][-1] == (adversarial.BOTH, 180, 180) and len({what for what, _, _ in outcome[1]}) == 3


def test_the_page_tells_the_numbers(outcome):
    scores = outcome[0].numbers["scores"]
    page = adversarial.page(outcome[0].numbers)
    change = (
        adversarial._mean(scores[adversarial.BOTH], "distance")
        / adversarial._mean(scores[adversarial.PIXELS], "distance")
        - 1
    )
    assert f"changes by {100 * change:+.1f} %" in page
    for name in scores:
        assert f"{adversarial._mean(scores[name], 'psnr'):.2f} | {adversarial._mean(scores[name], 'ssim'):.4f}" in page
        assert f"{adversarial._mean(scores[name], 'distance'):.3f}" in page


def test_detail_is_that_of_the_laplacian():
    x = torch.rand(1, 3, 9, 12, dtype=torch.float64)
    smooth = 4 * x[..., 1:-1, 1:-1] - x[..., :-2, 1:-1] - x[..., 2:, 1:-1] - x[..., 1:-1, :-2] - x[..., 1:-1, 2:]
    torch.testing.assert_close(adversarial._laplacian(x)[:, 0], smooth[0])


def test_a_denoiser_is_no_start(tmp_path):
    path = tmp_path / "d.safetensors"
    save_prior(path, Prior(PixelShuffleAutoencoder(widths=(4,), blocks=(1,)), trained=Trained((0.1, 0.2))))
    with pytest.raises(InvalidInput, match="denoiser alone"):
        adversarial.run(start=str(path))
