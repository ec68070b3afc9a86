"""What image programs do when they make a picture smaller."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..arrays import check_count, check_number
from ..contracts import Shape
from ..errors import InvalidInput, brief
from .base.banded import Banded
from .base.door import check_grid
from .base.remembered import last
from .base.resampling import PROGRAMS
from .separable import SeparableOperator

LARGEST = 16  # of a factor: beyond, a picture of ordinary size has too few pixels left to be restored from
AXES = ("height", "width")


class Resize(SeparableOperator):
    """Make the picture smaller, as an image program does; A^T A x is no enlarged picture, a solve gives that.

    From images b c H W to data b c h w, centre-aligned, the factor in use being H / h. A is the program's own linear
    map: where it rounds to 8 bits and clips what overshoots 0 ... 255 (bicubic, lanczos), that is no part of A.

    Args:
        factor: How many times smaller, 1 to 16, or (vertical, horizontal). ``h = round(H / factor)`` and
            ``H = round(h factor)``, halves up; an image must have a size for which both hold.
        shapes: ((H, W), (h, w)) instead of a factor, any H >= h and W >= w.
        method: "area" (box), "bilinear", "bicubic" or "lanczos".
        like: The program.

            - "pillow", and "torch-antialias" for ``interpolate(antialias=True)``, which has no area: the kernel (cubic
              a = -0.5, Lanczos a = 3) as wide as the factor, renormalised at the border.
            - "opencv": area by overlaps; else the kernel (cubic a = -0.75, Lanczos a = 4) as it is, without
              anti-aliasing, the border replicated.
            - "torch", for ``interpolate(antialias=False)``: area averages every pixel that a cell touches; bilinear
              and bicubic as OpenCV; no lanczos.
            - "matlab": imresize, the kernel (cubic a = -0.5, Lanczos a = 3) as wide as the factor, the border mirrored.

    Raises:
        InvalidInput: Unless exactly one of factor and shapes is given, for bad ones, an unknown method or program, and
            a method that the program does not have.
    """

    def __init__(
        self,
        factor: float | Sequence[float] | None = None,
        *,
        shapes: Sequence[Sequence[int]] | None = None,
        method: str = "bicubic",
        like: str = "pillow",
    ) -> None:
        if (factor is None) == (shapes is None):
            given = "both factor and shapes" if shapes is not None else "neither factor nor shapes"
            raise InvalidInput(f"{given} are given; expected one of them, e.g. Resize(4) or shapes=((H, W), (h, w))")
        self.factor = None if factor is None else _factors(factor)
        self.shapes = None if shapes is None else _shapes(shapes)
        if like not in PROGRAMS:
            raise InvalidInput(f"like is {brief(like)}; expected one of {', '.join(PROGRAMS)}")
        if method not in PROGRAMS[like]:
            raise InvalidInput(
                f"method is {brief(method)}; expected one of {', '.join(PROGRAMS[like])}, which {like!r} has"
            )
        self.method, self.like = method, like

    def factors(self, image: tuple[int, int]) -> tuple[Banded, Banded]:
        # Remembered for the last size. Only height and width count there.
        return self._matrices((1, 1, *image))

    @last
    def _matrices(self, shape: Shape) -> tuple[Banded, Banded]:
        (h, w), (height, width) = self.output_shape(shape)[2:], shape[2:]
        axis = PROGRAMS[self.like][self.method]
        vertical = axis(height, h)
        return vertical, vertical if (height, h) == (width, w) else axis(width, w)

    def _parameters(self) -> tuple[Any, ...]:
        return (self.factor, self.shapes, self.method, self.like)

    def __repr__(self) -> str:
        size = f"shapes={self.shapes}" if self.factor is None else repr(self.factor)
        return f"Resize({size}, method={self.method!r}, like={self.like!r})"

    def output_shape(self, input_shape: Shape) -> Shape:
        b, c, *size = check_grid(input_shape, "image")
        if self.shapes is not None:
            _check_size(size, self.shapes[0], "image")
            return (b, c, *self.shapes[1])
        assert self.factor is not None
        kept = []
        for n, factor, axis in zip(size, self.factor, AXES, strict=True):
            m = _rounded(n / factor)
            if _rounded(m * factor) != n:
                raise InvalidInput(
                    f"a factor of {factor:g} makes no image {axis} of {n}: {m} times that is {_rounded(m * factor)}; "
                    f"crop it to {_rounded(math.floor(n / factor) * factor)}, or give shapes=((H, W), (h, w))"
                    if n >= factor
                    else f"an image {axis} of {n} is less than the factor of {factor:g}; use a larger image"
                )
            kept.append(m)
        return (b, c, *kept)

    def input_shape(self, output_shape: Shape) -> Shape:
        b, c, *size = check_grid(output_shape, "data")
        if self.shapes is not None:
            _check_size(size, self.shapes[1], "data")
            return (b, c, *self.shapes[0])
        assert self.factor is not None
        return (b, c, *(_rounded(m * factor) for m, factor in zip(size, self.factor, strict=True)))

    def _own_shape(self) -> Shape | None:
        return None if self.shapes is None else (1, 1, *self.shapes[0])


def _rounded(value: float) -> int:
    """To the nearest whole number, halves up."""
    return math.floor(value + 0.5)


def _factors(factor: Any) -> tuple[float, float]:
    pair = tuple(factor) if isinstance(factor, (tuple, list, np.ndarray)) and np.ndim(factor) == 1 else (factor, factor)
    if len(pair) != 2:
        raise InvalidInput(f"factor is {brief(factor)}; expected a number from 1 to {LARGEST}, or two")
    vertical, horizontal = (check_number(value, "factor", low=1) for value in pair)
    if max(vertical, horizontal) > LARGEST:
        raise InvalidInput(
            f"factor is {brief(factor)}; expected a number from 1 to {LARGEST}, or two: give shapes=((H, W), (h, w)) "
            "for more"
        )
    return vertical, horizontal


def _shapes(shapes: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    try:
        (height, width), (h, w) = shapes
    except (TypeError, ValueError):
        raise InvalidInput(
            f"shapes is {brief(shapes)}; expected ((H, W), (h, w)), the sizes of the image and of the data"
        ) from None
    height, width, h, w = (check_count(n, "a size in shapes", low=1) for n in (height, width, h, w))
    if h > height or w > width:
        raise InvalidInput(
            f"shapes is (({height}, {width}), ({h}, {w})), which enlarges; expected data no larger than the image: "
            "they are given as ((H, W), (h, w)), the image first"
        )
    return (height, width), (h, w)


def _check_size(size: list[int], expected: tuple[int, int], what: str) -> None:
    if tuple(size) != expected:
        raise InvalidInput(
            f"the {what} is {size[0]} x {size[1]}; expected {expected[0]} x {expected[1]}, as shapes says: "
            "make an operator for this size"
        )
