"""Looks at the built pages: ``python docs/check.py FOLDER``.

Every public name has its page, every parameter on it a description, every link inside leads somewhere, and no page asks
another host for anything.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

LOADED = {"img": "src", "script": "src", "link": "href", "iframe": "src", "source": "src", "form": "action"}


@dataclass
class Page(HTMLParser):
    """What a page holds.

    Attributes:
        ids: The places that a link can lead to.
        links: Where its own links lead.
        loads: What a browser fetches for it.
        signatures: name -> how it is called, where it is documented.
        described: (name, parameter) -> what is said of it where the name is documented, a class or one of its methods.
    """

    ids: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    signatures: dict[str, str] = field(default_factory=dict)
    described: dict[tuple[str, str], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__()
        self._place = ""  # the name that this is about
        self._head = False  # in the line that says how it is called
        self._first = self._strong = False  # at the start of a paragraph, in bold type there
        self._key: tuple[str, str] | None = None  # the name and the parameter that this is about

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        """Notes places and links."""
        given = {key: value or "" for key, value in attrs}
        self.ids |= {given["id"]} if "id" in given else set()
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        loads = given.get(LOADED.get(tag, ""), "")
        if loads:
            self.loads.append(loads)
        if tag == "dt" and "id" in given:
            self._place, self._head = given["id"], True
        self._strong = tag == "strong" and self._first
        self._first = tag == "p"

    def handle_data(self, data: str) -> None:
        """Notes what is said of a parameter."""
        if self._head:
            self.signatures[self._place] = self.signatures.get(self._place, "") + data
        if self._strong:
            self._key = self._place, data.lstrip("*")
            self.described.setdefault(self._key, "")
        elif self._key is not None:
            self.described[self._key] += data
        self._strong = self._first = False

    def handle_endtag(self, tag: str) -> None:
        """Ends what is said of a parameter."""
        self._head &= tag != "dt"
        if tag in ("li", "dd"):
            self._key = None


def read(path: Path) -> Page:
    """A page."""
    page = Page()
    page.feed(path.read_text())
    return page


def outside(link: str) -> bool:
    """Whether it leads to another host."""
    return link.startswith("//") or urlsplit(link).scheme in ("http", "https", "ftp")


def broken(folder: Path, pages: dict[Path, Page]) -> Iterator[str]:
    """Links that lead nowhere, and what is loaded from elsewhere."""
    for path, page in pages.items():
        where = path.relative_to(folder)
        for link in page.loads:
            if outside(link):
                yield f"{where} loads {link}: pages ask no other host for anything"
        for link in {*page.links, *page.loads}:
            if outside(link) or link.startswith(("mailto:", "data:")):
                continue
            parts = urlsplit(link)
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.is_file():
                yield f"{where} links to {link}, which is not there"
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].ids:
                yield f"{where} links to {link}, which has no such place"


def foreign_styles(folder: Path) -> Iterator[str]:
    """Style sheets that load from elsewhere."""
    for path in folder.rglob("*.css"):
        for link in re.findall(r"(?:url\(|@import )\s*[\"']?((?:https?:)?//[^\"')\s]+)", path.read_text()):
            yield f"{path.relative_to(folder)} loads {link}: pages ask no other host for anything"


def undescribed(page: Page, name: str, parameters: Sequence[str]) -> list[str]:
    """The parameters of a function, class or method of which nothing is said."""
    return [key for key in parameters if len(page.described.get((name, key), "").partition("–")[2].strip()) < 3]


def missing(folder: Path) -> Iterator[str]:
    """Public names without a page, and parameters without a description."""
    import members
    import names

    for face, found in names.public():
        listed = read(folder / "api" / f"face-{face or 'fastip'}.html")
        for name in found:
            if name.kind == "data":
                if name.full not in listed.ids and type(name.value).__name__ != "TypeVar":
                    yield f"{name.full} is not on the page of its module"
                continue
            path = folder / "api" / f"{name.page}.html"
            page = read(path) if path.is_file() else Page()
            if name.page not in page.ids:
                yield f"{name.full} has no page"
                continue
            if "*_" in page.signatures.get(name.page, ""):
                yield f"{name.full} does not say how it is called"
            for place, parameters in ((name.page, names.described(name.value)), *members.of(name, page.ids)):
                if wrong := undescribed(page, place, parameters):
                    yield f"{place} says nothing of {', '.join(wrong)}"


def main(folder: Path) -> int:
    """Prints what is wrong.

    Args:
        folder: That of the built pages.

    Returns:
        The exit code.
    """
    folder = folder.resolve()
    pages = {path: read(path) for path in sorted(folder.rglob("*.html"))}
    wrong = [*broken(folder, pages), *foreign_styles(folder), *missing(folder)]
    print("\n".join(wrong) or f"{len(pages)} pages: every name, parameter and link is there")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
