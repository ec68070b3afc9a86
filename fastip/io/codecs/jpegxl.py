"""JPEG XL: up to 16 bits, grey or colour with or without alpha, written without loss.

The library tells neither size nor kind before it decodes, so the first bits of the code are read here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ...errors import InvalidInput
from ..decoded import Decoded
from ..source import LOOSE_RATIO, check_frames, check_size
from ..transfer import as_said
from . import boxes

# 0.14 s a megapixel on one core; 5, the library's own choice, takes 1.2 s for files 1.6 % smaller.
_EFFORT = 3
_LONGEST = 1 << 12  # bytes in which all that is asked for lies
_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}
# How whole numbers are coded: two bits choose what is added to how many bits.
_Form = tuple[tuple[int, int], tuple[int, int], tuple[int, int], tuple[int, int]]
_SIDE: _Form = ((1, 9), (1, 13), (1, 18), (1, 30))
_DEPTH: _Form = ((8, 0), (10, 0), (12, 0), (1, 6))
_FLOAT: _Form = ((32, 0), (16, 0), (24, 0), (1, 6))
_COUNT: _Form = ((0, 0), (1, 0), (2, 4), (1, 12))
_KIND: _Form = ((0, 0), (1, 0), (2, 4), (18, 6))
_SHIFT: _Form = ((0, 0), (3, 0), (4, 0), (1, 3))
_NAME: _Form = ((0, 0), (0, 4), (16, 5), (48, 10))
_GREY, _D65, _SRGB, _LINEAR_CURVE, _SRGB_CURVE = 1, 1, 1, 8, 13


class _Bits:
    """Bits, the lowest of each byte first."""

    def __init__(self, data: bytes) -> None:
        self.value, self.left = int.from_bytes(data, "little"), 8 * len(data)

    def take(self, count: int) -> int:
        if count > self.left:
            raise ValueError("the header ends early")
        found = self.value & ((1 << count) - 1)
        self.value >>= count
        self.left -= count
        return found

    def number(self, form: _Form) -> int:
        least, bits = form[self.take(2)]
        return least + self.take(bits)


@dataclass(frozen=True)
class _Header:
    h: int
    w: int
    bits: int = 8
    floats: bool = False
    alpha: bool = False
    others: int = 0
    premultiplied: bool = False
    animated: bool = False
    curve: int = _SRGB_CURVE  # 0 where the colours are others than those of sRGB


def read(path: Path, max_pixels: int) -> Decoded:
    """The one image in a file.

    Args:
        path: The file.
        max_pixels: Of height times width.

    Returns:
        What it holds.

    Raises:
        InvalidInput: For more pixels, for animations, for other samples, and for colours other than sRGB: the library
            does not give profiles.
        ValueError: For a header that is none.
    """
    data = path.read_bytes()
    head = _header(_Bits(_code(data)))
    check_size(path, head.h, head.w, 4, head.bits, max_pixels, LOOSE_RATIO)
    if head.animated:
        check_frames(path, None)
    if head.floats or head.bits > 16 or head.others:
        raise InvalidInput(
            f"{path} holds {'floats' if head.floats else 'integers'} of {head.bits} bits and {head.others} channels "
            "that are neither colour nor alpha; expected up to 16 bits and none: convert the file"
        )
    if head.curve != _SRGB_CURVE:
        raise InvalidInput(
            f"{path} has colours other than sRGB (another profile, or linear light), which the library does not tell; "
            "convert it to PNG or TIFF"
        )
    import imagecodecs

    array = imagecodecs.jpegxl_decode(data, numthreads=1)
    if sorted(array.shape[:2]) != sorted((head.h, head.w)) or array.dtype.kind != "u":
        raise ValueError(f"an array of {array.dtype} and shape {array.shape}, where {head.w} x {head.h} was told")
    samples = array.shape[2] if array.ndim == 3 else 1
    if samples not in ((2, 4) if head.alpha else (1, 3)):
        raise ValueError(f"{samples} samples a pixel, where alpha was {'' if head.alpha else 'not '}told")
    told = as_said("sRGB", "the file")
    return Decoded(array, 2**head.bits - 1, None, head.alpha, head.premultiplied, told=told)


def _code(data: bytes) -> bytes:
    """The first bytes behind the signature of the code, which may lie in boxes."""
    if not data.startswith(b"\xff\x0a"):
        inside = [(name, data[begin : begin + _LONGEST]) for name, _, begin, _ in boxes.boxes(data)]
        data = next((code[4 * (name == b"jxlp") :] for name, code in inside if name in (b"jxlc", b"jxlp")), b"")
    if not data.startswith(b"\xff\x0a"):
        raise ValueError("no image")
    return data[2:_LONGEST]


def _header(bits: _Bits) -> _Header:
    h, w = _size(bits)
    if bits.take(1):  # all as usual
        return _Header(h, w)
    if bits.take(1):
        bits.take(3)  # the orientation, which the decoder applies
        if bits.take(1):
            _size(bits)  # that of showing it
        if bits.take(1):
            raise ValueError("a preview before the image")
        if bits.take(1):
            return _Header(h, w, animated=True)
    floats, depth = _depth(bits)
    bits.take(1)
    channels = [_channel(bits) for _ in range(bits.number(_COUNT))]
    alphas = [premultiplied for kind, premultiplied in channels if kind == 0]
    bits.take(1)
    return _Header(
        *(h, w, depth, floats, len(alphas) == 1, len(channels) - (len(alphas) == 1)),
        premultiplied=any(alphas),
        curve=_curve(bits),
    )


def _size(bits: _Bits) -> tuple[int, int]:
    small = bits.take(1)
    h = 8 * (bits.take(5) + 1) if small else bits.number(_SIDE)
    ratio = bits.take(3)
    if ratio:
        over, under = _RATIOS[ratio]
        return h, h * over // under
    return h, 8 * (bits.take(5) + 1) if small else bits.number(_SIDE)


def _depth(bits: _Bits) -> tuple[bool, int]:
    floats = bool(bits.take(1))
    depth = bits.number(_FLOAT if floats else _DEPTH)
    if floats:
        bits.take(4)
    return floats, depth


def _channel(bits: _Bits) -> tuple[int, bool]:
    """The kind of a channel beside the colours, 0 for alpha, and whether colours are multiplied by it."""
    if bits.take(1):
        return 0, False
    kind = bits.number(_KIND)
    _depth(bits)
    bits.number(_SHIFT)
    bits.take(8 * bits.number(_NAME))
    if kind == 0:
        return 0, bool(bits.take(1))
    if kind == 2:
        bits.take(4 * 16)  # the colour of a spot
    elif kind == 5:
        bits.number(((1, 0), (0, 2), (3, 4), (19, 8)))
    return kind, False


def _curve(bits: _Bits) -> int:
    """The number of the curve of colours whose white and primaries are those of sRGB, 0 for others."""
    if bits.take(1):  # all as usual
        return _SRGB_CURVE
    if bits.take(1):  # a profile
        return 0
    space = bits.number(_KIND)
    if space > _GREY or bits.number(_KIND) != _D65:
        return 0
    if space != _GREY and bits.number(_KIND) != _SRGB:
        return 0
    return 0 if bits.take(1) else bits.number(_KIND)


def write(file: BinaryIO, array: np.ndarray, profile: bytes | None, premultiplied: bool) -> None:
    """Without loss; the library takes no profile."""
    import imagecodecs

    file.write(_seen(bytes(imagecodecs.jpegxl_encode(array, lossless=True, effort=_EFFORT, numthreads=1))))


def _seen(data: bytes) -> bytes:
    """The file with the curve of sRGB: the library says of 16 bits that they are linear light, which shows them bright.

    Without loss the samples do not depend on it.
    """
    code = _code(data)
    bits = _Bits(code)
    if _header(bits).curve != _LINEAR_CURVE:
        return data
    at = len(code) * 8 - bits.left - 4  # the four bits that were taken last: the curve, less two
    number = int.from_bytes(code, "little") ^ (_LINEAR_CURVE - 2 ^ _SRGB_CURVE - 2) << at
    begin = data.index(code)
    return data[:begin] + number.to_bytes(len(code), "little") + data[begin + len(code) :]
