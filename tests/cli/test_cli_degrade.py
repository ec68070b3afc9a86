"""The command degrade: the data of each kind of task, ready for restore."""

from __future__ import annotations

import os

import pytest
import torch

from cases.cli import fastip, picture
from cases.generators import dcgan, encoder
from fastip import data, io, nets, operators, priors, save_projector, tasks
from fastip.checkpoint import shipped
from fastip.io import vectors


def test_an_image_is_blurred_sampled_and_noisy(tmp_path):
    x = torch.rand(1, 3, 14, 16).mul(255).round() / 255
    io.write_image(tmp_path / "in.png", x)
    told = ["--psf", "gaussian:5:1", "--boundary", "reflect", "--noise", 0.05, "--seed", 3]
    result = fastip("degrade", tmp_path / "in.png", "--task", "sr2", *told, "-o", tmp_path / "y.npy")
    assert result.exit_code == 0 and "16 × 14 -> 8 × 7, sr2, psf gaussian:5:1" in result.output, result.output
    expected = data.degrade(x, tasks.get("sr2").problem(psf="gaussian:5:1", boundary="reflect").op, 0.05, generator=3)
    torch.testing.assert_close(io.read_image(tmp_path / "y.npy")[0], expected)


def test_the_noise_is_that_of_the_task(tmp_path):
    x = picture(tmp_path / "in.png")
    assert (
        fastip("degrade", tmp_path / "in.png", "--task", "photo-deblur-motion", "-o", tmp_path / "y.npy").exit_code == 0
    )
    problem = tasks.get("photo-deblur-motion").problem()
    assert problem.noise == 0.01
    torch.testing.assert_close(io.read_image(tmp_path / "y.npy")[0], data.degrade(x, problem.op, 0.01))


@pytest.fixture
def digits(monkeypatch, tmp_path_factory):
    """Random weights in the place of those that ship."""
    folder = tmp_path_factory.mktemp("weights")
    (folder / "projectors").mkdir()
    save_projector(folder / "projectors" / "digits.safetensors", priors.Projector(nets.Projector(dcgan(), encoder())))
    monkeypatch.setattr(shipped, "FOLDER", folder)


def test_a_digit_is_measured_and_restored(tmp_path, digits):
    x = torch.rand(1, 1, 28, 28).mul(255).round() / 255
    io.write_image(tmp_path / "x.png", x)
    result = fastip("degrade", tmp_path / "x.png", "--task", "digits-cs100", "-o", tmp_path / "y.npy")
    assert (
        result.exit_code == 0 and "28 × 28 -> 100 numbers, digits-cs100, Gaussian matrix of seed 0" in result.output
    ), result.output
    torch.testing.assert_close(
        vectors.read_vector(tmp_path / "y.npy", 100), operators.GaussianMeasurements(100, (1, 28, 28))(x)
    )
    result = fastip(
        "restore",
        tmp_path / "y.npy",
        "--task",
        "digits-cs100",
        "--iterations",
        3,
        "-o",
        tmp_path / "out.png",
        "--figure",
        tmp_path / "f.png",
    )
    assert result.exit_code == 0 and "100 numbers -> 28 × 28, digits-cs100, 3 iterations" in result.output, (
        result.output
    )
    expected = tasks.get("digits-cs100").problem(iterations=3).solve(vectors.read_vector(tmp_path / "y.npy", 100)).x
    assert (
        float((io.read_image(tmp_path / "out.png")[0] - expected).abs().max()) < 0.5 / 255 + 1e-4
        and (tmp_path / "f.png").exists()
    )


def test_a_folder_of_measurements(tmp_path, digits):
    (tmp_path / "in").mkdir()
    for k in range(2):
        vectors.write_vector(tmp_path / "in" / f"{k}.npy", torch.randn(1, 100))
    assert fastip("restore", tmp_path / "in", "--task", "digits-cs100", "-o", tmp_path / "out").exit_code == 0
    assert io.read_image(tmp_path / "out" / "1.npy")[0].shape == (1, 1, 28, 28)


def test_what_cannot_be(tmp_path, digits):
    picture(tmp_path / "in.png")
    io.write_image(tmp_path / "x.png", torch.rand(1, 1, 28, 28))
    before = sorted(os.listdir(tmp_path))
    for words, message in (
        (["in.png", "--task", "digits-cs100", "-o", "y.npy"], "1 x 28 x 28"),
        (["x.png", "--task", "digits-cs100", "-o", "y.png"], "ends in .npy"),
        (["x.png", "--task", "digits-cs100", "--psf", "box:2", "-o", "y.npy"], "psf is given"),
        (["in.png", "--task", "sr2", "--noise", "-1", "-o", "y.png"], "noise"),
        (["x.png", "--task", "sr2", "-o", "x.png"], "is the input itself"),
        (["x.png", "--task", "sr2", "--seed", "-5", "-o", "y.png"], "--seed is -5"),
        (["x.png", "--task", "sr2", "--seed", str(2**70), "-o", "y.png"], "--seed is 1180591620717411303424"),
        (["in.png", "--task", "sr4x", "-o", "y.png"], "did you mean"),
        (["no.png", "--task", "sr2", "-o", "y.png"], "does not exist"),
    ):
        given = [tmp_path / word if word.endswith((".png", ".npy")) else word for word in words]
        result = fastip("degrade", *given)
        assert result.exit_code == 2 and message in result.output and result.output.startswith("error: "), result.output
    assert sorted(os.listdir(tmp_path)) == before
    result = fastip("restore", tmp_path / "x.png", "--task", "digits-cs100", "-o", tmp_path / "out.png")
    assert result.exit_code == 2 and "x.png is no file with measurements" in result.output
