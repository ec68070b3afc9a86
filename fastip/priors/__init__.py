"""Priors: objects that yield ``prox_{step R}(v)``, their weight inside R.

Add those whose sum has an exact prox: ``priors.TV(1e-3) + priors.Box(0, 1)``.
"""

from . import adapters as adapters
from .denoiser import Denoiser
from .lengths import Huber, VectorTV
from .pixel_shuffle_autoencoder import PixelShuffleAutoencoder
from .plug_and_play import PlugAndPlay
from .prior import Prior
from .projector import Projector
from .quadratic import Quadratic
from .schedule import Schedule as Schedule
from .schedule import schedule as schedule
from .separable import L1, L2, Box, ElasticNet, NonNegative, Separable
from .tgv import TGV
from .trained import Trained as Trained
from .tv import TV, AnisotropicTV
from .wavelet import Wavelet

__all__ = [
    "L1",
    "L2",
    "TGV",
    "TV",
    "AnisotropicTV",
    "Box",
    "Denoiser",
    "ElasticNet",
    "Huber",
    "NonNegative",
    "PixelShuffleAutoencoder",
    "PlugAndPlay",
    "Prior",
    "Projector",
    "Quadratic",
    "Separable",
    "VectorTV",
    "Wavelet",
]
