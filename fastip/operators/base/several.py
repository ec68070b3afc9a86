"""Several psfs, one for each channel or image: what they do together, and what is known of it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ...contracts import Circulant, Convolution, Cosine, Diagonal, Scalar, Shape, Structure
from ...errors import InvalidInput

Known = Callable[[Convolution, int, int], Structure | None]
Psfs = list[list[Convolution]]  # by image, then by channel; one stands for all


def reduced(psf: Tensor, axes: int = 2) -> Tensor:
    """kh kw where one psf serves all, else 1 or b, 1 or c, kh kw; with 3 axes kd kh kw likewise."""
    alone = psf.shape[:-axes].numel() == 1
    return psf.reshape(psf.shape[-axes:]) if alone else psf.reshape(-1, *psf.shape[-axes - 1 :])


def split(psf: Tensor, stride: int, boundary: str) -> Psfs:
    """The convolutions of psfs 1 or b, 1 or c, kh kw."""
    return [[Convolution(taps.contiguous(), stride, boundary) for taps in row] for row in psf]


def check(psf: Tensor, shape: Shape, what: str) -> None:
    """Refuse images, or data, of another batch or other channels than there are psfs for."""
    for axis, name in ((0, "images"), (1, "channels")):
        own, given = psf.shape[axis], shape[axis]
        if own not in (1, given):
            raise InvalidInput(
                f"the {what} has shape {tuple(shape)}, {given} {name}, and there are {own} psfs, one for each of {own} "
                f"{name}; expected {own} {name}, or one psf for all"
            )


def plane_by_plane(apply: Callable[[Tensor, Tensor], Tensor], data: Tensor, taps: Tensor) -> Tensor:
    """``apply(data, psf)`` to the planes of b c h w, each with its psf: taps is 1 or b, 1 or c, kh kw."""
    images = data.split(1) if len(taps) > 1 else (data,)
    return _joined([_channels(apply, image, row) for image, row in zip(images, taps, strict=True)], 0)


def _channels(apply: Callable[[Tensor, Tensor], Tensor], data: Tensor, taps: Tensor) -> Tensor:
    channels = data.split(1, dim=1) if len(taps) > 1 else (data,)
    return _joined([apply(plane, psf) for plane, psf in zip(channels, taps, strict=True)], 1)


def _joined(parts: list[Tensor], dim: int) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim)


def structure(psfs: Psfs, known: Known, h: int, w: int) -> Structure | None:
    """What ``known`` says of each psf on an h x w grid, as one structure; None where it is none for all.

    Kronecker products have no such form.
    """
    parts = [[known(a, h, w) for a in row] for row in psfs]
    found = [part for row in parts for part in row if part is not None]
    if len(found) < len(psfs) * len(psfs[0]):
        return None

    def together(values: list[Tensor]) -> Tensor:
        return torch.stack(values).unflatten(0, (len(psfs), len(psfs[0])))

    scalars = [part.value for part in found if isinstance(part, Scalar)]
    if len(scalars) == len(found):
        return Diagonal(together([torch.full((1, 1), value, dtype=torch.float64) for value in scalars]))
    diagonals = [part.values[0, 0] for part in found if isinstance(part, Diagonal)]
    if len(diagonals) == len(found):
        return Diagonal(together(diagonals))
    for kind in (Circulant, Cosine):
        spectra = [part.spectrum for part in found if isinstance(part, kind)]
        if len(spectra) == len(found):
            return kind(together(spectra))
    return None
