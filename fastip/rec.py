"""Restricted eigenvalues: how far an operator stretches and shrinks the differences of a generator's images.

All numbers here are estimates.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .arrays import check_count, check_number, energy
from .contracts import LinearOperator
from .errors import InvalidInput, strict_keywords
from .nets import Generator
from .streams import stream

BATCH = 250  # pairs at once: more need more memory, fewer more calls; another number also draws other samples
# Of the size of an image, the least difference of a pair that counts: a smaller one lets rounding decide the quotient,
# a larger one hides pairs that are truly close.
APART = 1e-3


@dataclass(frozen=True)
class Extremes:
    """The extremes of ``||A s||^2 / ||s||^2`` that descent and ascent found.

    Attributes:
        low: The least; the true alpha is at most this.
        high: The largest; the true beta is at least this.
        pairs: (2, 2, k), the latent vectors of the two images of each, the least first; for :func:`stretch` with other
            operators.
    """

    low: float
    high: float
    pairs: Tensor

    @property
    def ratio(self) -> float:
        """``beta / alpha``, at least.

        Projected gradient descent with the step ``1 / beta`` is proven to converge where the true ratio is below 2.
        """
        return self.high / self.low if self.low > 0 else float("inf")


@strict_keywords
def sampled(op: LinearOperator, generator: Generator, *, pairs: int = 10_000, seed: int = 0) -> Tensor:
    """``||A s||^2 / ||s||^2`` for random ``s = G(z1) - G(z2)``, z1, z2 ~ N(0, I), for quantiles and a histogram.

    What the worst s does is not in a sample: see :func:`extremes`.

    Args:
        op: The operator A, which takes the images of the generator.
        generator: The network G, trained, after ``eval()``; its weights finite.
        pairs: How many are drawn, >= 1.
        seed: Of the draws, a whole number >= 0.

    Returns:
        ``pairs`` numbers, sorted, on the CPU, float64 where the generator's weights are, else float32.

    Raises:
        InvalidInput: For a network that is no generator or in training mode, another kind of operator, bad numbers.
    """
    weight = _checked(op, generator)
    count = check_count(pairs, "pairs", low=1)
    draws = stream(seed, "pairs")
    found = []
    for first in range(0, count, BATCH):
        z = torch.randn(2, min(BATCH, count - first), generator.latent, generator=draws).to(weight)
        with torch.no_grad():
            found.append(_stretch(op, generator(z[0]) - generator(z[1])).cpu())
    return torch.cat(found).sort().values


@strict_keywords
def extremes(
    op: LinearOperator,
    generator: Generator,
    *,
    restarts: int = 20,
    iterations: int = 200,
    learning_rate: float = 0.1,
    seed: int = 0,
) -> Extremes:
    """The least and the largest ``||A s||^2 / ||s||^2``, ``s = G(z1) - G(z2)``, that Adam finds over (z1, z2).

    Estimates from inside: the true extremes lie further out. Half of the starts are random pairs, half near ones
    (``z2 = z1 + 0.1 e``), where tangents of the range are. Pairs whose images agree to 0.1 % do not count, because
    rounding decides their quotient; those of the two that are found are taken again in float64.

    Args:
        op: The operator A, which takes the images of the generator; differentiable.
        generator: The network G, trained, after ``eval()``; its weights finite.
        restarts: Random starts of each of the two searches, >= 1.
        iterations: Steps of Adam in each search, >= 1.
        learning_rate: Adam's on the logarithm of the quotient, > 0.
        seed: Of the starts, a whole number >= 0.

    Returns:
        Both numbers and the pairs that give them.

    Raises:
        InvalidInput: For a network that is no generator or in training mode, another kind of operator, bad numbers,
            where all images agree, and under torch.inference_mode().

    References:
        Raj, Li and Bresler 2019, whose tracker began at 1 and so could not report extremes on one side of it.
    """
    weight = _checked(op, generator)
    if torch.is_inference_mode_enabled():
        raise InvalidInput(
            "a search of extremes takes gradients, which torch.inference_mode() forbids; "
            "call it under torch.no_grad() or without either"
        )
    starts, steps = check_count(restarts, "restarts", low=1), check_count(iterations, "iterations", low=1)
    rate = check_number(learning_rate, "learning_rate", low=0.0, strict=True)
    draws = stream(seed, "pairs")
    z = torch.randn(2, starts, generator.latent, generator=draws)
    # 0.1: closer starts come nearer to tangents and to images that agree to APART, wider ones leave the tangents.
    z[1, : starts // 2] = z[0, : starts // 2] + 0.1 * z[1, : starts // 2]
    found = []
    for sign in (1, -1):
        pair = z.to(weight, copy=True).requires_grad_()
        adam = torch.optim.Adam([pair], lr=rate)
        best = torch.full((), sign * float("inf")).to(weight)
        chosen = pair.detach()[:, 0]
        for _ in range(steps):
            with torch.enable_grad():
                one, other = generator(pair[0]), generator(pair[1])
                value = _stretch(op, one - other)
                (slope,) = torch.autograd.grad(sign * value.clamp_min(torch.finfo(value.dtype).tiny).log().sum(), pair)
            pair.grad = slope.nan_to_num()  # a pair of equal images has no slope, and stays
            apart = energy(one - other).detach() > APART**2 * energy(one).detach()
            here = torch.where(apart, value.detach(), sign * float("inf"))
            at = (sign * here).argmin()
            chosen = torch.where(sign * here[at] < sign * best, pair.detach()[:, at], chosen)
            best = sign * torch.minimum(sign * here[at], sign * best)
            adam.step()
        if not bool(torch.isfinite(best)):
            raise InvalidInput(
                "all images of the generator agree, so there is no difference that an operator could stretch: "
                "check its weights"
            )
        found.append(chosen)
    pairs = torch.stack(found)
    low, high = stretch(op, generator, pairs).tolist()
    return Extremes(low, high, pairs)


@strict_keywords
def stretch(op: LinearOperator, generator: Generator, pairs: Tensor) -> Tensor:
    """``||A s||^2 / ||s||^2``, ``s = G(z1) - G(z2)``, for given pairs of latent vectors, in float64.

    Args:
        op: The operator A, which takes the images of the generator.
        generator: The network G, trained, after ``eval()``; a copy of it computes in float64.
        pairs: n pairs of latent vectors, (n, 2, k).

    Returns:
        One number for each pair, shape (n,), float64 on the CPU.

    Raises:
        InvalidInput: For a network that is no generator or in training mode, another kind of operator, and for pairs of
            another shape.
    """
    weight = _checked(op, generator)
    if not isinstance(pairs, Tensor) or pairs.ndim != 3 or pairs.shape[1:] != (2, generator.latent):
        raise InvalidInput(
            f"pairs are {tuple(getattr(pairs, 'shape', ()))}; "
            f"expected a tensor (n, 2, {generator.latent}) of latent vectors"
        )
    exact, z = copy.deepcopy(generator).double(), pairs.to(weight.device, torch.float64)
    with torch.no_grad():
        return torch.cat([_stretch(op, exact(part[:, 0]) - exact(part[:, 1])).cpu() for part in z.split(BATCH)])


def _checked(op: Any, generator: Any) -> Tensor:
    if not isinstance(op, LinearOperator):
        raise InvalidInput(
            f"op is {type(op).__name__}; expected an operator, "
            "e.g. operators.GaussianMeasurements(100, generator.shape)"
        )
    if not isinstance(generator, Generator) or generator.training:
        raise InvalidInput(
            f"generator is {type(generator).__name__}; expected a network such as nets.DCGANGenerator, trained, "
            "after generator.eval()"
        )
    if not all(bool(torch.isfinite(p).all()) for p in generator.parameters()):
        raise InvalidInput("the generator has weights that are NaN or Inf: train it again, or load another")
    return next(generator.parameters())


def _stretch(op: LinearOperator, s: Tensor) -> Tensor:
    """``||A s||^2 / ||s||^2`` for each difference."""
    return energy(op(s)) / energy(s).clamp_min(torch.finfo(s.dtype).tiny)
