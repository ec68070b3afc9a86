"""A real matrix along one axis of an image, in blocks of rows, each with the columns that it has."""

from __future__ import annotations

import torch
from torch import Tensor

from ...placement import Constant

# Rows of a block. Measured on one core, bicubic matrices for a factor of 1.5 to 4, both ways, images of 64 to 4000
# pixels a side: 16 and 32 are level, 8 is up to twice slower and 64 up to 1.7 times; the whole matrix at once is 9
# times slower at 1024 and 14 times at 4000, one gather for each tap 4 to 6 times.
ROWS = 32

Block = tuple[int, int, Tensor]  # the columns first ... last - 1, and the rows' entries there


class Banded:
    """A matrix R, m x n, and its transpose.

    Args:
        rows: The row of each entry, int64; entries at one place are added.
        columns: The column of each entry, likewise.
        values: The entries, float64.
        shape: (m, n).
    """

    def __init__(self, rows: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int]) -> None:
        self.shape = shape
        self._blocks = _split(rows, columns, values, shape[0])
        self._transposed = _split(columns, rows, values, shape[1])

    def blocks(self, transposed: bool, dtype: torch.dtype, device: torch.device) -> tuple[Block, ...]:
        """R, or R^T, in this precision and on this device, for :func:`down` and :func:`across`; cast once."""
        like = torch.empty(0, dtype=dtype, device=device)
        parts = self._transposed if transposed else self._blocks
        return tuple((first, last, values.like(like)) for first, last, values in parts)

    @property
    def entries(self) -> int:
        """Those of all blocks, with the 0 between."""
        return sum(values.value.numel() for _, _, values in self._blocks)

    def gram(self, transposed: bool = False) -> Tensor:
        """R R^T, or R^T R; float64."""
        parts = self._transposed if transposed else self._blocks
        side = self.shape[transposed]
        product = torch.zeros(side, side, dtype=torch.float64)
        for i, (first, last, values) in enumerate(parts):
            rows = slice(i * ROWS, i * ROWS + len(values.value))
            for j, (start, stop, others) in enumerate(parts[: i + 1]):
                low, high = max(first, start), min(last, stop)
                if low < high:
                    columns = slice(j * ROWS, j * ROWS + len(others.value))
                    part = values.value[:, low - first : high - first] @ others.value[:, low - start : high - start].T
                    product[rows, columns] = part
                    product[columns, rows] = part.T
        return product


def dense(matrix: Tensor) -> Banded:
    """A matrix as it is, float64 on the CPU."""
    rows, columns = matrix.nonzero(as_tuple=True)
    return Banded(rows, columns, matrix[rows, columns], (matrix.shape[0], matrix.shape[1]))


def gathered(columns: Tensor, weights: Tensor, width: int) -> Banded:
    """The matrix whose row i has ``weights[i]`` in ``columns[i]``; weights of 0 stand for no entry."""
    rows = torch.arange(len(columns))[:, None].expand_as(columns)
    kept = weights != 0
    return Banded(rows[kept], columns[kept], weights[kept], (len(columns), width))


def _split(rows: Tensor, columns: Tensor, values: Tensor, count: int) -> list[tuple[int, int, Constant]]:
    order = rows.argsort(stable=True)
    rows, columns, values = rows[order], columns[order], values[order]
    starts = torch.arange(0, count, ROWS)
    ends = torch.searchsorted(rows, torch.cat([starts, torch.tensor([count])])).tolist()
    blocks = []
    for start, low, high in zip(starts.tolist(), ends, ends[1:], strict=False):
        part = columns[low:high]
        first, last = (int(part.min()), int(part.max()) + 1) if high > low else (0, 0)
        block = torch.zeros(min(ROWS, count - start), last - first, dtype=torch.float64)
        block.index_put_((rows[low:high] - start, part - first), values[low:high], accumulate=True)
        blocks.append((first, last, Constant(block)))
    return blocks


def down(blocks: tuple[Block, ...], x: Tensor) -> Tensor:
    """R X for each plane X: along the columns of the image."""
    return torch.cat([values @ x[..., first:last, :] for first, last, values in blocks], dim=-2)


def across(blocks: tuple[Block, ...], x: Tensor) -> Tensor:
    """X R^T for each plane X: along the rows of the image."""
    return torch.cat([x[..., first:last] @ values.T for first, last, values in blocks], dim=-1)
