"""The command ``fastip experiment``: list the experiments, or run one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import fastip

from ..errors import InvalidInput
from .console import out
from .progress import Bars

if TYPE_CHECKING:
    from rich.table import Table


def experiment(
    name: Annotated[
        str | None, typer.Argument(help="The experiment; without a name they are listed.", show_default=False)
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The folder for NAME.json, .png and .md, made if it is missing.")
    ] = Path("experiments"),
    change: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            "-s",
            metavar="KEY=VALUE",
            help="Another value for a parameter; the list names them.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Run an experiment: measure, draw, and write a page with the numbers. \
Without a name: list all experiments with their parameters.
    """  # noqa: D205 - one line of help
    if name is None:
        out.print(_listing())
        return
    with Bars("", one=True) as bars:
        page = fastip.experiments.perform(name, output, parameters=_pairs(change or []), report=bars)
    out.print(str(page), soft_wrap=True)


def _listing() -> Table:
    from rich.table import Table

    table = Table()
    for heading in ("experiment", "what it measures", "parameters"):
        table.add_column(heading, overflow="fold")
    for name in fastip.experiments.names():
        found = fastip.experiments.find(name)
        table.add_row(name, found.summary, ", ".join(f"{key}={value}" for key, value in found.parameters().items()))
    return table


def _pairs(words: list[str]) -> dict[str, str]:
    pairs = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not (key and equals and value):
            raise InvalidInput(f"--set {word}: expected KEY=VALUE, e.g. --set size=64")
        pairs[key.strip()] = value.strip()
    return pairs
