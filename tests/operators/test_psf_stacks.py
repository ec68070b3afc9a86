"""Psfs of volumes from files: the pages of a TIFF, and arrays of three axes."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.io
import tifffile
import torch

from cases.psf_files import taken
from fastip import operators, psf
from fastip.errors import InvalidInput
from fastip.operators.psf import measured

DRAWN = np.random.default_rng(5)


def ball(*size: int, centre: tuple[float, ...] | None = None, width: float = 1.2, peak: float = 4000.0) -> np.ndarray:
    centre = centre or tuple(k // 2 for k in size)
    far = sum(
        ((np.arange(k) - c) ** 2 / (2 * width**2)).reshape([-1 if axis == n else 1 for n in range(3)])
        for axis, (k, c) in enumerate(zip(size, centre, strict=True))
    )
    return peak * np.exp(-far)


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
def test_the_pages_of_a_tiff_are_slices(tmp_path, kind):
    stack = DRAWN.uniform(0, 200, (5, 4, 6)).astype(kind)
    tifffile.imwrite(tmp_path / "k.tif", stack, photometric="minisblack")
    found, _ = taken(tmp_path / "k.tif", axes=3)
    assert found.dtype == torch.float64 and found.shape == (5, 4, 6)
    np.testing.assert_allclose(found, stack / stack.sum(dtype=np.float64), rtol=1e-6)


def test_imagej_and_colour_pages(tmp_path):
    stack = DRAWN.integers(0, 60000, (4, 3, 5)).astype("uint16")
    tifffile.imwrite(tmp_path / "k.tif", stack, imagej=True, metadata={"axes": "ZYX"})
    np.testing.assert_allclose(taken(tmp_path / "k.tif", axes=3)[0], stack / stack.sum(), rtol=1e-12)
    colours = DRAWN.integers(0, 250, (3, 4, 5, 3)).astype("uint8")
    tifffile.imwrite(tmp_path / "k.tif", colours, photometric="rgb")
    grey = colours.mean(axis=3)
    np.testing.assert_allclose(taken(tmp_path / "k.tif", axes=3)[0], grey / grey.sum(), rtol=1e-12)


def test_arrays_of_three_axes(tmp_path):
    stack = DRAWN.uniform(0, 1, (5, 4, 3))
    np.save(tmp_path / "k.npy", stack)
    np.savez(tmp_path / "k.npz", psf=stack, pixel=np.array([[0.1]]), plane=stack[0])
    scipy.io.savemat(tmp_path / "k.mat", {"psf": stack, "plane": stack[0]})
    for name in ("k.npy", "k.npz", "k.mat"):
        np.testing.assert_allclose(taken(tmp_path / name, axes=3)[0], stack / stack.sum(), rtol=1e-12)
    np.testing.assert_allclose(taken(tmp_path / "k.npz")[0], stack[0] / stack[0].sum(), rtol=1e-12)


def test_a_background_and_another_centre_are_told_and_mended(tmp_path):
    clean = ball(13, 15, 17)
    np.save(tmp_path / "k.npy", clean + 20)
    _, told = taken(tmp_path / "k.npy", axes=3)
    assert len(told) == 1 and "is a background of 20" in told[0]
    found, told = taken(tmp_path / "k.npy", axes=3, background="auto")
    assert not told and np.abs(found.numpy() - clean / clean.sum()).max() < 1e-3 * found.max().item()
    np.save(tmp_path / "k.npy", ball(13, 15, 17, centre=(4, 8, 10)))
    _, told = taken(tmp_path / "k.npy", axes=3)
    assert len(told) == 1 and "(-2.0 slices on, +1.0 down, +2.0 to the right)" in told[0]
    found, told = taken(tmp_path / "k.npy", axes=3, centre=True)
    assert not told and found.shape == (17, 16, 20)
    assert np.unravel_index(int(found.argmax()), found.shape) == (8, 8, 10)
    assert found.sum().item() == pytest.approx(1)


def test_the_border_of_a_stack_is_all_around_it():
    stack = np.zeros((4, 5, 6))
    stack[1:-1, 1:-1, 1:-1] = 1
    assert not measured._border(stack).any() and measured._border(stack).size == 4 * 5 * 6 - 2 * 3 * 4


def test_a_stack_blurs_a_volume(tmp_path):
    tifffile.imwrite(tmp_path / "k.tif", ball(5, 7, 3).astype("float32"), photometric="minisblack")
    taps, _ = taken(tmp_path / "k.tif", axes=3)
    x = torch.zeros(1, 1, 8, 9, 6, dtype=torch.float64)
    x[0, 0, 4, 4, 3] = 1
    seen = operators.Blur(taps, axes=3)(x)
    torch.testing.assert_close(seen[0, 0, 2:7, 1:8, 2:5], taps)


def test_what_is_refused(tmp_path):
    np.save(tmp_path / "k.npy", np.ones((5, 4, 6)))
    np.save(tmp_path / "plane.npy", np.ones((5, 4)))
    tifffile.imwrite(tmp_path / "one.tif", np.ones((4, 6), "uint8"))
    tifffile.imwrite(tmp_path / "uneven.tif", np.ones((4, 6), "uint8"))
    tifffile.imwrite(tmp_path / "uneven.tif", np.ones((4, 5), "uint8"), append=True)
    np.savez(tmp_path / "two.npz", a=np.ones((2, 2, 2)), b=np.ones((2, 3, 2)))
    (tmp_path / "k.txt").write_text("1 2\n3 4\n")
    for name, axes, told in (
        ("k.npy", 2, r"\(a stack d h w: axes=3\)"),
        ("plane.npy", 3, r"expected d h w \(an image: axes=2\)"),
        ("one.tif", 3, "holds one image of 4 x 6 pixels; expected a stack"),
        ("uneven.tif", 3, "page 1 .* has 4 x 5 pixels and the first one 4 x 6"),
        ("two.npz", 3, "one array of numbers with three dimensions"),
        ("k.txt", 3, r"shape \(2, 2\); expected d h w"),
        ("k.npy", 4, "axes is 4; expected 2 for images"),
    ):
        with pytest.raises(InvalidInput, match=told):
            psf.read(tmp_path / name, axes=axes)


def test_a_stack_too_large_is_refused_by_its_header(tmp_path, monkeypatch):
    monkeypatch.setattr("fastip.operators.psf.files.MOST", 100)
    np.save(tmp_path / "k.npy", np.ones((5, 5, 5)))
    tifffile.imwrite(tmp_path / "k.tif", np.ones((5, 5, 5), "uint8"), photometric="minisblack")
    for name in ("k.npy", "k.tif"):
        with pytest.raises(InvalidInput, match=r"\(5, 5, 5\), over 100 pixels"):
            psf.read(tmp_path / name, axes=3)
