"""What the tests of psf files share."""

from __future__ import annotations

import warnings

from fastip import psf


def taken(path, **how):
    """What is read, and what was said."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        return psf.read(path, **how), [str(warning.message) for warning in told]
