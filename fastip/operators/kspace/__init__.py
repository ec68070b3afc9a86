"""Images seen through Fourier transforms: samples on and off the grid, coils, and whether data are a real image's."""

from .masked_fourier import MaskedFourier
from .non_uniform import NonUniformFourier
from .sense import Coils, Sense

__all__ = ["Coils", "MaskedFourier", "NonUniformFourier", "Sense"]
