"""Pictures and a network that are small enough to train in a test."""

from __future__ import annotations

import torch

from fastip import data, nets


class Numbered(data.Pictures):
    """Picture i is flat and of value i / 1e6, so that one sees which were drawn."""

    endless = True

    def __init__(self, size: int = 8) -> None:
        self.size = size

    def __len__(self) -> int:
        return 100

    def sized(self, size: int) -> Numbered:
        return type(self)(size)

    def batch(self, indices) -> torch.Tensor:
        return (
            torch.tensor(list(indices), dtype=torch.float64)
            .div(1e6)
            .float()[:, None, None, None]
            .expand(-1, 3, self.size, self.size)
        )


class Shades(Numbered):
    """Smooth colours, another picture for each number."""

    def batch(self, indices) -> torch.Tensor:
        return torch.stack([shade(int(index), self.size) for index in indices])


def shade(index: int, size: int) -> torch.Tensor:
    """Smooth colours, 3 size size."""
    coarse = torch.rand(1, 3, 3, 3, generator=torch.Generator().manual_seed(index))
    return torch.nn.functional.interpolate(coarse, size=(size, size), mode="bilinear")[0]


def small() -> nets.PixelShuffleAutoencoder:
    """In place of the large network; the same each time."""
    torch.manual_seed(4)
    return nets.PixelShuffleAutoencoder(widths=(4, 6), blocks=(1, 0), padding_mode="zeros")
