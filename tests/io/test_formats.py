"""Formats beside PNG, JPEG, TIFF and NPY: what each holds comes back, and what it does not hold is refused."""

from __future__ import annotations

import io as memory
import os
import struct

import imagecodecs
import numpy as np
import pytest
import torch
from PIL import Image, ImageCms, features

from fastip import io
from fastip.errors import InvalidInput, Unsupported
from fastip.io import formats
from fastip.io.codecs import boxes, jpegxl

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
LOSSLESS = [".png", ".tif", ".bmp", ".webp", ".pnm", ".jp2", ".jxl"]


def holds(suffix: str, depth: str, alpha: bool) -> bool:
    held = formats.FORMATS[io.SUFFIXES[suffix]]
    return depth in held.depths and not (alpha and held.alpha is None)


def levels(seed: int, shape: tuple[int, ...], depth: str) -> np.ndarray:
    top = np.iinfo(depth).max
    array = np.random.default_rng(seed).integers(0, top, shape, depth, endpoint=True)
    array.flat[:2] = 0, top
    return array


def smooth(h: int, w: int, c: int) -> torch.Tensor:
    rows, columns, channels = np.ogrid[:h, :w, :c]
    return (
        torch.from_numpy(np.sin(rows / 9 + channels) * np.cos(columns / 7) * 0.45 + 0.5).permute(2, 0, 1)[None].float()
    )


