"""A network of colour images on grey ones."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from ...errors import InvalidInput, brief, strict_keywords
from .prior_net import PriorNet


class Grey(PriorNet):
    """A colour network on grey images: each channel as an image of equal colours.

    The mean is over the c colours of the network::

        x = mean net((v, v, v), (y, y, y), sqrt(c) level)

    Noise of standard deviation s that is the same in c colours has the deviation sqrt(c) s along the grey axis,
    where the noise of the training, independent in each colour, has the level itself. Told s, the network takes too
    little away: photo-deblur-motion gives grey photographs of 28.4 dB in place of 31.5. v, y: b 1 h w, or any number
    of channels, each by itself.

    Args:
        net: A network whose data, if it takes any, have the colours of its image.

    Raises:
        InvalidInput: For other networks.
    """

    colours = 1

    @strict_keywords
    def __init__(self, net: PriorNet) -> None:
        super().__init__()
        if not isinstance(net, PriorNet) or net.data_colours not in (0, net.colours):
            raise InvalidInput(
                f"net is {brief(net)}; expected a network that takes data of as many channels as its image, or none"
            )
        self.net: PriorNet = net
        self.data_colours, self.stride, self.takes_level = min(net.data_colours, 1), net.stride, net.takes_level

    @property
    def reach(self) -> int | None:
        """That of the network, None where it states none."""
        return getattr(self.net, "reach", None)

    @property
    def multiple(self) -> int | None:
        """That of the network, None where it states none."""
        return getattr(self.net, "multiple", None)

    def config(self) -> dict[str, Any]:
        return {"net": self.net.config()}

    def estimate(self, v: Tensor, y: Tensor | None, level: Tensor | None) -> Tensor:
        colours = self.net.colours
        told = None if level is None else math.sqrt(colours) * level
        x: Tensor = self.net(v.expand(-1, colours, -1, -1), None if y is None else y.expand(-1, colours, -1, -1), told)
        return x.mean(dim=1, keepdim=True)
