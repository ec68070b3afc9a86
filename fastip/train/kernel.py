"""Learning A from pairs: the psf of a strided convolution in closed form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..arrays import as_tensor, check_count, check_finite, check_image, check_number, check_shape
from ..errors import InvalidInput, strict_keywords
from ..kernels import reference
from ..operators import Blur

BLOCK = 1 << 22  # entries of X held at a time, 32 MB: larger takes memory, smaller repeats QR's work on R more often


@dataclass(frozen=True)
class KernelFit:
    """The psf that :func:`kernel` found, and how far the data determine it.

    Attributes:
        psf: kh x kw float64, of the kind and on the device of y.
        stride: That of A.
        boundary: That of A.
        spread: ``sqrt(tr((X^T X)^-1) / kh kw)``, the rms error of a tap for noise of standard deviation 1 in y (with a
            ridge: ``sqrt(tr(M^-1 X^T X M^-1) / kh kw)``, M = X^T X + ridge I, the part that noise causes).
        noise: The standard deviation of y - X psf, corrected for the taps that were fitted; NaN where there are no more
            data than taps.
        condition: Of X, largest over smallest singular value.
    """

    psf: Any
    stride: int
    boundary: str
    spread: float
    noise: float
    condition: float

    @property
    def error(self) -> float:
        """The rms error of a tap that the data themselves predict: noise * spread."""
        return self.noise * self.spread

    def operator(self) -> Blur:
        """The learned A."""
        return Blur(self.psf, stride=self.stride, boundary=self.boundary)


@strict_keywords
def kernel(
    x: Any, y: Any, size: int | Sequence[int], stride: int = 1, *, boundary: str = "circular", ridge: float = 0.0
) -> KernelFit:
    """The psf that turns the images x into the data y, by linear least squares.

    It is the minimiser of ::

        ||y - X h||^2 + ridge ||h||^2

    where column t of X holds ``x[stride i + k // 2 - t]`` (valid: + k - 1 - t) for every datum i, so that X h = A_h x.
    X = Q R is factored block by block in float64 (its condition number is not squared, and X is never held), then R by
    its singular values. Cost: 2 (b c h w) (kh kw)^2 operations.

    Args:
        x: b c H W, of any real dtype, any number of images of one size.
        y: b c h w as ``operators.Blur(psf, stride, boundary)`` gives it, of any real dtype; all channels share the psf.
        size: k or (kh, kw), odd or even.
        stride: A keeps one pixel in so many, down and across.
        boundary: What A takes to lie around x, as for ``operators.Blur``.
        ridge: Weight of the squares of the taps; above 0 every tap is determined.

    Returns:
        The psf, and how far the data determine it.

    Raises:
        InvalidInput: For shapes that do not fit, NaN, or data that leave a tap undetermined while ridge is 0.

    References:
        Fan, Wei, Carin, Heller, Inner-loop free ADMM using auxiliary deep neural networks, 2017, appendix A.
    """
    (images, _), (data, back) = as_tensor(x, "x"), as_tensor(y, "y")
    images, data = images.detach(), data.detach()
    kh, kw = _size(size)
    ridge = check_number(ridge, "ridge", low=0.0)
    _check(images, data, Blur(torch.ones(kh, kw, dtype=torch.float64), stride=stride, boundary=boundary))
    n, rows = kh * kw, data.numel()
    if rows < n and ridge == 0:
        raise InvalidInput(
            f"y holds {rows} values, fewer than the {n} taps of a {kh} x {kw} psf; "
            "use more images, a smaller size, or ridge > 0"
        )
    r = data.new_zeros((0, n + 1), dtype=torch.float64)
    for block in _blocks(images, data, (kh, kw), stride, boundary):
        r = torch.linalg.qr(torch.cat([r, block]), mode="r").R
    u, s, vt = torch.linalg.svd(r[:n, :n], full_matrices=False)
    if ridge == 0:
        _check_rank(s, rows, (kh, kw))
    solved = s / (s.square() + ridge)
    taps = vt.T @ (solved * (u.T @ r[: len(u), n]))
    left = (r[:, n] - r[:, :n] @ taps).square().sum()
    noise = (left / (rows - n)).sqrt().item() if rows > n else float("nan")
    spread = (solved.square().sum() / n).sqrt().item()
    condition = (s[0] / s[-1]).item() if len(s) == n and s[-1] > 0 else float("inf")
    return KernelFit(back(taps.reshape(kh, kw)), int(stride), boundary, spread, noise, condition)


def _size(size: int | Sequence[int]) -> tuple[int, int]:
    if isinstance(size, (tuple, list)):
        if len(size) != 2:
            raise InvalidInput(f"size is {size!r}; expected k or (kh, kw)")
        return check_count(size[0], "size[0]", low=1), check_count(size[1], "size[1]", low=1)
    return (check_count(size, "size", low=1),) * 2


def _check(x: Tensor, y: Tensor, op: Blur) -> None:
    check_image(x, "x")
    check_image(y, "y")
    why = (
        f"what a {op.psf.shape[0]} x {op.psf.shape[1]} psf, stride {op.stride} and {op.boundary} boundary make of x; "
        "check stride and boundary"
    )
    check_shape(y, op.output_shape(tuple(x.shape)), "y", why)
    if x.device != y.device:
        raise InvalidInput(f"x is on {x.device} and y on {y.device}; move them to one device")
    check_finite(x, "x")
    check_finite(y, "y")


def _check_rank(s: Tensor, rows: int, size: tuple[int, int]) -> None:
    """Refuse singular values that are zero to rounding."""
    # eps times the longer side times the largest is the rounding of a factorisation: what lies below is no information.
    rank = int((s > torch.finfo(s.dtype).eps * max(rows, len(s)) * s[0]).sum())
    if rank < len(s):
        raise InvalidInput(
            f"the images determine only {rank} of the {len(s)} taps of a {size[0]} x {size[1]} psf; "
            "use images with more detail (photographs, noise), a smaller size, or ridge > 0"
        )


def _blocks(x: Tensor, y: Tensor, size: tuple[int, int], stride: int, boundary: str) -> Iterator[Tensor]:
    """The rows of [X y] in float64, about BLOCK entries at a time: whole small planes, else bands of their rows."""
    n = size[0] * size[1]
    entries = max(BLOCK, 4 * n * n)  # at least a few rows for each tap: QR repeats its work on R with every block
    h, w = y.shape[2:]
    group, band = max(1, entries // (h * w * n)), min(h, max(1, entries // (w * n)))
    planes, values = x.reshape(-1, *x.shape[2:]), y.reshape(-1, h, w)
    for first in range(0, len(planes), group):
        extended = planes[first : first + group]
        for dim, k in zip((1, 2), size, strict=True):
            extended = _extend(extended, dim, k, boundary)
        windows = extended.unfold(1, size[0], stride).unfold(2, size[1], stride)  # p h w kh kw, a view
        for top in range(0, h, band):
            # True convolution: tap t meets the pixel - t.
            part = windows[:, top : top + band].double().flip(3, 4).reshape(-1, n)
            yield torch.cat([part, values[first : first + group, top : top + band].double().reshape(-1, 1)], dim=1)


def _extend(x: Tensor, dim: int, k: int, boundary: str) -> Tensor:
    """The planes with what the boundary puts around them, along one axis."""
    before, after = reference.margins(k, boundary)
    index = reference.extension(x.shape[dim], before, after, boundary).to(x.device)
    inside = (index >= 0).to(x.dtype)
    return x.index_select(dim, index.clamp(min=0)) * inside.reshape(-1, *[1] * (x.ndim - 1 - dim))
