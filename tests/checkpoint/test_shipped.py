"""The weights that come with fastip: found by name, complete, small enough."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

import fastip
from cases.generators import dcgan, encoder, same
from cases.tasks import network
from fastip import data, metrics, nets, operators, priors, psf, save_prior, tasks
from fastip.checkpoint import container, shipped
from fastip.errors import InvalidInput, UnknownKeyword


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
            assert (
                fastip.load_inverse(path).trained.fingerprint
                == operators.Blur(psf.parse(text), stride=stride, boundary=boundary).fingerprint()
            ), name


def test_weights_that_are_not_there():
    with (
        pytest.raises(InvalidInput, match="'ships' should be .*install fastip again"),
        shipped.weights("projectors", "ships"),
    ):
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
    assert (
        same(loaded.net, net.float())
        and {p.dtype for p in loaded.net.parameters()} == {torch.float32}
        and not loaded.net.training
    )
    assert same(shipped.generator("small"), net.generator) and shipped.names("projectors") == ["small"]


SETS = {"digits": ((1, 28, 28), 64, 64), "fashion": ((1, 28, 28), 64, 64), "avatars": ((3, 64, 64), 48, 32)}


@pytest.mark.parametrize("name", SETS)
def test_the_projectors_that_come_with_fastip(name):
    """They have the widths that are promised and look at every pixel.

    They bring a noisy image of their generator nearer to it.
    """
    shape, width, seeing = SETS[name]
    net = shipped.projector(name).net
    assert net.shape == shape and (net.generator.width, net.encoder.width) == (width, seeing)
    x = net.generator.sample(20, seed=3)
    w = x + 0.2 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    error = (net(w) - x).square().flatten(1).mean(dim=1).sqrt()
    assert error.median() < 0.15 and x.std(dim=0).mean() > 0.05
    op = operators.GaussianMeasurements(100, shape)
    assert torch.equal(*(fastip.npgd(op(x[:4]), op, shipped.projector(name)).x for _ in range(2)))


# ---- the denoiser of photographs as a prior --------------------------------------------------------------------------


def test_weights_of_photographs_are_stored_in_half_precision():
    """And come in float32, on the CPU."""
    photographs = [("tasks", name) for name in shipped.names("tasks") if name.startswith(("photo", "colorize"))]
    for kind, name in [("priors", "photo-denoiser"), *photographs]:
        with shipped.weights(kind, name) as path:
            assert {t.dtype for t in container.read(path, "prior")[1].values()} == {torch.float16}, name
            assert {t.dtype for t in fastip.load_prior(path).net.state_dict().values()} == {torch.float32}, name


def test_a_denoiser_comes_with_its_schedule(monkeypatch, tmp_path):
    net = network().half().float()
    (tmp_path / "priors").mkdir()
    trained = priors.PixelShuffleAutoencoder(net, trained=priors.Trained((0.01, 0.3)))
    save_prior(tmp_path / "priors" / "photo-denoiser.safetensors", trained, dtype=torch.float16)
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    prior = shipped.prior("photo", noise=0.03, steps=5, memory="600MB", dtype=torch.float64)
    assert isinstance(prior, priors.PlugAndPlay) and prior.schedule == priors.schedule(0.03, steps=5)
    assert (prior.memory, prior.dtype) == (600_000_000, torch.float64) and same(prior.net, net)
    default = shipped.prior("photo", noise=0)
    assert (default.memory, default.dtype, len(default.schedule)) == (2 * 10**9, None, 8)
    assert default.schedule == priors.schedule(1 / 255)


def test_denoisers_that_are_not_there():
    with pytest.raises(InvalidInput, match="no denoiser 'photos': did you mean 'photo'"):
        shipped.prior("photos", noise=0.01)
    with pytest.raises(InvalidInput, match="expected one of photo"):
        shipped.prior("xyz", noise=0.01)
    with pytest.raises(InvalidInput, match="noise is -1"):
        shipped.prior("photo", noise=-1)
    with pytest.raises(InvalidInput, match="memory is"):
        shipped.prior("photo", noise=0.01, memory="much")
    with pytest.raises(UnknownKeyword, match="did you mean 'noise'"):
        shipped.prior("photo", nose=0.01)


def holes(size):
    return operators.Mask(torch.rand(size, size, generator=torch.Generator().manual_seed(3)) < 0.5)


ANY = {
    "deblurring": (operators.Blur(psf.motion(15, 30)), 0.01),
    "twice as large": (operators.Blur(psf.gaussian(9, 1.6), stride=2), 0.01),
    "holes": (holes(96), 0.01),
}


@pytest.mark.parametrize("colours", [3, 1])
@pytest.mark.parametrize("name", ANY)
def test_one_denoiser_beats_total_variation_on_any_operator(name, colours):
    """PSNR of two test pictures, colour and grey, with total variation at the best of three weights."""
    op, noise = ANY[name]
    pictures = data.held_out_photographs(("chelsea", "coffee"))
    x = torch.cat([data.centre(picture, 96) for picture in pictures.values()])
    x = x if colours == 3 else x.mean(dim=1, keepdim=True)
    y, prior = data.degrade(x, op, noise), shipped.prior("photo", noise=noise)
    with torch.no_grad():
        ours = fastip.admm(y, op, prior, beta=prior.schedule.betas, iterations=len(prior.schedule), tolerance=0).x
        rivals = [priors.TV(weight) + priors.Box() for weight in (1.5e-3, 5e-3, 1e-2)]
        others = [fastip.admm(y, op, rival, iterations=150).x for rival in rivals]
    best = max(float(metrics.psnr(other, x).mean()) for other in others)
    assert float(metrics.psnr(ours, x).mean()) > best + 0.1, best


def test_noise_beyond_the_training_of_the_denoiser_is_refused():
    with pytest.raises(InvalidInput, match="noise is 0.9; the denoiser of 'photo' was trained on noise up to"):
        shipped.prior("photo", noise=0.9)


def test_a_kind_that_is_not_there():
    with pytest.raises(InvalidInput, match="expected one of inverses, priors, projectors, restorers, tasks"):
        shipped.names("prior")
