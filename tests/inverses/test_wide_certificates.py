"""kappa on data larger than the grid that is certified: never below its true value, whatever the psf and the border.

The short form runs with the quick tests; FASTIP_CERTIFICATES=300 runs so many random ones up to 128 pixels wide, and
the solves.
"""

from __future__ import annotations

import os

import pytest
import torch

import fastip
from cases import wide
from fastip import inverses, kernels, operators, priors
from fastip import psf as psfs
from fastip.contracts import Convolution
from fastip.errors import InvalidInput
from fastip.inverses import stencil
from fastip.inverses.certificate import weights

COUNT = int(os.environ.get("FASTIP_CERTIFICATES", "0"))
LEAST = 0.995  # of its true value: the margin below 1 is 2 %


def true_kappa(a: Convolution, taps: torch.Tensor, shape: tuple[int, int], beta: float, relaxation: float) -> float:
    own, gram = weights(beta, relaxation)
    g = wide.gram(a, shape)
    return wide.largest(
        lambda v: kernels.stencil(v[None, None], taps, a.boundary)[0, 0], lambda v: own * v + gram * g(v), shape
    )


@pytest.mark.parametrize("border", ["valid", "zero", "reflect", "circular"])
def test_the_other_means_are_the_operator(border: str) -> None:
    a = Convolution(torch.rand(5, 8, dtype=torch.float64), 2, border)
    v = torch.randn(9, 7, dtype=torch.float64)
    image = kernels.strided_conv_adjoint(v[None, None], a.psf, a.stride, border)
    torch.testing.assert_close(wide.gram(a, (9, 7))(v), kernels.strided_conv(image, a.psf, a.stride, border)[0, 0])


def test_kappa_is_never_claimed_too_low() -> None:
    """Random psfs, strides, borders, half-widths, betas and relaxations, on data larger than the certified grid."""
    false, done, seed, worst = [], 0, 0, (9.0, "")
    while done < (COUNT or 16):
        found = wide.case(seed, 128 if COUNT else 24)
        seed += 1
        a, p, beta = found.convolution, found.half_width, found.beta
        shape = wide.larger(found, stencil.settled_side(a, p))
        try:
            taps, certificate = stencil.scaled(a, shape, beta, found.relaxation, p)
        except InvalidInput:
            continue
        done += 1
        true = true_kappa(a, taps, shape, beta, found.relaxation)
        worst = min(worst, (certificate.kappa / true, f"{found.name}, {shape}"))
        if true >= 1 or certificate.kappa < LEAST * true:
            false.append(f"{found.name} on {shape}: claimed {certificate.kappa:.4f}, true {true:.4f}")
    if COUNT:
        print(f"\n{done} certified, {seed - done} refused, worst claimed / true {worst[0]:.4f}: {worst[1]}")
    assert not false, "\n".join(false)
