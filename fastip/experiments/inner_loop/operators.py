"""The operators as matrices: H, S, A = S H and A A^T on small grids, equal to fastip's.

Figure 6 and appendix B of Fan, Wei, Carin and Heller, 2017.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...contracts import Circulant
from ...errors import InvalidInput
from ...operators import Blur, Operator, psf
from .. import drawing
from ..markdown import shown, table
from ..record import Experiment, Numbers, Outcome, Report, silent

LINE = (0.2, 0.5, 0.3)  # the kernel of the 1-D example


def run(
    report: Report = silent, *, size: int = 16, kernel: str = "gaussian:9:1.6", stride: int = 4, length: int = 16
) -> Outcome:
    """Build H and S from their definitions and compare them with the operators, column by column.

    On size x size pixels; then ``length`` pixels in 1-D.
    """
    report("matrices", 0, 2)
    taps = psf.parse(kernel)
    h, s = convolution(taps, size), decimation(size, stride)
    a = s @ h
    op = Blur(taps, stride=stride)
    cogram, n = a @ a.T, size // stride
    report("matrices", 1, 2)
    plane = {
        "image": [size, size],
        "kernel": kernel,
        "stride": stride,
        "shapes": {"H": h.shape, "S": s.shape, "A": a.shape, "A Aᵀ": cogram.shape},
        "differences": {
            "H": difference(h, columns(Blur(taps), size)),
            "S": difference(s, columns(Blur(psf.delta(1), stride=stride), size)),
            "A": difference(a, columns(op, size)),
            "Aᵀ": difference(a.T, rows(op, n)),
            "A Aᵀ": difference(cogram, _from_spectrum(op, n)),
        },
        "H: departure from block circulant": departure(h, size),
        "A Aᵀ: departure from block circulant": departure(cogram, n),
        "A Aᵀ: eigenvalues": torch.linalg.eigvalsh(cogram)[[0, -1]],
    }
    line = _line(length, stride)
    numbers = {"plane": plane, "line": {key: value for key, value in line.items() if key != "matrices"}}
    return Outcome(numbers, _figure({"H": h, "S": s, "A = S H": a, "A Aᵀ": cogram}, line["matrices"], stride))


def _line(length: int, stride: int) -> dict[str, Any]:
    """The 1-D example: a circulant H with the rows (0.2, 0.5, 0.3), every stride-th kept.

    From stride 3 on no two rows of A overlap: ``A A^T = ||h||^2 I``.
    """
    if length % stride or length < len(LINE):
        raise InvalidInput(f"length is {length}; expected a multiple of the stride, {stride}, and at least {len(LINE)}")
    unit = torch.eye(length, dtype=torch.float64)
    h = torch.stack([tap * unit.roll(shift - 1, 1) for shift, tap in enumerate(LINE)]).sum(0)
    a = h[::stride]
    cogram = a @ a.T
    value = float(torch.tensor(LINE, dtype=torch.float64).square().sum())
    # true convolution: the row of H holds the taps from last to first
    taps = torch.tensor([LINE], dtype=torch.float64).flip(1)
    same = Blur(taps)(unit.reshape(length, 1, 1, length))[..., ::stride].reshape(length, -1).T
    return {
        "kernel": LINE,
        "length": length,
        "stride": stride,
        "squared norm of the kernel": value,
        "differences": {
            "A": difference(a, same),
            "A Aᵀ": difference(cogram, value * torch.eye(len(a), dtype=torch.float64)),
        },
        "matrices": {"H": h, "A = S H": a, "A Aᵀ": cogram},
    }


# ---- matrices from their definitions ---------------------------------------------------------------------------------


def convolution(taps: Tensor, size: int) -> Tensor:
    """H on size x size pixels in raster order: H[i, a] = psf[i + k // 2 - a], indices modulo the size."""
    matrix = torch.zeros(size, size, size, size, dtype=torch.float64)
    at = torch.arange(size)
    for t, row in enumerate(taps):
        for u, tap in enumerate(row):
            i, j = torch.meshgrid(at, at, indexing="ij")
            matrix[i, j, (i + len(taps) // 2 - t) % size, (j + len(row) // 2 - u) % size] += tap
    return matrix.reshape(size**2, size**2)


def decimation(size: int, stride: int) -> Tensor:
    """S: the rows of the identity that keep the pixels 0::stride on both axes."""
    return torch.eye(size**2, dtype=torch.float64).reshape(size, size, -1)[::stride, ::stride].reshape(-1, size**2)


def columns(op: Operator, size: int) -> Tensor:
    """The matrix of the operator: its answer to each image with one pixel set."""
    return op(torch.eye(size**2, dtype=torch.float64).reshape(-1, 1, size, size)).reshape(size**2, -1).T


def rows(op: Operator, size: int) -> Tensor:
    """The matrix of the adjoint."""
    return op.adjoint(torch.eye(size**2, dtype=torch.float64).reshape(-1, 1, size, size)).reshape(size**2, -1).T


def difference(a: Tensor, b: Tensor) -> float:
    """The largest difference of two matrices of one shape."""
    return float((a - b).abs().max())


def departure(matrix: Tensor, size: int) -> float:
    """How far the matrix is from block circulant with circulant blocks.

    The largest change when rows and columns move by one pixel, along either axis.
    """
    grid = matrix.reshape(size, size, size, size)
    return max(float((grid.roll((1, 1), (axis, axis + 2)) - grid).abs().max()) for axis in (0, 1))


def _from_spectrum(op: Blur, size: int) -> Tensor:
    """A A^T as the operator states it: F^-1 spectrum F."""
    structure = op.cogram((1, 1, size, size))
    unit = torch.eye(size**2, dtype=torch.float64).reshape(-1, size, size)
    spectrum = (
        structure.spectrum
        if isinstance(structure, Circulant)
        else getattr(structure, "value", float("nan")) * torch.ones(size, size // 2 + 1, dtype=torch.float64)
    )
    return torch.fft.irfft2(spectrum * torch.fft.rfft2(unit), s=(size, size)).reshape(size**2, -1).T


# ---- showing ---------------------------------------------------------------------------------------------------------


def _figure(plane: dict[str, Tensor], line: dict[str, Tensor], stride: int) -> Any:
    figure = drawing.sheet(13.5, 6.6)
    grid = figure.add_gridspec(4, 3, width_ratios=[1, 1.6, 1])
    kept = torch.eye(line["H"].shape[0], dtype=torch.float64)[::stride]
    for top, suffix, matrices in ((0, "", plane), (2, " in 1-D", {"S": kept} | line)):
        places = {
            "H": grid[top : top + 2, 0],
            "S": grid[top, 1],
            "A = S H": grid[top + 1, 1],
            "A Aᵀ": grid[top : top + 2, 2],
        }
        for name, place in places.items():
            drawing.matrix(
                figure.add_subplot(place),
                matrices[name],
                name + suffix,
                note=" × ".join(map(str, matrices[name].shape)),
            )
    return figure


def page(numbers: Numbers) -> str:
    """The shapes, the differences to the operators, and the 1-D example."""
    plane, line = numbers["plane"], numbers["line"]
    (height, width), (low, high) = plane["image"], plane["A Aᵀ: eigenvalues"]
    shape = {**plane["shapes"], "Aᵀ": plane["shapes"]["A"][::-1]}
    differences = table(
        ["matrix", "shape", "largest difference to the operator"],
        [[name, " × ".join(map(str, shape[name])), value] for name, value in plane["differences"].items()],
    )
    own, every = line["differences"], plane["stride"]
    norm, apart = shown(line["squared norm of the kernel"]), shown(own["A Aᵀ"])
    if own["A Aᵀ"] < 1e-12:  # rounding in float64; rows that overlap differ by a product of taps
        result = (
            f"no two rows of A overlap, so A Aᵀ is ‖h‖² I = {norm} I (largest difference {apart}): "
            "its inverse with β is one division."
        )
        result += "\nThe same holds in two dimensions whenever the kernel is no larger than the stride."
    else:
        result = f"rows of A overlap: A Aᵀ differs from ‖h‖² I = {norm} I by {apart}."
    moved = [shown(plane[f"{name}: departure from block circulant"]) for name in ("H", "A Aᵀ")]
    return f"""
An image of {height} × {width} pixels as a vector of {height * width}, the kernel `{plane["kernel"]}`,
every {every}th pixel kept on both axes. H convolves with circular boundaries and S decimates;
both are built entry by entry from their definitions, and A = S H. Each is compared with the operator:
`Blur(psf)`, `Blur(psf.delta(1), stride={every})` and `Blur(psf, stride={every})`,
applied to every image with one pixel set; Aᵀ with `op.adjoint`; A Aᵀ with the spectrum that `op.cogram` states.

{differences}

H is block circulant with circulant blocks: moving rows and columns by one pixel changes it by {moved[0]}.
So is A Aᵀ on the grid of the data (by {moved[1]}): one FFT there inverts β I + A Aᵀ.
Its eigenvalues lie from {shown(low)} to {shown(high)}.

**In one dimension** with {line["length"]} pixels, H circulant with ({", ".join(map(str, line["kernel"]))}) in each row
and every {line["stride"]}th row kept, {result}
A differs from the operator by {shown(own["A"])}.
"""


EXPERIMENT = Experiment(
    "H, S, A = S H and A Aᵀ as matrices, equal to the operators, and the one-dimensional example", run, page
)
