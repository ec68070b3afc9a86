"""The boxes of AVIF, JPEG 2000 and JPEG XL files: a length, a name of four letters, a content that may be boxes."""

from __future__ import annotations

import struct
from collections.abc import Iterator

_HEAD = struct.Struct(">I4s")


def boxes(data: bytes) -> Iterator[tuple[bytes, int, int, int]]:
    """Name, begin, begin of the content, and end of each.

    Args:
        data: The boxes of one level.

    Yields:
        One after the other.

    Raises:
        ValueError: For a length that is none.
    """
    at = 0
    while at + _HEAD.size <= len(data):
        length, name = _HEAD.unpack_from(data, at)
        content = at + _HEAD.size
        if length == 1 and content + 8 <= len(data):
            (length,) = struct.unpack_from(">Q", data, content)
            content += 8
        end = at + length if length else len(data)
        if end < content:
            raise ValueError(f"a box of {length} bytes")
        yield name, at, content, min(end, len(data))
        at = end


def found(data: bytes, *names: bytes) -> list[bytes]:
    """The contents of all boxes of the last name, within the first of each name before it."""
    for name in names[:-1]:
        inside = next((data[begin:end] for known, _, begin, end in boxes(data) if known == name), b"")
        data = inside[_flags(name) :]
    return [data[begin:end] for known, _, begin, end in boxes(data) if known == names[-1]]


def replaced(data: bytes, names: tuple[bytes, ...], new: bytes) -> bytes:
    """The data with whole boxes instead of the first one of the last name, within those of the names before it."""
    for name, at, begin, end in boxes(data):
        if name != names[0]:
            continue
        if len(names) > 1:
            begin += _flags(name)
            inside = data[at + _HEAD.size : begin] + replaced(data[begin:end], names[1:], new)
            new = box(name, inside)
        return data[:at] + new + data[end:]
    raise ValueError(f"no box {names[0]!r}")


def box(name: bytes, content: bytes) -> bytes:
    """One whole box."""
    return _HEAD.pack(_HEAD.size + len(content), name) + content


def _flags(name: bytes) -> int:
    """How many bytes of a version and flags come before the boxes inside."""
    return 4 if name == b"meta" else 0
