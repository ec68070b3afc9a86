"""How much noise the data have: as it was given, else as the picture shows, else a stated default."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ..arrays import check_number
from ..errors import InvalidInput
from ..noise import noise_level

# Where a picture tells no noise. Total variation on validation photographs loses 1.7, 1.0, 0.1, 0.1, 1.0 and 4.3 dB
# by it at noise 0.3, 1, 2.55, 5, 7.65 and 15 of 255; 0.01 loses 1.3, 0.5, 0, 0.8, 2.3 and 6.1.
ASSUMED = 0.015
GIVEN, ESTIMATED, DEFAULT = "given", "estimated", "assumed"


@dataclass(frozen=True)
class Level:
    """A standard deviation and where it comes from.

    Attributes:
        value: In units of [0, 1].
        source: "given", "estimated" or "assumed".
    """

    value: float
    source: str

    def __str__(self) -> str:
        return f"{self.value:.2g}" + ("" if self.source == GIVEN else f" {self.source}")


def check_noise(noise: Any) -> float:
    """``noise`` as a standard deviation in units of [0, 1], else InvalidInput with the advice to divide."""
    value = check_number(noise, "noise", low=0.0)
    if value >= 1:
        raise InvalidInput(
            f"noise is {value:g}; expected its standard deviation in units of [0, 1], below 1: "
            f"that of grey levels from 0 to 255 is divided by 255, {value:g}/255"
        )
    return value


def level_of(picture: Tensor) -> Level:
    """The noise of one picture 1 c h w, NaN where nothing is known of it.

    Assumed where :func:`fastip.noise_level` cannot tell: below 16 x 16 pixels, nearly all of it hidden, black or white.
    """
    try:
        value = float(noise_level(picture))
    except InvalidInput:
        return Level(ASSUMED, DEFAULT)
    return Level(value, ESTIMATED) if math.isfinite(value) else Level(ASSUMED, DEFAULT)
