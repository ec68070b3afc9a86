"""Blur and decimation by strided convolutions; box averages."""

from __future__ import annotations

import difflib
import functools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .. import kernels
from ..arrays import check_count
from ..contracts import Convolution, Shape, Structure, Window
from ..errors import InvalidInput, brief
from ..placement import Constant
from .base import convolutions, several, windows
from .base.door import check_grid, check_psf_fits
from .base.fourier import FourierConvolution
from .base.real_array import real_array
from .base.remembered import last
from .base.work import TRANSFORM
from .linear import Operator

BOUNDARIES = kernels.reference.BOUNDARIES
# Taps that are not 0 per image pixel; above, two FFTs are faster. The work of direct taps grows with their number, that
# of the FFTs does not: larger makes wide psfs slow, smaller sends medium ones through the FFTs' passes over memory.
LARGEST_DIRECT = 33 * 33
# Psfs up to which the kernels are called plane by plane: they serve one psf at a time. 3 psfs of 9 x 9 on 256 x 256
# pixels take 3.4 ms so and 5.7 ms by FFTs of all planes together, 64 on 64 x 64 20 and 8 ms, 192 of 5 x 5 on 32 x 32
# 40 and 4 ms (one core).
FEW = 16
AXES = ("row", "column")


class Blur(Operator):
    """Convolve every channel with a psf, keep the pixels 0::stride.

    One psf serves all, or each channel, or each image of a batch, has its own.

    True convolution as scipy.ndimage.convolve, from images b c H W to data b c h w, real::

        y[i] = sum_t psf[t] x[stride i + k // 2 - t]        (valid: + k - 1 - t)

    Args:
        psf: Any real kh x kw array, odd or even; kept in float64, not normalised. ``fastip.psf.read`` takes files.
            c x kh x kw for one of each channel, b x 1 x kh x kw or b x c x kh x kw for one of each image of a batch of
            b; every step is then that of each plane. ``inverses.Stencil`` and solves in one kernel are for one psf.
        stride: Image pixels from one kept pixel to the next, >= 1, on both axes.
        boundary: "circular" (SciPy's wrap), "reflect" (half-sample, ``d c b a | a b c d | d c b a``, SciPy's reflect),
            "zero", all with H = h stride, or "valid" with H = (h - 1) stride + kh.
        centre: (row, column) of the pixel of the psf that a point is spread around, in the place of k // 2 in the
            formula; zeros are laid around the psf until it is there. None is k // 2. SciPy's
            ``fftconvolve(x, psf, mode="same")`` has it at (k - 1) // 2, which differs for even k.

    Raises:
        InvalidInput: For an empty, non-finite, complex or all-zero psf, a bad stride, an unknown boundary, and for a
            centre outside of the psf or with a valid boundary, which has none. For images of another batch or other
            channels than there are psfs for.
        Unsupported: For a psf that requires a gradient, and inside torch.compile.
    """

    def __init__(
        self, psf: Any, stride: int = 1, boundary: str = "circular", *, centre: tuple[int, int] | None = None
    ) -> None:
        self.psf = several.reduced(real_array(psf, "psf", (2, 3, 4)))
        if not bool(self.psf.flatten(-2).any(dim=-1).all()):
            raise InvalidInput(
                f"{'psf' if self.psf.ndim == 2 else 'one psf'} is all zeros ({self.psf.shape[-2]} x "
                f"{self.psf.shape[-1]}), which sees nothing; expected at least one tap that is not 0"
            )
        self.channelwise = self.psf.ndim == 2
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
        self._given, self._size = self.psf, (self.psf.shape[-2], self.psf.shape[-1])  # without the zeros of a centre
        self.centre = None if centre is None else _centre(centre, self._size, boundary)
        if self.centre is not None:
            self.psf = convolutions.centred(self.psf, self.centre)
        self._taps = Constant(self.psf)
        taps = int((self.psf != 0).sum(dim=(-2, -1)).max())
        large = taps > LARGEST_DIRECT * self.stride**2 or self.psf.shape[:-2].numel() > FEW
        self._fourier = FourierConvolution(self.psf, self.stride, boundary) if large else None
        self._several = [] if self.channelwise else several.split(self.psf, self.stride, boundary)

    def _forward(self, x: Tensor) -> Tensor:
        if self._fourier is not None:
            return self._fourier.forward(x)
        return self._direct(kernels.strided_conv, x)

    def _adjoint(self, y: Tensor) -> Tensor:
        if self._fourier is not None:
            _, _, height, width = self.input_shape(tuple(y.shape))
            return self._fourier.adjoint(y, (height, width))
        return self._direct(kernels.strided_conv_adjoint, y)

    def _direct(self, kernel: Callable[..., Tensor], data: Tensor) -> Tensor:
        taps = self._taps.on(data.device)
        if self.channelwise:
            return kernel(data, taps, self.stride, self.boundary)
        return several.plane_by_plane(lambda plane, psf: kernel(plane, psf, self.stride, self.boundary), data, taps)

    def _parameters(self) -> tuple[Any, ...]:
        return (self.psf, self.stride, self.boundary)

    def output_shape(self, input_shape: Shape) -> Shape:
        b, c, *size = check_grid(input_shape, "image")
        self._check(input_shape, "image")
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
        self._check(output_shape, "data")
        kh, kw = self._size
        if self.boundary == "valid":
            return (b, c, (h - 1) * self.stride + kh, (w - 1) * self.stride + kw)
        check_psf_fits((kh, kw), h * self.stride, w * self.stride)
        return (b, c, h * self.stride, w * self.stride)

    def _check(self, shape: Shape, what: str) -> None:
        if not self.channelwise:
            several.check(self.psf, shape, what)

    def products(self, input_shape: Shape) -> float:
        if self._fourier is not None:
            return 2 * TRANSFORM * math.prod(input_shape)  # two real transforms
        taps = int((self.psf != 0).flatten(-2).sum(-1).max())
        return float(taps * math.prod(self.output_shape(input_shape)))

    def absolute(self) -> Operator:
        if bool((self.psf >= 0).all()):
            return self
        return Blur(self._given.abs(), self.stride, self.boundary, centre=self.centre)

    def convolution(self) -> Convolution | None:
        """A as one strided convolution; None where there are several psfs."""
        return Convolution(self.psf, self.stride, self.boundary) if self.channelwise else None

    def window(self) -> Window | None:
        return windows.of(Convolution(self.psf, self.stride, self.boundary))

    @last
    def gram(self, input_shape: Shape) -> Structure | None:
        self.output_shape(input_shape)
        h, w = input_shape[2:]
        single = self.convolution()
        known = convolutions.gram
        return several.structure(self._several, known, h, w) if single is None else known(single, h, w)

    @last
    def cogram(self, output_shape: Shape) -> Structure | None:
        self.input_shape(output_shape)
        h, w = output_shape[2:]
        single = self.convolution()
        if single is None:
            return several.structure(self._several, convolutions.commuting, h, w)
        return convolutions.cogram(single, h, w)

    def norm(self, input_shape: Shape | None = None) -> float:
        """The largest singular value of A.

        Args:
            input_shape: That of the images, b c H W, or None.

        Returns:
            The value for this shape; without one an upper bound that holds on every grid, close to the supremum.
        """
        if input_shape is not None:
            return super().norm(input_shape)
        single = self.convolution()
        psfs = [[single]] if single is not None else self._several
        return max(convolutions.norm_bound(a) for row in psfs for a in row)

    @functools.cached_property
    def separable(self) -> tuple[Tensor, Tensor] | None:
        """(column, row) with psf = column row^T to rounding, float64; None for a higher rank and for several psfs."""
        return convolutions.split(self.psf) if self.channelwise else None


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
