"""One level of an orthogonal wavelet transform along one axis in PyTorch, periodic, on any device.

It is what ``pywt.dwt`` and ``pywt.idwt`` do with "periodization".
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..placement import Constant


class FilterBank:
    """An orthogonal filter bank on an axis that repeats without end.

    The coefficients are, with indices modulo the size, and an odd last sample kept as approximation::

        a[k] = sum_j low[j] x[2k + L/2 - j],      d[k] = sum_j high[j] x[2k + L/2 - j]

    Products and sums are in the precision of x, in a fixed order: as matrix products of windows, because
    convolutions on a GPU round float32 to ten bits, and scattered sums come in any order.

    Args:
        low: The low-pass analysis filter, of even length L.
        high: The high-pass one, of the same length.
    """

    def __init__(self, low: Sequence[float], high: Sequence[float]) -> None:
        filters = torch.tensor([list(low), list(high)], dtype=torch.float64)
        self._length = length = filters.shape[1]
        self._analysis = Constant(filters.flip(1).T.contiguous())
        # x[2m + p] = sum_j low[j] a[m + i] + high[j] d[m + i] with j = 2i + L/2 - p: i runs over one window for both
        # parities p.
        self._first, last = -(length // 4), (length // 2) // 2
        steps = range(self._first, last + 1)
        synthesis = torch.zeros(2, len(steps), 2, dtype=torch.float64)
        for row, i in enumerate(steps):
            for parity in range(2):
                j = 2 * i + length // 2 - parity
                if 0 <= j < length:
                    synthesis[:, row, parity] = filters[:, j]
        self._window = len(steps)
        self._synthesis = Constant(synthesis.flatten(0, 1))

    def split(self, x: Tensor, axis: int) -> Tensor:
        """Approximation first, details after it."""
        x = x.movedim(axis, -1)
        even = x.shape[-1] // 2 * 2
        before = self._length // 2 - 1
        windows = _periodic(x[..., :even], before, even + self._length - 2).unfold(-1, self._length, 2)
        approximation, detail = (windows @ self._analysis.like(x)).unbind(-1)
        return torch.cat([approximation, x[..., even:], detail], dim=-1).movedim(-1, axis)

    def join(self, x: Tensor, axis: int) -> Tensor:
        """The inverse of :meth:`split`, which is its transpose."""
        x = x.movedim(axis, -1)
        half = x.shape[-1] // 2
        approximation, odd, detail = x.split([half, x.shape[-1] - 2 * half, half], dim=-1)
        length = half + self._window - 1
        windows = [
            _periodic(part, -self._first, length).unfold(-1, self._window, 1) for part in (approximation, detail)
        ]
        whole = (torch.cat(windows, dim=-1) @ self._synthesis.like(x)).flatten(-2)
        return torch.cat([whole, odd], dim=-1).movedim(-1, axis)


def _periodic(x: Tensor, before: int, length: int) -> Tensor:
    """``length`` samples of x repeated without end along the last axis, from the one at -before on."""
    return x.index_select(-1, (torch.arange(length, device=x.device) - before) % x.shape[-1])
