"""What the workers of the page do: the bytes of the command, its words, and what is refused."""

from __future__ import annotations

import time
import zlib

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from cases.cli import fastip
from cases.scenes import scene, seen
from fastip import io, psf
from fastip.cli.served import job
from fastip.errors import FastipError
from fastip.web.choices import (
    EXAMPLES,
    FOCUS,
    HOLES,
    MOVED,
    NOISY,
    SEARCH,
    SMALL,
    Example,
    Look,
    Restore,
    Warm,
    Words,
    command,
)

MOST = 10**6


@pytest.fixture
def picture(tmp_path):
    """A colour picture of 16 bits, and a folder for what is made of it."""
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    path = tmp_path / "in" / "my photo.png"
    x = scene(24, 32, 2).float().expand(1, 3, -1, -1)
    io.write_image(path, x, like=io.Kind("uint16"))
    return path


def ask(picture, words, most=MOST):
    return job(Restore(picture, picture.parents[1] / "out", most, words.options()))


CASES = {
    "small": (
        Words(SMALL, factor=2.0, method="area", noise=2.0),
        "--task upscale --factor 2 --method area --like pillow --noise 2/255",
    ),
    "focus": (Words(FOCUS, search=False, radius=1.5), "--task deblur --psf disk:3:1.5"),
    "moved": (Words(MOVED, search=False, length=4, angle=30, noise=1), "--task deblur --psf motion:5:30 --noise 1/255"),
    "noisy": (Words(NOISY), "--task denoise"),
}


@pytest.mark.parametrize("name", CASES)
def test_the_bytes_are_those_of_the_command(picture, tmp_path, monkeypatch, name):
    words, options = CASES[name]
    line = command(picture.name, words.options())
    assert line == f"fastip restore 'my photo.png' {options} -o 'my photo-restored.png'"
    answer = ask(picture, words)
    monkeypatch.chdir(picture.parent)
    told = fastip("restore", picture.name, *options.split(), "-o", "same.png")
    assert told.exit_code == 0, told.output
    assert answer.result.read_bytes() == (picture.parent / "same.png").read_bytes()
    assert answer.result.name == "my photo-restored.png" and io.read_image(answer.result)[1].depth == "uint16"
    mine, other = (text.strip().split(" iterations, ")[0] for text in (answer.said, told.output))
    assert f"same.png  {mine}" == other
    before, after = (io.read_image(path)[0] for path in (answer.before, answer.after))
    assert before.shape == after.shape == io.read_image(answer.result)[0].shape


@pytest.mark.parametrize("given", [True, False], ids=["mask", "transparency"])
def test_holes_are_those_of_a_mask_or_of_the_picture(picture, given):
    known = torch.ones(1, 1, 24, 32)
    known[..., 5:9, 7:20] = 0
    mask = picture.with_name("mask.png")
    io.write_image(mask, known)
    if not given:
        x, _ = io.read_image(picture)
        io.write_image(picture, x, like=io.Kind(alpha=(255 * known[0, 0]).byte().numpy()))
        mask = None
    answer = ask(picture, Words(HOLES, mask=mask))
    assert (
        fastip(
            "restore",
            picture,
            "--task",
            "inpaint",
            *(["--mask", mask] if given else []),
            "-o",
            picture.with_name("same.png"),
        ).exit_code
        == 0
    )
    assert answer.result.read_bytes() == picture.with_name("same.png").read_bytes()
    before = io.read_image(answer.before)[0]
    red = (before - torch.tensor([0.82, 0.29, 0.36])[:, None, None]).abs().amax(dim=1) < 0.01
    assert torch.equal(red[0], known[0, 0] == 0)


def test_the_search_is_drawn_where_the_blur_is_clear_and_where_it_is_not(picture, tmp_path):
    for name, taps in (("blurred.png", psf.disk(9, 3.4)), ("sharp.png", None)):
        io.write_image(picture.with_name(name), seen(scene(96, 110, 2), taps).float())
    curve = tmp_path / "out" / SEARCH
    answer = ask(picture.with_name("blurred.png"), Words(FOCUS))
    assert "psf disk of radius 3." in answer.said and io.read_image(curve)[0].shape[3] > 500
    curve.unlink()
    with pytest.raises(FastipError, match=r"the psf of sharp\.png is to be estimated .* not a blur of this kind"):
        ask(picture.with_name("sharp.png"), Words(FOCUS))
    assert curve.exists() and not list((tmp_path / "out").glob("sharp*"))


