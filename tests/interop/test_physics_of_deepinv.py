"""deepinv's own tests of its physics, on operators of fastip."""

from __future__ import annotations

import inspect
import itertools

import pytest
import torch

from cases.operators import draw
from cases.torchvision import stand_in
from fastip import interop, operators
from fastip.operators import psf

stand_in()
pytest.importorskip("deepinv", reason="make test-deepinv installs it")
theirs = pytest.importorskip("deepinv.tests.test_physics")

SHAPE = (3, 16, 16)
OPERATORS = {
    "circular": lambda c, h, w: operators.Blur(psf.gaussian(5, sigma=1.0)),
    "x4": lambda c, h, w: operators.Blur(psf.gaussian(5, sigma=1.0), stride=4),
    "valid": lambda c, h, w: operators.Blur(psf.motion(5, 30), boundary="valid"),
    "reflect": lambda c, h, w: operators.Blur(psf.gaussian(5, sigma=1.0), boundary="reflect"),
    "zero-x2": lambda c, h, w: operators.Blur(psf.gaussian(5, sigma=1.0), 2, "zero"),
    "downsample": lambda c, h, w: operators.Downsample(2),
    "mask": lambda c, h, w: operators.Mask(draw(h, w) > 0),
    "grey": lambda c, h, w: operators.ToGray(),
    "measurements": lambda c, h, w: operators.GaussianMeasurements(30, (c, h, w)),
    "dense": lambda c, h, w: operators.Dense(draw(40, c * h * w) / 28, (c, h, w)),
    "identity": lambda c, h, w: operators.Identity(),
    "composition": lambda c, h, w: operators.Mask(draw(h // 2, w // 2) > 0) @ operators.Blur(psf.box(3), stride=2),
    "fourier": lambda c, h, w: operators.MaskedFourier(draw(h, w) > -0.5),
    "even": lambda c, h, w: operators.Blur(draw(4, 4).abs() / 16),
    "resize": lambda c, h, w: operators.Resize(2),
}


def find_operator(name, device, imsize=None, get_physics_param=False):
    size = imsize or SHAPE
    op = OPERATORS[name](*size)
    found = interop.to_deepinv(op, size), size, op.norm((1, *size)) ** 2, torch.float
    return (*found, []) if get_physics_param else found


def of_all():
    for name, function in vars(theirs).items():
        marks = getattr(function, "pytestmark", []) if name.startswith("test_") else []
        choices = {mark.args[0]: list(mark.args[1]) for mark in marks if mark.name == "parametrize"}
        if not {"deblur_circular", "inpainting"} <= set(map(str, choices.pop("name", ()))):
            continue
        for values in itertools.product(*choices.values()):
            given = dict(zip(choices, values, strict=True))
            yield pytest.param(function, given, id=f"{name}{''.join(f'-{v}' for v in values)}")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("test, given", of_all())
def test_theirs(test, given, name, monkeypatch):
    monkeypatch.setattr(theirs, "find_operator", find_operator)
    monkeypatch.setattr(theirs, "OPERATORS", list(OPERATORS))
    device = torch.device("cpu")
    more = {"device": device, "rng": torch.Generator(device).manual_seed(0), "name": name}
    wanted = inspect.signature(test).parameters
    torch.manual_seed(0)
    test(**given, **{key: value for key, value in more.items() if key in wanted and key not in given})


def test_enough_of_them():
    assert len(list(of_all())) >= 15 and len(OPERATORS) >= 15
