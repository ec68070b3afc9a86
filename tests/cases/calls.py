"""Random calls of ``admm``: whatever a user might pass, good and bad, by a seed.

A call is *ordinary* where nothing in it is extreme (scales near 1, weights and beta within their usual decades): the
compiled kernels must then agree with the formulas.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from fastip import fidelities, inverses, operators, priors

Choice = TypeVar("Choice")
BOUNDARIES = ("circular", "zero", "valid", "reflect")
NUMBERS = (0.0, -1.0, math.nan, math.inf, 5e-324, 1e-300, 1e300, "0.1", None, True, np.float32(0.3))


@dataclass
class Call:
    """Arguments of one call; ``low`` and ``high``: the box that its prior keeps."""

    y: Any
    op: Any
    prior: Any
    keywords: dict[str, Any]
    low: float = -math.inf
    high: float = math.inf
    ordinary: bool = True
    images: list[Tensor] = field(default_factory=list)  # all tensors that must come back unchanged


class Draw:
    """The random parts of calls."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng([seed, 17])
        self.ordinary = True

    def one(self, *choices: Choice) -> Choice:
        return choices[self.random.integers(len(choices))]

    def often(self, probability: float) -> bool:
        return bool(self.random.random() < probability)

    def count(self, low: int, high: int) -> int:
        return int(self.random.integers(low, high + 1))

    def normal(self, *shape: int) -> Tensor:
        return torch.from_numpy(self.random.standard_normal(shape))

    def side(self) -> int:
        """Of an image: what strides divide, mostly."""
        return self.one(8, 12, 16, self.count(1, 20))

    def scale(self) -> float:
        """1, mostly; sometimes what over- or underflows."""
        if self.often(0.9):
            return 1.0
        self.ordinary = False
        return 10 ** self.random.uniform(-30, 30)

    def number(self, low: float, high: float) -> Any:
        """A number between 10^low and 10^high; rarely anything."""
        if self.often(0.06):
            self.ordinary = False
            return NUMBERS[self.random.integers(len(NUMBERS))]
        return 10 ** self.random.uniform(low, high)

    def blur(self) -> operators.Operator:
        kh, kw = self.count(1, 7), self.count(1, 7)
        taps = self.normal(kh, kw)
        if self.often(0.6):
            taps = taps.abs() / taps.abs().sum()
        if self.often(0.2):
            taps = taps * (torch.from_numpy(self.random.random((kh, kw))) < 0.5)
        if self.often(0.2):
            taps = taps[:1].T @ taps[:1]
        return operators.Blur(taps * self.scale(), stride=self.count(1, 4), boundary=self.one(*BOUNDARIES))

    def operator(self, c: int, side: tuple[int, int]) -> operators.Operator:
        h, w = side
        mask = (self.normal(1, 1, h, w) > self.random.uniform(-1.5, 1.0)).double()
        if self.often(0.6):
            return self.blur()
        kinds: tuple[Callable[[], operators.Operator], ...] = (
            lambda: operators.Mask(mask),
            lambda: operators.Mask(mask) @ self.blur(),
            lambda: operators.Blur(self.normal(3, 3), boundary="circular") @ operators.Mask(mask),
            lambda: operators.Identity(),
            lambda: operators.ToGray() if c == 3 else operators.Identity(),
            lambda: operators.Downsample(self.count(1, 4)),
            lambda: operators.Dense(self.normal(self.count(1, 12), c * h * w), image_shape=(c, h, w)),
            lambda: operators.MaskedFourier(mask[0, 0] > 0),
            lambda: operators.Stack([self.blur(), operators.Identity()]),
            lambda: 10 ** self.random.uniform(-2, 2) * self.blur(),
            lambda: self.blur().T,
        )
        return kinds[self.random.integers(len(kinds))]()

    def prior(self, c: int, call: dict[str, float]) -> priors.Prior:
        weight = self.number(-4, 0)
        kinds: tuple[Callable[[], priors.Prior], ...] = (
            lambda: priors.L1(weight),
            lambda: priors.L2(weight),
            lambda: priors.ElasticNet(weight, self.number(-4, 0)),
            lambda: priors.TV(weight),
            lambda: priors.AnisotropicTV(weight, steps=self.count(1, 6)),
            lambda: priors.Wavelet(weight, self.one("haar", "db4"), levels=self.count(1, 3)),
            lambda: priors.L1(torch.rand(1, c if self.often(0.9) else 4, 1, 1)),
            lambda: priors.NonNegative(),
            lambda: priors.Box(-0.2, 0.7),
        )
        index = int(self.random.integers(len(kinds)))
        found = kinds[index]()
        if index == len(kinds) - 1:
            call.update(low=-0.2, high=0.7)
        elif index == len(kinds) - 2:
            call.update(low=0.0)
        elif self.often(0.05 if isinstance(found, priors.Wavelet) else 0.3):
            found = found + priors.Box(0.0, 1.0)
            call.update(low=0.0, high=1.0)
        return found

    def fidelity(self, shape: tuple[int, ...]) -> Any:
        return self.one(
            fidelities.Squares(),
            fidelities.Squares(self.number(-2, 2)),
            fidelities.Squares(self.normal(*shape).abs()),
            fidelities.Clipped(self.number(-1, 1)),
            fidelities.Poisson(self.number(-2, 1)),
            fidelities.Absolute(self.normal(*shape).abs()),
            fidelities.Huber(self.number(-2, 0)),
            fidelities.Clipped(low=self.normal(*shape) > 0.8),
            fidelities.Clipped(high=0.4, low=-0.3) if self.often(0.8) else self.one("clipped", fidelities.Clipped),
        )

    def inverse(self) -> Any:
        if self.often(0.5):
            return "auto"
        return self.one(
            inverses.Exact(),
            inverses.Stencil(self.count(0, 3)),
            inverses.ConjugateGradient(maximum=self.count(1, 20)),
            inverses.GradientDescent(self.count(1, 5)),
            inverses.Split(),
            inverses.Exact() if self.often(0.8) else self.one("exact", None),
        )


