"""The shape rules of every family, and what does not fit: the same refusals in each layer that calls a kernel.

Sizes may be symbolic (torch.compile with dynamic shapes), so nothing here looks at the data of images.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..arrays import check_real
from ..errors import InvalidInput
from .reference import BOUNDARIES

Shape = tuple[int, ...]


def check_dimensions(tensor: Tensor, name: str, dims: int = 4) -> None:
    """Refuse a tensor without ``dims`` dimensions."""
    if tensor.ndim != dims:
        raise InvalidInput(f"{name} has shape {tuple(tensor.shape)}; expected {dims} dimensions")


def check_stride(stride: Any) -> None:
    """Refuse what is no whole number >= 1."""
    if not isinstance(stride, int) or stride < 1:
        raise InvalidInput(f"stride is {stride!r}; expected a whole number >= 1")


def check_matrix(taps: Tensor, name: str, boundary: str) -> None:
    """Refuse taps that are no non-empty matrix, and an unknown boundary."""
    if taps.ndim != 2 or taps.numel() == 0:
        raise InvalidInput(f"{name} has shape {tuple(taps.shape)}; expected a non-empty matrix kh kw")
    if taps.is_complex():
        raise InvalidInput(f"{name} has dtype {taps.dtype}; expected real numbers: take the real part")
    if boundary not in BOUNDARIES:
        raise InvalidInput(f"boundary is {boundary!r}; expected one of {', '.join(BOUNDARIES)}")


def check_devices(named: Sequence[tuple[str, Tensor]]) -> None:
    """Refuse images on different devices."""
    if any(tensor.device != named[0][1].device for _, tensor in named):
        where = ", ".join(f"{name} on {tensor.device}" for name, tensor in named)
        raise InvalidInput(
            f"the images are on different devices ({where}); expected one device: move them with .to(...)"
        )


def check_dtypes(named: Sequence[tuple[str, Tensor]]) -> None:
    """Refuse images of different dtypes where nothing promotes them."""
    if any(tensor.dtype != named[0][1].dtype for _, tensor in named):
        given = ", ".join(f"{name} is {tensor.dtype}" for name, tensor in named)
        raise InvalidInput(f"the images have different dtypes ({given}); expected one: convert with .to(...)")


def number(value: float | Tensor, v: Tensor) -> float | None:
    """``value`` as a float where it is one number that changes neither dtype nor shape of ``v``, else None.

    A number on a GPU, which would be waited for, is None too.
    """
    if not isinstance(value, Tensor):
        return float(value)
    if not value.is_cpu:
        return None
    return (
        float(value)
        if value.ndim == 0 or (value.numel() == 1 and value.dtype == v.dtype and value.ndim <= v.ndim)
        else None
    )


def check_iterations(iterations: int) -> None:
    """Refuse a whole solve of no iteration, which has no result."""
    if iterations < 1:
        raise InvalidInput(f"iterations is {iterations!r}; expected at least one")


def wrap(boundary: str) -> str:
    """How a stencil on the data grid sees a boundary: it wraps where that is circular and meets zeros elsewhere."""
    return "circular" if boundary == "circular" else "zero"


def shrunk(size: int, k: int, stride: int, boundary: str) -> int:
    """Pixels kept of an axis: ceil(size / stride); valid: (size - k) // stride + 1."""
    if boundary != "valid":
        return -(-size // stride)
    if size < k:
        raise InvalidInput(
            f"the image has {size} pixels along an axis where the psf has {k}; "
            "a valid convolution needs at least as many"
        )
    return (size - k) // stride + 1


def of_conv(x: Tensor, psf: Tensor, stride: int, boundary: str) -> Shape:
    """The shape of A x: b c H W -> b c h w."""
    check_dimensions(x, "x")
    check_real(x, "x")
    check_matrix(psf, "psf", boundary)
    check_stride(stride)
    (b, c, height, width), (kh, kw) = x.shape, psf.shape
    return b, c, shrunk(height, kh, stride, boundary), shrunk(width, kw, stride, boundary)


def of_adjoint(y: Tensor, psf: Tensor, stride: int, boundary: str) -> Shape:
    """The shape of A^T y: b c h w -> b c H W."""
    check_dimensions(y, "y")
    check_real(y, "y")
    check_matrix(psf, "psf", boundary)
    check_stride(stride)
    (b, c, h, w), (kh, kw) = y.shape, psf.shape
    return (
        (b, c, (h - 1) * stride + kh, (w - 1) * stride + kw) if boundary == "valid" else (b, c, h * stride, w * stride)
    )


def of_stencil(r: Tensor, taps: Tensor, boundary: str) -> Shape:
    """The shape of C r: that of r, b c h w."""
    check_dimensions(r, "r")
    check_real(r, "r")
    check_matrix(taps, "taps", boundary)
    return tuple(r.shape)


def of_data_step(x: Tensor, q: Tensor, y: Tensor, psf: Tensor, stride: int, boundary: str, taps: Tensor) -> Shape:
    """The shape of q + C (y - A x - beta q), where y and q have that of A x."""
    shape = of_conv(x, psf, stride, boundary)
    for name, term in (("y", y), ("q", q)):
        if tuple(term.shape) != tuple(shape):
            raise InvalidInput(f"{name} has shape {tuple(term.shape)}; expected {tuple(shape)}, the shape of A x")
        check_real(term, name)
    check_matrix(taps, "taps", boundary)
    check_devices((("x", x), ("q", q), ("y", y)))
    return shape


def of_phases(x: Tensor, stride: int) -> Shape:
    """The shape of the polyphase layout: b c H W -> b c s s h w."""
    check_dimensions(x, "x")
    check_stride(stride)
    b, c, height, width = x.shape
    return b, c, stride, stride, -(-height // stride), -(-width // stride)


def of_image(phases: Tensor, height: int, width: int) -> Shape:
    """The shape of the image behind the polyphase layout, no larger than height x width: b c s s h w -> b c H W."""
    check_dimensions(phases, "phases", dims=6)
    b, c, s, also_s, h, w = phases.shape
    if s != also_s or s < 1:
        raise InvalidInput(f"phases has shape {tuple(phases.shape)}; expected b c s s h w")
    height, width = min(height, h * s), min(width, w * s)
    if height < 0 or width < 0:
        raise InvalidInput(f"the image asked for is {height} x {width}; expected sizes >= 0")
    return b, c, height, width


def of_planes(f: Tensor, p: Tensor, offset: Tensor, gain: Tensor) -> Shape:
    """The shape of n complex planes h w that meet one real plane h w of the same precision."""
    if not (f.shape == p.shape == offset.shape and f.ndim == 3 and f.shape[1:] == gain.shape):
        shapes = ", ".join(str(tuple(t.shape)) for t in (f, p, offset, gain))
        raise InvalidInput(f"f, p, offset and gain have shapes {shapes}; expected n h w three times, and h w")
    if not (f.is_complex() and f.dtype == p.dtype == offset.dtype and gain.dtype == f.dtype.to_real()):
        dtypes = ", ".join(str(t.dtype) for t in (f, p, offset, gain))
        raise InvalidInput(
            f"f, p, offset and gain have dtypes {dtypes}; expected the same complex one three times, and its real one"
        )
    check_devices((("f", f), ("p", p), ("offset", offset), ("gain", gain)))
    return tuple(f.shape)


def check_planes(f: Tensor, p: Tensor, offset: Tensor, gain: Tensor) -> None:
    """Refuse what ``spectral_step_`` cannot overwrite.

    It takes contiguous complex planes h w, and a real ``gain`` h w 2 of the same precision.
    """
    given = (("f", f), ("p", p), ("offset", offset), ("gain", gain))
    fits = f.shape == p.shape == offset.shape and f.ndim > 0 and f.numel() * 2 == len(f) * gain.numel()
    if not fits or not all(t.is_contiguous() and not t.is_conj() for _, t in given):
        shapes = ", ".join(str(tuple(t.shape)) for _, t in given)
        raise InvalidInput(
            f"f, p, offset and gain have shapes {shapes}; expected contiguous planes h w three times, and h w 2"
        )
    if not (f.dtype == p.dtype == offset.dtype and f.is_complex() and gain.dtype == f.dtype.to_real()):
        dtypes = ", ".join(str(t.dtype) for _, t in given)
        raise InvalidInput(
            f"f, p, offset and gain have dtypes {dtypes}; expected the same complex one three times, and its real one"
        )
    check_devices(given)


def check_fields(v: Tensor, u: Tensor, r: Tensor) -> None:
    """Refuse what tv_prox cannot overwrite: an image v, b c h w, and its two contiguous dual fields, 2 b c h w."""
    check_dimensions(v, "v")
    check_real(v, "v")
    if not (u.shape == r.shape == (2, *v.shape) and u.is_contiguous() and r.is_contiguous()):
        raise InvalidInput(
            f"u and r have shapes {tuple(u.shape)} and {tuple(r.shape)}; expected contiguous {(2, *v.shape)}"
        )
    check_dtypes((("v", v), ("u", u), ("r", r)))
    check_devices((("v", v), ("u", u), ("r", r)))


def check_solve(x: Tensor, q: Tensor, y: Tensor, psf: Tensor, stride: int, boundary: str, taps: Tensor) -> None:
    """Refuse what a whole solve cannot start from.

    It takes x of the shape and dtype of A^T y, q and y of the shape of A x, and for taps an odd square.
    """
    of_data_step(x, q, y, psf, stride, boundary, taps)
    expected = of_adjoint(y, psf, stride, boundary)
    if tuple(x.shape) != tuple(expected):
        raise InvalidInput(f"x has shape {tuple(x.shape)}; expected {tuple(expected)}, the shape of A^T y")
    check_dtypes((("x", x), ("y", y)))
    if taps.shape[0] != taps.shape[1] or taps.shape[0] % 2 == 0:
        raise InvalidInput(f"taps has shape {tuple(taps.shape)}; expected an odd square, (2p + 1) x (2p + 1)")


def widest(*images: Tensor) -> torch.dtype:
    """The dtype that holds all of them."""
    dtype = images[0].dtype
    for image in images[1:]:
        dtype = torch.promote_types(dtype, image.dtype)
    return dtype
