"""Pictures of one's own: a folder of image files, each cut and reduced to one size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .. import io
from ..arrays import check_count
from ..errors import InvalidInput
from . import draws
from .pictures import Pictures, check_split

# Of the files, by a number that depends on the name alone: larger shares for test and validation measure more closely
# and leave less to learn from.
SHARES = {
    "validation": (0.0, 0.05),
    "test": (0.05, 0.1),
    "train": (0.1, 1.0),
}


class FolderPictures(Pictures):
    """The images of a folder as c size size: the middle ``crop`` x ``crop`` pixels, reduced by means over areas.

    Files are read when they are asked for.

    Args:
        path: A folder, looked into at all depths (PNG, JPEG, TIFF, NPY).
        split: "train" (9 of 10 files), "validation" or "test" (1 of 20 each), by file name, so that a file never
            changes sides.
        size: Side of a picture.
        colours: 3, or 1 for the mean of the channels; grey files are repeated.
        crop: Side of the square that is cut out: 108 for the aligned faces of CelebA; by default the largest square.

    Raises:
        InvalidInput: For another split, a folder without images, and images smaller than the crop or the size.
    """

    def __init__(
        self, path: str | Path, split: str, *, size: int = 64, colours: int = 3, crop: int | None = None
    ) -> None:
        self.path, self.split = Path(path), check_split(split)
        self.size, self.colours = check_count(size, "size", low=1), check_count(colours, "colours", low=1)
        self.crop = None if crop is None else check_count(crop, "crop", low=self.size)
        if self.colours not in (1, 3):
            raise InvalidInput(f"colours is {colours}; expected 1 or 3")
        if not self.path.is_dir():
            raise InvalidInput(f"{self.path} is no folder; give one with images in it")
        low, high = SHARES[split]
        found = sorted(
            file
            for file in self.path.rglob("*")
            if file.suffix.lower() in io.SUFFIXES and not file.name.startswith(".")
        )
        self.files = [file for file in found if low <= draws.fraction(file.name) < high]
        if not self.files:
            formats = ", ".join(io.SUFFIXES)
            raise InvalidInput(
                f"{self.path} holds {len(found)} images ({formats}), none of them for {split}; "
                "add images, or give another folder"
            )

    def __len__(self) -> int:
        return len(self.files)

    def batch(self, indices: Sequence[int] | np.ndarray | Tensor) -> Tensor:
        return torch.stack([self._picture(self.files[int(index)]) for index in indices])

    def _picture(self, file: Path) -> Tensor:
        x, _ = io.read_image(file)
        side = min(x.shape[2:]) if self.crop is None else self.crop
        if min(x.shape[2:]) < side or side < self.size:
            raise InvalidInput(
                f"{file} is {x.shape[2]} x {x.shape[3]}; expected at least {max(side, self.size)} pixels each way: "
                "take it away or crop less"
            )
        top, left = ((n - side) // 2 for n in x.shape[2:])
        square = x[..., top : top + side, left : left + side]
        if x.shape[1] != self.colours:
            square = square.mean(dim=1, keepdim=True).expand(-1, self.colours, -1, -1)
        return F.interpolate(square, size=(self.size, self.size), mode="area")[0].clamp(0, 1)
