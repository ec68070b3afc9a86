"""The command restore: what a user types, what lands on disk, and one clear line when it cannot."""

from __future__ import annotations

import os

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from cases.cli import fastip, picture
from fastip import io, tasks
from fastip.contracts import Solution, Status
from fastip.io import images

# ---- what works ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "options", "scale"),
    [
        ("sr4", [], 4),
        ("sr2", ["--psf", "disk:5:2"], 2),
        ("deblur", ["--psf", "motion:5:45"], 1),
        ("sr4", ["--boundary", "reflect", "--inverse", "cg"], 4),
        ("sr2", ["--boundary", "zero", "--prior", "wavelet", "--weight", "0.002"], 2),
        ("deblur", ["--psf", "gaussian:5:1", "--boundary", "valid", "--beta", "0.1"], 1),
        ("sr4", ["--boundary", "valid", "--prior", "l1", "--inverse", "stencil"], 4),
        ("deblur", ["--psf", "motion:5:10", "--prior", "l2", "--inverse", "exact", "--tolerance", "1e-4"], 1),
    ],
)
def test_restore_writes_what_the_task_computes(tmp_path, task, options, scale):
    y = picture(tmp_path / "in.png")
    result = fastip(
        "restore", tmp_path / "in.png", "--task", task, *options, "--iterations", 20, "-o", tmp_path / "out.png"
    )
    assert result.exit_code == 0, result.output
    assert f"{17 * scale} × {14 * scale}" in result.output
    x, kind = io.read_image(tmp_path / "out.png")
    assert x.shape == (1, 3, 14 * scale, 17 * scale) and kind.depth == "uint8"
    keys = {"--psf": "psf", "--boundary": "boundary", "--inverse": "inverse", "--prior": "prior"}
    numbers = {"--weight": "weight", "--beta": "beta", "--tolerance": "tolerance"}
    pairs = dict(zip(options[::2], options[1::2], strict=True))
    choices = {keys[k]: v for k, v in pairs.items() if k in keys} | {
        numbers[k]: float(v) for k, v in pairs.items() if k in numbers
    }
    problem = tasks.get(task).problem(**choices, iterations=20)
    expected = tasks.crop_valid(problem.solve(y).x, problem.op, (14 * scale, 17 * scale)).clamp(0, 1)
    assert float((x - expected).abs().max()) < 0.5 / 255 + 1e-4


@pytest.mark.parametrize(
    ("name", "depth"),
    [
        ("a.png", "uint16"),
        ("a.tif", "uint8"),
        ("a.tif", "uint16"),
        ("a.tiff", "float32"),
        ("a.npy", "float32"),
        ("a.jpg", "uint8"),
    ],
)
def test_restore_keeps_kind_depth_and_grey(tmp_path, name, depth):
    x = torch.rand(1, 1, 12, 13, generator=torch.Generator().manual_seed(2))
    io.write_image(tmp_path / name, x, like=io.Kind(depth))
    (tmp_path / "out").mkdir()
    # a folder: the name is kept
    assert fastip("restore", tmp_path / name, "--task", "sr2", "--iterations", 3, "-o", tmp_path / "out").exit_code == 0
    back, kind = io.read_image(tmp_path / "out" / name, value_range=(0, 1))
    assert kind.depth == depth and back.shape == (1, 1, 24, 26)


def test_floats_are_not_clipped_and_integers_are_held_to_the_box(tmp_path):
    np.save(tmp_path / "a.npy", (7 * np.random.default_rng(0).random((12, 12, 3)) - 2).astype("float32"))
    words = ["restore", tmp_path / "a.npy", "--task", "deblur", "--psf", "motion:3:0", "-o", tmp_path / "b.npy"]
    assert fastip(*words, "--range", "0,1").exit_code == 0
    values = np.load(tmp_path / "b.npy")
    assert values.min() < -0.5 and values.max() > 2 and values.dtype == np.float32


def test_alpha_comes_along(tmp_path):
    rgba = np.random.default_rng(1).integers(0, 256, (12, 14, 4), dtype="uint8")
    Image.fromarray(rgba).save(tmp_path / "a.png")
    assert (
        fastip("restore", tmp_path / "a.png", "--task", "sr2", "--iterations", 2, "-o", tmp_path / "b.png").exit_code
        == 0
    )
    assert np.array_equal(np.asarray(Image.open(tmp_path / "b.png"))[::2, ::2, 3], rgba[..., 3])


