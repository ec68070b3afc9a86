"""Files: what goes in comes out, in kind, and nothing is left behind when it cannot."""

from __future__ import annotations

import os

import imagecodecs
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageCms, ImageOps

from fastip import io
from fastip.errors import FastipError, InvalidInput, UnknownKeyword
from fastip.io import images


def pixels(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return (
        rng.random(shape).astype(dtype) * 3 - 1
        if np.dtype(dtype).kind == "f"
        else rng.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    )


def store(path, array):
    """Write a file with another library's calls than fastip's own writer."""
    if path.suffix == ".npy":
        np.save(path, array)
    elif path.suffix in (".tif", ".tiff"):
        samples = array.shape[2] if array.ndim == 3 else 1
        extra, planes = (["unassalpha"] if samples in (2, 4) else None), ("contig" if samples > 1 else None)
        tifffile.imwrite(
            path, array, photometric="rgb" if samples > 2 else "minisblack", planarconfig=planes, extrasamples=extra
        )
    elif array.dtype == np.uint16:
        path.write_bytes(imagecodecs.png_encode(array))
    else:
        Image.fromarray(array).save(path)


DEPTHS = {
    ".png": ("uint8", "uint16"),
    ".tif": ("uint8", "uint16", "float32"),
    ".tiff": ("float64",),
    ".npy": ("float32", "float16", "float64"),
}
CASES = [
    (suffix, dtype, shape)
    for suffix, dtypes in DEPTHS.items()
    for dtype in dtypes
    for shape in ((13, 17), (13, 17, 3), (1, 1, 3), (14, 9, 4), (7, 8, 2))
]


@pytest.mark.parametrize(("suffix", "dtype", "shape"), CASES)
def test_round_trip_keeps_every_sample(tmp_path, suffix, dtype, shape):
    array = pixels(shape, dtype)
    alpha = suffix != ".npy" and shape[2:] in ((2,), (4,))
    if alpha:  # all colours are seen: those that are not do not stay
        array[..., -1] = np.maximum(array[..., -1], 0.1 if array.dtype.kind == "f" else np.iinfo(dtype).max // 8)
    store(tmp_path / f"in{suffix}", array)
    x, kind = io.read_image(tmp_path / f"in{suffix}")
    channels = 1 if len(shape) == 2 else shape[2] - alpha
    assert x.shape == (1, channels, *shape[:2]) and x.dtype == torch.float32 and x.is_contiguous()
    assert kind.depth == (dtype if dtype.startswith("u") else "float32") and (kind.alpha is not None) == alpha
    scale = np.iinfo(dtype).max if dtype.startswith("u") else 1
    np.testing.assert_allclose(
        x[0].permute(1, 2, 0).numpy(), array.reshape(*shape[:2], -1)[..., :channels] / scale, rtol=1e-6
    )
    io.write_image(tmp_path / f"out{suffix}", x, like=kind)
    back, again = io.read_image(tmp_path / f"out{suffix}")
    assert torch.equal(back, x) and again.depth == kind.depth
    assert alpha == (again.alpha is not None) and (
        not alpha or np.array_equal(again.alpha, kind.alpha.astype(again.alpha.dtype))
    )
    assert sorted(os.listdir(tmp_path)) == sorted([f"in{suffix}", f"out{suffix}"])


def test_the_files_hold_what_other_libraries_expect(tmp_path):
    x = torch.rand(1, 3, 11, 15)
    for depth, top in (("uint8", 255), ("uint16", 65535)):
        io.write_image(tmp_path / "a.png", x, like=io.Kind(depth))
        io.write_image(tmp_path / "a.tif", x, like=io.Kind(depth))
        expected = np.round(x[0].permute(1, 2, 0).numpy() * top).astype(depth)
        assert np.array_equal(imagecodecs.png_decode((tmp_path / "a.png").read_bytes()), expected)
        assert np.array_equal(tifffile.imread(tmp_path / "a.tif"), expected)
    io.write_image(tmp_path / "a.npy", x * 9 - 4)
    assert np.array_equal(np.load(tmp_path / "a.npy"), (x * 9 - 4)[0].permute(1, 2, 0).numpy())


def test_integers_are_clipped_and_floats_are_not(tmp_path):
    x = torch.tensor([[-2.0, 0.5, 3.0]]).reshape(1, 1, 1, 3)
    for name, kind, expected in (
        ("a.png", None, [0, 128 / 255, 1]),
        ("a.tif", io.Kind("uint16"), [0, 32768 / 65535, 1]),
        ("b.tif", io.Kind("float32"), [-2, 0.5, 3]),
        ("a.npy", None, [-2, 0.5, 3]),
    ):
        io.write_image(tmp_path / name, x, like=kind)
        x_again = io.read_image(tmp_path / name, value_range=(0, 1))[0]
        np.testing.assert_allclose(x_again.flatten().numpy(), expected, rtol=1e-6)
    io.write_image(tmp_path / "c.png", x, like=io.Kind("float32"))  # a float source keeps its finer steps as 16 bits
    assert io.read_image(tmp_path / "c.png")[1].depth == "uint16"


@pytest.mark.parametrize("shape", [(24, 31), (24, 31, 3)])
def test_jpeg_is_close_and_grey_stays_grey(tmp_path, shape):
    ramp = np.add.outer(np.linspace(0, 120, 24), np.linspace(0, 100, 31))
    store(tmp_path / "a.jpg", (ramp if len(shape) == 2 else np.stack([ramp, ramp[::-1], ramp / 2], 2)).astype("uint8"))
    x, kind = io.read_image(tmp_path / "a.jpg")
    assert x.shape[1] == (1 if len(shape) == 2 else 3)
    io.write_image(tmp_path / "b.jpeg", x, like=kind)
    assert float((io.read_image(tmp_path / "b.jpeg")[0] - x).abs().max()) < 0.03


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a8.png", "a16.png", "a.tif"])
def test_exif_orientation_is_applied(tmp_path, orientation, name):
    ramp = np.add.outer(np.linspace(0, 200, 16), np.linspace(0, 40, 24)).astype("uint8")
    exif = Image.Exif()
    exif[274] = orientation
    path = tmp_path / name
    if name == "a.tif":
        tifffile.imwrite(path, ramp.astype("uint16") * 257, extratags=[(274, 3, 1, orientation, True)])
    elif name == "a16.png":
        Image.fromarray(ramp.astype("uint16") * 257).save(path, exif=exif)
    else:
        Image.fromarray(ramp).save(path, exif=exif)
    plain = Image.fromarray(ramp)
    plain.getexif()[274] = orientation
    expected = np.asarray(ImageOps.exif_transpose(plain)) / 255
    x = io.read_image(path)[0][0, 0].numpy()
    assert x.shape == expected.shape
    np.testing.assert_allclose(x, expected, atol=0.02)


def test_palettes_bilevel_cmyk_and_transparency_become_ordinary_colours(tmp_path):
    colour = Image.fromarray(pixels((9, 12, 3), "uint8"))
    colour.quantize(16).save(tmp_path / "p.png")
    x, kind = io.read_image(tmp_path / "p.png")
    np.testing.assert_allclose(x[0].permute(1, 2, 0), np.asarray(colour.quantize(16).convert("RGB")) / np.float32(255))
    assert kind.alpha is None
    colour.quantize(16).save(tmp_path / "t.png", transparency=3)
    assert io.read_image(tmp_path / "t.png")[0].shape[1] == 3 and set(
        np.unique(io.read_image(tmp_path / "t.png")[1].alpha)
    ) <= {0, 255}
    colour.convert("1").save(tmp_path / "b.png")
    assert io.read_image(tmp_path / "b.png")[0].shape == (1, 1, 9, 12)
    colour.convert("L").save(tmp_path / "g.png", transparency=7)
    assert io.read_image(tmp_path / "g.png")[0].shape[1] == 1 and io.read_image(tmp_path / "g.png")[1].alpha is not None
    for name in ("c.jpg", "c.tif"):
        colour.convert("CMYK").save(tmp_path / name)
        assert io.read_image(tmp_path / name)[0].shape == (1, 3, 9, 12)


@pytest.mark.parametrize("compression", ["lzw", "zlib", "packbits", None])
def test_compressed_planar_and_inverted_tiff(tmp_path, compression):
    array = pixels((12, 10, 3), "uint16")
    tifffile.imwrite(
        tmp_path / "a.tif",
        np.moveaxis(array, -1, 0),
        photometric="rgb",
        planarconfig="separate",
        compression=compression,
    )
    np.testing.assert_allclose(io.read_image(tmp_path / "a.tif")[0][0].permute(1, 2, 0), array / 65535, rtol=1e-6)
    tifffile.imwrite(tmp_path / "w.tif", array[..., 0], photometric="miniswhite", compression=compression)
    np.testing.assert_allclose(io.read_image(tmp_path / "w.tif")[0][0, 0], 1 - array[..., 0] / 65535, atol=1e-6)
    light = pixels((12, 10), "float32")
    tifffile.imwrite(tmp_path / "f.tif", light, photometric="miniswhite", compression=compression)
    np.testing.assert_allclose(io.read_image(tmp_path / "f.tif")[0][0, 0], 1 - light, atol=1e-6)


def test_alpha_is_resampled_on_the_grid_of_the_result(tmp_path):
    alpha = np.arange(6, dtype="uint8").reshape(1, 6).repeat(4, 0) * 40
    io.write_image(tmp_path / "a.png", torch.rand(1, 3, 16, 24), like=io.Kind("uint8", alpha))
    got = np.asarray(Image.open(tmp_path / "a.png"))[..., 3]
    assert np.array_equal(got[::4, ::4], alpha)  # sample i of the small image is pixel 4 i of the large one
    assert np.array_equal(got[5], np.minimum(np.arange(24) * 10, 200))
    io.write_image(tmp_path / "a.jpg", torch.rand(1, 3, 16, 24), like=io.Kind("uint8", alpha))  # JPEG has no alpha
    assert Image.open(tmp_path / "a.jpg").mode == "RGB"


@pytest.mark.parametrize("depth", ["uint8", "uint16"])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_the_colour_profile_survives(tmp_path, depth, suffix):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    io.write_image(tmp_path / f"a{suffix}", torch.rand(1, 3, 5, 6), like=io.Kind(depth, None, profile))
    assert io.read_image(tmp_path / f"a{suffix}")[1].profile == profile
    x = io.read_image(tmp_path / f"a{suffix}")
    io.write_image(tmp_path / "a.jpg", x[0], like=x[1])
    assert io.read_image(tmp_path / "a.jpg")[1].profile == profile


def half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def bad_file(folder, what):
    path = folder / {"text.png": "a.png", "suffix": "a.gif", "no_suffix": "photo"}.get(what, what)
    big = pixels((64, 64, 3), "uint8")
    if what == "missing.png":
        return path
    if what == "folder.png":
        path.mkdir()
    elif what == "empty.png":
        path.touch()
    elif what == "text.png":
        path.write_text("this is no image")
    elif what in ("suffix", "no_suffix"):
        path.write_bytes(b"GIF89a")
    elif what == "truncated16.png":
        path.write_bytes(imagecodecs.png_encode(big.astype("uint16")))
    elif what == "header_only.png":
        path.write_bytes(b"\x89PNG\r\n\x1a\n")
    elif what == "integer.npy":
        np.save(path, big)
    elif what == "chw.npy":
        np.save(path, np.zeros((3, 20, 20), "float32"))
    elif what == "flat.npy":
        np.save(path, np.zeros(9, "float32"))
    elif what == "void.npy":
        np.save(path, np.zeros((0, 4, 3), "float32"))
    elif what == "nan.npy":
        np.save(path, np.full((4, 4), np.nan, "float32"))
    elif what == "objects.npy":
        np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    elif what == "complex.npy":
        np.save(path, np.zeros((4, 4), "complex64"))
    elif what == "pages.tif":
        tifffile.imwrite(path, np.zeros((5, 8, 8), "uint8"), photometric="minisblack")
    elif what == "int32.tif":
        tifffile.imwrite(path, np.zeros((8, 8), "int32"))
    elif what == "five.tif":
        tifffile.imwrite(
            path, np.zeros((8, 8, 5), "uint8"), photometric="rgb", planarconfig="contig", extrasamples=[0, 0]
        )
    else:
        store(path, big if path.suffix != ".npy" else big / np.float32(255))
    if what.startswith("truncated"):
        half(path)
    return path


BAD = """missing.png folder.png empty.png text.png suffix no_suffix truncated.png truncated.jpg truncated.tif
truncated.npy truncated16.png header_only.png integer.npy chw.npy flat.npy void.npy nan.npy objects.npy complex.npy
pages.tif int32.tif five.tif""".split()


@pytest.mark.parametrize("what", BAD)
def test_bad_files_are_refused_by_name(tmp_path, what):
    path = bad_file(tmp_path, what)
    with pytest.raises(InvalidInput) as caught:
        io.read_image(path)
    assert path.name in str(caught.value)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("a.gif", (1, 3, 4, 4), "suffix"),
        ("a", (1, 3, 4, 4), "suffix"),
        ("missing/a.png", (1, 3, 4, 4), "does not exist"),
        ("a.png", (2, 3, 4, 4), "one by one"),
        ("a.jpg", (1, 2, 4, 4), "can hold 1 or 3"),
        ("a.tif", (1, 5, 4, 4), "can hold 1 or 3"),
        ("a.png", (3, 4, 4), "four dimensions"),
        ("a.png", (1, 3, 0, 4), "empty"),
    ],
)
def test_what_cannot_be_written_leaves_nothing(tmp_path, name, shape, message):
    with pytest.raises(InvalidInput, match=message):
        io.write_image(tmp_path / name, torch.zeros(shape))
    assert os.listdir(tmp_path) == []


