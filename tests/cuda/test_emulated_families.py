"""The GPU kernels, run thread by thread on the host, against the float64 reference.

Every border, stride, dtype and path, in several thread orders.
"""

import pytest
import torch

from fastip.contracts import Pointwise
from fastip.kernels import reference, split_reference
from fastip.kernels.family import Implementations

native = Implementations("native")

pytestmark = pytest.mark.usefixtures("emulated")

DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
# a few units in the last place of the result
BOUND = {torch.float32: 2e-6, torch.float64: 2e-15, torch.float16: 2e-3, torch.bfloat16: 1.6e-2}
PSFS = ((9, 9), (1, 1), (2, 5), (4, 3), (13, 6), (3, 34))
GRIDS = ((5, 7, (2, 1)), (17, 37, (1, 3)), (9, 130, (1, 1)), (1, 1, (3, 1)))


def draw(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def assert_close(found, expected, dtype):
    """``found`` is of that dtype, shape and value; no entry was left unwritten."""
    assert found.dtype == dtype and found.shape == expected.shape
    assert bool(torch.isfinite(found).all())
    assert float((found.double() - expected).abs().max()) <= BOUND[dtype] * max(1.0, float(expected.abs().max()))


def image_size(h, w, kh, kw, stride, boundary):
    return ((h - 1) * stride + kh, (w - 1) * stride + kw) if boundary == "valid" else (h * stride, w * stride)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("boundary", reference.BOUNDARIES)
@pytest.mark.parametrize("stride", [1, 2, 3, 4, 5, 7])
def test_convolutions(stride, boundary, dtype):
    """Psfs that fit in a tile, that are wider than the image, and one that no kernel keeps in shared memory.

    The last is 3 x 34 at stride 7.
    """
    for kh, kw in PSFS:
        for h, w, planes in GRIDS:
            psf = draw(kh, kw, seed=kh + w)
            psf = psf / psf.abs().sum()
            x, y = (
                draw(*planes, *image_size(h, w, kh, kw, stride, boundary), seed=h).to(dtype),
                draw(*planes, h, w, seed=w).to(dtype),
            )
            assert_close(
                native.strided_conv(x, psf, stride, boundary),
                reference.strided_conv(x.double(), psf, stride, boundary),
                dtype,
            )
            assert_close(
                native.strided_conv_adjoint(y, psf, stride, boundary),
                reference.strided_conv_adjoint(y.double(), psf, stride, boundary),
                dtype,
            )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [(150, 5), (5, 171), (70, 70)])
