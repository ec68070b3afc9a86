"""Restorer: one trained network, through a few iterations of ``admm``, for any known operator and noise."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from . import nets
from .arrays import as_tensor, check_count, check_number
from .contracts import LinearOperator
from .errors import InvalidInput, StrictKeywords, brief, strict_keywords
from .inverses.close import Close
from .noise import noise_level
from .priors import PlugAndPlay, Schedule, schedule
from .priors import memory as bounds
from .solution import Solution
from .solvers.admm import admm
from .solvers.monitor import Callback

ITERATIONS = 6  # eight of an untuned denoiser gain 0.1 dB on camera shake, and take a third longer


@dataclass(frozen=True)
class Distribution:
    """The problems that a restorer was trained on.

    Attributes:
        noise: The largest standard deviation of the noise in the data, images in [0, 1].
        width: Pixels a side of the widest psf.
        words: What else there was, for people.
    """

    noise: float
    width: int
    words: str = ""

    def __post_init__(self) -> None:
        check_number(self.noise, "noise", low=0.0)
        check_count(self.width, "width", low=1)

    def outside(self, op: LinearOperator, noise: float) -> str | None:
        """What lies outside it, in words; None for a problem inside."""
        window = op.window()
        convolution = op.convolution() if window is None else window.convolution
        wide = 0 if convolution is None else max(convolution.psf.shape[-2:])
        if wide > self.width:
            return f"a psf {wide} pixels wide, and at most {self.width}"
        if noise > self.noise:
            return f"noise of {noise:.3g}, and at most {self.noise:g}"
        return None


class Restorer(StrictKeywords):
    """One network for every operator and noise: the prior of a few iterations of ``admm`` that it was tuned through.

    As in ``x = fastip.shipped.restorer("photo").solve(y, op).x``, or, where more is to be chosen, by its parts::

        r, noise = fastip.shipped.restorer("photo"), 0.01
        how = {"beta": r.beta(noise), "iterations": r.iterations, "inverse": r.inverse(op)}
        x = fastip.admm(y, op, r.prior(noise), tolerance=0, **how).x

    The levels of the network and the betas are those of ``priors.schedule(noise, steps=r.iterations)``.

    Args:
        net: A network of ``fastip.nets`` that takes noise away and sees no data, as for ``priors.PlugAndPlay``.
        iterations: Those that it was tuned through.
        trained: The problems of its training; others get a warning. None gives none.
        memory: Bytes that the network may take beside the solve, or a text such as "800MB"; larger images go through
            it in tiles.
        dtype: Of the network's weights; None is bfloat16 where the device computes with it natively, else float32.

    Raises:
        InvalidInput: For another net, iterations, trained, memory or dtype.
    """

    def __init__(
        self,
        net: nets.PriorNet,
        *,
        iterations: int = ITERATIONS,
        trained: Distribution | None = None,
        memory: int | str = bounds.DEFAULT,
        dtype: torch.dtype | None = None,
    ) -> None:
        self.iterations = check_count(iterations, "iterations", low=1)
        if trained is not None and not isinstance(trained, Distribution):
            raise InvalidInput(f"trained is {brief(trained)}; expected a fastip.restorer.Distribution, or None")
        self.net, self.trained, self.memory, self.dtype = net, trained, bounds.parse(memory), dtype
        self.prior(0.01)  # refuses what is no such network

    @strict_keywords
    def schedule(self, noise: float) -> Schedule:
        """Its levels and betas for this noise, ``priors.schedule(noise, steps=self.iterations)``."""
        return schedule(noise, steps=self.iterations)

    @strict_keywords
    def prior(self, noise: float) -> PlugAndPlay:
        """The prior for data with this noise.

        Args:
            noise: Its standard deviation, images in [0, 1]; below 1/255 it counts as 1/255.

        Returns:
            The prior, for one solve of ``iterations``.

        Raises:
            InvalidInput: For a noise that is negative, no number or above 1.
        """
        return PlugAndPlay(self.net, schedule=self.schedule(noise), memory=self.memory, dtype=self.dtype)

    @strict_keywords
    def beta(self, noise: float) -> tuple[float, ...]:
        """The penalty of each iteration for data with this noise, as for :meth:`prior`."""
        return self.schedule(noise).betas

    @strict_keywords
    def inverse(self, op: LinearOperator) -> Close:
        """The data step for this operator: exact where it states a structure, else conjugate gradients to 3e-3.

        Args:
            op: The operator.

        Returns:
            What to give ``admm`` as inverse.
        """
        return Close()

    @strict_keywords
    def solve(self, y: Any, op: LinearOperator, noise: Any = None, *, callback: Callback | None = None) -> Solution:
        """Restore: ``iterations`` of ``admm``, each picture with the schedule of its own noise.

        Args:
            y: Data b c h w of images in [0, 1], as for ``admm``; grey or colour.
            op: The operator A.
            noise: The standard deviation of the noise in y, a number or one for each picture, shape (b,). None: that
                which :func:`fastip.noise_level` finds in each. Pictures with different noise are solved one by one, so
                none depends on its batch.
            callback: As for ``admm``.

        Returns:
            The solution; its beta is None where pictures had different ones.

        Raises:
            InvalidInput: For bad data and noise, and where no noise is given and none can be estimated.
        """
        given, back = as_tensor(y, "y")
        levels = _levels(given, noise)
        self._warn(op, max(levels, default=0.0))
        if len(set(levels)) <= 1:
            return self._admm(y, op, levels[0] if levels else 0.0, callback)
        parts = [self._admm(given[k : k + 1], op, level, callback) for k, level in enumerate(levels)]
        return _joined(parts, back)

    def _admm(self, y: Any, op: LinearOperator, noise: float, callback: Callback | None) -> Solution:
        prior = self.prior(noise)
        how: dict[str, Any] = {"beta": prior.schedule.betas, "iterations": self.iterations, "tolerance": 0}
        return admm(y, op, prior, inverse=self.inverse(op), callback=callback, **how)

    def _warn(self, op: LinearOperator, noise: float) -> None:
        outside = None if self.trained is None else self.trained.outside(op, noise)
        if outside is not None:
            warnings.warn(
                f"the restorer is given {outside} was trained on: look at the result, or use total variation",
                stacklevel=4,
            )


def _levels(y: Tensor, noise: Any) -> list[float]:
    """The noise of each picture."""
    if noise is None:
        try:
            found: Tensor = noise_level(y.detach())
        except InvalidInput as error:
            raise InvalidInput(f"noise is not given and cannot be estimated: {error}; give noise=") from None
        return [float(level) for level in found.tolist()]
    count = len(y) if y.ndim else 1
    if isinstance(noise, Tensor):
        noise = noise.detach().cpu().numpy()
    values = np.asarray(noise).reshape(-1).tolist() if isinstance(noise, (np.ndarray, list, tuple)) else [noise] * count
    if len(values) != count:
        raise InvalidInput(f"noise has {len(values)} numbers for {count} pictures; expected one, or one for each")
    return [check_number(value, "noise", low=0.0) for value in values]


def _joined(parts: list[Solution], back: Any) -> Solution:
    """One solution of pictures that were solved one by one."""
    first = parts[0]
    status = max((part.status for part in parts), key=lambda status: status.name == "UNSTABLE")
    q = None if first.q is None else torch.cat([part.q for part in parts])
    residuals = torch.cat([part.residuals for part in parts], dim=-1)
    beta = first.beta if len({part.beta for part in parts}) == 1 else None
    x = back(torch.cat([part.x for part in parts]))
    return Solution(x, q, status, first.iterations, residuals, beta, first.prior_state)