def test_nan_folder_and_misspelt_keyword_are_refused(tmp_path):
    with pytest.raises(InvalidInput, match="NaN"):
        io.write_image(tmp_path / "a.npy", torch.full((1, 1, 2, 2), torch.nan))
    (tmp_path / "d.png").mkdir()
    with pytest.raises(InvalidInput, match="folder"):
        io.write_image(tmp_path / "d.png", torch.zeros(1, 1, 2, 2))
    with pytest.raises(UnknownKeyword, match="like"):
        io.write_image(tmp_path / "a.npy", torch.zeros(1, 1, 2, 2), lik=None)  # type: ignore[call-arg]
    assert os.listdir(tmp_path) == ["d.png"]


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), KeyboardInterrupt(), RuntimeError("broken encoder")]
)
@pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF", "NPY"])
def test_a_failing_writer_keeps_the_old_file_and_leaves_no_part(tmp_path, monkeypatch, error, format):
    path = tmp_path / f"a.{format.lower()}"
    path.write_bytes(b"old")

    def fail(file, *content):
        file.write(b"half a file")
        file.flush()
        assert len(os.listdir(tmp_path)) == 2  # the part lies beside the target
        raise error

    monkeypatch.setitem(images._WRITERS, format, fail)
    with pytest.raises(FastipError if isinstance(error, OSError) else type(error)):
        io.write_image(path, torch.zeros(1, 3, 4, 4))
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == [path.name]
