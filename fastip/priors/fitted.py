"""One trained network for images of any size, colour or grey, on any device: what priors do to it in ``bind``."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch

from .. import nets
from ..contracts import Shape
from ..tracing import check_traceable
from . import memory


class Fitted:
    """A network, and the copies of it that solves asked for; each is made once, and again when the weights changed.

    Copies are left out when it is pickled. A copy has gradients to the image, none to the weights of the network
    that it was made from; where the network has the device and the precision that are asked for, it serves itself
    and keeps both.
    """

    def __init__(self, net: nets.PriorNet) -> None:
        self.net = net
        self._made: dict[Any, nets.PriorNet] = {}
        self._versions: tuple[int, ...] = ()

    def __getstate__(self) -> dict[str, Any]:
        return {"net": self.net, "_made": {}, "_versions": ()}

    def on(self, device: torch.device, dtype: torch.dtype) -> nets.PriorNet:
        """The network with its weights there and in this precision."""
        tensors = (*self.net.parameters(), *self.net.buffers())
        versions = tuple(0 if t.is_inference() else t._version for t in tensors)  # which inference mode does not count
        if versions != self._versions:
            self._made.clear()
            self._versions = versions
        weights = [t for t in self.net.state_dict().values() if t.is_floating_point()]
        if all(t.device == device and t.dtype == dtype for t in weights):
            return self.net
        return self._once((device, dtype), lambda: copy.deepcopy(self.net).to(device=device, dtype=dtype))

    def for_images(
        self,
        shape: Shape,
        device: torch.device,
        dtype: torch.dtype,
        *,
        held: float,
        bound: int,
    ) -> nets.PriorNet:
        """The network for images of this shape b c h w, in tiles where they are large.

        Where c is no multiple of its colours it takes them channel by channel, as grey images. A network that does
        not state how far it sees is given the whole image.

        Args:
            shape: b c h w.
            device: Where the images are.
            dtype: Of the network's weights.
            held: Bytes that the solve holds besides.
            bound: Bytes that both may take.

        Returns:
            The network, or a wrapper of it.

        Raises:
            InvalidInput: Where not even the smallest tile fits.
        """
        net = self.on(device, dtype)
        grey = shape[1] % net.colours > 0 and net.data_colours in (0, net.colours)
        colour = self._once((device, dtype, "grey"), lambda: nets.Grey(net)) if grey else net
        if getattr(net, "reach", None) is None or getattr(net, "multiple", None) is None:
            return colour
        tile = memory.tile(net, shape, held, bound=bound, dtype=dtype)
        return self._once((device, dtype, grey, tile), lambda: nets.Tiled(colour, tile=tile))

    def _once(self, key: Any, make: Callable[[], nets.PriorNet]) -> nets.PriorNet:
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]


def check_eager() -> None:
    """Refuse to be traced by torch.compile."""
    what, why = "a network that is placed, and cut into tiles, for its images", "its copies are made once and kept"
    check_traceable(what, why, "solve with priors.PixelShuffleAutoencoder(prior.net, sigma=...), which leaves it alone")


def native(device: torch.device) -> torch.dtype:
    """bfloat16 where the device computes products of it in hardware, else float32."""
    if device.type == "cuda":
        quick = torch.cuda.get_device_capability(device) >= (8, 0)  # the first with products of bfloat16
    else:
        known = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
        quick = device.type == "cpu" and any(supported() for supported in known if supported is not None)
    return torch.bfloat16 if quick else torch.float32
