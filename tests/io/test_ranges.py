"""Floats of another scale than [0, 1]: refused with what to do, mapped where black and white are said."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import torch

from fastip import io
from fastip.errors import InvalidInput

SUFFIXES = [".tif", ".npy"]


def store(path, array):
    if path.suffix == ".npy":
        np.save(path, array)
    else:
        tifffile.imwrite(path, array, photometric="rgb" if array.ndim == 3 else "minisblack")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("low, high", [(0, 255), (0, 65535), (-1024, 3071), (1e6, 1e6 + 1)])
def test_a_range_goes_in_and_out(tmp_path, suffix, dtype, low, high):
    if high > float(np.finfo(dtype).max) / 16:
        dtype = "float64"
    unit = np.random.default_rng(0).random((7, 9, 3)) * 1.5 - 0.25
    array = (low + unit * (high - low)).astype(dtype)
    store(tmp_path / f"a{suffix}", array)
    x, kind = io.read_image(tmp_path / f"a{suffix}", value_range=(low, high))
    np.testing.assert_allclose(
        x[0].permute(1, 2, 0), (array.astype("float64") - low) / (high - low), atol=1e-6, rtol=1e-6
    )
    assert kind.depth == "float32" and kind.value_range == (low, high)
    io.write_image(tmp_path / f"b{suffix}", x, like=kind)
    back = np.load(tmp_path / "b.npy") if suffix == ".npy" else tifffile.imread(tmp_path / "b.tif")
    assert back.dtype == np.float32
    np.testing.assert_allclose(back, array, atol=4e-7 * (high - low), rtol=1e-6)
    io.write_image(tmp_path / "b.png", x, like=kind)  # integers have a white of their own
    full = io.read_image(tmp_path / "b.png")
    assert full[1].depth == "uint16" and torch.allclose(full[0], x.clamp(0, 1), atol=0.51 / 65535)


def test_white_at_zero_and_alpha_follow_the_range(tmp_path):
    array = np.random.default_rng(1).uniform(20, 255, (6, 5)).astype("float32")
    tifffile.imwrite(tmp_path / "w.tif", array, photometric="miniswhite")
    x, kind = io.read_image(tmp_path / "w.tif", value_range=(0, 255))
    np.testing.assert_allclose(x[0, 0], 1 - array / 255, atol=1e-6)
    rgba = np.random.default_rng(1).uniform(20, 255, (6, 5, 4)).astype("float32")
    tifffile.imwrite(tmp_path / "a.tif", rgba, photometric="rgb", extrasamples=["unassalpha"])
    x, kind = io.read_image(tmp_path / "a.tif", value_range=(0, 255))
    np.testing.assert_allclose(kind.alpha, rgba[..., 3] / 255, rtol=1e-6)
    io.write_image(tmp_path / "b.tif", x, like=kind)
    np.testing.assert_allclose(tifffile.imread(tmp_path / "b.tif"), rgba, rtol=1e-5)
    io.write_image(tmp_path / "b.png", x, like=kind)
    assert np.array_equal(io.read_image(tmp_path / "b.png")[1].alpha, np.round(rgba[..., 3] / 255 * 65535))


@pytest.mark.parametrize("low, high", [(0, 255), (-1024, 3071), (5, 255), (0, 0.5), (0, 1), (-7, -2)])
@pytest.mark.parametrize("extra", ["unassalpha", "assocalpha"])
def test_alpha_in_zero_to_one_stays_whatever_the_range(tmp_path, extra, low, high):
    rng = np.random.default_rng(2)
    unit, alpha = rng.uniform(0.1, 0.9, (6, 5, 3)), rng.uniform(0.1, 1, (6, 5))
    array = np.dstack([low + unit * (high - low), alpha]).astype("float32")
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="rgb", extrasamples=[extra])
    x, kind = io.read_image(tmp_path / "a.tif", value_range=(low, high))
    straight = unit if extra == "unassalpha" else unit / alpha[..., None]
    np.testing.assert_allclose(x[0].permute(1, 2, 0), straight, rtol=1e-5, atol=1e-6)
    assert np.array_equal(kind.alpha, array[..., 3]) and kind.opaque == 1
    io.write_image(tmp_path / "b.tif", x, like=kind)
    back = tifffile.imread(tmp_path / "b.tif")
    np.testing.assert_allclose(back[..., :3], array[..., :3], atol=1e-6 * (high - low))
    assert np.array_equal(back[..., 3], array[..., 3])
    io.write_image(tmp_path / "b.png", x, like=kind)
    assert np.array_equal(io.read_image(tmp_path / "b.png")[1].alpha, np.round(array[..., 3].astype(float) * 65535))


def test_alpha_of_another_scale_is_divided_by_white_and_never_shifted(tmp_path):
    rng = np.random.default_rng(3)
    array = np.dstack([rng.uniform(-100, 200, (7, 5, 3)), rng.uniform(20, 200, (7, 5))]).astype("float32")
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="rgb", extrasamples=["unassalpha"])
    x, kind = io.read_image(tmp_path / "a.tif", value_range=(-100, 200))
    np.testing.assert_allclose(x[0].permute(1, 2, 0), (array[..., :3] + 100) / 300, atol=1e-6)
    np.testing.assert_allclose(kind.alpha, array[..., 3] / 200, rtol=1e-6)
    io.write_image(tmp_path / "b.tif", x, like=kind)
    np.testing.assert_allclose(tifffile.imread(tmp_path / "b.tif"), array, rtol=1e-5, atol=1e-4)


def test_ringing_of_alpha_is_cut_and_another_scale_refused(tmp_path):
    array = np.full((6, 5, 4), 100, "float32")
    array[..., 3] = np.linspace(-0.25, 1.25, 30).reshape(6, 5)
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="rgb", extrasamples=["unassalpha"])
    x, kind = io.read_image(tmp_path / "a.tif", value_range=(0, 255))
    assert np.array_equal(kind.alpha, array[..., 3].clip(0, 1))
    np.testing.assert_allclose(x, 100 / 255, rtol=1e-5)
    array[..., 3] = 65535
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="rgb", extrasamples=["unassalpha"])
    for given in ((0, 255), (0, 1)):
        with pytest.raises(InvalidInput, match="a.tif holds alpha that reaches"):
            io.read_image(tmp_path / "a.tif", value_range=given)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "low, high, hint",
    [
        (0, 250, "--range 0,255"),
        (3, 3999, "--range 0,4095"),
        (10, 60_000, "--range 0,65535"),
        (-3, 250, "--range 0,255"),
        (-1000, 3000, "--range -1000,3000"),
        (0, 1e6, "--range 0,1e+06"),
        (-2, 2, "--range -2,2"),
    ],
)
def test_other_scales_are_refused_with_what_to_do(tmp_path, suffix, low, high, hint):
    store(tmp_path / f"a{suffix}", np.linspace(low, high, 600).reshape(20, 30).astype("float32"))
    with pytest.raises(InvalidInput, match=f"a{suffix} holds floats from {low:g} to") as caught:
        io.read_image(tmp_path / f"a{suffix}")
    assert f"{hint};" in str(caught.value) and "(0, 1) takes the values as they are" in str(caught.value)
    x = io.read_image(tmp_path / f"a{suffix}", value_range=(0, 1))[0]
    assert float(x.min()) == low and float(x.max()) == high


def test_a_few_highlights_are_no_other_scale(tmp_path):
    array = np.full((20, 30), 0.5, "float32")
    array.flat[:6] = 1000, -1000, 3, 3, 3, 3  # one in a hundred
    np.save(tmp_path / "a.npy", array)
    assert float(io.read_image(tmp_path / "a.npy")[0].max()) == 1000
    array.flat[6] = 2.5
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(InvalidInput, match="outside"):
        io.read_image(tmp_path / "a.npy")


def test_integers_have_a_range_of_their_own(tmp_path):
    array = np.random.default_rng(0).integers(0, 255, (6, 5), dtype="uint8")
    tifffile.imwrite(tmp_path / "a.tif", array)
    with pytest.raises(InvalidInput, match="integers of which 255 is white"):
        io.read_image(tmp_path / "a.tif", value_range=(0, 128))
    assert torch.equal(io.read_image(tmp_path / "a.tif", value_range=(0, 1))[0], io.read_image(tmp_path / "a.tif")[0])
    np.save(tmp_path / "a.npy", array.astype("uint16"))
    with pytest.raises(InvalidInput, match="float32'\\) / 65535"):
        io.read_image(tmp_path / "a.npy")


@pytest.mark.parametrize("bad", [(1, 0), (0, 0), (0,), 5, (0, float("nan")), (float("-inf"), 1), ("a", 1), (0, 1, 2)])
def test_bad_ranges(tmp_path, bad):
    np.save(tmp_path / "a.npy", np.zeros((4, 4), "float32"))
    with pytest.raises(InvalidInput, match="value_range"):
        io.read_image(tmp_path / "a.npy", value_range=bad)
    with pytest.raises(InvalidInput, match="value_range"):
        io.Kind("float32", value_range=bad)


@pytest.mark.parametrize("bad", [(-1e308, 1e308), (0, 1e39), (-3e38, 3e38), (0, 1e-320), (0, 1e-39), (-1e-40, 1.0)])
def test_ranges_that_float32_cannot_hold(tmp_path, bad):
    np.save(tmp_path / "a.npy", np.array([[0, bad[1] / 2], [bad[0], bad[1]]]))
    with pytest.raises(InvalidInput, match="value_range is .* normal numbers of float32: scale what is in the file"):
        io.read_image(tmp_path / "a.npy", value_range=bad)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("channel", [0, 3])
@pytest.mark.parametrize("given", [(0, 1), (0, 255)])
def test_values_that_float32_cannot_hold(tmp_path, given, channel):
    array = np.full((4, 5, 4), 0.5)
    array[2, 3, channel] = 1e300
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="rgb", extrasamples=["unassalpha"])
    with pytest.raises(InvalidInput, match="a.tif holds 1 values that are NaN or Inf"):
        io.read_image(tmp_path / "a.tif", value_range=given)


@pytest.mark.parametrize("high", [2e-38, 1e-30, 1e30, 3e38])
def test_the_smallest_and_largest_ranges_are_exact(tmp_path, high):
    unit = np.random.default_rng(4).random((5, 7))
    np.save(tmp_path / "a.npy", unit * high)
    x, kind = io.read_image(tmp_path / "a.npy", value_range=(0, high))
    np.testing.assert_allclose(x[0, 0], unit, rtol=1e-6)
    io.write_image(tmp_path / "b.npy", x, like=kind)
    np.testing.assert_allclose(np.load(tmp_path / "b.npy"), unit * high, rtol=1e-5, atol=2e-45)


def test_what_overflows_in_its_range_is_not_written(tmp_path):
    kind = io.Kind("float32", value_range=(0, 3e38))
    with pytest.raises(InvalidInput, match="in the range of 0 to 3e.38, holds 35 values that are NaN or Inf"):
        io.write_image(tmp_path / "b.tif", torch.full((1, 1, 5, 7), 2.0), like=kind)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("bad", ["uint32", "float64", None, 8])
def test_depths_that_no_file_has(bad):
    with pytest.raises(InvalidInput, match="depth is .*; expected one of uint8, uint16, float32"):
        io.Kind(bad)


@pytest.mark.parametrize("bad", [0, -1, float("nan"), "white"])
def test_bad_values_of_opaque(bad):
    with pytest.raises(InvalidInput, match="opaque is"):
        io.Kind(opaque=bad)
