"""What a callback sees of a solve, and how it stops one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..contracts import Status
from ..stopping import StopRule, relative_change


@dataclass(frozen=True)
class State:
    """What a callback sees after an iteration.

    Attributes:
        iteration: Its number, from 1.
        x: The new image, b c h w.
        residuals: The two ratios of the stop rule, 2 x b.
    """

    iteration: int
    x: Tensor
    residuals: Tensor


Callback = Callable[[State], bool | None]


def look(
    rule: StopRule,
    callback: Callback | None,
    iteration: int,
    x: Tensor,
    x_new: Tensor,
    r: Tensor,
    norm: Callable[[Tensor], Tensor],
) -> Status | None:
    """A status when the solve is over after this iteration, else None.

    ``norm`` gives the data ratio of ``r``; the callback stops by returning False.
    """
    due = rule.due(iteration)
    if not due and callback is None:
        return None
    ratios = torch.stack([norm(r), relative_change(x, x_new)])
    verdict = rule.judge(ratios) if due else None
    if callback is not None and callback(State(iteration, x_new, ratios)) is False:
        return verdict or Status.STOPPED
    return verdict
