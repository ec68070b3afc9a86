"""Physics of deepinv that are operators of fastip, where the two agree on a random image."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from ..contracts import Shape
from ..errors import FastipError
from ..operators import Blur, Dense, Identity, Mask, Operator, Resize, ToGray

AGREE = 1e-4  # of ||A x||: float32 differs by 1e-6, another border or centre by a hundredth
BOUNDARIES = {"valid": "valid", "circular": "circular", "constant": "zero", "reflect": "reflect"}
# Their psf may be mirrored, and one of even size centred a pixel beside ours.
PADDINGS = ((0, 0, 0, 0), (1, 0, 1, 0), (0, 1, 0, 1))

Made = Iterator[Callable[[], Operator]]


def translated(physics: Any, image: Shape) -> Operator | None:
    """The operator of fastip that does what a physics does, None where there is none."""
    kind = type(physics)
    make = KNOWN.get(kind.__name__) if kind.__module__.startswith("deepinv.") else None
    if make is None:
        return None
    x = torch.randn(2, *image, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = physics.A(x)
        for one in make(physics, image):
            try:
                op = one()
                found = op(x)
            except FastipError:  # it does not fit these images, or this psf
                continue
            if found.shape == expected.shape and bool((found - expected).norm() <= AGREE * expected.norm()):
                return op
    return None


def _psf(values: Tensor | None) -> Tensor | None:
    """The psf of a filter b c h w that is the same for all channels and images."""
    if values is None or values.ndim != 4 or values.is_complex():
        return None
    first = values[0, 0]
    return first if bool((values == first).all()) else None


def _blurs(physics: Any, image: Shape) -> Made:
    stride = int(getattr(physics, "factor", 1))
    values = getattr(physics, "filter", None)
    psf = torch.ones(1, 1) if values is None and stride > 1 else _psf(values)
    boundary = BOUNDARIES.get(getattr(physics, "padding", "circular") if values is not None else "circular")
    if psf is None or boundary is None:
        return
    for taps in (psf, psf.flip(0, 1)):
        for padding in PADDINGS:
            yield functools.partial(Blur, pad(taps, padding), stride, boundary)


def _masks(physics: Any, image: Shape) -> Made:
    yield lambda: Mask(physics.mask)


def _matrices(physics: Any, image: Shape) -> Made:
    matrix = getattr(physics, "_A", None)
    if isinstance(matrix, Tensor):
        yield lambda: Dense(matrix, image)


def _grey(physics: Any, image: Shape) -> Made:
    yield lambda: ToGray(physics.srf.flatten().tolist())


KNOWN: dict[str, Callable[[Any, Shape], Made]] = {
    "Blur": _blurs,
    "BlurFFT": _blurs,
    "Downsampling": _blurs,
    "DownsamplingMatlab": lambda physics, image: iter([lambda: Resize(int(physics.factor), like="matlab")]),
    "Inpainting": _masks,
    "Demosaicing": _masks,
    "CompressedSensing": _matrices,
    "Decolorize": _grey,
    "Denoising": lambda physics, image: iter([Identity]),
}