def call(seed: int) -> Call:
    """The call of this seed; a constructor may refuse what was drawn for it."""
    draw = Draw(seed)
    b, c, side = draw.count(1, 3), draw.one(1, 2, 3), (draw.side(), draw.side())
    op, box = draw.operator(c, side), dict[str, float]()
    prior = draw.prior(c, box)
    truth = draw.normal(b, c, *side) * draw.scale()
    dtype = draw.one(torch.float32, torch.float64)
    y = op(truth)
    y = (y + 0.02 * draw.scale() * torch.randn_like(y)).to(y.dtype if y.is_complex() else dtype)
    if draw.often(0.06):
        wrong = (y[0], y[..., :-1], y.real.half(), y.real.int(), y * math.nan, y.to("meta"), "y")
        y = wrong[draw.random.integers(len(wrong))]
        draw.ordinary = False
    keywords: dict[str, Any] = {"iterations": draw.count(1, 40), "inverse": draw.inverse()}
    keywords["tolerance"] = draw.one(0, 0, 1e-2, 1e-3, draw.number(-8, -1))
    if draw.often(0.7):
        keywords["beta"] = draw.number(-3, 1) if draw.often(0.8) else [draw.number(-2, 0) for _ in range(3)]
    if draw.often(0.3):
        keywords["relaxation"] = draw.one(0.7, 1.0, 1.6, 1.9, draw.number(-1, 0.4))
    if draw.often(0.25):
        keywords["init"] = (truth * draw.scale()).to(dtype)
        if draw.often(0.1):
            keywords["init"] = draw.one(keywords["init"][..., :-1], keywords["init"].int(), 3.0)
    if draw.often(0.02):
        keywords["weight"] = 1
    if draw.often(0.1):
        keywords["fidelity"] = draw.fidelity(tuple(y.shape)[-2:] if isinstance(y, Tensor) else (1, 1))
    if (
        draw.often(0.1)
        and isinstance(y, Tensor)
        and y.dtype in (torch.float32, torch.float64)
        and y.device.type == "cpu"
    ):
        y = y.numpy()
    kept = [t for t in (y, keywords.get("init")) if isinstance(t, Tensor) and not t.is_meta]
    return Call(y, op, prior, keywords, **box, ordinary=draw.ordinary, images=kept)  # type: ignore[arg-type]
