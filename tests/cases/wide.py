"""Wide certificates: random blurs up to 128 pixels wide, and largest eigenvalues on data of any size by other means.

A A^T is applied by FFTs of the image (or data) grid, and the eigenvalue found by plain Lanczos from a smooth start.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fastip.contracts import Convolution
from fastip.kernels import reference

KINDS = ("box", "bell", "random", "sparse", "line", "disk", "signed", "two points")
BORDERS = ("valid", "zero", "reflect", "circular")
Apply = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Case:
    """A blur, a stencil's half-width, and data that are larger than the grid on which that is certified."""

    name: str
    convolution: Convolution
    half_width: int
    beta: float
    relaxation: float
    random: np.random.Generator


def psf(kind: str, shape: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    y, x = (np.arange(n) - (n - 1) / 2 for n in shape)
    y, x = y[:, None] / shape[0], x / shape[1]
    h = np.ones(shape)
    if kind == "bell":
        h = np.exp(-(y**2 + x**2 + random.uniform(-0.5, 0.5) * x * y) * random.uniform(2, 30))
    elif kind == "random":
        h = random.random(shape)
    elif kind == "sparse":
        step = int(random.integers(2, 6))
        h = np.zeros(shape)
        h[::step, ::step] = 1 + random.random(h[::step, ::step].shape) * random.integers(0, 2)
    elif kind == "line":
        angle = random.uniform(0, np.pi)
        h = 1e-9 + (np.abs(x * np.sin(angle) - y * np.cos(angle)) < 0.6 / max(shape))
    elif kind == "disk":
        h = 1e-9 + (y**2 + x**2 < 0.25)
    elif kind == "signed":
        h = random.standard_normal(shape) * np.exp(-(y**2 + x**2) * random.uniform(0, 10)) + random.uniform(0, 1)
    elif kind == "two points":
        h = np.zeros(shape)
        h[0, 0], h[-1, -1] = 1, random.uniform(0.3, 1)
    return h / max(abs(h.sum()), 1e-2 * np.abs(h).sum())


def case(seed: int, widest: int) -> Case:
    """Widths from 3 to ``widest``, square or not, on every border, with strides from 1 to 5."""
    random = np.random.default_rng([seed, 77])
    k = round(3 * math.exp(random.uniform(0, math.log(widest / 3))))
    other = k if random.random() < 0.6 else max(1, round(k * random.uniform(0.3, 1)))
    shape = (k, other) if random.random() < 0.5 else (other, k)
    kind, border = str(random.choice(KINDS)), str(random.choice(BORDERS, p=[0.32, 0.32, 0.32, 0.04]))
    stride, half_width = int(random.integers(1, 6)), int(random.integers(0, 5))
    beta, relaxation = 10 ** random.uniform(-4, 0), float(random.choice([1.0, 1.0, 1.0, 0.7, 1.6]))
    h = torch.from_numpy(psf(kind, shape, random))
    name = f"{seed}: {kind} {shape}, stride {stride}, {border}, half-width {half_width}, beta {beta:.1e}, {relaxation}"
    return Case(name, Convolution(h, stride, border), half_width, beta, relaxation, random)


def larger(found: Case, side: int) -> tuple[int, int]:
    """A data shape of which at least one axis is larger than ``side``."""
    long = round(side * found.random.uniform(1.2, 2.5))
    long = max(min(long, 900 // found.convolution.stride), round(1.2 * side))
    short = long if found.random.random() < 0.7 else int(found.random.integers(max(4, side // 6), long))
    return (long, short) if found.random.random() < 0.5 else (short, long)


def gram(a: Convolution, shape: tuple[int, int]) -> Apply:
    """A A^T on data of ``shape`` (h w)."""
    (kh, kw), s = a.psf.shape, a.stride
    valid = a.boundary == "valid"
    height, width = ((n - 1) * s + k if valid else n * s for n, k in zip(shape, (kh, kw), strict=True))
    tall, wide = (height, width) if valid else (height + kh - 1, width + kw - 1)
    size = [-(-n // 32) * 32 for n in (tall, wide)]
    symbol = torch.fft.rfft2(a.psf, s=size)

    def apply(v: Tensor) -> Tensor:
        spread = torch.zeros(size, dtype=torch.float64)
        spread[kh - 1 : tall : s, kw - 1 : wide : s] = v
        e = torch.fft.irfft2(torch.fft.rfft2(spread) * symbol.conj(), s=size)[:tall, :wide]
        for axis, k, n in ((0, kh, height), (1, kw, width)):
            e = reference.extend(reference.fold(e, axis, k, n, a.boundary), axis, k, a.boundary)
        return torch.fft.irfft2(torch.fft.rfft2(e, s=size) * symbol, s=size)[kh - 1 : tall : s, kw - 1 : wide : s]

    return apply


def largest(c: Apply, m: Apply, shape: tuple[int, int], steps: int = 200, tolerance: float = 1e-6) -> float:
    """The largest eigenvalue of c(m(.)), from below."""
    waves = (torch.sin(torch.pi * (torch.arange(n, dtype=torch.float64) + 0.5) / n) for n in shape)
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    v = torch.outer(*waves) + 0.2 * noise
    image = m(v)
    size = (v * image).sum().sqrt()
    v, image, before = v / size, image / size, torch.zeros_like(v)
    diagonal, off, top, still = [], [], 0.0, 0
    for k in range(min(steps, v.numel())):
        w = c(image)
        diagonal.append(float((w * image).sum()))
        w = w - diagonal[-1] * v - (off[-1] if off else 0.0) * before
        image = m(w)
        square = float((w * image).sum())
        last, top = top, float(np.linalg.eigvalsh(np.diag(diagonal) + np.diag(off, 1) + np.diag(off, -1))[-1])
        still = still + 1 if abs(top - last) <= tolerance * top else 0
        if square <= 1e-20 * top**2 or (k >= 20 and still >= 3):
            break
        off.append(math.sqrt(square))
        before, v, image = v, w / off[-1], image / off[-1]
    return top
