"""What every set of pictures can do, and the order in which a training sees them."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..arrays import check_count
from ..errors import InvalidInput, StrictKeywords
from . import draws

SPLITS = ("train", "validation", "test")


def check_split(split: str, *, among: Sequence[str] = SPLITS) -> str:
    """``split``, refused unless it is one of ``among``."""
    if split not in among:
        raise InvalidInput(f"split is {split!r}; expected one of {', '.join(among)}")
    return split


class Pictures(StrictKeywords, abc.ABC):
    """Pictures by number: ``pictures[i]`` is c h w, float32 in [0, 1]; ``batch`` stacks several.

    Usable as a map-style torch Dataset. An endless set makes picture i from (seed, i) for any i >= 0; its length is
    then what one goes through for one look at it.
    """

    endless = False

    @abc.abstractmethod
    def __len__(self) -> int: ...

    @abc.abstractmethod
    def batch(self, indices: Sequence[int] | np.ndarray | Tensor) -> Tensor:
        """The pictures with these numbers, b c h w."""

    def __getitem__(self, index: int) -> Tensor:
        if index < 0 and not self.endless:
            index += len(self)
        if index < 0 or (index >= len(self) and not self.endless):
            raise IndexError(f"picture {index} of {len(self)}")
        return self.batch([index])[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[index] for index in range(len(self)))


class Stored(Pictures):
    """Pictures held in memory, with their labels.

    Args:
        images: n c h w, uint8; they are copied.
        labels: n whole numbers, kept as int64 (digit, article or person).
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.images = torch.tensor(images)  # a copy: what comes in may be read-only
        self.labels = torch.tensor(labels, dtype=torch.int64)

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, indices: Sequence[int] | np.ndarray | Tensor) -> Tensor:
        return self.images[torch.as_tensor(indices, dtype=torch.int64)].float().div_(255)


@dataclass(frozen=True)
class Batches:
    """Batch after batch of a set, as a function of the step and the process alone.

    So a training that is continued needs no more than its step. Process ``rank`` of ``ranks`` gets, at ``step``,
    positions (step ranks + rank) size ... + size - 1 of the order: the numbers themselves for an endless set, else a
    new permutation of the set in every epoch.

    Args:
        pictures: The set.
        size: Pictures in a batch.
        seed: Of the permutations.
        ranks: Processes that share the batches of a step.

    Raises:
        InvalidInput: For counts that are too small, an empty set, and a step or rank that there is not.
    """

    pictures: Pictures
    size: int
    seed: int = 0
    ranks: int = 1

    def __post_init__(self) -> None:
        for name, low in (("size", 1), ("seed", 0), ("ranks", 1)):
            check_count(getattr(self, name), name, low=low)
        if not len(self.pictures):
            raise InvalidInput("pictures holds no picture; expected at least one: give another set")

    def __call__(self, step: int, rank: int = 0) -> Tensor:
        """The batch b c h w of this step."""
        if not 0 <= rank < self.ranks or step < 0:
            raise InvalidInput(f"step {step}, rank {rank}: expected a step >= 0 and a rank below {self.ranks}")
        first = (step * self.ranks + rank) * self.size
        positions = range(first, first + self.size)
        if self.pictures.endless:
            return self.pictures.batch(list(positions))
        count = len(self.pictures)
        return self.pictures.batch(
            [int(draws.permutation(self.seed, at // count, count)[at % count]) for at in positions]
        )
