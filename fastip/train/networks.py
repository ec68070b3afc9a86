"""The networks that a training of a generator begins with, from a seed."""

from __future__ import annotations

import torch

from .. import nets
from ..arrays import check_count
from ..errors import InvalidInput, strict_keywords


@strict_keywords
def networks(
    name: str, *, colours: int = 1, size: int = 28, width: int = 64, latent: int = 100, seed: int = 0
) -> tuple[nets.Generator, nets.DCGANEncoder | nets.SAGANDiscriminator]:
    """A generator and the discriminator it plays against, with first weights drawn from ``seed``: "dcgan" (28 or 64 pixels) or "sagan" (64).

    Raises InvalidInput for another name, and sizes that the network is not built for.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(check_count(seed, "seed", low=0) % 2**63)
        if name == "dcgan":
            generator = nets.DCGANGenerator(colours=colours, size=size, width=width, latent=latent)
            return generator, nets.DCGANEncoder(colours=colours, size=size, width=width, outputs=1)
        if name == "sagan" and size == 64:
            return nets.SAGANGenerator(colours=colours, width=width, latent=latent), nets.SAGANDiscriminator(colours=colours, width=width)
    raise InvalidInput(f"there is no {name!r} for {size} x {size}; expected dcgan (28 or 64), or sagan (64)")
