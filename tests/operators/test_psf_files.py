"""Psfs from files: every format gives the same taps; backgrounds, zero sums and other centres are told or mended."""

from __future__ import annotations

import io
import sys
import types
import warnings

import numpy as np
import pytest
import scipy.io
import scipy.ndimage
import scipy.signal
import scipy.special
import tifffile
import torch
from PIL import Image

from fastip import operators, psf
from fastip.errors import InvalidInput, Unsupported

COUNTS = np.random.default_rng(5).integers(0, 200, (5, 8))
COUNTS[2, 4] += 2000  # the centroid is near the centre


def taken(path, **how):
    """What is read, and what was said."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        return psf.read(path, **how), [str(warning.message) for warning in told]


# ---- formats ---------------------------------------------------------------------------------------------------------


def text(separator, decimals="{:d}"):
    return "\n".join(separator.join(decimals.format(n) for n in row) for row in COUNTS.tolist())


EIGHT = (COUNTS // 9).astype("uint8")
WRITE = {
    "int64.npy": lambda p: np.save(p, COUNTS),
    "uint16.npy": lambda p: np.save(p, COUNTS.astype(">u2")),
    "float32.npy": lambda p: np.save(p, COUNTS.astype("float32")),
    "fortran.npy": lambda p: np.save(p, np.asfortranarray(COUNTS.astype(float))),
    "colours.npy": lambda p: np.save(p, np.stack([COUNTS - 3, COUNTS, COUNTS + 3], axis=2)),
    "k.npz": lambda p: np.savez_compressed(p, psf=COUNTS, sigma=1.5, note="by hand", line=np.arange(3)),
    "k.mat": lambda p: scipy.io.savemat(
        p, {"psf": COUNTS.astype(float), "sigma": 1.5, "about": "a text", "s": {"a": 1}}
    ),
    "int.mat": lambda p: scipy.io.savemat(p, {"k": COUNTS.astype("int16")}),
    "old.mat": lambda p: scipy.io.savemat(p, {"k": COUNTS.astype(float)}, format="4"),
    "spaces.txt": lambda p: p.write_text("# a psf, by hand\n" + text("  ") + "\n\n"),
    "commas.csv": lambda p: p.write_text("\ufeff" + text(", ", "{:d}.0")),
    "semicolons.csv": lambda p: p.write_text(text(";", "{:e}")),
    "tabs.txt": lambda p: p.write_text(text("\t")),
    "float.tif": lambda p: tifffile.imwrite(p, COUNTS.astype("float32")),
    "sixteen.tif": lambda p: tifffile.imwrite(p, COUNTS.astype("uint16")),
    "sixteen.png": lambda p: Image.fromarray(COUNTS.astype("uint16")).save(p),
    "grey.png": lambda p: Image.fromarray(EIGHT).save(p),
    "grey.bmp": lambda p: Image.fromarray(EIGHT).save(p),
    "colour.bmp": lambda p: Image.fromarray(np.stack([EIGHT] * 3, axis=2)).save(p),
    "palette.bmp": lambda p: Image.fromarray(EIGHT).convert("P").save(p),
}


@pytest.mark.parametrize("name", WRITE)
def test_every_format_gives_the_same_taps(tmp_path, name):
    WRITE[name](tmp_path / name)
    taps, told = taken(tmp_path / name)
    counts = EIGHT if name.endswith(("bmp", "grey.png")) else COUNTS
    assert taps.dtype == torch.float64 and not told
    np.testing.assert_allclose(taps, counts / counts.sum(), rtol=1e-12)


def hdf5(monkeypatch, held):
    """A module h5py whose only file holds these: name -> (array of MATLAB, its class)."""

    class File(dict):
        def __init__(self, path, mode):
            assert mode == "r"
            super().__init__({name: Dataset(*what) for name, what in held.items()})

        __enter__ = lambda self: self  # noqa: E731
        __exit__ = lambda self, *error: None  # noqa: E731

    class Dataset:
        def __init__(self, array, kind):
            self.attrs = {} if kind is None else {"MATLAB_class": kind.encode()}
            if array is not None:
                self.array, self.shape, self.dtype = array.T, array.T.shape, array.dtype

        def __getitem__(self, key):
            assert key == ()
            return self.array

    module = types.ModuleType("h5py")
    module.File = File
    monkeypatch.setitem(sys.modules, "h5py", module)


def test_mat_files_of_version_7_3_are_read_by_h5py(tmp_path, monkeypatch):
    path = tmp_path / "k.mat"
    path.write_bytes(b"MATLAB 7.3 MAT-file, Platform: GLNXA64" + bytes(600))
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(Unsupported, match=r"needs the package h5py .*pip install 'fastip\[mat\]', or save it with -v7"):
        psf.read(path)
    array = np.arange(12.0).reshape(3, 4)
    others = {
        "note": (array, "char"),
        "#refs#": (None, None),
        "s": (None, "struct"),
        "sigma": (array[:1, :1], "double"),
    }
    for name, kind in (("double", "double"), ("without a class", None), ("logical", "logical")):
        hdf5(monkeypatch, {**others, name: (array, kind)})
        np.testing.assert_allclose(taken(path)[0], array / array.sum(), rtol=1e-12)
    hdf5(monkeypatch, {**others, "a": (array, "double"), "b": (array, "uint8")})
    with pytest.raises(InvalidInput, match=r"s \(struct\).*a \(3 x 4 double\), b \(3 x 4 uint8\); expected one array"):
        psf.read(path)


def test_a_mat_file_without_scipy(tmp_path, monkeypatch):
    scipy.io.savemat(tmp_path / "k.mat", {"k": COUNTS})
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(Unsupported, match="needs the package scipy"):
        psf.read(tmp_path / "k.mat")


def npz(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def npy(array):
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


HUGE = npy(np.zeros((3, 3))).replace(b"(3, 3), }      ", b"(99999, 99999)}")
BAD = {
    "two.npz": (npz(a=COUNTS, b=COUNTS[:2]), r"holds a \(5 x 8 int64\), b \(2 x 8 int64\); expected one array"),
    "none.npz": (npz(a=np.ones(3), t="x"), r"holds a \(3 float64\), t \(str32\); expected one array"),
    "empty.npz": (npz(), "holds nothing; expected one array"),
    "object.npz": (npz(a=np.array([[None]])), "Object arrays cannot be loaded"),
    "plain.npz": (npy(COUNTS), "it is no NPZ file"),
    "packed.npy": (npz(a=COUNTS), "it is no NPY file"),
    "object.npy": (npy(np.array([[None]])), "cannot be read"),
    "huge.npy": (HUGE, "cannot be read"),
    "cut.npy": (npy(COUNTS)[:-8], "cannot be read"),
    "complex.npy": (npy(COUNTS + 0j), "complex128; expected real ones"),
    "stack.npy": (npy(np.ones((4, 9, 9))), r"shape \(4, 9, 9\); expected h w, or h w c"),
    "line.npy": (npy(np.ones(9)), r"shape \(9,\)"),
    "nan.npy": (npy(np.array([[1.0, np.nan]])), "1 values that are NaN or Inf"),
    "words.txt": (b"a psf", "cannot be read"),
    "ragged.txt": (b"1 2\n3", "expected rows of the same length"),
    "comma.txt": (b"0,5;0,25", "decimal points"),
    "empty.csv": (b"# nothing\n", "it holds no numbers"),
    "bytes.csv": (b"\xff\xfe\x00", "cannot be read"),
    "text.mat": (b"no MAT file" * 40, "cannot be read"),
    "png.bmp": (b"\x89PNG\r\n\x1a\n", "cannot be read"),
    "k.fits": (b"SIMPLE", r"suffix '.fits'; expected one of .png.*\.csv"),
}


@pytest.mark.parametrize("name", BAD)
def test_other_files_are_refused(tmp_path, name):
    content, says = BAD[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidInput, match=says):
        psf.read(tmp_path / name)


def test_two_arrays_of_a_mat_file_are_named(tmp_path):
    scipy.io.savemat(tmp_path / "k.mat", {"psf": COUNTS, "flat": np.ones((3, 2)), "cut": 4})
    with pytest.raises(InvalidInput, match=r"psf \(5 x 8 int64\), flat \(3 x 2 double\), cut \(1 x 1 int64\)"):
        psf.read(tmp_path / "k.mat")


def test_paths_that_are_no_files(tmp_path):
    (tmp_path / "folder.npy").mkdir()
    for name, says in (("folder.npy", "no ordinary file"), ("none.mat", "does not exist")):
        with pytest.raises(InvalidInput, match=says):
            psf.read(tmp_path / name)


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
