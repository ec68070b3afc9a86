"""Point spread functions: their sum, centre, direction and text forms."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
import scipy.integrate
import torch

import fastip
from fastip.errors import FastipError, InvalidInput, UnknownKeyword
from fastip.operators import psf

MADE = {
    "gaussian": lambda k: psf.gaussian(k, sigma=1.6),
    "motion": lambda k: psf.motion(k, 30.0),
    "disk": lambda k: psf.disk(k),
    "box": lambda k: psf.box(k),
    "delta": lambda k: psf.delta(k),
}


def moments(kernel: torch.Tensor) -> tuple[float, float]:
    """The centre of mass (row, column)."""
    rows, columns = kernel.sum(dim=1), kernel.sum(dim=0)
    return (rows * torch.arange(len(rows))).sum().item(), (columns * torch.arange(len(columns))).sum().item()


@pytest.mark.parametrize("size", [1, 2, 3, 8, 9, 21])
@pytest.mark.parametrize("name", MADE)
def test_sum_one_float64_nonnegative_and_centred(name, size):
    kernel = MADE[name](size)
    assert kernel.shape == (size, size) and kernel.dtype == torch.float64 and kernel.device.type == "cpu"
    assert bool((kernel >= 0).all()) and kernel.sum().item() == pytest.approx(1.0, abs=1e-14)
    middle = size // 2 if name == "delta" else (size - 1) / 2
    assert moments(kernel) == pytest.approx((middle, middle), abs=1e-12)


def test_gaussian_is_the_gaussian():
    kernel = psf.gaussian(9, sigma=1.6)
    r = np.arange(9) - 4
    expected = np.exp(-(r[:, None] ** 2 + r[None] ** 2) / (2 * 1.6**2))
    assert np.allclose(kernel.numpy(), expected / expected.sum(), rtol=1e-13, atol=0)
    assert torch.equal(psf.gaussian(5, 1e-200), psf.delta(5))
    assert torch.allclose(psf.gaussian(4, 1e-200)[1:3, 1:3], torch.full((2, 2), 0.25, dtype=torch.float64))
    assert torch.allclose(psf.gaussian(5, 1e9), psf.box(5))


def test_motion_points_from_the_column_axis_towards_the_rows():
    horizontal, vertical = psf.motion(9, 0.0), psf.motion(9, 90.0)
    assert horizontal[4].sum().item() == pytest.approx(1.0) and vertical[:, 4].sum().item() == pytest.approx(
        1.0, abs=1e-12
    )
    assert torch.allclose(horizontal, vertical.T, atol=1e-12)
    diagonal = psf.motion(9, 45.0)  # top left to bottom right
    assert torch.diagonal(diagonal).sum() > 0.6 > 0.2 > torch.diagonal(diagonal.flip(1)).sum()
    assert torch.allclose(psf.motion(9, 135.0), diagonal.flip(1), atol=1e-12)
    assert torch.allclose(psf.motion(9, 225.0), diagonal, atol=1e-12) and torch.allclose(
        psf.motion(9, -45.0), diagonal.flip(1), atol=1e-12
    )


@pytest.mark.parametrize("size, angle", [(9, 0.0), (9, 45.0), (7, 20.0), (8, 70.0)])
def test_motion_is_the_bilinear_line_integral(size, angle):
    kernel = psf.motion(size, angle)
    direction = math.sin(math.radians(angle)), math.cos(math.radians(angle))

    def weight(t: float, i: int, j: int) -> float:
        row, column = (size - 1) / 2 + t * direction[0], (size - 1) / 2 + t * direction[1]
        return max(0.0, 1 - abs(row - i)) * max(0.0, 1 - abs(column - j))

    half = (size - 1) / 2
    for i, j in ((size // 2, size // 2), (size // 2, size - 2), (size // 2 + 1, size // 2 + 1), (0, 0)):
        exact = scipy.integrate.quad(weight, -half, half, args=(i, j), limit=400)[0] / (size - 1)
        assert kernel[i, j].item() == pytest.approx(exact, abs=2e-5)


@pytest.mark.parametrize("angle, length", [(0.0, 6.0), (37.0, 4.0), (110.0, 8.0)])
def test_a_shorter_motion_is_that_of_a_smaller_psf(angle, length):
    around = (8 - int(length)) // 2
    expected = torch.nn.functional.pad(psf.motion(int(length) + 1, angle), [around] * 4)
    torch.testing.assert_close(psf.motion(9, angle, length=length), expected, rtol=0, atol=2e-5)
    assert torch.equal(psf.motion(9, angle, 8), psf.motion(9, angle))
    assert torch.allclose(psf.motion(5, angle, 0), psf.delta(5))
    row, column = (torch.arange(9.0).double() - 4).reshape(-1, 1), torch.arange(9.0).double() - 4
    spread = float((psf.motion(9, angle, 5.3) * (row.square() + column.square())).sum())
    other = float((psf.motion(9, angle, 5.8) * (row.square() + column.square())).sum())
    assert 0 < other - spread < (5.8**2 - 5.3**2) / 12 + 0.3


@pytest.mark.parametrize("length", [8.01, -1, float("nan"), "long"])
def test_a_motion_that_is_longer_than_its_psf_is_refused(length):
    with pytest.raises(InvalidInput, match="^length is"):
        psf.motion(9, 10.0, length)


@pytest.mark.parametrize(
    "size, radius", [(1, 0.5), (4, 1.0), (5, 2.5), (8, 1.25), (9, 4.5), (9, 7.0), (13, 6.1), (6, 1e200)]
)
def test_disk_counts_the_samples_inside(size, radius):
    """All 16 x 16 samples of each pixel at once, some on the rim itself."""
    at = (np.arange(16 * size) + 0.5) / 16 - size / 2
    inside = np.add.outer(at**2, at**2) <= min(radius, 2 * size) ** 2
    expected = inside.reshape(size, 16, size, 16).mean(axis=(1, 3))
    np.testing.assert_allclose(psf.disk(size, radius), expected / expected.sum(), rtol=0, atol=1e-15)


@pytest.mark.parametrize(
    "size, angle", [(1, 20.0), (2, 45.0), (5, 0.0), (8, 90.0), (9, 33.0), (12, -135.0), (31, 200.5)]
)
def test_motion_gives_each_sample_to_its_neighbours(size, angle):
    """Against the hat functions of all pixels at all samples."""
    t = ((np.arange(64 * size) + 0.5) / (64 * size) - 0.5) * (size - 1)
    down, right = (
        np.clip(1 - abs((t * way + (size - 1) / 2)[:, None] - np.arange(size)), 0, None)
        for way in (math.sin(math.radians(angle)), math.cos(math.radians(angle)))
    )
    expected = down.T @ right
    np.testing.assert_allclose(psf.motion(size, angle), expected / expected.sum(), rtol=0, atol=1e-14)


LARGEST = """
from pathlib import Path
from fastip import psf
makes = (lambda k: psf.gaussian(k, 900.0), lambda k: psf.motion(k, 30.0), psf.disk, psf.box, psf.delta)
for make in makes:
    kernel = make(psf.LARGEST)
    assert kernel.shape == (4095, 4095) and abs(kernel.sum().item() - 1) < 1e-12
