"""Restorer: its parts are its solve; every picture of a batch by its own noise; files, devices, and each refusal."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import fastip
from cases.checks import noise, relative
from cases.operators import Case, operator_cases
from cases.photographs import small
from cases.pretended import pretended
from fastip import checkpoint, nets, operators, priors, psf
from fastip.errors import InvalidInput, UnknownKeyword
from fastip.inverses import close
from fastip.inverses.close import Close
from fastip.restorer import Distribution, Restorer

SHAKEN = operators.Blur(psf.shake(7, 3), boundary="valid")
HALF = operators.Resize(2)
KNOWN = Distribution(0.06, 9, "small pictures")


def restorer(**options: Any) -> Restorer:
    return Restorer(small().requires_grad_(False), iterations=3, trained=KNOWN, **options)


def data(op: operators.Operator = SHAKEN, count: int = 2, channels: int = 3, size: int = 30) -> Tensor:
    x = torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(size))
    return op(torch.nn.functional.avg_pool2d(x, 5, 1, 2))


@pytest.mark.parametrize("op", [SHAKEN, HALF, operators.Identity()], ids=["gradients", "separable", "identity"])
def test_its_parts_are_its_solve(op: operators.Operator) -> None:
    r, y = restorer(), data(op)
    how: dict[str, Any] = {"beta": r.beta(0.02), "iterations": r.iterations, "inverse": r.inverse(op)}
    parts = fastip.admm(y, op, r.prior(0.02), tolerance=0, **how)
    whole = r.solve(y, op, 0.02)
    assert torch.equal(whole.x, parts.x) and torch.equal(whole.q, parts.q) and whole.beta == parts.beta
    assert whole.iterations == 3 and whole.status is parts.status


def test_the_plain_loop_with_its_network() -> None:
    """The network with the levels of the schedule as a denoiser of its own, in double precision."""
    r, y, op = Restorer(small(), iterations=4, dtype=torch.float64), data().double(), SHAKEN
    plan, net = priors.schedule(0.03, steps=4), small().double()
    assert r.schedule(0.03) == plan and r.beta(0.03) == plan.betas
    denoiser = priors.Denoiser(lambda v, level: net(v, None, level), sigma=plan.levels)
    how: dict[str, Any] = {"beta": plan.betas, "iterations": 4, "tolerance": 0, "inverse": Close()}
    assert relative(r.solve(y, op, 0.03).x, fastip.admm(y, op, denoiser, **how).x) < 1e-12


@pytest.mark.parametrize(
    "case",
    [case for case in operator_cases() if len(case.input_shape) == 4 and not case.make(torch.float64).complex_input],
    ids=lambda case: case.id,
)
def test_any_operator(case: Case) -> None:
    op = case.make(torch.float32)
    r = Restorer(small().requires_grad_(False), iterations=3)
    x = r.solve(op(noise(case.input_shape, torch.float32).abs()), op, 0.01).x
    assert tuple(x.shape) == case.input_shape and bool(torch.isfinite(x).all())


def test_each_picture_by_its_own_noise() -> None:
    """Of a batch with different noise, given or estimated, each is what it is alone; equal noise is one solve."""
    r, y = restorer(), data(count=3)
    y = y + torch.tensor([0.01, 0.05, 0.02])[:, None, None, None] * noise(tuple(y.shape), torch.float32)
    found = fastip.noise_level(y).tolist()
    for given, levels in ((None, found), ([0.01, 0.05, 0.01], [0.01, 0.05, 0.01]), (np.full(3, 0.03), [0.03] * 3)):
        whole = r.solve(y, SHAKEN, given)
        for k, level in enumerate(levels):
            alone = r.solve(y[k : k + 1], SHAKEN, level)
            assert relative(whole.x[k : k + 1], alone.x) < 1e-5 and relative(whole.q[k : k + 1], alone.q) < 1e-5
        assert whole.beta == (None if len(set(levels)) > 1 else r.beta(levels[0])[-1])
        assert whole.residuals.shape[-1] == 3
    assert len({round(level, 4) for level in found}) == 3


def test_arrays_grey_and_double_precision() -> None:
    r, y = restorer(), data(channels=1)
    array = r.solve(y.numpy(), SHAKEN, [0.01, 0.02]).x
    assert isinstance(array, np.ndarray) and array.dtype == np.float32
    assert relative(torch.from_numpy(array), r.solve(y, SHAKEN, torch.tensor([0.01, 0.02])).x) == 0
    double = r.solve(y.double(), SHAKEN, 0.01).x
    assert double.dtype == torch.float64 and double.shape == (2, 1, 30, 30)


def test_bfloat16_is_close_to_float32() -> None:
    """The weights of the shipped network are rounded to 8 bits of mantissa, the solve stays in float32."""
    x = torch.nn.functional.avg_pool2d(torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(5)), 5, 1, 2)
    y = SHAKEN(x) + 0.02 * noise((1, 3, 26, 26), torch.float32)
    whole, half = (
        fastip.shipped.restorer("photo", dtype=dtype).solve(y, SHAKEN, 0.02).x
        for dtype in (torch.float32, torch.bfloat16)
    )
    assert half.dtype == torch.float32 and 0 < float((whole - half).square().mean().sqrt()) < 2e-3


def test_gradients_reach_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gradient is that of the inverse, which conjugate gradients to 3e-3 are only near."""
    monkeypatch.setattr(close, "ENOUGH", 1e-10)
    r, y = restorer(dtype=torch.float64), data(count=1, size=14).double()
    weights = noise((1, 3, 14, 14), torch.float64)

    def value(y: Tensor) -> Tensor:
        return (weights * r.solve(y, SHAKEN, 0.02).x).sum()

    leaf, step = y.clone().requires_grad_(), noise(tuple(y.shape), torch.float64)
    value(leaf).backward()
    assert leaf.grad is not None
    slope = float((value(y + 1e-6 * step) - value(y - 1e-6 * step)) / 2e-6)
    assert float((leaf.grad * step).sum()) == pytest.approx(slope, rel=1e-4)


