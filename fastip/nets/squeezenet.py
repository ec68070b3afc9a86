"""SqueezeNet 1.1 as a comparator."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .comparator import Comparator

MEAN = (103.939, 116.779, 123.68)  # blue, green, red: what Caffe took away from its images
FIRES = (  # channels: before, squeezed, each half expanded
    (64, 16, 64),
    (128, 16, 64),
    (128, 32, 128),
    (256, 32, 128),
    (256, 48, 192),
    (384, 48, 192),
    (384, 64, 256),
    (512, 64, 256),
)
POOLED = (0, 2, 4)  # fires with a pooling before them


class Fire(nn.Module):
    """relu of [W1 s, W3 s], s = relu(W0 f): 1 x 1 to few channels, then 1 x 1 and 3 x 3 to many."""

    def __init__(self, channels: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze1x1 = nn.Conv2d(channels, squeezed, 1)
        self.expand1x1, self.expand3x3 = nn.Conv2d(squeezed, expanded, 1), nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, f: Tensor) -> Tensor:
        s = F.relu(self.squeeze1x1(f))
        return F.relu(torch.cat([self.expand1x1(s), self.expand3x3(s)], dim=1))


class SqueezeNet(Comparator):
    """SqueezeNet 1.1 with the nine layers conv1, fire2 ... fire9 as features.

    1,235,496 weights with conv10, which names things. It takes b 3 h w in [0, 1], red first, and gives the network
    what Caffe did: blue first, 255 x minus a mean colour. Untrained as it is built here; with the weights of
    ImageNet: ``fastip.data.comparators.comparator("squeezenet")``.

    References:
        Iandola et al., SqueezeNet, 2016, version 1.1.
    """

    smallest = 17  # below it the last pooling finds nothing

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, stride=2)
        self.fires = nn.ModuleList(Fire(*sizes) for sizes in FIRES)
        self.conv10 = nn.Conv2d(512, 1000, 1)
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None], persistent=False)
        self.mean: Tensor

    def layers(self, x: Tensor) -> list[Tensor]:
        found = [F.relu(self.conv1(255 * x.flip(1) - self.mean))]
        for k, fire in enumerate(self.fires):
            f = F.max_pool2d(found[-1], 3, 2, ceil_mode=True) if k in POOLED else found[-1]
            found.append(fire(f))
        return found

    def scores(self, x: Tensor) -> Tensor:
        """Before the softmax, b 1000: one number for each thing of ImageNet."""
        result: Tensor = F.relu(self.conv10(self.layers(x)[-1])).mean(dim=(2, 3))
        return result