def test_psf_larger_than_shared_memory(size, dtype):
    for stride in (1, 2, 4):
        psf = draw(*size)
        psf, x = psf / psf.abs().sum(), draw(1, 1, 176, 176).to(dtype)
        y = reference.strided_conv(x.double(), psf, stride, "circular")
        assert_close(native.strided_conv(x, psf, stride, "circular"), y, dtype)
        expected = reference.strided_conv_adjoint(y.to(dtype).double(), psf, stride, "circular")
        assert_close(native.strided_conv_adjoint(y.to(dtype), psf, stride, "circular"), expected, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("boundary", ["circular", "zero", "valid"])
@pytest.mark.parametrize("stride", [1, 2, 4])
def test_woodbury_and_stencil(stride, boundary, dtype):
    psf, taps = draw(5, 4), draw(7, 7, seed=1)
    psf, taps = psf / psf.abs().sum(), taps / taps.abs().sum()
    x = draw(2, 3, *image_size(11, 35, 5, 4, stride, boundary), seed=2).to(dtype)
    q, y = draw(2, 3, 11, 35, seed=3).to(dtype), draw(2, 3, 11, 35, seed=4).to(dtype)
    found = native.woodbury(x, q, y, psf, stride, boundary, taps, 0.3)
    for a, b in zip(
        found, reference.woodbury(x.double(), q.double(), y.double(), psf, stride, boundary, taps, 0.3), strict=True
    ):
        assert float((a.double() - b).abs().max()) <= 3 * BOUND[dtype] * float(b.abs().max())
    assert_close(native.stencil(q, taps, boundary), reference.stencil(q.double(), taps, boundary), dtype)


def test_infinity_reaches_no_pixel_outside_the_psf():
    """Rows are read in groups of four; what is read beyond the psf is not multiplied, not even by zero."""
    for kw in (1, 2, 3, 5, 6, 7, 9):
        x = torch.zeros(1, 1, 5, 160)
        x[0, 0, 2, 77] = float("inf")
        touched = ~torch.isfinite(native.strided_conv(x, torch.ones(1, kw, dtype=torch.float64), 1, "zero"))
        assert int(touched.sum()) == kw


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("height, width, stride", [(12, 20, 4), (13, 7, 3), (1, 9, 2), (10, 10, 1), (70, 130, 5)])
def test_pixel_shuffle_moves_bits(height, width, stride, dtype):
    x = draw(2, 3, height, width).to(dtype)
    phases = native.pixel_unshuffle(x, stride)
    assert torch.equal(phases, reference.pixel_unshuffle(x, stride))
    assert torch.equal(native.pixel_shuffle(phases, height, width), x)
    assert torch.equal(
        native.pixel_shuffle(phases, height - height // 3, width - width // 4),
        x[..., : height - height // 3, : width - width // 4],
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 8, 1000, 1024, 70001])
def test_soft_threshold(n, dtype):
    """Aligned, misaligned, with and without the second summand; every number of the prox."""
    v, add = draw(n + 1).to(dtype), draw(n + 1, seed=1).to(dtype)
    for a, b in ((v[:n], add[:n]), (v[1:], add[1:]), (v[:n], None)):
        found = native.soft_threshold(a, 0.3, 0.8, -0.5, 0.9, b)
        assert_close(
            found, reference.soft_threshold(a.double(), 0.3, 0.8, -0.5, 0.9, None if b is None else b.double()), dtype
        )
    special = torch.tensor([float("nan"), float("inf"), -float("inf"), -0.0], dtype=dtype)
    assert torch.equal(
        torch.nan_to_num(native.soft_threshold(special, 0.1), 7.0),
        torch.nan_to_num(reference.soft_threshold(special, 0.1), 7.0),
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("relaxation", [1.0, 1.6])
def test_spectral_step(relaxation, dtype):
    f, p, offset = (
        torch.complex(draw(3, 9, 14, seed=i), draw(3, 9, 14, seed=i + 9)).to(dtype.to_complex()) for i in range(3)
    )
    gain = draw(9, 14, seed=5).to(dtype)
    expected = reference.spectral_step(f, p, offset, gain, relaxation)
    native.spectral_step_(f, p, offset, gain[:, :, None].expand(9, 14, 2).contiguous(), relaxation)
    torch.testing.assert_close((f, p), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "shape, grid, seen",
    [((1, 1, 1, 1), (1, 1), (1, 1)), ((2, 3, 5, 7), (8, 9), (2, 1)), ((2, 2, 9, 30), (9, 32), (1, 2))],
)
def test_split_step(shape, grid, seen, dtype):
    (b, c), half = shape[:2], (grid[0], grid[1] // 2 + 1)
    x, q, *wide = (draw(*s, seed=i) for i, s in enumerate((shape, (b, 2, c, *grid), *3 * ((b, c, *grid),))))
    given = [t.to(dtype) for t in (*wide[:2], x, q, draw(*seen, *grid, seed=5).sigmoid(), wide[2])]
    assert_close(native.split_open(*given[2:4]), split_reference.split_open(*(t.double() for t in given[2:4])), dtype)
    exact = split_reference.split_close(*(t.double() for t in given), 0.3)
    for found, expected in zip(native.split_close(*given, 0.3), exact, strict=True):
        assert_close(found, expected, dtype)
    w, s, h, far = (torch.complex(draw(b, c, *half, seed=i), draw(b, c, *half, seed=i + 9)) for i in range(4))
    given = [t.to(dtype.to_complex()) for t in (w, s, h[0, 0], far[0, 0])]
    near = draw(*half, seed=7).to(dtype)
    given.insert(3, near)
    exact = split_reference.split_mix(*(t.to(torch.complex128 if t.is_complex() else torch.float64) for t in given))
    for found, expected in zip(native.split_mix(*given), exact, strict=True):
        assert_close(torch.view_as_real(found), torch.view_as_real(expected), dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("isotropic", [True, False])
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 3, 7, 19), (1, 1, 33, 2)])
def test_tv_prox(shape, isotropic, dtype):
    v, prox = draw(*shape).to(dtype), Pointwise(l1=0.05, l2=0.1, low=-0.7, high=0.8)
    u, r = torch.zeros(2, *shape, dtype=dtype), torch.zeros(2, *shape, dtype=dtype)
    wide = (v.double(), u.double(), r.double())

    def pointwise(a):
        return reference.soft_threshold(a, 0.4 * prox.l1, 1 / (1 + 0.8 * prox.l2), prox.low, prox.high)

    for steps in (1, 4):
        expected, *wide_fields = reference.tv_prox(*wide, 0.4, 0.2, 0.7, steps, isotropic, pointwise)
        wide = (wide[0], *wide_fields)
        found, *_ = native.tv_prox(v, u, r, 0.4, 0.2, 0.7, steps, isotropic, prox)
        bound = 1e-5 if dtype is torch.float32 else 1e-13
        for a, b in ((found, expected), (u, wide[1]), (r, wide[2])):
            torch.testing.assert_close(a.double(), b, rtol=bound, atol=bound)


def test_any_order_of_threads_gives_the_same_bits(emulated):
    """Within a phase of a block, threads may run in any order: what depended on it would be a race."""
    psf = draw(6, 9)
    results = []
    for order in (0, 1, 2):
        emulated.set_order(order)
        found = []
        for stride in (1, 2, 3, 4, 5):
            for boundary in reference.BOUNDARIES:
                x = draw(1, 2, *image_size(19, 45, 6, 9, stride, boundary)).float()
                y = native.strided_conv(x, psf, stride, boundary)
                found += [y, native.strided_conv_adjoint(y, psf, stride, boundary), native.pixel_unshuffle(x, stride)]
        results.append(found)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))
