"""Arrays of numbers in files, as a psf is kept in: images, stacks, NPY, NPZ, MAT and text, each in its own units."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ... import io
from ...errors import FastipError, InvalidInput, Unsupported
from ...io.images import read_file

# Pixels: 512 MB in float64. A psf as large as its photograph fits; a packed file of a few bytes cannot fill the memory.
MOST = 2**26
_DEPTHS = {"uint8": 255, "uint16": 65535}  # what images that are read are divided by
_CLASSES = ("double", "single", "logical", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))


def load(path: Path, axes: int = 2) -> tuple[np.ndarray, float]:
    """The numbers in a file, colours averaged and multiplied by alpha.

    Args:
        path: A file with one of ``SUFFIXES``.
        axes: 2 for an image; 3 for a stack, the pages of a TIFF or an array of three axes.

    Returns:
        h w, or d h w, in float64 and the file's own units (8 bit: 0 to 255), and the relative precision of its own
        type.

    Raises:
        InvalidInput: For another suffix, a file that is missing or damaged, and for all but one real, finite array, and
            for pages of different sizes.
        Unsupported: For a MAT file without the package that reads it.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InvalidInput(
            f"{path} has the suffix {path.suffix!r}; expected one of {', '.join(SUFFIXES)}: save the psf as one of them"
        )
    if not path.is_file():
        what = "is no ordinary file" if path.exists() else "does not exist; check the spelling of the path"
        raise InvalidInput(f"{path} {what}")
    try:
        array = reader(path, axes)
    except FastipError:
        raise
    except Exception as error:  # decoders raise what they like
        raise InvalidInput(f"{path} cannot be read: {error}; it may be damaged: save the psf anew") from error
    return _checked(path, array, axes), _precision(array.dtype)


def _checked(path: Path, array: np.ndarray, axes: int) -> np.ndarray:
    """One channel, or one stack, of finite float64."""
    if array.dtype.kind not in "biuf":
        raise InvalidInput(f"{path} holds numbers of type {array.dtype}; expected real ones: save the real part")
    colours = axes == 2 and array.ndim == 3 and array.shape[2] <= 4
    if not (array.ndim == axes or colours) or array.size == 0:
        image = "h w, or h w c with up to 4 colours (a stack d h w: axes=3)"
        known = image if axes == 2 else "d h w (an image: axes=2)"
        raise InvalidInput(f"{path} holds an array of shape {array.shape}; expected {known}")
    _check_size(path, array.shape[:axes])
    taps = array.mean(axis=2, dtype=np.float64) if colours else array.astype(np.float64)
    if not np.isfinite(taps).all():
        raise InvalidInput(
            f"{path} holds {(~np.isfinite(taps)).sum()} values that are NaN or Inf; expected finite ones"
        )
    return taps


def _check_size(path: Path, shape: tuple[int, ...]) -> None:
    if np.prod([float(n) for n in shape]) > MOST:
        raise InvalidInput(f"{path} holds an array of {shape}, over {MOST} pixels; expected a psf: cut it out")


def _precision(dtype: np.dtype) -> float:
    """Of sums: integers are summed exactly in float64."""
    return float(np.finfo(dtype).eps) if dtype.kind == "f" else float(np.finfo(np.float64).eps)


def _read_image(path: Path, axes: int) -> np.ndarray:
    if axes == 2:
        return _read_page(path)
    pages: list[np.ndarray] = []
    count = io.count_pages(path)
    for number in range(count):
        page = _read_page(path, number)
        page = page.mean(axis=2, dtype=np.float64) if page.shape[2] > 1 else page[..., 0]
        if number == 0:
            _check_size(path, (count, *page.shape))
        elif page.shape != pages[0].shape:
            raise InvalidInput(
                f"page {number} of {path} has {' x '.join(map(str, page.shape))} pixels and the first one "
                f"{' x '.join(map(str, pages[0].shape))}; expected the slices of one stack, all of one size"
            )
        pages.append(page)
    if count == 1:
        raise InvalidInput(
            f"{path} holds one image of {' x '.join(map(str, pages[0].shape))} pixels; expected a stack, several pages "
            "of a TIFF or an array d h w as .npy (an image: axes=2)"
        )
    return np.stack(pages)


