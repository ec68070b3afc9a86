"""Triton's families of one pass, interpreted on the CPU in a process of their own, against the float64 reference.

Layout, prox, spectral step, second split, TV.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from cases.interpretation import EPS, INTERPRETED, assert_close, draw, run_again
from cases.interpretation import inspected as inspected
from fastip.contracts import Pointwise
from fastip.kernels import reference, split_reference
from fastip.kernels.family import Implementations

triton = Implementations("triton")

F = triton
DTYPES = tuple(EPS)


class TestOutside:
    __test__ = not INTERPRETED

    def test_one_pass_interpreted(self) -> None:
        run_again(__file__)


@pytest.mark.usefixtures("inspected")
class TestPointwise:
    __test__ = INTERPRETED

    @pytest.mark.parametrize("dtype", DTYPES, ids=str)
    @pytest.mark.parametrize("height, width, stride", [(12, 20, 4), (13, 7, 3), (1, 9, 2), (10, 10, 1), (21, 130, 5)])
    def test_pixel_shuffle_moves_bits(self, height: int, width: int, stride: int, dtype: torch.dtype) -> None:
        x = draw(1, 2, height, width).to(dtype)
        phases = F.pixel_unshuffle(x, stride)
        assert torch.equal(phases, reference.pixel_unshuffle(x, stride))
        assert torch.equal(F.pixel_shuffle(phases, height, width), x)
        assert torch.equal(
            F.pixel_shuffle(phases, height - height // 3, width - width // 4),
            x[..., : height - height // 3, : width - width // 4],
        )

    @pytest.mark.parametrize("dtype", DTYPES, ids=str)
    @pytest.mark.parametrize(
        "prox", [(0.3,), (0.0, 0.5), (0.0, 1.0, 0.0), (0.0, 1.0, -math.inf, 0.7), (0.3, 0.8, -0.5, 0.9)], ids=str
    )
    def test_soft_threshold(self, prox: tuple[float, ...], dtype: torch.dtype) -> None:
        """Aligned, misaligned, with and without the second summand."""
        for n in (1, 2048, 5001):
            v, add = draw(n + 1).to(dtype), draw(n + 1, seed=1).to(dtype)
            for a, b in ((v[:n], add[:n]), (v[1:], add[1:]), (v[:n], None)):
                assert_close(
                    F.soft_threshold(a, *prox, add=b),
                    reference.soft_threshold(a.double(), *prox, add=None if b is None else b.double()),
                    dtype,
                )

    @pytest.mark.parametrize("dtype", DTYPES, ids=str)
    def test_soft_threshold_of_what_is_no_number(self, dtype: torch.dtype) -> None:
        special = torch.tensor([math.nan, math.inf, -math.inf, -0.0], dtype=dtype)
        for prox in ((0.1,), (0.1, 1.0, -1.0, 1.0)):
            assert torch.equal(
                F.soft_threshold(special, *prox).nan_to_num(7.0),
                reference.soft_threshold(special, *prox).nan_to_num(7.0),
            )

    def test_soft_threshold_with_weights_that_vary(self) -> None:
        v, weight = draw(2, 3, 5), draw(3, 5, seed=1).abs()
        assert torch.equal(F.soft_threshold(v, weight), reference.soft_threshold(v, weight))
        assert_close(
            F.soft_threshold(v, torch.tensor(0.2), torch.tensor(0.9)),
            reference.soft_threshold(v, 0.2, 0.9),
            torch.float64,
            units=1e7,
        )
        assert torch.equal(F.soft_threshold(v, 0.2, add=weight), reference.soft_threshold(v, 0.2, add=weight))

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
    @pytest.mark.parametrize("relaxation", [1.0, 1.6])
    @pytest.mark.parametrize("shape", [(1, 1, 1), (3, 9, 14), (2, 41, 30)])
    def test_spectral_step(self, shape: tuple[int, int, int], relaxation: float, dtype: torch.dtype) -> None:
        f, p, offset = (
            torch.complex(draw(*shape, seed=i), draw(*shape, seed=i + 9)).to(dtype.to_complex()) for i in range(3)
        )
        gain = draw(*shape[1:], seed=5).to(dtype)
        expected = reference.spectral_step(
            f.to(torch.complex128), p.to(torch.complex128), offset.to(torch.complex128), gain.double(), relaxation
        )
        f, p = f.clone(), p.clone()
        F.spectral_step_(f, p, offset, gain[:, :, None].expand(*shape[1:], 2).contiguous(), relaxation)
        for a, b in ((f, expected[0]), (p, expected[1])):
            assert_close(torch.view_as_real(a), torch.view_as_real(b), dtype)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
    @pytest.mark.parametrize(
        "shape, grid, seen",
        [((1, 1, 1, 1), (1, 1), (1, 1)), ((2, 3, 5, 7), (8, 9), (2, 1)), ((2, 2, 40, 60), (48, 64), (1, 2))],
        ids=str,
    )
    def test_split_step(
        self, shape: tuple[int, ...], grid: tuple[int, int], seen: tuple[int, int], dtype: torch.dtype
    ) -> None:
        (b, c), half = shape[:2], (grid[0], grid[1] // 2 + 1)
        x, q, *wide = (draw(*s, seed=i) for i, s in enumerate((shape, (b, 2, c, *grid), *3 * ((b, c, *grid),))))
        kept = draw(*seen, *grid, seed=5).sigmoid()
        given = [t.to(dtype) for t in (*wide[:2], x, q, kept, wide[2])]
        exact = split_reference.split_close(*(t.double() for t in given), 0.3)
        for a, e in zip(F.split_close(*given, 0.3), exact, strict=True):
            assert_close(a, e, dtype)
        assert_close(F.split_open(*given[2:4]), split_reference.split_open(*(t.double() for t in given[2:4])), dtype)
        planes = [torch.complex(draw(*s, seed=i), draw(*s, seed=i + 9)) for i, s in enumerate(4 * ((b, c, *half),))]
        w, s, h, far = (t.to(dtype.to_complex()) for t in (*planes[:2], *(t[0, 0] for t in planes[2:])))
        near = draw(*half, seed=7).to(dtype)
        mixed = split_reference.split_mix(
            *(t.to(torch.complex128) for t in (w, s, h)), near.double(), far.to(torch.complex128)
        )
        for a, e in zip(F.split_mix(w, s, h, near, far), mixed, strict=True):
            assert_close(torch.view_as_real(a), torch.view_as_real(e), dtype, units=2)

    @pytest.mark.parametrize("dtype", DTYPES, ids=str)
    @pytest.mark.parametrize("isotropic, shape", [(True, (1, 1, 1, 1)), (False, (2, 1, 7, 5)), (True, (1, 1, 17, 131))])
    def test_tv_prox(self, isotropic: bool, shape: tuple[int, int, int, int], dtype: torch.dtype) -> None:
        v, prox = draw(*shape).to(dtype), Pointwise(l1=0.05, l2=0.1, low=-0.7, high=0.8)
        u, r = ((0.1 * draw(2, *shape, seed=seed)).to(dtype) for seed in (1, 2))
        for field in (u, r):  # no differences across the last border
            field[0, ..., -1, :], field[1, ..., -1] = 0, 0

        def pointwise(a: Tensor) -> Tensor:
            return reference.soft_threshold(a, 0.4 * prox.l1, 1 / (1 + 0.8 * prox.l2), prox.low, prox.high)

        for steps in (1, 2):
            expected = reference.tv_prox(v.double(), u.double(), r.double(), 0.4, 0.2, 0.7, steps, isotropic, pointwise)
            found, *_ = F.tv_prox(v, u, r, 0.4, 0.2, 0.7, steps, isotropic, prox)
            for a, b in zip((found, u, r), expected, strict=True):
                assert_close(a, b, dtype, units=steps)
