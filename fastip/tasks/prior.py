"""The prior of a learned task: one trained network on grey and colour images of any size, on any device, within a bound of memory."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from .. import nets, priors
from ..contracts import LinearOperator, Shape
from ..errors import InvalidInput, strict_keywords
from ..priors.pixel_shuffle_autoencoder import BoundPixelShuffleAutoencoder
from ..priors.prior import image_shape
from . import memory


class TaskPrior(priors.PixelShuffleAutoencoder):
    """prox(v) = net(v, y, level), by a copy of the network made when it is bound: on the device of y, in ``dtype``, in tiles that fit ``memory``.

    Images whose channels are no multiple of the network's colours are restored channel by channel as grey images (nets.Grey).
    dtype: of the network's weights; None is bfloat16 where the machine computes with it natively, else float32. The solve keeps the precision of y.
    memory: bytes that the solve may take in all, its data included. size: (height, width) of the only images that the network knows, None for any.
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

    @strict_keywords
    def at(self, *, sigma: float | Sequence[float] | None = None, noise: float | None = None) -> TaskPrior:
        return TaskPrior(self.net, sigma=sigma, noise=noise, trained=self.trained, memory=self.memory, dtype=self.dtype, size=self.size)

    def bind(self, y: Tensor, op: LinearOperator) -> BoundPixelShuffleAutoencoder:
        shape = image_shape(y, op)
        if self.size is not None and shape[2:] != self.size:
            raise InvalidInput(f"the image would be {shape[2]} x {shape[3]}; expected {self.size[0]} x {self.size[1]}, the only size that the network knows")
        plain = priors.PixelShuffleAutoencoder(self._fitted(y, op, shape), sigma=self.sigma, noise=self.noise or None, trained=self.trained)
        return plain.bind(y, op)

    def _fitted(self, y: Tensor, op: LinearOperator, shape: Shape) -> nets.PriorNet:
        """The network for images of this shape."""
        dtype = self.dtype or native(y.device)
        net: nets.PriorNet = copy.deepcopy(self.net).to(device=y.device, dtype=dtype)
        grey = shape[1] % net.colours > 0 and net.data_colours in (0, net.colours)
        colour = nets.Grey(net) if grey else net
        if not isinstance(net, nets.PixelShuffleAutoencoder):
            return colour
        held = memory.state(op, shape, net.stride, y.dtype)
        return nets.Tiled(colour, tile=memory.tile(net, shape, held, bound=self.memory, dtype=dtype))


def native(device: torch.device) -> torch.dtype:
    """bfloat16 where the device computes products of it in hardware, else float32."""
    if device.type == "cuda":
        quick = torch.cuda.get_device_capability(device) >= (8, 0)
    else:
        known = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
        quick = device.type == "cpu" and any(supported() for supported in known if supported is not None)
    return torch.bfloat16 if quick else torch.float32
