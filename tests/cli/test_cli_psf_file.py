"""The options beside --psf: what they do to a psf file, and what is said of one."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from cases.cli import fastip, picture
from fastip import io, train
from fastip.errors import InvalidInput


def star(size=13):
    at = np.arange(size) - size // 2
    return np.rint(200 * np.exp(-np.add.outer(at**2, at**2) / 2))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A picture, a psf, and the same psf with a background, two rows down, and with both."""
    monkeypatch.chdir(tmp_path)
    picture(tmp_path / "in.png", h=24, w=25)
    for name, taps in (
        ("clean", star()),
        ("haze", star() + 9),
        ("down", np.pad(star(), ((4, 0), (0, 0)))),
        ("both", np.pad(star(), ((4, 0), (0, 0))) + 9),
        ("zero", star() - star().mean()),
    ):
        Image.fromarray(taps.astype("uint8")).save(f"{name}.png") if name != "zero" else np.save("zero.npy", taps)
    return tmp_path


@pytest.mark.parametrize("command", ["degrade", "restore"])
@pytest.mark.parametrize(
    ("psf", "options"),
    [
        ("haze.png", ["--psf-background", "auto"]),
        ("haze.png", ["--psf-background", "9"]),
        ("down.png", ["--psf-centre"]),
        ("both.png", ["--psf-background", "auto", "--psf-centre"]),
    ],
)
def test_a_psf_file_is_mended(folder, command, psf, options):
    words = [command, "in.png", "--task", "deblur", *(["--iterations", 5] if command == "restore" else [])]
    plain = fastip(*words, "--psf", "clean.png", "-o", "plain.npy")
    mended = fastip(*words, "--psf", psf, *options, "-o", "mended.npy")
    assert plain.exit_code == mended.exit_code == 0, mended.output
    assert "warning" not in plain.output + mended.output
    np.testing.assert_allclose(np.load("mended.npy"), np.load("plain.npy"), atol=2e-6)


def test_what_is_wrong_with_a_psf_file_is_one_line_each(folder):
    told = fastip("restore", "in.png", "--task", "deblur", "--psf", "both.png", "--iterations", 1, "-o", "out.png")
    lines = told.output.splitlines()
    assert told.exit_code == 0 and len(lines) == 3, told.output
    both = np.asarray(Image.open("both.png"), float)
    assert (
        lines[0].startswith(f"warning: {9 * both.size / both.sum():.0%} of the sum")
        and "is a background of 9" in lines[0]
    )
    assert (
        lines[1].startswith("warning: the centroid of the psf in both.png is 2.0 pixels") and "--psf-centre" in lines[1]
    )
    assert io.read_image("out.png")[0].shape == (1, 3, 24, 25)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--psf", "zero.npy"], "sums to"),
        (["--psf", "haze.png", "--psf-background", "median"], "expected auto, or a number"),
        (["--psf", "haze.png", "--psf-background", "nan"], "finite"),
        (["--psf", "gaussian:5:1", "--psf-background", "auto"], "has no background"),
        (["--psf", "gaussian:4:1", "--psf-centre"], "its place by definition"),
        (["--psf-centre"], "--psf is missing"),
        (["--psf-background", "3"], "--psf is missing"),
        (["--psf", "clean.fits"], "suffix '.fits'; expected one of"),
    ],
)
@pytest.mark.parametrize("command", ["degrade", "restore"])
def test_wrong_options_are_refused(folder, command, options, says):
    told = fastip(command, "in.png", "--task", "deblur", *options, "-o", "out.png")
    assert told.exit_code == 2 and says in told.output and told.output.startswith("error: "), told.output
    assert not (folder / "out.png").exists()


def test_training_takes_them_too(folder, monkeypatch):
    taps = []

    def stopped(op, *arguments, **keywords):
        taps.append(op.psf.numpy())
        raise InvalidInput("stopped here")

    monkeypatch.setattr(train, "inverse", stopped)
    for psf, options in (("clean.png", []), ("both.png", ["--psf-background", "auto", "--psf-centre"])):
        told = fastip("train", "inverse", "--beta", 0.05, "--psf", psf, *options, "-o", "c.safetensors")
        assert told.output == "error: stopped here\n"
    np.testing.assert_allclose(taps[1][taps[1].shape[0] // 2 - 6 :][:13], taps[0], atol=1e-12)
    for command in ("prior", "unrolled"):
        told = fastip("train", command, "--help")
        assert "--psf-background" in told.output and "--psf-centre" in told.output
