"""The seeded bugs of ``tests/mutations/run.py`` still fit the code."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from mutations.mutation import Mutation
from mutations.mutations import MUTATIONS

ROOT = Path(__file__).parents[2]


def test_there_are_enough_of_them() -> None:
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS) >= 25


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_each_is_one_change_of_the_product(mutation: Mutation) -> None:
    assert mutation.file.startswith(("fastip/", "csrc/"))
    assert "\n" not in mutation.old + mutation.new and mutation.old != mutation.new
    text = (ROOT / mutation.file).read_text()
    assert text.count(mutation.old) == 1
    if mutation.file.endswith(".py"):
        assert ast.dump(ast.parse(text)) != ast.dump(ast.parse(text.replace(mutation.old, mutation.new)))
    missing = [path for path in mutation.likely if not (ROOT / "tests" / path).exists()]
    assert mutation.likely and not missing
