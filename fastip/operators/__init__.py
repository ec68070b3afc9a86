"""Operators: A and A^T, and what A^T A (gram) or A A^T (cogram) looks like."""

from . import psf as psf
from .blur import Blur, Downsample
from .colour import ToGray
from .dense import Dense
from .gaussian import GaussianMeasurements
from .linear import Adjoint, Composition, Operator, Scaled
from .mask import Mask
from .masked_fourier import MaskedFourier
from .resize import Resize
from .separable import Separable
from .stack import Identity, Stack

__all__ = [
    "Adjoint",
    "Blur",
    "Composition",
    "Dense",
    "Downsample",
    "GaussianMeasurements",
    "Identity",
    "Mask",
    "MaskedFourier",
    "Operator",
    "Resize",
    "Scaled",
    "Separable",
    "Stack",
    "ToGray",
]
