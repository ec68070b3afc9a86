"""The noise of a task: given, estimated for each picture, or assumed; and the weight that follows it."""

from __future__ import annotations

import dataclasses
import pickle

import pytest
import torch

import fastip
from fastip import data, operators, tasks
from fastip.errors import InvalidInput


def noisy(level, size=96, grey=False):
    pictures = pytest.importorskip("skimage.data")
    x = torch.from_numpy(pictures.chelsea()[40 : 40 + size, 100 : 100 + size].copy()).movedim(-1, 0).float()[None] / 255
    return data.degrade(x[:, :1] if grey else x, operators.Identity(), level)


@pytest.mark.parametrize("level", [0.02, 0.08])
@pytest.mark.parametrize("grey", [False, True])
def test_it_is_estimated(level, grey):
    y = noisy(level, grey=grey)
    problem = fastip.load_task("denoise").fitted(y)
    assert problem.level.source == "estimated" and problem.noise == pytest.approx(float(fastip.noise_level(y)[0]))
    assert problem.noise == pytest.approx(level, rel=0.2) and str(problem.level).endswith(" estimated")
    same = fastip.load_task("denoise", noise=problem.noise)
    assert torch.equal(same.solve(y).x, fastip.load_task("denoise").solve(y).x)
    assert same.level.source == "given" and "estimated" not in str(same.level)


@pytest.mark.parametrize("y", [torch.rand(1, 3, 15, 40), torch.ones(1, 1, 20, 20), torch.zeros(1, 1, 3, 3)])
def test_it_is_assumed_where_the_picture_does_not_tell(y):
    problem = fastip.load_task("denoise").fitted(y)
    if problem.level.source == "assumed":
        assert problem.noise == 0.015 and str(problem.level) == "0.015 assumed"
    else:
        assert problem.noise < 1e-6  # all white: without noise
    assert bool(torch.isfinite(problem.solve(y).x).all())


def test_hidden_pixels_tell_nothing():
    y = noisy(0.03)
    mask = torch.ones(96, 96)
    mask[:, 30:60] = 0
    hidden = torch.where(mask > 0, y, torch.rand(y.shape))
    found = fastip.load_task("inpaint", mask=mask).fitted(hidden).noise
    assert found == pytest.approx(0.03, rel=0.25)


def test_an_explicit_weight_wins():
    for name, chosen in (("denoise", {}), ("deblur", {"psf": "box:3"}), ("upscale", {"factor": 2})):
        problem = fastip.load_task(name, **chosen, weight=0.03)
        assert problem.prior.weight == 0.03 and problem.level is None and problem.fitted(noisy(0.1)) is problem
        assert fastip.load_task(name, **chosen, weight=0.03, noise=0.1).prior.weight == 0.03


def test_more_noise_is_a_larger_weight():
    for prior in ("tv", "wavelet"):
        weights = [fastip.load_task("denoise", prior=prior, noise=noise).prior.weight for noise in (0.01, 0.05, 0.2)]
        assert weights == sorted(weights) and weights[0] < weights[2]


def test_a_problem_can_be_pickled():
    y = noisy(0.05, 32)
    for name, chosen in (("denoise", {}), ("sr2", {}), ("inpaint", {"mask": torch.ones(32, 32)})):
        problem = fastip.load_task(name, **chosen)
        assert torch.equal(pickle.loads(pickle.dumps(problem)).solve(y).x, problem.solve(y).x)


def test_what_was_replaced_stays():
    y = noisy(0.05)
    problem = dataclasses.replace(fastip.load_task("denoise"), iterations=3, tolerance=0.0)
    assert problem.solve(y).iterations == 3 and problem.fitted(y).level.source == "estimated"
    own = dataclasses.replace(fastip.load_task("denoise"), prior=fastip.priors.TV(0.5))
    assert own.fitted(y).prior.weight == 0.5


@pytest.mark.parametrize(
    ("noise", "message"),
    [
        (2.55, "units of .0, 1., below 1.*2.55/255"),
        (1, "1/255"),
        (-0.1, "noise"),
        (float("nan"), "noise"),
        ("much", "noise"),
    ],
)
def test_bad_levels(noise, message):
    with pytest.raises(InvalidInput, match=message):
        fastip.load_task("denoise", noise=noise)


def test_priors_and_tasks_that_follow_no_noise():
    with pytest.raises(InvalidInput, match="prior 'l2' does not follow it.*tv, wavelet"):
        fastip.load_task("denoise", prior="l2", noise=0.1)
    assert tasks.get("denoise").problem(prior="l2", noise=0.1, weight=0.2).level.value == 0.1
    with pytest.raises(InvalidInput, match="trained for one noise alone.*'sr4', which takes any"):
        fastip.load_task("photo-sr4", noise=0.1)


@pytest.mark.parametrize("clipped", [None, 1.0])
@pytest.mark.parametrize("noise", [None, 0.02])
def test_a_psf_that_is_too_wide_is_told_once(noise, clipped):
    """Before the data are seen, and not once more when their noise or their clipped pixels are."""
    wide = torch.zeros(45, 45)
    wide[22] = 1 / 45
    y = noisy(0.02, size=32)
    with pytest.warns(UserWarning) as told:
        problem = fastip.load_task("deblur", psf=wide, noise=noise, clipped=clipped)
        assert [str(warning.message).partition(":")[0] for warning in told] == [
            "prior 'photo' was not trained on a psf 45 pixels wide, and at most 41"
        ]
        problem.fitted(y)
        problem.fitted(torch.ones_like(y))
    assert len(told) == 1


def test_too_much_noise_is_told_whoever_tells_it():
    strong, message = noisy(0.4), "not trained on noise of 0.[34].*, and at most"
    with pytest.warns(UserWarning, match=message) as told:
        fastip.load_task("denoise").fitted(strong)
    with pytest.warns(UserWarning, match=message):
        fastip.load_task("denoise", noise=0.4)
    assert len(told) == 1
    with pytest.warns(UserWarning, match="a psf 45") as told:
        fastip.load_task("deblur", psf=torch.ones(1, 45) / 45).fitted(strong)
    assert len(told) == 1
