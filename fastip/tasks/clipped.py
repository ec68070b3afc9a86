"""Clipped pixels: how they are asked for, and where they are."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from ..arrays import check_number
from ..errors import InvalidInput, brief, closest
from ..fidelities import saturated

AUTO, OFF = "auto", "off"


def check_clipped(clipped: Any) -> str | float | None:
    """``clipped`` as "auto" or as a limit in (0, 1], None where it is "off" or None; else InvalidInput."""
    if clipped is None or isinstance(clipped, str):
        known = None if clipped is None else closest(clipped, (AUTO, OFF), "choice of clipped pixels")
        return None if known == OFF else known
    if isinstance(clipped, (bool, np.bool_)):
        raise InvalidInput(f"clipped is {brief(clipped)}; expected 'auto', 'off', or the value of a limit such as 0.98")
    value = check_number(clipped, "clipped")
    if not 0 < value <= 1:
        raise InvalidInput(
            f"clipped is {value:g}; expected a limit above 0 and at most 1, in units of [0, 1]: "
            f"that of grey levels from 0 to 255 is divided by 255, {value:g}/255"
        )
    return value


def clipped_pixels(y: Tensor, limit: str | float) -> Tensor | None:
    """Where the data say "at least this"; None for nowhere.

    Args:
        y: The data, b c h w.
        limit: "auto": those of 1 in groups of four and more, in pictures without larger values, of which 1 is no limit.
            A number: those from there on.

    Returns:
        A boolean mask of the shape of y, or None.
    """
    if isinstance(limit, str):
        mask: Tensor = saturated(y) & ~(y > 1).flatten(1).any(dim=1).view(-1, 1, 1, 1)
    else:
        mask = y >= limit
    return mask if bool(mask.any()) else None
