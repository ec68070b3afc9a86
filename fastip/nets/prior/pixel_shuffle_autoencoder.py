"""A denoiser that starts as the identity, with the noise level and the data as inputs.

Residual blocks on grids that each shuffle the pixels of the one before.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...arrays import check_count
from ...errors import InvalidInput, strict_keywords
from ..shuffle import beside, check_strides, data_channels, shuffle, unshuffle
from .prior_net import PriorNet

PADDINGS = ("replicate", "zeros")  # PyTorch's names


class Block(nn.Module):
    """f + W2 relu(W1 f + b1) + b2, 3 x 3."""

    def __init__(self, width: int, padding_mode: str = "replicate") -> None:
        super().__init__()
        self.first, self.second = _conv(width, width, padding_mode), _conv(width, width, padding_mode)
        nn.init.kaiming_normal_(self.first.weight)
        # A tenth of what keeps the variance: with more a chain starts far from the identity, with less it learns late.
        nn.init.normal_(self.second.weight, std=0.1 / (9 * width) ** 0.5)
        for bias in (self.first.bias, self.second.bias):
            nn.init.zeros_(bias)  # type: ignore[arg-type]

    def forward(self, f: Tensor) -> Tensor:
        result: Tensor = f + self.second(torch.relu_(self.first(f)))
        return result


class PixelShuffleAutoencoder(PriorNet):
    """A denoiser that estimates the noise and takes it away, on a shuffled grid and on coarser ones.

    In a formula::

        x = v - shuffle(tail(decoder(encoder([unshuffle(v), level]) with y)))

    The first grid is the image's, ``factor`` times smaller by a pixel shuffle; each of the others is twice as
    coarse, reached by a learned shuffle (a 2 x 2 convolution of stride 2; back by 1 x 1 and repetition), as an
    encoder and a decoder with the features of the encoder added on the way back. On each grid there are residual
    blocks of 3 x 3 convolutions. The tail starts at 0, so the network starts as the identity. Images are mirrored at
    their borders for the head and up to a size that the grids share. Any size is taken.

    Called as ``net(v, y=None, level=None)``, see :class:`PriorNet`: level is the standard deviation of the noise in v.

    Args:
        colours: Channels of an image, taken together.
        factor: r of the first shuffle.
        widths: Channels of each grid, fine to coarse. A block has 18 width^2 products for each pixel of its grid.
        blocks: Residual blocks of each grid; they come twice, on the way down and back, but for the coarsest grid.
        data_colours: Channels of y, 0 for a network that does not see it.
        stride: How many times smaller the data's grid is than the image's (1 for deblurring); y joins on the
            coarsest grid that is not coarser than its own. stride divides factor, or factor divides it.
        padding_mode: What the convolutions see beyond the borders of features: "replicate", the nearest, so that a
            constant image has no seam, or "zeros", which needs no padded copies: widths (16, 48, 128, 192) with
            blocks (1, 2, 2, 1) take 0.63 of the time for a step of training in bfloat16, 0.55 for a picture of 512 x
            512 (one thread of an Intel Xeon with AMX, torch 2.13).

    Raises:
        InvalidInput: For a wrong structure or inputs that do not fit it.

    References:
        After Fan, Wei, Carin and Heller 2017, tables 2 and 3; the level as an input after Zhang, Zuo and Zhang,
        FFDNet, 2018; grids after Zhang et al., DRUNet, 2021.
    """

    takes_level = True

    @strict_keywords
    def __init__(
        self,
        *,
        colours: int = 3,
        factor: int = 1,
        widths: Sequence[int] = (16, 32, 64),
        blocks: Sequence[int] = (1, 1, 2),
        data_colours: int = 0,
        stride: int = 1,
        padding_mode: str = "replicate",
    ) -> None:
        super().__init__()
        if padding_mode not in PADDINGS:
            raise InvalidInput(f"padding_mode is {padding_mode!r}; expected one of {', '.join(PADDINGS)}")
        self.padding_mode = padding_mode
        self.colours, self.factor = check_count(colours, "colours", low=1), check_count(factor, "factor", low=1)
        self.widths, self.blocks = (
            tuple(check_count(w, "widths", low=1) for w in widths),
            tuple(check_count(b, "blocks", low=0) for b in blocks),
        )
        if not self.widths or len(self.widths) != len(self.blocks):
            raise InvalidInput(
                f"widths and blocks have {len(self.widths)} and {len(self.blocks)} entries; "
                "expected one for each grid, at least one"
            )
        self.data_colours, self.stride = (
            check_count(data_colours, "data_colours", low=0),
            check_count(stride, "stride", low=1),
        )
        check_strides(self.factor, self.stride)
        image = self.colours * self.factor**2
        self.head, self.tail = nn.Conv2d(image + 1, self.widths[0], 3), _conv(self.widths[0], image, padding_mode)
        nn.init.zeros_(self.tail.weight)
        nn.init.zeros_(self.tail.bias)  # type: ignore[arg-type]
        self.encoder, self.decoder = (
            nn.ModuleList(_chain(w, b, padding_mode) for w, b in zip(self.widths, self.blocks, strict=True))
            for _ in range(2)
        )
        del self.decoder[-1]
        self.down = nn.ModuleList(nn.Conv2d(fine, coarse, 2, 2) for fine, coarse in pairwise(self.widths))
        self.up = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in pairwise(self.widths))
        self.joint = max((k for k in range(len(self.widths)) if self.stride % (self.factor * 2**k) == 0), default=0)
        channels = data_channels(self.data_colours, self.factor * 2**self.joint, self.stride)
        self.data = _conv(channels, self.widths[self.joint], padding_mode) if self.data_colours else None

    def config(self) -> dict[str, Any]:
        return {
            "colours": self.colours,
            "factor": self.factor,
            "widths": list(self.widths),
            "blocks": list(self.blocks),
            "data_colours": self.data_colours,
            "stride": self.stride,
            # Left out where it is the default: as files written before.
        } | ({} if self.padding_mode == PADDINGS[0] else {"padding_mode": self.padding_mode})

    @strict_keywords
    def conditioned(self, *, data_colours: int, stride: int = 1) -> PixelShuffleAutoencoder:
        """A copy that also takes data, and makes nothing of them until it is trained.

        Their convolution is 0, so ``net.conditioned(...)(v, y, s) = net(v, s)``.

        Args:
            data_colours: Channels of y, at least 1.
            stride: As for the class.

        Returns:
            The copy, on the same device.

        Raises:
            InvalidInput: For a network that takes data already, and for data that do not fit.
        """
        if self.conditional:
            raise InvalidInput(
                f"this network takes data of {self.data_colours} channels already; start from one with data_colours=0"
            )
        net = PixelShuffleAutoencoder(**self.config() | {"data_colours": data_colours, "stride": stride})
        if net.data is None:
            raise InvalidInput(f"data_colours is {data_colours}; expected the channels of y, at least 1")
        net.load_state_dict(self.state_dict(), strict=False)
        nn.init.zeros_(net.data.weight)
        nn.init.zeros_(net.data.bias)  # type: ignore[arg-type]
        return net.to(self.head.weight)

    @strict_keywords
    def grown(self, *, widths: Sequence[int], blocks: Sequence[int]) -> PixelShuffleAutoencoder:
        """A larger copy with more channels and blocks that computes the same until it is trained.

        What is new reads, and nothing reads it yet: new rows of a convolution have first weights of their own, the
        weights that lead from new channels to old ones are 0, new blocks are identities.

        Args:
            widths: Channels of each grid, none below this network's.
            blocks: Blocks of each grid, none below this network's.

        Returns:
            The copy, on the same device.

        Raises:
            InvalidInput: For another number of grids, and for fewer channels or blocks.

        References:
            Function-preserving growth as in Chen, Goodfellow and Shlens, Net2Net, 2016, with zeros in place of halves.
        """
        net = PixelShuffleAutoencoder(**self.config() | {"widths": widths, "blocks": blocks})
        pairs = [*zip(net.widths, self.widths, strict=False), *zip(net.blocks, self.blocks, strict=False)]
        if len(net.widths) != len(self.widths) or any(new < old for new, old in pairs):
            raise InvalidInput(
                f"widths are {net.widths} and blocks {net.blocks}; expected {len(self.widths)} of each, "
                f"at least {self.widths} and {self.blocks}"
            )
        for chain, before in zip([*net.encoder, *net.decoder], [*self.encoder, *self.decoder], strict=True):
            for block in list(chain.children())[len(list(before.children())) :]:
                nn.init.zeros_(block.second.weight)
        state = net.state_dict()
        for name, old in self.state_dict().items():
            new = state[name]
            if old.ndim == 4:
                new[: len(old)] = 0
            new[tuple(slice(n) for n in old.shape)] = old
        return net.to(self.head.weight)

    @property
    def multiple(self) -> int:
        """What images are mirrored up to a multiple of."""
        return self.factor * 2 ** (len(self.widths) - 1)

    @property
    def reach(self) -> int:
        """The farthest pixel of v, and of y times the stride, that a pixel of the result depends on.

        This is the margin of tiles that are to equal the whole.
        """
        last = len(self.widths) - 1
        convolutions = [
            2 * count * (1 if k == last else 2) + 2 * (k == 0) + (self.data is not None and k == self.joint)
            for k, count in enumerate(self.blocks)
        ]
        return sum(n * self.factor * 2**k for k, n in enumerate(convolutions)) + max(self.multiple, self.stride) - 1

    @property
    def products(self) -> float:
        """Products for each pixel of the image."""
        fine = [*self.head.parameters(), *self.tail.parameters()]
        grids = [
            [*self.encoder[k].parameters(), *(self.decoder[k].parameters() if k < len(self.decoder) else ())]
            for k in range(len(self.widths))
        ]
        for k, (down, up) in enumerate(zip(self.down, self.up, strict=True), 1):
            grids[k] += [*down.parameters(), *up.parameters()]
        grids[0] += fine
        grids[self.joint] += self.data.parameters() if self.data is not None else []
        return sum(p.numel() / (self.factor * 2**k) ** 2 for k, some in enumerate(grids) for p in some if p.ndim == 4)

    def estimate(self, v: Tensor, y: Tensor | None, level: Tensor | None) -> Tensor:
        h, w = v.shape[-2:]
        small = unshuffle(v, self.factor, 1, self.multiple)
        assert level is not None
        levels = level.to(small)[:, None, None, None].expand(-1, 1, *small.shape[2:])
        f = self.head(torch.cat([small, levels], dim=1).to(self.head.weight.dtype, memory_format=torch.channels_last))
        kept: list[Tensor] = []
        for k, blocks in enumerate(self.encoder):
            f = f if k == 0 else self.down[k - 1](f)
            f = f + self._features(y, f) if y is not None and k == self.joint else f
            f = blocks(f)
            kept.append(f)
        for k in reversed(range(len(self.decoder))):
            f = self.decoder[k](kept[k] + F.interpolate(self.up[k](f), scale_factor=2.0, mode="nearest"))
        return v - shuffle(self.tail(f), self.factor, h, w).to(v)

    def _features(self, y: Tensor, f: Tensor) -> Tensor:
        """The data on the grid where they join."""
        assert self.data is not None
        grid = beside(y, self.factor * 2**self.joint, self.stride, f.shape[2], f.shape[3])
        result: Tensor = self.data(grid.to(self.head.weight.dtype, memory_format=torch.channels_last))
        return result


def _conv(before: int, after: int, padding_mode: str) -> nn.Conv2d:
    return nn.Conv2d(before, after, 3, padding=1, padding_mode=padding_mode)  # type: ignore[arg-type]


def _chain(width: int, count: int, padding_mode: str) -> nn.Sequential:
    return nn.Sequential(*(Block(width, padding_mode) for _ in range(count)))
