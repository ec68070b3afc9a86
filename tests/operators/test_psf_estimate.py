"""psf.estimate: blurs of scenes with a power-law spectrum and of a photograph, what is none, and bad inputs."""

from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest
import torch

from cases.scenes import NOISE, scene, seen
from fastip import data, psf
from fastip.errors import InvalidInput, UnknownKeyword, Unsupported
from fastip.operators import Blur


def turned(one: float, other: float) -> float:
    """Degrees between two directions without a sign."""
    return abs((one - other + 90) % 180 - 90)


def draws(seed: int, count: int) -> list[float]:
    return torch.rand(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).tolist()


@pytest.mark.parametrize("seed", range(4))
def test_a_disk_is_found(seed):
    radius = 2.2 + 4 * draws(seed, 1)[0]
    y = seen(scene(181, 230, seed, channels=1 + seed % 3, power=1.5 + 0.15 * seed), psf.disk(15, radius), seed=seed)
    found = psf.estimate(y, "disk")
    assert found.clear and abs(found.parameters["radius"] - radius) < 0.25, radius
    taps = found.psf
    assert taps.dtype == torch.float64 and taps.shape[0] == taps.shape[1] and taps.shape[0] % 2 == 1
    torch.testing.assert_close(taps, psf.disk(len(taps), found.parameters["radius"]), rtol=0, atol=0)
    assert float(taps.sum()) == pytest.approx(1, abs=1e-12)
    assert str(found) == f"disk of radius {found.parameters['radius']:.1f}"


@pytest.mark.parametrize("seed", range(2))
def test_a_straight_motion_is_found(seed):
    length, angle = (low + span * u for (low, span), u in zip(((5, 8), (0, 180)), draws(seed, 2), strict=True))
    y = seen(scene(131, 150, seed), psf.motion(23, angle, length), seed=seed)
    found = psf.estimate(y, "motion")
    assert found.clear, (length, angle)
    assert abs(found.parameters["length"] - length) < 0.5 and turned(found.parameters["angle"], angle) < 5
    assert 0 <= found.parameters["angle"] < 180
    expected = psf.motion(len(found.psf), found.parameters["angle"], found.parameters["length"])
    torch.testing.assert_close(found.psf, expected, rtol=0, atol=1e-12)
    assert not psf.estimate(y, "disk").clear
    values = found.parameters
    assert str(found) == f"motion of length {values['length']:.1f} at {values['angle']:.0f} degrees"


@pytest.mark.parametrize("seed", range(2))
def test_details_along_one_direction_draw_no_angle(seed):
    """They lie 30 degrees away."""
    angle, away = 180 * draws(seed + 40, 1)[0], 30 * (-1) ** seed
    x = scene(100, 111, seed, lines=2.5, along=angle + away)
    found = psf.estimate(seen(x, psf.motion(11, angle, 8.3), seed=seed), "motion")
    assert found.clear and abs(found.parameters["length"] - 8.3) < 0.5
    assert turned(found.parameters["angle"], angle) < 5


@pytest.mark.parametrize("along", [0.0, 65.0])
def test_details_along_one_direction_are_no_motion(along):
    assert not psf.estimate(seen(scene(96, 101, 1, lines=2.5, along=along), None), "motion").clear


def test_a_photograph_out_of_focus_and_without_noise():
    pytest.importorskip("skimage")
    x = data.centre(data.held_out_photographs(["coffee"])["coffee"], 220)
    for noise in (0.0, NOISE):
        found = psf.estimate(seen(x, psf.disk(9, 3.3), noise), "disk")
        assert found.clear and abs(found.parameters["radius"] - 3.3) < 0.25
    assert not psf.estimate(seen(x, None), "disk").clear
    assert not psf.estimate(seen(x, psf.gaussian(11, 1.4)), "disk").clear


@pytest.mark.parametrize("taps", [None, psf.gaussian(9, 1.2), psf.disk(9, 3.1)], ids=["sharp", "gaussian", "disk"])
def test_what_is_no_motion(taps):
    assert not psf.estimate(seen(scene(96, 111, 3), taps), "motion").clear


def test_a_motion_along_the_columns_and_without_noise():
    y = Blur(psf.motion(15, 179.5, 13.3), boundary="valid")(scene(120, 130, 7))
    found = psf.estimate(y, "motion")
    assert found.clear and abs(found.parameters["length"] - 13.3) < 0.5
    assert turned(found.parameters["angle"], 179.5) < 3 and 0 <= found.parameters["angle"] < 180


@pytest.mark.parametrize("kind", ["disk", "motion"])
def test_the_curve_has_the_minimum(kind):
    y = seen(scene(120, 120, 8), psf.disk(7, 3.0) if kind == "disk" else psf.motion(11, 30, 8.3))
    found = psf.estimate(y, kind)
    cost, axes = found.curve["cost"], [found.curve[name] for name in found.parameters]
    assert list(found.curve) == [*found.parameters, "cost"] and cost.shape == tuple(len(axis) for axis in axes)
    best = np.unravel_index(int(cost.argmin()), cost.shape)
    steps = {"radius": 0.25, "length": 1.0, "angle": 6.0}
    for k, axis, (name, value) in zip(best, axes, found.parameters.items(), strict=True):
        assert bool((axis.diff() > 0).all()) and abs(float(axis[k]) - value) <= steps[name]
    assert float(cost.min()) < -0.1  # below 0, which is a smooth spectrum
    again = pickle.loads(pickle.dumps(found))
    assert again.parameters == found.parameters and torch.equal(again.psf, found.psf) and again.clear
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.clear = False


