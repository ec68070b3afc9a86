"""Tasks whose data are pictures without a blur: made small by a program, noisy, with holes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import fastip
from fastip import data, inverses, operators, tasks
from fastip.errors import InvalidInput, UnknownKeyword
from fastip.experiments.scores import psnr


def photograph(size=96):
    pictures = pytest.importorskip("skimage.data")
    return pictures.coffee()[120 : 120 + size, 180 : 180 + size + 4].copy()


def tensor(array):
    return torch.from_numpy(np.array(array)).movedim(-1, 0).float()[None] / 255


# ---- upscale ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("prior", ["photo", "tv"])
def test_a_thumbnail_of_pillow_is_enlarged(factor, prior):
    """It beats Pillow's own bicubic, and nothing is shifted."""
    picture = photograph()
    h, w = picture.shape[:2]
    thumbnail = Image.fromarray(picture).resize((w // factor, h // factor), Image.Resampling.BICUBIC)
    y, truth = tensor(thumbnail), tensor(picture)
    problem = fastip.load_task("upscale", factor=factor, prior=prior)
    x = problem.solve(y).x
    plain = tensor(thumbnail.resize((w, h), Image.Resampling.BICUBIC))
    assert x.shape == truth.shape and psnr(x, truth) > psnr(plain, truth) + 0.4
    best = {}
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            moved = x.roll((down, right), (2, 3))[..., 4:-4, 4:-4]
            best[down, right] = psnr(moved, truth[..., 4:-4, 4:-4])
    assert max(best, key=best.get) == (0, 0)
    assert isinstance(problem.inverse, inverses.Exact) == (prior == "tv") and problem.op.factor == (factor, factor)


def test_the_program_and_its_method_can_be_told():
    op = fastip.load_task("upscale", factor=1.5, method="area", like="opencv").op
    assert repr(op) == repr(operators.Resize(1.5, method="area", like="opencv"))
    assert fastip.load_task("upscale", factor=1.5).solve(torch.rand(1, 1, 7, 1)).x.shape == (1, 1, 11, 2)
    assert repr(fastip.load_task("upscale", factor=3).op) == repr(operators.Resize(3, method="bicubic", like="pillow"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs a factor"),
        ({"factor": 0.5}, "factor"),
        ({"factor": 17}, "from 1 to 16"),
        ({"factor": "four"}, "factor"),
        ({"factor": 2, "like": "gimp"}, "expected one of pillow"),
        ({"factor": 2, "like": "torch", "method": "lanczos"}, "which 'torch' has"),
        ({"factor": 2, "boundary": "natural"}, "brings its own: leave it out; it takes factor, method, like"),
        ({"factor": 2, "psf": "box:2"}, "has no psf"),
        ({"factor": 2, "mask": torch.ones(3, 3)}, "mask is given"),
        ({"factor": 2, "inverse": "split"}, None),
    ],
)
def test_what_cannot_be_enlarged(options, message):
    with pytest.raises(fastip.FastipError, match=message):
        tasks.get("upscale").problem(**options).solve(torch.rand(1, 1, 20, 20))


# ---- denoise ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prior", ["photo", "tv", "wavelet"])
def test_noise_is_taken_away(prior):
    truth = tensor(photograph())
    y = data.degrade(truth, operators.Identity(), 25 / 255)
    for noise in (25 / 255, None):
        x = fastip.load_task("denoise", prior=prior, noise=noise).solve(y).x
        assert psnr(x, truth) > psnr(y, truth) + {"photo": 7, "tv": 6, "wavelet": 3}[prior]


# ---- inpaint ---------------------------------------------------------------------------------------------------------


def holes(h, w, seed=0):
    """A mask with lines and a square hidden, 0 there."""
    draw = np.random.default_rng(seed)
    mask = np.ones((h, w), bool)
    for _ in range(8):
        i, j = draw.integers(0, h - 4), draw.integers(0, w - 20)
        mask[i : i + 3, j : j + 20] = False
    mask[h // 2 : h // 2 + 12, w // 3 : w // 3 + 14] = False
    return mask


@pytest.mark.parametrize("hidden", [1.0, float("nan")])
@pytest.mark.parametrize("prior", ["photo", "tv", "wavelet"])
def test_holes_are_filled_and_the_rest_is_kept(hidden, prior):
    truth = tensor(photograph())
    mask = torch.from_numpy(holes(*truth.shape[2:]))
    y = data.degrade(truth, operators.Identity(), 0.01)
    given = torch.where(mask, y, hidden)
    x = fastip.load_task("inpaint", mask=mask, prior=prior, noise=0.01).solve(given).x
    lost, kept = ((x - truth).masked_select(where).square().mean().sqrt() for where in (~mask, mask))
    around = (truth.mean(dim=(2, 3), keepdim=True) - truth).masked_select(~mask).square().mean().sqrt()
    assert float(lost) < 0.55 * float(around) and float(kept) < 0.013
    other = fastip.load_task("inpaint", mask=mask, prior=prior, noise=0.01).solve(torch.where(mask, y, 0.5)).x
    assert torch.equal(x, other)  # what stands in a hole plays no role


@pytest.mark.parametrize("prior", ["photo", "tv"])
def test_a_large_hole_is_no_grey_patch(prior):
    y = torch.full((1, 3, 64, 64), 0.8)
    mask = torch.ones(64, 64)
    mask[12:52, 10:54] = 0
    x = fastip.load_task("inpaint", mask=mask, prior=prior).solve(y * mask).x
    assert float((x - 0.8).abs().max()) < (0.01 if prior == "tv" else 0.03)


def test_masks_of_every_kind(tmp_path):
    mask, y = holes(40, 48), torch.rand(1, 3, 40, 48, generator=torch.Generator().manual_seed(7))
    expected = fastip.load_task("inpaint", mask=torch.from_numpy(mask), noise=0.02).solve(y).x
    Image.fromarray(np.where(mask, 255, 0).astype("uint8")).save(tmp_path / "m.png")
    Image.fromarray(np.where(mask[..., None], [200, 255, 180], [90, 0, 0]).astype("uint8")).save(tmp_path / "c.png")
    for given in (mask, mask.astype(float), mask[None, None], str(tmp_path / "m.png"), tmp_path / "c.png"):
        assert torch.equal(fastip.load_task("inpaint", mask=given, noise=0.02).solve(y).x, expected)
    colours = torch.from_numpy(np.stack([holes(40, 48, k) for k in range(3)]))
    x = tasks.get("inpaint").problem(mask=colours, weight=0.02, tolerance=1e-4, iterations=500).solve(y).x
    for k in range(3):
        alone = tasks.get("inpaint").problem(mask=colours[k], weight=0.02, tolerance=1e-4, iterations=500)
        torch.testing.assert_close(x[:, k : k + 1], alone.solve(y[:, k : k + 1]).x, atol=0.01, rtol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs a mask.*white where the picture is known"),
        ({"mask": torch.zeros(40, 48)}, "0 everywhere"),
        ({"mask": torch.eye(3)[0].view(1, 3, 1, 1).expand(1, 3, 40, 48)}, "channel 1 of picture 0; .*other channels"),
        ({"mask": torch.eye(2)[1].view(2, 1, 1, 1).expand(2, 1, 40, 48)}, "in picture 0; .* leave that picture out"),
        ({"mask": torch.eye(2)[0].view(2, 1, 1, 1).expand(2, 3, 40, 48), "prior": "tv"}, "in picture 1; "),
        ({"mask": torch.full((40, 48), 0.5)}, "other values than 0 and 1"),
        ({"mask": torch.full((40, 48), float("nan"))}, "NaN"),
        ({"mask": torch.ones(40, 47)}, "expected the same h and w"),
        ({"mask": torch.ones(2, 1, 40, 48)}, "expected the same h and w"),
        ({"mask": torch.ones(40)}, "axes"),
        ({"mask": "nothing.png"}, "does not exist"),
        ({"mask": torch.ones(40, 48), "prior": "l2"}, "leaves holes black; task 'inpaint' takes photo, tv, wavelet"),
        ({"mask": torch.ones(40, 48), "boundary": "circular"}, "boundary is 'circular', and task 'inpaint' has no"),
        ({"mask": torch.ones(40, 48), "factor": 2}, "it takes mask, noise, prior"),
    ],
)
def test_what_cannot_be_filled(options, message):
    with pytest.raises(InvalidInput, match=message):
        fastip.load_task("inpaint", **options).solve(torch.rand(1, 3, 40, 48))


# ---- all of them -----------------------------------------------------------------------------------------------------

ALL = {"upscale": {"factor": 2}, "denoise": {}, "inpaint": {"mask": torch.ones(1, 1)}, "sr3": {}}


@pytest.mark.parametrize("name", ALL)
def test_one_pixel_grey_arrays_and_precision(name):
    problem = fastip.load_task(name, **ALL[name])
    scale = 2 if name == "upscale" else tasks.get(name).stride
    for y in (torch.full((1, 1, 1, 1), 0.4), torch.full((2, 3, 1, 1), 0.4, dtype=torch.float64)):
        x = problem.solve(y).x
        assert x.shape == (*y.shape[:2], scale, scale) and x.dtype == y.dtype
        assert float((x - 0.4).abs().max()) < 0.02
    numbers = problem.solve(np.full((1, 1, 1, 1), 0.4, "float32")).x
    assert isinstance(numbers, np.ndarray) and numbers.flags.c_contiguous


@pytest.mark.parametrize(("prior", "status"), [("photo", "ITERATIONS"), ("tv", "CONVERGED")])
@pytest.mark.parametrize("name", ["upscale", "denoise", "inpaint", "sr2", "sr3", "deblur"])
def test_a_picture_does_not_depend_on_its_batch(name, prior, status):
    """Each has its own noise, and the weight that follows it."""
    size = 24 if name in ("sr2", "sr3", "deblur") else 64
    truth = torch.cat([tensor(photograph(size)), tensor(photograph(size)).flip(3)])
    levels = torch.tensor([0.01, 0.08])
    masks = torch.from_numpy(np.stack([holes(64, 68, k) for k in range(2)]))[:, None]
    options = {"inpaint": {"mask": masks}, "upscale": {"factor": 2}, "deblur": {"psf": "motion:5:30"}}
    chosen = options.get(name, {})
    problem = fastip.load_task(name, **chosen, prior=prior)
    y = data.degrade(truth, operators.Identity(), levels)
    both = problem.solve(y)
    assert both.x.shape[0] == 2 and both.status is fastip.Status[status]
    for k in range(2):
        one = fastip.load_task(name, prior=prior, **(chosen | ({"mask": masks[k]} if name == "inpaint" else {})))
        assert torch.equal(one.solve(y[k : k + 1]).x, both.x[k : k + 1])


def test_unknown_words():
    with pytest.raises(InvalidInput, match="did you mean 'inpaint'"):
        fastip.load_task("inpant")
    with pytest.raises(UnknownKeyword, match="factor"):
        fastip.load_task("upscale", faktor=2)  # type: ignore[call-arg]
    for name in ("digits-cs100", "photo-sr4"):
        for option, value in (("mask", torch.ones(3, 3)), ("noise", 0.01), ("method", "area"), ("factor", 2)):
            with pytest.raises(InvalidInput, match=f"^{option} is"):
                fastip.load_task(name, **{option: value})
