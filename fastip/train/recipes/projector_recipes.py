"""How each generator and projector that is shipped was trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ... import data, nets, priors
from ..networks import encoder, networks
from .workshop import Splits, Workshop

BF16 = "bf16-mixed"


def _corrected(
    shop: Workshop, name: str, generator: nets.Generator, start: nets.DCGANEncoder, pictures: Splits, latent: float
) -> priors.Projector:
    """Encoder and corrector learn with one correction first, then with three."""
    about = {"noise": (0.0, 0.7), "latent": latent, "precision": BF16}
    corrector = encoder(generator, images=2, width=32)
    once = shop.projector(f"{name}-corrected", generator, start, pictures, steps=6000, corrector=corrector, **about).net
    about |= {"corrector": once.corrector, "corrections": 3, "learning_rate": 3e-4, "average": 0.995}
    return shop.projector(f"{name}-projector", generator, once.encoder, pictures, steps=1500, **about)


def _digits(shop: Workshop) -> priors.Projector:
    """The encoder first learns alone, from latent vectors too."""
    pictures = data.Digits("train"), data.Digits("validation")
    generator = shop.generator("digits-generator", networks("dcgan"), pictures, steps=8000, precision=BF16)
    alone = shop.projector("digits-encoder", generator, encoder(generator), pictures, steps=6000, precision=BF16)
    return _corrected(shop, "digits", generator, alone.net.encoder, pictures, latent=0.0)


def _fashion(shop: Workshop) -> priors.Projector:
    pictures = data.Fashion("train"), data.Fashion("validation")
    generator = shop.generator("fashion-generator", networks("dcgan"), pictures, steps=5000, precision=BF16)
    return _corrected(shop, "fashion", generator, encoder(generator), pictures, latent=0.0025)


def _avatars(shop: Workshop) -> priors.Projector:
    """DCGAN's generator against SAGAN's discriminator, whose slope is kept small.

    Against DCGAN's discriminator it came to make one image of all z.
    """
    pictures = data.Avatars("train"), data.Avatars("validation")
    faces: dict[str, Any] = {"colours": 3, "size": 64}
    players = networks("dcgan", width=48, **faces)[0], networks("sagan", width=32, **faces)[1]
    game: dict[str, Any] = {
        "loss": "hinge",
        "discriminator_rate": 4e-4,
        "penalty": 10.0,
        "betas": (0.0, 0.9),
        "precision": BF16,
    }
    generator = shop.generator("avatars-generator", players, pictures, steps=4000, batch=64, **game)
    about = {
        "corrector": encoder(generator, images=2, width=24),
        "corrections": 2,
        "noise": (0.0, 0.7),
        "latent": 0.0025,
        "precision": BF16,
    }
    return shop.projector(
        "avatars-projector", generator, encoder(generator, width=32), pictures, steps=1500, batch=64, **about
    )


PROJECTORS: dict[str, Callable[[Workshop], priors.Projector]] = {
    "digits-projector": _digits,
    "fashion-projector": _fashion,
    "avatars-projector": _avatars,
}
