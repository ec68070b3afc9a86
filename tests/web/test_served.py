"""What the workers of the page do: the bytes of the command, its words, and what is refused."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import torch

from cases.bombs import BOMBS
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
from fastip.web.workers import Limits, Workers

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


def test_bombs_cost_a_worker_neither_time_nor_memory(tmp_path):
    def spent(pid):
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK"), int(status["VmHWM"].split()[0]) / 1024

    with Workers(job, Limits(memory=300 * 2**20), Warm(1)) as workers:
        [pid] = [worker.process.pid for worker in workers._all]
        for bomb, words in BOMBS.items():
            before = spent(pid)
            with pytest.raises(FastipError, match=words):
                workers.ask(Look(bomb(tmp_path / "bomb"), tmp_path, MOST))
            seconds, megabytes = (after - begin for after, begin in zip(spent(pid), before, strict=True))
            assert seconds < 1 and megabytes < 300, (bomb, seconds, megabytes)
        assert [worker.process.pid for worker in workers._all] == [pid]


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
