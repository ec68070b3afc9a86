"""The penalty as an input of a network: positive gains on its channels that depend on log beta."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..arrays import check_number
from ..errors import InvalidInput

Range = tuple[float, float]


def check_range(beta_range: Sequence[float] | None) -> Range | None:
    """``beta_range`` as (low, high), refused unless 0 < low < high."""
    if beta_range is None:
        return None
    if len(beta_range) != 2:
        raise InvalidInput(f"beta_range is {tuple(beta_range)}; expected two numbers (low, high)")
    low, high = (check_number(value, "beta_range", low=0.0, strict=True) for value in beta_range)
    if not low < high:
        raise InvalidInput(f"beta_range is {(low, high)}; expected low < high: for a single beta leave beta_range out")
    return low, high


class BetaGains(nn.Module):
    """One positive gain for each channel of each layer, as a function of beta; all are 1 at first.

    exp(MLP(t)), t = log beta scaled to [-1, 1] over ``beta_range``. Called with beta (n,) it returns one tensor
    (n, width, 1, 1) for each layer.

    Args:
        widths: Channels of each layer.
        beta_range: (low, high).
        hidden: Units of both hidden layers: more follow a sharper dependence on beta, and are more weights to train.
    """

    def __init__(self, widths: Sequence[int], beta_range: Range, hidden: int = 32) -> None:
        super().__init__()
        self.widths = tuple(widths)
        low, high = math.log(beta_range[0]), math.log(beta_range[1])
        self.middle, self.span = (low + high) / 2, (high - low) / 2
        self.first, self.second, self.last = (
            nn.Linear(1, hidden),
            nn.Linear(hidden, hidden),
            nn.Linear(hidden, sum(self.widths)),
        )
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, beta: Tensor) -> list[Tensor]:
        """The gains of each layer."""
        t = (beta.log()[:, None] - self.middle) / self.span
        for layer in (self.first, self.second):
            t = torch.tanh(nn.functional.linear(t, layer.weight.to(t), layer.bias.to(t)))
        gains = nn.functional.linear(t, self.last.weight.to(t), self.last.bias.to(t)).exp()
        return [g[:, :, None, None] for g in gains.split(self.widths, dim=1)]


def as_batch(beta: float | Tensor | None, beta_range: Range | None, images: Tensor, name: str) -> Tensor | None:
    """``beta`` as one number per image, (b,), of the dtype of ``images``; None for a network without the input.

    Raises InvalidInput where it is missing.
    """
    if beta_range is None:
        return None
    if beta is None:
        raise InvalidInput(
            f"this {name} takes beta as an input, between {beta_range[0]:g} and {beta_range[1]:g}: call net(r, beta)"
        )
    if isinstance(beta, int | float) and beta > 0:
        # Filled in where the images are: a copy would wait for a GPU in each iteration.
        return images.new_full((images.shape[0],), beta)
    values = torch.as_tensor(beta, dtype=images.dtype, device=images.device).reshape(-1)
    if values.numel() not in (1, images.shape[0]) or not bool((values > 0).all()):
        raise InvalidInput(
            f"beta has {values.numel()} values, the smallest {values.min().item():g}; "
            f"expected positive, one or one for each of {images.shape[0]}"
        )
    return values.expand(images.shape[0])


def scaled(v: Tensor, gain: Tensor | None) -> Tensor:
    """v times its gain, where the network has one."""
    return v if gain is None else v * gain
