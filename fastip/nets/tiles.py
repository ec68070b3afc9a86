"""Large images in overlapping tiles: cut, work on each, and blend by weights that sum to 1 at every pixel."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..arrays import check_count, check_image
from ..errors import InvalidInput, StrictKeywords
from ..placement import Constant


@dataclass(frozen=True)
class Box:
    """A tile: rows top ... top + height - 1, columns left ... left + width - 1.

    Attributes:
        top: First row.
        left: First column.
        height: Rows.
        width: Columns.
    """

    top: int
    left: int
    height: int
    width: int

    def of(self, x: Tensor, shrink: int = 1) -> Tensor:
        """The tile of ``x`` (... h w), a view; with ``shrink`` s that of a grid that keeps the pixels 0::s."""
        rows = slice(self.top // shrink, -(-(self.top + self.height) // shrink))
        return x[..., rows, self.left // shrink : -(-(self.left + self.width) // shrink)]


class Tiles(StrictKeywords):
    """Overlapping tiles that cover an image, with weights that sum to 1 at every pixel.

    Each begins at a multiple of ``multiple``. The last of a row or column is moved inwards to end with the image;
    where the image's size is no multiple, it is smaller than the others by less than one multiple, and so is an only
    tile. Weights are products of sin^2 ramps along the shared part, so they sum to 1; they are 0 on the outermost
    ``margin`` pixels of a side where the image goes on: with a margin of the radius of what is applied, tiled equals
    whole.

    Args:
        height: Rows of the image.
        width: Columns of the image.
        tile: Side of a tile, a multiple of ``multiple``: larger ones need more memory, smaller ones compute more
            pixels twice.
        overlap: Rows or columns that neighbours share at least, 2 margin <= overlap < tile.
        margin: Outermost pixels of a tile that count for nothing where the image goes on.
        multiple: What places and sizes keep to: a stride, or the factor of a pixel shuffle.

    Raises:
        InvalidInput: Unless 2 margin <= overlap < tile, the tile is a multiple of ``multiple`` and tiles can advance.
    """

    def __init__(
        self, height: int, width: int, tile: int = 256, *, overlap: int = 32, margin: int = 0, multiple: int = 1
    ) -> None:
        self.height, self.width = check_count(height, "height", low=1), check_count(width, "width", low=1)
        check_count(tile, "tile", low=1), check_count(overlap, "overlap", low=0), check_count(margin, "margin", low=0)
        if not 2 * margin <= overlap < tile:
            raise InvalidInput(
                f"tile {tile}, overlap {overlap}, margin {margin}; expected 2 * margin <= overlap < tile"
            )
        self.tile, self.overlap, self.margin = tile, overlap, margin
        self.multiple = check_count(multiple, "multiple", low=1)
        if tile % multiple:
            raise InvalidInput(f"tile is {tile}; expected a multiple of {multiple}: choose another tile")
        if tile < max(height, width) and tile - overlap < multiple:
            raise InvalidInput(
                f"tile {tile} less overlap {overlap} is below the multiple {multiple}, so tiles could not advance; "
                "choose a smaller overlap"
            )
        self._rows, self._columns = self._starts(height), self._starts(width)
        self._row_weights = list(map(Constant, self._weights(self._rows, height)))
        self._column_weights = list(map(Constant, self._weights(self._columns, width)))

    def _starts(self, size: int) -> list[int]:
        if size <= self.tile:
            return [0]
        step = (self.tile - self.overlap) // self.multiple * self.multiple
        last = -(-(size - self.tile) // self.multiple) * self.multiple
        return [min(k * step, last) for k in range(math.ceil(last / step) + 1)]

    def _weights(self, starts: list[int], size: int) -> list[Tensor]:
        """One row for each tile along an axis, float64.

        sin^2 + cos^2 = 1 where two tiles share, and the sum is divided out where more do.
        """
        weights = [torch.ones(min(self.tile, size - start), dtype=torch.float64) for start in starts]
        for k, (before, after) in enumerate(itertools.pairwise(starts)):
            ramp = self._ramp(before + self.tile - after)
            weights[k + 1][: len(ramp)] *= ramp
            weights[k][self.tile - len(ramp) :] *= ramp.flip(0)
        total = torch.zeros(size, dtype=torch.float64)
        for start, row in zip(starts, weights, strict=True):
            total[start : start + len(row)] += row
        return [row / total[start : start + len(row)] for start, row in zip(starts, weights, strict=True)]

    def _ramp(self, shared: int) -> Tensor:
        """From 0 to 1 along the shared pixels: sin^2 between the two margins."""
        at = (torch.arange(shared, dtype=torch.float64) + 0.5 - self.margin) / (shared - 2 * self.margin or 1)
        if shared == 2 * self.margin:
            at = (torch.arange(shared) >= self.margin).double()
        return torch.sin(at.clamp(0, 1) * (math.pi / 2)).square()

    def __len__(self) -> int:
        return len(self._rows) * len(self._columns)

    def __iter__(self) -> Iterator[Box]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> Box:
        row, column = self._place(index)
        height, width = len(self._row_weights[row].value), len(self._column_weights[column].value)
        return Box(self._rows[row], self._columns[column], height, width)

    def _place(self, index: int) -> tuple[int, int]:
        if not 0 <= index < len(self):
            raise IndexError(f"tile {index} of {len(self)}")
        return divmod(index, len(self._columns))

    def weight(self, index: int) -> Tensor:
        """The weights of a tile, float64, of its size."""
        row, column = self._place(index)
        return self._row_weights[row].value[:, None] * self._column_weights[column].value

    def map(self, function: Callable[..., Tensor], x: Tensor, *others: Tensor, batch: int = 8) -> Tensor:
        """The sum over tiles k of weight_k function(tile_k of x, tile_k of each of ``others``).

        At any time one batch of tiles is held besides the result.

        Args:
            function: What is applied. It gets up to ``batch`` tiles of each image along the batch axis, ordered tile
                by tile, all of one size, and keeps that size; it may change the channels, and must leave what it is
                given as it is.
            x: The image, b c h w.
            *others: Images of the size of x or one s times smaller, rounded up, s dividing ``multiple`` (the data of
                a strided operator).
            batch: Tiles at a time: more take more memory, fewer make more calls.

        Returns:
            The blend, b c' h w.

        Raises:
            InvalidInput: Where sizes disagree.
        """
        given = (x, *others)
        shrinks = [self._shrink(t) for t in given]
        result: Tensor | None = None
        for some in self._batches(check_count(batch, "batch", low=1)):
            cuts = [[self[k].of(t, s) for k in some] for t, s in zip(given, shrinks, strict=True)]
            pieces = function(*(cut[0] if len(cut) == 1 else torch.cat(cut) for cut in cuts))
            self._check(pieces, len(some) * len(x), self[some[0]])
            if result is None:
                result = pieces.new_zeros(len(x), pieces.shape[1], self.height, self.width)
            for k, piece in zip(some, pieces.split(len(x)), strict=True):
                row, column = self._place(k)
                down, across = self._row_weights[row].like(piece), self._column_weights[column].like(piece)
                self[k].of(result).add_(piece * down[:, None] * across)
            del pieces, piece, cuts  # before the next batch is made
        assert result is not None
        return result

    def _batches(self, batch: int) -> Iterator[list[int]]:
        """The numbers of the tiles in their order, up to ``batch`` of one size at a time."""
        for _, same in itertools.groupby(range(len(self)), key=lambda k: (self[k].height, self[k].width)):
            numbers = list(same)
            yield from (numbers[first : first + batch] for first in range(0, len(numbers), batch))

    def _shrink(self, t: Tensor) -> int:
        check_image(t, "an image to tile")
        for s in range(1, self.multiple + 1):
            if self.multiple % s == 0 and tuple(t.shape[2:]) == (-(-self.height // s), -(-self.width // s)):
                return s
        whole = f"{self.height} x {self.width}"
        raise InvalidInput(
            f"an image to tile is {t.shape[2]} x {t.shape[3]}; expected {whole}, "
            f"or s times smaller with s dividing multiple={self.multiple}"
        )

    def _check(self, pieces: Tensor, count: int, box: Box) -> None:
        if pieces.ndim != 4 or (pieces.shape[0], *pieces.shape[2:]) != (count, box.height, box.width):
            raise InvalidInput(
                f"the function returned shape {tuple(pieces.shape)}; "
                f"expected {count} images of {box.height} x {box.width}"
            )
