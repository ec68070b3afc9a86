"""Images seen by several receiver coils: as they are, and through a masked Fourier transform."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ...contracts import Diagonal, Shape, Structure
from ...errors import InvalidInput
from ...placement import Constant
from ..base.door import by, check_axes, check_axes_count
from ..base.real_array import complex_array, real_array
from ..base.remembered import last
from ..base.work import PASS, TRANSFORM
from ..linear import Operator


class Coils(Operator):
    """y_j = S_j x: an image times the sensitivity S_j of each of n receiver coils.

    From complex images b 1 h w to complex data b n h w, complex64 or complex128; A^H y = sum_j conj(S_j) y_j, and A^H A
    is diagonal, ``sum |S_j|^2``. ``NonUniformFourier(frequencies, (h, w)) @ Coils(coils)`` is parallel imaging off the
    grid; on the grid it is :class:`Sense`.

    Args:
        coils: S: n h w, complex or real; b n h w where images differ.
        axes: 2 for images; 3 for volumes, whose coils are n d h w or b n d h w.

    Raises:
        InvalidInput: For other axes, for coils with another number of axes, or that are empty, non-finite or 0
            everywhere; for an image of another size or batch, or of more than one channel.
        Unsupported: For coils that require a gradient, and inside torch.compile.
    """

    complex_input = complex_output = True

    def __init__(self, coils: Any, *, axes: int = 2) -> None:
        self.axes = check_axes_count(axes)
        values = complex_array(coils, "coils", (axes + 1, axes + 2))
        if not bool(values.any()):
            raise InvalidInput("coils are 0 everywhere, so nothing is measured; expected a value that is not 0")
        self.coils = values.reshape(*(1,) * (axes + 2 - values.ndim), *values.shape)
        self._parts = Constant(torch.view_as_real(self.coils))

    def _sensitivity(self, x: Tensor) -> Tensor:
        return torch.view_as_complex(self._parts.like(x))

    def _forward(self, x: Tensor) -> Tensor:
        return self._sensitivity(x) * x

    def _adjoint(self, y: Tensor) -> Tensor:
        return (self._sensitivity(y).conj() * y).sum(1, keepdim=True)

    def _parameters(self) -> tuple[Any, ...]:
        return (torch.view_as_real(self.coils), self.axes)

    def output_shape(self, input_shape: Shape) -> Shape:
        shape = self._checked(input_shape, "image")
        if shape[1] != 1:
            raise InvalidInput(
                f"the image has shape {shape}, {shape[1]} channels; expected one: make slices or contrasts images of "
                "the batch"
            )
        return (shape[0], self.coils.shape[1], *shape[2:])

    def input_shape(self, output_shape: Shape) -> Shape:
        shape, count = self._checked(output_shape, "data"), self.coils.shape[1]
        if shape[1] != count:
            raise InvalidInput(f"the data has shape {shape}, those of {shape[1]} coils; expected those of {count}")
        return (shape[0], 1, *shape[2:])

    def _checked(self, shape: Shape, what: str) -> Shape:
        sizes, own = check_axes(shape, what, self.axes), tuple(self.coils.shape)
        if sizes[2:] != own[2:]:
            raise InvalidInput(f"the {what} is {by(sizes[2:])} but the coils {by(own[2:])}; expected the same size")
        if own[0] not in (1, sizes[0]):
            raise InvalidInput(f"there are coils for {own[0]} images; expected {own[0]} images, not {sizes[0]}")
        return sizes

    @last
    def gram(self, input_shape: Shape) -> Structure:
        self.output_shape(input_shape)
        return Diagonal(self.coils.abs().square().sum(1, keepdim=True))

    def products(self, input_shape: Shape) -> float:
        return PASS * math.prod(self.output_shape(input_shape))

    def _own_shape(self) -> Shape:
        return (len(self.coils), 1, *self.coils.shape[2:])


class Sense(Operator):
    """y_j = mask * F (S_j x): parallel imaging, with the sensitivity S_j of each of n coils and F the orthonormal fft2.

    From complex images b 1 h w to complex data b n h w, complex64 or complex128; A^H y = sum_j conj(S_j) F^-1 (mask
    y_j). Volumes b 1 d h w likewise, F being their fftn.

    Args:
        mask: h w, frequency 0 at [0, 0] (torch.fft.ifftshift a centred one, on its last two axes); 0/1, boolean or
            finite weights. n h w where coils, b 1 h w or b n h w where images of a batch of b, have masks of their own.
        coils: S: n h w, complex or real; b n h w where images differ. Solves are fastest where ``sum |S_j|^2`` is 1
            wherever there is an image.
        axes: 2 for images; 3 for volumes, whose mask and coils have d h w in the place of h w.

    Raises:
        InvalidInput: For other axes, for a mask or coils with another number of axes, or that are empty, non-finite or
            0 everywhere, for a complex mask, for masks and coils that do not fit each other; for an image of another
            size or batch, or of more than one channel.
        Unsupported: For a mask or coils that require a gradient, and inside torch.compile.

    References:
        Pruessmann, Weiger, Scheidegger and Boesiger, SENSE: sensitivity encoding for fast MRI, 1999.
    """

    complex_input = complex_output = True

    def __init__(self, mask: Any, coils: Any, *, axes: int = 2) -> None:
        self._coils = Coils(coils, axes=axes)
        self.axes, self.coils = axes, self._coils.coils
        masks = real_array(mask, "mask", (axes, axes + 1, axes + 2))
        self.mask = masks.reshape(*(1,) * (axes + 2 - masks.ndim), *masks.shape)
        if not bool(masks.any()):
            raise InvalidInput("mask is 0 everywhere, so nothing is measured; expected a value that is not 0")
        self._check_alike(tuple(masks.shape))
        self._weights, self._dims = Constant(self.mask), tuple(range(-axes, 0))

    def _check_alike(self, mask: Shape) -> None:
        (b, n), (images, count), size = self.mask.shape[:2], self.coils.shape[:2], self.coils.shape[2:]
        if mask[-self.axes :] != size:
            raise InvalidInput(f"the mask is {by(mask[-self.axes :])} but coils {by(size)}; expected the same size")
        if n not in (1, count) or (b != images and 1 not in (b, images)):
            raise InvalidInput(
                f"the mask has shape {mask} but coils {tuple(self.coils.shape)}; expected one mask, or one for each "
                "coil or image"
            )

    def _forward(self, x: Tensor) -> Tensor:
        return torch.fft.fftn(self._coils._forward(x), dim=self._dims, norm="ortho").mul_(self._weights.like(x))

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._coils._adjoint(torch.fft.ifftn(y * self._weights.like(y), dim=self._dims, norm="ortho"))

    def _parameters(self) -> tuple[Any, ...]:
        return (self.mask, self._coils)

    def output_shape(self, input_shape: Shape) -> Shape:
        return self._of_masks(self._coils.output_shape(input_shape))

    def input_shape(self, output_shape: Shape) -> Shape:
        return self._coils.input_shape(self._of_masks(tuple(output_shape)))

    def _of_masks(self, shape: Shape) -> Shape:
        own = len(self.mask)
        if shape and own not in (1, shape[0]):
            raise InvalidInput(f"there are masks for {own} images; expected {own} images, not {shape[0]}")
        return shape

    def products(self, input_shape: Shape) -> float:
        return (TRANSFORM + 2 * PASS) * math.prod(self.output_shape(input_shape))

    def norm(self, input_shape: Shape | None = None) -> float:
        """``max_p (sum_j max_f mask_j(f)^2 |S_j(p)|^2)^(1/2)``: an upper bound, reached where all is measured.

        Args:
            input_shape: That of the images, which it does not depend on.
        """
        if input_shape is not None:
            self.output_shape(tuple(input_shape))
        largest = self.mask.square().amax(dim=self._dims, keepdim=True)
        return (largest * self.coils.abs().square()).sum(1).max().item() ** 0.5

    def _own_shape(self) -> Shape:
        return (max(len(self.mask), len(self.coils)), 1, *self.mask.shape[2:])
