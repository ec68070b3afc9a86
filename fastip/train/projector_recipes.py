"""How each generator and projector that is shipped was trained."""

from __future__ import annotations

from collections.abc import Callable

from .. import data, priors
from .networks import encoder, networks
from .workshop import Workshop

BF16 = "bf16-mixed"


def _digits(shop: Workshop) -> priors.Projector:
    """The encoder first learns alone, also from much noise and from latent vectors, then on with a corrector."""
    pictures = data.Digits("train"), data.Digits("validation")
    generator = shop.generator("digits-generator", networks("dcgan"), pictures, steps=8000, precision=BF16)
    alone = shop.projector("digits-encoder", generator, encoder(generator), pictures, steps=6000, precision=BF16)
    corrector = encoder(generator, images=2, width=32)
    about = {"corrector": corrector, "noise": (0.0, 0.7), "latent": 0.0, "precision": BF16}
    return shop.projector("digits-projector", generator, alone.net.encoder, pictures, steps=6000, **about)


def _fashion(shop: Workshop) -> priors.Projector:
    pictures = data.Fashion("train"), data.Fashion("validation")
    generator = shop.generator("fashion-generator", networks("dcgan"), pictures, steps=5000, precision=BF16)
    about = {"corrector": encoder(generator, images=2, width=32), "noise": (0.0, 0.7), "latent": 0.0025, "precision": BF16}
    return shop.projector("fashion-projector", generator, encoder(generator), pictures, steps=6000, **about)


PROJECTORS: dict[str, Callable[[Workshop], priors.Projector]] = {
    "digits-projector": _digits,
    "fashion-projector": _fashion,
}
