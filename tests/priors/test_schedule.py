"""The schedule of plug and play: its numbers, its ends, what it refuses, and that any denoiser takes it."""

from __future__ import annotations

import dataclasses
import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch

import fastip
from cases.checks import noise
from fastip import inverses, operators, priors, psf
from fastip.errors import InvalidInput, UnknownKeyword
from fastip.priors.schedule import FIRST, FLOOR, LAST, LEAST, SHARE, between


@pytest.mark.parametrize("level", [0.01, 0.03])
@pytest.mark.parametrize("steps", [2, 8, 13])
def test_levels_fall_on_a_logarithmic_scale_and_betas_follow(level: float, steps: int) -> None:
    plan = priors.schedule(level, steps=steps)
    np.testing.assert_allclose(plan.levels, np.geomspace(FIRST, max(LAST * level, FLOOR), steps), rtol=1e-12)
    np.testing.assert_allclose(plan.betas, SHARE * level**2 / np.square(plan.levels), rtol=1e-12)
    assert len(plan) == len(plan.levels) == len(plan.betas) == steps
    assert all(type(number) is float for number in (*plan.levels, *plan.betas))


def test_numbers_worked_out_by_hand() -> None:
    plan = between(0.2, 0.05, noise=0.1, share=0.4, steps=3)
    np.testing.assert_allclose(plan.levels, (0.2, 0.1, 0.05))
    np.testing.assert_allclose(plan.betas, (0.1, 0.4, 1.6))
    assert between(0.2, 0.05, noise=0.1, share=0.4, steps=1) == priors.Schedule((0.05,), (0.4 * 4,))


def test_noise_below_a_grey_level_counts_as_one() -> None:
    """beta must be > 0, and data without noise were rounded."""
    least = priors.schedule(1 / 255)
    assert LEAST == 1 / 255 and priors.schedule(0) == priors.schedule(0.5 / 255) == least != priors.schedule(1.2 / 255)


def test_numbers_of_all_kinds() -> None:
    plan = priors.schedule(0.01)
    assert priors.schedule(torch.tensor(0.01, dtype=torch.float64)) == priors.schedule(np.float64(0.01)) == plan


@pytest.mark.parametrize("level", [0.05, 0.09, 0.15, 0.3, 1.0])
def test_strong_noise_never_makes_the_levels_rise(level: float) -> None:
    """The last level is not above both the first and the noise."""
    levels = priors.schedule(level).levels
    assert list(levels) == sorted(levels, reverse=True)
    assert levels[0] == max(FIRST, level) and math.isclose(levels[-1], min(LAST * level, max(FIRST, level)))


@pytest.mark.parametrize(
    ("level", "advice"),
    [
        (-0.1, ">= 0"),
        (math.nan, "finite"),
        (math.inf, "finite"),
        ("loud", "number"),
        (None, "number"),
        (2.55, "divide grey levels by 255"),
    ],
)
def test_a_noise_that_is_none(level: object, advice: str) -> None:
    with pytest.raises(InvalidInput, match=f"noise is .*{advice}"):
        priors.schedule(level)


def test_other_refusals() -> None:
    for steps in (0, -1, 2.5, True):
        with pytest.raises(InvalidInput, match="steps is"):
            priors.schedule(0.01, steps=steps)  # type: ignore[arg-type]
    with pytest.raises(UnknownKeyword, match="did you mean 'steps'"):
        priors.schedule(0.01, step=3)  # type: ignore[call-arg]
    for levels, betas in (
        ((), ()),
        ((0.1,), (0.1, 0.2)),
        ((0.0,), (0.1,)),
        ((0.1,), (-1.0,)),
        ((0.1,), (math.nan,)),
        (0.1, 0.2),
        (("a",), (1.0,)),
    ):
        with pytest.raises(InvalidInput, match="level|beta|schedule"):
            priors.Schedule(levels, betas)  # type: ignore[arg-type]


def test_a_schedule_is_a_value() -> None:
    plan = priors.schedule(0.02)
    assert pickle.loads(pickle.dumps(plan)) == plan and hash(plan) == hash(priors.schedule(0.02))
    listed: Any = ([0.2, 0.1], torch.tensor([1.0, 2.0]))
    assert priors.Schedule(*listed) == priors.Schedule((0.2, 0.1), (1.0, 2.0))
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan.levels = (1.0,)  # type: ignore[misc]


def test_any_denoiser_takes_it() -> None:
    """Each iteration has its level and its beta: the solve is one solve an iteration, resumed."""
    plan, seen = priors.schedule(0.02, steps=5), []
    op = operators.Blur(psf.gaussian(5, sigma=1.0).double(), stride=2)
    y = noise((1, 1, 6, 7))

    def denoiser(v: torch.Tensor, level: float) -> torch.Tensor:
        seen.append(level)
        return v / (1 + level)

    prior = priors.Denoiser(denoiser, sigma=plan.levels)
    solution = fastip.admm(y, op, prior, beta=plan.betas, inverse=inverses.Exact(), iterations=len(plan), tolerance=0)
    assert seen == list(plan.levels) and solution.beta == plan.betas[-1]
    resumed = None
    for level, beta in zip(plan.levels, plan.betas, strict=True):
        one = priors.Denoiser(denoiser, sigma=level)
        how: dict[str, Any] = {"beta": beta, "inverse": inverses.Exact(), "iterations": 1, "tolerance": 0}
        resumed = fastip.admm(y, op, one, init=resumed, **how)
    torch.testing.assert_close(solution.x, resumed.x, rtol=0, atol=1e-12)
