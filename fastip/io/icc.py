"""The tone curves in an ICC colour profile, of which nothing is believed before it is looked at.

Pillow and its library apply profiles to 8 bits and do not give the curves themselves.
"""

from __future__ import annotations

import struct
from typing import NoReturn

import numpy as np

from ..errors import InvalidInput
from .tone_curves import Curve, Parametric, table

_SPACES = {b"RGB ": (b"rTRC", b"gTRC", b"bTRC"), b"GRAY": (b"kTRC",)}
# Of colours by tables of their own, which make no light of one channel alone.
_TABLES = (b"A2B0", b"A2B1", b"A2B2", b"D2B0", b"D2B1", b"D2B2", b"D2B3")
_HEAD, _TAG = 128, struct.Struct(">4sII")
_MOST_TAGS = 256  # profiles have some twenty
# Of a table: as many as 16 bits have values. More say nothing that less do not.
_LONGEST = 1 << 16
_MOST_BYTES = 12 + 2 * _LONGEST  # each tag may claim all of a profile
# Which numbers of (a x + b)^g + e, c x + f are told by each kind of formula.
_FORMS = ("g", "gab", "gabe", "gabcd", "gabcdef")


def tone_curves(profile: bytes) -> tuple[Curve, ...]:
    """The curves of a profile of version 2 or 4.

    Args:
        profile: As it was embedded in a picture.

    Returns:
        One for grey, three for RGB.

    Raises:
        InvalidInput: For what is no such profile, for other colours, for colours by tables alone, and for curves that
            do not rise.
    """
    if not isinstance(profile, bytes):
        raise InvalidInput(f"the ICC profile is a {type(profile).__name__}; expected its bytes, as io.Kind keeps them")
    if len(profile) < _HEAD + 4 or profile[36:40] != b"acsp":
        _refuse("is none: it does not begin as profiles do")
    names = _SPACES.get(profile[16:20])
    if names is None:
        _refuse(f"is of colours {profile[16:20]!r}, and those of RGB and grey alone have a curve for each channel")
    tags = _tags(profile)
    missing = [name.decode() for name in names if name not in tags]
    if missing:
        tables = ", which has tables of colours instead" if any(name in tags for name in _TABLES) else ""
        _refuse(f"holds no tone curve {', '.join(missing)}{tables}")
    try:
        return tuple(_curve(tags[name]) for name in names)
    except struct.error:
        _refuse("is damaged: a tone curve ends early")
    except InvalidInput as error:
        raise InvalidInput(f"the ICC profile cannot be used: {error}; {_ADVICE}") from None


_ADVICE = "convert the picture to sRGB, or work on its values as they are, without linear light"


def _refuse(why: str) -> NoReturn:
    raise InvalidInput(f"the ICC profile {why}; {_ADVICE}")


def _tags(profile: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">I", profile, _HEAD)
    if count > _MOST_TAGS or _HEAD + 4 + _TAG.size * count > len(profile):
        _refuse(f"is damaged: it has {len(profile)} bytes and claims {count} tags")
    listed = _TAG.iter_unpack(profile[_HEAD + 4 : _HEAD + 4 + _TAG.size * count])
    return {name: profile[begin : begin + min(length, _MOST_BYTES)] for name, begin, length in listed}


def _curve(tag: bytes) -> Curve:
    kind = tag[:4]
    if kind == b"para":
        (form,) = struct.unpack_from(">H", tag, 8)
        if form >= len(_FORMS):
            raise InvalidInput(f"a tone curve has the formula {form}; expected 0 to {len(_FORMS) - 1}")
        letters = _FORMS[form]
        told = dict(zip(letters, struct.unpack_from(f">{len(letters)}i", tag, 12), strict=True))
        return _parametric(form, **{letter: number / 65536 for letter, number in told.items()})
    if kind != b"curv":
        raise InvalidInput(f"a tone curve is of kind {kind!r}; expected curv or para")
    (count,) = struct.unpack_from(">I", tag, 8)
    if count > _LONGEST:
        raise InvalidInput(f"a tone curve is a table of {count} numbers; expected at most {_LONGEST}")
    numbers = struct.unpack_from(f">{count}H", tag, 12)
    if count < 2:
        return Parametric(numbers[0] / 256 if numbers else 1.0)
    return table(np.array(numbers, np.uint16))


def _parametric(form: int, g: float, a: float = 1.0, b: float = 0.0, **others: float) -> Parametric:
    """The first forms have d where the power is 0, and below it the value there."""
    if form in (1, 2):
        others |= {"d": -b / a if a else 0.0, "f": others.get("e", 0.0)}
    return Parametric(g, a, b, **others)
