"""DCGAN's generator for 28 x 28 and 64 x 64 images, and the encoder that mirrors it."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor, nn

from ...arrays import check_count, check_image
from ...errors import InvalidInput, strict_keywords
from .generator import Generator, check_size, dcgan_start


class _Stage(NamedTuple):
    """A transposed convolution of the generator, a convolution of the encoder.

    ``widths``: its channels towards the latent side, in units of the width.
    """

    widths: int
    kernel: int
    stride: int
    padding: int


# From the latent vector, 1 x 1, to the image: 1, 3, 7, 14, 28 and 1, 4, 8, 16, 32, 64 pixels.
_STAGES = {
    28: (_Stage(4, 3, 2, 0), _Stage(2, 4, 2, 1), _Stage(1, 4, 2, 1)),
    64: (_Stage(8, 4, 2, 1), _Stage(4, 4, 2, 1), _Stage(2, 4, 2, 1), _Stage(1, 4, 2, 1)),
}
_FIRST = {28: 3, 64: 4}  # pixels of the smallest stage


class DCGANGenerator(Generator):
    """DCGAN's generator: a transposed convolution from z to 3 x 3 (4 x 4) pixels, then one for each doubling.

    BatchNorm and leaky ReLU 0.2 stand between them, (1 + tanh) / 2 at the end. In training mode BatchNorm looks at
    the batch; in eval mode an image depends on its own z alone. The published networks have width 128: 2.17 and
    12.66 million weights.

    Args:
        colours: Channels of an image.
        size: Its side: 28 (widths 4w, 2w, w, colours) or 64 (8w, 4w, 2w, w, colours), w = width.
        width: Channels of the last hidden stage.
        latent: k, the numbers in z.

    Raises:
        InvalidInput: For another size, or a count below 1.

    References:
        Radford, Metz and Chintala, DCGAN, 2015; widths of Raj, Li and Bresler, GAN-based projector for faster
        recovery, 2019.
    """

    @strict_keywords
    def __init__(self, *, colours: int = 1, size: int = 28, width: int = 64, latent: int = 100) -> None:
        super().__init__()
        self.shape = check_size(size, colours)
        self.width, self.latent = check_count(width, "width", low=1), check_count(latent, "latent", low=1)
        stages = _STAGES[size]
        channels = [*(stage.widths * width for stage in stages), colours]
        layers: list[nn.Module] = [nn.ConvTranspose2d(latent, channels[0], _FIRST[size], bias=False)]
        for stage, near, far in zip(stages, channels, channels[1:], strict=False):
            up = nn.ConvTranspose2d(near, far, stage.kernel, stage.stride, stage.padding, bias=stage is stages[-1])
            layers += [nn.BatchNorm2d(near), nn.LeakyReLU(0.2), up]
        self.layers = nn.Sequential(*layers, nn.Tanh())
        dcgan_start(self)

    def config(self) -> dict[str, Any]:
        return {"colours": self.shape[0], "size": self.shape[1], "width": self.width, "latent": self.latent}

    def draw(self, z: Tensor) -> Tensor:
        x: Tensor = self.layers(z[:, :, None, None])
        return (x + 1) / 2


class DCGANEncoder(nn.Module):
    """The mirror of :class:`DCGANGenerator`, from images b c h w in [0, 1] to numbers, (b, outputs).

    G^+ for outputs = k, a discriminator for 1. Convolutions with BatchNorm (but the first) and leaky ReLU 0.2 down
    to 1 x 1 pixel, then a linear layer. No dropout: in eval mode nothing is random. The published networks have
    width 128: 4.12 and 27.90 million weights.

    Args:
        colours: Channels of an image.
        size: Its side, 28 or 64.
        width: Channels after the first convolution.
        outputs: Numbers that it gives for an image.

    Raises:
        InvalidInput: For another size, a count below 1, or images of another shape.

    References:
        Raj, Li and Bresler, GAN-based projector for faster recovery, 2019.
    """

    @strict_keywords
    def __init__(self, *, colours: int = 1, size: int = 28, width: int = 64, outputs: int = 100) -> None:
        super().__init__()
        self.shape = check_size(size, colours)
        self.width, self.outputs = check_count(width, "width", low=1), check_count(outputs, "outputs", low=1)
        channels = colours
        layers: list[nn.Module] = []
        for stage in reversed(_STAGES[size]):
            wider = stage.widths * width
            normal = [nn.BatchNorm2d(wider)] if layers else []
            layers += [
                nn.Conv2d(channels, wider, stage.kernel, stage.stride, stage.padding, bias=not layers),
                *normal,
                nn.LeakyReLU(0.2),
            ]
            channels = wider
        layers += [nn.Conv2d(channels, channels, _FIRST[size], bias=False), nn.BatchNorm2d(channels), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels, outputs))
        dcgan_start(self)

    def config(self) -> dict[str, Any]:
        """The arguments that build this network again, as JSON values."""
        return {"colours": self.shape[0], "size": self.shape[1], "width": self.width, "outputs": self.outputs}

    def forward(self, x: Tensor) -> Tensor:
        check_image(x, "x")
        if tuple(x.shape[1:]) != self.shape:
            raise InvalidInput(f"x has shape {tuple(x.shape)}; expected (b, {', '.join(map(str, self.shape))})")
        numbers: Tensor = self.layers(2 * x - 1)
        return numbers
