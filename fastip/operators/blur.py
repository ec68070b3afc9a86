"""Blur and decimation by one strided convolution; box averages."""

from __future__ import annotations

import difflib
import functools
from typing import Any

import torch
from torch import Tensor

from .. import kernels
from ..arrays import check_count
from ..contracts import Convolution, Shape, Structure
from ..errors import InvalidInput, brief
from ..placement import Constant
from .base import convolutions
from .base.door import check_grid, check_psf_fits
from .base.fourier import FourierConvolution
from .base.real_array import real_array
from .base.remembered import last
from .linear import Operator

BOUNDARIES = kernels.reference.BOUNDARIES
# Taps that are not 0 per image pixel; above, two FFTs are faster. The work of direct taps grows with their number, that
# of the FFTs does not: larger makes wide psfs slow, smaller sends medium ones through the FFTs' passes over memory.
LARGEST_DIRECT = 33 * 33
AXES = ("row", "column")


class Blur(Operator):
    """Convolve every channel with a psf, keep the pixels 0::stride.

    True convolution as scipy.ndimage.convolve, from images b c H W to data b c h w, real::

        y[i] = sum_t psf[t] x[stride i + k // 2 - t]        (valid: + k - 1 - t)

    Args:
        psf: Any real kh x kw array, odd or even; kept in float64, not normalised. ``fastip.psf.read`` takes files.
        stride: Image pixels from one kept pixel to the next, >= 1, on both axes.
        boundary: "circular" (SciPy's wrap), "reflect" (half-sample, ``d c b a | a b c d | d c b a``, SciPy's reflect),
            "zero", all with H = h stride, or "valid" with H = (h - 1) stride + kh.
        centre: (row, column) of the pixel of the psf that a point is spread around, in the place of k // 2 in the
            formula; zeros are laid around the psf until it is there. None is k // 2. SciPy's
            ``fftconvolve(x, psf, mode="same")`` has it at (k - 1) // 2, which differs for even k.

    Raises:
        InvalidInput: For an empty, non-finite, complex or all-zero psf, a bad stride, an unknown boundary, and for a
            centre outside of the psf or with a valid boundary, which has none.
        Unsupported: For a psf that requires a gradient, and inside torch.compile.
    """

    channelwise = True

    def __init__(
        self, psf: Any, stride: int = 1, boundary: str = "circular", *, centre: tuple[int, int] | None = None
    ) -> None:
        self.psf = real_array(psf, "psf", (2,))
        if not bool(self.psf.any()):
            raise InvalidInput(
                f"psf is all zeros ({self.psf.shape[0]} x {self.psf.shape[1]}), which sees nothing; "
                "expected at least one tap that is not 0"
            )
        self.stride = check_count(stride, "stride", low=1)
        if boundary == "natural":
            raise InvalidInput(
                f"boundary is 'natural'; expected one of {', '.join(BOUNDARIES)}: for data that are a window of a "
                'larger scene use boundary="valid" and inverses.Split() in fastip.admm, its image being the larger one'
            )
        if boundary not in BOUNDARIES:
            close = difflib.get_close_matches(str(boundary).lower(), [*BOUNDARIES, "wrap", "symmetric", "constant"], 1)
            meant = (
                {"wrap": "circular", "symmetric": "reflect", "constant": "zero"}.get(close[0], close[0])
                if close
                else None
            )
            raise InvalidInput(
                f"boundary is {boundary!r}; expected one of {', '.join(BOUNDARIES)}"
                + (f": did you mean {meant!r}?" if meant else "")
            )
        self.boundary = boundary
        self._size = (self.psf.shape[-2], self.psf.shape[-1])  # without the zeros of a centre
        if centre is not None:
            self.psf = convolutions.centred(self.psf, _centre(centre, self._size, boundary))
        self._taps = Constant(self.psf)
        large = int(self.psf.count_nonzero()) > LARGEST_DIRECT * self.stride**2
        self._fourier = FourierConvolution(self.psf, self.stride, boundary) if large else None

    def _forward(self, x: Tensor) -> Tensor:
        if self._fourier is not None:
            return self._fourier.forward(x)
        return kernels.strided_conv(x, self._taps.on(x.device), self.stride, self.boundary)

    def _adjoint(self, y: Tensor) -> Tensor:
        if self._fourier is not None:
            _, _, height, width = self.input_shape(tuple(y.shape))
            return self._fourier.adjoint(y, (height, width))
        return kernels.strided_conv_adjoint(y, self._taps.on(y.device), self.stride, self.boundary)

    def _parameters(self) -> tuple[Any, ...]:
        return (self.psf, self.stride, self.boundary)

    def output_shape(self, input_shape: Shape) -> Shape:
        b, c, *size = check_grid(input_shape, "image")
        check_psf_fits(self._size, *size)
        kept = []
        for n, k, axis in zip(size, self._size, ("height", "width"), strict=True):
            free = n - k if self.boundary == "valid" else n
            if free % self.stride:
                rule = (
                    f"{axis} - {k} a multiple of {self.stride} (valid)"
                    if self.boundary == "valid"
                    else f"{axis} a multiple of {self.stride}"
                )
                raise InvalidInput(
                    f"stride {self.stride} does not divide an image {axis} of {n}; expected {rule}: "
                    f"crop the image to {n - free % self.stride}"
                )
            kept.append(free // self.stride + (self.boundary == "valid"))
        return (b, c, *kept)

    def input_shape(self, output_shape: Shape) -> Shape:
        b, c, h, w = check_grid(output_shape, "data")
        kh, kw = self._size
        if self.boundary == "valid":
            return (b, c, (h - 1) * self.stride + kh, (w - 1) * self.stride + kw)
        check_psf_fits((kh, kw), h * self.stride, w * self.stride)
        return (b, c, h * self.stride, w * self.stride)

    def absolute(self) -> Operator:
        return self if bool((self.psf >= 0).all()) else Blur(self.psf.abs(), self.stride, self.boundary)

    def convolution(self) -> Convolution:
        return Convolution(self.psf, self.stride, self.boundary)

    @last
    def gram(self, input_shape: Shape) -> Structure | None:
        self.output_shape(input_shape)
        return convolutions.gram(self.convolution(), *input_shape[2:])

    @last
    def cogram(self, output_shape: Shape) -> Structure | None:
        self.input_shape(output_shape)
        return convolutions.cogram(self.convolution(), *output_shape[2:])

    def norm(self, input_shape: Shape | None = None) -> float:
        """The largest singular value of A.

        Args:
            input_shape: That of the images, b c H W, or None.

        Returns:
            The value for this shape; without one an upper bound that holds on every grid, close to the supremum.
        """
        return convolutions.norm_bound(self.convolution()) if input_shape is None else super().norm(input_shape)

    @functools.cached_property
    def separable(self) -> tuple[Tensor, Tensor] | None:
        """(column, row) with psf = column row^T to rounding, float64, or None if the rank is above one."""
        return convolutions.split(self.psf)


def _centre(value: Any, size: tuple[int, int], boundary: str) -> tuple[int, int]:
    """The centre of a psf of this size as (row, column)."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise InvalidInput(
            f"centre is {brief(value)}; expected (row, column) of a pixel of the psf, or None for k // 2"
        )
    row, column = (check_count(at, f"the {axis} of centre", low=0) for at, axis in zip(value, AXES, strict=True))
    if row >= size[0] or column >= size[1]:
        raise InvalidInput(
            f"centre is ({row}, {column}) and the psf {size[0]} x {size[1]}; expected one of its pixels, from (0, 0) on"
        )
    if boundary == "valid":
        raise InvalidInput(
            f"centre is ({row}, {column}) and boundary 'valid', where every pixel that a datum sees is in the image, "
            "whatever the centre; leave centre out"
        )
    return row, column


class Downsample(Blur):
    """Average over factor x factor boxes: y[i] = mean of x[factor i ... factor i + factor - 1] on both axes.

    From images b c (h factor) (w factor) to data b c h w; ``||A|| = 1 / factor``.

    Args:
        factor: Image pixels a side of a box, >= 1.

    Raises:
        InvalidInput: For a factor that is no whole number >= 1.
    """

    def __init__(self, factor: int) -> None:
        factor = check_count(factor, "factor", low=1)
        self.factor = factor
        super().__init__(
            torch.full((factor, factor), factor**-2.0, dtype=torch.float64), stride=factor, boundary="valid"
        )

    def _parameters(self) -> tuple[Any, ...]:
        return (self.factor,)

    def output_shape(self, input_shape: Shape) -> Shape:
        b, c, height, width = check_grid(input_shape, "image")
        if height % self.factor or width % self.factor:
            crop = f"{height - height % self.factor} x {width - width % self.factor}"
            raise InvalidInput(
                f"factor {self.factor} does not divide an image of {height} x {width}: crop it to {crop}"
            )
        return (b, c, height // self.factor, width // self.factor)
