"""What a reconstruction asks of the networks, counted while it runs: passes forward and back, and multiplications."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ...errors import strict_keywords
from ...nets import Projector

BACK = 2  # passes forward that a pass back counts for, the usual rule


@dataclass
class Passes:
    """Counts, inside a ``with``, the images that pass through the parts of a projector.

    A pass of the generator under autograd is followed by one back.

    Args:
        net: The projector.
        generator: Images that went through it.
        back: Images that went back through it.
        encoders: Images that went through the encoder, and the corrector where the projector has one.
    """

    net: Projector
    generator: int = 0
    back: int = 0
    encoders: int = 0
    _handles: list[Any] = field(default_factory=list)

    def __enter__(self) -> Passes:
        for module in self.net.children():
            seen = self._generated if module is self.net.generator else self._encoded
            self._handles.append(module.register_forward_hook(seen))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()

    def _generated(self, module: nn.Module, given: tuple[Tensor, ...], made: Tensor) -> None:
        self.generator += len(made)
        self.back += len(made) if made.requires_grad else 0

    def _encoded(self, module: nn.Module, given: tuple[Tensor, ...], made: Tensor) -> None:
        self.encoders += len(made)

    def each(self, images: int) -> dict[str, float]:
        """Passes for each of so many images.

        Through the generator, back through it, through the encoders, and all, a pass back for BACK.
        """
        total = self.generator + BACK * self.back + self.encoders
        return {
            "generator": self.generator / images,
            "back": self.back / images,
            "encoders": self.encoders / images,
            "all": total / images,
        }


@dataclass(frozen=True)
class Work:
    """Multiplications with addition, for one image.

    A pass through the generator, back through it to z alone, through an encoder (the mean of a projection).
    """

    generator: float
    back: float
    encoder: float

    def of(self, passes: dict[str, float]) -> float:
        """What these passes take."""
        return self.generator * passes["generator"] + self.back * passes["back"] + self.encoder * passes["encoders"]


@strict_keywords
def work(net: Projector) -> Work:
    """Counted by PyTorch while one image goes through; the weights are frozen, so that the way back is to z alone."""
    weight = next(net.parameters())
    z = torch.zeros(1, net.generator.latent, dtype=weight.dtype, device=weight.device, requires_grad=True)
    with FlopCounterMode(display=False) as forward, torch.enable_grad():
        x = net.generator(z)
    with FlopCounterMode(display=False) as back:
        torch.autograd.grad(x.sum(), z)
    with FlopCounterMode(display=False) as whole, torch.no_grad(), Passes(net) as passes:
        net(x.detach())
    once, again, all_ = (count.get_total_flops() / 2 for count in (forward, back, whole))  # PyTorch counts two each
    return Work(once, again, (all_ - passes.generator * once) / passes.encoders)
