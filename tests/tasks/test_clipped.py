"""Clipped pixels as a choice of tasks: found in each picture, worth much under a blur; without them nothing changes."""

from __future__ import annotations

import dataclasses
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import fastip
from cases.checks import noise
from fastip import fidelities, inverses, operators, priors, psf, tasks
from fastip.errors import InvalidInput
from fastip.tasks.clipped import clipped_pixels
from fastip.tasks.settings import CLIPPED_BETA, CLIPPED_WARM

PSF = psf.motion(9, angle=30)
INF = float("inf")


def lamps(h: int = 48, w: int = 53, seed: int = 0, channels: int = 3) -> Tensor:
    """A dark wall with patches and lamps of up to three times white, 1 c h w."""
    random = torch.Generator().manual_seed(seed)
    x = torch.full((1, channels, h, w), 0.1)
    for k in range(20):
        i, j = (int(torch.randint(0, n - 6, (1,), generator=random)) for n in (h, w))
        side, value = (9, 0.6) if k < 10 else (6, 2.0 + k / 20)
        x[:, :, i : i + side, j : j + side] = value * torch.rand(1, channels, 1, 1, generator=random).clamp(min=0.6)
    return x


def seen(x: Tensor, boundary: str = "valid", level: float = 0.01) -> tuple[Tensor, Tensor]:
    """What a camera sees of it, and what of it lies under the data."""
    op = operators.Blur(PSF, boundary=boundary)
    y: Tensor = op(x)
    return (y + level * noise(y.shape, seed=1).to(y.dtype)).clamp(0, 1), tasks.under_data(x, op, tuple(y.shape))


def psnr(x: Tensor, truth: Tensor) -> float:
    return float(-10 * (x - truth).square().mean().log10())


# ---- what it is worth ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("boundary", ["natural", "circular"])
@pytest.mark.parametrize("prior", [None, "tv"])
def test_highlights_come_back(prior: str | None, boundary: str) -> None:
    y, truth = seen(lamps(), "circular" if boundary == "circular" else "valid")
    assert 0.1 < float((y >= 1).float().mean()) < 0.3
    plain, auto, limit = (
        fastip.load_task("deblur", psf=PSF, boundary=boundary, prior=prior, clipped=clipped).solve(y).x
        for clipped in ("off", "auto", 1.0)
    )
    assert auto.min() >= 0 and auto.max() <= 1
    for found in (auto, limit):
        assert psnr(found, truth.clamp(0, 1)) > psnr(plain.clamp(0, 1), truth.clamp(0, 1)) + 6
    # not cut off, they come above white
    problem = tasks.get("deblur").problem(psf=PSF, boundary=boundary, prior=prior, clipped="auto", bounded=False)
    whole = problem.solve(y).x
    assert whole[truth > 1.5].mean() > 1.3 and psnr(whole, truth) > psnr(plain, truth) + 3


