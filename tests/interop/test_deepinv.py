"""Physics and priors of deepinv in solves, and operators of fastip as its physics."""

from __future__ import annotations

import pytest
import torch

import fastip
from cases.operators import draw
from cases.torchvision import stand_in
from fastip import interop, inverses, operators, priors
from fastip.errors import InvalidInput, Unsupported

stand_in()
dinv = pytest.importorskip("deepinv", reason="make test-deepinv installs it")
theirs = pytest.importorskip("deepinv.tests.test_physics")
pytestmark = pytest.mark.filterwarnings("ignore")
NEEDED = ("radio", "radio_weighted", "NonCartesianMRI", "MultiCoilMRIBirdcage", "pet_2d", "pet_3d")  # other packages
NAMES = [name for name in theirs.OPERATORS if name not in NEEDED]
TRANSLATED = {
    "CS": "Dense",
    "inpainting": "Mask",
    "demosaicing": "Mask",
    "denoising": "Identity",
    "colorize": "ToGray",
    "fftdeblur": "Blur",
    "deblur_valid": "Blur",
    "deblur_circular": "Blur",
    "deblur_constant": "Blur",
    "super_resolution_circular": "Blur",
    "super_resolution_constant": "Blur",
    "super_resolution_matlab": "Resize",
    "deblur_reflect": "DeepinvOperator",
    "MRI": "DeepinvOperator",
}


def found(name):
    physics, size, _, dtype = theirs.find_operator(name, "cpu")
    is_complex = dtype.is_complex
    x = torch.rand(1, *size, generator=torch.Generator().manual_seed(0))
    return physics, x * (1 + 1j) if is_complex else x, interop.from_deepinv(physics, size, complex_image=is_complex)


def test_enough_of_them():
    assert len(NAMES) >= 55


@pytest.mark.parametrize("name", NAMES)
def test_physics_in_a_solve(name):
    physics, x, op = found(name)
    assert type(op).__name__ == TRANSLATED.get(name, type(op).__name__)
    y = op(x)
    own = next((part.dtype for part in physics.buffers() if part.is_complex()), x.dtype)
    expected = physics.A(x.to(own) if x.is_complex() else x)
    if not isinstance(expected, torch.Tensor):
        expected = torch.cat([part.flatten(1) for part in expected], 1)
    assert (y - expected).norm() <= 1e-4 * expected.norm()
    inverse = inverses.ConjugateGradient(1e-5) if name.startswith("down_resolution") else "auto"
    beta = 0.5 * op.norm(tuple(x.shape)) ** 2
    solution = fastip.admm(y, op, priors.L2(0.1), beta=beta, inverse=inverse, tolerance=1e-4, iterations=300)
    gradient = op.adjoint(y - op(solution.x)) - 0.1 * solution.x
    assert gradient.norm() <= 1e-3 * op.adjoint(y).norm()


def test_a_closed_form_of_theirs_is_taken():
    physics, x, op = found("MRI")
    assert isinstance(op.own_inverse(), interop.ProxL2) and found("space_deblur_valid")[2].own_inverse() is None
    y = op(x)
    step = interop.ProxL2().bind(op, y, 0.3)
    assert torch.allclose(step.guess(), physics.prox_l2(0 * x, y, 1 / 0.3), atol=1e-5)
    assert isinstance(inverses.choose(op, y, 0.3, pointwise=True), interop.ProxL2)
    with pytest.raises(Unsupported, match="Identity is none"):
        interop.ProxL2().bind(operators.Identity(), x, 0.3)


def test_fingerprints_cover_buffers_and_settings():
    def made(padding="reflect", sigma=1.0):
        blur = dinv.physics.Blur(filter=dinv.physics.functional.gaussian_blur(sigma=(sigma, 1.0)), padding=padding)
        return interop.from_deepinv(blur, (1, 16, 16))

    op = made()
    assert op.lasting and op.fingerprint() == made().fingerprint()
    assert len({op.fingerprint(), made("replicate").fingerprint(), made(sigma=0.5).fingerprint()}) == 3
    assert not interop.from_deepinv(
        dinv.physics.LinearPhysics(A=lambda x, **_: 2 * x, A_adjoint=lambda y, **_: 2 * y), (1, 4, 4)
    ).lasting
    x = draw(2, 1, 16, 16)
    assert op(x).dtype == torch.float64
    leaf = x.clone().requires_grad_()
    op(leaf).square().sum().backward()
    assert torch.allclose(leaf.grad, 2 * op.adjoint(op(x)), atol=1e-4)


@pytest.mark.parametrize(
    "make", [lambda: operators.Blur(draw(3, 3), 2), lambda: operators.MaskedFourier(draw(8, 8) > 0)]
)
def test_an_operator_as_their_physics(make):
    op = make()
    physics, x = interop.to_deepinv(op, (1, 8, 8)), draw(2, 1, 8, 8)
    y = physics.A(x)
    z = draw(2, 1, 8, 8, seed=1)
    near = physics.prox_l2(z, y, 0.7)
    assert not y.is_complex()
    assert torch.allclose(0.7 * physics.A_adjoint(physics.A(near) - y) + near - z, torch.zeros_like(z), atol=1e-5)
    assert torch.allclose(physics.prox_l2(z, y, torch.full((2, 1, 1, 1), 0.7).double()), near, atol=1e-2)
    assert torch.allclose(physics.A(physics.A_dagger(y)), y, atol=1e-3)
    for call in (
        lambda: physics.A(x, filter=1),
        lambda: physics.update(mask=1),
        lambda: physics.prox_l2(z, y, 1, no=1),
    ):
        with pytest.raises(InvalidInput, match="this physics has no"):
            call()


def test_priors():
    y = draw(1, 1, 12, 12).abs().float()
    for theirs_, ours in ((dinv.optim.L1Prior(), priors.L1(0.2)), (dinv.optim.Tikhonov(), priors.L2(0.1))):
        prior = interop.prior_from_deepinv(theirs_, 0.2)
        solve = [fastip.admm(y, operators.Identity(), p, beta=1.0, tolerance=1e-6).x for p in (prior, ours)]
        assert torch.allclose(*solve, atol=1e-5) and torch.allclose(prior.value(y), ours.value(y))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: interop.from_deepinv(3, (1, 4, 4)), "without A and A_adjoint"),
        (lambda: interop.from_deepinv(theirs.find_operator("MRI", "cpu")[0], (1, 4, 4)), "does not take an image"),
        (lambda: interop.to_deepinv(3, (1, 4, 4)), "expected an operator"),
        (lambda: interop.to_deepinv(operators.Downsample(2), (1, 3, 3)), "does not divide"),
        (lambda: interop.prior_from_deepinv(dinv.optim.PnP(lambda x, s: x), 1.0), "priors.Denoiser"),
        (lambda: interop.prior_from_deepinv(3, 1.0), "no prox of its own"),
        (lambda: interop.prior_from_deepinv(dinv.optim.L1Prior(), -1.0), "weight is -1.0"),
    ],
)
def test_refused(make, message):
    with pytest.raises(InvalidInput, match=message):
        make()