# ---- in and out ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", LOSSLESS)
@pytest.mark.parametrize("depth", ["uint8", "uint16"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("alpha", [False, True])
def test_without_loss(tmp_path, suffix, depth, channels, alpha):
    path, top = tmp_path / f"a{suffix}", np.iinfo(depth).max
    array = levels(channels, (13, 18, channels), depth)
    x = torch.from_numpy(array.astype("float32") / np.float32(top)).permute(2, 0, 1)[None]
    share = np.maximum(levels(7, (13, 18), depth), top // 8) if alpha else None  # all colours are seen
    kind = io.Kind(depth, share)
    if not holds(suffix, depth, alpha):
        with pytest.raises(InvalidInput, match=r"can hold (8|none); write it as \.png or \.tif"):
            io.write_image(path, x, like=kind)
        assert not os.listdir(tmp_path)
        return
    io.write_image(path, x, like=kind)
    back, again = io.read_image(path)
    if suffix == ".webp":  # which has no grey
        x = x.expand(1, 3, -1, -1)
    assert torch.equal(back, x) and again.depth == depth
    assert (again.alpha is None) if share is None else np.array_equal(again.alpha, share)
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("depth, bound", [("uint8", 8 / 255), ("uint16", 5 / 255), ("float32", 5 / 255)])
@pytest.mark.parametrize("channels", [1, 3])
def test_avif_is_close(tmp_path, depth, bound, channels):
    x, alpha = smooth(37, 50, channels), (smooth(37, 50, 1)[0, 0].numpy() * 0.5 + 0.4).astype("float32")
    top = {"uint8": 255, "uint16": 65535}.get(depth, 1)
    io.write_image(tmp_path / "a.avif", x, like=io.Kind(depth, (alpha * top).astype(depth)))
    back, kind = io.read_image(tmp_path / "a.avif")
    assert back.shape == x.shape and kind.depth == ("uint8" if depth == "uint8" else "uint16")
    assert float((back - x).abs().max()) < bound
    np.testing.assert_allclose(kind.alpha / np.float32(np.iinfo(kind.depth).max), alpha, atol=bound)
    coded = imagecodecs.avif_decode((tmp_path / "a.avif").read_bytes())
    assert coded.dtype == kind.depth and 0.85 < coded.max() / (255 if depth == "uint8" else 4095) <= 1


@pytest.mark.parametrize("bits", [10, 12])
def test_avif_of_few_bits_is_scaled_by_its_own_range(tmp_path, bits):
    array = np.random.default_rng(bits).integers(0, 2**bits, (9, 14, 3)).astype("uint16")
    (tmp_path / "a.avif").write_bytes(imagecodecs.avif_encode(array, 100, bitspersample=bits))  # without loss
    x, kind = io.read_image(tmp_path / "a.avif")
    np.testing.assert_allclose(x[0].permute(1, 2, 0), array / (2**bits - 1), atol=1e-6)
    assert kind.depth == "uint16"


@pytest.mark.parametrize("bits", [9, 10, 12, 14, 16])
@pytest.mark.parametrize("suffix", [".jxl", ".jp2", ".ppm"])
def test_samples_are_scaled_by_their_own_range(tmp_path, bits, suffix):
    array = np.random.default_rng(bits).integers(0, 2**bits, (9, 14, 3)).astype("uint16")
    data = {
        ".jxl": lambda: jpegxl._seen(imagecodecs.jpegxl_encode(array, lossless=True, bitspersample=bits)),
        ".jp2": lambda: imagecodecs.jpeg2k_encode(array, 0, reversible=True, bitspersample=bits),
        ".ppm": lambda: b"P6 14 9 %d\n" % (2**bits - 1) + array.astype(">u2").tobytes(),
    }[suffix]()
    (tmp_path / f"a{suffix}").write_bytes(data)
    x, kind = io.read_image(tmp_path / f"a{suffix}")
    np.testing.assert_allclose(x[0].permute(1, 2, 0), array / (2**bits - 1), atol=1e-6)
    assert kind.depth == "uint16"


@pytest.mark.parametrize("suffix", [".webp", ".jp2", ".avif"])
@pytest.mark.parametrize("depth", ["uint8", "uint16"])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_colour_profile_survives_and_pixels_too(tmp_path, suffix, depth, channels):
    if not holds(suffix, depth, False):
        return
    x, alpha = smooth(23, 30, channels), np.full((23, 30), np.iinfo(depth).max, depth)
    alpha[3:6, 4:8] //= 2
    for name, profile in (("plain", None), ("profile", PROFILE)):
        io.write_image(tmp_path / f"{name}{suffix}", x, like=io.Kind(depth, alpha, profile))
    plain, kind = io.read_image(tmp_path / f"profile{suffix}")
    assert kind.profile == PROFILE and torch.equal(io.read_image(tmp_path / f"plain{suffix}")[0], plain)
    if suffix != ".jp2":  # of which Pillow reads no profile
        other = Image.open(tmp_path / f"profile{suffix}")
        assert other.info["icc_profile"] == PROFILE
        expected = np.broadcast_to(plain[0].permute(1, 2, 0) * 255, (23, 30, 3))
        np.testing.assert_allclose(np.asarray(other.convert("RGB")), expected, atol=3)  # Pillow makes 8 bits of 12


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".webp", ".avif"])
def test_exif_orientation_is_applied(tmp_path, orientation, suffix):
    ramp = np.add.outer(np.linspace(0, 200, 16), np.linspace(0, 40, 24)).astype("uint8")
    exif = Image.Exif()
    exif[274] = orientation
    options = {"lossless": True} if suffix == ".webp" else {"quality": 100}
    Image.fromarray(ramp).convert("RGB").save(tmp_path / f"a{suffix}", exif=exif, **options)
    turns = [lambda a: a, np.fliplr, lambda a: a[::-1, ::-1], np.flipud, np.transpose]
    turns += [lambda a: np.rot90(a, -1), lambda a: a[::-1, ::-1].T, np.rot90]
    np.testing.assert_allclose(
        io.read_image(tmp_path / f"a{suffix}")[0][0, 1] * 255, turns[orientation - 1](ramp), atol=2
    )


def test_other_libraries_read_what_is_written(tmp_path):
    x = torch.rand(1, 3, 11, 15, generator=torch.Generator().manual_seed(0))
    expected = np.round(x[0].permute(1, 2, 0).numpy() * 255).astype("uint8")
    for name in ("a.bmp", "a.webp", "a.ppm", "a.jp2"):
        io.write_image(tmp_path / name, x)
        assert np.array_equal(np.asarray(Image.open(tmp_path / name)), expected)
        assert torch.equal(io.read_image(tmp_path / name)[0], x.mul(255).round().div(255))
    io.write_image(tmp_path / "grey.pgm", x[:, :1], like=io.Kind("uint16"))
    assert np.array_equal(np.asarray(Image.open(tmp_path / "grey.pgm")), np.round(x[0, 0].numpy() * 65535))


def test_jpeg_2000_says_what_is_alpha(tmp_path):
    io.write_image(tmp_path / "a.jp2", torch.rand(1, 1, 5, 6), like=io.Kind("uint8", np.full((5, 6), 200, "uint8")))
    data = (tmp_path / "a.jp2").read_bytes()
    assert boxes.found(data, b"jp2h", b"cdef") == [struct.pack(">7H", 2, 0, 0, 1, 1, 1, 0)]
    assert Image.open(tmp_path / "a.jp2").mode == "LA"


# ---- PNM -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data, expected",
    [
        (b"P1\n# a comment\n3 2\n101\n0 1 0", [[0, 1, 0], [1, 0, 1]]),
        (b"P4 10 2\n\xff\x80\x00\x40", [[0] * 9 + [1], [1] * 9 + [0]]),
        (b"P2 3 1 4 # white\n0 2\n4", [[0, 0.5, 1]]),
        (b"P2 3 1 1000\n0 250 1000\n", [[0, 0.25, 1]]),
        (b"P5\n#\n#\n3 1\n#x\n200\n\x00\x64\xc8", [[0, 0.5, 1]]),
        (b"P5 2 1 1000 \x00\xfa\x03\xe8", [[0.25, 1]]),
    ],
)
def test_grey_pnm_by_hand(tmp_path, data, expected):
    (tmp_path / "a.pnm").write_bytes(data)
    np.testing.assert_allclose(io.read_image(tmp_path / "a.pnm")[0][0, 0], expected, atol=1e-7)


