"""kappa and rho: Lanczos against dense eigenvalues, and the certificate against what the iteration does."""

import pytest
import torch

import fastip
from cases.problems import gaussian, matrix, motion, observe, spikes
from fastip import inverses, priors
from fastip.contracts import StencilStep
from fastip.errors import InvalidInput
from fastip.inverses import stencil
from fastip.inverses.certificate import Certificate, from_spectrum, lanczos, weights
from fastip.inverses.stencil import StencilDataStep, certify, fit, spectrum, symbol_taps


def dense_pair(op, grid, taps):
    """C and A A^T as matrices on one channel."""
    y = (1, 1, *grid)
    a = matrix(op, op.input_shape(y))
    boundary = op.boundary
    basis = torch.eye(a.shape[0], dtype=torch.float64).reshape(-1, 1, *grid)
    c = fastip.kernels.stencil(basis, taps, boundary).reshape(a.shape[0], -1).T
    return c, a @ a.T


@pytest.mark.parametrize("relaxation", [1.0, 1.6])
@pytest.mark.parametrize(
    "op, grid, half",
    [
        (motion("valid"), (9, 11), 3),
        (gaussian(4, "valid"), (8, 7), 1),
        (motion("circular"), (10, 13), 2),
        (gaussian(2, "zero"), (9, 8), 2),
    ],
)
def test_certificate_equals_dense_eigenvalues(op, grid, half, relaxation):
    beta = 0.05
    convolution = op.convolution()
    taps = fit(convolution, beta, half)
    c, g = dense_pair(op, grid, taps)
    own, gram = weights(beta, relaxation)
    eye = torch.eye(len(g), dtype=torch.float64)
    kappa = torch.linalg.eigvals(c @ (own * eye + gram * g)).real.max().item()
    rho = (1 - torch.linalg.eigvals(c @ (beta * eye + g)).real).abs().max().item()
    certificate = certify(convolution, taps, grid, beta, relaxation)
    assert certificate.kappa == pytest.approx(kappa, rel=2e-3)
    assert certificate.rho == pytest.approx(rho, rel=2e-2, abs=1e-3)
    assert (certificate.smallest > 0) == (torch.linalg.eigvalsh((c + c.T) / 2).min().item() > 0)


def test_symbol_is_the_row_of_the_cogram():
    op = gaussian(4, "circular")
    a = matrix(op, (1, 1, 36, 36))
    row = (a @ a.T)[0].reshape(9, 9)
    taps = symbol_taps(op.convolution())
    torch.testing.assert_close(torch.roll(row, (2, 2), (0, 1))[:5, :5], taps)
    torch.testing.assert_close(spectrum(taps, (9, 9)), op.cogram((1, 1, 9, 9)).spectrum, rtol=1e-10, atol=1e-14)


