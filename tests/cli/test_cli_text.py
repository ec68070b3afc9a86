"""What the command line shows: names with square brackets and colons as they are, and nothing cut off."""

from __future__ import annotations

import ast
import io
import os
import re
import subprocess
from pathlib import Path

import pytest
from rich.console import Console

import fastip as package
from cases.cli import fastip, picture
from cases.programs import PYTHON
from fastip import tasks
from fastip.cli import app, console, progress
from fastip.kernels import extension
from fastip.kernels.triton import start
from fastip.tasks.quality import Record

NAMES = ("[red]x.png", "[/]x.png", ":smile:[bold].png", "[link=a]b[train].png")


# ---- no text is markup -----------------------------------------------------------------------------------------------


def made(name: str) -> list[tuple[str, ast.Call]]:
    """Where the sources make an object of this class of Rich."""
    return [
        (f"{path.name}:{call.lineno}", call)
        for path in Path(package.__file__).parent.rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and getattr(call.func, "id", getattr(call.func, "attr", None)) == name
    ]


@pytest.mark.parametrize("name, off", [("Console", ("markup", "emoji")), ("TextColumn", ("markup",))])
def test_markup_is_off_wherever_text_is_shown(name: str, off: tuple[str, ...]) -> None:
    """But for columns of words of our own."""
    calls = made(name)
    assert calls
    for place, call in calls:
        given = {word.arg: getattr(word.value, "value", None) for word in call.keywords}
        plain = call.args and "{" not in str(getattr(call.args[0], "value", "{"))
        assert plain or [given.get(option) for option in off] == [False] * len(off), place


@pytest.mark.parametrize("name", NAMES)
def test_file_names_are_shown_as_they_are(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    name = name.replace("/", "-")  # a name of a file
    picture(Path(name), h=9, w=9)
    told = fastip("restore", name, "--task", "deblur", "--psf", "delta:1", "--iterations", 2, "-o", "[b]" + name)
    assert told.exit_code == 0 and told.output.startswith(f"[b]{name}  9 × 9"), told.output
    told = fastip("degrade", name, "--task", "deblur", "--psf", "delta:1", "-o", "[c]" + name)
    assert told.exit_code == 0 and told.output.startswith(f"[c]{name}  9 × 9"), told.output
    told = fastip("restore", "[d]" + name, "--task", "deblur", "--psf", "delta:1", "-o", name)
    assert told.exit_code == 2 and told.output.startswith(f"error: [d]{name} does not exist"), told.output


def test_the_progress_shows_the_name_as_it_is(tmp_path, monkeypatch):
    shown = io.StringIO()
    terminal = Console(file=shown, force_terminal=True, width=100, highlight=False, markup=False, emoji=False)
    monkeypatch.setattr(progress, "err", terminal)
    monkeypatch.chdir(tmp_path)
    picture(Path("[red]x.png"), h=9, w=9)
    assert (
        fastip(
            "restore", "[red]x.png", "--task", "deblur", "--psf", "delta:1", "--iterations", 2, "-o", "y.png"
        ).exit_code
        == 0
    )
    assert "[red]x.png" in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.getvalue())


def test_info_names_the_extra_of_triton(monkeypatch):
    """Rich took [triton] for a style."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(
        start, "why_missing", lambda: f"it cannot be imported (No module named 'triton'); {start.REMEDY}"
    )
    assert "pip install 'fastip[triton]'" in fastip("info").output


def test_info_says_what_to_do_without_the_extension(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr(extension, "why_missing", lambda: "fastip/_C is not there")
    told = " ".join(fastip("info").output.split())
    assert f"reason fastip/_C is not there: {extension.REMEDY}" in told


def test_the_cache_is_named_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTIP_CACHE", str(tmp_path / "[red]cache"))
    assert fastip("data", "list").output.splitlines()[-1] == f"cache: {tmp_path / '[red]cache' / 'data'}"


def test_errors_keep_brackets(capsys):
    console.complain("pip install 'fastip[train]' :warning: [/red]")
    assert capsys.readouterr().err == "error: pip install 'fastip[train]' :warning: [/red]\n"


# ---- nothing is cut off ----------------------------------------------------------------------------------------------

LEARNED = {"photo-sr4": tasks.Quality(27.125, 0.8125, "bicubic", 25.5, None, "two cores", "fastip experiment tasks")}


def listed(monkeypatch: pytest.MonkeyPatch, columns: int | None) -> list[str]:
    """The lines of ``fastip tasks`` in a terminal of so many columns; None where nothing says how many there are."""
    if columns is None:
        monkeypatch.delenv("COLUMNS", raising=False)
    else:
        monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(app, "out", Console(highlight=False, markup=False, emoji=False))
    monkeypatch.setattr(tasks, "quality", lambda: Record(LEARNED))
    return fastip("tasks").output.splitlines()


@pytest.mark.parametrize("columns", [None, 40, 60, 80, 120])
def test_tasks_fit_the_terminal(monkeypatch, columns):
    """A pipe has 80 columns."""
    lines = listed(monkeypatch, columns)
    # The last one is code, which is to be copied.
    assert max(map(len, lines[:-1])) <= (columns or 80) and not any("…" in line for line in lines)
    for task in map(tasks.get, tasks.names()):
        assert columns == 40 or f"│ {task.name} " in "".join(lines)
        assert columns == 40 or f"{task.summary}; {task.data_text} {task.prior_text}" in _joined(lines), task.name
    assert 'fastip.shipped.restorer("photo").solve(y, op).x' in lines[-1]


def _joined(lines: list[str]) -> str:
    """The words of the second column."""
    cells = [line.split("│")[2].strip() for line in lines if line.count("│") == 3]
    return " ".join(" ".join(cells).split())


def test_tasks_show_what_was_measured_beside_what_they_do(monkeypatch):
    joined = _joined(listed(monkeypatch, 80))
    assert "network, PSNR 27.12 dB (bicubic 25.50), SSIM 0.812" in joined
    assert "psf gaussian:9:1.6 network" in joined


@pytest.mark.parametrize("columns", [60, 80])
def test_other_lists_are_not_cut_either(monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    for command in (("experiment",), ("info",)):
        lines = fastip(*command).output.splitlines()
        assert max(map(len, lines)) <= columns and not any("…" in line for line in lines)


def test_a_pipe_is_written_in_80_columns():
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    ran = subprocess.run(
        [*PYTHON, "-m", "fastip", "tasks"], env=environment, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0 and max(map(len, ran.stdout.splitlines())) <= 80 and "\x1b" not in ran.stdout