@pytest.mark.parametrize("boundary", ["natural", "valid"])
def test_no_crop_keeps_the_whole_valid_image(tmp_path, boundary):
    picture(tmp_path / "in.png")
    words = [
        "restore",
        tmp_path / "in.png",
        "--task",
        "sr4",
        "--boundary",
        boundary,
        "--iterations",
        2,
        "-o",
        tmp_path / "out.png",
    ]
    assert fastip(*words, "--no-crop").exit_code == 0
    assert io.read_image(tmp_path / "out.png")[0].shape == (1, 3, 13 * 4 + 9, 16 * 4 + 9)


def test_psf_from_a_file_and_the_figure(tmp_path):
    picture(tmp_path / "in.png")
    np.save(tmp_path / "k.npy", np.ones((3, 3), "float32"))
    for psf, out in ((tmp_path / "k.npy", "a.png"), ("box:3", "b.png")):
        words = ["restore", tmp_path / "in.png", "--task", "deblur", "--psf", psf, "-o", tmp_path / out]
        assert fastip(*words, "--figure", tmp_path / "figure.png").exit_code == 0
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")), np.asarray(Image.open(tmp_path / "b.png")))
    assert Image.open(tmp_path / "figure.png").size[0] > 600


def test_a_folder_is_mirrored_and_one_bad_file_stops_nothing(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    picture(source / "a.png")
    picture(source / "b.JPG", grey=True)
    picture(source / "d.tif", h=20)
    (source / "c.png").write_text("no image")
    (source / "e.png").write_bytes((source / "a.png").read_bytes()[:90])
    (source / "notes.txt").write_text("not an image, and not asked for")
    (source / "deeper").mkdir()
    result = fastip("restore", source, "--task", "sr2", "--iterations", 3, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert sorted(os.listdir(tmp_path / "out")) == ["a.png", "b.JPG", "d.tif"]
    assert (
        result.output.count("error:") == 3
        and "c.png" in result.output
        and "e.png" in result.output
        and "2 of 5 files" in result.output
    )
    assert io.read_image(tmp_path / "out" / "b.JPG")[0].shape == (1, 1, 28, 34)
    (source / "c.png").unlink()
    (source / "e.png").unlink()
    assert fastip("restore", source, "--task", "sr2", "--iterations", 3, "-o", tmp_path / "out").exit_code == 0


# ---- what is refused -------------------------------------------------------------------------------------------------


def _npy(folder, name, array):
    np.save(folder / name, array)
    return name


BAD = {
    "missing file": (lambda d: ["nothing.png"], "does not exist"),
    "text named png": (lambda d: [(d / "t.png").write_text("hello") and "t.png"], "not a PNG"),
    "empty file": (lambda d: [(d / "e.png").touch() or "e.png"], "is empty"),
    "truncated png": (
        lambda d: [(d / "h.png").write_bytes((d / "ok.png").read_bytes()[:200]) and "h.png"],
        "cannot be read",
    ),
    "unknown suffix": (lambda d: [(d / "a.xyz").touch() or "a.xyz"], "suffix"),
    "nan in npy": (lambda d: [_npy(d, "n.npy", np.full((9, 9), np.nan, "float32"))], "NaN"),
    "integers in npy": (lambda d: [_npy(d, "i.npy", np.zeros((9, 9), "uint8"))], "dtype"),
    "several pages": (
        lambda d: [tifffile.imwrite(d / "p.tif", np.zeros((3, 9, 9), "uint8"), photometric="minisblack") or "p.tif"],
        "pages",
    ),
    "unknown task": (lambda d: ["ok.png", "--task", "sr4x"], "did you mean"),
    "unknown prior": (lambda d: ["ok.png", "--prior", "tvv"], "did you mean 'tv'"),
    "unknown inverse": (lambda d: ["ok.png", "--inverse", "magic"], "expected one of auto"),
    "unknown boundary": (lambda d: ["ok.png", "--boundary", "symmetric"], "did you mean 'reflect'"),
    "bad psf": (lambda d: ["ok.png", "--psf", "gausian:9:1"], "did you mean"),
    "bad psf number": (lambda d: ["ok.png", "--psf", "gaussian:nine:1"], "not a number"),
    "missing psf file": (lambda d: ["ok.png", "--psf", "k.png"], "does not exist"),
    "zero psf": (lambda d: ["ok.png", "--psf", d / _npy(d, "z.npy", np.zeros((3, 3), "float32"))], "sums to"),
    "psf larger than the image": (lambda d: ["ok.png", "--psf", "gaussian:99:9", "--boundary", "zero"], "psf"),
    "deblur without psf": (lambda d: ["ok.png", "--task", "deblur"], "needs the psf"),
    "negative weight": (lambda d: ["ok.png", "--weight", "-1"], "weight"),
    "zero beta": (lambda d: ["ok.png", "--beta", "0"], "beta"),
    "no iterations": (lambda d: ["ok.png", "--iterations", "0"], "iterations"),
    "negative tolerance": (lambda d: ["ok.png", "--tolerance", "-1"], "tolerance"),
    "output folder missing": (lambda d: ["ok.png", "-o", d / "no" / "out.png"], "does not exist"),
    "output suffix": (lambda d: ["ok.png", "-o", d / "out.gif"], "suffix"),
    "output is the input": (lambda d: ["ok.png", "-o", d / "ok.png"], "input itself"),
    "figure suffix": (lambda d: ["ok.png", "--figure", d / "f.txt"], "suffix"),
    "figure folder missing": (lambda d: ["ok.png", "--figure", d / "no" / "f.png"], "is no folder"),
    "empty folder": (lambda d: [(d / "void").mkdir() or "void"], "holds no image"),
    "folder onto itself": (lambda d: [".", "-o", d], "is the input folder"),
    "folder onto a file": (lambda d: [".", "-o", d / "ok.png"], "give a folder"),
    "folder below nothing": (lambda d: [".", "-o", d / "no" / "deep"], "create it first"),
    "figure of a folder": (lambda d: [".", "--figure", d / "f.png", "-o", d / "later"], "draws one image"),
    "colour planes no png can hold": (
        lambda d: [_npy(d, "five.npy", np.zeros((12, 12, 5), "float32"))],
        "can hold 1 or 3",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_clear_line_and_leaves_no_file(tmp_path, monkeypatch, case):
    make, message = BAD[case]
    monkeypatch.chdir(tmp_path)
    picture(tmp_path / "ok.png", h=40, w=40)
    words = make(tmp_path)
    words += [] if "--task" in words else ["--task", "sr2"]
    words += [] if "-o" in words else ["-o", "out.png"]
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()}
    result = (
        fastip("restore", *words, "--iterations", "2") if "--iterations" not in words else fastip("restore", *words)
    )
    assert result.exit_code == 2, result.output
    assert message in result.output and result.output.startswith("error: ") and result.output.count("\n") == 1
    assert isinstance(result.exception, SystemExit)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()} == before


def test_an_unstable_solve_writes_nothing(tmp_path, monkeypatch):
    picture(tmp_path / "in.png")
    bad = Solution(torch.zeros(1, 3, 28, 34), None, Status.UNSTABLE, 20, torch.zeros(4, 2, 1))
    monkeypatch.setattr(tasks.AdmmProblem, "solve", lambda self, y, report=None: bad)
    result = fastip("restore", tmp_path / "in.png", "--task", "sr2", "-o", tmp_path / "out.png")
    assert (
        result.exit_code == 2
        and "unstable" not in result.output.lower().split("error:")[0]
        and "a larger beta" in result.output
    )
    assert os.listdir(tmp_path) == ["in.png"]


def test_what_cannot_be_written_is_not_computed(tmp_path, monkeypatch):
    monkeypatch.setattr(tasks.AdmmProblem, "solve", lambda self, y, report=None: pytest.fail("solved in vain"))
    np.save(tmp_path / "five.npy", np.zeros((12, 12, 5), "float32"))
    assert fastip("restore", tmp_path / "five.npy", "--task", "sr2", "-o", tmp_path / "a.png").exit_code == 2
    np.save(tmp_path / "three.npy", np.zeros((12, 12, 3), "float32"))
    for bad in (["-o", tmp_path / "no" / "a.png"], ["-o", tmp_path / "a.png", "--figure", tmp_path / "f.bmp"]):
        assert fastip("restore", tmp_path / "three.npy", "--task", "sr2", *bad).exit_code == 2


def test_an_interrupt_leaves_no_part(tmp_path, monkeypatch):
    picture(tmp_path / "in.png")

    def interrupted(file, *content):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setitem(images._WRITERS, "PNG", interrupted)
    result = fastip("restore", tmp_path / "in.png", "--task", "sr2", "--iterations", 2, "-o", tmp_path / "out.png")
    assert result.exit_code != 0 and os.listdir(tmp_path) == ["in.png"]