@pytest.mark.parametrize("prior", ["tv", "l1", "l2", "wavelet"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_is_the_solve_of_the_fidelity(prior: str, dtype: torch.dtype) -> None:
    y = seen(lamps(30, 33, seed=4).to(dtype))[0]
    found = fastip.load_task("deblur", psf=PSF, boundary="valid", prior=prior, weight=2e-3, clipped=0.9).solve(y)
    by_hand = {"tv": priors.TV, "l1": priors.L1, "l2": priors.L2, "wavelet": priors.Wavelet}[prior](2e-3)
    by_hand = by_hand if prior == "wavelet" else by_hand + priors.Box(0.0, INF)
    how: dict[str, Any] = {"fidelity": fidelities.Clipped(high=0.9), "inverse": inverses.Split(), "tolerance": 0.03}
    expected = fastip.admm(y, operators.Blur(PSF, boundary="valid"), by_hand, **how)
    assert torch.equal(found.x, expected.x.clamp(0, 1)) and found.x.dtype == dtype
    assert found.iterations == expected.iterations and expected.x.max() > 1.1
    of_numpy = fastip.load_task("deblur", psf=PSF, boundary="valid", prior=prior, weight=2e-3, clipped=0.9)
    back = of_numpy.solve(y.numpy()).x
    assert isinstance(back, np.ndarray) and np.array_equal(back, found.x)


def test_the_restorer_starts_from_total_variation() -> None:
    y = seen(lamps(seed=2))[0]
    problem = tasks.get("deblur").problem(psf=PSF, boundary="valid", noise=0.01, clipped="auto", bounded=False)
    start = tasks.get("deblur").problem(
        psf=PSF, boundary="valid", noise=0.01, prior="tv", clipped="auto", bounded=False
    )
    restorer = fastip.shipped.restorer("photo")
    expected = fastip.admm(
        *(y, problem.op, restorer.prior(0.01)),
        beta=restorer.beta(0.01),
        inverse=inverses.Split(CLIPPED_BETA, warm=CLIPPED_WARM),
        fidelity=fidelities.Clipped(fidelities.saturated(y)),
        iterations=restorer.iterations,
        tolerance=0,
        init=start.solve(y).x,
    )
    assert torch.equal(problem.solve(y).x, expected.x)


# ---- which pixels ----------------------------------------------------------------------------------------------------


def test_auto_takes_groups_of_white_ones() -> None:
    y = torch.full((2, 1, 12, 13), 0.5)
    y[0, 0, 2:4, 3:5] = 1  # four
    y[0, 0, 8, 1:4] = 1  # three
    y[0, 0, 10, 10] = 1
    found = clipped_pixels(y, "auto")
    assert found is not None and found.sum() == 4 and bool(found[0, 0, 2:4, 3:5].all())
    assert clipped_pixels(y[1:], "auto") is None
    at_least = clipped_pixels(y, 0.5)
    assert at_least is not None and bool(at_least.all())
    # where a picture goes beyond 1, 1 is no limit of it; of the other it is
    y[1, 0, :6] = 1.0
    y[0, 0, 0, 0] = 1.0001
    found = clipped_pixels(y, "auto")
    assert found is not None and not bool(found[0].any()) and found[1].sum() == 6 * 13
    assert clipped_pixels(y, 1.0) is not None


@pytest.mark.parametrize(("depth", "most"), [("uint8", 255), ("uint16", 65535)])
def test_a_limit_is_that_of_the_file(tmp_path: Any, depth: str, most: int) -> None:
    """Grey level k and those above it are those from k / most on, for every k."""
    levels = np.arange(most + 1).reshape(-1, 16 if most < 256 else 256)
    fastip.io.write_image(
        tmp_path / "a.png", torch.from_numpy(levels)[None, None].double() / most, like=fastip.io.Kind(depth)
    )
    y = fastip.io.read_image(tmp_path / "a.png")[0]
    for k in range(1, most + 1) if most < 256 else (1, 2, 3, 77, 4095, 32767, 60000, 65001, 65534, 65535):
        found = clipped_pixels(y, k / most)
        assert found is not None and int(found.sum()) == most + 1 - k, k


def test_values_of_a_file_tell_what_light_does_not() -> None:
    y = seen(lamps(seed=6))[0]
    light = 0.999 * y  # as a curve that ends below 1 leaves it
    problem = fastip.load_task("deblur", psf=PSF, boundary="valid", prior="tv", clipped="auto")
    assert problem.fitted(light).clipped is None
    fitted = problem.fitted(light, values=y)
    assert fitted.clipped is not None and torch.equal(fitted.clipped, fidelities.saturated(y))
    assert fitted.clipped_share == pytest.approx(float(fidelities.saturated(y).float().mean()))


# ---- where there are none, and batches -------------------------------------------------------------------------------

CHOSEN: tuple[dict[str, Any], ...] = (
    {},
    {"noise": 0.02},
    {"prior": "tv"},
    {"prior": "tv", "noise": 0.02},
    {"weight": 1e-3},
)


@pytest.mark.parametrize("chosen", CHOSEN)
@pytest.mark.parametrize("name", ["deblur", "denoise", "inpaint", "sr2"])
def test_without_clipped_pixels_nothing_changes(name: str, chosen: dict[str, Any]) -> None:
    own: dict[str, dict[str, Any]] = {"deblur": {"psf": PSF}, "inpaint": {"mask": torch.eye(20, 23) < 0.5}}
    y = 0.98 * torch.rand(2, 3, 20, 23, generator=torch.Generator().manual_seed(3))
    y[0, 0, 3, 4] = 1.0  # an ordinary one
    expected = fastip.load_task(name, **own.get(name, {}), **chosen).solve(y)
    found = fastip.load_task(name, **own.get(name, {}), **chosen, clipped="auto").solve(y)
    assert torch.equal(found.x, expected.x) and found.iterations == expected.iterations
    fitted = fastip.load_task(name, **own.get(name, {}), **chosen, clipped="auto").fitted(y[:1])
    assert fitted.clipped_share == 0 and fitted.clipped is None and fitted.before is None and not fitted.held


@pytest.mark.parametrize("chosen", [CHOSEN[k] for k in (0, 3, 4)])
def test_pictures_of_a_batch_are_alone(chosen: dict[str, Any]) -> None:
    y = torch.cat(
        [seen(lamps(28, 31, seed=7))[0], 0.9 * seen(lamps(28, 31, seed=8))[0], seen(lamps(28, 31, seed=9))[0]]
    )
    problem = fastip.load_task("deblur", psf=PSF, **chosen, clipped="auto")
    off = fastip.load_task("deblur", psf=PSF, **chosen)
    together = problem.solve(y)
    for k in range(3):
        assert torch.equal(together.x[k : k + 1], problem.solve(y[k : k + 1]).x)
    assert torch.equal(together.x[1:2], off.solve(y[1:2]).x) and not torch.equal(together.x[:1], off.solve(y[:1]).x)
    assert together.x.shape == y.shape and together.residuals.shape[2] == 3


def test_hidden_pixels_are_not_looked_at() -> None:
    y = torch.rand(2, 3, 24, 26, generator=torch.Generator().manual_seed(1)) * 0.9
    y[..., 5:8, 5:8] = 1.0
    masks = torch.ones(2, 1, 24, 26)
    masks[0, 0, 2:7], masks[1, 0, 12:15] = 0, 0
    for prior in ("tv", None):
        problem = fastip.load_task("inpaint", mask=masks, prior=prior, clipped="auto")
        expected = problem.solve(torch.where(masks > 0, y, 0.3)).x
        for hidden in (float("nan"), 1.0, 7.0):
            assert torch.equal(problem.solve(torch.where(masks > 0, y, hidden)).x, expected)
    # of the first picture a row of three is left, which is no group; of the second all nine
    one, other = (fastip.load_task("inpaint", mask=masks[k : k + 1], prior="tv", clipped="auto") for k in (0, 1))
    assert one.fitted(y[:1]).clipped_share == 0
    assert other.fitted(y[1:]).clipped_share == pytest.approx(9 / (21 * 26))


@pytest.mark.parametrize("prior", [None, "tv", "wavelet"])
@pytest.mark.parametrize("name", ["deblur", "denoise", "inpaint"])
def test_all_of_it_clipped(name: str, prior: str | None) -> None:
    own: dict[str, dict[str, Any]] = {"deblur": {"psf": PSF}, "inpaint": {"mask": torch.ones(1, 1)}}
    for size in ((1, 1), (2, 2), (1, 5), (17, 16)) if prior != "wavelet" else ((8, 9),):
        y = torch.ones(1, 1, *size)
        chosen = own.get(name, {}) | ({"mask": torch.ones(size)} if name == "inpaint" else {})
        problem = fastip.load_task(name, **chosen, prior=prior, clipped="auto")
        assert problem.fitted(y).clipped_share == (size != (1, 1))  # one pixel is no group
        x = problem.solve(y).x
        assert x.shape == y.shape and x.min() > 0.99 and x.max() <= 1.005


# ---- as all problems -------------------------------------------------------------------------------------------------


def test_it_can_be_pickled_replaced_and_reported() -> None:
    y = seen(lamps(24, 25))[0]
    problem = fastip.load_task("deblur", psf=PSF, clipped="auto")
    x = problem.solve(y).x
    assert torch.equal(pickle.loads(pickle.dumps(problem)).solve(y).x, x)
    fitted = problem.fitted(y)
    assert torch.equal(pickle.loads(pickle.dumps(fitted)).solve(y).x, x) and torch.equal(fitted.solve(y).x, x)
    said: list[int] = []
    assert torch.equal(problem.solve(y, report=said.append).x, x) and said == list(range(1, problem.iterations + 1))
    own = dataclasses.replace(
        fastip.load_task("deblur", psf=PSF, clipped="auto", prior="tv"), iterations=3, tolerance=0
    )
    assert own.solve(y).iterations == 3 and own.fitted(y).clipped is not None


REFUSED: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("deblur", {"clipped": 1.5}, "clipped is 1.5; expected a limit above 0 and at most 1.*1.5/255"),
    ("deblur", {"clipped": 0}, "clipped is 0; expected a limit above 0"),
    ("deblur", {"clipped": -0.1}, "clipped is -0.1; expected a limit above 0"),
    ("deblur", {"clipped": float("nan")}, "clipped is nan; expected a finite number"),
    ("deblur", {"clipped": True}, "clipped is True; expected 'auto', 'off', or the value"),
    ("deblur", {"clipped": "atuo"}, "there is no choice of clipped pixels 'atuo': did you mean 'auto'"),
    ("deblur", {"clipped": torch.ones(3)}, "clipped is"),
    (
        "deblur",
        {"clipped": "auto", "boundary": "reflect"},
        "boundary is 'reflect'; expected natural, circular or valid",
    ),
    ("deblur", {"clipped": 0.9, "boundary": "zero"}, "boundary is 'zero'; expected natural, circular or valid"),
    ("deblur", {"clipped": 0.9, "inverse": "exact"}, "'split' alone can use, and inverse is 'exact'"),
    ("upscale", {"clipped": "auto", "factor": 2}, "task 'upscale' cannot use it"),
    ("upscale", {"clipped": "auto", "factor": 2, "method": "area"}, "task 'upscale' cannot use it"),
    ("photo-sr4", {"clipped": "auto"}, "clipped is given, and task 'photo-sr4' has none"),
    ("digits-cs100", {"clipped": 0.9}, "clipped is given, and task 'digits-cs100' is for measurements"),
)


@pytest.mark.parametrize(("name", "chosen", "message"), REFUSED)
def test_refusals(name: str, chosen: dict[str, Any], message: str) -> None:
    own = {"psf": PSF} if name == "deblur" else {}
    with pytest.raises(InvalidInput, match=message):
        tasks.get(name).problem(**own, **chosen)


def test_off_is_none_for_every_task() -> None:
    assert tasks.Choice(clipped="off") == tasks.Choice() and tasks.Choice(clipped=np.float32(0.5)).clipped == 0.5
    for name in ("upscale", "digits-cs100"):
        tasks.get(name).check(tasks.Choice(clipped="off", factor=2 if name == "upscale" else None))
    for inverse in ("auto", "split"):
        tasks.get("deblur").check(tasks.Choice(psf=PSF, clipped="auto", inverse=inverse))