def test_colour_pnm_by_hand(tmp_path):
    (tmp_path / "a.ppm").write_bytes(b"P3 2 1 10\n1 2 3  4 5 10")
    np.testing.assert_allclose(io.read_image(tmp_path / "a.ppm")[0][0, :, 0], [[0.1, 0.4], [0.2, 0.5], [0.3, 1]])


@pytest.mark.parametrize(
    "data, message",
    [
        (b"P5 3 2 255\n12345", "6 samples are announced, and 5"),
        (b"P5 2 1 10\n\x05\x0b", "samples of 11, and 10 is white"),
        (b"P2 2 1 10\n5 11", "samples of 11"),
        (b"P2 2 1 10\n5 x", "no whole numbers"),
        (b"P2 2 1 10\n5 -1", "no whole numbers"),
        (b"P2 2 1 10\n5 99999999999999999999999", "white"),
        (b"P2 2 1 10\n5 5 5", "3 are there"),
        (b"P1 2 1\n0 2", "no whole numbers"),
        (b"P5 2 1 0\n\0\0", "0 for white"),
        (b"P5 2 1 65536\n\0\0\0\0", "65536 for white"),
        (b"P5 2 x 255\n\0\0", "no numbers"),
        (b"P5 1 1 255\n\0P5 1 1 255\n\0", "more than one image"),
        (b"P5 0 4 255\n\0", "at least one pixel"),
        (b"P4 9 2\n\0\0\0", "announced"),
    ],
)
def test_damaged_pnm(tmp_path, data, message):
    (tmp_path / "a.pgm").write_bytes(data)
    with pytest.raises(InvalidInput, match=message):
        io.read_image(tmp_path / "a.pgm")