lines = Path("/proc/self/status").read_text().splitlines()  # ru_maxrss would begin with that of the parent
print(len(makes), next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")))
"""


def test_the_largest_take_memory_in_proportion():
    """The samples of the largest disk took 34 GB."""
    run = subprocess.run([sys.executable, "-c", LARGEST], capture_output=True, text=True, check=True)
    count, kilobytes = map(int, run.stdout.split())
    assert count == len(MADE) and kilobytes * 1024 < 1e9  # torch itself takes a quarter of it


def test_disk_area_and_symmetry():
    kernel = psf.disk(21, radius=8.0)
    assert kernel.max().item() == pytest.approx(1 / (math.pi * 64), rel=5e-3)
    for turned in (kernel.flip(0), kernel.flip(1), kernel.T):
        assert torch.allclose(kernel, turned, atol=1e-16)
    assert kernel[10, 10 - 9] == 0 and kernel[10, 10 - 7] > 0
    assert torch.equal(psf.disk(7), psf.disk(7, radius=3.5))
    assert psf.disk(5, radius=0.4).argmax().item() == 12 and int((psf.disk(5, radius=0.4) > 0).sum()) == 1


@pytest.mark.parametrize(
    "text, kernel",
    [
        ("gaussian:9:1.6", psf.gaussian(9, 1.6)),
        (" gaussian:4:0.5 ", psf.gaussian(4, 0.5)),
        ("motion:9:45", psf.motion(9, 45)),
        ("motion:7:-12.5", psf.motion(7, -12.5)),
        ("motion:9:20:6.5", psf.motion(9, 20, 6.5)),
        ("disk:7:3", psf.disk(7, 3)),
        ("disk:7", psf.disk(7)),
        ("box:3", psf.box(3)),
        ("delta:5", psf.delta(5)),
        ("delta", psf.delta()),
    ],
)
def test_text_forms(text, kernel):
    assert torch.equal(psf.parse(text), kernel)


@pytest.mark.parametrize(
    "text, says",
    [
        ("gausian:9:1.6", "did you mean gaussian:SIZE:SIGMA"),
        ("Motion:9:45", "did you mean motion:SIZE:ANGLE:LENGTH"),
        ("airy:9", "expected one of gaussian:SIZE:SIGMA"),
        ("", "names no psf"),
        ("gaussian", "expected gaussian:SIZE:SIGMA"),
        ("gaussian:9", "expected gaussian:SIZE:SIGMA"),
        ("gaussian:9:1.6:2", "has 3 numbers"),
        ("gaussian:nine:1.6", "not a number"),
        ("gaussian:9.5:1.6", "whole SIZE"),
        ("gaussian:9:", "not a number"),
        ("gaussian:0:1.6", "size is 0"),
        ("gaussian:9:-1", "sigma"),
        ("gaussian:9:nan", "sigma"),
        ("gaussian:100000:1", "at most"),
        ("motion:9:inf", "angle"),
        ("box", "expected box:SIZE"),
    ],
)
def test_bad_texts_are_refused(text, says):
    with pytest.raises(InvalidInput, match=says):
        psf.parse(text)


@pytest.mark.parametrize(
    "make",
    [
        lambda: psf.gaussian(0, 1.0),
        lambda: psf.gaussian(3.0, 1.0),
        lambda: psf.gaussian(9, 0.0),
        lambda: psf.gaussian(9, math.inf),
        lambda: psf.gaussian(9, "wide"),
        lambda: psf.motion(-1, 0.0),
        lambda: psf.motion(9, math.nan),
        lambda: psf.disk(9, radius=0.0),
        lambda: psf.disk(8, radius=0.01),
        lambda: psf.box(True),
        lambda: psf.delta(5000),
        lambda: psf.gaussian(9, sigm=1.6),
    ],
)
def test_bad_values_are_refused(make):
    with pytest.raises(FastipError):
        make()


def test_misspelt_keyword_names_the_right_one():
    with pytest.raises(UnknownKeyword, match="did you mean 'sigma'"):
        psf.gaussian(9, sgima=1.0)


def test_public_face():
    assert fastip.psf is psf


# ---- camera shake ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [6, 7, 25, 31])
def test_a_shake_is_a_centred_psf_of_a_path(size):
    taps = psf.shake(size, 7)
    assert taps.shape == (size, size) and taps.dtype == torch.float64
    assert float(taps.sum()) == pytest.approx(1, abs=1e-12) and float(taps.min()) >= 0
    assert torch.equal(taps, psf.shake(size, 7)) and not torch.equal(taps, psf.shake(size, 8))
    grid = torch.arange(size, dtype=torch.float64)
    for axis in (0, 1):
        line = taps.sum(dim=1 - axis)
        off = float((line * grid).sum()) - size // 2
        assert abs(off) <= 1 or (line[0] > 0 and off > 0) or (line[-1] > 0 and off < 0)  # or the path is as wide
    assert size < 8 or 20 < int((taps > 0).sum()) < size**2 / 2


def test_a_shake_by_hand():
    """The walk written out with tensors, a pixel of room for what is centred."""
    size, generator = 25, torch.Generator().manual_seed(3)
    pushes = torch.randn(501, 2, dtype=torch.float64, generator=generator)
    place, velocity = torch.full((2,), size / 2, dtype=torch.float64), pushes[0]
    total = torch.zeros(size, size, dtype=torch.float64)
    for push in pushes[1:]:
        velocity = 0.97 * velocity + 0.12 * push
        velocity = velocity / max(1.0, float(velocity.norm()))
        place = (place + 0.15 * velocity).clamp(2, size - 3)
        (i, j), (a, b) = place.long().tolist(), (place % 1).tolist()
        total[i : i + 2, j : j + 2] += torch.tensor([[1 - a, 0], [0, a]], dtype=torch.float64) @ torch.tensor(
            [[1 - b, b], [1 - b, b]], dtype=torch.float64
        )
    total /= total.sum()
    found = psf.shake(size, 3)
    shifts = [(i, j) for i in range(-12, 13) for j in range(-12, 13)]
    assert min(float((total.roll(shift, (0, 1)) - found).abs().max()) for shift in shifts) < 1e-12


@pytest.mark.parametrize(("size", "seed", "message"), [(5, 0, "6 to 4095"), (4096, 0, "6 to 4095"), (9, -1, "seed")])
def test_shakes_that_cannot_be(size, seed, message):
    with pytest.raises(InvalidInput, match=message):
        psf.shake(size, seed)
