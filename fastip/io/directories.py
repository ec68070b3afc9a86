"""The directories of a TIFF, one a page, looked at before a library reads them.

A list of pages may lead back to itself, and a width may be a list of numbers: a large height times a list is a list
that no memory holds.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ..errors import InvalidInput

# Width, length, compression, kind, samples, planes, width and length of tiles, depth and that of tiles.
_NUMBERS = (256, 257, 259, 262, 277, 284, 322, 323, 32997, 32998)
_SUBFILE, _OLD_SUBFILE = 254, 255
_TYPES = {1: "B", 3: "H", 4: "I", 16: "Q"}
# Of smaller copies in a row, each half as large as the one before; more take longer to look at, fewer refuse no harm.
_MOST_COPIES = 32
# Each is found by going through those before it: so many cost seconds in all. Fewer refuse long books.
MOST_PAGES = 4096


def count_pages(path: Path) -> int:
    """How many pages there are that are no smaller copy of another.

    Args:
        path: A file that begins as a TIFF does.

    Returns:
        Their number.

    Raises:
        InvalidInput: For too many, for none, and for a list of pages that leads back to itself.
        ValueError: For a directory that is none.
        struct.error: For a file that ends within one.
    """
    count = sum(1 for _ in _full(path))
    if not count:
        raise InvalidInput(f"{path} holds no page; expected one image: open and save it anew")
    return count


def page_at(path: Path, page: int | None) -> int:
    """The index of a page among all, smaller copies too.

    Args:
        path: A file that begins as a TIFF does.
        page: Which of those that are no smaller copy, from 0; None where there must be one alone.

    Returns:
        The index.

    Raises:
        InvalidInput: For several pages where one is expected, for a page that is not there, and as for
            :func:`count_pages`.
        ValueError: For a directory that is none.
        struct.error: For a file that ends within one.
    """
    first = None
    for number, index in enumerate(_full(path)):
        if page is None and number:
            raise InvalidInput(
                f"{path} holds several pages; expected one image: split the file first, or read it page by page"
            )
        if number == page:
            return index
        first = index
    if first is None:
        raise InvalidInput(f"{path} holds no page; expected one image: open and save it anew")
    if page is not None:
        raise InvalidInput(f"{path} holds {number + 1} pages, and page {page}, from 0, is asked for; ask for another")
    return first


def _full(path: Path) -> Iterator[int]:
    """The index of each page that is no smaller copy."""
    copies = pages = 0
    with open(path, "rb") as file:
        for index, reduced in enumerate(_pages(path, file)):
            copies = copies + 1 if reduced else 0
            pages += not reduced
            if copies > _MOST_COPIES or pages > MOST_PAGES:
                raise InvalidInput(
                    f"{path} holds more than {MOST_PAGES} pages, or {_MOST_COPIES} smaller copies of one; "
                    "expected several pages at most: split the file first"
                )
            if not reduced:
                yield index


def _pages(path: Path, file: BinaryIO) -> Iterator[bool]:
    """Whether each page is a smaller copy of another."""
    head = file.read(4)
    order, large = "<" if head.startswith(b"II") else ">", 43 in head  # 43 marks offsets of 64 bits
    count, place, size = ("Q", "Q", 20) if large else ("H", "I", 12)
    file.seek(8 if large else 4)
    (at,) = _unpacked(order + place, file)
    seen: set[int] = set()
    while at:
        if at in seen:
            raise InvalidInput(f"{path} is damaged: its list of pages leads back to itself; open and save it anew")
        seen.add(at)
        file.seek(at)
        (entries,) = _unpacked(order + count, file)
        if entries > 4096:  # tifffile's limit too
            raise ValueError(f"{entries} tags")
        yield _reduced(order, place, file.read(size * entries), size)
        (at,) = _unpacked(order + place, file)


def _unpacked(form: str, file: BinaryIO) -> tuple[int, ...]:
    return struct.unpack(form, file.read(struct.calcsize(form)))


def _reduced(order: str, place: str, data: bytes, size: int) -> bool:
    """Of a directory; ValueError where one of its numbers is none."""
    subfile = 0
    for at in range(0, len(data), size):
        tag, kind, count = struct.unpack_from(f"{order}HH{place}", data, at)
        if tag not in (*_NUMBERS, _SUBFILE, _OLD_SUBFILE):
            continue
        if count != 1 or kind not in _TYPES:
            raise ValueError(f"tag {tag} holds {count} values of type {kind}, where one whole number is expected")
        (value,) = struct.unpack_from(order + _TYPES[kind], data, at + size - struct.calcsize(f"={place}"))
        subfile |= (value & 1 if tag == _SUBFILE else value == 2) if tag not in _NUMBERS else 0
    return bool(subfile)
