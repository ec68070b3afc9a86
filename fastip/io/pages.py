"""Files of several pages: how many there are, and one after the other out, of which one is held at a time."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from torch import Tensor

from ..arrays import check_count
from ..errors import FastipError, InvalidInput, strict_keywords
from . import directories
from .formats import format_in, format_of
from .images import Kind, check_write, prepared
from .replace import replace_file
from .writers import write_tiff

# Bytes that a TIFF of offsets of 32 bits may hold, less room for what is no sample. Above it offsets have 64.
_MOST_BYTES = 2**32 - 2**26


@strict_keywords
def count_pages(path: str | Path) -> int:
    """How many images a file holds that :func:`fastip.io.read_image` can read one by one.

    Smaller copies of a page are none. Nothing is decoded.

    Args:
        path: A file with one of ``SUFFIXES``.

    Returns:
        The pages of a TIFF, 1 for other formats.

    Raises:
        InvalidInput: When the file is missing, no regular file, not an image, or a damaged TIFF.
        Unsupported: Where what reads this format is not installed.
    """
    path = Path(path)
    if format_in(path) != "TIFF":
        return 1
    try:
        return directories.count_pages(path)
    except FastipError:
        raise
    except Exception as error:
        raise InvalidInput(
            f"{path} cannot be read as TIFF: {error}; the file may be truncated or damaged: open and save it anew"
        ) from error


@strict_keywords
def write_pages(path: str | Path, pages: Iterable[tuple[Tensor, Kind]], *, count: int) -> None:
    """Write images as the pages of a TIFF; the file appears whole or not at all.

    Each image is written before the next one is asked for, so that a generator holds one at a time.

    Args:
        path: The TIFF file to write.
        pages: The images, 1 c h w of any sizes, each with what it is to be like, as for
            :func:`fastip.io.write_image`.
        count: How many there will be, at least about: above 4 GB in all the file has larger offsets.

    Raises:
        InvalidInput: For other formats, no image, and as for :func:`fastip.io.write_image`; whatever ``pages`` raises
            passes.
    """
    import tifffile

    path = Path(path)
    check_write(path)
    check_count(count, "count", low=1)
    if format_of(path) != "TIFF":
        raise InvalidInput(f"{path} is to hold {count} pages, which only a TIFF can; write it as .tif")
    source = iter(pages)
    page = next(source, None)
    if page is None:
        raise InvalidInput(f"there is no page to write to {path}; expected at least one image")
    content = prepared(path, *page)
    large = content[0].nbytes * count > _MOST_BYTES

    def write(file: BinaryIO) -> None:
        nonlocal content, page
        with tifffile.TiffWriter(file, bigtiff=large) as out:
            while page is not None:
                write_tiff(out, *content)
                del content, page  # before the next one is made
                if (page := next(source, None)) is not None:
                    content = prepared(path, *page)

    replace_file(path, write)