def test_fit_is_the_least_squares_optimum():
    """No other symmetric stencil has a smaller relative error: random perturbations never help."""
    convolution, beta = motion("circular").convolution(), 0.02
    taps = fit(convolution, beta, 3)
    r = spectrum(symbol_taps(convolution), (49, 49))

    def cost(t):
        full = 2 * (1 - spectrum(t, (49, 49)) * (beta + r)).square()
        full[:, 0] /= 2
        return full.sum().item()

    best = cost(taps)
    for seed in range(20):
        d = torch.randn(7, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        assert cost(taps + 1e-3 * (d + d.flip(0, 1))) > best


def test_lanczos_finds_both_ends():
    torch.manual_seed(0)
    q, _ = torch.linalg.qr(torch.randn(60, 60, dtype=torch.float64))
    m = q @ torch.diag(torch.linspace(0.1, 3, 60, dtype=torch.float64)) @ q.T
    low, high = lanczos(lambda v: (m @ v.flatten()).reshape(v.shape), lambda v: v, (6, 10), tolerance=1e-10)
    assert low == pytest.approx(0.1, rel=1e-6) and high == pytest.approx(3, rel=1e-6)


def run_without_prior(scale, relaxation):
    """ADMM with R = 0 on a stencil scaled so that kappa is ``scale``, no scaling at bind.

    Returns the data residuals.
    """
    op, beta = gaussian(1, "circular"), 1e-2
    y = observe(op, spikes(1, 1, 64, 64))
    taps = fit(op.convolution(), beta, 3)
    taps = taps * (scale / certify(op.convolution(), taps, (64, 64), beta, relaxation).kappa)

    class Unscaled:
        def bind(self, op, y, beta, relaxation=1.0):
            return StencilDataStep(op, y, StencilStep(op.convolution(), taps, beta), "unscaled")

    # Twice the bounds of the psf's null directions: a random start excites every mode.
    init = torch.randn(1, 1, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return fastip.admm(
        y,
        op,
        priors.L1(weight=0.0),
        beta=beta,
        inverse=Unscaled(),
        iterations=3000,
        tolerance=1e-12,
        relaxation=relaxation,
        init=init,
    )


@pytest.mark.parametrize("relaxation", [1.0, 1.6])
def test_kappa_decides(relaxation):
    """kappa = 0.97 converges, kappa = 1.05 does not: for R = 0 the certificate is also necessary."""
    good = run_without_prior(0.97, relaxation)
    bad = run_without_prior(1.05, relaxation)
    assert good.residuals[-1, 0].item() < 1e-3 * good.residuals[0, 0].item()
    assert bad.status is fastip.Status.UNSTABLE
    assert not bad.residuals[-1, 0].item() < 1


def test_a_certificate_for_one_relaxation_is_not_one_for_another():
    """kappa = 0.98 computed for relaxation 1 and run at 1.6 diverges."""
    op, beta = gaussian(1, "circular"), 1e-2
    c, r = spectrum(fit(op.convolution(), beta, 3), (64, 64)), op.cogram((1, 1, 64, 64)).spectrum
    plain = from_spectrum(c, r, beta, 1.0).kappa
    assert from_spectrum(c * 0.98 / plain, r, beta, 1.6).kappa > 1


def test_scaling_and_refusal():
    assert Certificate(0.5, 0.9, 1.1, 0.2).scale() == 1.0
    slow = Certificate(1.4, 0.03, 1.7, 0.2).scaled()
    assert slow.kappa == pytest.approx(0.98) and slow.low == pytest.approx(0.021) and slow.rho == pytest.approx(0.979)
    assert Certificate(1.4, 0.9, 1.7, 0.2).scaled().kappa == pytest.approx(0.92), (
        "its small modes are fast: the large ones should be too"
    )
    assert Certificate(1.4, 0.9, 1.7, 0.2, 1.8).scaled().kappa == pytest.approx(0.98), (
        "relaxed this much, no mode overshoots below 0.99"
    )
    between = Certificate(1.4, 0.3, 1.7, 0.2).scaled()
    assert 0.92 < between.kappa < 0.98 and between._slowest_large(1.0) == pytest.approx(between._slowest_small(1.0))
    with pytest.raises(InvalidInput, match="positive definite"):
        Certificate(0.5, -0.1, 1.1, -0.01).scale()


@pytest.mark.parametrize("relaxation", [0.7, 1.0, 1.6])
@pytest.mark.parametrize("share", [0.5, 0.93, 0.98])
def test_the_speed_of_the_extreme_modes(share, relaxation):
    """The eigenvalues of the iteration on one mode (u = A x, q) without a prior.

    A A^T = 1 >> beta, and A A^T << beta.
    """
    excess = share / (relaxation - 0.25 * relaxation**2)

    def speed(c, gram, beta):
        step = torch.tensor([[1 - 2 * gram * c, gram * (1 - 2 * beta * c)], [-c, 1 - beta * c]], dtype=torch.float64)
        return torch.linalg.eigvals((1 - relaxation) * torch.eye(2) + relaxation * step).abs()

    found = Certificate(share, 0.3, excess, 0.1, relaxation)
    if excess > 1:
        assert found._slowest_large(1.0) == pytest.approx(float(speed(excess, 1.0, 1e-9).max()), rel=1e-4)
    assert found._slowest_small(1.0) == pytest.approx(float(speed(0.3 / 1e-2, 1e-9, 1e-2).min()), rel=1e-4)


@pytest.mark.parametrize(
    "op, half, beta", [(motion("valid"), 6, 1e-2), (gaussian(1, "zero"), 3, 1e-1), (gaussian(4, "valid"), 1, 1e-3)]
)
def test_the_certified_side_has_settled(op, half, beta, monkeypatch):
    """Boundary effects are local.

    The certificate of a large grid at the certified side is the one on the grid itself.
    """
    convolution = op.convolution()
    taps = fit(convolution, beta, half)
    capped = certify(convolution, taps, (230, 210), beta, 1.0)
    monkeypatch.setattr(stencil, "CERTIFIED_SIDE", 1000)
    whole = certify(convolution, taps, (230, 210), beta, 1.0)
    assert stencil.certified_shape(convolution, (230, 210), half) == (230, 210)
    assert capped.kappa == pytest.approx(whole.kappa, rel=5e-3)


def test_uncertified_inverses_are_scaled_when_bound():
    op = gaussian(1, "circular")
    y = torch.randn(1, 1, 64, 64)
    text = inverses.Stencil(3).bind(op, y, 1e-2).describe()
    assert "kappa = 0.920" in text


def test_lanczos_keeps_float64():
    """The ends of a spectrum over nine orders, to more digits than float32 has."""
    values = torch.tensor([1e-9, 1e-3, 0.3, 1.0], dtype=torch.float64)
    low, high = lanczos(lambda v: values * v, lambda v: v, (4,))
    assert low == pytest.approx(1e-9, rel=1e-5) and high == pytest.approx(1.0, rel=1e-14)
