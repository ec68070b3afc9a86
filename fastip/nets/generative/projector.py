"""A network that projects on the range of a generator."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...arrays import check_count
from ...errors import InvalidInput, brief
from .dcgan import DCGANEncoder
from .generator import Generator

MOST = 64  # corrections; a file may ask for any number


class Projector(nn.Module):
    """P(x) = G(z), z = G^+(x): the image of the generator near x, b c h w, by one pass of each network.

    With a corrector C there are ``corrections`` steps more::

        z <- z + C(x, G(z))

    C sees what is still wrong, as one look at x does not. In eval mode nothing is random.

    Args:
        generator: The generator G.
        encoder: G^+, an encoder of the generator's images with ``outputs`` = k.
        corrector: None, which is the published projector, or C, an encoder of 2 c colours: x above what the last
            pass made of it.
        corrections: How often, 1 to 64.

    Raises:
        InvalidInput: For encoders of other images, or with another number of outputs, and for corrections without a
            corrector.

    References:
        Raj, Li and Bresler, GAN-based projector for faster recovery with convergence guarantees in linear inverse
        problems, 2019; the corrections: Alaluf, Patashnik and Cohen-Or, ReStyle: a residual-based StyleGAN encoder
        via iterative refinement, 2021.
    """

    def __init__(
        self, generator: Generator, encoder: DCGANEncoder, corrector: DCGANEncoder | None = None, corrections: int = 1
    ) -> None:
        super().__init__()
        for name, net in (("encoder", encoder), ("corrector", corrector)):
            if (
                not isinstance(generator, Generator)
                or not isinstance(net, DCGANEncoder)
                and (net is not None or name == "encoder")
            ):
                given = f"generator is {type(generator).__name__}, {name} {type(net).__name__}"
                raise InvalidInput(f"{given}; expected a nets.Generator and a nets.DCGANEncoder")
        for name, net, colours in (
            ("encoder", encoder, generator.shape[0]),
            ("corrector", corrector, 2 * generator.shape[0]),
        ):
            shape = (colours, *generator.shape[1:])
            if net is not None and (net.shape != shape or net.outputs != generator.latent):
                made, read = f"{generator.shape} of {generator.latent} numbers", f"{net.shape} and gives {net.outputs}"
                due = f"expected {shape} and outputs={generator.latent}"
                due += ": it reads two images, one above the other" if name == "corrector" else ""
                raise InvalidInput(f"the generator makes images {made}, the {name} reads {read}; {due}")
        if corrector is None and corrections != 1:
            raise InvalidInput(
                f"corrections is {corrections!r}, and there is no corrector: give one, or leave corrections out"
            )
        self.generator, self.encoder, self.corrector = generator, encoder, corrector
        self.corrections = check_count(corrections, "corrections", low=1)
        if self.corrections > MOST:
            raise InvalidInput(f"corrections is {brief(corrections)}; expected at most {MOST}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """(c, h, w) of the images."""
        return self.generator.shape

    def passes(self, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        """(z, G(z)) after the encoder and, where there is a corrector, after each correction."""
        z = self.encoder(x)
        found = [(z, self.generator(z))]
        for _ in range(self.corrections if self.corrector is not None else 0):
            z = z + self.corrector(torch.cat([x, found[-1][1]], dim=1))  # type: ignore[misc] # not None here
            found.append((z, self.generator(z)))
        return found

    def forward(self, x: Tensor) -> Tensor:
        return self.passes(x)[-1][1]
