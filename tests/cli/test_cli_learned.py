"""The command restore with tasks that have a network."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

from cases.cli import fastip, picture
from cases.tasks import register
from fastip import io, tasks


@pytest.fixture
def small(monkeypatch, tmp_path_factory):
    register(monkeypatch, tmp_path_factory.mktemp("weights"))


@pytest.mark.parametrize(
    ("task", "options", "scale"),
    [
        ("photo-sr4", [], 4),
        ("photo-sr4", ["--boundary", "valid"], 4),
        ("photo-sr4-wide", ["--boundary", "reflect", "--memory", "20MB"], 4),
        ("photo-deblur-motion", ["--iterations", "2"], 1),
        ("photo-deblur-motion", ["--boundary", "valid", "--inverse", "cg"], 1),
    ],
)
@pytest.mark.parametrize("grey", [True, False])
def test_a_learned_task_writes_what_it_computes(small, tmp_path, task, options, scale, grey):
    y = picture(tmp_path / "in.png", grey=grey)
    result = fastip("restore", tmp_path / "in.png", "--task", task, *options, "-o", tmp_path / "out.png")
    assert result.exit_code == 0, result.output
    chosen = {"boundary": "natural", "iterations": 3} | {
        k[2:]: int(v) if v.isdigit() else v for k, v in zip(options[::2], options[1::2], strict=True)
    }
    problem = tasks.get(task).problem(**chosen)
    expected = tasks.crop_valid(problem.solve(y).x, problem.op, (14 * scale, 17 * scale)).clamp(0, 1)
    h, w = expected.shape[2:]
    # a valid psf smaller than the stride leaves the last pixels out
    assert 14 * scale - 2 <= h <= 14 * scale and 17 * scale - 2 <= w <= 17 * scale
    told = " ".join(result.output.split())
    for words in (
        f"{w} × {h}",
        task,
        tasks.get(task).psf,
        f"{chosen['boundary']} boundary",
        f"{chosen['iterations']} iterations",
    ):
        assert words in told
    assert "used up" not in told  # all iterations are what the training foresaw
    x, kind = io.read_image(tmp_path / "out.png")
    assert x.shape == (1, 1 if grey else 3, h, w) and kind.depth == "uint8"
    assert float((x - expected).abs().max()) < 0.5 / 255 + 1e-4


def test_grey_comes_back_in_colour(small, tmp_path):
    picture(tmp_path / "in.png", grey=True)
    picture(tmp_path / "colour.png")
    words = ["--task", "colorize-sr2", "-o", tmp_path / "out.png"]
    assert fastip("restore", tmp_path / "in.png", *words, "--figure", tmp_path / "figure.png").exit_code == 0
    assert io.read_image(tmp_path / "out.png")[0].shape == (1, 3, 28, 34)
    assert Image.open(tmp_path / "figure.png").size[0] > 400
    refused = fastip("restore", tmp_path / "colour.png", *words)
    assert refused.exit_code == 2 and "a grey image" in refused.output


def test_a_folder_of_photographs(small, tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    picture(source / "a.png")
    picture(source / "b.png", grey=True, h=9)
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (12, 14, 4), dtype="uint8")).save(source / "c.png")
    np.save(source / "d.npy", np.random.default_rng(2).random((12, 14)).astype("float32"))
    np.save(source / "e.npy", np.full((12, 14, 3), np.nan, "float32"))
    result = fastip("restore", source, "--task", "photo-sr4-wide", "-o", tmp_path / "out")
    assert result.exit_code == 1 and "1 of 5 files" in result.output and "e.npy" in result.output
    assert sorted(os.listdir(tmp_path / "out")) == ["a.png", "b.png", "c.png", "d.npy"]
    assert np.asarray(Image.open(tmp_path / "out" / "c.png")).shape == (48, 56, 4) and np.load(
        tmp_path / "out" / "d.npy"
    ).shape == (48, 56)


LEARNED_BAD = {
    "psf": (["--psf", "gaussian:5:1"], "trained for one psf alone"),
    "prior": (["--prior", "tv"], "trained for one prior alone"),
    "weight": (["--weight", "0.1"], "trained for one weight alone"),
    "beta": (["--beta", "0.1"], "trained for one beta alone"),
    "tolerance": (["--tolerance", "0.1"], "trained for one tolerance alone"),
    "iterations": (["--iterations", "9"], "trained through 3"),
    "memory that is none": (["--memory", "plenty"], "2GB or 800MB"),
    "memory that is too little": (["--memory", "100kB"], "raise the bound to at least"),
}


@pytest.mark.parametrize("case", LEARNED_BAD)
def test_what_a_learned_task_refuses(small, tmp_path, case):
    options, message = LEARNED_BAD[case]
    picture(tmp_path / "in.png", h=40, w=40)
    result = fastip("restore", tmp_path / "in.png", "--task", "photo-sr4", *options, "-o", tmp_path / "out.png")
    assert result.exit_code == 2 and message in result.output and result.output.count("\n") == 1
    assert os.listdir(tmp_path) == ["in.png"]


def test_memory_is_for_networks(tmp_path):
    picture(tmp_path / "in.png")
    result = fastip("restore", tmp_path / "in.png", "--task", "sr2", "--memory", "1GB", "-o", tmp_path / "out.png")
    assert result.exit_code == 2 and "has no network" in result.output
