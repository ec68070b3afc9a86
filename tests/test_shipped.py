"""The weights that come with fastip: found by name, complete, small enough."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

import fastip
from fastip import nets, operators, priors, psf, shipped, tasks
from fastip.checkpoint import container
from fastip.errors import InvalidInput
from generator_cases import dcgan, encoder, same


def test_all_weights_together_are_small():
    files = [path for path in Path(str(shipped.FOLDER)).rglob("*") if path.is_file()]
    assert len(files) > 10 and sum(path.stat().st_size for path in files) < 40e6


@pytest.mark.parametrize("kind", ["inverses", "priors", "projectors", "tasks"])
def test_every_name_has_its_file_and_the_record_of_its_training(kind):
    assert shipped.names(kind)
    for name in shipped.names(kind):
        with shipped.weights(kind, name) as path:
            assert path.exists() and path.with_suffix(".json").exists(), name


@pytest.mark.parametrize("kind", ["inverses", "priors", "projectors", "tasks"])
def test_the_record_beside_the_weights_is_theirs(kind):
    for name in shipped.names(kind):
        with shipped.weights(kind, name) as path:
            beside = json.loads(path.with_suffix(".json").read_text())
            assert container.read(path, beside["kind"])[0] == beside, name


def test_trained_tasks_and_inverses_know_their_operators_on_this_processor():
    """psf are computed with exp and sin, which processors round differently."""
    for task in tasks.LEARNED:
        problem = task.problem(dtype=torch.float32)
        problem.prior.trained.check_operator(problem.op)
    ops = {"gaussian-x4": ("gaussian:9:1.6", 4), "gaussian": ("gaussian:9:1.6", 1), "motion": ("motion:9:45", 1)}
    for name in shipped.names("inverses"):
        blur, boundary = re.fullmatch("(.*)-(valid|circular)(-dilated|-paper)?", name).groups()[:2]
        text, stride = ops[blur]
        with shipped.weights("inverses", name) as path:
            assert fastip.load_inverse(path).trained.fingerprint == operators.Blur(psf.parse(text), stride=stride, boundary=boundary).fingerprint(), name


def test_weights_that_are_not_there():
    with pytest.raises(InvalidInput, match="'ships' should be .*install fastip again"), shipped.weights("projectors", "ships"):
        pass
    with pytest.raises(InvalidInput, match="no projector 'digit': did you mean 'digits'"):
        shipped.projector("digit")
    with pytest.raises(InvalidInput, match="expected one of .*digits"):
        shipped.generator("churches")


def test_a_projector_comes_in_float32_with_its_generator(monkeypatch, tmp_path):
    """The file holds float16; what is loaded computes in float32 with those very numbers."""
    net = nets.Projector(dcgan(), encoder(), encoder(seed=2, colours=2)).half()
    (tmp_path / "projectors").mkdir()
    fastip.save_projector(tmp_path / "projectors" / "small.safetensors", priors.Projector(net))
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    loaded = shipped.projector("small")
    assert same(loaded.net, net.float()) and {p.dtype for p in loaded.net.parameters()} == {torch.float32} and not loaded.net.training
    assert same(shipped.generator("small"), net.generator) and shipped.names("projectors") == ["small"]


SETS = {"digits": ((1, 28, 28), 64, 64), "fashion": ((1, 28, 28), 64, 64), "avatars": ((3, 64, 64), 48, 32)}


@pytest.mark.parametrize("name", SETS)
def test_the_projectors_that_come_with_fastip(name):
    """They have the widths that are promised, look at every pixel and bring a noisy image of their generator nearer to it."""
    shape, width, seeing = SETS[name]
    net = shipped.projector(name).net
    assert net.shape == shape and (net.generator.width, net.encoder.width) == (width, seeing)
    x = net.generator.sample(20, seed=3)
    w = x + 0.2 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    error = (net(w) - x).square().flatten(1).mean(dim=1).sqrt()
    assert error.median() < 0.15 and x.std(dim=0).mean() > 0.05
    op = operators.GaussianMeasurements(100, shape)
    assert torch.equal(*(fastip.npgd(op(x[:4]), op, shipped.projector(name)).x for _ in range(2)))
