"""The command line but for restore and the commands that have a file of their own."""

from __future__ import annotations

import os
import subprocess

import pytest
import torch

from cases.cli import fastip
from cases.programs import PYTHON
from fastip import tasks
from fastip.cli import demo
from fastip.tasks.quality import Record


def test_tasks_are_listed_with_what_was_measured(monkeypatch):
    monkeypatch.setattr(tasks, "quality", lambda: Record({}))
    bare = fastip("tasks").output
    assert all(name in bare for name in tasks.names()) and "network" in bare and "tv" in bare and "PSNR" not in bare
    assert 'fastip.shipped.restorer("photo").solve(y, op).x' in bare.splitlines()[-1]
    measured = {
        "photo-sr4": tasks.Quality(27.125, 0.8125, "bicubic", 25.5, None, "two cores", "fastip experiment tasks")
    }
    measured |= {"digits-sr4": tasks.Quality(21.5, None, None, None, None)}
    monkeypatch.setattr(tasks, "quality", lambda: Record(measured))
    full = " ".join(fastip("tasks").output.split())
    assert all(
        word in full
        for word in (
            "27.12 dB",
            "bicubic",
            "25.50",
            "0.812",
            "21.50 dB",
            "SSIM",
            "on two cores by fastip experiment tasks",
        )
    )


@pytest.mark.parametrize(("given", "then"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_that_wait_sleep(given, then):
    """Said before torch is loaded, which reads it once."""
    code = (
        "import os, sys; from fastip.cli import main; sys.argv = ['fastip', '--version']\n"
        "try: main()\nexcept SystemExit: print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    )
    kept = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    env = kept if given is None else kept | {"OMP_WAIT_POLICY": given}
    told = subprocess.run([*PYTHON, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert told.stdout.split()[-2:] == [then, "False"]


def test_info_and_bench_tell_the_truth():
    told = fastip("info").output
    assert torch.__version__ in told and "compiled" in told and "threads" in told
    timed = fastip("bench", "--size", 32, "--iterations", 2)
    assert (
        timed.exit_code == 0
        and "conjugate gradients" in timed.output
        and "2 iterations" in " ".join(timed.output.split())
    )
    assert fastip("bench", "--size", 30).exit_code == 2


def test_demo_prints_and_draws(tmp_path, monkeypatch):
    pytest.importorskip("skimage")
    one = demo.shaken(demo.scenes()[1].truth[..., :78, :94], "chelsea", (0.2, 0.2, 0.3))
    monkeypatch.setattr(demo, "scenes", lambda: [one])
    result = fastip("demo", "-o", tmp_path / "made")
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    assert all(word in said for word in ("Wiener", "TV", "learned", "dB", "estimate the noise"))
    assert os.listdir(tmp_path / "made") == ["demo.png"]
    (tmp_path / "file").touch()
    assert fastip("demo", "-o", tmp_path / "file").exit_code == 2


def test_the_module_is_the_command(tmp_path):
    done = subprocess.run(
        [*PYTHON, "-m", "fastip", "restore", "x.png", "--task", "sr4", "-o", "y.png"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and "error: x.png does not exist" in done.stderr and "Traceback" not in done.stderr
