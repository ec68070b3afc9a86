"""Images, real or complex, seen through a masked Fourier transform."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ...contracts import Circulant, Diagonal, Shape, Structure
from ...errors import InvalidInput, closest
from ...placement import Constant, placed
from ..base import several
from ..base.door import by, check_axes, check_axes_count
from ..base.real_array import real_array
from ..base.remembered import PREFIX, last
from ..base.work import PASS, TRANSFORM
from ..linear import Operator
from .hermitian import Frequencies, frequencies, is_real

IMAGES = ("real", "complex")
FREQUENCIES = f"{PREFIX}frequencies"  # found once, at the first solve


class MaskedFourier(Operator):
    """y = mask * F x with F the orthonormal full-grid fft2; A^T y = Re F^-1 (mask * y), the adjoint of Re <A x, y>.

    From images b c h w, real float32 or float64, to data b c h w, complex64 or complex128; other shapes and dtypes are
    refused with InvalidInput. A^T A is circulant with spectrum ``(mask^2 + flip mask^2) / 2``, flip taking frequency f
    to -f; A A^T is not diagonal, because x is real. Volumes b c d h w likewise, F being their fftn.

    With ``image="complex"`` images are complex, as those of magnetic resonance are, whose phase is not 0. A^H y is then
    F^-1 (mask * y), and A A^H diagonal, ``mask^2``.

    Args:
        mask: h w, frequency 0 at [0, 0] (torch.fft.ifftshift a centred one, on its last two axes); 0/1, boolean or
            finite weights. c h w or b c h w, with c and b those of the image or 1, where channels, or images of a batch
            of b, have masks of their own.
        image: "real" or "complex": what images are. Solvers refuse data of a complex image where a real one is said:
            samples at f and -f that differ from conjugates by more than noise.
        axes: 2 for images; 3 for volumes, whose mask is d h w, with c and b in front where they differ.

    Raises:
        InvalidInput: For another word than these, other axes, for a mask with another number of axes, or that is empty,
            complex, non-finite or 0 everywhere; for an image of another size, and of another batch or other channels
            than there are masks for.
        Unsupported: For a mask that requires a gradient, and inside torch.compile.
    """

    complex_output = True

    def __init__(self, mask: Any, *, image: str = "real", axes: int = 2) -> None:
        self.image, self.axes = closest(image, IMAGES, "image"), check_axes_count(axes)
        self.complex_input = image == "complex"
        self.mask = several.reduced(real_array(mask, "mask", (axes, axes + 1, axes + 2)), axes)
        self.channelwise = self.mask.ndim == axes  # one for all
        self._dims = tuple(range(-axes, 0))
        if not bool(self.mask.any()):
            raise InvalidInput(
                "mask is 0 everywhere, so no frequency is measured; expected at least one value that is not 0"
            )
        self._weights = Constant(self.mask)

    def _forward(self, x: Tensor) -> Tensor:
        if not self.complex_input and x.dtype not in (torch.float32, torch.float64):
            raise InvalidInput(
                f"x has dtype {x.dtype}, which has no complex Fourier transform; expected float32 or float64: "
                "call x.float()"
            )
        return torch.fft.fftn(x, dim=self._dims, norm="ortho") * self._weights.like(x)

    def _adjoint(self, y: Tensor) -> Tensor:
        found = torch.fft.ifftn(y * self._weights.like(y), dim=self._dims, norm="ortho")
        return found if self.complex_input else found.real.contiguous()

    def check_measured(self, y: Tensor) -> None:
        """Refuse samples that no real image has (:func:`fastip.operators.kspace.hermitian.is_real`).

        Args:
            y: The data.

        Raises:
            InvalidInput: For these, with the image and the channel.
        """
        if self.complex_input or not y.is_complex():
            return
        masks = self._weights.like(y).reshape(self._own_shape())
        known: list[list[Frequencies]] | None = self.__dict__.get(FREQUENCIES)
        if known is None:
            known = [[frequencies(mask) for mask in row] for row in self.mask.reshape(self._own_shape())]
            self.__dict__[FREQUENCIES] = known
        images = y.split(1) if len(masks) > 1 else (y,)
        rows = (_real(*parts) for parts in zip(images, masks, known, strict=True))
        real = torch.cat(list(rows))
        if not bool(real.all()):
            i, c = real.logical_not().nonzero()[0].tolist()
            raise InvalidInput(
                f"y is not the Fourier transform of a real image: in image {i}, channel {c} the samples at f and -f "
                "differ from conjugates by more than noise; expected data of a real image, or "
                'operators.MaskedFourier(mask, image="complex"), whose images have a phase'
            )

    def _parameters(self) -> tuple[Any, ...]:
        return (self.mask, self.image) if self.complex_input else (self.mask,)

    def output_shape(self, input_shape: Shape) -> Shape:
        shape, own = check_axes(input_shape, "image", self.axes), self._own_shape()
        if shape[2:] != own[2:]:
            raise InvalidInput(f"the image is {by(shape[2:])} but the mask {by(own[2:])}; expected the same size")
        if own[0] not in (1, shape[0]) or own[1] not in (1, shape[1]):
            raise InvalidInput(
                f"the image has shape {shape} but the masks {own}; expected the same or 1 for c and b of the masks"
            )
        return shape

    def input_shape(self, output_shape: Shape) -> Shape:
        return self.output_shape(output_shape)

    @last
    def cogram(self, output_shape: Shape) -> Structure | None:
        self.input_shape(output_shape)
        return Diagonal(self.mask.square()) if self.complex_input else None

    @last
    def gram(self, input_shape: Shape) -> Structure | None:
        self.output_shape(input_shape)
        if self.complex_input:
            return None  # diagonal in Fourier space, but not alike for f and -f
        power = self.mask.square()
        even = (power + power.flip(self._dims).roll((1,) * self.axes, self._dims)) / 2
        return Circulant(even[..., : power.shape[-1] // 2 + 1].contiguous(), self.axes)

    def products(self, input_shape: Shape) -> float:
        return (TRANSFORM + PASS) * math.prod(input_shape)

    def _own_shape(self) -> Shape:
        return (*(1,) * (self.axes + 2 - self.mask.ndim), *self.mask.shape)


def _real(y: Tensor, masks: Tensor, known: list[Frequencies]) -> Tensor:
    """Whether each plane b c may be of a real image; masks c h w, or one for all channels."""
    channels = y.split(1, dim=1) if len(masks) > 1 else (y,)
    found = []
    for planes, mask, places in zip(channels, masks, known, strict=True):
        there = Frequencies(*(placed(place, y.device) for place in places))
        found.append(is_real(planes.flatten(0, 1), mask, there).unflatten(0, planes.shape[:2]))
    return torch.cat(found, dim=1)
