"""The command ``fastip data``: fetch the public sets, and say what they are."""

from __future__ import annotations

import time
from typing import Annotated

import typer

import fastip

from ..errors import closest
from .choices import COLLECTIONS
from .console import out, plainly
from .progress import Bars

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
    if names != ["all"]:
        for name in names:
            closest(name, COLLECTIONS, "set")  # refuse a misspelt name before the first download
    wanted = list(fastip.data.COLLECTIONS) if names == ["all"] else list(dict.fromkeys(names))
    for name in wanted:
        before, start = fastip.data.fetched(name), time.perf_counter()
        with Bars() as bars:
            folders = fastip.data.fetch(name, report=bars)
        seconds = time.perf_counter() - start
        out.print(f"{name}: {'was there' if before else f'fetched in {seconds:.1f} s'}")
        for folder in folders:
            out.print(f"  {folder}", soft_wrap=True)


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
