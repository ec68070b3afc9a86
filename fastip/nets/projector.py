"""A network that projects on the range of a generator."""

from __future__ import annotations

from torch import Tensor, nn

from ..errors import InvalidInput
from .dcgan import DCGANEncoder
from .generator import Generator


class Projector(nn.Module):
    """P(x) = G(G^+(x)): the image of the generator near x, b c h w, by one pass of each network.

    generator: G. encoder: G^+, an encoder of the generator's images with ``outputs`` = k. In eval mode nothing is random.
    Raises InvalidInput for an encoder of other images, or with another number of outputs.
    Source: Raj, Li and Bresler, GAN-based projector for faster recovery with convergence guarantees in linear inverse problems, 2019.
    """

    def __init__(self, generator: Generator, encoder: DCGANEncoder) -> None:
        super().__init__()
        if not isinstance(generator, Generator) or not isinstance(encoder, DCGANEncoder):
            raise InvalidInput(f"generator is {type(generator).__name__}, encoder {type(encoder).__name__}; expected a nets.Generator and a nets.DCGANEncoder")
        if encoder.shape != generator.shape or encoder.outputs != generator.latent:
            made, read = f"{generator.shape} of {generator.latent} numbers", f"{encoder.shape} and gives {encoder.outputs}"
            raise InvalidInput(f"the generator makes images {made}, the encoder reads {read}; build it with the same shape and outputs={generator.latent}")
        self.generator, self.encoder = generator, encoder

    @property
    def shape(self) -> tuple[int, int, int]:
        """(c, h, w) of the images."""
        return self.generator.shape

    def forward(self, x: Tensor) -> Tensor:
        projected: Tensor = self.generator(self.encoder(x))
        return projected
