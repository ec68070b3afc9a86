"""TIFF files of all kinds: samples of few bits, alpha that colours are multiplied by, missing tags, odd page lists."""

from __future__ import annotations

import time

import numpy as np
import pytest
import tifffile
from PIL import Image

from cases import tiff
from fastip import io
from fastip.errors import InvalidInput

# ---- bits ------------------------------------------------------------------------------------------------------------


GREY = [(bits, (5, 7), white) for bits in (1, 2, 3, 4, 6, 8, 10, 12, 14, 16) for white in (False, True)]
RGB = [(bits, (5, 7, 3), False) for bits in (2, 4, 8, 12, 16)]


@pytest.mark.parametrize("bits, shape, white", GREY + RGB)
def test_samples_are_scaled_by_their_own_range(tmp_path, bits, shape, white):
    top = 2**bits - 1
    array = np.random.default_rng(bits).integers(0, top, shape, endpoint=True)
    array.flat[:2] = 0, top
    tiff.write(tmp_path / "a.tif", array, bits, change={tiff.PHOTOMETRIC: 0} if white else None)
    x, kind = io.read_image(tmp_path / "a.tif")
    expected = (top - array if white else array) / top
    np.testing.assert_allclose(x[0].permute(1, 2, 0).numpy().reshape(shape), expected, atol=1e-7)
    assert kind.depth == ("uint8" if bits <= 8 else "uint16")
    io.write_image(tmp_path / "b.tif", x, like=kind)
    full = 255 if bits <= 8 else 65535
    assert np.array_equal(tifffile.imread(tmp_path / "b.tif"), np.round(expected * full))


def test_bits_agree_with_another_reader(tmp_path):
    array = np.random.default_rng(0).integers(0, 16, (9, 13))
    tiff.write(tmp_path / "a.tif", array, 4)
    other = np.asarray(Image.open(tmp_path / "a.tif").convert("L"))
    np.testing.assert_allclose(io.read_image(tmp_path / "a.tif")[0][0, 0] * 255, other, atol=1e-4)


def test_alpha_of_few_bits_has_the_depth_of_the_result(tmp_path):
    array = np.random.default_rng(0).integers(8, 4095, (6, 5, 4), endpoint=True)
    array[..., 3] = np.maximum(array[..., 3], 200)
    tiff.write(tmp_path / "a.tif", array, 12, change={tiff.EXTRA: 2})
    x, kind = io.read_image(tmp_path / "a.tif")
    io.write_image(tmp_path / "b.tif", x, like=kind)
    assert np.array_equal(tifffile.imread(tmp_path / "b.tif"), np.round(array / 4095 * 65535))


