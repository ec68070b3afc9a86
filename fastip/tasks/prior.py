"""The prior of a learned task.

One trained network on grey and colour images of any size, on any device, within a bound of memory.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .. import nets, priors
from ..contracts import LinearOperator, Shape
from ..errors import InvalidInput, strict_keywords
from ..priors import memory
from ..priors.fitted import Fitted, check_eager, native
from ..priors.pixel_shuffle_autoencoder import BoundPixelShuffleAutoencoder
from ..priors.prior import image_shape


class TaskPrior(priors.PixelShuffleAutoencoder):
    """``prox(v) = net(v, y, level)``, by a copy of the network that fits the data and their device.

    The copy, on the device of y, in ``dtype``, in tiles that fit ``memory``, is made when the prior is first bound to
    data of that device. Images whose channels are no multiple of the network's colours are restored channel by channel
    as grey images (nets.Grey).

    Args:
        net: The trained network, as for ``priors.PixelShuffleAutoencoder``.
        sigma: The levels that it is told, as for ``priors.PixelShuffleAutoencoder``.
        noise: Instead of sigma: level = noise / sqrt(beta) in ``admm``.
        trained: What the net was trained on; data of another operator are then refused.
        memory: Bytes that the solve may take in all, its data included.
        dtype: Of the network's weights; None is bfloat16 where the machine computes with it natively, else float32.
            The solve keeps the precision of y.
        size: (height, width) of the only images that the network knows, None for any.

    Raises:
        InvalidInput: For another net and levels that contradict each other; at ``bind`` for images of another size,
            data that do not fit the net, and images of which not even the smallest tile fits the bound.
    """

    def __init__(
        self,
        net: nets.PriorNet,
        *,
        sigma: float | Sequence[float] | None = None,
        noise: float | None = None,
        trained: priors.Trained | None = None,
        memory: int = memory.DEFAULT,
        dtype: torch.dtype | None = None,
        size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(net, sigma=sigma, noise=noise, trained=trained)
        self.memory, self.dtype, self.size = memory, dtype, size
        self._networks = Fitted(net)

    @strict_keywords
    def at(self, *, sigma: float | Sequence[float] | None = None, noise: float | None = None) -> TaskPrior:
        return TaskPrior(
            self.net,
            sigma=sigma,
            noise=noise,
            trained=self.trained,
            memory=self.memory,
            dtype=self.dtype,
            size=self.size,
        )

    def bind(self, y: Tensor, op: LinearOperator) -> BoundPixelShuffleAutoencoder:
        shape = image_shape(y, op)
        if self.size is not None and shape[2:] != self.size:
            raise InvalidInput(
                f"the image would be {shape[2]} x {shape[3]}; "
                f"expected {self.size[0]} x {self.size[1]}, the only size that the network knows"
            )
        plain = priors.PixelShuffleAutoencoder(
            self._fitted(y, op, shape), sigma=self.sigma, noise=self.noise or None, trained=self.trained
        )
        return plain.bind(y, op)

    def _fitted(self, y: Tensor, op: LinearOperator, shape: Shape) -> nets.PriorNet:
        """The network for images of this shape."""
        check_eager()
        held = memory.state(op, shape, self.net.stride, y.dtype)
        return self._networks.for_images(shape, y.device, self.dtype or native(y.device), held=held, bound=self.memory)
