"""How much white noise a picture holds, read off its flattest patches."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .arrays import accumulator, as_tensor, check_image
from .errors import InvalidInput, strict_keywords
from .tracing import check_traceable, check_uncaptured

SMALLEST = 16  # pixels a side: fewer hold one patch or none
# Low-pass taps of the Daubechies wavelet with two vanishing moments. Haar's single one sees the steps of 8 bits (noise
# 1/255 is 0.74 or 1.48); three and four moments change no mean over 15 validation photographs by more than 3 %.
_ROOT = math.sqrt(3)
_LOW = tuple(tap / (4 * math.sqrt(2)) for tap in (1 + _ROOT, 3 + _ROOT, 3 - _ROOT, 1 - _ROOT))
_HIGH = tuple((-1) ** k * tap for k, tap in enumerate(reversed(_LOW)))
# Responses a side, 8 pixels. Validation photographs reduced by two give 5.34, 5.40 and 5.51 at noise 5/255 with 3, 4
# and 6; a smaller patch is judged by fewer responses.
PATCH = 4
# Of the patches the flattest, at least so many. At noise 1/255 those photographs give 1.45 with a share of 0.1, 1.29
# with 0.05, 1.19 with 0.02 and 1.16 with 0.01, which is read off the fewest responses.
SHARE, FEWEST = 0.02, 16
# Of the responses of a patch at least this share touch no saturated pixel. A larger one leaves few patches of bright
# and dark pictures: those photographs give 5.52 at noise 5 with 0.9, 5.40 with 0.75 and 5.03 with 0.5. Patches where
# some of the noise is clipped then count too, which makes noise 30 one or two per cent too low.
CLEAN = 0.5
# Of the responses those on equal pixels alone: below this share they are painted, a border for instance, and left out;
# from it on the picture is one without noise. Smaller, a page of print has noise; larger, a wide border has none.
PAINTED = 0.5
_NORMAL_MEDIAN = 0.6744897501960817  # of the absolute value of a normal variable with standard deviation 1


@strict_keywords
def noise_level(y: Any) -> Any:
    """The standard deviation of the white noise in each picture, in the unit of the picture.

    With HH, LH and HL the finest details of the orthonormal Daubechies wavelet with two vanishing moments, at all four
    shifts of its grid by a pixel, in patches of 4 x 4 responses (8 x 8 pixels)::

        level = median of |HH| / 0.6745       over the patches with  mean of (LH^2 + HL^2) / 2 <= limit

    White noise is independent in HH, LH and HL, so a choice by LH and HL leaves the HH of pure noise as it is, while
    texture, which has all three, stays out. The limit begins where it lets in the flattest 2 % of the patches (16 at
    least), and grows to level^2, which half of all flat patches keep. Channels are pooled: noise of different strength
    in them gives one number between. Responses to a pixel that is NaN or Inf, or saturated (exactly 0 or 1), are left
    out, so are those to equal pixels alone (a painted border) unless they are half of all, and patches that then keep
    less than half.

    Rounding to 8 bits is noise too, of 0.29 / 255. Noise that is not white, as after JPEG, demosaicing or enlarging, is
    taken for less than it is, and the finest texture for noise where no patch is without.

    Args:
        y: Pictures, b c h w with h, w >= 16, in [0, 1]: a tensor of a real floating dtype on any device, a NumPy or a
            CuPy array.

    Returns:
        The level of each picture, shape (b,), of the kind, dtype and device of ``y`` (float32 for half precision),
        without a gradient; 0 for pictures without noise.

    Raises:
        InvalidInput: For other shapes and dtypes, pictures below 16 x 16 pixels, and those of which too little is
            neither NaN nor saturated.
        Unsupported: Inside torch.compile and while a CUDA graph is captured: which patches count depends on values.

    References:
        Donoho and Johnstone, Ideal spatial adaptation by wavelet shrinkage, 1994 (the median). Immerkaer, Fast noise
        variance estimation, 1996 (where there is little structure). Liu, Tanaka and Okutomi, Single-image noise level
        estimation for blind denoising, 2013 (patches with little texture, found with the level they give).
    """
    y, restore = as_tensor(y, "y")
    check_image(y, "y")
    if min(y.shape[-2:]) < SMALLEST:
        raise InvalidInput(
            f"y has shape {tuple(y.shape)}; expected at least {SMALLEST} x {SMALLEST} pixels, which tell the noise: "
            "give a larger part of the picture, or the noise as a number"
        )
    why, instead = "the patches that count depend on the values", "give the noise as a number"
    check_traceable("noise_level", why, instead)
    check_uncaptured(y.device, "noise_level", why, instead)
    with torch.no_grad():
        pictures = y.detach().to(accumulator(y.dtype))
        return restore(torch.stack([_level(picture, index) for index, picture in enumerate(pictures)]))


def _level(picture: Tensor, index: int) -> Tensor:
    """Of one picture, c h w."""
    finite = picture.isfinite()
    values = torch.where(finite, picture, 0)
    inside = finite & (values != 0) & (values != 1)
    largest = values.abs().amax()
    largest = torch.where(largest > 0, largest, 1)
    values = values / largest  # so that squares neither vanish nor overflow
    level = _measured(values, inside)
    if level is None:  # nearly all of it is black or white: without noise, or too much of the noise is cut off
        level = _measured(values, finite)
        if level is None or level > 8 * torch.finfo(picture.dtype).eps:  # more than rounding
            raise InvalidInput(
                f"y[{index}] has {float((~inside).double().mean()):.0%} of its values at 0, at 1 or not finite, and no "
                f"{FEWEST} patches of 8 x 8 pixels without them; expected data that are not clipped or masked nearly "
                "everywhere: give the noise as a number"
            )
    return level * largest


def _measured(picture: Tensor, good: Tensor) -> Tensor | None:
    """The level by the pixels that are good; None where they are too few."""
    texture, details, clean, equal = _patches(picture, good)
    if int((clean & equal).sum()) < PAINTED * int(clean.sum()):
        clean = clean & ~equal
    usable, needed = clean.to(texture).mean(dim=1) >= CLEAN, min(FEWEST, len(clean))
    if int(usable.sum()) < needed:
        return None
    texture, details, clean = texture[usable], details[usable].abs(), clean[usable]
    limit = texture.kthvalue(max(needed, int(SHARE * len(texture)))).values
    while True:  # the limit grows each time and lets in more patches, until it does not
        flat = texture <= limit
        level = details[flat][clean[flat]].median() / _NORMAL_MEDIAN
        if not level.square() > limit:
            return level
        limit = level.square()


def _patches(picture: Tensor, good: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What each patch has: its texture, n, and n c*PATCH^2 its HH, where they see good, and where only equal pixels."""
    low, high = picture.new_tensor(_LOW), picture.new_tensor(_HIGH)
    kernels = torch.stack([torch.outer(*pair) for pair in ((high, high), (low, high), (high, low))])[:, None]
    seen = torch.stack([(~good).to(picture), picture, -picture], dim=1)
    found = []
    for top, left in ((0, 0), (0, 1), (1, 0), (1, 1)):
        bands = _cut(F.conv2d(picture[:, None, top:, left:], kernels, stride=2))
        bad, largest, least = _cut(F.max_pool2d(seen[..., top:, left:], len(_LOW), stride=2)).unbind(2)
        texture = bands[:, :, 1:].square().mean(dim=(1, 2, 3))
        found.append((texture, *(part.flatten(1) for part in (bands[:, :, 0], bad == 0, largest == -least))))
    texture, details, clean, equal = (torch.cat(parts) for parts in zip(*found, strict=True))
    return texture, details, clean, equal


def _cut(bands: Tensor) -> Tensor:
    """``c k h w`` in whole patches, n c k PATCH^2."""
    c, k = bands.shape[:2]
    rows = bands.unfold(2, PATCH, PATCH).unfold(3, PATCH, PATCH)  # c k h/4 w/4 4 4
    return rows.permute(2, 3, 0, 1, 4, 5).reshape(-1, c, k, PATCH * PATCH)
