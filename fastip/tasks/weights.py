"""The weight of a prior where nobody chose one: from the noise, and from what the operator lets through."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ..arrays import check_number
from ..contracts import LinearOperator, Shape
from ..errors import InvalidInput, brief, closest

PROBE = 64  # data a side of the picture of random signs that an operator is tried with: passes to 1 % at any factor


@dataclass(frozen=True)
class Rule:
    """``max(least, blank pixels^2, factor noise^power passed^share)``.

    Attributes:
        factor: Of noise and what passes.
        power: Of the noise.
        share: The power of what passes.
        least: What pictures of 8 bits want that have no noise but their rounding.
        blank: Likewise times the square of the pixels for each datum, most of which the prior makes alone, whatever
            the noise.
    """

    factor: float
    power: float
    share: float
    least: float
    blank: float = 0.0


# Fitted on 12 grey validation photographs of 180 x 180 pixels (wavelet: 5), solved to the tasks' tolerance, for the
# smallest loss of PSNR to the best weight: four blurs, three thumbnails, three blurs with stride, noise alone, holes.
# Noise 1 to 15 of 255: at most 0.27 dB are lost (wavelet 0.25), 0.07 in the mean, where the best weights lie a factor
# of 300 apart. With power + 2 share = 2, which A scaled with its noise asks for, it is 0.33 (tv, 1.45 and 0.275).
# Wavelets without ``blank`` lose 0.48 and 0.30 dB on five of 96 x 96, thumbnails x 4 and x 3 of noise 1; 0.00, 0.19 so.
RULES = {"tv": Rule(5.0, 1.5, 1 / 3, 8e-5), "wavelet": Rule(12.0, 1.6, 1 / 4, 1.2e-4, 1.6e-5)}
MOST = 4  # pixels a side for each datum: what ``blank`` was fitted to
# By the stride, whatever the noise: l1 suits sparse images (2 % bright points), l2 anything whose level is known.
FIXED = {"l1": {1: 5e-3, 2: 2e-3, 4: 1e-4}, "l2": {1: 2e-2, 2: 1e-2, 4: 1e-4}}


def suggested_weight(prior: str, noise: float, op: LinearOperator) -> float:
    """The weight that suits photographs in [0, 1] and noise of this strength, for ``min ||y - A x||^2 + R(x)``.

    With s the noise and p the part of the energy of white noise that the operator lets through, ::

        p = ||A||_F^2 / n = sum psf^2 / stride^2 of a blur, the share of known pixels of a mask, 1 for A = I
        weight = max(8e-5, 5 s^1.5 p^(1/3))                     tv
        weight = max(1.2e-4, 1.6e-5 d^2, 12 s^1.6 p^(1/4))      wavelet

    n being the number of pixels and d that of pixels for each datum, 16 at most. A prior works against the noise in the
    finest details; the less of them the data hold, the smaller the weight that is enough. The operator is taken to keep
    the mean of the image, as blurs with a psf of sum 1 and programs that make pictures smaller do. The weights of "l1"
    and "l2" depend on the stride alone.

    Args:
        prior: "tv", "wavelet", "l1" or "l2".
        noise: The standard deviation of the noise in the data, in units of [0, 1], 0 <= noise < 1. Rounding to 8 bits
            is 0.29 / 255, and no smaller noise has a smaller weight. Where nothing tells it 0.015 costs least.
        op: The operator A.

    Returns:
        The weight of ``priors.TV``, ``priors.Wavelet``, ``priors.L1`` or ``priors.L2``, > 0.

    Raises:
        InvalidInput: For an unknown prior, with the closest name, and for a noise that is not finite, below 0, or 1
            and more.

    References:
        Measured, not derived: docs/experiments/default_weights.md.
    """
    name = closest(prior, (*RULES, *FIXED), "prior")
    noise = check_number(noise, "noise", low=0.0)
    if noise >= 1:
        raise InvalidInput(
            f"noise is {noise:g}; expected a standard deviation in units of [0, 1], below 1: "
            f"divide grey levels by 255 ({noise:g} / 255 = {noise / 255:.4g})"
        )
    if name in FIXED:
        stride = _stride(op)
        return FIXED[name][min(FIXED[name], key=lambda known: abs(math.log(known / stride)))]
    rule = RULES[name]
    blank = rule.blank and rule.blank * min(_stride(op), MOST) ** 4
    return max(rule.least, blank, rule.factor * noise**rule.power * _passed(op) ** rule.share)


def _passed(op: LinearOperator) -> float:
    """``||A||_F^2 / n``."""
    window = op.window()
    convolution = op.convolution() if window is None else window.convolution
    if convolution is not None:  # but for its border
        known = 1.0 if window is None or window.weights is None else float(window.weights.square().mean())
        energy = convolution.psf.square().flatten(-convolution.axes).sum(dim=-1).mean()
        return known * float(energy) / convolution.stride**convolution.axes
    shape = _shape(op)
    signs = torch.randint(0, 2, shape, generator=torch.Generator().manual_seed(0)).double() * 2 - 1
    seen: torch.Tensor = op(signs)
    return float(seen.abs().square().sum()) / signs.numel()


def _stride(op: LinearOperator) -> float:
    """Pixels from one datum to the next."""
    window = op.window()
    convolution = op.convolution() if window is None else window.convolution
    if convolution is not None:
        return convolution.stride
    shape = _shape(op)
    return math.sqrt(math.prod(shape) / math.prod(op.output_shape(shape)))


def _shape(op: LinearOperator) -> Shape:
    """Of an image that the operator takes."""
    try:
        return op.input_shape((1, 1, PROBE, PROBE))
    except InvalidInput:  # it was made for a size of its own
        own: Shape | None = getattr(op, "_own_shape", lambda: None)()
        if own is None:
            raise InvalidInput(
                f"op is {brief(op)}, which takes no data of {PROBE} x {PROBE} and states no size of its own: no weight "
                "can be suggested; give the weight itself, e.g. priors.TV(2e-3)"
            ) from None
        return own
