"""BatchNorm for inference: folded into the convolution before it."""

from __future__ import annotations

import copy
from typing import TypeVar

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ..errors import strict_keywords

Net = TypeVar("Net", bound=nn.Module)


@strict_keywords
def fold_batchnorm(net: Net) -> Net:
    """A copy for inference in which every BatchNorm that follows a convolution is part of it.

    For each such pair in an nn.Sequential, the bias likewise::

        W' = W g / sqrt(var + eps)

    Args:
        net: Any network; it stays as it is.

    Returns:
        A copy in eval mode, equal to net.eval() within rounding; its ``batchnorm``, where the network has that setting,
        is False.
    """
    result = copy.deepcopy(net).eval()
    for chain in [module for module in result.modules() if isinstance(module, nn.Sequential)]:
        for k in range(len(chain) - 1):
            conv, norm = chain[k], chain[k + 1]
            if (
                isinstance(conv, nn.Conv2d | nn.ConvTranspose2d)
                and isinstance(norm, nn.BatchNorm2d)
                and norm.running_mean is not None
            ):
                chain[k] = fuse_conv_bn_eval(conv, norm, transpose=isinstance(conv, nn.ConvTranspose2d))
                chain[k + 1] = nn.Identity()
    if hasattr(result, "batchnorm"):
        vars(result)["batchnorm"] = False
    return result