# ---- alpha -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("planar", [False, True])
def test_premultiplied_alpha_is_undone_and_redone(tmp_path, bits, planar):
    top, rng = 2**bits - 1, np.random.default_rng(bits)
    alpha = rng.integers(top // 4, top, (8, 9), endpoint=True)
    straight = rng.random((8, 9, 3))
    array = np.dstack([np.round(straight * alpha[..., None]), alpha]).astype(f"uint{bits}")
    written = np.moveaxis(array, -1, 0) if planar else array
    planes = "separate" if planar else "contig"
    tifffile.imwrite(tmp_path / "a.tif", written, photometric="rgb", planarconfig=planes, extrasamples=["assocalpha"])
    x, kind = io.read_image(tmp_path / "a.tif")
    # Rounding to whole levels of colours that are at least a quarter opaque.
    np.testing.assert_allclose(x[0].permute(1, 2, 0), straight, atol=0.5 / (top // 4))
    assert kind.premultiplied and np.array_equal(kind.alpha, alpha)
    io.write_image(tmp_path / "b.tif", x, like=kind)
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert [int(extra) for extra in file.pages[0].extrasamples] == [1]
        assert np.array_equal(file.pages[0].asarray(), array)
    io.write_image(tmp_path / "b.png", x, like=kind)  # which knows straight colours alone
    png = io.read_image(tmp_path / "b.png")
    assert not png[1].premultiplied and float((png[0] - x).abs().max()) <= 0.5001 / top


def test_the_colours_that_were_seen_as_half(tmp_path):
    """One colour, 128 64 255, under every alpha."""
    a = np.arange(256).reshape(16, 16)
    array = np.dstack([128 * a // 255, 64 * a // 255, a, a])
    tiff.write(tmp_path / "a.tif", array, 8, change={tiff.EXTRA: 1})
    x = io.read_image(tmp_path / "a.tif")[0][0, :, 8:].numpy() * 255  # alpha of a half and more
    assert np.abs(x - np.array([128, 64, 255])[:, None, None]).max() <= 2
    tiff.write(tmp_path / "a.tif", array, 8, change={tiff.EXTRA: 2})
    straight = io.read_image(tmp_path / "a.tif")[0][0].permute(1, 2, 0).numpy() * 255
    np.testing.assert_allclose(straight[1:], array[1:, :, :3], atol=1e-3)


def test_floats_with_premultiplied_alpha(tmp_path):
    rng = np.random.default_rng(3)
    alpha, straight = rng.uniform(0.1, 1, (7, 6, 1)), rng.uniform(0, 3, (7, 6, 3)) ** 0.5
    array = np.concatenate([straight * alpha, alpha], 2).astype("float32")
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="rgb", extrasamples=["assocalpha"])
    x, kind = io.read_image(tmp_path / "a.tif")
    np.testing.assert_allclose(x[0].permute(1, 2, 0), straight, rtol=1e-5)
    io.write_image(tmp_path / "b.tif", x, like=kind)
    np.testing.assert_allclose(tifffile.imread(tmp_path / "b.tif"), array, rtol=1e-5)


def test_white_at_zero_leaves_alpha_as_it_is(tmp_path):
    array = np.random.default_rng(1).integers(64, 255, (5, 6, 2), dtype="uint8")
    tiff.write(tmp_path / "a.tif", array, 8, change={tiff.PHOTOMETRIC: 0, tiff.EXTRA: 2})
    x, kind = io.read_image(tmp_path / "a.tif")
    np.testing.assert_allclose(x[0, 0], 1 - array[..., 0] / 255, atol=1e-6)
    assert np.array_equal(kind.alpha, array[..., 1])


# ---- luma and differences of colour ----------------------------------------------------------------------------------


def seen(array, luma=(0.299, 0.587, 0.114), reference=(0, 255, 128, 255, 128, 255)):
    """Red, green and blue, written out as in section 21 of TIFF 6.0."""
    black, white = reference[::2], reference[1::2]
    y, cb, cr = ((array[..., i] - black[i]) * (255 if i == 0 else 127) / (white[i] - black[i]) for i in range(3))
    red, blue = cr * (2 - 2 * luma[0]) + y, cb * (2 - 2 * luma[2]) + y
    return np.clip(np.stack([red, (y - luma[2] * blue - luma[0] * red) / luma[1], blue], -1), 0, 255)


YCBCR = {
    "uncompressed": {},
    "tiles": {"tile": (16, 16)},
    "strips": {"rowsperstrip": 5},
    "deflate": {"compression": "zlib"},
}
YCBCR |= {"lzw": {"compression": "lzw"}, "planes": {"planarconfig": "separate"}}


@pytest.mark.parametrize("kind", YCBCR)
def test_ycbcr_is_seen_as_rgb(tmp_path, kind):
    array = np.random.default_rng(6).integers(0, 255, (23, 37, 3), "uint8", endpoint=True)
    planes = np.moveaxis(array, -1, 0) if kind == "planes" else array
    tifffile.imwrite(tmp_path / "a.tif", planes, photometric="ycbcr", subsampling=(1, 1), **YCBCR[kind])
    x, found = io.read_image(tmp_path / "a.tif")
    assert np.abs(x[0].permute(1, 2, 0).numpy() * 255 - seen(array.astype(float))).max() <= 0.5 + 1e-3
    assert found.depth == "uint8"


def test_ycbcr_goes_to_the_neighbouring_level_and_back(tmp_path):
    levels = np.random.default_rng(7).integers(0, 255, (300, 9, 3), "uint8", endpoint=True)
    Image.fromarray(levels).convert("YCbCr").save(tmp_path / "a.tif")
    x = io.read_image(tmp_path / "a.tif")[0]
    assert np.abs(x[0].permute(1, 2, 0).numpy() * 255 - levels).max() <= 3  # whole levels of three channels


@pytest.mark.parametrize("kind", ["coefficients", "reference"])
def test_ycbcr_of_other_coefficients_and_of_studio_levels(tmp_path, kind):
    luma, reference = (0.2126, 0.7152, 0.0722), (16, 235, 128, 240, 128, 240)
    tag = (529, 5, 3, (2126, 10000, 7152, 10000, 722, 10000))
    if kind == "reference":
        tag = (532, 5, 6, tuple(number for level in reference for number in (level, 1)))
    array = np.random.default_rng(8).integers(16, 236, (11, 13, 3), "uint8")
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="ycbcr", subsampling=(1, 1), extratags=[(*tag, True)])
    x = io.read_image(tmp_path / "a.tif")[0][0].permute(1, 2, 0).numpy() * 255
    given = {"luma": luma} if kind == "coefficients" else {"reference": reference}
    assert np.abs(x - seen(array.astype(float), **given)).max() <= 0.5 + 1e-3


BAD = [(529, "no green", (1, 2, 0, 1, 1, 2)), (529, "no denominator", (1, 0, 1, 2, 1, 8))]
BAD += [(532, "white is black", (0, 1, 0, 1, 128, 1, 255, 1, 128, 1, 255, 1))]


@pytest.mark.parametrize("tag, _, value", BAD)
def test_ycbcr_without_an_rgb_is_refused(tmp_path, tag, _, value):
    array = np.zeros((11, 13, 3), "uint8")
    extra = [(tag, 5, len(value) // 2, value, True)]
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="ycbcr", subsampling=(1, 1), extratags=extra)
    with pytest.raises(InvalidInput, match=r"a\.tif is YCbCr"):
        io.read_image(tmp_path / "a.tif")


def test_ycbcr_that_shares_its_colour_is_refused(tmp_path):
    """Uncompressed; two of each where the tag is missing."""
    array = np.random.default_rng(9).integers(0, 255, (12, 14, 3), "uint8")
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="ycbcr", subsampling=(1, 1))
    whole = (tmp_path / "a.tif").read_bytes()
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        tag = file.pages[0].tags[530]
    wide = whole[: tag.valueoffset] + b"\x02\0\x01\0" + whole[tag.valueoffset + 4 :]
    missing = whole[: tag.offset] + b"\xee\xfd" + whole[tag.offset + 2 :]
    for data, shared in ((wide, "2 x 1"), (missing, "2 x 2")):
        (tmp_path / "a.tif").write_bytes(data)
        with pytest.raises(InvalidInput, match=f"{shared} pixels share their colour"):
            io.read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("space, kept", [(b"RGB ", True), (b"YCbr", False)])
def test_a_profile_of_ycbcr_is_that_of_the_rgb(tmp_path, space, kept):
    profile = bytes(16) + space + bytes(200)
    array = np.full((11, 13, 3), 128, "uint8")
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="ycbcr", subsampling=(1, 1), iccprofile=profile)
    assert io.read_image(tmp_path / "a.tif")[1].profile == (profile if kept else None)


# ---- tags and pages --------------------------------------------------------------------------------------------------


def test_a_missing_planar_configuration_is_contiguous(tmp_path):
    array = np.random.default_rng(2).integers(0, 255, (6, 5, 3))
    tiff.write(tmp_path / "a.tif", array, 8, change={tiff.PLANAR: None})
    np.testing.assert_allclose(io.read_image(tmp_path / "a.tif")[0][0].permute(1, 2, 0) * 255, array, atol=1e-4)


@pytest.mark.parametrize("tag, value", [(tiff.PHOTOMETRIC, 99), (tiff.COMPRESSION, 999), (339, 2), (tiff.SAMPLES, 3)])
def test_odd_tags_are_refused_by_name(tmp_path, tag, value):
    tiff.write(tmp_path / "a.tif", np.zeros((6, 6), int), 16, change={tag: value})
    with pytest.raises(InvalidInput, match="a.tif"):
        io.read_image(tmp_path / "a.tif")


def test_strips_that_are_missing_are_not_made_up(tmp_path):
    array = np.random.default_rng(2).integers(0, 255, (64, 50), dtype="uint8")
    tifffile.imwrite(tmp_path / "a.tif", array, rowsperstrip=8, compression="zlib")
    whole = (tmp_path / "a.tif").read_bytes()
    np.testing.assert_allclose(io.read_image(tmp_path / "a.tif")[0][0, 0] * 255, array, atol=1e-4)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        places = [file.pages[0].tags[tag] for tag in (tiff.OFFSETS, tiff.COUNTS)]
        at = [(tag.offset + 4, tag.valueoffset) for tag in places]
    for count, values in at:
        less = whole[:count] + b"\x05" + whole[count + 1 :]
        none = whole[:values] + bytes(4) + whole[values + 4 :]
        for damaged in (less, none):
            (tmp_path / "a.tif").write_bytes(damaged)
            with pytest.raises(InvalidInput, match="missing"):
                io.read_image(tmp_path / "a.tif")


@pytest.mark.parametrize(
    "pages, reduced, message",
    [
        ([0], False, "leads back"),
        ([1, 0], True, "leads back"),
        ([1, 1], True, "leads back"),
        ([*range(1, 60), 0], True, "several pages"),
        ([*range(1, 100_000), -1], False, "several pages"),
        ([*range(1, 100_000), -1], True, "several pages"),
        ([-1], True, "holds no page"),
    ],
)
def test_lists_of_pages_without_an_end(tmp_path, pages, reduced, message):
    tiff.chain(tmp_path / "a.tif", pages, reduced)
    begin = time.process_time()
    with pytest.raises(InvalidInput, match=message):
        io.read_image(tmp_path / "a.tif")
    assert time.process_time() - begin < 1


def test_smaller_copies_are_passed_over(tmp_path):
    array = np.random.default_rng(4).integers(0, 255, (64, 64), dtype="uint8")
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(array, photometric="minisblack")
        file.write(array[::2, ::2], photometric="minisblack", subfiletype=1)
    assert io.read_image(tmp_path / "a.tif")[0].shape == (1, 1, 64, 64)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_jpeg_in_tiff(tmp_path, mode):
    ramp = Image.fromarray(np.add.outer(np.arange(32) * 3, np.arange(48) * 2).astype("uint8")).convert(mode)
    ramp.save(tmp_path / "a.tif", compression="jpeg")
    x = io.read_image(tmp_path / "a.tif")[0]
    other = np.asarray(Image.open(tmp_path / "a.tif").convert("L" if mode == "L" else "RGB")).reshape(32, 48, -1)
    np.testing.assert_allclose(x[0].permute(1, 2, 0) * 255, other, atol=1e-3)


def test_the_page_that_is_chosen_is_the_page_that_is_read(tmp_path):
    """A small copy may come first, and Pillow reads the page."""
    large = np.add.outer(np.arange(32) * 3, np.arange(48) * 2).astype("uint8")
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(large[::2, ::2], photometric="minisblack", subfiletype=1)
        file.write(large, photometric="minisblack", compression="jpeg")
    x = io.read_image(tmp_path / "a.tif")[0]
    np.testing.assert_allclose(x[0, 0] * 255, large, atol=4)
