"""Writes the page of the command line from the commands themselves, so that both cannot differ."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from sphinx.application import Sphinx

from fastip.cli.app import app as commands

HEAD = """# Command line reference

Every command with its arguments and options, as `fastip COMMAND --help` says it.
The guide has [the ways to use them](guide/commands.md).
"""


def plain(text: str | None) -> str:
    """A help text on one line, safe in a table."""
    return re.sub(r"([|<*\[\]_])", r"\\\1", " ".join((text or "").split()))


def row(parameter: Any, context: Any) -> tuple[str, str] | None:
    """(name and what it takes, help) of an argument or option; None where it is hidden."""
    record = parameter.get_help_record(context)
    if record is None or getattr(parameter, "hidden", False):
        return None
    return f"`{record[0]}`".replace("|", "\\|"), plain(record[1])


def section(command: Any, words: list[str]) -> Iterator[str]:
    """The section of a command and of those below it."""
    context = command.make_context(" ".join(words), [], resilient_parsing=True)
    yield f"\n{'#' * min(len(words) + 1, 4)} {' '.join(words)}\n"
    text = (command.help or "").replace("\f", "").replace("\b", "")
    yield re.sub(r"\n{3,}", "\n\n", text).strip() + "\n" if text else ""
    usage = " ".join([*words, *command.collect_usage_pieces(context)])
    yield f"```text\n{usage}\n```\n"
    rows = [cells for p in command.get_params(context) if (cells := row(p, context)) and "--help" not in cells[0]]
    if rows:
        yield "| argument or option | meaning |\n| --- | --- |"
        yield from (f"| {' | '.join(cells)} |" for cells in rows)
        yield ""
    for name, below in sorted(getattr(command, "commands", {}).items()):
        if not below.hidden:
            yield from section(below, [*words, name])


def write(app: Sphinx) -> None:
    """Writes ``commands.md``."""
    path = Path(app.srcdir) / "commands.md"
    text = HEAD + "\n".join(section(typer.main.get_command(commands), ["fastip"])) + "\n"
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def setup(app: Sphinx) -> dict[str, bool]:
    """As Sphinx asks for it."""
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
