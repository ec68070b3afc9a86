"""A picture with its true border: the data step by a second split, total variation, float32, against its own parts.

436 x 511 x 3 data of a 65 x 65 psf, the image 500 x 575 on a grid of 500 x 576 pixels. Beside it the circular problem
of the same data (exact inverse by FFT, whose size is that of the picture), and the least that an iteration takes: four
real transforms of the grid by torch.fft and the prox, by themselves. 30 iterations, set-up included, divided by 30;
the transforms and the prox alone as often.

An iteration moves about 84 bytes a pixel of the grid besides transforms and prox in float32: 12 before them (reads x
and p, writes w), 16 between (W and S in place), 37 behind (X, H X, x, p, s, constants; p', s' and r) and 20 for the
prox's argument.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

import fastip
from fastip.operators.base.fourier import fast_length
from measure import ITERATIONS, difference, per_iteration, rounds

DATA, SIDE = (1, 3, 436, 511), 65
PROGRAMS = ("fastip", "circular, exact inverse by FFT", "four transforms and the prox")


@pytest.mark.benchmark(timer=per_iteration)
@pytest.mark.parametrize("program", PROGRAMS)
def test_split(benchmark: Any, program: str) -> None:
    benchmark.group = "valid deblurring by a second split"
    y = torch.rand(DATA, generator=torch.Generator().manual_seed(0))
    kernel, prior = fastip.psf.disk(SIDE, 28), fastip.priors.TV(1e-2)
    valid, circular = (fastip.operators.Blur(kernel, boundary=boundary) for boundary in ("valid", "circular"))
    shape = valid.input_shape(DATA)
    x = torch.rand(*shape[:2], *map(fast_length, shape[2:]), generator=torch.Generator().manual_seed(1))
    spectrum, prox = torch.fft.rfft2(x), prior.bind(y, valid)
    image = x[..., : shape[2], : shape[3]].contiguous()

    def solve(op: Any, inverse: Any, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        return fastip.admm(y.to(dtype), op, prior, inverse=inverse, iterations=ITERATIONS, tolerance=0).x

    def parts() -> None:
        for _ in range(ITERATIONS):
            for _ in range(2):
                torch.fft.rfft2(x)
                torch.fft.irfft2(spectrum, s=x.shape[-2:])
            prox(image, 1.0)

    run: Any = {
        PROGRAMS[0]: lambda: solve(valid, fastip.inverses.Split()),
        PROGRAMS[1]: lambda: solve(circular, fastip.inverses.Exact()),
        PROGRAMS[2]: parts,
    }[program]
    found, count = rounds(run, 4.0)
    extra = {}
    if program == PROGRAMS[0]:
        error = difference(found, solve(valid, fastip.inverses.Split(), torch.float64))
        assert error < 1e-4, f"not what float64 gives: relative difference {error:.1e}"
        extra["difference"] = error
    benchmark.pedantic(run, rounds=count)
    benchmark.extra_info.update(kind="iteration", program=program, **extra)