def test_the_kind_of_the_array_changes_nothing():
    y = seen(scene(90, 121, 4, channels=3), psf.disk(7, 3.2)).float()
    found = psf.estimate(y, "disk")
    assert found.clear
    for same in (y.double(), y.numpy(), y.numpy()[..., ::-1], y.requires_grad_()):
        other = psf.estimate(same, "disk")
        assert other.parameters["radius"] == pytest.approx(found.parameters["radius"], abs=0.02) and other.clear
        assert isinstance(other.psf, torch.Tensor) and not other.psf.requires_grad
    half = psf.estimate(y.detach().half(), "disk")
    assert half.parameters["radius"] == pytest.approx(found.parameters["radius"], abs=0.1)


def test_a_brighter_picture_has_the_same_blur():
    y = seen(scene(100, 100, 5), psf.disk(5, 2.4))
    found, scaled = (psf.estimate(by * y, "disk", by * NOISE) for by in (1, 1e-3))
    assert scaled.parameters["radius"] == pytest.approx(found.parameters["radius"], abs=1e-9) and found.clear


def test_the_noise_is_that_of_each_channel():
    y = seen(scene(120, 120, 6).expand(-1, 3, -1, -1), psf.disk(7, 2.9), noise=0.05)
    told, measured = psf.estimate(y, "disk", 0.05), psf.estimate(y, "disk")
    assert told.parameters["radius"] == pytest.approx(measured.parameters["radius"], abs=0.15)
    assert abs(told.parameters["radius"] - 2.9) < 0.3


def test_only_the_middle_of_a_large_picture_is_looked_at():
    y = seen(scene(1030, 70, 9), psf.disk(5, 2.1))
    edge = y.clone()
    edge[..., :3, :] = 5
    assert psf.estimate(edge, "disk", NOISE).parameters != psf.estimate(y[..., :100, :], "disk", NOISE).parameters
    assert psf.estimate(edge, "disk", NOISE).parameters == psf.estimate(y, "disk", NOISE).parameters


def test_a_long_motion_that_lies_between_the_lengths_that_are_tried_first():
    """A photograph whose criterion for directions is flat off the peak: 3.4 pixels were found in place of 24."""
    x = data.centre(data.held_out_photographs(("motorcycle",))["motorcycle"], 500)
    y = Blur(psf.motion(25, 99.2, 23.97), boundary="valid")(x)
    y = y + 2.55 / 255 * torch.randn(y.shape, generator=torch.Generator().manual_seed(3))
    found = psf.estimate((255 * y.clamp(0, 1)).round() / 255, "motion")
    assert found.clear and abs(found.parameters["length"] - 23.97) < 0.5
    assert turned(found.parameters["angle"], 99.2) < 5


def test_it_reports_what_is_done():
    told = []
    psf.estimate(seen(scene(64, 80, 1), None), "motion", report=lambda done, total: told.append((done, total)))
    done = [first for first, _ in told]
    assert len(told) > 5 and done == sorted(done) and len({total for _, total in told}) == 1
    assert done[-1] == told[-1][1]


@pytest.mark.parametrize(
    "given, words",
    [
        ({"kind": "disc"}, "no kind of blur that can be estimated 'disc': did you mean 'disk'"),
        ({"kind": "gaussian"}, "expected one of disk, motion"),
        ({"y": torch.rand(2, 1, 64, 64)}, "expected one picture, 1 c h w: call once for each"),
        ({"y": torch.rand(1, 1, 63, 100)}, "at least 64 x 64 pixels.*the psf"),
        ({"y": torch.rand(64, 64)}, "four dimensions"),
        ({"y": torch.zeros(1, 1, 64, 64, dtype=torch.uint8)}, "uint8"),
        ({"y": torch.full((1, 1, 64, 64), float("nan"))}, "NaN"),
        ({"y": torch.full((1, 3, 64, 64), 0.25)}, "0.25 nearly everywhere, which shows no blur"),
        ({"y": [[0.0]]}, "expected a torch tensor"),
        ({"noise": -1.0}, "noise is -1.0"),
        ({"noise": "much"}, "noise is 'much'"),
    ],
)
def test_what_is_refused(given, words):
    arguments = {"y": torch.rand(1, 1, 64, 64), "kind": "disk"} | given
    with pytest.raises(InvalidInput, match=words):
        psf.estimate(**arguments)


def test_misspelt_keywords_and_compiled_calls_are_refused(monkeypatch):
    with pytest.raises(UnknownKeyword, match="noise"):
        psf.estimate(torch.rand(1, 1, 64, 64), "disk", noize=1)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    with pytest.raises(Unsupported, match="give a psf"):
        psf.estimate(torch.rand(1, 1, 64, 64), "disk")