def test_a_callback_can_stop_it() -> None:
    seen: list[int] = []
    found = restorer().solve(data(), SHAKEN, 0.02, callback=lambda state: seen.append(state.iteration))
    assert seen == [1, 2, 3] and found.iterations == 3
    assert restorer().solve(data(), SHAKEN, 0.02, callback=lambda state: False).status is fastip.Status.STOPPED


def test_on_a_device() -> None:
    y = data()
    expected = restorer(dtype=torch.float32).solve(y, SHAKEN, 0.02).x
    with pretended() as gpu:
        found = restorer(dtype=torch.float32).solve(gpu.put(y), SHAKEN, 0.02).x
        assert relative(gpu.get(found), expected) < 1e-4


# ---- what it was trained on ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("op", "level", "message"),
    [
        (operators.Blur(psf.shake(11, 1), boundary="valid"), 0.01, "a psf 11 pixels wide, and at most 9 was trained"),
        (SHAKEN, 0.07, r"noise of 0\.07, and at most 0\.06 was trained on: look at the result"),
    ],
)
def test_what_lies_outside_is_said(op: operators.Operator, level: float, message: str) -> None:
    with pytest.warns(UserWarning, match=message) as caught:
        restorer().solve(data(op), op, level)
    assert len(caught) == 1 and caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Restorer(small(), iterations=3).solve(data(op), op, level)  # it does not know what it was trained on
        restorer().solve(data(), SHAKEN, 0.06)


SHAKE = psf.shake(11, 1)


@pytest.mark.parametrize(
    "op",
    [
        operators.Mask(torch.arange(400).reshape(20, 20) % 3 > 0) @ operators.Blur(SHAKE, boundary="valid"),
        operators.Blur(SHAKE.expand(3, 11, 11), boundary="valid"),
        operators.Blur(SHAKE.expand(2, 1, 11, 11), boundary="circular"),
        operators.Blur(SHAKE, boundary="reflect"),
    ],
    ids=["mask", "channels", "images", "reflect"],
)
def test_the_psf_is_seen_wherever_it_stands(op: operators.Operator) -> None:
    assert KNOWN.outside(op, 0.01) == "a psf 11 pixels wide, and at most 9"
    assert Distribution(0.06, 11).outside(op, 0.01) is None


