"""What the compiled kernels refuse before they touch memory, where no operator of torch.ops.fastip stands in front."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from fastip.contracts import Convolution, Pointwise, StencilStep
from fastip.errors import InvalidInput
from fastip.kernels import shapes
from fastip.kernels.family import Implementations
from fastip.stopping import StopRule

native = Implementations("native")

IMAGE, FIELD = torch.zeros(2, 3, 4, 5), torch.zeros(2, 2, 3, 4, 5)
PLANES, GAIN = torch.zeros(2, 4, 5, dtype=torch.complex64), torch.zeros(4, 5, 2)
PSF, DATA = torch.ones(3, 3, dtype=torch.float64), torch.zeros(2, 3, 2, 3)

spectral: dict[str, tuple[Any, ...]] = {
    "contiguous planes h w": (PLANES, PLANES[:1], PLANES, GAIN),
    "contiguous planes h w three times": (PLANES, PLANES.mT.contiguous().mT, PLANES, GAIN),
    "contiguous planes h w three times, and h w 2": (PLANES, PLANES, PLANES, GAIN[..., 0]),
    "contiguous planes": (PLANES.conj(), PLANES, PLANES, GAIN),
    "the same complex one": (PLANES, PLANES, PLANES.to(torch.complex128), GAIN),
    "and its real one": (PLANES, PLANES, PLANES, GAIN.double()),
    "the same complex one three times": (PLANES.real.clone(), PLANES.real.clone(), PLANES.real.clone(), GAIN),
    "are on different devices": (PLANES, PLANES, PLANES.to("meta"), GAIN),
}
fields: dict[str, tuple[Any, ...]] = {
    "expected 4 dimensions": (IMAGE[0], FIELD, FIELD),
    "expected contiguous": (IMAGE, FIELD[:1], FIELD[:1]),
    "expected contiguous (2, 2, 3, 4, 5)": (IMAGE, FIELD.mT.contiguous().mT, FIELD),
    "expected one: convert": (IMAGE, FIELD, FIELD.double()),
    "expected a real floating type": (IMAGE.long(), FIELD.long(), FIELD.long()),
    "are on different devices": (IMAGE, FIELD, FIELD.to("meta")),
}
solves: dict[str, tuple[Any, ...]] = {
    "the shape of A^T y": (IMAGE[..., :3], DATA[..., :2], DATA[..., :2], PSF),
    "q has shape (2, 3, 3, 3)": (torch.zeros(2, 3, 4, 6), torch.zeros(2, 3, 3, 3), DATA, PSF),
    "expected one: convert": (torch.zeros(2, 3, 4, 6).double(), DATA, DATA, PSF),
    "an odd square": (torch.zeros(2, 3, 4, 6), DATA, DATA, torch.ones(2, 2)),
}


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("message", spectral)
def test_spectral_step(message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        native.spectral_step_(*spectral[message])


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("message", fields)
def test_tv_prox(message: str) -> None:
    with pytest.raises(InvalidInput) as error:
        native.tv_prox(*fields[message], 0.5, 0.1, 0.8, 3, True, Pointwise())
    assert message in str(error.value)


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("message", solves)
def test_admm(message: str) -> None:
    x, q, y, taps = solves[message]
    step = StencilStep(Convolution(PSF, 2, "circular"), taps, 0.1)
    with pytest.raises(InvalidInput) as error:
        native.solve(step, Pointwise(), x, q, y, StopRule(0.0, 3), 1.0)
    assert message in str(error.value)


@pytest.mark.usefixtures("compiled")
def test_woodbury_of_different_precisions() -> None:
    """The raw kernel reads all images as one dtype."""
    with pytest.raises(InvalidInput, match="q is torch.float64"):
        native.woodbury(torch.zeros(2, 3, 4, 6), DATA.double(), DATA, PSF, 2, "circular", PSF, 0.1)


def test_what_fits_passes() -> None:
    shapes.check_planes(PLANES, PLANES.clone(), PLANES.clone(), GAIN)
    shapes.check_fields(IMAGE, FIELD, FIELD.clone())
    shapes.check_solve(torch.zeros(2, 3, 4, 6), DATA, DATA, PSF, 2, "circular", PSF)
