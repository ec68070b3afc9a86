"""Drawn heads, composed of picture layers: colour pictures of one kind without end. Drawings, not photographs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..arrays import check_count
from . import cache, draws
from .pictures import Pictures, check_split

HELD_OUT = "006#Top"  # hair, hats and veils
# Of their styles, 35 in all, in the order of draws.fraction: more for test and validation leave fewer to learn from.
STYLES = {
    "validation": slice(0, 4),
    "test": slice(4, 8),
    "train": slice(8, None),
}
LENGTH = 10_000  # heads in one look at an endless set: more take longer, fewer show less of it


class Avatars(Pictures):
    """Heads 3 64 64 without end: a plain background, then one picture of each layer over it.

    With the layers premultiplied by their alpha::

        out = layer + (1 - alpha) out

    Every split has hair and hats of its own, by style ("Hijab", "LongHairBob", in all colours), so a test head wears
    what no training head wears; the other layers are shared.

    Args:
        split: "train", "validation" or "test".
        seed: Of the choices: head i depends on (seed, i) alone.

    Raises:
        MissingData: Where the set is not fetched.
        InvalidInput: For another split or a negative seed.
    """

    endless = True

    def __init__(self, split: str, *, seed: int = 0) -> None:
        self.split, self.seed = check_split(split), check_count(seed, "seed", low=0)
        ((folder, names),) = cache.opened("avatars")
        self.names = names
        self.layers = np.load(folder / "avatars.npy")
        styles = sorted({style(name) for name in names if name.startswith(HELD_OUT)}, key=draws.fraction)
        self.styles = styles[STYLES[split]]
        mine = [not name.startswith(HELD_OUT) or style(name) in self.styles for name in names]
        order = sorted({name.split("/")[0] for name in names})
        self.choices = [
            [number for number, name in enumerate(names) if name.split("/")[0] == layer and mine[number]]
            for layer in order
        ]

    def __len__(self) -> int:
        return LENGTH

    def batch(self, indices: Sequence[int] | np.ndarray | Tensor) -> Tensor:
        heads = [self._head(int(index)) for index in indices]
        return torch.from_numpy(np.stack(heads)).permute(0, 3, 1, 2).contiguous().float().div_(255)

    def _head(self, index: int) -> np.ndarray:
        words = draws.words(self.seed, f"avatars {self.split}", index, 3 + len(self.choices))
        head = np.empty(self.layers.shape[1:3] + (3,), np.uint16)
        head[:] = [120 + word % 136 for word in words[:3]]  # a light ground, 120 to 255
        for word, choice in zip(words[3:], self.choices, strict=True):
            layer = self.layers[choice[word % len(choice)]].astype(np.uint16)
            head = layer[..., :3] + (head * (255 - layer[..., 3:]) + 127) // 255
        return np.minimum(head, 255).astype(np.uint8)


def style(name: str) -> str:
    """What a picture of a layer shows, without its colour: "006#Top/Hijab" for "006#Top/Hijab-Red.png"."""
    return name.removesuffix(".png").split("-")[0]
