"""What must answer at once: help, the version, a wrong option, a wrong name. None of them loads torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fastip import data, kernels, tasks, train
from fastip.cli import choices
from fastip.train.recipes import long_recipes

LIGHT = {
    "--help": 0,
    "--version": 0,
    "train --help": 0,
    "serve --help": 0,
    "restore --wrong": 2,
    "restore a.png --task sr5 -o b.png": 2,
    "restore a.png --task sr4 --prior tw -o b.png": 2,
    "degrade a.png --task sr5 -o b.png": 2,
    "data fetch digit": 2,
}


@pytest.mark.parametrize("words", LIGHT)
def test_no_torch_is_loaded(words: str) -> None:
    code = (
        "import sys; from fastip.cli import main; sys.argv[0] = 'fastip'\n"
        "try: main()\n"
        "finally: print('torch' in sys.modules, file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", code, *words.split()], capture_output=True, text=True, timeout=60)
    assert ran.returncode == LIGHT[words] and ran.stderr.split()[-1] == "False", ran.stdout + ran.stderr


def test_the_version_is_that_of_the_package() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "fastip", "--version"], capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stdout.split() == ["fastip", kernels.extension.__version__]


def test_the_names_are_those_of_what_they_stand_for() -> None:
    """They are written again where nothing is loaded."""
    assert list(choices.TASKS) == tasks.names()
    assert choices.PRIORS == tuple(tasks.PRIORS) and choices.INVERSES == tuple(tasks.INVERSES)
    assert set(choices.BOUNDARIES) == set(tasks.BOUNDARIES) == {"natural", *kernels.reference.BOUNDARIES}
    assert choices.COLLECTIONS == tuple(data.COLLECTIONS)
    assert choices.RECIPES == tuple(train.RECIPES) and set(choices.LONG) == set(long_recipes.RECIPES)