def _read_page(path: Path, page: int | None = None) -> np.ndarray:
    """Colours in the file's own units; those that show in part count in part, those that do not are no light."""
    x, kind = read_file(path, (0, 1), io.MAX_PIXELS, page, filled=False)  # of any scale: psfs are divided by their sum
    scale = _DEPTHS.get(kind.depth)
    array = np.moveaxis(x[0].numpy(), 0, -1)
    array = array if scale is None else np.rint(array * scale).astype(kind.depth)
    return array if kind.alpha is None or kind.premultiplied else array * (kind.alpha[..., None] / (scale or 1))


def _read_npy(path: Path, axes: int) -> np.ndarray:
    array = np.load(path, mmap_mode="r", allow_pickle=False)  # mapped: a header that claims too much costs nothing
    if not isinstance(array, np.ndarray):
        raise ValueError("it is no NPY file")
    return array


def _read_npz(path: Path, axes: int) -> np.ndarray:
    if not zipfile.is_zipfile(path):
        raise ValueError("it is no NPZ file")
    with np.load(path, allow_pickle=False) as file:
        if sum(member.file_size for member in file.zip.infolist()) > 16 * MOST:
            raise InvalidInput(f"{path} unpacks to more than {16 * MOST} bytes; expected a psf: save it alone")
        arrays = {name: file[name] for name in file.files}
    return arrays[_only(path, {name: (array.shape, array.dtype.name) for name, array in arrays.items()}, axes)]


def _read_text(path: Path, axes: int) -> np.ndarray:
    lines = [line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    if not any(lines):
        raise ValueError("it holds no numbers")
    separator = next((mark for mark in ",;" if any(mark in line for line in lines)), None)
    try:
        return np.loadtxt(lines, delimiter=separator, ndmin=2)
    except ValueError as error:
        raise ValueError(
            f"{error}; expected rows of the same length, of numbers with decimal points alone, between spaces or commas"
        ) from None


def _read_mat(path: Path, axes: int) -> np.ndarray:
    with open(path, "rb") as file:
        head = file.read(16)
    return _read_hdf5(path, axes) if head.startswith((b"MATLAB 7.3", b"\x89HDF")) else _read_old_mat(path, axes)


def _read_old_mat(path: Path, axes: int) -> np.ndarray:
    try:
        import scipy.io
    except ImportError:
        raise Unsupported(f"{path} needs the package scipy to be read: pip install 'fastip[mat]'") from None
    name = _only(path, {name: (shape, kind) for name, shape, kind in scipy.io.whosmat(path)}, axes)
    return scipy.io.loadmat(path, variable_names=[name])[name]


def _read_hdf5(path: Path, axes: int) -> np.ndarray:
    try:
        import h5py
    except ImportError:
        raise Unsupported(
            f"{path} is a MAT file of version 7.3, which needs the package h5py to be read: "
            "pip install 'fastip[mat]', or save it with -v7"
        ) from None
    with h5py.File(path, "r") as file:
        held = {name: _described(item) for name, item in file.items() if not name.startswith("#")}
        return file[_only(path, held, axes)][()].T  # HDF5 has the columns of MATLAB as rows


def _described(item: Any) -> tuple[tuple[int, ...], str]:
    """Shape and class of what an HDF5 file holds; a group, which has no shape, is a struct."""
    kind = item.attrs.get("MATLAB_class", b"" if hasattr(item, "shape") else b"struct")
    kind = kind.decode() if isinstance(kind, bytes) else str(kind)
    shape = tuple(getattr(item, "shape", ()))
    return shape[::-1], kind or str(item.dtype.name).replace("float64", "double").replace("float32", "single")


def _only(path: Path, held: Mapping[str, tuple[tuple[int, ...], str]], axes: int) -> str:
    """The name of the one array of numbers that may be a psf; 1 x 1 is a number."""
    fitting = [
        name
        for name, (shape, kind) in held.items()
        if len(shape) == axes and max(shape) > 1 and (kind in _CLASSES or kind.startswith("float") or kind == "bool")
    ]
    if len(fitting) != 1:
        names = ", ".join(
            f"{name} ({' x '.join(map(str, shape))}{' ' if shape else ''}{kind})"
            for name, (shape, kind) in held.items()
        )
        raise InvalidInput(
            f"{path} holds {names or 'nothing'}; expected one array of numbers with "
            f"{'two' if axes == 2 else 'three'} dimensions: save the psf alone"
        )
    _check_size(path, held[fitting[0]][0])
    return fitting[0]


_READERS: dict[str, Callable[[Path, int], np.ndarray]] = {
    **dict.fromkeys(io.SUFFIXES, _read_image),
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".mat": _read_mat,
    ".txt": _read_text,
    ".csv": _read_text,
}
SUFFIXES = tuple(_READERS)
