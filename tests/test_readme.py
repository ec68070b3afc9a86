"""What README and the pages of docs/ print runs as it stands, each in a fresh process and a folder of its own.

Blocks of README stand alone; those of a page of docs/ run one after the other. Commands that train, serve or take
minutes are parsed alone, and what installs or makes something is looked up. ``<!-- trains -->`` before a block makes
its trainings two steps on noise, ``<!-- gpu -->`` has it compiled alone.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image

from cases.cli import fastip
from cases.programs import PYTHON
from fastip import psf
from fastip.cli.app import app

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("docs/*.md"), *ROOT.glob("docs/guide/*.md")])
NOT_RUN = ("make demo", "make test", "pip install '.[data]'")  # commands of README, as they are before their comment
RUN = ("restore", "degrade", "info")  # the commands of the other pages that are run: the others are parsed
SHOWN = {"python", "sh", "text", "bibtex", "{toctree}", "{include}", "{doctest}"}
MARKS = ("gpu", "trains")

# What stands before blocks that train: two steps on pictures of noise, whatever is asked for.
SHORT = """
import functools, numpy
from fastip import data, train
def _pictures(*_, size=96, **__):
    size = 64 if "celeba/" in _ else size
    return data.Stored(numpy.random.default_rng(0).integers(0, 255, (12, 3, size, size), numpy.uint8), numpy.zeros(12))
data.Photographs = data.FolderPictures = _pictures
for _name in ("inverse", "prior", "unrolled", "gan", "projector"):
    setattr(train, _name, functools.partial(getattr(train, _name), steps=2, batch=2, progress=False))
train.networks = functools.partial(train.networks, "dcgan", colours=3, size=64, width=4)
train.networks = lambda *_, _made=train.networks, **__: _made()
train.measurements = functools.partial(train.measurements, pairs=600, passes=1)
"""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    line: int
    language: str
    mark: str
    text: str


def blocks(path: Path) -> list[Block]:
    """The fenced blocks of a page, in its order."""
    found = []
    lines = path.read_text().splitlines()
    numbers = iter(range(len(lines)))
    before = ""
    for n in numbers:
        if lines[n].startswith("```"):
            end = next(m for m in range(n + 1, len(lines)) if lines[m].startswith("```"))
            mark = re.fullmatch(r"<!-- (\w+) -->", before)
            language = lines[n].removeprefix("```").split()[0]
            found.append(Block(n + 1, language, mark[1] if mark else "", "\n".join(lines[n + 1 : end])))
            for _ in range(end - n):
                next(numbers)
        before = lines[n].strip() or before
    return found


def python(path: Path) -> list[Block]:
    """The blocks of Python."""
    return [block for block in blocks(path) if block.language == "python"]


def commands(path: Path) -> list[str]:
    """The lines of the shell blocks, their comments left out."""
    text = "\n".join(block.text for block in blocks(path) if block.language == "sh")
    return [line.partition("  #")[0].strip() for line in text.splitlines() if line.strip()]


WITH_COMMANDS = [path for path in PAGES if commands(path)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder with the files that the pages name."""
    rng = np.random.default_rng(0)
    rows = np.linspace(40, 200, 64)[:, None, None] + 20 * rng.standard_normal((64, 64, 3))
    photograph = Image.fromarray(rows.clip(0, 255).astype(np.uint8))
    for name in ("moved.jpg", "photo.jpg"):
        photograph.save(tmp_path / name, quality=95)
    photograph.save(tmp_path / "soft.jpg", quality=95)
    (tmp_path / "scans").mkdir()
    for name in ("moved.png", "grainy.jpg", "torn.png", "scans/a.png", "scans/b.png"):
        photograph.save(tmp_path / name)
    Image.fromarray(np.where(rows[:, :, 0] > 60, 255, 0).astype(np.uint8)).save(tmp_path / "known.png")
    photograph.convert("L").resize((28, 28)).save(tmp_path / "digit.png")
    for name in ("book.tif", "scan.tif"):
        photograph.save(tmp_path / name, save_all=True, append_images=[photograph])
    photograph.resize((24, 24), Image.Resampling.BICUBIC).save(tmp_path / "small.jpg", quality=95)
    path = psf.shake(15, seed=1)
    Image.fromarray((path / path.max() * 255).round().numpy().astype(np.uint8)).save(tmp_path / "shake.png")
    return tmp_path


