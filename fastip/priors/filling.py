"""What a denoiser cannot make: a start for the pixels that no datum looks at, from their neighbours."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ..contracts import LinearOperator, Shape

# Of the largest entry of A^T A u: what rounding leaves where there is nothing. Larger fills pixels that the data hardly
# see, smaller leaves holes.
UNSEEN = 1e-6


@torch.no_grad()
def unseen(op: LinearOperator, shape: Shape, like: Tensor) -> Tensor:
    """The pixels of an image of this shape b c h w that leave the data as they are.

    They are those where A^T A u = 0, u uneven in [1/2, 1]. Boolean, on the device of ``like`` and computed in
    its precision.
    """
    pixels = torch.arange(math.prod(shape), device=like.device, dtype=like.real.dtype)
    # Ones would be lost on a psf whose sum is 0. Steps of 1.7 radians have a period of no whole number of pixels.
    uneven = pixels.mul_(1.7).sin_().div_(4).add_(0.75).view(shape)
    looked: Tensor = op.adjoint(op(uneven)).abs()
    return looked <= UNSEEN * looked.amax(dim=(1, 2, 3), keepdim=True)


def filled(v: Tensor, holes: Tensor) -> Tensor:
    """v b c h w with the pixels of ``holes`` (boolean, of its shape) interpolated from the others of their channel.

    Pull and push: a pixel of the next coarser grid is the mean of the known ones among its 2 x 2, a hole where all
    four are; that grid is filled in the same way, interpolated, and read where there are holes. A channel without
    known pixels becomes 0. Differentiable in v.

    References:
        The pull-push of Gortler, Grzeszczuk, Szeliski and Cohen, The Lumigraph, 1996.
    """
    h, w = v.shape[-2:]
    known = torch.logical_not(holes).to(v.dtype)
    if h == w == 1:
        return v * known
    odd = (0, w % 2, 0, h % 2)
    share = F.avg_pool2d(F.pad(known, odd), 2)
    # The least share of a known pixel is a quarter; below it there is none, and nothing is divided by 0.
    coarse = F.avg_pool2d(F.pad(v * known, odd), 2) / share.clamp_min(0.25)
    below = filled(coarse, share == 0)
    return torch.where(holes, F.interpolate(below, size=(h, w), mode="bilinear"), v)
