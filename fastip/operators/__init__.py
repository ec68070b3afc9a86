"""Operators: A and A^T, and what A^T A (gram) or A A^T (cogram) looks like."""

from . import psf as psf
from .blur import Blur, Downsample
from .colour import ToGray
from .complex import Complex
from .dense import Dense
from .function import Function, each
from .gaussian import GaussianMeasurements
from .kspace import Coils, MaskedFourier, NonUniformFourier, Sense
from .linear import Adjoint, Composition, Operator, Scaled, Sum
from .mask import Mask
from .module import Module
from .report import Report, check
from .resize import Resize
from .separable import Separable
from .sparse import Sparse
from .stack import Identity, Stack
from .varying import Varying
from .wrapped import wrap

__all__ = [
    "Adjoint",
    "Blur",
    "Coils",
    "Complex",
    "Composition",
    "Dense",
    "Downsample",
    "Function",
    "GaussianMeasurements",
    "Identity",
    "Mask",
    "MaskedFourier",
    "Module",
    "NonUniformFourier",
    "Operator",
    "Report",
    "Resize",
    "Scaled",
    "Sense",
    "Separable",
    "Sparse",
    "Stack",
    "Sum",
    "ToGray",
    "Varying",
    "check",
    "each",
    "wrap",
]
