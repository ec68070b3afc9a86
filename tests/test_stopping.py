"""The stop rule.

Every image and both ratios must pass, checks come every five iterations, and only a residual that grows above ||y||
is unstable.
"""

import pytest
import torch

from fastip.contracts import Status
from fastip.stopping import EVERY, PATIENCE, StopRule, relative_change


def ratios(data, change):
    return torch.tensor([data, change])


@pytest.mark.parametrize(
    "data, change, expected",
    [
        ([1e-5, 1e-5], [1e-5, 1e-5], Status.CONVERGED),
        ([1e-4, 0.0], [0.0, 1e-4], Status.CONVERGED),
        ([1e-5, 2e-4], [1e-5, 1e-5], None),
        ([1e-5, 1e-5], [2e-4, 1e-5], None),
        ([float("nan"), 1e-5], [1e-5, 1e-5], Status.UNSTABLE),
        ([1e-5, 1e-5], [1e-5, float("inf")], Status.UNSTABLE),
    ],
)
def test_every_image_and_both_ratios_count(data, change, expected):
    assert StopRule(1e-4, 100).judge(ratios(data, change).double()) is expected


def test_checks_come_every_few_iterations_and_at_the_last():
    assert [k for k in range(1, 13) if StopRule(1e-4, 12).due(k)] == [EVERY, 2 * EVERY, 12]
    assert not any(StopRule(0.0, 12).due(k) for k in range(1, 13))


@pytest.mark.parametrize("start, expected", [(1.5, Status.UNSTABLE), (0.01, None)])
def test_growth_is_unstable_only_above_the_data(start, expected):
    rule = StopRule(1e-6, 1000)
    verdicts = [rule.judge(ratios([0.5, start * 1.05**k], [0.1, 0.1])) for k in range(PATIENCE // EVERY + 1)]
    assert verdicts[:-1] == [None] * (PATIENCE // EVERY) and verdicts[-1] is expected
    assert rule.residuals(2).shape == (PATIENCE // EVERY + 1, 2, 2)


def test_a_residual_that_falls_between_starts_the_count_again():
    rule = StopRule(1e-6, 1000)
    assert all(rule.judge(ratios([value], [0.1])) is None for value in (2.0, 2.1, 2.2, 2.3, 2.0, 2.1, 2.2, 2.3))


def test_relative_change():
    x, new = torch.tensor([[3.0, 4.0], [0.0, 0.0], [0.0, 0.0]]), torch.tensor([[3.0, 4.0], [0.0, 2.0], [0.0, 0.0]])
    torch.testing.assert_close(relative_change(x, new), torch.tensor([0.0, 1.0, 0.0]))
