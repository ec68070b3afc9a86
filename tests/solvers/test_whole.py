"""Solves of complex images: by their parts, against the same in complex arithmetic."""

from __future__ import annotations

import pickle

import cvxpy as cp
import numpy as np
import pytest
import torch

import fastip
from fastip import fidelities, inverses, operators, priors
from fastip.contracts import LinearOperator
from fastip.operators import psf
from fastip.operators.base.parts import from_parts, moduli, to_parts

SHAPE = (2, 3, 8, 7)


def draw(*shape: int, dtype: torch.dtype = torch.complex128, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def blur() -> operators.Complex:
    return operators.Complex(operators.Blur(psf.gaussian(3, sigma=0.8), boundary="reflect"))


def prox(prior: priors.Prior, v: torch.Tensor, step: float, calls: int = 1) -> torch.Tensor:
    """prox_{step R}(v) of a complex image, by the prior of its parts."""
    parts = to_parts(v)
    bound = prior.of_parts().bind(parts, operators.Identity())
    for _ in range(calls):
        x = bound(parts, step)
    return from_parts(x)


def value(prior: priors.Prior, x: torch.Tensor) -> torch.Tensor:
    return prior.of_parts().value(to_parts(x))


def slopes(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Differences along rows and columns, 0 at the border."""
    down, across = torch.zeros_like(x), torch.zeros_like(x)
    down[..., :-1, :], across[..., :-1] = x.diff(dim=-2), x.diff(dim=-1)
    return down, across


def test_parts_go_back() -> None:
    x = draw(*SHAPE)
    assert torch.equal(from_parts(to_parts(x)), x)
    assert torch.equal(to_parts(x)[:, 2], x[:, 1].real) and torch.equal(to_parts(x.conj())[:, 3], -x[:, 1].imag)
    torch.testing.assert_close(moduli(to_parts(x)), x.abs())


def test_l1_shrinks_moduli() -> None:
    v, weight = draw(*SHAPE), torch.tensor([0.2, 0.5, 0.0], dtype=torch.float64).reshape(1, 3, 1, 1)
    v[0, 0, 0, 0] = 0
    for w in (0.3, weight):
        expected = torch.polar((v.abs() - 2 * w).clamp(min=0), v.angle()) / (1 + 4 * 0.7 * w)
        torch.testing.assert_close(prox(priors.ElasticNet(w, 0.7 * w), v, 2.0), expected)
        torch.testing.assert_close(value(priors.L1(w), v), (w * v.abs()).sum((1, 2, 3)))
        torch.testing.assert_close(value(priors.L2(w), v), (w * v.abs().square()).sum((1, 2, 3)))


def lengths(name: str, x: torch.Tensor) -> torch.Tensor:
    down, across = slopes(x)
    a, b = down.abs(), across.abs()
    if name == "AnisotropicTV":
        return (a + b).sum((1, 2, 3))
    squares = a.square() + b.square()
    t = (squares.sum(1, keepdim=True) if name == "VectorTV" else squares).sqrt()
    if name == "Huber":
        t = torch.where(t < 0.2, t.square() / 0.4, t - 0.1)
    return t.sum((1, 2, 3))


TOTAL = {
    "TV": priors.TV,
    "AnisotropicTV": priors.AnisotropicTV,
    "VectorTV": priors.VectorTV,
    "Huber": lambda w: priors.Huber(w, 0.2),
}


@pytest.mark.parametrize("name", TOTAL)
def test_total_variation_of_complex_images(name: str) -> None:
    """The value is the formula, and nothing near the prox is better."""
    prior, v = TOTAL[name](0.3), draw(*SHAPE)
    torch.testing.assert_close(value(prior, v), 0.3 * lengths(name, v))
    x = prox(prior, v, 1.0, calls=600)

    def total(x: torch.Tensor) -> torch.Tensor:
        return 0.3 * lengths(name, x) + (x - v).abs().square().sum((1, 2, 3)) / 2

    for seed in range(20):
        for size in (1e-4, 1e-2):
            assert bool((total(x + size * draw(*SHAPE, seed=seed + 1)) >= total(x) - 1e-8).all())
    turned = prox(prior, v * 1j, 1.0, calls=600)  # the phase of the whole does not count
    torch.testing.assert_close(turned, x * 1j, rtol=1e-5, atol=1e-5)


def test_wavelets_and_quadratics() -> None:
    v, wavelet = draw(*SHAPE), priors.Wavelet(0.4, "haar", levels=2)
    w = torch.complex(wavelet.transform(v.real.contiguous()), wavelet.transform(v.imag.contiguous()))
    h, k = wavelet.corner(v)
    shrunk = torch.polar((w.abs() - 0.4).clamp(min=0), w.angle())
    shrunk[..., :h, :k] = w[..., :h, :k]
    expected = torch.complex(wavelet.inverse(shrunk.real.contiguous()), wavelet.inverse(shrunk.imag.contiguous()))
    torch.testing.assert_close(prox(wavelet, v, 1.0), expected)
    weight = torch.tensor([0.2, 0.5, 0.0], dtype=torch.float64).reshape(1, 3, 1, 1)
    bound = priors.Quadratic(weight).bind(v.real, operators.Identity())
    expected = torch.complex(bound(v.real.contiguous(), 1.5), bound(v.imag.contiguous(), 1.5))
    torch.testing.assert_close(prox(priors.Quadratic(weight), v, 1.5), expected)


def test_a_denoiser_sees_the_parts_as_channels() -> None:
    """x = v / (1 + 2 weight) is the prox of weight |x|^2, so the solve ends where that of L2 does."""
    op = operators.MaskedFourier(torch.rand(8, 7, generator=torch.Generator().manual_seed(1)) > 0.4, image="complex")
    y, seen = op(draw(2, 2, 8, 7)), []

    def shrink(v: torch.Tensor, level: float) -> torch.Tensor:
        seen.append((v.clone(), level))
        return v / (1 + 2 * level**2)  # level^2 = noise^2 / beta = 2 step noise^2

    prior = priors.Denoiser(shrink, noise=0.3)
    found = fastip.admm(y, op, prior, beta=0.5, iterations=60, tolerance=0)
    known = fastip.admm(y, op, priors.L2(2 * 0.3**2), beta=0.5, iterations=60, tolerance=0)
    torch.testing.assert_close(found.x, known.x)
    v, level = seen[-1]
    assert v.shape == (2, 4, 8, 7) and v.dtype == torch.float64 and level == pytest.approx(0.3 / 0.5**0.5)
    torch.testing.assert_close(v[:, 0] / v[:, 1], found.x[:, 0].real / found.x[:, 0].imag, rtol=1e-4, atol=1e-4)
    assert fastip.admm(y.to(torch.complex64), op, prior, beta=0.5, iterations=2, tolerance=0).x.dtype == torch.complex64


def minimiser(y: torch.Tensor, op: LinearOperator, weight: float) -> torch.Tensor:
    """That of ||y - A x||^2 + weight sum |x|, by plain proximal gradients in complex numbers."""
    x = torch.zeros(op.input_shape(tuple(y.shape)), dtype=y.dtype)
    step = 0.49 / op.norm(tuple(x.shape)) ** 2
    for _ in range(4000):
        v = x + 2 * step * op.adjoint(y - op(x))
        x = torch.polar((v.abs() - step * weight).clamp(min=0), v.angle())
    return x


def sparse_complex() -> operators.Sparse:
    matrix = draw(20, 24, seed=3)
    return operators.Sparse(matrix.to_sparse_coo(), (2, 3, 4), complex_image=True)


CASES = {
    "blur": (blur, SHAPE),
    "blur-channels": (lambda: operators.Complex(operators.Blur(draw(3, 3, 3).real.abs() / 9)), SHAPE),
    "fourier": (lambda: operators.MaskedFourier(draw(8, 7).real + 0.2, image="complex"), SHAPE),
    "grey": (lambda: operators.Complex(operators.ToGray()), SHAPE),
    "masks": (lambda: operators.Complex(operators.Mask(draw(3, 8, 7).real > 0)), SHAPE),
    "sparse": (sparse_complex, (2, 2, 3, 4)),
}


@pytest.mark.parametrize("name", CASES)
def test_minimisers(name: str) -> None:
    make, shape = CASES[name]
    op = make()
    y = op(draw(*shape))
    expected, prior = minimiser(y, op, 0.1), priors.L1(0.1)
    found = fastip.admm(y, op, prior, iterations=3000, tolerance=1e-5)
    assert found.x.dtype == y.dtype and found.x.shape == expected.shape
    for x in (found.x, fastip.pgd(y, op, prior, iterations=4000, tolerance=0).x):
        gap = objective(y, op, x, 0.1) / objective(y, op, expected, 0.1) - 1
        assert float(gap.max()) < 1e-4, gap


def objective(y: torch.Tensor, op: LinearOperator, x: torch.Tensor, weight: float) -> torch.Tensor:
    return (y - op(x)).abs().square().flatten(1).sum(1) + weight * x.abs().flatten(1).sum(1)


@pytest.mark.parametrize("diagonal", [True, False])
def test_complex_volumes_of_channels_that_differ(diagonal: bool) -> None:
    values = torch.rand(2, 3, 4, 5, dtype=torch.float64) + 0.2
    taps = values[:, :2, :2, :2]
    op = operators.Complex(operators.Mask(values, axes=3) if diagonal else operators.Blur(taps, axes=3))
    y, prior = draw(2, 2, 3, 4, 5), priors.L1(0.05)
    settings = {"iterations": 3000, "tolerance": 1e-6}
    found = fastip.admm(y, op, prior, inverse=inverses.Exact(), **settings)
    other = fastip.admm(y, op, prior, inverse=inverses.Scalar(), **settings)
    assert found.x.shape == y.shape and found.x.is_complex()
    assert (found.x - other.x).norm() < 1e-3 * other.x.norm()


def test_real_data_give_the_real_solution() -> None:
    """A fused solve of the parts, too: without an imaginary part it is that of the real part."""
    op, y = blur(), draw(1, 2, 16, 16).real
    complex_y = torch.complex(y, torch.zeros_like(y))
    options = {"iterations": 60, "tolerance": 0.0, "beta": 0.05, "inverse": inverses.Exact()}
    for prior in (priors.TV(0.05), priors.L1(0.05), priors.L2(0.1)):
        real = fastip.admm(y, op.op, prior, **options).x
        whole = fastip.admm(complex_y, op, prior, **options).x
        torch.testing.assert_close(whole.real, real, rtol=1e-6, atol=1e-6)
        assert float(whole.imag.abs().max()) < 1e-9


def test_the_door() -> None:
    op = blur()
    y = op(draw(*SHAPE))
    seen: list[torch.dtype] = []
    half = fastip.admm(y, op, priors.TV(0.1), iterations=10, tolerance=0, beta=0.1)
    both = fastip.admm(y, op, priors.TV(0.1), iterations=10, tolerance=0, beta=0.1, init=half)
    once = fastip.admm(
        y, op, priors.TV(0.1), iterations=20, tolerance=0, beta=0.1, callback=lambda s: seen.append(s.x.dtype)
    )
    torch.testing.assert_close(both.x, once.x)
    assert seen == [y.dtype] * 20
    single = draw(*SHAPE).to(torch.complex64).numpy()
    array = fastip.pgd(y.to(torch.complex64).numpy(), op, priors.L1(0.1), iterations=3, init=single)
    assert array.x.dtype.name == "complex64"
    assert "images are complex" in fastip.explain(op, priors.L1(0.1), y)
    again = pickle.loads(pickle.dumps(op))
    assert torch.equal(again(draw(*SHAPE)), op(draw(*SHAPE))) and again.fingerprint() == op.fingerprint()
    for prior in (priors.TGV(0.1), priors.NonNegative(), priors.TV(0.1) + priors.Box(0, 1)):
        with pytest.raises(fastip.FastipError, match="complex"):
            fastip.admm(y, op, prior)
    with pytest.raises(fastip.FastipError, match="init has dtype"):
        fastip.admm(y, op, priors.TV(0.1), init=y.real)
    with pytest.raises(fastip.FastipError, match="wiener takes operators of real images"):
        fastip.wiener(y, op, constant=0.1)
    with pytest.raises(fastip.FastipError, match='image="complex"'):
        operators.Complex(operators.MaskedFourier(torch.ones(8, 8)))
    with pytest.raises(fastip.FastipError, match="expected an operator"):
        operators.Complex(torch.ones(3, 3))


def test_a_phase_that_is_not_zero() -> None:
    """40 % of the k-space of a phantom with a smooth phase; the exact inverse, for A A^H is diagonal."""
    from skimage.data import shepp_logan_phantom
    from skimage.transform import resize

    n, generator = 128, torch.Generator().manual_seed(0)
    place = torch.arange(n, dtype=torch.float64) / n
    size = torch.from_numpy(resize(shepp_logan_phantom(), (n, n)))
    x = torch.polar(size, 2 * torch.pi * 0.6 * (place + place.square()[:, None]))[None, None]
    f = torch.fft.fftfreq(n, dtype=torch.float64)
    mask = (torch.rand(n, n, generator=generator) < 0.376) | (torch.hypot(f[:, None], f) < 0.12)
    assert float(mask.double().mean()) < 0.41
    op = operators.MaskedFourier(mask, image="complex")
    y = op(x)
    found = fastip.admm(y, op, priors.TV(1e-3), iterations=300)
    assert float((found.x - x).norm() / x.norm()) < 0.02
    assert "exact" in fastip.explain(op, priors.TV(1e-3), y).lower()
    with pytest.raises(fastip.FastipError, match="image"):
        operators.MaskedFourier(mask, image="both")


def least(y: torch.Tensor, mask: torch.Tensor, term: str, a: torch.Tensor, image: str) -> float:
    """The minimum of ``D(mask F x) + 0.1 sum |x|`` by cvxpy."""
    h, w = mask.shape
    fourier = np.kron(np.fft.fft(np.eye(h), norm="ortho"), np.fft.fft(np.eye(w), norm="ortho"))
    x = cp.Variable(h * w, complex=image == "complex")
    r = cp.abs(cp.multiply(mask.double().flatten().numpy(), fourier @ x) - y.flatten().numpy())
    terms = {"squares": cp.square(r), "huber": cp.huber(r, 0.3), "absolute": r}
    problem = cp.Problem(cp.Minimize(cp.sum(cp.multiply(a.flatten().numpy(), terms[term])) + 0.1 * cp.sum(cp.abs(x))))
    return float(problem.solve(solver=cp.CLARABEL))


@pytest.mark.parametrize("image", ["real", "complex"])
@pytest.mark.parametrize("term", ["squares", "huber", "absolute"])
def test_other_data_terms_of_complex_data(term: str, image: str) -> None:
    """Weights that differ, and outliers, against cvxpy; data are complex, images real or complex."""
    x, mask = draw(1, 1, 5, 4, seed=7), draw(5, 4, seed=8).real > -0.7
    op = operators.MaskedFourier(mask, image=image)
    y = op(x if image == "complex" else x.real) + 0.1 * draw(1, 1, 5, 4, seed=9)
    a = (draw(5, 4, seed=10).real.abs() + 0.2) * (draw(5, 4, seed=11).real > -1)
    y[0, 0, 2, 3], y[0, 0, 1] = 8 + 3j, torch.where(a[1] == 0, torch.full_like(y[0, 0, 1], torch.nan), y[0, 0, 1])
    fidelity = {
        "squares": fidelities.Squares(a),
        "huber": fidelities.Huber(0.3, weights=a),
        "absolute": fidelities.Absolute(weights=a),
    }[term]
    best = least(torch.nan_to_num(y), mask, term, a, image)
    found = [fastip.admm(y, op, priors.L1(0.1), fidelity=fidelity, iterations=3000, tolerance=1e-7).x]
    if term != "absolute":
        found.append(fastip.pgd(y, op, priors.L1(0.1), fidelity=fidelity, iterations=1000, tolerance=0).x)
    for x in found:
        r = (torch.where(a > 0, y, 0) - op(x)).abs()
        inside = r.clamp(max=0.3)
        terms = {"squares": r.square(), "huber": inside * (2 * r - inside), "absolute": r}
        assert abs(float((a * terms[term]).sum() + 0.1 * x.abs().sum()) / best - 1) < 1e-5
