"""Photographs in one small file, and patches of them drawn on a device.

A pack holds photographs as JPEG files (4:4:4) of one quality, the best with which they fit, the validation pictures
without loss, and the settings of the training that they are for. On the device all pixels lie in one buffer of bytes,
and a patch is index arithmetic: nothing comes from the host during a step.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fastip import checkpoint
from fastip.data.reduced import SMALLEST, reduced
from fastip.errors import InvalidInput

KIND = "photographs"
MOST = 25_000_000  # bytes of a pack
ROOM = 50_000  # of them for names and settings
QUALITIES = range(30, 97)
FURTHER = (1.0, 1.5, 2.0)  # reductions of what is packed, itself reduced by 2: the training has 2, 3 and 4 too


@dataclass(frozen=True)
class Packed:
    """What was written: photographs, their megapixels, the quality of the JPEG files, validation pictures, bytes."""

    photographs: int
    megapixels: float
    quality: int
    validation: int
    bytes: int


@dataclass(frozen=True)
class Pack:
    """What was read: h w 3 uint8 each, 1 3 h w in [0, 1] each, and the settings of the training."""

    photographs: list[np.ndarray]
    validation: list[Tensor]
    settings: dict[str, Any]


def pack(
    path: Path,
    photographs: Sequence[np.ndarray],
    validation: Sequence[Tensor],
    settings: Mapping[str, Any],
    most: int = MOST,
) -> Packed:
    """Write a pack of at most ``most`` bytes, whole or not at all. Raises InvalidInput where that is too little.

    photographs: h w 3 uint8. The validation pictures are left out, all of them, where they take more than a quarter:
    a score on some of them could not be compared.
    """
    kept = [_png(x) for x in validation]
    if sum(map(len, kept)) > most // 4:
        kept = []
    room = most - ROOM - sum(map(len, kept))
    quality, files = _best(photographs, room)
    named = [("photograph", file) for file in files] + [("validation", file) for file in kept]
    tensors = {f"{name}.{number:04d}": _tensor(file) for number, (name, file) in enumerate(named)}
    checkpoint.write(checkpoint.check_path(path), KIND, tensors, {"settings": settings, "quality": quality})
    megapixels = sum(p.shape[0] * p.shape[1] for p in photographs) / 1e6
    return Packed(len(files), megapixels, quality, len(kept), path.stat().st_size)


def _best(photographs: Sequence[np.ndarray], room: int) -> tuple[int, list[bytes]]:
    """The largest quality with which the files take at most ``room`` bytes together, and the files."""
    low, high, best = QUALITIES[0], QUALITIES[-1], None
    while low <= high:
        quality = (low + high) // 2
        files = _threaded(lambda picture, q=quality: _jpeg(picture, q), photographs)
        if sum(map(len, files)) <= room:
            low, best = quality + 1, (quality, files)
        else:
            high = quality - 1
    if best is None:
        need = f"{len(photographs)} photographs take {sum(map(len, files)) / 1e6:.1f} MB at quality {QUALITIES[0]}"
        raise InvalidInput(f"{need}, more than the {room / 1e6:.1f} MB that there are for them; allow a larger file")
    return best


def unpack(path: Path) -> Pack:
    """A pack, decoded. Raises InvalidInput for a file that is none or is damaged."""
    record, tensors = checkpoint.read(path, KIND)
    files = {name: tensor.numpy().tobytes() for name, tensor in sorted(tensors.items())}
    photographs = _threaded(_decoded, [file for name, file in files.items() if name.startswith("photograph.")])
    validation = [_decoded(file) for name, file in files.items() if name.startswith("validation.")]
    pictures = [torch.from_numpy(p.copy()).permute(2, 0, 1)[None].float().div_(255) for p in validation]
    return Pack(photographs, pictures, dict(record["settings"]))


def scales(photographs: Sequence[np.ndarray], smallest: int = SMALLEST) -> list[np.ndarray]:
    """The photographs and what they are when reduced by each of FURTHER, where ``smallest`` pixels are left."""
    pairs = [(p, r) for p in photographs for r in FURTHER if min(p.shape[:2]) / r >= smallest]
    return _threaded(lambda pair: pair[0] if pair[1] == 1 else reduced(*pair), pairs)


def _threaded(work: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    """``work`` of each item; Pillow lets other threads run."""
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return list(threads.map(work, items))


def _jpeg(picture: np.ndarray, quality: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.asarray(picture)).save(file, "JPEG", quality=quality, subsampling=0, optimize=True)
    return file.getvalue()


def _png(x: Tensor) -> bytes:
    file = io.BytesIO()
    picture = x[0].mul(255).round().to(torch.uint8).permute(1, 2, 0).contiguous()
    Image.fromarray(picture.numpy()).save(file, "PNG", optimize=True)
    return file.getvalue()


def _decoded(file: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(file)) as image:
        return np.asarray(image.convert("RGB"))


def _tensor(file: bytes) -> Tensor:
    return torch.frombuffer(bytearray(file), dtype=torch.uint8)


# ---- on the device ---------------------------------------------------------------------------------------------------


class Photographs:
    """All photographs h w 3 uint8 in one buffer on a device."""

    def __init__(self, photographs: Sequence[np.ndarray], device: torch.device) -> None:
        self.sizes = [picture.shape[:2] for picture in photographs]
        self.flat = torch.from_numpy(np.concatenate([picture.reshape(-1) for picture in photographs])).to(device)

    def patches(self, size: int) -> Patches:
        """Patches 3 size size of those that are large enough. Raises InvalidInput where none is."""
        begin = np.cumsum([0, *(3 * h * w for h, w in self.sizes)])
        found = [(int(start), h, w) for start, (h, w) in zip(begin, self.sizes, strict=False) if min(h, w) >= size]
        if not found:
            raise InvalidInput(f"no photograph of the pack holds a patch of {size} x {size} pixels")
        starts, heights, widths = torch.tensor(found, device=self.flat.device).unbind(1)
        shares = (heights * widths).double().sqrt().cumsum(0)
        return Patches(self.flat, size, starts, heights, widths, shares / shares[-1])


@dataclass(frozen=True)
class Patches:
    """Patches as ``data.ReducedPhotographs`` has them, from the device's own random numbers: nothing waits for it.

    A photograph in proportion to the root of its area; half of the patches anywhere, half at that one of two places
    which has more detail; one of the eight symmetries of the square. starts: of the photographs in ``flat``.
    """

    flat: Tensor
    size: int
    starts: Tensor
    heights: Tensor
    widths: Tensor
    upto: Tensor

    def __call__(self, batch: int) -> Tensor:
        """b 3 size size, float32 in [0, 1]."""
        device = self.flat.device
        numbers = torch.rand(5, batch, dtype=torch.float64, device=device)
        which = torch.searchsorted(self.upto, numbers[0].contiguous(), right=True).clamp_max(len(self.upto) - 1)
        rows = (numbers[1:3] * (self.heights[which] - self.size + 1)).long()
        columns = (numbers[3:5] * (self.widths[which] - self.size + 1)).long()
        turns = torch.randint(0, 16, (batch,), device=device)
        first = (turns & 8 != 0) | (self.detail(which, rows[0], columns[0]) >= self.detail(which, rows[1], columns[1]))
        row, column = torch.where(first, rows[0], rows[1]), torch.where(first, columns[0], columns[1])
        return self.taken(which, row, column, turns)

    def taken(self, which: Tensor, row: Tensor, column: Tensor, turns: Tensor) -> Tensor:
        """The patches at these corners, turned: 1 turns rows round, then 2 columns, then 4 exchanges them."""
        along = torch.arange(self.size, device=self.flat.device)
        i, j = along[None, :, None], along[None, None, :]
        one, two, exchanged = (turns[:, None, None] & bit != 0 for bit in (1, 2, 4))
        a, b = torch.where(exchanged, j, i), torch.where(exchanged, i, j)
        a, b = torch.where(one, self.size - 1 - a, a), torch.where(two, self.size - 1 - b, b)
        pixels = self._at(which, row[:, None, None] + a, column[:, None, None] + b)
        channels = torch.arange(3, device=self.flat.device)[None, :, None, None]
        return self.flat[pixels[:, None] + channels].float().div_(255)

    def detail(self, which: Tensor, row: Tensor, column: Tensor) -> Tensor:
        """The sum of absolute differences between neighbours in the green of every second pixel."""
        along = torch.arange(0, self.size, 2, device=self.flat.device)
        rows, columns = row[:, None, None] + along[None, :, None], column[:, None, None] + along[None, None, :]
        green = self.flat[self._at(which, rows, columns) + 1].int()
        return green.diff(dim=1).abs().sum(dim=(1, 2)) + green.diff(dim=2).abs().sum(dim=(1, 2))

    def _at(self, which: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """Where the pixels begin in the buffer."""
        starts, widths = self.starts[which][:, None, None], self.widths[which][:, None, None]
        return starts + 3 * (rows * widths + columns)


def told(path: Path, packed: Packed) -> str:
    """A line about a pack."""
    what = f"{packed.photographs} photographs, {packed.megapixels:.1f} megapixels, JPEG quality {packed.quality}"
    scored = f"{packed.validation} validation pictures" if packed.validation else "NO validation pictures, so no score"
    return f"{path}: {what}; {scored}; {packed.bytes:,} bytes"
