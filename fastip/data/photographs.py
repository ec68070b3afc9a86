"""Photographs: patches without end for training and validation, and nine test pictures, which are in no training."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import io
from ..arrays import check_count, check_image
from ..errors import InvalidInput, strict_keywords
from . import cache, draws
from .pictures import Pictures, check_split

# Of the photographs. A larger share measures more closely and leaves fewer to learn from; figures were measured on the
# pictures that it selects, so another one makes them incomparable.
VALIDATION = 0.1
# Everyday photographs first, then two of another kind: (package, file below it).
TEST = {
    "astronaut": ("skimage", "data/astronaut.png"),
    "chelsea": ("skimage", "data/chelsea.png"),
    "coffee": ("skimage", "data/coffee.png"),
    "rocket": ("skimage", "data/rocket.jpg"),
    "motorcycle": ("skimage", "data/motorcycle_left.png"),
    "china": ("sklearn", "datasets/images/china.jpg"),
    "flower": ("sklearn", "datasets/images/flower.jpg"),
    "retina": ("skimage", "data/retina.jpg"),
    "ihc": ("skimage", "data/ihc.png"),
}
EVERYDAY = ("astronaut", "chelsea", "coffee", "rocket", "motorcycle", "china", "flower")


class Photographs(Pictures):
    """Patches 3 size size of the photographs of one split. Endless: patch i depends on (seed, i) alone.

    A patch: a photograph, drawn in proportion to the root of its area; a reduction r of ``reductions`` that leaves
    room for the patch; of ``places`` places the one with the most detail; the mean of r x r pixels, which also
    removes most of the coding artefacts; one of the eight flips and transposes. Photographs, not patches, are split:
    by their names, about one in ten for validation.

    Args:
        split: "train" or "validation".
        size: Side of a patch.
        reductions: Whole numbers, 1 or more.
        places: How many are looked at for one patch: sky and blurred grounds fill much of the photographs, and teach
            little; more places avoid them more, and read more.
        seed: Of all choices.

    Raises:
        MissingData: Where the set is not fetched.
        InvalidInput: For another split, counts that are too small, and where no photograph is large enough.
    """

    endless = True

    def __init__(
        self, split: str, size: int = 128, *, reductions: Sequence[int] = (1, 2, 3), places: int = 3, seed: int = 0
    ) -> None:
        self.split, self.size, self.seed = (
            check_split(split, among=("train", "validation")),
            check_count(size, "size", low=1),
            check_count(seed, "seed", low=0),
        )
        self.places = check_count(places, "places", low=1)
        if not reductions:
            raise InvalidInput("reductions is empty; expected whole numbers such as (1, 2, 3)")
        self.reductions = tuple(sorted({check_count(r, "a reduction", low=1) for r in reductions}))
        self.names: list[str] = []
        self.photographs: list[np.ndarray] = []  # h w 3 uint8, mapped: only what is looked at is read
        for folder, names in cache.opened("photos"):
            for number, name in enumerate(names):
                array = np.load(folder / f"{number:04d}.npy", mmap_mode="r")
                if (draws.fraction(name) < VALIDATION) == (split == "validation") and min(
                    array.shape[:2]
                ) >= self.size * self.reductions[0]:
                    self.names.append(name)
                    self.photographs.append(array)
        if not self.photographs:
            raise InvalidInput(
                f"no photograph of the split {split!r} holds a patch of {self.size} x {self.size} pixels; "
                "choose a smaller size"
            )
        roots = np.sqrt([float(p.shape[0] * p.shape[1]) for p in self.photographs])
        self._upto = np.cumsum(roots) / roots.sum()

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process maps the photographs again instead of being sent them."""
        return functools.partial(type(self), reductions=self.reductions, places=self.places, seed=self.seed), (
            self.split,
            self.size,
        )

    def __len__(self) -> int:
        """Disjoint patches at the smallest reduction."""
        side = self.size * self.reductions[0]
        return sum((p.shape[0] // side) * (p.shape[1] // side) for p in self.photographs)

    def batch(self, indices: Sequence[int] | np.ndarray | Tensor) -> Tensor:
        return torch.stack([self._patch(int(index)) for index in indices])

    def whole(self, number: int) -> Tensor:
        """Photograph ``number`` (of ``names``) as it is, 1 3 h w."""
        return _reduced(self.photographs[number], 1)[None]

    def _patch(self, index: int) -> Tensor:
        which, reduction, turn, *places = draws.words(
            self.seed, f"photographs {self.split}", index, 3 + 2 * self.places
        )
        photograph = self.photographs[
            min(int(np.searchsorted(self._upto, which / 2**64, side="right")), len(self.photographs) - 1)
        ]
        h, w = photograph.shape[:2]
        fitting = [r for r in self.reductions if r * self.size <= min(h, w)]
        r = fitting[reduction % len(fitting)]
        side = r * self.size
        corners = [
            (row % (h - side + 1), column % (w - side + 1))
            for row, column in zip(places[::2], places[1::2], strict=True)
        ]
        patches = [photograph[top : top + side, left : left + side] for top, left in corners]
        return _turned(
            _reduced(max(patches, key=lambda patch: _detail(patch, r)) if len(patches) > 1 else patches[0], r), turn % 8
        )


def _detail(patch: np.ndarray, r: int) -> int:
    """The sum of absolute differences between neighbours in the green of every r-th pixel."""
    green = patch[::r, ::r, 1].astype(np.int16)
    return int(np.abs(np.diff(green, axis=0)).sum(dtype=np.int64) + np.abs(np.diff(green, axis=1)).sum(dtype=np.int64))


def _reduced(patch: np.ndarray, r: int) -> Tensor:
    """Means of r x r pixels: h w 3 uint8 -> 3 h/r w/r float32 in [0, 1]. The sums are exact integers."""
    rows: Any = patch[::r].astype(np.uint16 if r <= 16 else np.uint32)  # 16 x 16 x 255 is the last that 16 bits hold
    for i in range(1, r):
        rows += patch[i::r]
    total: Any = rows[:, ::r].copy()
    for j in range(1, r):
        total += rows[:, j::r]
    return torch.from_numpy(np.ascontiguousarray(total.transpose(2, 0, 1)).astype(np.float32)).div_(255 * r * r)


def _turned(x: Tensor, turn: int) -> Tensor:
    """One of the eight symmetries of the square."""
    axes = [axis for axis, bit in ((-2, 1), (-1, 2)) if turn & bit]
    x = x.flip(axes) if axes else x
    return (x.transpose(-1, -2) if turn & 4 else x).contiguous()


@strict_keywords
def held_out_photographs(names: Sequence[str] = tuple(TEST)) -> dict[str, Tensor]:
    """The test pictures, from the packages scikit-image and scikit-learn.

    Args:
        names: Which; EVERYDAY are the seven everyday photographs.

    Returns:
        The pictures by name, 1 3 h w, in [0, 1].

    Raises:
        InvalidInput: For an unknown name.
        MissingData: Where a package is not installed.
    """
    return {name: _held_out(name) for name in names}


def _held_out(name: str) -> Tensor:
    if name not in TEST:
        raise InvalidInput(f"there is no test photograph {name!r}; expected one of {', '.join(TEST)}")
    package, file = TEST[name]
    path = _installed(package) / file
    if not path.is_file():
        raise cache.MissingData(
            f"the test photograph {name!r} should be {path}, and is not; "
            "install the packages with: pip install 'fastip[data]'"
        )
    x, _ = io.read_image(path)
    return x


def _installed(package: str) -> Path:
    """The folder of an installed package, without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise cache.MissingData(
            f"the test photographs need the package {package}, which is not installed; run: pip install 'fastip[data]'"
        )
    return Path(spec.submodule_search_locations[0])


@strict_keywords
def centre(x: Tensor, size: int) -> Tensor:
    """The middle of images.

    Args:
        x: Images, b c h w.
        size: Side of the square, in pixels.

    Returns:
        The middle size x size pixels, a view.

    Raises:
        InvalidInput: Where the image is smaller.
    """
    check_image(x, "x")
    size, (h, w) = check_count(size, "size", low=1), x.shape[-2:]
    if size > min(h, w):
        raise InvalidInput(f"x has shape {tuple(x.shape)}; expected at least {size} x {size} pixels")
    top, left = (h - size) // 2, (w - size) // 2
    return x[..., top : top + size, left : left + size]
