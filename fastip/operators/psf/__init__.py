"""Point spread functions: float64 tensors that sum to 1, centre at k // 2.

Axis 0 is rows (down), axis 1 columns (right).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .estimated import Estimate as Estimate
from .estimated import estimate as estimate
from .forms import FORMS as FORMS
from .forms import LARGEST as LARGEST
from .forms import box as box
from .forms import delta as delta
from .forms import disk as disk
from .forms import gaussian as gaussian
from .forms import motion as motion
from .forms import parse as parse
from .measured import read as read
from .shake import shake as shake

if TYPE_CHECKING:
    from .files import SUFFIXES as SUFFIXES


def __getattr__(name: str) -> Any:
    """SUFFIXES: the formats are loaded with the first psf from a file, and no solve waits for them."""
    if name != "SUFFIXES":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(".files", __name__).SUFFIXES
