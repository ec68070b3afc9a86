"""The networks that a training of a generator, or of a projector on its images, begins with, from a seed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from .. import nets
from ..arrays import check_count
from ..errors import InvalidInput, strict_keywords


@strict_keywords
def networks(
    name: str, *, colours: int = 1, size: int = 28, width: int = 64, latent: int = 100, seed: int = 0
) -> tuple[nets.Generator, nets.DCGANEncoder | nets.SAGANDiscriminator]:
    """A generator and the discriminator it plays against, with first weights drawn from a seed.

    Args:
        name: "dcgan" (28 or 64 pixels) or "sagan" (64).
        colours: Channels of the images.
        size: Side of the images in pixels.
        width: Channels of the largest grid below the image; the smaller ones have multiples of it.
        latent: Numbers in z.
        seed: Of the first weights; nothing outside is drawn from.

    Returns:
        The generator, and its discriminator.

    Raises:
        InvalidInput: For another name, and sizes that the network is not built for.
    """
    with drawn_from(seed):
        if name == "dcgan":
            generator = nets.DCGANGenerator(colours=colours, size=size, width=width, latent=latent)
            return generator, nets.DCGANEncoder(colours=colours, size=size, width=width, outputs=1)
        if name == "sagan" and size == 64:
            return nets.SAGANGenerator(colours=colours, width=width, latent=latent), nets.SAGANDiscriminator(
                colours=colours, width=width
            )
    raise InvalidInput(f"there is no {name!r} for {size} x {size}; expected dcgan (28 or 64), or sagan (64)")


@strict_keywords
def encoder(
    generator: nets.Generator, *, images: int = 1, width: int | None = None, seed: int = 0
) -> nets.DCGANEncoder:
    """An encoder for the projector of a generator, with first weights drawn from a seed.

    Args:
        generator: Whose images it reads; it gives as many numbers as that takes.
        images: 1, or 2 for a corrector: one above the other.
        width: As for :func:`networks`; that of the generator where it has one, else 64.
        seed: Of the first weights; nothing outside is drawn from.

    Returns:
        The encoder, untrained.

    Raises:
        InvalidInput: For images of sizes that the network is not built for, and what is no generator.
    """
    if not isinstance(generator, nets.Generator):
        raise InvalidInput(f"generator is {type(generator).__name__}; expected a network such as nets.DCGANGenerator")
    colours, size, _ = generator.shape
    chosen = getattr(generator, "width", 64) if width is None else width
    with drawn_from(seed):
        return nets.DCGANEncoder(
            colours=check_count(images, "images", low=1) * colours, size=size, width=chosen, outputs=generator.latent
        )


@contextmanager
def drawn_from(seed: int) -> Iterator[None]:
    """Weights made inside are drawn from the seed; nothing outside is."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(check_count(seed, "seed", low=0) % 2**63)
        yield
