"""Architectures: networks and nothing else. No files, no training, no operator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from ..errors import InvalidInput, strict_keywords
from .batchnorm import fold_batchnorm as fold_batchnorm
from .boundary import boundary_of as boundary_of
from .chains import VGG16 as VGG16
from .chains import AlexNet as AlexNet
from .comparator import Comparator as Comparator
from .generative.dcgan import DCGANEncoder as DCGANEncoder
from .generative.dcgan import DCGANGenerator as DCGANGenerator
from .generative.discriminator import Discriminator as Discriminator
from .generative.generator import Generator as Generator
from .generative.one_net import OneNetDiscriminator as OneNetDiscriminator
from .generative.one_net import OneNetLatentDiscriminator as OneNetLatentDiscriminator
from .generative.one_net import OneNetProjector as OneNetProjector
from .generative.projector import Projector as Projector
from .generative.sagan import SAGANDiscriminator as SAGANDiscriminator
from .generative.sagan import SAGANGenerator as SAGANGenerator
from .generative.vae import VAEDecoder as VAEDecoder
from .generative.vae import VAEEncoder as VAEEncoder
from .inverse.inverse_net import InverseNet as InverseNet
from .inverse.paper_inverse_net import PaperInverseNet as PaperInverseNet
from .prior.digit_autoencoder import DigitAutoencoder as DigitAutoencoder
from .prior.grey import Grey as Grey
from .prior.nonexpansive_denoiser import NonexpansiveDenoiser as NonexpansiveDenoiser
from .prior.paper_pixel_shuffle_autoencoder import PaperPixelShuffleAutoencoder as PaperPixelShuffleAutoencoder
from .prior.pixel_shuffle_autoencoder import PixelShuffleAutoencoder as PixelShuffleAutoencoder
from .prior.prior_net import PriorNet as PriorNet
from .prior.tiled import Tiled as Tiled
from .squeezenet import SqueezeNet as SqueezeNet

INVERSE_NETS: dict[str, type[InverseNet] | type[PaperInverseNet]] = {
    "InverseNet": InverseNet,
    "PaperInverseNet": PaperInverseNet,
}
PRIOR_NETS: dict[str, type[PriorNet]] = {
    "DigitAutoencoder": DigitAutoencoder,
    "NonexpansiveDenoiser": NonexpansiveDenoiser,
    "PaperPixelShuffleAutoencoder": PaperPixelShuffleAutoencoder,
    "PixelShuffleAutoencoder": PixelShuffleAutoencoder,
}
GENERATORS: dict[str, type[Generator]] = {
    "DCGANGenerator": DCGANGenerator,
    "SAGANGenerator": SAGANGenerator,
    "VAEDecoder": VAEDecoder,
}
ENCODERS: dict[str, type[DCGANEncoder]] = {"DCGANEncoder": DCGANEncoder}
PROJECTORS: dict[str, type[OneNetProjector]] = {"OneNetProjector": OneNetProjector}


Net = TypeVar("Net")


@strict_keywords
def build(known: Mapping[str, type[Net]], name: str, config: dict[str, Any]) -> Net:
    """A network from its class name, its ``config()`` and the table that it is in.

    ``build(GENERATORS, "DCGANGenerator", {"size": 28})`` makes a generator.

    Args:
        known: The table, class by class name.
        name: The class name.
        config: The keywords of the class; those left out have their defaults.

    Returns:
        The network with first weights.

    Raises:
        InvalidInput: For a name or a configuration that does not exist.
    """
    if name not in known:
        raise InvalidInput(
            f"there is no network {name!r}; expected one of {', '.join(known)}: a newer fastip may have written it"
        )
    try:
        return known[name](**config)
    except TypeError as error:
        raise InvalidInput(f"the configuration {config} does not fit {name}: {error}") from error