# ---- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [None, torch.float16])
def test_it_travels(tmp_path, dtype) -> None:
    r, path, y = restorer(memory="1GB"), tmp_path / "r.safetensors", data()
    again = pickle.loads(pickle.dumps(r))
    assert torch.equal(again.solve(y, SHAKEN, 0.02).x, r.solve(y, SHAKEN, 0.02).x) and again.memory == 10**9
    fastip.save_restorer(path, r, training={"steps": 3}, dtype=dtype)
    loaded = fastip.load_restorer(path, memory="2GB", dtype=torch.float32)
    assert loaded.iterations == 3 and loaded.trained == KNOWN and loaded.memory == 2 * 10**9
    assert checkpoint.read_record(path, "restorer")["training"] == {"steps": 3}
    kept = {name: value if dtype is None else value.to(dtype).float() for name, value in r.net.state_dict().items()}
    assert all(torch.equal(value, kept[name]) for name, value in loaded.net.state_dict().items())
    assert not any(p.requires_grad for p in loaded.net.parameters())


@pytest.mark.parametrize("broken", [{"iterations": 0}, {"iterations": "6"}, {"trained": {"noise": 1}}, {"trained": 5}])
def test_a_damaged_record_is_refused(tmp_path, broken) -> None:
    path, r = tmp_path / "r.safetensors", restorer()
    record = {"net": {"name": "PixelShuffleAutoencoder", "config": r.net.config()}, "iterations": 3, "trained": None}
    checkpoint.write(path, "restorer", r.net.state_dict(), record | broken)
    with pytest.raises(InvalidInput, match="does not say what the restorer is"):
        fastip.load_restorer(path)
    checkpoint.write(path, "restorer", r.net.state_dict(), record)
    assert fastip.load_restorer(path).trained is None
    with pytest.raises(InvalidInput, match="prior"):
        fastip.load_prior(path)


def test_a_network_of_ones_own_is_not_saved(tmp_path) -> None:
    class Own(nets.PixelShuffleAutoencoder):
        pass

    own = Restorer(Own(widths=(4, 6), blocks=(1, 0)), iterations=2)
    with pytest.raises(InvalidInput, match="the net is Own"):
        fastip.save_restorer(tmp_path / "r.safetensors", own)


# ---- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (-0.1, "noise"),
        (2.0, "divide grey levels by 255"),
        (float("nan"), "noise"),
        ([0.1], "noise has 1 numbers for 2 pictures"),
        ([0.1, -0.1], "noise"),
    ],
)
def test_noise_that_cannot_be(given, message) -> None:
    with pytest.raises(InvalidInput, match=message):
        restorer().solve(data(), SHAKEN, given)


def test_noise_that_cannot_be_estimated() -> None:
    y = data(size=14)  # 8 x 8 data
    with pytest.raises(InvalidInput, match="noise is not given and cannot be estimated: .*; give noise="):
        restorer().solve(y, SHAKEN)
    assert restorer().solve(y, SHAKEN, 0.01).x.shape == (2, 3, 14, 14)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"net": torch.nn.Identity()}, "expected a network of fastip.nets"),
        ({"iterations": 0}, "iterations"),
        ({"trained": "photographs"}, "expected a fastip.restorer.Distribution"),
        ({"memory": "much"}, "memory"),
        ({"dtype": torch.int8}, "dtype"),
    ],
)
def test_what_is_no_restorer(options, message) -> None:
    with pytest.raises(InvalidInput, match=message):
        Restorer(**({"net": small()} | options))


def test_misspelt_keywords() -> None:
    with pytest.raises(UnknownKeyword):
        restorer().solve(data(), SHAKEN, noice=0.1)
    for bad in ({"noise": -1.0, "width": 3}, {"noise": 0.1, "width": 0}):
        with pytest.raises(InvalidInput):
            Distribution(**bad)


def test_its_data_step_is_exact_or_close_from_the_first_iteration_on() -> None:
    """A structure where there is one, else conjugate gradients, with a preconditioner where a window is stated."""
    r = restorer()
    strided = operators.Blur(psf.shake(7, 3), stride=2, boundary="valid")
    mirrored = operators.Blur(psf.shake(7, 3), boundary="reflect")
    steps = [r.inverse(op).bind(op, data(op, size=size), 0.1) for op, size in ((SHAKEN, 30), (strided, 31))]
    assert all("circulant preconditioner" in step.describe() for step in steps)
    plain = r.inverse(mirrored).bind(mirrored, data(mirrored), 0.1).describe()
    assert "conjugate gradients" in plain and "circulant" not in plain
    assert "exact" in r.inverse(HALF).bind(HALF, data(HALF), 0.1).describe()
