"""fastip train inverse: what is typed, what is told, what lands on disk, and one clear line when it cannot."""

from __future__ import annotations

import os
import sys

import pytest
import torch
from typer.testing import CliRunner

from fastip import checkpoint, inverses, nets, operators, psf
from fastip.cli import app
from fastip.train.engine import loop

WORDS = ["--psf", "gaussian:5:1", "--stride", 2, "--beta", "0.05", "--steps", 12, "--size", 12, "--batch", 2]


def fastip(*words):
    return CliRunner().invoke(app.app, [str(w) for w in words], env={"COLUMNS": "200"})


def train(*words):
    return fastip("train", "inverse", *words)


@pytest.mark.parametrize(
    ("options", "kind", "told"),
    [
        ([], nets.InverseNet, "certificate, beta 0.05"),
        (["--boundary", "valid", "--size", 16], nets.InverseNet, "kappa"),
        (["--net", "paper", "--boundary", "reflect"], nets.PaperInverseNet, "not certified"),
        (
            ["--beta", "0.01:0.1", "--power", 2, "--seed", 2**70, "--learning-rate", "1e-3"],
            nets.InverseNet,
            "certificate, beta 0.0316",
        ),
    ],
)
def test_it_writes_what_it_says(tmp_path, options, kind, told):
    path = tmp_path / "c.safetensors"
    result = train(*WORDS, *options, "-o", path)
    assert result.exit_code == 0, result.output
    learned = checkpoint.load_inverse(path)
    assert (
        type(learned.net) is kind
        and told in result.output
        and f"{learned.trained.accuracy:.2e}" in result.output
        and "is written" in result.output
    )
    boundary = options[options.index("--boundary") + 1] if "--boundary" in options else "circular"
    op = operators.Blur(psf.gaussian(5, sigma=1.0), stride=2, boundary=boundary)
    assert learned.trained.fingerprint == op.fingerprint()
    assert learned.trained == inverses.examine(
        learned.net, op, learned.trained.beta if learned.trained.beta[0] < learned.trained.beta[1] else 0.05
    )
    settings = checkpoint.read_record(path)["training"]["settings"]
    assert (
        settings["steps"] == 12 and settings["batch"] == 2 and settings["seed"] == (2**70 if "--seed" in options else 0)
    )
    assert sorted(os.listdir(tmp_path)) == ["c.json", "c.safetensors", "c.tensorboard"]
    before = path.stat().st_mtime_ns
    again = train(*WORDS, *options, "-o", path)
    assert again.exit_code == 0 and "was finished before" in again.output and path.stat().st_mtime_ns == before


def test_dilated_nets_reach_far(tmp_path):
    assert train(*WORDS, "--net", "dilated", "-o", tmp_path / "c.safetensors").exit_code == 0
    assert checkpoint.load_inverse(tmp_path / "c.safetensors").net.reach == 24


def test_a_stopped_command_goes_on(tmp_path, monkeypatch):
    path, step = tmp_path / "c.safetensors", loop._Run.step
    train(*WORDS, "-o", tmp_path / "whole.safetensors")

    def interrupted(run, draw, number):
        if number == 7:
            raise KeyboardInterrupt
        return step(run, draw, number)

    with monkeypatch.context() as patch:
        patch.setattr(loop._Run, "step", interrupted)
        stopped = train(*WORDS, "--save-every", 5, "-o", path)
        assert stopped.exit_code == 130 and "the same command goes on" in stopped.output
    assert (
        not path.exists()
        and checkpoint.read_record(tmp_path / "c.unfinished.safetensors", "training")["progress"]["step"] == 5
    )
    assert train(*WORDS, "-o", path).exit_code == 0
    whole = checkpoint.load_inverse(tmp_path / "whole.safetensors").net.state_dict()
    assert all(
        torch.equal(tensor, whole[name]) for name, tensor in checkpoint.load_inverse(path).net.state_dict().items()
    )


BAD = {
    "beta": (["--beta", "0"], "beta is 0"),
    "beta text": (["--beta", "small"], "--beta is 'small'"),
    "beta of three": (["--beta", "1:2:3"], "--beta is '1:2:3'"),
    "beta reversed": (["--beta", "1:0.1"], "swap them"),
    "psf": (["--psf", "gausian:5:1"], "did you mean"),
    "psf file": (["--psf", "none.npy"], "does not exist"),
    "stride": (["--stride", "0"], "stride"),
    "boundary": (["--boundary", "mirror"], "boundary is 'mirror'"),
    "net": (["--net", "resnet"], "there is no net 'resnet'"),
    "steps": (["--steps", "0"], "steps is 0"),
    "size": (["--size", "2"], "size is 2"),
    "batch": (["--batch", "-1"], "batch is -1"),
    "power": (["--power", "0"], "power is 0"),
    "power of relu": (["--net", "paper", "--power", "2"], "power=1"),
    "seed": (["--seed", "-3"], "seed is -3"),
    "learning rate": (["--learning-rate", "0"], "learning_rate is 0"),
    "save every": (["--save-every", "0"], "save_every is 0"),
    "devices": (["--devices", "0"], "devices is 0"),
    "accelerator": (["--accelerator", "abacus"], "abacus"),
    "precision": (["--precision", "16"], "32-true"),
    "suffix": (["-o", "c.pt"], "suffix"),
    "folder": (["-o", "no/c.safetensors"], "create it first"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_options_are_one_clear_line_before_any_work(tmp_path, monkeypatch, case):
    options, message = BAD[case]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(loop, "fit", lambda *arguments: pytest.fail("trained in vain"))
    result = train(*WORDS, "-o", "c.safetensors", *options)
    assert result.exit_code == 2 and message in result.output, result.output
    assert result.output.startswith("error: ") and result.output.count("\n") == 1
    assert os.listdir(tmp_path) == []


def test_a_missing_extra_is_one_line_with_the_command(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    result = train(*WORDS, "-o", tmp_path / "c.safetensors")
    assert result.exit_code == 2 and "pip install 'fastip[train]'" in result.output and result.output.count("\n") == 1


def test_the_help_names_it():
    assert "inverse" in fastip("train", "--help").output and "train" in fastip("--help").output
    assert "LOW:HIGH" in train("--help").output
