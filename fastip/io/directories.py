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
# Of one image: itself and smaller copies, each half as large. More take longer to look at, fewer refuse no harm.
_MOST_PAGES = 32


def only_page(path: Path) -> int:
    """The index of the one page that is no smaller copy of another.

    Args:
        path: A file that begins as a TIFF does.

    Returns:
        The index.

    Raises:
        InvalidInput: For several pages, for none, and for a list of pages that leads back to itself.
        ValueError: For a directory that is none.
        struct.error: For a file that ends within one.
    """
    found: list[int] = []
    with open(path, "rb") as file:
        for index, reduced in enumerate(_pages(path, file)):
            found += [] if reduced else [index]
            if len(found) > 1 or index == _MOST_PAGES:
                raise InvalidInput(f"{path} holds several pages; expected one image: split the file first")
    if not found:
        raise InvalidInput(f"{path} holds no page; expected one image: open and save it anew")
    return found[0]


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