# ---- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, kind, channels, message",
    [
        ("a.bmp", io.Kind("uint16"), 3, "16 bits a sample and a.bmp, a BMP file, can hold 8"),
        ("a.webp", io.Kind("float32"), 3, "32 bits \\(float\\) a sample and a.webp"),
        ("a.pgm", None, 3, "3 channels and a.pgm can hold 1; write it as .pnm or .png"),
        ("a.ppm", None, 1, "1 channels and a.ppm can hold 3"),
        ("a.jxl", None, 5, "5 channels and a.jxl can hold 1 or 3; write it as .npy"),
        ("a.ppm", io.Kind("uint8", np.zeros((4, 4), "uint8")), 3, "has alpha and a.ppm, a PNM file"),
        ("a.gif", None, 3, "suffix"),
    ],
)
def test_what_a_format_cannot_hold_is_known_before(tmp_path, name, kind, channels, message):
    for refused in (
        lambda: io.check_write(tmp_path / name, channels=channels, like=kind),
        lambda: io.write_image(tmp_path / name, torch.zeros(1, channels, 4, 4), like=kind),
    ):
        with pytest.raises(InvalidInput, match=message):
            refused()
    assert not os.listdir(tmp_path)


def test_sides_that_are_too_long(tmp_path):
    io.check_write(tmp_path / "a.webp", channels=3, size=(16383, 5))
    for name, side in (("a.webp", 16384), ("a.jpg", 65501), ("a.avif", 65537)):
        with pytest.raises(InvalidInput, match=f"can hold {side - 1} a side"):
            io.check_write(tmp_path / name, channels=3, size=(5, side))
        with pytest.raises(InvalidInput, match=f"can hold {side - 1} a side"):
            io.write_image(tmp_path / name, torch.zeros(1, 1, 1, side))


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.avif", "a.gif", "gif.png"])
def test_animations_are_refused_with_their_frames(tmp_path, name):
    frames = [Image.fromarray(levels(seed, (9, 8, 3), "uint8")) for seed in range(3)]
    kind = "GIF" if "gif" in name else None
    frames[0].save(tmp_path / name, kind, save_all=True, append_images=frames[1:], duration=40)
    with pytest.raises(InvalidInput, match=f"{name} is .* of 3 frames; expected one picture"):
        io.read_image(tmp_path / name)
    frames[0].save(tmp_path / name, kind)
    if kind is None:
        assert io.read_image(tmp_path / name)[0].shape == (1, 3, 9, 8)


def test_animated_jpeg_xl(tmp_path):
    (tmp_path / "a.jxl").write_bytes(imagecodecs.jpegxl_encode(levels(0, (3, 9, 8, 3), "uint8")))
    with pytest.raises(InvalidInput, match=r"a\.jxl is an animation; expected one picture"):
        io.read_image(tmp_path / "a.jxl")


@pytest.mark.parametrize("form", ["uint8", "uint16"])
@pytest.mark.parametrize("shape", [(9, 14), (8, 16), (8, 8), (256, 8, 2), (300, 5, 3), (9, 12, 4)])
def test_the_header_of_jpeg_xl(form, shape):
    for lossless in (True, False):
        data = imagecodecs.jpegxl_encode(np.zeros(shape, form), lossless=lossless)
        head = jpegxl._header(jpegxl._Bits(jpegxl._code(data)))
        assert (head.h, head.w, head.bits) == (*shape[:2], np.iinfo(form).bits) and not head.floats
        assert head.curve == (13 if form == "uint8" else 8)
        assert (head.alpha, head.others) == (shape[2:] in ((2,), (4,)), 0) and not head.animated


def test_jpeg_xl_of_16_bits_is_not_said_to_be_linear(tmp_path):
    """As the library does, and as it leaves files, which are refused: others would show them brighter."""
    array = levels(3, (9, 12, 3), "uint16")
    (tmp_path / "a.jxl").write_bytes(imagecodecs.jpegxl_encode(array, lossless=True))
    with pytest.raises(InvalidInput, match="linear light"):
        io.read_image(tmp_path / "a.jxl")
    for shape in (array, array[..., 0], np.dstack([array, array[..., 0]])):
        for options in ({}, {"usecontainer": True}):
            data = jpegxl._seen(imagecodecs.jpegxl_encode(shape, lossless=True, **options))
            assert jpegxl._header(jpegxl._Bits(jpegxl._code(data))).curve == 13
            assert np.array_equal(imagecodecs.jpegxl_decode(data), shape)


