"""The command ``fastip data``: fetch the public sets, and say what they are."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

import fastip

from ..errors import closest
from .choices import COLLECTIONS
from .console import err, out, plainly

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Public sets of pictures for training and testing.")


@app.command()
@plainly
def fetch(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME...", help=f"{', '.join(COLLECTIONS)}, or all.", show_default=False)
    ],
) -> None:
    """Download sets into the cache by pip, npm or apt-get, as you have set them up. \
What is there is not downloaded again.
    """  # noqa: D205 - one line of help
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    if names != ["all"]:
        for name in names:
            closest(name, COLLECTIONS, "set")  # refuse a misspelt name before the first download
    wanted = list(fastip.data.COLLECTIONS) if names == ["all"] else list(dict.fromkeys(names))
    what, share = (TextColumn(text, markup=False) for text in ("{task.description}", "{task.percentage:>3.0f}%"))
    columns = what, BarColumn(), share, TimeElapsedColumn()
    for name in wanted:
        before, start = fastip.data.fetched(name), time.perf_counter()
        with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
            folders = fastip.data.fetch(name, report=_Bars(progress))
        seconds = time.perf_counter() - start
        out.print(f"{name}: {'was there' if before else f'fetched in {seconds:.1f} s'}")
        for folder in folders:
            out.print(f"  {folder}", soft_wrap=True)


class _Bars:
    """A bar for each thing that is reported."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.bars: dict[str, TaskID] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        if what not in self.bars:
            self.bars[what] = self.progress.add_task(what, total=total)
        self.progress.update(self.bars[what], completed=done, total=total)


@app.command("list")
@plainly
def listing() -> None:
    """The sets: what they hold, what for, where they come from, under which licence, \
and whether they are in the cache.
    """  # noqa: D205 - one line of help
    from rich.text import Text

    for name, collection in fastip.data.COLLECTIONS.items():
        there = "in the cache" if fastip.data.fetched(name) else "not fetched"
        said = f"  {collection.summary}  ({there}; {collection.kept / 1e6:.0f} MB there)"
        out.print(Text.assemble((name, "bold"), said), soft_wrap=True)
        out.print(f"  for {collection.used_for}")
        for part in collection.parts:
            for number, source in enumerate(part.sources):
                where = f"{source.client} {source.package} {source.version}, {source.size / 1e6:.1f} MB"
                out.print(f"  {'or ' if number else ''}{where}: {source.holds}")
                out.print(f"      licence: {source.licence}")
                out.print(f"      credit: {source.credit}")
    out.print(f"cache: {fastip.data.folder()}", soft_wrap=True)
