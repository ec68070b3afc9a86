"""The projector of Chang et al., one network from image to image, and the two discriminators that train it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...arrays import check_count, check_image, check_real
from ...errors import InvalidInput, strict_keywords
from .generator import dcgan_start

WIDTHS = (1, 2, 4, 8, 16)  # channels after each convolution of the encoder, in units of the width
STRIDES = (1, 1, 2, 2, 2)
SMALLEST = 8  # pixels of a side: halved three times, they leave one place of the code


class OneNetProjector(nn.Module):
    """P(x) = decode(encode(x)): an auto-encoder that is trained to remove what natural images lack.

    From images b colours size size in [0, 1] to images. encode: 4 x 4 convolutions to w, 2w channels, and with
    stride 2 to 4w, 8w, 16w, w = width; then each channel goes through a full matrix of its own over all its places,
    and a 2 x 2 convolution mixes the channels. decode: the mirror, linear at the end. BatchNorm and ELU in between.
    The published network has width 64, size 64 and virtual BatchNorm, which looks at a reference batch; here it is
    plain BatchNorm: in eval mode an image depends on itself alone.

    Args:
        colours: Channels of an image.
        size: Its side, at least 8 pixels, for which the matrices are made.
        width: w, channels after the first convolution.

    Raises:
        InvalidInput: For counts that are too small, and images of another shape.

    References:
        Chang, Li, Poczos, Vijaya Kumar and Sankaranarayanan, One network to solve them all, 2017.
    """

    @strict_keywords
    def __init__(self, *, colours: int = 3, size: int = 64, width: int = 64) -> None:
        super().__init__()
        side, self.width = check_count(size, "size", low=SMALLEST), check_count(width, "width", low=1)
        self.shape = (check_count(colours, "colours", low=1), side, side)
        channels = [colours, *(n * width for n in WIDTHS)]
        down: list[nn.Module] = []
        up: list[nn.Module] = []
        for near, far, stride in zip(channels, channels[1:], STRIDES, strict=False):
            down += [_Down(near, far, stride), *_after(far)]
            up = [_Up(far, near, stride, side % stride), *(_after(near) if up else []), *up]
            side //= stride
        self.down = nn.Sequential(*down)
        self.middle = nn.Sequential(
            ChannelMatrices(channels[-1], side),
            nn.ZeroPad2d((0, 1, 0, 1)),
            nn.Conv2d(channels[-1], channels[-1], 2, bias=False),
        )
        self.after = nn.Sequential(*_after(channels[-1]))
        self.up = nn.Sequential(*up)
        dcgan_start(self)

    def config(self) -> dict[str, Any]:
        """The arguments that build this network again, as JSON values."""
        return {"colours": self.shape[0], "size": self.shape[1], "width": self.width}

    def encode(self, x: Tensor) -> Tensor:
        """The code b 16w size/8 size/8 (rounded down) of images."""
        check_image(x, "x")
        if tuple(x.shape[1:]) != self.shape:
            raise InvalidInput(f"x has shape {tuple(x.shape)}; expected (b, {', '.join(map(str, self.shape))})")
        code: Tensor = self.after(self.middle(self.down(2 * x - 1)))
        return code

    def decode(self, code: Tensor) -> Tensor:
        """The images of codes."""
        x: Tensor = self.up(code)
        return (x + 1) / 2

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))


class ChannelMatrices(nn.Module):
    """y_c = x_c M_c for each channel's map x_c of side x side places, taken as a row; M_c is the identity at first."""

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.eye(side**2).repeat(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("bcn,cnm->bcm", x.flatten(2), self.weight).reshape(x.shape)


class _Down(nn.Module):
    """A 4 x 4 convolution without bias: the size is kept (a row before, two after), or halved."""

    def __init__(self, near: int, far: int, stride: int) -> None:
        super().__init__()
        self.conv, self.pads = (
            nn.Conv2d(near, far, 4, stride, bias=False),
            (1, 2, 1, 2) if stride == 1 else (1, 1, 1, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.conv(F.pad(x, self.pads))
        return found


class _Up(nn.Module):
    """The mirror of :class:`_Down`, with a bias: the size is kept, or doubled and made one larger where it was odd."""

    def __init__(self, near: int, far: int, stride: int, odd: int) -> None:
        super().__init__()
        self.conv, self.cut = nn.ConvTranspose2d(near, far, 4, stride, 1, output_padding=odd), int(stride == 1)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.conv(x)
        return found[..., : found.shape[-2] - self.cut, : found.shape[-1] - self.cut]


def _after(channels: int) -> list[nn.Module]:
    return [nn.BatchNorm2d(channels), nn.ELU()]


class _Bottleneck(nn.Module):
    """x + 1 x 1, 3 x 3 and 1 x 1 convolutions to n, n and 4n channels, BatchNorm and ELU before each.

    x goes through a 1 x 1 convolution where the shape changes.
    """

    def __init__(self, channels: int, narrow: int, stride: int) -> None:
        super().__init__()
        widths = (channels, narrow, narrow, 4 * narrow)
        layers: list[nn.Module] = []
        for (near, far), size in zip(itertools.pairwise(widths), (1, 3, 1), strict=True):
            layers += [
                nn.BatchNorm2d(near),
                nn.ELU(),
                nn.Conv2d(near, far, size, stride if size == 3 else 1, size // 2, bias=False),
            ]
        self.layers = nn.Sequential(*layers)
        same = stride == 1 and channels == 4 * narrow
        self.past = nn.Identity() if same else nn.Conv2d(channels, 4 * narrow, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.past(x) + self.layers(x)
        return found


def _residual(channels: int, narrow: int, blocks: Sequence[int]) -> list[nn.Module]:
    """Stages of bottlenecks, each after the first at half the size and twice the width.

    Then the mean over all places and one number.
    """
    layers: list[nn.Module] = []
    for stage, count in enumerate(blocks):
        for block in range(count):
            layers.append(_Bottleneck(channels, narrow * 2**stage, 2 if stage and not block else 1))
            channels = 4 * narrow * 2**stage
    return [*layers, *_after(channels), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1), nn.Flatten(0)]


class OneNetDiscriminator(nn.Module):
    """Log odds that images b colours h w in [0, 1] are real, (b,).

    A 4 x 4 convolution of stride 2 and a pre-activated residual network of bottlenecks.

    Args:
        colours: Channels of an image.
        width: Channels after the first convolution, 64 in the publication.
        blocks: Bottlenecks in each stage, 3, 4, 6, 3 in the publication.

    Raises:
        InvalidInput: For counts below 1, and images with other channels.

    References:
        As for :class:`OneNetProjector`.
    """

    @strict_keywords
    def __init__(self, *, colours: int = 3, width: int = 64, blocks: Sequence[int] = (3, 4, 6, 3)) -> None:
        super().__init__()
        self.colours, self.width = check_count(colours, "colours", low=1), check_count(width, "width", low=1)
        self.blocks = tuple(check_count(count, "a number in blocks", low=1) for count in blocks)
        self.layers = nn.Sequential(nn.Conv2d(colours, width, 4, 2, 1), *_residual(width, width, self.blocks))
        dcgan_start(self)

    def config(self) -> dict[str, Any]:
        """The arguments that build this network again, as JSON values."""
        return {"colours": self.colours, "width": self.width, "blocks": list(self.blocks)}

    def forward(self, x: Tensor) -> Tensor:
        check_image(x, "x")
        if x.shape[1] != self.colours:
            raise InvalidInput(f"x has shape {tuple(x.shape)}; expected {self.colours} channels")
        odds: Tensor = self.layers(2 * x - 1)
        return odds


class OneNetLatentDiscriminator(nn.Module):
    """Log odds that codes of a :class:`OneNetProjector` are those of clean images, (b,): a stage of bottlenecks.

    Args:
        width: w of the projector; its codes are b 16w h w.
        blocks: Bottlenecks.

    Raises:
        InvalidInput: For counts below 1, and codes with other channels.

    References:
        As for :class:`OneNetProjector`.
    """

    @strict_keywords
    def __init__(self, *, width: int = 64, blocks: int = 6) -> None:
        super().__init__()
        self.width, self.blocks = check_count(width, "width", low=1), check_count(blocks, "blocks", low=1)
        self.layers = nn.Sequential(*_residual(WIDTHS[-1] * width, WIDTHS[-1] * width // 4, (blocks,)))
        dcgan_start(self)

    def config(self) -> dict[str, Any]:
        """The arguments that build this network again, as JSON values."""
        return {"width": self.width, "blocks": self.blocks}

    def forward(self, code: Tensor) -> Tensor:
        check_real(code, "code")
        if code.ndim != 4 or code.shape[1] != WIDTHS[-1] * self.width:
            raise InvalidInput(
                f"code has shape {tuple(code.shape)}; expected b {WIDTHS[-1] * self.width} h w, "
                f"of a projector of width {self.width}"
            )
        odds: Tensor = self.layers(code)
        return odds