def test_floats_in_jpeg_xl_are_refused(tmp_path):
    (tmp_path / "a.jxl").write_bytes(imagecodecs.jpegxl_encode(np.zeros((5, 6), "float32"), lossless=True))
    with pytest.raises(InvalidInput, match="holds floats of 32 bits"):
        io.read_image(tmp_path / "a.jxl")


def test_colours_that_are_not_srgb_are_refused(tmp_path):
    array = levels(0, (9, 8, 3), "uint8")
    (tmp_path / "a.avif").write_bytes(imagecodecs.avif_encode(array, 90, primaries=9, transfer=16))
    with pytest.raises(InvalidInput, match="kind 9 and a curve of kind 16"):
        io.read_image(tmp_path / "a.avif")
    (tmp_path / "b.jp2").write_bytes(imagecodecs.jpeg2k_encode(array, 0, reversible=True, colorspace="SYCC"))
    with pytest.raises(InvalidInput, match="neither grey nor RGB"):
        io.read_image(tmp_path / "b.jp2")


def test_signed_samples_are_refused(tmp_path):
    (tmp_path / "a.jp2").write_bytes(imagecodecs.jpeg2k_encode(np.zeros((5, 6), "int16"), 0, reversible=True))
    with pytest.raises(InvalidInput, match="signed samples"):
        io.read_image(tmp_path / "a.jp2")


@pytest.mark.parametrize("name", ["WebP", "JPEG 2000", "JPEG XL", "AVIF"])
def test_a_missing_codec_is_said(tmp_path, monkeypatch, name):
    (suffix,) = formats.FORMATS[name].suffixes
    io.write_image(tmp_path / f"a{suffix}", torch.zeros(1, 3, 4, 4))

    class Without:
        available = False

    monkeypatch.setattr(features, "check", lambda feature: False)
    monkeypatch.setattr(imagecodecs, formats.FORMATS[name].codec[1], Without, raising=False)
    package = formats.FORMATS[name].codec[0]
    for refused in (
        lambda: io.read_image(tmp_path / f"a{suffix}"),
        lambda: io.write_image(tmp_path / f"b{suffix}", torch.zeros(1, 3, 4, 4)),
    ):
        with pytest.raises(Unsupported, match=f"needs {name}.*pip install --upgrade '{package}"):
            refused()


def test_boxes_are_replaced_within_boxes():
    data = boxes.box(b"ftyp", b"x") + boxes.box(
        b"meta", b"\0\0\0\0" + boxes.box(b"one ", b"1") + boxes.box(b"two ", b"22")
    )
    longer = boxes.replaced(data, (b"meta", b"one "), boxes.box(b"one ", b"12345"))
    assert boxes.found(longer, b"meta", b"one ") == [b"12345"] and boxes.found(longer, b"meta", b"two ") == [b"22"]
    assert len(longer) == len(data) + 4
    with pytest.raises(ValueError, match="no box"):
        boxes.replaced(data, (b"meta", b"six "), b"")
    with pytest.raises(ValueError, match="a box of 3 bytes"):
        list(boxes.boxes(b"\0\0\0\3abcd"))


def test_content_decides_not_the_suffix(tmp_path):
    array = levels(0, (6, 7, 3), "uint8")
    file = memory.BytesIO()
    Image.fromarray(array).save(file, "BMP")
    (tmp_path / "a.avif").write_bytes(file.getvalue())
    assert np.array_equal(io.read_image(tmp_path / "a.avif")[0][0].permute(1, 2, 0) * 255, array)
