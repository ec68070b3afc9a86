"""Measurements in NPY files: what is written comes back, what is no vector is refused."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch

from fastip.errors import InvalidInput
from fastip.io import vectors


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_what_is_written_comes_back(tmp_path, dtype):
    y = torch.randn(1, 37).to(dtype)
    vectors.write_vector(tmp_path / "y.npy", y)
    assert torch.equal(vectors.read_vector(tmp_path / "y.npy", 37), y.float()) and np.load(
        tmp_path / "y.npy"
    ).shape == (37,)
    assert os.listdir(tmp_path) == ["y.npy"]


def test_a_row_is_a_vector_too(tmp_path):
    y = np.random.default_rng().normal(size=(1, 5))
    np.save(tmp_path / "y.npy", y)
    np.testing.assert_array_equal(vectors.read_vector(tmp_path / "y.npy", 5).numpy(), y.astype(np.float32))


@pytest.mark.parametrize(
    "array, message",
    [
        (np.zeros(4, np.float32), r"of shape \(4,\); expected 5 numbers"),
        (np.zeros((2, 5), np.float32), "one image a file"),
        (np.zeros((5, 1), np.float32), r"of shape \(5, 1\)"),
        (np.zeros(5, np.int64), "holds int64"),
        (np.full(5, np.nan, np.float32), "NaN"),
        (np.array(["a"] * 5, dtype=object), "holds object"),
    ],
)
def test_what_is_no_vector_of_that_length(tmp_path, array, message):
    np.save(tmp_path / "y.npy", array, allow_pickle=True)
    with pytest.raises(InvalidInput, match=message):
        vectors.read_vector(tmp_path / "y.npy", 5)


def test_files_that_cannot_be(tmp_path):
    (tmp_path / "cut.npy").write_bytes(b"\x93NUMPY\x01")
    (tmp_path / "empty.npy").write_bytes(b"")
    (tmp_path / "zip.npy").write_bytes(b"PK\x03\x04garbage")
    np.savez(tmp_path / "archive.npz", np.zeros(5, np.float32))
    (tmp_path / "archive.npz").rename(tmp_path / "archive.npy")
    with open(tmp_path / "huge.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (10**13,)})
    (tmp_path / "folder.npy").mkdir()
    for name, message in (
        ("no.npy", "does not exist"),
        ("y.png", "no file with measurements"),
        ("empty.npy", "is empty"),
        ("huge.npy", r"of shape \(10000000000000,\)"),
        *((f"{name}.npy", "cannot be read") for name in ("cut", "zip", "archive")),
    ):
        with pytest.raises(InvalidInput, match=message):
            vectors.read_vector(tmp_path / name, 5)
    with pytest.raises(InvalidInput, match="40000000000000 bytes, and 0 are there"):
        vectors.read_vector(tmp_path / "huge.npy", 10**13)
    with pytest.raises(InvalidInput, match="no file with measurements"):
        vectors.read_vector(tmp_path / "folder.npy", 5)
    for path, y, message in (
        (tmp_path / "y.png", torch.zeros(1, 5), "ends in .npy"),
        (tmp_path / "y.npy", torch.zeros(2, 5), "one by one"),
        (tmp_path / "y.npy", torch.zeros(5), "expected a tensor of real numbers 1 m"),
        (tmp_path / "y.npy", [0.0], "are list"),
        (tmp_path / "y.npy", torch.zeros(1, 5, dtype=torch.complex64), "complex64"),
        (tmp_path / "y.npy", torch.full((1, 5), float("inf")), "Inf"),
        (tmp_path / "none" / "y.npy", torch.zeros(1, 5), "does not exist"),
    ):
        with pytest.raises(InvalidInput, match=message):
            vectors.write_vector(path, y)
