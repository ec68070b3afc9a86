"""The classical priors that trained projectors are measured against."""

from __future__ import annotations

import pytest
import torch

import fastip
from cases.generators import pictures
from fastip import priors
from fastip.experiments.generative import projector_tasks


@pytest.mark.parametrize("weight", [1e-2, 3e-5])
def test_total_variation_comes_to_its_minimum_in_a_hole(weight: float) -> None:
    """The objective against that of ten times as many iterations with another beta.

    It is less than 0.1 % above it, however small the weight.
    """
    truth, op = pictures().batch(range(2)), projector_tasks.hole(28, 16).op
    y, prior = op(truth), priors.TV(weight)

    def objective(x: torch.Tensor) -> float:
        return float((y - op(x)).double().square().sum() + prior.value(x.double()).sum())

    least = objective(fastip.admm(y, op, prior + priors.Box(0, 1), beta=3 * weight, iterations=10_000, tolerance=0).x)
    assert objective(projector_tasks.variation(y, op, weight)) < 1.001 * least
