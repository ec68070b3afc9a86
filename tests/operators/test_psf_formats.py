"""Psfs from files: every format gives the same taps, and other files are refused."""

from __future__ import annotations

import io
import sys
import types

import imagecodecs
import numpy as np
import pytest
import scipy.io
import tifffile
import torch
from PIL import Image

from cases.psf_files import taken
from fastip import psf
from fastip.errors import InvalidInput, Unsupported

COUNTS = np.random.default_rng(5).integers(0, 200, (5, 8))
COUNTS[2, 4] += 2000  # the centroid is near the centre


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
    "sixteen.pgm": lambda p: p.write_bytes(b"P5 %d %d 65535 " % COUNTS.shape[::-1] + COUNTS.astype(">u2").tobytes()),
    "sixteen.jp2": lambda p: p.write_bytes(imagecodecs.jpeg2k_encode(COUNTS.astype("uint16"), 0, reversible=True)),
    "palette.bmp": lambda p: Image.fromarray(EIGHT).convert("P").save(p),
}


@pytest.mark.parametrize("name", WRITE)
def test_every_format_gives_the_same_taps(tmp_path, name):
    WRITE[name](tmp_path / name)
    taps, told = taken(tmp_path / name)
    counts = EIGHT if name.endswith(("bmp", "grey.png")) else COUNTS
    assert taps.dtype == torch.float64 and not told
    np.testing.assert_allclose(taps, counts / counts.sum(), rtol=1e-12)


BELL = np.exp(-(np.add.outer(np.arange(-7, 8) ** 2, np.arange(-7, 8) ** 2) / 8.0)) * 255


@pytest.mark.parametrize("cut", [0, 1, 8, 30])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_transparent_pixels_are_zero(tmp_path, dtype, cut):
    """Colours under them were taken from around them."""
    top = 1 if dtype == "float32" else np.iinfo(dtype).max
    grey = (BELL * top / 255).round(0 if top > 1 else 6).astype(dtype)
    shown = np.where(cut * top / 255 < grey, grey, 0)
    array = np.dstack([shown] * 3 + [np.where(shown > 0, top, 0)]).astype(dtype)
    tifffile.imwrite(tmp_path / "k.tif", array, photometric="rgb", extrasamples=["unassalpha"])
    taps, told = taken(tmp_path / "k.tif")
    assert not told
    np.testing.assert_allclose(taps, shown / shown.sum(dtype=float), rtol=1e-6)
    if dtype == "uint8":
        Image.fromarray(array).save(tmp_path / "k.png")
        assert torch.equal(taken(tmp_path / "k.png")[0], taps)


@pytest.mark.parametrize("extra", ["unassalpha", "assocalpha"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_a_psf_drawn_in_alpha(tmp_path, dtype, extra):
    top = 1 if dtype == "float32" else np.iinfo(dtype).max
    share = (BELL * top / 255).round(0 if top > 1 else 6).astype(dtype)
    colour = np.full_like(share, top) if extra == "unassalpha" else share
    array = np.dstack([colour] * 3 + [share])
    tifffile.imwrite(tmp_path / "k.tif", array, photometric="rgb", extrasamples=[extra])
    np.testing.assert_allclose(taken(tmp_path / "k.tif")[0], share / share.sum(dtype=float), rtol=1e-6)


def test_a_picture_that_shows_nothing_is_no_psf(tmp_path):
    Image.fromarray(np.dstack([EIGHT] * 3 + [EIGHT * 0])).save(tmp_path / "k.png")
    with pytest.raises(InvalidInput, match="sums to 0"):
        psf.read(tmp_path / "k.png")


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
