"""Operators as weighted pixels of a circular convolution, through composition and scaling."""

from __future__ import annotations

import dataclasses

from ...contracts import Convolution, Window
from . import convolutions

WINDOWED = ("valid", "circular")  # boundaries where no pixel is read outside of the image, or where it repeats


def of(convolution: Convolution | None) -> Window | None:
    """That of a convolution whose boundary allows it."""
    return None if convolution is None or convolution.boundary not in WINDOWED else Window(convolution)


def composed(left: Window | None, right: Window | None) -> Window | None:
    """Weights after a convolution, several of each merged."""
    if left is None or right is None:
        return None
    if right.weights is None:
        merged = convolutions.merge(left.convolution, right.convolution)
        return None if merged is None else Window(merged, left.weights)
    if left.convolution.psf.numel() > 1 or left.convolution.stride > 1:
        return None
    weights = right.weights * left.convolution.psf.item()
    return Window(right.convolution, weights if left.weights is None else weights * left.weights)


def scaled(window: Window | None, factor: float) -> Window | None:
    """factor * A."""
    convolution = None if window is None else scaled_convolution(window.convolution, factor)
    return None if window is None or convolution is None else Window(convolution, window.weights)


def scaled_convolution(a: Convolution | None, factor: float) -> Convolution | None:
    """factor * A, where A is a convolution."""
    return None if a is None else dataclasses.replace(a, psf=factor * a.psf)
