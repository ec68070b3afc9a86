"""Handwritten digits (MNIST) and articles of clothing (Fashion-MNIST)."""

from __future__ import annotations

from . import cache
from .pictures import Stored, check_split
from .unpack import from_idx

VALIDATION = 5000  # the last of the 60,000: more of them measure more closely and leave fewer to learn from


class _Idx(Stored):
    """The split of a set in IDX files.

    train (the first 55,000 of 60,000), validation (the other 5,000) or test (t10k).
    """

    name: str

    def __init__(self, split: str) -> None:
        check_split(split)
        ((folder, _),) = cache.opened(self.name)
        prefix = "t10k" if split == "test" else "train"
        files = (folder / f"{prefix}-{kind}-ubyte" for kind in ("images-idx3", "labels-idx1"))
        images, labels = (from_idx(path.read_bytes(), str(path)) for path in files)
        part = {"train": slice(None, -VALIDATION), "validation": slice(-VALIDATION, None), "test": slice(None)}[split]
        super().__init__(images[part, None], labels[part])


class Digits(_Idx):
    """MNIST: 1 28 28, white on black; ``labels`` 0 ... 9.

    Args:
        split: "train" (55,000), "validation" (5,000) or "test" (10,000).

    Raises:
        MissingData: Where the set is not fetched.
        InvalidInput: For another split.
    """

    name = "digits"


class Fashion(_Idx):
    """Fashion-MNIST: 1 28 28, bright on black; ``labels`` 0 ... 9.

    Args:
        split: "train" (55,000), "validation" (5,000) or "test" (10,000).

    Raises:
        MissingData: Where the set is not fetched.
        InvalidInput: For another split.
    """

    name = "fashion"
