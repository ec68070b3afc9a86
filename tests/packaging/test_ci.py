"""What a change must pass before it lands: the parts of .ci/run, their limits and their markers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUN = ROOT / ".ci" / "run"
WORKFLOWS = ROOT / ".github" / "workflows"
MOST = 90  # minutes of all parts together
pytestmark = pytest.mark.skipif(not RUN.exists(), reason="a source distribution is without .ci")


def parts() -> list[tuple[str, int, str]]:
    """Target of the Makefile, limit in minutes, marker."""
    table = re.search(r'^PARTS="\n(.*?)^"$', RUN.read_text(), re.MULTILINE | re.DOTALL)
    assert table
    return [
        (part, int(minutes), marker)
        for part, minutes, marker in (line.split(None, 2) for line in table[1].splitlines())
    ]


def test_all_parts_together_stay_within_the_limit() -> None:
    assert sum(minutes for _, minutes, _ in parts()) <= MOST


def test_every_part_is_a_target_that_runs_its_marker() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for part, _, marker in parts():
        recipe = re.search(rf"^{re.escape(part)}:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
        assert recipe, f"the Makefile has no {part}"
        assert marker == "-" or re.search(rf'-m "?{re.escape(marker)}"? tests', recipe[1]), (part, marker)


def test_no_test_is_left_out() -> None:
    """Every marker that `make test` leaves out has a part of its own."""
    left_out = next(marker for part, _, marker in parts() if part == "test").replace("not ", "").split(" and ")
    assert sorted(left_out) == sorted(
        " or ".join(m for part, _, m in parts() if part != "test" and m != "-").split(" or ")
    )


def made() -> set[str]:
    """What the workflows make: targets by name, and those of a matrix of names."""
    text = "\n".join(path.read_text() for path in WORKFLOWS.glob("*.yml"))
    rows = re.findall(r"^ +what: \[(.*)\]$", text, re.MULTILINE)
    assert len(rows) == text.count('make "$WHAT"')
    return {*re.findall(r"\bmake ([\w-]+)", text), *(what.strip() for row in rows for what in row.split(","))}


def test_every_part_is_run_by_a_workflow() -> None:
    """test-all is test and test-slow."""
    whole = re.search(r"^test-all: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert whole
    run = made() | (set(whole[1].split()) if "test-all" in made() else set())
    assert {part for part, _, _ in parts()} <= run
