"""Psfs from files: zero sums are refused, backgrounds and other centres told and mended."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
import scipy.special
import torch
from PIL import Image

from cases.psf_files import taken
from fastip import operators, psf
from fastip.errors import InvalidInput

# ---- sums ------------------------------------------------------------------------------------------------------------


def taps_of_sum(ratio, dtype, seed=3):
    """Random taps of both signs whose sum is about ``ratio`` of their absolute sum."""
    taps = np.random.default_rng(seed).standard_normal((9, 9))
    taps -= taps.mean()
    taps[4, 4] += ratio * abs(taps).sum()
    return taps.astype(dtype)


@pytest.mark.parametrize(
    ("ratio", "dtype", "kept"),
    [
        (0.0, "float32", False),
        (1e-9, "float32", False),
        (1e-3, "float32", True),
        (0.0, "float64", False),
        (1e-9, "float64", True),
        (0.0, "float16", False),
        (0.1, "float16", True),
    ],
)
def test_a_zero_sum_is_judged_in_the_precision_of_the_file(tmp_path, ratio, dtype, kept):
    """Rounding was scaled up: one grey value, and exit code 0."""
    for seed in range(8):
        np.save(tmp_path / "k.npy", taps_of_sum(ratio, dtype, seed))
        if kept:
            assert taken(tmp_path / "k.npy")[0].sum().item() == pytest.approx(1, abs=1e-6)
            continue
        with pytest.raises(InvalidInput, match=r"sums to .*, with an absolute sum of .*: zero to the precision"):
            psf.read(tmp_path / "k.npy")


def test_integers_that_cancel_are_refused(tmp_path):
    np.save(tmp_path / "k.npy", np.array([[1, -2, 1], [0, 0, 0]]))
    with pytest.raises(InvalidInput, match="sums to 0"):
        psf.read(tmp_path / "k.npy")
    np.save(tmp_path / "k.npy", np.full((3, 3), 1e308))
    with np.errstate(over="ignore"), pytest.raises(InvalidInput, match="sums to inf"):
        psf.read(tmp_path / "k.npy")


# ---- background ------------------------------------------------------------------------------------------------------


def star(size=41, width=2.0, peak=230.0):
    at = np.arange(size) - size // 2
    return np.exp(-np.add.outer(at**2, at**2) / (2 * width**2)) * peak


def test_a_background_is_told_with_its_share_and_removed(tmp_path):
    image = np.rint(star() + 8)
    Image.fromarray(image.astype("uint8")).save(tmp_path / "k.png")
    share = 8 * image.size / image.sum()
    clean = np.rint(star()) / np.rint(star()).sum()
    taps, told = taken(tmp_path / "k.png")
    assert len(told) == 1 and f"{share:.0%} of the sum of the psf" in told[0] and "a background of 8," in told[0]
    assert "background='auto'" in told[0] and "--psf-background" in told[0]
    np.testing.assert_allclose(taps, image / image.sum(), rtol=1e-12)
    for background in ("auto", 8, 8.0):
        taps, told = taken(tmp_path / "k.png", background=background)
        assert not told
        np.testing.assert_allclose(taps, clean, atol=1e-15)
    assert len(taken(tmp_path / "k.png", background=2)[1]) == 1  # a part is left


@pytest.mark.parametrize("level, noise", [(100.0, 3.0), (100.0, 15.0), (1000.0, 30.0)])
def test_of_a_noisy_background_little_is_left(tmp_path, level, noise):
    """Without its median alone half of the noise would stay."""
    image = star(peak=4000.0) + level + noise * np.random.default_rng(2).standard_normal((41, 41))
    np.save(tmp_path / "k.npy", image)
    assert "is a background of" in taken(tmp_path / "k.npy")[1][0]
    taps, told = taken(tmp_path / "k.npy", background="auto")
    near = np.add.outer((np.arange(41) - 20) ** 2, (np.arange(41) - 20) ** 2) <= 8**2
    assert not told and float(taps.numpy()[~near].sum()) < 0.01


def shaken(size, seed):
    random = np.random.default_rng(seed)
    path = random.normal(size=(300, 2)).cumsum(axis=0).cumsum(axis=0)
    path = (path - path.mean(axis=0)) * size / 2.3 / abs(path - path.mean(axis=0)).max() + size / 2
    taps = np.zeros((size, size))
    np.add.at(taps, tuple(np.clip(path.astype(int), 0, size - 1).T), 1)
    return taps


def airy(size, radius):
    r = np.hypot(*np.meshgrid(np.arange(size) - size // 2, np.arange(size) - size // 2)) * 3.8317 / radius + 1e-9
    return (2 * scipy.special.j1(r) / r) ** 2


def moffat(size, width, power):
    at = (np.arange(size) - size // 2) ** 2
    return (1 + np.add.outer(at, at) / width**2) ** -power


def clean_psfs(size):
    for width in (0.3, 1.0, 2.0, 4.0, 9.0, 60.0, size / 6, size / 4, size / 3, size / 2, float(size)):
        yield psf.gaussian(size, width).numpy()
        yield airy(size, width)
        yield from (moffat(size, width, power) for power in (1.2, 2.0, 4.0))
    for radius in (1.0, 2.0, size / 8, size / 4, size / 3, size / 2, size * 0.6, float(size)):
        yield psf.disk(size, radius).numpy()
    for angle in (0, 20, 45, 70, 90, 155):
        yield psf.motion(size, angle).numpy()
    for seed in range(6):
        yield shaken(size, seed)
    yield psf.box(size).numpy()
    yield psf.delta(size).numpy()


@pytest.mark.parametrize("size", [2, 5, 7, 8, 13, 15, 21, 41])
def test_no_clean_psf_is_said_to_have_a_background(tmp_path, size):
    for number, taps in enumerate(clean_psfs(size)):
        for form in (taps, np.rint(taps * 255 / taps.max()).astype("uint8")):
            np.save(tmp_path / "k.npy", form)
            _, told = taken(tmp_path / "k.npy", centre=True)
            assert not told, (number, told)


@pytest.mark.parametrize("level", [8.0, 40.0])
def test_backgrounds_of_all_kinds_of_psfs_are_told(tmp_path, level):
    for taps in (star(31), shaken(31, 1) * 40, psf.motion(31, 0).numpy() * 6000, psf.motion(31, 45).numpy() * 6000):
        np.save(tmp_path / "k.npy", taps + level)
        assert "is a background" in taken(tmp_path / "k.npy", centre=True)[1][0]


def test_what_a_background_cannot_be_taken_from(tmp_path):
    at = np.arange(-6, 7)
    lobes = np.exp(-np.add.outer(at**2, at**2) / 4) - 0.1 * np.exp(-np.add.outer(at**2, at**2) / 20)
    np.save(tmp_path / "k.npy", lobes)
    assert not taken(tmp_path / "k.npy")[1]
    for background in ("auto", 0.01, 0):
        with pytest.raises(InvalidInput, match=r"negative values are \d+% of its absolute sum and would be lost"):
            psf.read(tmp_path / "k.npy", background=background)
    np.save(tmp_path / "k.npy", star(9) - 1e-13)  # rounding of a transform
    psf.read(tmp_path / "k.npy", background="auto")
    np.save(tmp_path / "k.npy", star() - 5.0)  # a dark level below zero
    np.testing.assert_allclose(psf.read(tmp_path / "k.npy", background=-5.0), star() / star().sum(), atol=1e-15)
    np.save(tmp_path / "k.npy", star())
    for background, says in (
        (1e9, "nothing is left"),
        ("median", "expected 'auto' or a number"),
        (float("nan"), "finite"),
        ([1, 2], "expected a number"),
    ):
        with pytest.raises(InvalidInput, match=says):
            psf.read(tmp_path / "k.npy", background=background)


# ---- centre ----------------------------------------------------------------------------------------------------------


def test_a_centroid_off_the_centre_is_told_and_moved(tmp_path):
    point = star(21, 1.2)
    np.save(tmp_path / "k.npy", scipy.ndimage.shift(point, (4, -3), order=0))
    (said,) = taken(tmp_path / "k.npy")[1]
    assert "is 5.0 pixels from its centre (+4.0 down, -3.0 to the right)" in said and "--psf-centre" in said
    moved, told = taken(tmp_path / "k.npy", centre=True)
    assert not told and tuple(moved.shape) == (28, 27)
    np.testing.assert_allclose(moved[14 - 6 : 14 + 7, 13 - 6 : 13 + 7], point[4:17, 4:17] / point.sum(), atol=1e-9)


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (2, 2), (5, 5), (4, 7), (8, 3)])
def test_any_place_of_a_point_moves_to_the_centre(tmp_path, shape):
    """Nothing wraps, nothing is lost, and no smaller array would hold it."""
    for row in range(shape[0]):
        for column in range(shape[1]):
            taps = np.zeros(shape)
            taps[row, column] = 3.0
            np.save(tmp_path / "k.npy", taps)
            moved = psf.read(tmp_path / "k.npy", centre=True)
            assert moved[moved.shape[0] // 2, moved.shape[1] // 2] == 1 == moved.sum()
            for k, n, at in zip(shape, moved.shape, (row, column), strict=True):
                assert n == min(m for m in range(1, 4 * k) if m // 2 >= at and m - 1 - m // 2 >= k - 1 - at)


def test_what_is_near_stays_as_it_is(tmp_path):
    for size in (4, 9, 16):
        np.save(tmp_path / "k.npy", psf.gaussian(size, 1.0).numpy())  # even: half a pixel off, which no shift mends
        moved, told = taken(tmp_path / "k.npy", centre=True)
        assert torch.equal(moved, taken(tmp_path / "k.npy")[0]) and not told
    np.save(tmp_path / "k.npy", scipy.ndimage.shift(star(21, 1.2), (1, -1), order=0))
    assert not taken(tmp_path / "k.npy")[1]


@pytest.mark.parametrize("k", [16, 15])
def test_data_of_scipy_take_an_even_psf_one_pixel_before(k):
    """As the docstring says: the answer was one pixel off on both axes."""
    random = np.random.default_rng(1)
    x, taps = random.random((33, 30)), random.random((k, k))
    padded = np.pad(taps, ((1, 0), (1, 0))) if k % 2 == 0 else taps
    y = operators.Blur(padded, boundary="zero")(torch.from_numpy(x)[None, None])[0, 0]
    np.testing.assert_allclose(y, scipy.signal.fftconvolve(x, taps, mode="same"), atol=1e-10)
