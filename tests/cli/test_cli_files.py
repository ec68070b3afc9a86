"""Files and the command line: ranges, limits, odd names, folders that go on, a standard output that takes nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from io import BytesIO, StringIO, TextIOWrapper

import numpy as np
import pytest
import tifffile
from PIL import Image

from cases.cli import fastip, picture
from cases.programs import PYTHON
from fastip import io, tasks
from fastip.cli import app, console, restore
from fastip.errors import FastipError

DEBLUR = ("--task", "deblur", "--psf", "delta:1", "--prior", "l2", "--weight", 0, "--iterations", 3)


# ---- ranges and limits -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".tif", ".npy"])
@pytest.mark.parametrize("low, high", [(0, 255), (-1024, 3071)])
def test_a_range_goes_in_and_out(tmp_path, suffix, low, high):
    """What the same picture gives in [0, 1], at both ends."""
    unit = picture(tmp_path / "unit.npy", h=16, w=20)
    floats = np.moveaxis(unit[0].numpy(), 0, -1).astype("float64") * (high - low) + low
    path = tmp_path / f"a{suffix}"
    np.save(path, floats) if suffix == ".npy" else tifffile.imwrite(path, floats, photometric="rgb")
    words = ["--task", "sr2", "--iterations", 8, "-o"]
    refused = fastip("restore", path, *words, tmp_path / "b.png")
    assert refused.exit_code == 2 and "--range" in refused.output and not (tmp_path / "b.png").exists()
    assert fastip("restore", tmp_path / "unit.npy", *words, tmp_path / "expected.npy").exit_code == 0
    expected = np.load(tmp_path / "expected.npy")
    for name in (f"b{suffix}", "b.png"):
        done = fastip("restore", path, "--range", f"{low},{high}", *words, tmp_path / name)
        assert done.exit_code == 0, done.output
    found = np.load(tmp_path / "b.npy") if suffix == ".npy" else tifffile.imread(tmp_path / "b.tif")
    np.testing.assert_allclose((found - low) / (high - low), expected, atol=1e-5)
    levels = io.read_image(tmp_path / "b.png")[0][0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(levels, np.clip(expected, 0, 1), atol=1e-5 + 0.5 / 65535)


def test_degrade_takes_a_range_too(tmp_path):
    x = picture(tmp_path / "x.npy", h=16, w=16)
    np.save(tmp_path / "a.npy", np.moveaxis(x[0].numpy(), 0, -1) * 255)
    words = ["--task", "sr4", "--noise", 0.01, "-o"]
    assert fastip("degrade", tmp_path / "a.npy", *words, tmp_path / "y.npy").exit_code == 2
    assert fastip("degrade", tmp_path / "a.npy", "--range", "0,255", *words, tmp_path / "y.npy").exit_code == 0
    assert fastip("degrade", tmp_path / "x.npy", *words, tmp_path / "z.npy").exit_code == 0
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), np.load(tmp_path / "z.npy") * 255, atol=1e-3)


@pytest.mark.parametrize(
    "options, message",
    [
        (["--range", "255"], "--range is '255'; expected black below white"),
        (["--range", "255,0"], "expected black below white"),
        (["--range", "0,nan"], "expected black below white"),
        (["--range", "0,inf"], "finite"),
        (["--range", "0,1,2"], "expected black below white"),
        (["--range", "a,b"], "expected numbers"),
        (["--range", "0,255"], "ranges are for floats"),
        (["--max-pixels", "0"], "--max-pixels is 0; expected at least 1"),
        (["--max-pixels", "237"], "17 x 14 = 238 pixels; expected at most 237"),
    ],
)
@pytest.mark.parametrize("command", ["restore", "degrade"])
def test_bad_ranges_and_limits(tmp_path, command, options, message):
    picture(tmp_path / "a.png")
    told = fastip(command, tmp_path / "a.png", "--task", "sr2", *options, "-o", tmp_path / "b.png")
    assert told.exit_code == 2 and message in told.output and told.output.count("\n") == 1
    assert os.listdir(tmp_path) == ["a.png"]


def test_measurements_have_no_range(tmp_path):
    np.save(tmp_path / "y.npy", np.zeros(100, "float32"))
    task = tasks.get("digits-cs100")
    assert task.read(tmp_path / "y.npy", max_pixels=1)[0].shape == (1, 100)
    with pytest.raises(FastipError, match="measurements, which have none"):
        task.read(tmp_path / "y.npy", value_range=(0, 255))


def test_a_psf_may_have_any_scale(tmp_path):
    picture(tmp_path / "a.png")
    for name, scale in (("k.npy", 1), ("l.npy", 60_000)):
        np.save(tmp_path / name, scale * np.arange(1, 10, dtype="float32").reshape(3, 3))
        words = ["--task", "deblur", "--psf", tmp_path / name, "--iterations", 5, "-o", tmp_path / f"{name}.png"]
        assert fastip("restore", tmp_path / "a.png", *words).exit_code == 0
    assert np.array_equal(*(np.asarray(Image.open(tmp_path / f"{name}.npy.png")) for name in "kl"))


# ---- folders and names -----------------------------------------------------------------------------------------------


def test_a_folder_goes_on_whatever_one_file_does(tmp_path, monkeypatch):
    source = tmp_path / "in"
    source.mkdir()
    names = ["a.png", "b.png", "c.png", "d.png", "x" * 251 + ".png", "z.png"]
    for name in names:
        picture(source / name, h=9, w=9)
    errors = {
        "b.png": RuntimeError("first line\nsecond line"),
        "c.png": MemoryError(),
        "d.png": OSError(5, "I/O error"),
    }
    whole = restore.restore_file

    def broken(read, write, settings, figure):
        if read.name in errors:
            raise errors[read.name]
        return whole(read, write, settings, figure)

    monkeypatch.setattr(restore, "restore_file", broken)
    told = fastip("restore", source, *DEBLUR, "-o", tmp_path / "out")
    assert told.exit_code == 1 and "3 of 6 files" in told.output.splitlines()[-1]
    assert sorted(os.listdir(tmp_path / "out")) == ["a.png", names[4], "z.png"]
    lines = [line for line in told.output.splitlines() if line.startswith("error: ")]
    assert len(lines) == 4 and lines[0] == f"error: {source / 'b.png'}: RuntimeError: first line second line"
    assert lines[1].startswith(f"error: {source / 'c.png'}: MemoryError")
    assert lines[2] == f"error: {source / 'd.png'}: OSError: [Errno 5] I/O error"
    errors["b.png"] = KeyboardInterrupt()
    (tmp_path / "out" / "z.png").unlink()
    stopped = fastip("restore", source, *DEBLUR, "-o", tmp_path / "out")
    assert stopped.exit_code not in (0, 1, 2) and not (tmp_path / "out" / "z.png").exists()


def test_a_bad_file_among_good_ones(tmp_path):
    """A page list without an end, a bomb, and one that is cut."""
    from cases import tiff

    source = tmp_path / "in"
    source.mkdir()
    tiff.chain(source / "a.tif", [0])
    tiff.write(source / "b.tif", np.zeros((4, 4), int), 8, change={256: 44_721, 257: 44_721, tiff.COMPRESSION: 8})
    picture(source / "c.png")
    os.mkfifo(source / "d.png")
    told = fastip("restore", source, *DEBLUR, "-o", tmp_path / "out")
    assert told.exit_code == 1 and os.listdir(tmp_path / "out") == ["c.png"] and "2 of 3 files" in told.output


@pytest.mark.parametrize("command", ["restore", "degrade"])
def test_the_longest_name_is_written_and_a_longer_one_refused(tmp_path, command):
    picture(tmp_path / "a.png")
    words = [command, tmp_path / "a.png", "--task", "deblur", "--psf", "delta:1", "-o"]
    assert fastip(*words, tmp_path / ("y" * 251 + ".png")).exit_code == 0
    told = fastip(*words, tmp_path / ("y" * 252 + ".png"))
    assert told.exit_code == 2 and "File name too long" in told.output and told.output.count("\n") == 1


def test_a_link_as_output_is_replaced(tmp_path):
    picture(tmp_path / "a.png")
    (tmp_path / "old.png").write_bytes(b"old")
    (tmp_path / "link.png").symlink_to("old.png")
    assert fastip("restore", tmp_path / "a.png", *DEBLUR, "-o", tmp_path / "link.png").exit_code == 0
    assert (tmp_path / "old.png").read_bytes() == b"old" and not (tmp_path / "link.png").is_symlink()


@pytest.mark.parametrize("command", ["restore", "degrade"])
def test_a_link_that_leads_back_to_itself(tmp_path, command):
    picture(tmp_path / "a.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    for read, write in (("a.png", "loop.png"), ("loop.png", "b.png")):
        words = [command, tmp_path / read, "--task", "deblur", "--psf", "delta:1", "-o", tmp_path / write]
        told = fastip(*words)
        assert told.exit_code == 2 and "Too many levels of symbolic links" in told.output, told.output


@pytest.mark.parametrize("command", ["restore", "degrade"])
def test_a_pipe_as_input_is_refused_at_once(tmp_path, command):
    os.mkfifo(tmp_path / "a.png")
    told = fastip(command, tmp_path / "a.png", "--task", "sr2", "-o", tmp_path / "b.png")
    assert told.exit_code == 2 and "a.png is a pipe; expected a regular file" in told.output


# ---- a standard output that takes nothing ----------------------------------------------------------------------------


def run(*words: object, shell: str) -> subprocess.CompletedProcess[str]:
    """``fastip WORDS`` with what the shell makes of its standard output."""
    command = 'exec "$@" ' + shell
    arguments = [*PYTHON, "-m", "fastip", *map(str, words)]
    return subprocess.run(["bash", "-c", command, "fastip", *arguments], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("words", [("--help",), ("--version",), ("restore", "--help")])
@pytest.mark.parametrize("shell, said", [(">/dev/full", "No space left on device"), (">&-", "is closed")])
def test_a_standard_output_that_takes_nothing_is_one_line(words, shell, said):
    done = run(*words, shell=shell)
    assert done.returncode not in (0, 120) and said in done.stderr, done.stderr
    assert done.stderr.startswith("error: the standard output") and done.stderr.count("\n") == 1, done.stderr


def test_a_result_is_written_all_the_same(tmp_path):
    """And a damaged file is one line, though tifffile logs what is wrong with it."""
    source = tmp_path / "in"
    source.mkdir()
    tifffile.imwrite(source / "a.tif", np.zeros((64, 50), "uint8"), rowsperstrip=8, compression="zlib")
    data = bytearray((source / "a.tif").read_bytes())
    with tifffile.TiffFile(source / "a.tif") as file:
        data[file.pages[0].tags[273].offset + 4] = 5
    (source / "a.tif").write_bytes(data)
    for name in ("b.png", "c.png"):
        picture(source / name)
    done = run("restore", source, *DEBLUR, "-o", tmp_path / "out", shell=">/dev/full")
    first, second = done.stderr.splitlines()
    assert done.returncode == 2 and "missing" in first and "No space left" in second
    assert os.listdir(tmp_path / "out") == ["b.png"]


def test_a_reader_that_is_gone_is_an_error(monkeypatch):
    """Rich would leave without a word."""

    class Gone(StringIO):
        def write(self, text):
            raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(sys, "stdout", Gone())
    with pytest.raises(FastipError, match="cannot be written: Broken pipe"):
        console.Output().print("what was asked for")


def test_names_that_no_encoding_has_are_shown(monkeypatch):
    shown = BytesIO()
    monkeypatch.setattr(sys, "stdout", TextIOWrapper(shown, "ascii", write_through=True))
    monkeypatch.setattr(sys, "argv", ["fastip", "--version"])
    with pytest.raises(SystemExit):
        app.main()
    console.out.print("x\udcff.png  9 × 9")
    assert shown.getvalue().splitlines()[-1] == rb"x\udcff.png  9 \xd7 9"