def run(arguments: list[str], folder: Path) -> None:
    """Run Python with these arguments there; what it says is shown where it fails."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    said = subprocess.run(
        [*PYTHON, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=600
    )
    assert said.returncode == 0, said.stdout + said.stderr


@pytest.mark.parametrize("block", python(ROOT / "README.md"), ids=lambda block: f"line{block.line}")
def test_python_of_readme(block: Block, folder: Path) -> None:
    assert block.mark != "trains", "README has no training: put it on a page"
    if block.mark != "gpu":
        run(["-c", block.text], folder)


@pytest.mark.parametrize("command", [c for c in commands(ROOT / "README.md") if c not in NOT_RUN])
def test_commands_of_readme(command: str, folder: Path) -> None:
    before = set(folder.iterdir())
    words = shlex.split(command)
    assert words[0] == "fastip", f"{command!r} is no command of fastip; if it shall not run, name it in NOT_RUN"
    run(["-m", "fastip", *words[1:]], folder)
    if "-o" in words:
        assert set(folder.iterdir()) - before == {folder / words[words.index("-o") + 1]}


def parse(words: list[str]) -> None:
    """Refuse what the command line would not take, from its parameters; nothing is run."""
    command = typer.main.get_command(app)
    name = "fastip"
    while isinstance(command, typer.core.TyperGroup):
        name, words = (words or ["nothing"])[0], words[1:]
        found = command.get_command(command.context_class(command), name)
        assert found, f"there is no command {name}"
        command = found
    command.make_context(name, list(words))  # raises what the command line would say


def look_up(words: list[str]) -> None:
    """Refuse targets of make and extras that are none."""
    if words[0] == "make":
        assert re.search(rf"^{re.escape(words[1])}:", (ROOT / "Makefile").read_text(), re.MULTILINE), words
        return
    assert words[:2] == ["pip", "install"] and len(words) == 3, words
    extras = re.search(r"\[(.+)\]", words[2])
    project = (ROOT / "pyproject.toml").read_text()
    for extra in extras[1].split(",") if extras else ():
        assert re.search(rf"^{re.escape(extra.strip())} = \[", project, re.MULTILINE), words


@pytest.mark.parametrize("path", [ROOT / "README.md", *WITH_COMMANDS], ids=lambda p: p.stem)
def test_every_command_is_taken(path: Path) -> None:
    for command in commands(path):
        words = shlex.split(command)
        parse(words[1:]) if words[0] == "fastip" else look_up(words)


@pytest.mark.parametrize("path", [ROOT / "README.md", *PAGES], ids=lambda p: p.stem)
def test_every_option_in_a_sentence_is_one(path: Path) -> None:
    """Of the commands that a sentence names with their options."""
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    for told in re.findall(r"`fastip ([a-z][^`]*)`", text):
        words, command = told.split(), typer.main.get_command(app)
        while words and isinstance(command, typer.core.TyperGroup):
            found = command.get_command(command.context_class(command), words.pop(0))
            assert found, f"{path.name}: fastip {told}"
            command = found
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        assert {word for word in words if word.startswith("-")} <= known, f"{path.name}: fastip {told}"


@pytest.mark.parametrize("path", WITH_COMMANDS, ids=lambda p: p.stem)
def test_commands_of_a_page(path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, in this process: torch is loaded."""
    monkeypatch.chdir(folder)
    for command in commands(path):
        words = shlex.split(command)
        if words[0] == "fastip" and words[1] in RUN:
            done = fastip(*words[1:])
            assert done.exit_code == 0, f"{command}: {done.output}"
            assert "-o" not in words or (folder / words[words.index("-o") + 1]).exists(), command


@pytest.mark.parametrize(
    "path", [p for p in PAGES if any(block.mark != "gpu" for block in python(p))], ids=lambda p: p.stem
)
def test_python_of_a_page(path: Path, folder: Path) -> None:
    text = ""
    for block in python(path):
        if block.mark != "gpu":
            text += f"{SHORT if block.mark == 'trains' else ''}\n{block.text}\n"
    (folder / "page.py").write_text(text)
    run(["page.py"], folder)


@pytest.mark.parametrize("path", [ROOT / "README.md", *PAGES], ids=lambda p: p.stem)
def test_every_block_is_known_and_compiles(path: Path) -> None:
    for block in blocks(path):
        where = f"{path.name}:{block.line}"
        assert block.language in SHOWN, f"{where} is {block.language!r}, which nothing runs or draws"
        assert block.mark in ("", *MARKS) or block.language != "python", f"{where} is marked {block.mark!r}"
        if block.language == "python":
            compile(block.text, where, "exec")


def test_readme_is_short() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.split()) <= 900 and len(text.splitlines()) <= 130
    assert {"make demo", "make test"} <= set(commands(ROOT / "README.md")) and "docs/demo.png" in text


def test_links_of_readme_lead_somewhere() -> None:
    text = re.sub(r"```.*?```", "", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    assert len(links) > 10
    gone = [link for link in links if "://" not in link and not (ROOT / link.partition("#")[0]).exists()]
    assert not gone, gone
