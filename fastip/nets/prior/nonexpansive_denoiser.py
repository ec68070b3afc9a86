"""A denoiser for which the solver provably converges: half the image, half a network that enlarges no distance."""

from __future__ import annotations

import math
from itertools import chain, pairwise, repeat
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...arrays import check_count
from ...errors import InvalidInput, strict_keywords
from ..shuffle import shuffle
from .prior_net import PriorNet

# Frequencies of each axis on which norms are computed: the bound is at most 1 / cos(pi / 32)^2 = 1.0097 times the norm.
# More bring it closer and take more singular values.
GRID = 32
TRAINED_ON = 8  # ... and in each step of a training: fewer cost less, and ``enforce`` then divides by more


class NonexpansiveDenoiser(PriorNet):
    """x = (v + N(v)) / 2, where N never enlarges a distance.

    N is a chain of 3 x 3 convolutions of norm <= 1, with sorted pairs of channels between them, on shuffled pixels::

        ||N(a) - N(b)|| <= ||a - b||

    So x is firmly nonexpansive: the resolvent of a monotone operator, for which ADMM with an exact or a certified
    inverse converges wherever there is a fixed point (docs/mathematics.md, 2). Each weight is divided by its largest
    singular value over all frequencies where that is above 1; borders are zeros, which do not raise it. While
    training it is followed by a power iteration from step to step: call ``enforce()`` after training; ``bound()``
    says what was reached.

    Called as ``net(v, y=None, level=None)``, see :class:`PriorNet`; it is trained for one level, so data and level
    are ignored.

    Args:
        colours: Channels of an image, taken together.
        factor: r of the pixel shuffle.
        width: Channels, an even number.
        depth: Convolutions, 2 or more.

    Raises:
        InvalidInput: For an odd width or counts that are too small.

    References:
        Pesquet, Repetti, Terris and Wiaux, Learning maximally monotone operators for image recovery, 2021; sorted
        pairs: Anil, Lucas and Grosse, 2019.
    """

    @strict_keywords
    def __init__(self, *, colours: int = 3, factor: int = 2, width: int = 48, depth: int = 6) -> None:
        super().__init__()
        self.colours, self.factor = check_count(colours, "colours", low=1), check_count(factor, "factor", low=1)
        self.width, self.depth = check_count(width, "width", low=2), check_count(depth, "depth", low=2)
        if self.width % 2:
            raise InvalidInput(f"width is {width}; expected an even number, for channels are sorted in pairs")
        image = self.colours * self.factor**2
        # One after the other, so that a checkpoint that asks for 10^9 layers is refused at the first that is too many.
        widths = chain((image,), repeat(self.width, self.depth - 1), (image,))
        self.layers = nn.ModuleList(_Conv(i, o) for i, o in pairwise(widths))

    def config(self) -> dict[str, Any]:
        return {"colours": self.colours, "factor": self.factor, "width": self.width, "depth": self.depth}

    @property
    def products(self) -> float:
        """Products for each pixel of the image."""
        return sum(layer.weight.numel() for layer in self._convolutions()) / self.factor**2

    def estimate(self, v: Tensor, y: Tensor | None, level: Tensor | None) -> Tensor:
        h, w = v.shape[-2:]
        # Zeros enlarge no distance, as mirroring would.
        f = F.pixel_unshuffle(F.pad(v, (0, -w % self.factor, 0, -h % self.factor)), self.factor)
        f = f.to(next(self.parameters()).dtype, memory_format=torch.channels_last)
        for k, layer in enumerate(self._convolutions()):
            f = layer(f if k == 0 else _sorted(f))
        return (v + shuffle(f, self.factor, h, w).to(v)) / 2

    def _convolutions(self) -> list[_Conv]:
        return list(self.layers)  # type: ignore[arg-type]

    def bound(self) -> float:
        """An upper bound of the Lipschitz constant of N, that of the weights in use.

        1 or less makes the network firmly nonexpansive.
        """
        return math.prod(conv_bound(layer.effective().detach()) for layer in self._convolutions())

    def enforce(self) -> float:
        """Divide every weight by what is above 1 of its norm, for good, and return the bound, then at most 1."""
        with torch.no_grad():
            for layer in self._convolutions():
                layer.weight.copy_(layer.effective())
                layer.weight.div_(max(1.0, conv_bound(layer.weight)))
                layer.norm.fill_(1.0)
        return self.bound()


class _Conv(nn.Module):
    """W f + b with W = weight / max(1, norm), zeros outside."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.empty(after, before, 3, 3)), nn.Parameter(torch.zeros(after))
        with torch.no_grad():  # near an orthogonal map, so that distances survive the chain
            nn.init.normal_(self.weight, std=0.1 / math.sqrt(9 * before))
            nn.init.orthogonal_(centre := torch.empty(after, before))
            self.weight[:, :, 1, 1] += centre
        self.register_buffer("norm", torch.ones(()))
        self.register_buffer("right", torch.randn(TRAINED_ON, TRAINED_ON // 2 + 1, before, 2))
        self.norm: Tensor
        self.right: Tensor

    def effective(self) -> Tensor:
        """The weight in use."""
        return self.weight / self.norm.clamp_min(1.0)

    def forward(self, f: Tensor) -> Tensor:
        weight = self.weight / self._followed().clamp_min(1.0) if self.training else self.effective()
        return F.conv2d(f, weight.to(f.dtype), self.bias.to(f.dtype), padding=1)

    def _followed(self) -> Tensor:
        """The largest singular value over a few frequencies, by one step of a power iteration.

        It is kept for what comes after training.
        """
        with torch.autocast(self.weight.device.type, enabled=False):
            response = _response(self.weight.float(), TRAINED_ON)
            with torch.no_grad():
                left = _unit(response @ _unit(torch.view_as_complex(self.right)[..., None]))
                right = _unit(response.mH @ left)
                self.right.copy_(torch.view_as_real(right[..., 0]))
            norm: Tensor = (left.mH @ response @ right).abs().amax().to(self.weight)
            self.norm.copy_(norm.detach())
        return norm


def conv_bound(weight: Tensor) -> float:
    """An upper bound of the norm of a 3 x 3 convolution, whatever the size of its grid.

    The largest singular value over GRID^2 frequencies, divided by cos(pi / GRID)^2, since a trigonometric polynomial
    of degree 1 exceeds its values there by no more.

    References:
        Ehlich and Zeller 1964.
    """
    largest = float(torch.linalg.matrix_norm(_response(weight.double(), GRID), 2).max())
    return largest / math.cos(math.pi / GRID) ** 2


def _response(weight: Tensor, size: int) -> Tensor:
    """The matrix out x in at each frequency, (size, size // 2 + 1, out, in)."""
    return torch.fft.rfft2(weight, s=(size, size)).permute(2, 3, 0, 1)


def _unit(v: Tensor) -> Tensor:
    return v / torch.linalg.vector_norm(v, dim=-2, keepdim=True).clamp_min(1e-12)


def _sorted(f: Tensor) -> Tensor:
    """Pairs of channels, the larger first: 1-Lipschitz, and no length is lost."""
    a, b = f.chunk(2, dim=1)
    return torch.cat([torch.maximum(a, b), torch.minimum(a, b)], dim=1)
