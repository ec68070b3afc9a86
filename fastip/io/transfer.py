"""Light and the values that files hold of it: a lens blurs light, and a file holds its values by a curve.

The curve is told by the file: by its ICC profile, by chunks of a PNG, or by EXIF. Else it is assumed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from ..arrays import REAL, as_tensor, check_number
from ..errors import InvalidInput, brief
from .icc import tone_curves
from .tone_curves import GAMMAS, LINEAR, SRGB, Curve, Parametric, Table

if TYPE_CHECKING:
    from PIL import Image

Array = TypeVar("Array")
_NAMED = {
    "sRGB": SRGB,
    "Adobe RGB": Parametric(2.19921875),  # 563 / 256
    "BT.709": Parametric(1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081),
}
# Curves as ITU-T H.273 numbers them, which PNG (cICP) and AVIF do; those of BT.601 and BT.2020 are that of BT.709.
CODED = {1: "BT.709", 6: "BT.709", 13: "sRGB", 14: "BT.709", 15: "BT.709"}
_LINEAR_CODE, _UNTOLD_CODE = 8, 2
_HDR = {16: "PQ", 18: "HLG"}
_EXIF, _INTEROP, _COLOUR_SPACE, _INDEX = 0x8769, 0xA005, 0xA001, 1


@dataclass(frozen=True)
class Transfer:
    """How a file's values in [0, 1] stand for light in [0, 1].

    Both ways take tensors of any floating-point dtype and device and NumPy arrays, and are differentiable. In integers
    of 8 and 16 bits, ``encode(decode(x))`` gives back the same. Values below 0 are taken for 0, those above 1 follow
    the curve, and the curve of light itself leaves all as they are.

    Args:
        curves: One for all channels, or one for each.
        said: Where it is from, behind "linear light".
        assumed: Whether no file said so.

    Raises:
        InvalidInput: For what are no curves.
    """

    curves: tuple[Curve, ...]
    said: str
    assumed: bool = False

    def __post_init__(self) -> None:
        if not self.curves or not all(isinstance(curve, Parametric | Table) for curve in self.curves):
            raise InvalidInput(f"the curves are {brief(self.curves)}; expected one or more, as Transfer.srgb() has")
        if len(set(self.curves)) == 1:
            object.__setattr__(self, "curves", self.curves[:1])

    @staticmethod
    def srgb() -> Transfer:
        """The curve of sRGB (IEC 61966-2-1): a line near black, then a power of 2.4."""
        return Transfer((SRGB,), "by sRGB")

    @staticmethod
    def linear() -> Transfer:
        """Light itself: nothing changes."""
        return Transfer((LINEAR,), "as it is")

    @staticmethod
    def gamma(exponent: float) -> Transfer:
        """The power of light.

        Args:
            exponent: Of decoding: 2.2, say.

        Returns:
            Its curve.

        Raises:
            InvalidInput: For none in [0.2, 5].
        """
        exponent = check_number(exponent, "exponent")
        return Transfer((Parametric(exponent),), f"by the gamma {exponent:.5g}")

    @staticmethod
    def icc(profile: bytes) -> Transfer:
        """The curves of an ICC profile, version 2 or 4, of grey or RGB.

        Args:
            profile: Its bytes, as :class:`fastip.io.Kind` keeps them.

        Returns:
            The curves, one for each channel where they differ.

        Raises:
            InvalidInput: For what is none, and for one without a curve for each channel, such as those of printers,
                which have tables of colours.
        """
        return Transfer(tone_curves(profile), "by the ICC profile")

    def decode(self, x: Array) -> Array:
        """Light of what a file holds.

        Args:
            x: Values of any shape; (...) c h w where channels have a curve each.

        Returns:
            Light of the same shape, dtype and kind.

        Raises:
            InvalidInput: For other channels, and for what are no floating-point numbers.
        """
        return self._each(x, "decode")

    def encode(self, y: Array) -> Array:
        """What a file holds of light.

        Args:
            y: Light of any shape; (...) c h w where channels have a curve each.

        Returns:
            Values of the same shape, dtype and kind.

        Raises:
            InvalidInput: For other channels, and for what are no floating-point numbers.
        """
        return self._each(y, "encode")

    def _each(self, given: Any, way: str) -> Any:
        x, back = as_tensor(given, f"what is to {way}")
        if x.dtype not in REAL:
            raise InvalidInput(f"what is to {way} is of {x.dtype}; expected floating-point numbers: x / 255, say")
        curves = self.curves
        if len(curves) > 1 and (x.ndim < 3 or x.shape[-3] != len(curves)):
            raise InvalidInput(
                f"what is to {way} has shape {tuple(x.shape)}, and there are {len(curves)} tone curves, one for each "
                f"channel; expected (...) {len(curves)} h w"
            )
        ways = [getattr(curve, way) for curve in curves]
        work = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        if x.ndim < 3 or curves == (LINEAR,):
            return back(ways[0](work).to(x.dtype))
        # channel by channel, for the memory
        planes = (ways[i % len(ways)](plane).to(x.dtype) for i, plane in enumerate(work.unbind(-3)))
        return back(torch.stack(list(planes), -3))


def assumed(floats: bool) -> Transfer:
    """Where a file says nothing: integers are of sRGB, floats are of light."""
    if floats:
        return Transfer((LINEAR,), "as it is, assumed of floats", True)
    return Transfer((SRGB,), "by sRGB, assumed", True)


def as_said(name: str, what: str) -> Transfer:
    """A curve that a file names.

    Args:
        name: sRGB, Adobe RGB or BT.709.
        what: Says so.

    Returns:
        The curve.
    """
    return Transfer((_NAMED[name],), f"by {name}, as {what} says")


def of_coding(coding: tuple[int, int, int, int]) -> Transfer | None:
    """What the chunk cICP of a PNG says.

    Args:
        coding: Its numbers, of primaries, curve, matrix and full range.

    Returns:
        The curve, or None where it says that it is not told.

    Raises:
        InvalidInput: For curves of HDR, for others that are not known, and for values that do not fill their range.
    """
    _, curve, _, full = coding
    if curve == _UNTOLD_CODE:
        return None
    if full and curve in CODED:
        return as_said(CODED[curve], "the PNG")
    if full and curve == _LINEAR_CODE:
        return Transfer((LINEAR,), "as it is, as the PNG says")
    what = f"HDR values by the curve {_HDR[curve]}" if curve in _HDR else f"values by the curve {curve} of ITU-T H.273"
    raise InvalidInput(
        f"the PNG holds {what}{'' if full else ' in a part of their range'}, as its chunk cICP says; expected sRGB, "
        "BT.709 or linear light in the full range: convert the picture to sRGB, or work on its values as they are, "
        "without linear light"
    )


def of_png(info: Mapping[Any, Any]) -> Transfer | None:
    """What the chunks sRGB and gAMA of a PNG say, in this order.

    Args:
        info: As Pillow has it.

    Returns:
        The curve, or None.
    """
    if "srgb" in info:
        return as_said("sRGB", "the PNG")
    power = info.get("gamma") or 0.0
    if not GAMMAS[0] <= 1 / max(power, 1e-5) <= GAMMAS[1]:
        return None
    return Transfer((Parametric(1 / power),), f"by the gamma {1 / power:.5g} of the PNG")


def of_exif(space: Any, index: Any = None) -> Transfer | None:
    """What EXIF says of colours.

    Args:
        space: The tag ColorSpace: 1 for sRGB, 2 for Adobe RGB, 65535 for others.
        index: The tag InteroperabilityIndex, which names one of these: R03 for Adobe RGB.

    Returns:
        The curve, or None.
    """
    if space == 1:
        return as_said("sRGB", "EXIF")
    if space == 2 or (space == 65535 and index == "R03"):
        return as_said("Adobe RGB", "EXIF")
    return None


def of_pillow(image: Image.Image) -> Transfer | None:
    """What a file says besides its profile, damaged EXIF nothing."""
    told = of_png(image.info)
    if told is not None:
        return told
    try:
        exif = image.getexif()
        space = exif.get_ifd(_EXIF).get(_COLOUR_SPACE)
        # Asked for only where it counts: some versions of Pillow fail where there is none.
        return of_exif(space, exif.get_ifd(_INTEROP).get(_INDEX) if space == 65535 else None)
    except Exception:  # whatever stands there: no picture is refused for it
        return None
