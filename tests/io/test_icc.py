"""Tone curves of ICC profiles: against the library that applies them, and refusals."""

from __future__ import annotations

import io as memory
import struct
import tracemalloc

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from cases import icc
from cases.icc import PROFILES, SRGB
from fastip import io
from fastip.errors import InvalidInput


def by_lcms(profile: bytes, mode: str) -> np.ndarray:
    """Light of the 256 values, 3 256 or 1 256, in 8 bits: the same primaries, without a curve."""
    light = icc.profile([icc.curv()] * (3 if mode == "RGB" else 1), space=b"RGB " if mode == "RGB" else b"GRAY")
    used = [ImageCms.ImageCmsProfile(memory.BytesIO(one)) for one in (profile, light)]
    change = ImageCms.buildTransform(*used, mode, mode, renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC)
    ramp = np.arange(256, dtype=np.uint8)[None]
    image = Image.fromarray(np.stack([ramp] * 3, -1) if mode == "RGB" else ramp)
    return np.atleast_3d(np.asarray(ImageCms.applyTransform(image, change)))[0].T / 255


def ramp(channels: int, top: int = 255) -> torch.Tensor:
    return (torch.arange(top + 1, dtype=torch.float64) / top).float().expand(1, channels, 1, -1)


@pytest.mark.parametrize("version", [2, 4])
@pytest.mark.parametrize("name", PROFILES)
def test_the_curves_are_those_that_lcms_applies(name: str, version: int) -> None:
    curves, space = PROFILES[name]
    profile = icc.profile(curves, version=version, space=space)
    found = io.Transfer.icc(profile)
    assert found.said == "by the ICC profile" and not found.assumed
    y = found.decode(ramp(len(curves)))
    assert np.abs(y[0, :, 0].numpy() - by_lcms(profile, "RGB" if len(curves) == 3 else "L")).max() < 1 / 255
    for top in (255, 65535):
        x = ramp(len(curves), top)
        assert torch.equal((found.encode(found.decode(x)) * top).round(), (x * top).round())


def test_the_profile_of_lcms_is_srgb() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    x = ramp(3, 65535)
    found, srgb = io.Transfer.icc(profile), io.Transfer.srgb()
    assert (found.decode(x) - srgb.decode(x)).abs().max() < 1e-5
    assert torch.equal((found.encode(found.decode(x)) * 65535).round(), (x * 65535).round())


def test_grey_pictures_take_the_one_curve_of_a_profile_of_colours() -> None:
    found = io.Transfer.icc(icc.profile([icc.gamma(2.2)] * 3))
    torch.testing.assert_close(found.decode(ramp(1)), ramp(1) ** (round(2.2 * 256) / 256))
    with pytest.raises(InvalidInput, match="3 tone curves"):
        io.Transfer.icc(icc.profile(PROFILES["each its own"][0])).decode(ramp(1))


def edited(profile: bytes, at: int, new: bytes) -> bytes:
    return profile[:at] + new + profile[at + len(new) :]


GOOD = icc.profile([SRGB] * 3)
LUT = (b"A2B0", b"mft2" + bytes(60))


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        (b"", "is none"),
        (bytes(200), "is none"),
        (GOOD[:131], "is none"),
        (GOOD[:150], "150 bytes and claims"),
        (edited(GOOD, 128, struct.pack(">I", 2**32 - 1)), "claims 4294967295 tags"),
        (edited(GOOD, 16, b"CMYK"), "of colours b'CMYK'"),
        (edited(GOOD, 16, b"Lab "), "of colours b'Lab '"),
        (icc.profile([], more=[LUT]), "no tone curve rTRC, gTRC, bTRC, which has tables of colours instead"),
        (icc.profile([icc.gamma(2.2)]), "no tone curve gTRC, bTRC; convert"),
        (icc.profile([], space=b"GRAY"), "no tone curve kTRC"),
        (GOOD[:-8], "a tone curve ends early"),
        (icc.profile([icc.para(5, 2.2)] * 3), "the formula 5; expected 0 to 4"),
        (icc.profile([b"mft2" + bytes(20)] * 3), "of kind b'mft2'; expected curv or para"),
        (icc.profile([struct.pack(">4sII", b"curv", 0, 2**32 - 1)] * 3), "a table of 4294967295 numbers"),
        (icc.profile([icc.curv(65535, 0)] * 3), "a table that falls"),
        (icc.profile([icc.para(0, 40.0)] * 3), "the exponent 40"),
        (icc.profile([icc.para(1, 2.2, 0.0, 0.1)] * 3), "a above 0"),
    ],
)
def test_refusals(profile: bytes, words: str) -> None:
    with pytest.raises(InvalidInput, match=words) as caught:
        io.Transfer.icc(profile)
    assert "the ICC profile" in str(caught.value) and "convert the picture to sRGB" in str(caught.value)


def test_a_profile_is_bytes() -> None:
    with pytest.raises(InvalidInput, match="is a str; expected its bytes"):
        io.Transfer.icc("sRGB")


def test_tags_that_all_claim_a_large_profile_take_no_memory() -> None:
    profile = icc.profile([SRGB] * 3, more=[(b"abcd", b"")] * 200) + bytes(1 << 24)
    claimed = bytearray(profile)
    for at in range(132 + 8, 132 + 12 * 200, 12):
        claimed[at : at + 4] = struct.pack(">I", len(profile))
    tracemalloc.start()
    io.Transfer.icc(bytes(claimed))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 3 * len(profile)


def test_curves_are_taken_where_there_are_tables_too() -> None:
    assert io.Transfer.icc(icc.profile([SRGB] * 3, more=[LUT])) == io.Transfer.icc(GOOD)
