"""The schedule of plug and play: the denoiser's level and beta for each iteration, from the noise in the data alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..arrays import check_count, check_number
from ..errors import InvalidInput, strict_keywords

# docs/experiments/photo_prior.md: 144 choices of the four on seven operators (two camera shakes, x 2, x 3, x 4, half
# of the pixels, scratches) with noise of 1, 2.55 and 7.65 of 255, four validation photographs, eight iterations. These
# lose 0.08 dB in the mean and 0.27 dB at most against each problem's own best. The optimum is flat but for two: with
# first 0.2 the mean is 0.1 dB lower, with share 0.35 0.7 dB. No level is above 0.3, the largest that the denoiser was
# trained for.
FIRST, LAST, FLOOR, SHARE = 0.3, 2.2, 0.012, 0.6
LEAST = 1 / 255  # the noise of data that are said to have none: they were rounded to 8 bits, and beta must be > 0


@dataclass(frozen=True)
class Schedule:
    """The levels and betas of a plug-and-play solve; its length is the number of iterations.

    Args:
        levels: What the denoiser is told in each iteration, standard deviations in image units, > 0.
        betas: The solver's, > 0, as many.

    Raises:
        InvalidInput: For none, for different numbers of both, and for any that is not > 0.
    """

    levels: tuple[float, ...]
    betas: tuple[float, ...]

    def __post_init__(self) -> None:
        for name in ("levels", "betas"):
            given = getattr(self, name)
            try:
                numbers = tuple(check_number(value, name, low=0.0, strict=True) for value in given)
            except TypeError:
                raise InvalidInput(f"{name} is {given!r}; expected a number > 0 for each iteration") from None
            object.__setattr__(self, name, numbers)
        if not self.levels or len(self.levels) != len(self.betas):
            given = f"the schedule has {len(self.levels)} levels and {len(self.betas)} betas"
            raise InvalidInput(f"{given}; expected one of each for every iteration")

    def __len__(self) -> int:
        return len(self.levels)


@strict_keywords
def schedule(noise: Any, *, steps: int = 8) -> Schedule:
    """Levels that fall to the noise of the data and the betas that go with them, for a denoiser in ``admm``.

    For k = 0 ... steps - 1 they are::

        level_k = first (last / first)^(k / (steps - 1)),     beta_k = 0.6 noise^2 / level_k^2

    with first = 0.3, last = 2.2 noise and at least 0.012. Where the noise is so strong that last would be above
    first, all levels are the larger one of first and noise. A single step has the level last. Use it as::

        plan = priors.schedule(0.01)
        prior = priors.Denoiser(denoiser, sigma=plan.levels)
        fastip.admm(y, op, prior, beta=plan.betas, iterations=len(plan), tolerance=0)

    Args:
        noise: The standard deviation of the noise in y, images in [0, 1]; below 1/255 it counts as 1/255.
        steps: The number of iterations, >= 1.

    Returns:
        The schedule.

    Raises:
        InvalidInput: For a noise that is negative, no number or above 1 (grey levels: divide them by 255), and for
            less than one step.

    References:
        The logarithmic scale of Zhang, Li, Zuo, Zhang, Van Gool and Timofte, Plug-and-play image restoration with
        deep denoiser prior (DPIR), 2021.
    """
    given = check_number(noise, "noise", low=0.0)
    if given > 1:
        expected = "the standard deviation of the noise where images are in [0, 1]: divide grey levels by 255"
        raise InvalidInput(f"noise is {noise!r}; expected {expected}")
    count, strength = check_count(steps, "steps", low=1), max(given, LEAST)
    last = min(max(LAST * strength, FLOOR), max(FIRST, strength))
    return between(max(FIRST, last), last, noise=strength, share=SHARE, steps=count)


@strict_keywords
def between(first: float, last: float, *, noise: float, share: float, steps: int) -> Schedule:
    """Levels from ``first`` to ``last`` on a logarithmic scale, beta = share noise^2 / level^2.

    Of one step the level is ``last``.
    """
    levels = [first * (last / first) ** (k / (steps - 1)) for k in range(steps)] if steps > 1 else [last]
    return Schedule(tuple(levels), tuple(share * (noise / level) ** 2 for level in levels))
