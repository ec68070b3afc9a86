"""The commands restore and degrade with thumbnails, noise, holes and natural borders: what a user types."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from cases.cli import fastip, picture
from fastip import data, io, operators, tasks

TV = ("--prior", "tv")


def masked(path, mask):
    """The picture in this file with transparent holes where the mask is 0."""
    colours = np.asarray(Image.open(path).convert("RGB")) * (mask[..., None] > 0)
    Image.fromarray(np.dstack([colours.astype("uint8"), np.where(mask > 0, 255, 0).astype("uint8")])).save(path)


def test_a_thumbnail_is_enlarged(tmp_path):
    y = picture(tmp_path / "in.png", h=24, w=30)
    words = ["restore", tmp_path / "in.png", "--task", "upscale", "--factor", 1.5, "-o", tmp_path / "out.png"]
    told = fastip(*words, "--noise", "1/255")
    assert told.exit_code == 0, told.output
    assert "30 × 24 -> 45 × 36, upscale × 1.5, bicubic as pillow, noise 0.0039, " in told.output
    expected = tasks.get("upscale").problem(factor=1.5, noise=1 / 255).solve(y).x.clamp(0, 1)
    assert float((io.read_image(tmp_path / "out.png")[0] - expected).abs().max()) < 0.5 / 255 + 1e-4
    told = fastip(*words, "--method", "area", "--like", "opencv")
    assert told.exit_code == 0 and "area as opencv, noise " in told.output and " estimated, " in told.output


def test_degrade_makes_a_thumbnail(tmp_path):
    x = picture(tmp_path / "in.png", h=24, w=30)
    words = ["degrade", tmp_path / "in.png", "--task", "upscale", "--factor", 3, "--noise", "2/255", "--seed", 4, "-o"]
    told = fastip(*words, tmp_path / "y.npy")
    assert told.exit_code == 0 and "30 × 24 -> 10 × 8, upscale × 3, bicubic as pillow" in told.output, told.output
    expected = data.degrade(x, operators.Resize(3), 2 / 255, generator=4)
    torch.testing.assert_close(io.read_image(tmp_path / "y.npy")[0], expected)


def test_degrade_shows_which_part_the_data_are_of(tmp_path):
    """A natural border: what was degraded and restored is the part that is told, alpha too."""
    x = picture(tmp_path / "in.png", h=31, w=42)
    alpha = np.random.default_rng(0).integers(100, 256, (31, 42), dtype="uint8")
    io.write_image(tmp_path / "in.png", x, like=io.Kind(alpha=alpha))
    told = fastip("degrade", tmp_path / "in.png", "--task", "sr2", "--psf", "disk:5:2", "-o", tmp_path / "y.png")
    assert told.exit_code == 0, told.output
    assert "31 × 31 -> " not in told.output and "-> 19 × 14 (rows 2 to 29, columns 2 to 39), sr2" in told.output
    y, kind = io.read_image(tmp_path / "y.png")
    op = operators.Blur(tasks.read_psf("disk:5:2"), stride=2, boundary="valid")
    assert float((y - op(tasks.fitted(x, op))).abs().max()) < 0.51 / 255
    assert np.array_equal(kind.alpha, alpha[2:30:2, 2:40:2])
    told = fastip("restore", tmp_path / "y.png", "--task", "sr2", "--psf", "disk:5:2", "-o", tmp_path / "x.png", *TV)
    assert told.exit_code == 0 and "19 × 14 -> 38 × 28, sr2, psf disk:5:2, natural boundary" in told.output
    back = io.read_image(tmp_path / "x.png")[0]
    assert float((back - x[..., 2:30, 2:40]).square().mean().sqrt()) < 0.05


def test_transparent_pixels_are_filled(tmp_path):
    truth = torch.tensor([1, 0.7, 0.4])[None, :, None, None] * torch.linspace(0.2, 0.9, 44).expand(1, 1, 40, 44)
    io.write_image(tmp_path / "in.png", truth)
    mask = np.ones((40, 44))
    mask[10:14, 6:30] = 0
    masked(tmp_path / "in.png", mask)
    told = fastip("restore", tmp_path / "in.png", "--task", "inpaint", "-o", tmp_path / "out.png")
    assert told.exit_code == 0 and "inpaint, noise " in told.output and "warning" not in told.output, told.output
    x, kind = io.read_image(tmp_path / "out.png")
    assert kind.alpha is None and float((x - truth).abs().mean()) < 0.005
    assert float((x - truth)[..., 10:14, 6:30].abs().max()) < 0.03
    assert fastip("restore", tmp_path / "in.png", "--task", "inpaint", "-o", tmp_path / "out.jpg").exit_code == 0


def test_a_mask_says_what_is_known(tmp_path):
    y = picture(tmp_path / "in.png", h=40, w=44)
    mask = np.full((40, 44), 255, "uint8")
    mask[20:26, 6:30] = 0
    Image.fromarray(mask).save(tmp_path / "mask.png")
    Image.fromarray(255 - mask).save(tmp_path / "other.png")
    words = ["restore", tmp_path / "in.png", "--task", "inpaint", "--noise", 0.01, "-o", tmp_path / "out.png", "--mask"]
    told = fastip(*words, tmp_path / "mask.png")
    assert told.exit_code == 0 and "warning" not in told.output
    expected = tasks.get("inpaint").problem(mask=mask > 0, noise=0.01).solve(y).x.clamp(0, 1)
    assert float((io.read_image(tmp_path / "out.png")[0] - expected).abs().max()) < 0.5 / 255 + 1e-4
    told = fastip(*words, tmp_path / "other.png")
    assert told.exit_code == 0
    assert told.output.startswith("warning: 92% of ") and "white is known and black is filled" in told.output
    degraded = fastip(
        *(
            "degrade",
            tmp_path / "in.png",
            "--task",
            "inpaint",
            "--mask",
            tmp_path / "mask.png",
            "-o",
            tmp_path / "y.png",
        )
    )
    hidden = io.read_image(tmp_path / "y.png")[0]
    assert degraded.exit_code == 0 and torch.equal(hidden, y * torch.from_numpy(mask > 0))


def test_pages_tell_their_noise_together(tmp_path):
    draw = torch.Generator().manual_seed(0)
    pages = [(0.5 + level * torch.randn(1, 1, 40, 44, generator=draw), io.Kind("uint16")) for level in (0.01, 0.03)]
    io.write_pages(tmp_path / "a.tif", pages, count=2)
    told = fastip("restore", tmp_path / "a.tif", "--task", "denoise", "-o", tmp_path / "b.tif")
    assert told.exit_code == 0, told.output
    low, high = (float(word) for word in told.output.split("noise ")[1].split(" estimated")[0].split(" to "))
    assert 0.008 < low < 0.013 and 0.025 < high < 0.035
    assert io.read_image(tmp_path / "b.tif", page=1)[0].std() < 0.015


def test_what_a_small_picture_does_not_tell_is_assumed(tmp_path):
    picture(tmp_path / "in.png", h=9, w=9)
    told = fastip("restore", tmp_path / "in.png", "--task", "denoise", "-o", tmp_path / "out.png")
    assert told.exit_code == 0 and "denoise, noise 0.015 assumed, " in told.output


REFUSED = {
    "grey levels as noise": (["denoise", "--noise", "2.55"], "write 2.55/255"),
    "no number": (["denoise", "--noise", "little"], "such as 0.01 or 2.55/255"),
    "divided by zero": (["denoise", "--noise", "1/0"], "such as 0.01 or 2.55/255"),
    "divided twice": (["denoise", "--noise", "1/2/3"], "such as 0.01 or 2.55/255"),
    "negative noise": (["denoise", "--noise=-0.1"], "such as 0.01 or 2.55/255"),
    "border of a program": (["upscale", "--factor", "2", "--boundary", "natural"], "has no boundary"),
    "no factor": (["upscale"], "needs a factor"),
    "factor of a blur": (["sr2", "--factor", "3"], "factor is 3.0, and task 'sr2' has no factor"),
    "a psf without use": (["denoise", "--psf", "box:3"], "psf is given, and task 'denoise' has no psf"),
    "nothing to fill": (["inpaint"], "has no transparent pixels"),
    "missing mask": (["inpaint", "--mask", "no.png"], "does not exist"),
    "mask of another size": (["inpaint", "--mask", "mask.png"], "expected the same h and w"),
    "mask that hides all": (["inpaint", "--mask", "black.png"], "0 everywhere"),
    "noise of a network": (["photo-sr4", "--noise", "0.1"], "trained for one noise alone"),
    "noise without a weight": (["denoise", "--prior", "l2", "--noise", "0.1"], "give a weight instead"),
    "misspelt": (["upscal"], "did you mean 'upscale'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_in_one_line(tmp_path, monkeypatch, case):
    (task, *options), message = REFUSED[case]
    monkeypatch.chdir(tmp_path)
    picture("in.png", h=20, w=20)
    Image.fromarray(np.full((9, 9), 255, "uint8")).save("mask.png")
    Image.fromarray(np.zeros((20, 20), "uint8")).save("black.png")
    told = fastip("restore", "in.png", "--task", task, *options, "-o", "out.png")
    assert told.exit_code == 2 and message in told.output, told.output
    assert told.output.startswith("error: ") and told.output.count("\n") == 1
    assert not (tmp_path / "out.png").exists()


def test_a_picture_that_is_all_transparent(tmp_path):
    picture(tmp_path / "in.png", h=20, w=20)
    masked(tmp_path / "in.png", np.zeros((20, 20)))
    told = fastip("restore", tmp_path / "in.png", "--task", "inpaint", "-o", tmp_path / "out.png")
    assert told.exit_code == 2 and "all pixels of the picture are transparent" in told.output
