"""What is asked of a file before anything of it is decoded: that it is a file, and of a size to be worked with."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ..errors import InvalidInput

# That of Pillow's DecompressionBombError: 2.1 GB of RGB in float32. A larger one lets larger bombs in, a smaller one
# refuses the largest cameras.
MAX_PIXELS = 178_956_970
# Bytes of samples from one byte of a file: deflate makes 1032 at most, LZW 1280 in the long run, JPEG with a quarter
# of the colours a side 1365. What claims more is damaged, or packed by zstd or LZMA and all but blank.
_MAX_RATIO = 1400
# Of codings that model a picture as a whole (WebP, JPEG 2000, JPEG XL, AVIF): smooth photographs of low quality reach
# thousands. A larger one lets a file of a few bytes take more memory, a smaller one refuses such photographs.
LOOSE_RATIO = 1 << 14
# Up to so many samples the ratio is not looked at: they take 16 MB as floats, and a blank icon may be packed by zstd.
_HARMLESS = 1 << 22


def check_source(path: Path) -> None:
    """Refuse what is no regular file: missing paths, folders, pipes and devices, of which a read may never end.

    Raises:
        InvalidInput: For these, and for files that cannot be looked at or are empty.
    """
    try:
        status = os.stat(path)
    except FileNotFoundError:
        raise InvalidInput(f"{path} does not exist; check the spelling of the path") from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise InvalidInput(f"{path} cannot be opened: {getattr(error, 'strerror', None) or error}") from error
    if stat.S_ISDIR(status.st_mode):
        raise InvalidInput(f"{path} is a folder; expected a file")
    if not stat.S_ISREG(status.st_mode):
        what = "a pipe" if stat.S_ISFIFO(status.st_mode) else "a device or a socket"
        raise InvalidInput(f"{path} is {what}; expected a regular file: write what comes from it to a file first")
    if not status.st_size:
        raise InvalidInput(f"{path} is empty; expected a file with something in it")


def check_size(
    path: Path, height: int, width: int, samples: int, bits: int, max_pixels: int, ratio: int = _MAX_RATIO
) -> None:
    """Refuse more pixels than asked for, and more than a file of this length can hold.

    Args:
        path: The file, for its length and the message.
        height: As the header has it.
        width: As the header has it.
        samples: A pixel.
        bits: Of a sample, uncompressed; 0 where the length of the file has been looked at.
        max_pixels: As for :func:`fastip.io.read_image`.
        ratio: Of decoded bytes to those of the file, above which it is not believed.

    Raises:
        InvalidInput: For these.
    """
    pixels, length = height * width, path.stat().st_size
    if pixels > max_pixels:
        raise InvalidInput(
            f"{path} has {width} x {height} = {pixels} pixels; expected at most {max_pixels}: if the file can be "
            f"trusted and there is memory for it, allow more with max_pixels={pixels}, "
            f"on the command line --max-pixels {pixels}"
        )
    decoded = pixels * samples * bits // 8
    if pixels * samples > _HARMLESS and decoded > ratio * length:
        raise InvalidInput(
            f"{path} claims {width} x {height} pixels, {decoded} bytes, and is {length} bytes long; expected at most "
            f"{ratio} for each byte: the file is damaged, made to do harm, or blank: open it and save it as PNG"
        )


def check_frames(path: Path, frames: int | None) -> None:
    """Refuse an animation.

    Args:
        path: The file, for the message.
        frames: How many pictures it has, None where nobody can tell.

    Raises:
        InvalidInput: For more than one, and for an unknown number.
    """
    if frames != 1:
        what = "an animation" if frames is None else f"an animation of {frames} frames"
        raise InvalidInput(
            f"{path} is {what}; expected one picture: save the frames one by one, or as the pages of a TIFF"
        )
