"""Triton's convolutions, interpreted on the CPU in a process of their own, against the float64 reference.

Every border, stride, dtype and layout.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from cases.interpretation import EPS, INTERPRETED, assert_close, draw, image_size, kernel, run_again
from cases.interpretation import inspected as inspected
from fastip.contracts import Pointwise
from fastip.errors import InvalidInput
from fastip.kernels import reference
from fastip.kernels.family import Implementations
from fastip.kernels.triton import start

triton = Implementations("triton")

F = triton
DTYPES = tuple(EPS)
GRIDS = ((5, 7, (1, 2)), (3, 1, (2, 1)))


class TestOutside:
    __test__ = not INTERPRETED

    def test_convolutions_interpreted(self) -> None:
        run_again(__file__)

    @pytest.mark.parametrize("version, expected", [("3.2.0", "too old"), ("3.6.0", None), ("4.0.0+git1", None)])
    def test_old_versions_are_refused(
        self, version: str, expected: str | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pytest.importorskip("triton"), "__version__", version)
        reason = start.why_missing.__wrapped__()
        assert reason is None if expected is None else expected in reason and version in reason


@pytest.mark.usefixtures("inspected")
class TestConvolutions:
    __test__ = INTERPRETED

    @pytest.mark.parametrize("boundary", reference.BOUNDARIES)
    @pytest.mark.parametrize("stride", [1, 2, 3, 4])
    def test_strides_and_borders(self, stride: int, boundary: str) -> None:
        """Odd and even psfs, on images that cells fill and that they do not."""
        for k, (h, w, images) in enumerate(GRIDS):
            kh, kw = ((3, 2), (5, 5), (1, 4))[(k + stride) % 3]
            psf, (height, width) = kernel(kh, kw, seed=k), image_size(h, w, kh, kw, stride, boundary)
            for less in {0, stride // 2 if k == 0 else 0}:
                x = draw(
                    *images,
                    height + less if boundary == "valid" else height - less,
                    width if boundary == "valid" else width - less,
                    seed=k,
                )
                expected = reference.strided_conv(x, psf, stride, boundary)
                assert_close(F.strided_conv(x, psf, stride, boundary), expected, torch.float64)
            y = draw(*images, h, w, seed=k + 1)
            assert_close(
                F.strided_conv_adjoint(y, psf, stride, boundary),
                reference.strided_conv_adjoint(y, psf, stride, boundary),
                torch.float64,
            )

    @pytest.mark.parametrize("dtype", DTYPES, ids=str)
    def test_dtypes(self, dtype: torch.dtype) -> None:
        for stride, boundary, k in ((2, "reflect", 3), (4, "circular", 9)):
            psf, x, y = kernel(k, k), draw(1, 1, 12, 20).to(dtype), draw(1, 1, 12, 20, seed=1).to(dtype)
            assert_close(
                F.strided_conv(x, psf, stride, boundary),
                reference.strided_conv(x.double(), psf, stride, boundary),
                dtype,
            )
            expected = reference.strided_conv_adjoint(y.double(), psf, stride, boundary)
            assert_close(F.strided_conv_adjoint(y, psf, stride, boundary), expected, dtype)

    @pytest.mark.parametrize("boundary", ["circular", "reflect", "zero"])
    @pytest.mark.parametrize("stride, size", [(1, (3, 8)), (2, (9, 4))])
    def test_psf_wider_than_the_image(self, stride: int, size: tuple[int, int], boundary: str) -> None:
        psf, x, y = kernel(*size), draw(1, 1, 2 * stride, 3 * stride), draw(1, 1, 2, 3)
        assert_close(
            F.strided_conv(x, psf, stride, boundary), reference.strided_conv(x, psf, stride, boundary), torch.float64
        )
        assert_close(
            F.strided_conv_adjoint(y, psf, stride, boundary),
            reference.strided_conv_adjoint(y, psf, stride, boundary),
            torch.float64,
        )

    @pytest.mark.parametrize("stride", [1, 4])
    def test_many_tiles_and_long_rows(self, stride: int) -> None:
        """Several programs a plane, the last of them at its edges; more taps in a row than are unrolled."""
        for kh, kw, h, w in ((2, 3, 37, 131), (1, 17 * stride, 3, 20)):
            psf, x = kernel(kh, kw), draw(1, 1, h * stride, w * stride).float()
            y = reference.strided_conv(x.double(), psf, stride, "circular")
            assert_close(F.strided_conv(x, psf, stride, "circular"), y, torch.float32)
            y = y.float()
            assert_close(
                F.strided_conv_adjoint(y, psf, stride, "circular"),
                reference.strided_conv_adjoint(y.double(), psf, stride, "circular"),
                torch.float32,
            )

    @pytest.mark.parametrize("layout", ["transposed", "every other", "channels last", "expanded", "negated"])
    def test_any_layout(self, layout: str) -> None:
        make: dict[str, Callable[[], Tensor]] = {
            "transposed": lambda: draw(2, 3, 8, 6).mT,
            "every other": lambda: draw(2, 3, 6, 16)[..., ::2],
            "channels last": lambda: draw(2, 3, 6, 8).contiguous(memory_format=torch.channels_last),
            "expanded": lambda: draw(1, 3, 6, 8).expand(2, 3, 6, 8),
            "negated": lambda: torch.complex(draw(2, 3, 6, 8), draw(2, 3, 6, 8, seed=1)).conj().imag,
        }
        x, psf = make[layout](), kernel(3, 3)
        assert layout == "negated" or not x.is_contiguous()
        assert_close(F.strided_conv(x, psf, 2, "zero"), reference.strided_conv(x, psf, 2, "zero"), torch.float64)
        assert_close(
            F.strided_conv_adjoint(x, psf.mT, 2, "circular"),
            reference.strided_conv_adjoint(x, psf.mT, 2, "circular"),
            torch.float64,
        )
        assert_close(F.soft_threshold(x, 0.3, add=x), reference.soft_threshold(x, 0.3, add=x), torch.float64)
        assert torch.equal(F.pixel_unshuffle(x, 2), reference.pixel_unshuffle(x, 2))

    def test_weights_of_any_dtype_that_change(self) -> None:
        """A table of weights is never that of a psf before."""
        x, psf = draw(1, 1, 6, 6), kernel(3, 3).float()
        for _ in range(2):
            assert_close(
                F.strided_conv(x, psf, 1, "zero"), reference.strided_conv(x, psf.double(), 1, "zero"), torch.float64
            )
            psf.mul_(-2.0)
        with torch.inference_mode():
            psf = kernel(3, 3, seed=4)
            assert_close(F.strided_conv(x, psf, 1, "zero"), reference.strided_conv(x, psf, 1, "zero"), torch.float64)

    @pytest.mark.parametrize(
        "stride, boundary, dtype",
        [(1, "zero", torch.float64), (2, "valid", torch.float64), *((4, "circular", t) for t in DTYPES)],
    )
    def test_woodbury_and_stencil(self, stride: int, boundary: str, dtype: torch.dtype) -> None:
        psf, taps = kernel(5, 4), kernel(3, 5, seed=1)
        x = draw(2, 1, *image_size(5, 7, 5, 4, stride, boundary), seed=2).to(dtype)
        q, y = draw(2, 1, 5, 7, seed=3).to(dtype), draw(2, 1, 5, 7, seed=4).to(dtype)
        found = F.woodbury(x, q, y, psf, stride, boundary, taps, 0.3)
        for a, b in zip(
            found, reference.woodbury(x.double(), q.double(), y.double(), psf, stride, boundary, taps, 0.3), strict=True
        ):
            assert_close(a, b, dtype, units=3)
        assert_close(F.stencil(q, taps, boundary), reference.stencil(q.double(), taps, boundary), dtype)


class TestRefusals:
    __test__ = INTERPRETED

    def test_what_does_not_fit(self) -> None:
        x, y, psf = draw(1, 1, 8, 8), draw(1, 1, 4, 4), kernel(3, 3)
        with pytest.raises(InvalidInput, match="q has shape"):
            F.woodbury(x, x, y, psf, 2, "zero", psf, 0.1)
        for call in (
            lambda: F.strided_conv(x[0], psf, 2, "zero"),
            lambda: F.strided_conv(x, psf[0], 2, "zero"),
            lambda: F.strided_conv(x, psf, 0, "zero"),
            lambda: F.strided_conv(x, psf, 2, "mirror"),
            lambda: F.strided_conv(x, kernel(9, 9), 1, "valid"),
            lambda: F.pixel_unshuffle(x, 0),
            lambda: F.pixel_shuffle(draw(1, 1, 2, 3, 4, 4), 8, 8),
            lambda: F.tv_prox(
                x, torch.zeros(2, 1, 1, 8, 7), torch.zeros(2, 1, 1, 8, 8), 0.1, 0.1, 0.0, 1, True, Pointwise()
            ),
            lambda: F.spectral_step_(
                *(torch.zeros(1, 4, 4, dtype=torch.complex128) for _ in range(3)), torch.zeros(4, 4, 2)
            ),
        ):
            with pytest.raises(InvalidInput):
                call()

    def test_empty(self) -> None:
        assert F.strided_conv(draw(0, 3, 8, 8), kernel(3, 3), 2, "zero").shape == (0, 3, 4, 4)
        assert F.strided_conv_adjoint(draw(2, 0, 4, 4), kernel(3, 3), 2, "reflect").shape == (2, 0, 8, 8)
        assert F.pixel_unshuffle(draw(0, 3, 8, 8), 2).shape == (0, 3, 2, 2, 4, 4) and F.pixel_shuffle(
            draw(0, 3, 2, 2, 4, 4), 8, 8
        ).shape == (0, 3, 8, 8)
        assert F.soft_threshold(draw(0, 3), 0.1).shape == (0, 3)
        u, r = draw(2, 0, 3, 8, 8), draw(2, 0, 3, 8, 8)
        assert F.tv_prox(draw(0, 3, 8, 8), u, r, 0.1, 0.1, 0.0, 2, True, Pointwise())[0].shape == (0, 3, 8, 8)
