"""Photographs reduced once and kept: patches without end for long trainings.

They are drawn from memory instead of being averaged anew each time.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..arrays import check_count
from ..errors import InvalidInput
from . import cache, draws, store
from .photographs import VALIDATION
from .pictures import Pictures, check_split

VERSION = 2  # of what is kept: another one is made anew
# Pixels a side of what is kept, a little more than a patch of 128: a larger bound drops more of the photographs, a
# smaller one keeps what has no room for a patch.
SMALLEST = 130
PIXELS, SHAPES = "pixels.bin", "shapes.json"
# Reductions of the validation pictures: whole, so that a pixel is a mean, and 2 or more, which removes most of what
# lossy coding did. More of them score on more pictures and take longer.
WHOLE = (2, 3, 4)
Report = Callable[[str, int, int], None]


class ReducedPhotographs(Pictures):
    """Patches 3 size size of photographs that were reduced once. Endless: patch i depends on (seed, i) alone.

    A patch: a reduced photograph, drawn in proportion to the root of its area; half of the patches lie anywhere,
    smooth places too, half at that one of two places which has more detail; one of the eight flips and transposes.
    Reduction by r is the mean of r x r pixels, for 1.5 Pillow's Hamming filter, rounded to 8 bits; it removes most
    of what lossy coding did. Photographs, not patches, are split: by their names, about one in ten for validation.

    The first use writes the reduced photographs beside the sets; later ones map them.

    Args:
        split: "train" or "validation".
        size: Side of a patch.
        sets: Names of fetched sets; photographs of the split "validation" are those of "photos" alone, which must
            then come first, so that scores stay comparable when sets are added.
        reductions: Numbers from 1 on.
        seed: Of all choices.
        report: Called with (what, done, total) while photographs are reduced.

    Raises:
        MissingData: Where a set is not fetched.
        InvalidInput: For wrong values and where no photograph is large enough.
        DownloadFailed: Where the reduced photographs cannot be written.
    """

    endless = True

    def __init__(
        self,
        split: str,
        size: int = 128,
        *,
        sets: Sequence[str] = ("photos",),
        reductions: Sequence[float] = (1.5, 2, 3, 4),
        seed: int = 0,
        report: Report | None = None,
    ) -> None:
        self.split, self.seed = check_split(split, among=("train", "validation")), check_count(seed, "seed", low=0)
        self.size = check_count(size, "size", low=1)
        self.sets, self.reductions = tuple(sets), _checked(reductions)
        if not self.sets:
            raise InvalidInput("sets is empty; expected names of sets of photographs, such as ('photos',)")
        if self.split == "validation" and self.sets[0] != "photos":
            raise InvalidInput(
                f"sets is {self.sets!r}; validation photographs are of the set 'photos' alone: name it first"
            )
        found = _kept(
            self.sets if self.split == "train" else self.sets[:1],
            self.split,
            self.reductions,
            report or (lambda what, done, total: None),
        )
        self.photographs = [picture for picture in found if min(picture.shape[:2]) >= self.size]
        if not self.photographs:
            raise InvalidInput(
                f"no reduced photograph holds a patch of {self.size} x {self.size} pixels; choose a smaller size"
            )
        self._upto = _shares(self.photographs)

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process maps the photographs again instead of being sent them."""
        return functools.partial(type(self), sets=self.sets, reductions=self.reductions, seed=self.seed), (
            self.split,
            self.size,
        )

    def sized(self, size: int) -> ReducedPhotographs:
        """The same photographs in patches of another size, without reading them again.

        Args:
            size: Side of a patch.

        Returns:
            A set of its own.

        Raises:
            InvalidInput: Where no photograph is large enough.
        """
        other = object.__new__(type(self))  # copy.copy would call __reduce__, and so map them again
        other.__dict__.update(self.__dict__)
        other.size = check_count(size, "size", low=1)
        other.photographs = [picture for picture in self.photographs if min(picture.shape[:2]) >= size]
        if not other.photographs:
            raise InvalidInput(f"no reduced photograph holds a patch of {size} x {size} pixels; choose a smaller size")
        other._upto = _shares(other.photographs)
        return other

    def __len__(self) -> int:
        """Disjoint patches."""
        return sum((p.shape[0] // self.size) * (p.shape[1] // self.size) for p in self.photographs)

    def batch(self, indices: Sequence[int] | np.ndarray | Tensor) -> Tensor:
        patches = np.stack([self._patch(int(index)) for index in indices])
        return torch.from_numpy(patches).permute(0, 3, 1, 2).float().div_(255)

    def _patch(self, index: int) -> np.ndarray:
        which, turn, *places = draws.words(self.seed, f"reduced photographs {self.split}", index, 6)
        picture = self.photographs[
            min(int(np.searchsorted(self._upto, which / 2**64, side="right")), len(self.photographs) - 1)
        ]
        rows, columns = (n - self.size + 1 for n in picture.shape[:2])
        corners = [(row % rows, column % columns) for row, column in zip(places[::2], places[1::2], strict=True)]
        patches = [picture[top : top + self.size, left : left + self.size] for top, left in corners]
        # Half of them anywhere, so that smooth places are seen too.
        return _turned(patches[0] if turn & 8 else max(patches, key=_detail), turn)


def validation_photographs(size: int = 192) -> list[Tensor]:
    """What long trainings are scored on: each validation photograph reduced by 2, 3 and 4, the middle of each.

    Args:
        size: Side of the middle, in pixels; smaller pictures are kept whole.

    Returns:
        The pictures, 1 3 h w in [0, 1], of at most size x size pixels.

    Raises:
        MissingData: Where the set "photos" is not fetched.
        InvalidInput: For a size below 1.
    """
    check_count(size, "size", low=1)
    return [
        _middle(picture, size) for picture in _kept(("photos",), "validation", WHOLE, lambda what, done, total: None)
    ]


def _middle(picture: np.ndarray, size: int) -> Tensor:
    top, left = (max(0, (n - size) // 2) for n in picture.shape[:2])
    return (
        torch.from_numpy(picture[top : top + size, left : left + size].copy()).permute(2, 0, 1)[None].float().div_(255)
    )


# ---- kept in the cache -----------------------------------------------------------------------------------------------


def _kept(sets: Sequence[str], split: str, reductions: Sequence[float], report: Report) -> list[np.ndarray]:
    """The reduced photographs of a split, h w 3 uint8, mapped; made where they are not there."""
    found = [(path, name) for one in sets for path, name in originals(one, split if one == "photos" else "train")]
    told = repr(
        [[str(path.parent.name) for path, _ in found], [name for _, name in found], list(reductions), SMALLEST, VERSION]
    )
    digest = hashlib.sha256(told.encode()).hexdigest()
    folder = cache.folder() / f"reduced-{split}-{digest[:12]}"
    if store.read_manifest(folder, digest) is None:
        _make(folder, digest, found, reductions, report)
    shapes = json.loads((folder / SHAPES).read_text())
    pixels = np.memmap(folder / PIXELS, np.uint8, "r")  # one file for all: each map takes a descriptor
    ends = list(itertools.accumulate((h * w * 3 for h, w in shapes), initial=0))
    return [pixels[begin:end].reshape(h, w, 3) for (h, w), begin, end in zip(shapes, ends, ends[1:], strict=False)]


def originals(one: str, split: str) -> list[tuple[Path, str]]:
    """(file, name) of each photograph of a set in this split; sets beside "photos" are for training alone."""
    found = [
        (folder / f"{number:04d}.npy", name) for folder, names in cache.opened(one) for number, name in enumerate(names)
    ]
    return [
        (path, name)
        for path, name in found
        if one != "photos" or (draws.fraction(name) < VALIDATION) == (split == "validation")
    ]


def _make(
    folder: Path, digest: str, found: list[tuple[Path, str]], reductions: Sequence[float], report: Report
) -> None:
    """Write the reduced photographs one after the other, with their sizes.

    The folder appears whole, and only one process makes it.
    """
    try:
        with cache.alone(folder.name, lambda: report("another process reduces the photographs", 0, 1)):
            if store.read_manifest(folder, digest) is not None:  # made by another process while this one waited
                return
            with cache.replaced(folder) as work:
                shapes, names = [], []
                with open(work / PIXELS, "wb") as file:
                    for number, (path, name) in enumerate(found):
                        photograph = np.load(path)
                        for r in (r for r in reductions if min(photograph.shape[:2]) / r >= SMALLEST):
                            small = reduced(photograph, r)
                            file.write(small.tobytes())
                            shapes.append(small.shape[:2])
                            names.append(f"{name}, reduced by {r:g}")
                        report("reducing photographs", number + 1, len(found))
                (work / SHAPES).write_text(json.dumps(shapes))
                store.write_manifest(work, digest, names)
    except OSError as error:
        advice = "free some space, or set FASTIP_CACHE to another folder"
        raise cache.DownloadFailed(f"{folder} cannot be written: {error.strerror or error}; {advice}") from error


def reduced(photograph: np.ndarray, r: float) -> np.ndarray:
    """h w 3 uint8 reduced by r, floor(h / r) floor(w / r) 3.

    Means of r x r pixels, rounded; Pillow's Hamming filter where r is no whole number.
    """
    h, w = (int(n / r) for n in photograph.shape[:2])
    image, box = Image.fromarray(photograph), (0, 0, w * r, h * r)
    if r == int(r):
        return np.asarray(image.reduce(int(r), box=tuple(map(int, box))))  # type: ignore[arg-type]
    # Its box filter takes whole pixels alone, two and one in turn at 1.5.
    return np.asarray(image.resize((w, h), Image.Resampling.HAMMING, box=box))


def _checked(reductions: Sequence[float]) -> tuple[float, ...]:
    try:
        numbers = tuple(sorted({float(r) for r in reductions}))
    except (TypeError, ValueError):
        numbers = ()
    if not numbers or not all(1 <= r < 1e3 for r in numbers):  # by 1e3 nothing is left of any photograph
        raise InvalidInput(f"reductions is {reductions!r}; expected numbers from 1 on, such as (1.5, 2, 3)")
    return numbers


def _shares(photographs: list[np.ndarray]) -> np.ndarray:
    """How likely one of the first k is drawn: in proportion to the roots of their areas."""
    roots = np.sqrt([float(p.shape[0] * p.shape[1]) for p in photographs])
    return np.cumsum(roots) / roots.sum()


def _detail(patch: np.ndarray) -> int:
    """The sum of absolute differences between neighbours in the green of every second pixel.

    Every second one: a quarter of the work, done for every patch.
    """
    green = patch[::2, ::2, 1].astype(np.int16)
    return int(np.abs(np.diff(green, axis=0)).sum(dtype=np.int64) + np.abs(np.diff(green, axis=1)).sum(dtype=np.int64))


def _turned(patch: np.ndarray, turn: int) -> np.ndarray:
    """One of the eight symmetries of the square."""
    patch = patch[::-1] if turn & 1 else patch
    patch = patch[:, ::-1] if turn & 2 else patch
    return patch.transpose(1, 0, 2) if turn & 4 else patch