def test_what_is_seen_before(picture, tmp_path):
    seen_ = job(Look(picture, tmp_path / "out", MOST))
    assert seen_.said == "32 × 24 pixels, colour, 16 bits"
    assert io.read_image(seen_.preview)[0].shape == (1, 3, 24, 32)


def large(path):
    """A PNG of 60000 x 60000 pixels in some bytes."""
    header = np.array([60_000, 60_000], ">u4").tobytes() + bytes([8, 2, 0, 0, 0])
    chunks = (b"IHDR" + header, b"IDAT" + zlib.compress(bytes(1000)), b"IEND")
    parts = (np.array(len(c) - 4, ">u4").tobytes() + c + np.array(zlib.crc32(c), ">u4").tobytes() for c in chunks)
    path.with_suffix(".png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return path.with_suffix(".png")


def packed(path):
    """A TIFF that claims 40000 x 40000 pixels in one strip."""
    tifffile.imwrite(path.with_suffix(".tif"), np.zeros((16, 16), "uint8"), compression="zlib")
    with tifffile.TiffFile(path.with_suffix(".tif"), mode="r+") as file:
        for tag in (256, 257, 278):
            file.pages[0].tags[tag].overwrite(40_000)
    return path.with_suffix(".tif")


def pages(path):
    with tifffile.TiffWriter(path.with_suffix(".tif")) as file:
        for _ in range(500):
            file.write(np.zeros((8, 8), "uint8"))
    return path.with_suffix(".tif")


def animated(path):
    frames = [Image.new("L", (8, 8), k) for k in range(100)]
    frames[0].save(path.with_suffix(".png"), save_all=True, append_images=frames[1:])
    return path.with_suffix(".png")


BOMBS = {large: "60000 x 60000", packed: "40000 x 40000", pages: "has 500 pages", animated: "animation of 100 frames"}


@pytest.mark.parametrize("bomb", BOMBS, ids=lambda bomb: bomb.__name__)
def test_bombs_are_refused_in_words_and_at_once(tmp_path, bomb):
    """What they cost: tests/io/test_limits.py, and below in a worker."""
    path = bomb(tmp_path / "bomb")
    begun = time.process_time()
    for asked in (Look(path, tmp_path, MOST), Restore(path, tmp_path, MOST, Words(NOISY).options())):
        with pytest.raises(FastipError, match=BOMBS[bomb]) as told:
            job(asked)
        assert str(tmp_path) not in str(told.value) and path.name in str(told.value)
    assert time.process_time() - begun < 1


def test_a_result_of_too_many_pixels_is_refused(picture):
    with pytest.raises(FastipError, match="result would have 49152 pixels; expected at most 10000: choose a smaller"):
        ask(picture, Words(SMALL, factor=8.0), most=10_000)


def test_a_mask_of_too_many_pixels_is_refused(picture):
    io.write_image(picture.with_name("mask.png"), torch.ones(1, 1, 100, 101))
    with pytest.raises(FastipError, match=r"mask\.png has 101 x 100 = 10100 pixels"):
        ask(picture, Words(HOLES, mask=picture.with_name("mask.png")), most=10_000)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_are_those_that_are_installed(tmp_path, name):
    if name not in job(Warm(1)).examples:
        pytest.skip("the package with this photograph is not installed")
    path = job(Example(name, tmp_path))
    x, kind = io.read_image(path)
    assert list(tmp_path.iterdir()) == [path] and min(x.shape[2:]) >= 64
    assert (kind.alpha is not None) == (EXAMPLES[name][1] == HOLES)


def test_no_package_no_examples(monkeypatch):
    from fastip.data import photographs

    monkeypatch.setattr(photographs.importlib.util, "find_spec", lambda name: None)
    assert job(Warm(1)).examples == ()


@pytest.mark.parametrize(
    "wrong",
    [
        {"damage": "It is ugly"},
        {"factor": 17},
        {"factor": None},
        {"factor": "many"},
        {"damage": FOCUS, "search": False, "radius": 1e9},
        {"damage": MOVED, "search": False, "length": float("nan")},
        {"damage": MOVED, "search": False, "angle": "/etc/passwd"},
        {"damage": NOISY, "noise": "/etc/passwd"},
        {"damage": NOISY, "noise": -1},
    ],
    ids=str,
)
def test_words_that_stand_for_nothing_are_refused(wrong):
    with pytest.raises(FastipError, match="expected|there is no damage"):
        Words(**wrong).options()
