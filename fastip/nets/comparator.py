"""What a fixed network that compares images must offer, and the distance that its features give."""

from __future__ import annotations

import abc

import torch
from torch import Tensor, nn

from ..arrays import check_image
from ..errors import InvalidInput

# Added to |f|^2, so that a place without any feature has a gradient. Features of images are of the order of 1 to 1000,
# which it leaves alone; a larger one would shrink faint features, a smaller one lets their gradients grow.
TINY = 1e-10


class Comparator(nn.Module, abc.ABC):
    """How differently two images look to a network that was trained to name what is in photographs.

    ``d = net(x, reference)``, (b,), with f and g the channels of a layer at a place, for x and for reference::

        d = sum over layers of  mean over places of  ||f / |f| - g / |g| ||^2

    x and reference are b c h w in [0, 1] with 3 channels (red, green, blue) or 1, which is repeated; of the type and on
    the device of the weights. Differentiable in both.

    Attributes:
        smallest: The least height and width.

    Raises:
        InvalidInput: When called with images of other shapes.

    References:
        Zhang, Isola, Efros, Shechtman and Wang, The unreasonable effectiveness of deep features as a perceptual metric,
        2018, without learned weights.
    """

    smallest: int = 1

    @abc.abstractmethod
    def layers(self, x: Tensor) -> list[Tensor]:
        """The features of each layer for b 3 h w in [0, 1]."""

    def features(self, x: Tensor) -> list[Tensor]:
        """The features of each layer for b c h w in [0, 1], of length 1 at each place."""
        check_image(x, "x")
        if x.shape[1] not in (1, 3) or min(x.shape[2:]) < self.smallest:
            least = f"{self.smallest} x {self.smallest}"
            raise InvalidInput(
                f"x has shape {tuple(x.shape)}; {type(self).__name__} compares images "
                f"of 1 or 3 channels and at least {least} pixels"
            )
        return [f * (f.square().sum(dim=1, keepdim=True) + TINY).rsqrt() for f in self.layers(x.expand(-1, 3, -1, -1))]

    def forward(self, x: Tensor, reference: Tensor) -> Tensor:
        if x.shape != reference.shape:
            raise InvalidInput(
                f"x has shape {tuple(x.shape)} and reference {tuple(reference.shape)}; expected images of one shape"
            )
        pairs = zip(self.features(x), self.features(reference), strict=True)
        return torch.stack([(f - g).square().sum(dim=1).mean(dim=(1, 2)) for f, g in pairs]).sum(dim=0)
