"""--psf auto:disk and auto:motion: the psf of each picture, what is said of it, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cases.cli import fastip
from cases.scenes import scene, seen
from fastip import io, psf


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Pictures out of focus and a sharp one, grey."""
    monkeypatch.chdir(tmp_path)
    for name, taps in (("blurred", psf.disk(9, 3.4)), ("other", psf.disk(11, 4.6)), ("sharp", None)):
        io.write_image(tmp_path / f"{name}.png", seen(scene(96, 110, 2), taps).float())
    return tmp_path


def restored(picture, *options, to="out.npy"):
    return fastip("restore", picture, "--task", "deblur", "--iterations", 3, *options, "-o", to)


def test_the_psf_is_that_of_the_picture(folder):
    told = restored("blurred.png", "--psf", "auto:disk", "--figure", "how.png")
    found = psf.estimate(io.read_image("blurred.png")[0], "disk")
    assert told.exit_code == 0 and f"psf disk of radius {found.parameters['radius']:.1f}, estimated" in told.output
    assert abs(found.parameters["radius"] - 3.4) < 0.3
    np.save("found.npy", found.psf.numpy())
    assert restored("blurred.png", "--psf", "found.npy", to="same.npy").exit_code == 0
    np.testing.assert_allclose(np.load("out.npy"), np.load("same.npy"), atol=1e-6)
    plain = restored("blurred.png", "--psf", "found.npy", "--figure", "plain.png", to="same.npy")
    assert plain.exit_code == 0 and "estimated, natural" not in plain.output
    assert io.read_image("how.png")[0].shape[3] > io.read_image("plain.png")[0].shape[3]  # the search is beside it


def test_a_noise_that_is_given_is_used(folder, monkeypatch):
    given = []
    estimate = psf.estimate
    monkeypatch.setattr(psf, "estimate", lambda y, kind, noise, **rest: given.append(noise) or estimate(y, kind, noise))
    assert restored("blurred.png", "--psf", "auto:disk", "--noise", "2.55/255").exit_code == 0
    assert given == [pytest.approx(0.01)]


def test_a_picture_without_the_blur_is_refused(folder):
    told = restored("sharp.png", "--psf", "auto:disk")
    assert told.exit_code == 2 and len(told.output.splitlines()) == 1
    assert "psf of sharp.png" in told.output and "not a blur of this kind; give the psf" in told.output
    assert not (folder / "out.npy").exists()
    told = restored("blurred.png", "--psf", "auto:motion")
    assert told.exit_code == 2 and "not a blur of this kind" in told.output


def test_the_search_alone_is_drawn_clear_or_not(folder):
    assert restored("blurred.png", "--psf", "auto:disk", "--psf-figure", "found.png").exit_code == 0
    assert restored("sharp.png", "--psf", "auto:disk", "--psf-figure", "none.png").exit_code == 2
    one, other = (io.read_image(name)[0] for name in ("found.png", "none.png"))
    assert one.shape == other.shape and not torch.equal(one, other)
    for options, why in (
        (
            ["blurred.png", "--psf", "disk:9:3", "--psf-figure", "a.png"],
            "expected --psf auto:disk or auto:motion with it",
        ),
        ([folder, "--psf", "auto:disk", "--psf-figure", "a.png"], "--psf-figure a.png draws one image"),
        (["blurred.png", "--psf", "auto:disk", "--psf-figure", "a.txt"], "has the suffix '.txt'"),
    ):
        told = restored(*options, to="to" if folder in options else "out.npy")
        assert told.exit_code == 2 and why in told.output, told.output
    assert not (folder / "a.png").exists()


def test_each_picture_of_a_folder_and_each_page_has_its_own(folder):
    told = restored(folder, "--psf", "auto:disk", to=folder / "to")
    assert told.exit_code == 1 and sorted(path.name for path in (folder / "to").iterdir()) == [
        "blurred.png",
        "other.png",
    ]
    radii = [psf.estimate(io.read_image(f"{n}.png")[0], "disk").parameters["radius"] for n in ("blurred", "other")]
    for radius in radii:
        assert f"psf disk of radius {radius:.1f}, estimated" in told.output
    pages = [io.read_image(f"{name}.png") for name in ("blurred", "other")]
    size = [min(p.shape[k] for p, _ in pages) for k in (2, 3)]
    cut = [(page[..., : size[0], : size[1]].contiguous(), kind) for page, kind in pages]
    io.write_pages("book.tif", iter(cut), count=2)
    told = restored("book.tif", "--psf", "auto:disk", to="book2.tif")
    assert told.exit_code == 0 and told.output.count("disk of radius") == 2 and "estimated" in told.output
    assert torch.isfinite(io.read_image("book2.tif", page=1)[0]).all()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["deblur", "--psf", "auto:disc"], "did you mean 'auto:disk'"),
        (["deblur", "--psf", "auto"], "there is no --psf 'auto'"),
        (["deblur", "--psf", "auto:disk", "--psf-centre"], "--psf is auto:disk: leave them out"),
        (["sr2", "--psf", "auto:disk"], "task 'sr2' cannot use a blur of the picture itself"),
        (["denoise", "--psf", "auto:motion"], "expected the task deblur"),
    ],
)
def test_what_cannot_be_estimated(folder, words, told):
    said = fastip("restore", "blurred.png", "--task", *words, "-o", "out.png")
    assert said.exit_code == 2 and told in said.output, said.output


def test_other_commands_need_a_psf(folder):
    said = fastip("degrade", "sharp.png", "--task", "deblur", "--psf", "auto:disk", "-o", "out.png")
    assert said.exit_code == 2 and "'auto:disk' names no psf" in said.output
