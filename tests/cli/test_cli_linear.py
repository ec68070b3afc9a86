"""--linear: the blur and the noise are of light, files hold values of it, and the line says by which curve."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import torch

from cases import icc
from cases.cli import fastip, picture
from fastip import data, io, tasks

PSF = ["--psf", "disk:5:2", "--boundary", "circular"]


def written(tmp_path, *words):
    result = fastip(*words, "-o", tmp_path / "out.tif")
    assert result.exit_code == 0, result.output
    return io.read_image(tmp_path / "out.tif")[0], " ".join(result.output.split())


def test_a_camera_blurs_light(tmp_path):
    x = picture(tmp_path / "in.tif", 24, 31)
    curve = io.Transfer.srgb()
    told = ["degrade", tmp_path / "in.tif", "--task", "deblur", *PSF, "--noise", 0.05, "--seed", 3]
    y, line = written(tmp_path, *told, "--linear")
    assert "31 × 24 -> 31 × 24, linear light by sRGB, assumed, deblur" in line
    op = tasks.get("deblur").problem(psf="disk:5:2", boundary="circular").op
    light = data.degrade(curve.decode(x), op, 0.05, generator=torch.Generator().manual_seed(3))
    assert light.min() < 0  # which has no value
    expected = curve.encode(light).clamp(0, 1).mul(255).round() / 255
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-6)
    plain, line = written(tmp_path, *told)
    assert "linear light" not in line and (plain - y).abs().max() > 0.1


def test_light_is_restored(tmp_path):
    """As by hand, and better than without it where light was blurred."""
    profile = icc.profile([icc.gamma(2.2)] * 3)
    x = picture(tmp_path / "x.png", 40, 44)
    kind = io.Kind("uint16", profile=profile)
    curve = kind.transfer()
    problem = tasks.get("deblur").problem(psf="disk:5:2", boundary="circular", weight=1e-4)
    io.write_image(tmp_path / "in.tif", curve.encode(problem.op(curve.decode(x))), like=kind)
    told = ["restore", tmp_path / "in.tif", "--task", "deblur", *PSF, "--weight", 1e-4]
    found, line = written(tmp_path, *told, "--linear", "--figure", tmp_path / "how.png")
    assert "44 × 40 -> 44 × 40, linear light by the ICC profile, deblur" in line
    y = curve.decode(io.read_image(tmp_path / "in.tif")[0])
    expected = curve.encode(problem.solve(y).x).clamp(0, 1)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)
    plain, _ = written(tmp_path, *told)
    assert 4 * (found - x).square().mean() < (plain - x).square().mean()
    assert (tmp_path / "how.png").exists()


@pytest.mark.parametrize("name", ["in.png", "in.tif"])
def test_nothing_is_lost_on_the_way(tmp_path, name):
    """A psf of one pixel: each value of 16 bits, and alpha, come through light as they were."""
    levels = np.random.default_rng(4).permutation(65536).astype(np.uint16).reshape(256, 256)
    alpha = np.full((256, 256), 65535, np.uint16)
    alpha[:9] = 30000
    x = torch.from_numpy(levels.astype(np.float32) / 65535)[None, None].expand(1, 3, -1, -1)
    io.write_image(tmp_path / name, x, like=io.Kind("uint16", alpha))
    x, kind = io.read_image(tmp_path / name)
    told = ["degrade", tmp_path / name, "--task", "deblur", "--psf", "delta:1", "--boundary", "circular", "--noise", 0]
    y, line = written(tmp_path, *told, "--linear")
    assert torch.equal(y, x) and "linear light by sRGB, assumed" in line
    assert np.array_equal(io.read_image(tmp_path / "out.tif")[1].alpha, kind.alpha)


def test_holes_are_filled_with_light(tmp_path):
    """Transparent pixels are what is to be filled, in light as by hand; the others keep their values."""
    x = picture(tmp_path / "x.png", 30, 33)
    alpha = np.full((30, 33), 255, np.uint8)
    alpha[11:14, 9:17] = 0
    io.write_image(tmp_path / "in.png", x, like=io.Kind("uint8", alpha))
    told = ["restore", tmp_path / "in.png", "--task", "inpaint", "--noise", 0.001, "--weight", 1e-3]
    found, line = written(tmp_path, *told, "--linear")
    assert "linear light by sRGB, assumed" in line
    y, curve = io.read_image(tmp_path / "in.png")[0], io.Transfer.srgb()
    mask = torch.from_numpy(alpha / 255).float()[None, None]
    problem = tasks.get("inpaint").problem(mask=mask, noise=0.001, weight=1e-3).fitted(curve.decode(y))
    expected = curve.encode(problem.solve(curve.decode(y)).x).clamp(0, 1)
    torch.testing.assert_close(found, expected, rtol=0, atol=0.0022)  # half a step, and rounding
    plain, _ = written(tmp_path, *told)
    assert not torch.equal(plain, found)


def test_the_noise_is_that_of_light(tmp_path):
    x = torch.linspace(0.2, 0.8, 96 * 96).reshape(1, 1, 96, 96)
    curve = io.Transfer.srgb()
    light = curve.decode(x) + 0.02 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    io.write_image(tmp_path / "in.tif", curve.encode(light), like=io.Kind("uint16"))
    _, line = written(tmp_path, "restore", tmp_path / "in.tif", "--task", "denoise", "--linear")
    level = float(line.partition("noise ")[2].split()[0])
    assert level == pytest.approx(0.02, rel=0.1) and "estimated" in line


def test_each_page_has_its_curve(tmp_path):
    array = np.random.default_rng(0).integers(0, 255, (16, 18, 3), np.uint8)
    with tifffile.TiffWriter(tmp_path / "in.tif") as file:
        for profile in (None, icc.profile([icc.gamma(1.8)] * 3)):
            file.write(array, photometric="rgb", iccprofile=profile, metadata=None, contiguous=False)
    told = [tmp_path / "in.tif", "--task", "deblur", *PSF, "--linear", "-o", tmp_path / "out.tif"]
    for command in ("degrade", "restore"):
        result = fastip(command, *told)
        line = " ".join(result.output.split())
        assert result.exit_code == 0, line
        assert "linear light by sRGB, assumed" in line and "linear light by the ICC profile" in line


def test_floats_are_light_and_become_values_of_integers(tmp_path):
    """Data go to an NPY file as light, and the picture comes back on the curve of the PNG."""
    x = picture(tmp_path / "in.png", 24, 31)
    op = tasks.get("deblur").problem(psf="disk:5:2", boundary="circular").op
    told = ["--task", "deblur", *PSF, "--linear"]
    result = fastip("degrade", tmp_path / "in.png", *told, "--noise", 0, "-o", tmp_path / "y.npy")
    line = " ".join(result.output.split())
    assert "linear light by sRGB, assumed, written as it is, assumed of floats" in line
    light = io.Transfer.srgb().decode(x)
    torch.testing.assert_close(io.read_image(tmp_path / "y.npy")[0], op(light))
    result = fastip("restore", tmp_path / "y.npy", *told, "--weight", 1e-5, "-o", tmp_path / "out.png")
    line = " ".join(result.output.split())
    assert "linear light as it is, assumed of floats, written by sRGB, assumed" in line
    assert (io.read_image(tmp_path / "out.png")[0] - x).abs().mean() < 0.03


def test_refusals(tmp_path):
    picture(tmp_path / "a.png")
    x = torch.rand(1, 3, 12, 12)
    io.write_image(tmp_path / "bad.png", x, like=io.Kind(profile=bytes(200)))
    for command in ("degrade", "restore"):
        told = ["--task", "deblur", *PSF, "-o", tmp_path / "out.png"]
        result = fastip(command, tmp_path / "bad.png", *told, "--linear")
        assert result.exit_code == 2 and "the ICC profile is none" in " ".join(result.output.split()), result.output
        assert not (tmp_path / "out.png").exists() and "Traceback" not in result.output
        assert fastip(command, tmp_path / "bad.png", *told).exit_code == 0
        (tmp_path / "out.png").unlink()
        result = fastip(command, tmp_path / "a.png", "--task", "digits-cs100", "--linear", "-o", tmp_path / "y.npy")
        assert result.exit_code == 2 and "--linear is for pictures" in " ".join(result.output.split()), result.output
