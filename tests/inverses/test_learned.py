"""Networks as inverses: stencils equal to the layers, certificates, refusals, and the exact answer inside admm."""

import functools
import math
from pathlib import Path

import pytest
import torch

import fastip
from cases.checks import noise
from cases.problems import fista, gaussian, motion, objective, observe, spikes
from fastip import inverses, nets, operators, priors
from fastip.errors import InvalidInput
from fastip.inverses import auto, collapsed
from fastip.inverses.examine import certify, forward_map, relative_residual, worst_error
from fastip.operators import psf

BETA = 1e-2


@functools.cache
def trained(problem, stride, boundary, *, paper=False, steps=150):
    """A network after a short training on noise; (operator, network)."""
    op = motion(boundary) if problem == "motion" else gaussian(stride, boundary)
    torch.manual_seed(3)
    net = (nets.PaperInverseNet if paper else nets.InverseNet)(boundary=nets.boundary_of(boundary))
    adam = torch.optim.Adam(net.parameters(), 3e-3)
    apply = forward_map(op, BETA)
    for k in range(steps):
        e = torch.randn(4, 1, 24, 24, generator=torch.Generator().manual_seed(k))
        image = apply(e)
        if k == 0:
            guess = net(image).detach()
            net.rescale(
                float((e * guess).sum() / guess.square().sum()) if not paper else float(e.norm() / guess.norm())
            )
        loss = (e - net(image)).square().mean() + (e - apply(net(e))).square().mean() * paper
        adam.zero_grad()
        loss.backward()
        adam.step()
    return op, net.requires_grad_(False)


@pytest.mark.parametrize(
    "structure",
    [
        {},
        {"channels": (8, 9), "sizes": (3, 5)},
        {"channels": (32,), "sizes": (7,)},
        {"channels": (4,), "sizes": (1,)},
        {"channels": (40, 40), "sizes": (5, 1)},
    ],
)
@pytest.mark.parametrize("boundary", ["zero", "reflect"])
def test_stencils_near_borders_equal_the_layers(boundary, structure):
    net = nets.InverseNet(boundary=boundary, **structure).requires_grad_(False)
    small = max(collapsed.Bordered.smallest(net), 3)
    assert collapsed.worth_collapsing(net)
    for shape in [(2, 3, small, small + 1), (1, 1, 61, 40)]:
        r = noise(shape)
        torch.testing.assert_close(collapsed.Bordered(net, BETA, r)(r), net(r))
    r = noise((1, 2, 64, 41))
    torch.testing.assert_close(
        collapsed.Bordered(net, BETA, r.float())(r.float()).double(), net(r), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("side", [12, 37])
@pytest.mark.parametrize(
    "problem, stride, boundary",
    [
        ("gauss", 4, "circular"),
        ("gauss", 2, "valid"),
        ("motion", 1, "valid"),
        ("gauss", 2, "zero"),
        ("motion", 1, "reflect"),
    ],
)
def test_the_bound_step_applies_the_network(problem, stride, boundary, side):
    """Whatever form was chosen, on grids below and above the size for stencils, scaled by the certificate."""
    op, net = trained(problem, stride, boundary)
    y = noise((2, 3, side, side + 1))
    step = inverses.Learned(net).bind(op, y, BETA)
    scale = inverses.Learned(net).certificate(op, y, BETA).scale()
    torch.testing.assert_close(step.apply(y), scale * net(y))
    x = noise(op.input_shape(tuple(y.shape)), seed=2)
    q, r = step(x, y)
    torch.testing.assert_close(r, y - op(x) - BETA * y)
    torch.testing.assert_close(q, y + scale * net(r))


@pytest.mark.parametrize(
    "problem, stride, boundary",
    [("gauss", 4, "circular"), ("gauss", 2, "valid"), ("motion", 1, "valid"), ("gauss", 1, "zero")],
)
def test_the_certificate_is_that_of_the_dense_matrices(problem, stride, boundary):
    op, net = trained(problem, stride, boundary)
    shape = (1, 1, 11, 9)
    identity = torch.eye(99, dtype=torch.float64).view(99, 1, 11, 9)
    c, g = net(identity).flatten(1), op(op.adjoint(identity)).flatten(1)
    found = certify(net, op, shape, BETA, 1.6)
    root = torch.linalg.cholesky(c)
    kappa = torch.linalg.eigvalsh(root.T @ (0.8 * BETA * torch.eye(99, dtype=torch.float64) + 0.96 * g) @ root)[-1]
    product = torch.linalg.eigvalsh(root.T @ (BETA * torch.eye(99, dtype=torch.float64) + g) @ root)
    assert found.kappa == pytest.approx(float(kappa), rel=2e-3)
    assert (found.low, found.high) == pytest.approx((float(product[0]), float(product[-1])), rel=2e-3)


@pytest.mark.parametrize(
    "problem, stride, boundary, paper",
    [
        ("gauss", 4, "circular", False),
        ("gauss", 4, "circular", True),
        ("gauss", 4, "valid", False),
        ("gauss", 4, "valid", True),
    ],
)
def test_admm_reaches_the_exact_optimum(problem, stride, boundary, paper):
    """A short training is enough: the update corrects the inverse.

    The same network without the correction stays away.
    """
    op, net = trained("gauss", 4, boundary, paper=paper)
    x = spikes(1, 1, *op.input_shape((1, 1, 10, 9))[2:])
    y, l1 = observe(op, x), 1e-2
    best = objective(op, y, fista(op, y, l1, op.norm(tuple(x.shape))), l1)
    learned = inverses.Learned(net)
    solution = fastip.admm(y, op, priors.L1(l1), beta=BETA, inverse=learned, iterations=1500, tolerance=0)
    assert objective(op, y, solution.x, l1) == pytest.approx(best, rel=1e-6)
    left = fastip.admm(
        y, op, priors.L1(l1), beta=BETA, inverse=inverses.Uncorrected(learned), iterations=1500, tolerance=0
    )
    assert not objective(op, y, left.x, l1) == pytest.approx(best, rel=1e-6)


def test_a_certificate_that_asks_for_it_scales_the_network():
    op, net = trained("motion", 1, "valid")
    louder = nets.build(nets.INVERSE_NETS, "InverseNet", net.config()).requires_grad_(False)
    louder.load_state_dict(net.state_dict())
    louder.rescale(5.0)
    y = noise((1, 1, 24, 24))
    first, second = (inverses.Learned(n).certificate(op, y, BETA) for n in (net, louder))
    assert second.kappa == pytest.approx(5 * first.kappa, rel=1e-3) and second.scale() < 1
    scaled = inverses.Learned(louder).bind(op, y, BETA).apply(y)
    torch.testing.assert_close(scaled, 5 * second.scale() * net(y))


def test_the_circular_network_runs_fused(compiled):
    op, net = trained("gauss", 4, "circular")
    y = noise((1, 3, 16, 16), torch.float32)
    told = fastip.explain(op, priors.L1(1e-2), y, inverse=inverses.Learned(net), beta=BETA)
    assert "learned inverse" in told and "loop: fused" in told
    visible = fastip.admm(
        y,
        op,
        priors.L1(1e-2),
        beta=BETA,
        inverse=inverses.Learned(net),
        iterations=20,
        tolerance=0,
        callback=lambda state: None,
    )
    fused = fastip.admm(y, op, priors.L1(1e-2), beta=BETA, inverse=inverses.Learned(net), iterations=20, tolerance=0)
    torch.testing.assert_close(fused.x, visible.x, rtol=1e-4, atol=1e-5)


def test_what_it_was_trained_for_is_checked():
    op, net = trained("gauss", 4, "circular")
    learned = inverses.Learned(net, trained=inverses.examine(net, op, BETA))
    y = noise((1, 1, 12, 12))
    learned.bind(op, y, BETA)
    with pytest.raises(InvalidInput, match="another operator"):
        learned.bind(gaussian(4, "circular", sigma=1.7), y, BETA)
    with pytest.raises(InvalidInput, match="another operator"):
        learned.bind(gaussian(4, "valid"), y, BETA)
    with pytest.raises(InvalidInput, match="trained for 0.01"):
        fastip.admm(y, op, priors.L1(1e-2), beta=2e-2, inverse=learned)
    with pytest.raises(InvalidInput, match="trained for 0.01"):
        fastip.admm(y, op, priors.L1(1e-2), beta=[BETA, BETA / 2], inverse=learned)
    with pytest.raises(InvalidInput, match="network"):
        inverses.Learned("c.safetensors")


def test_a_range_of_beta_is_one_network():
    op, _ = trained("gauss", 4, "circular")
    net = nets.InverseNet(beta_range=(1e-3, 1e-1))
    torch.nn.init.normal_(net.gains.last.weight, std=0.3)
    net.requires_grad_(False)
    record = inverses.examine(net, op, (1e-3, 1e-1))
    assert [stored.beta for stored in record.certificates] == pytest.approx([1e-3, 1e-2, 1e-1])
    learned, y = inverses.Learned(net, trained=record), noise((1, 1, 12, 12))
    for beta in (1e-3, 7e-3, 1e-1):
        scale = learned.certificate(op, y, beta).scale()
        torch.testing.assert_close(learned.bind(op, y, beta).apply(y), scale * net(y, beta))
    with pytest.raises(InvalidInput, match="0.001 to 0.1"):
        learned.bind(op, y, 0.2)


def halve_in_place(net):
    net.rescale(0.5)


def halve_behind_its_back(net):
    net.log_scale.data.add_(math.log(0.5))


def halve_by_another_parameter(net):
    net.log_scale = torch.nn.Parameter(net.log_scale.detach() + math.log(0.5), requires_grad=False)


@pytest.mark.parametrize("halve", [halve_in_place, halve_behind_its_back, halve_by_another_parameter])
@pytest.mark.parametrize("problem, stride, boundary, side", [("gauss", 4, "circular", 12), ("motion", 1, "valid", 130)])
def test_changed_weights_are_certified_again(problem, stride, boundary, side, halve):
    """However they were changed, and although there is a record of what they were."""
    op, net = trained(problem, stride, boundary)
    own = nets.build(nets.INVERSE_NETS, "InverseNet", net.config()).requires_grad_(False)
    own.load_state_dict(net.state_dict())
    learned, y = inverses.Learned(own, trained=inverses.examine(own, op, BETA)), noise((1, 1, side, side))
    first, before = (
        learned.certificate(op, y, BETA),
        learned.bind(op, y, BETA).apply(y) / learned.certificate(op, y, BETA).scale(),
    )
    assert learned.unchanged
    halve(own)
    assert not learned.unchanged
    second = learned.certificate(op, y, BETA)
    assert second.kappa == pytest.approx(first.kappa / 2, rel=1e-2)
    torch.testing.assert_close(learned.bind(op, y, BETA).apply(y) / second.scale(), before / 2)


def test_inference_mode():
    op, net = trained("gauss", 4, "valid")
    with torch.inference_mode():
        own = nets.build(nets.INVERSE_NETS, "InverseNet", net.config()).requires_grad_(False)
        own.load_state_dict(net.state_dict())
        y = noise((1, 1, 12, 12))
        inside = fastip.admm(
            y, op, priors.L1(1e-2), beta=BETA, inverse=inverses.Learned(own), iterations=5, tolerance=0
        ).x
    torch.testing.assert_close(
        fastip.admm(
            noise((1, 1, 12, 12)),
            op,
            priors.L1(1e-2),
            beta=BETA,
            inverse=inverses.Learned(own),
            iterations=5,
            tolerance=0,
        ).x,
        inside,
    )


def test_a_solve_can_be_differentiated_in_the_weights():
    op, net = trained("gauss", 2, "valid")
    own = nets.build(nets.INVERSE_NETS, "InverseNet", net.config()).double()
    own.load_state_dict(net.state_dict())
    y = noise((1, 1, 7, 8))
    x = fastip.admm(y, op, priors.L2(0.1), beta=BETA, inverse=inverses.Learned(own), iterations=3, tolerance=0).x
    x.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in own.parameters())


def test_the_worst_error_of_a_linear_network_is_its_largest_eigenvalue():
    """Gradient ascent finds what the spectrum says, so it can be believed where there is none."""
    op, net = trained("gauss", 4, "circular")
    c = inverses.Learned(net).certificate(op, torch.zeros(1, 1, 24, 24), BETA)
    assert 0.9 * c.rho < worst_error(net, op, BETA, steps=200) <= c.rho * (1 + 1e-6)
    e = noise((8, 1, 64, 64), seed=0)
    expected = (e - net(BETA * e + op(op.adjoint(e)))).norm() / e.norm()
    assert relative_residual(net, op, BETA) == pytest.approx(float(expected), rel=0.1)


def test_a_diverging_network_is_stopped():
    """Not linear, so not certified: the solver's watch says so."""
    op, _ = trained("motion", 1, "valid")
    torch.manual_seed(0)
    net = nets.PaperInverseNet(boundary="zero").requires_grad_(False)
    net.rescale(1e4)
    y = observe(op, spikes(1, 1, 30, 30))
    solution = fastip.admm(y, op, priors.L1(1e-2), beta=BETA, inverse=inverses.Learned(net), iterations=400)
    assert solution.status is fastip.Status.UNSTABLE and solution.iterations < 400


def test_auto_considers_what_was_offered(monkeypatch):
    monkeypatch.setattr(auto, "_offered", {})
    op, net = trained("motion", 1, "valid", steps=400)
    learned = inverses.Learned(net, trained=inverses.examine(net, op, BETA))
    y = noise((1, 1, 100, 100), torch.float32)
    assert isinstance(auto.choose(op, y, BETA, pointwise=False), inverses.Stencil)
    inverses.offer(learned)
    assert auto.choose(op, y, BETA, pointwise=False) is learned
    assert isinstance(auto.choose(op, y, BETA, pointwise=True), inverses.Stencil), (
        "a pointwise prior runs fused with a stencil"
    )
    assert isinstance(auto.choose(op, y, 3e-2, pointwise=False), inverses.Stencil), "another beta"
    with pytest.raises(InvalidInput, match="training record"):
        inverses.offer(inverses.Learned(net))


def test_operators_that_are_no_convolution():
    """A mask after a blur: no stencil, no FFT; certified on the data's own grid."""
    keep = (torch.rand(20, 21, generator=torch.Generator().manual_seed(0)) < 0.7).double()
    op = operators.Mask(keep) @ operators.Blur(psf.gaussian(5, sigma=1.0))
    net = nets.InverseNet(boundary="zero").requires_grad_(False)
    y = op(spikes(1, 1, 20, 21))
    learned = inverses.Learned(net)
    assert learned.certificate(op, y, 0.1).kappa > 0
    best = objective(op, y, fista(op, y, 1e-2, op.norm((1, 1, 20, 21))), 1e-2)
    solution = fastip.admm(y, op, priors.L1(1e-2), beta=0.1, inverse=learned, iterations=4000, tolerance=0)
    assert objective(op, y, solution.x, 1e-2) == pytest.approx(best, rel=1e-6)


def test_data_that_are_no_real_images_are_refused():
    op = operators.MaskedFourier(torch.ones(8, 8))
    with pytest.raises(InvalidInput, match="y is complex"):
        inverses.Learned(nets.InverseNet()).bind(op, torch.zeros(1, 1, 8, 8, dtype=torch.complex64), 0.1)
    with pytest.raises(InvalidInput, match="y is real of shape"):
        fastip.admm(
            torch.zeros(1, 5),
            operators.Dense(torch.randn(5, 9)),
            priors.L1(0.1),
            beta=0.1,
            inverse=inverses.Learned(nets.InverseNet()),
        )
    with pytest.raises(InvalidInput, match="multiple of 3"):
        inverses.Learned(nets.PaperInverseNet(colours=3)).bind(gaussian(4, "circular"), torch.zeros(1, 2, 8, 8), 0.1)


SHIPPED = {path.stem: path for path in (Path(fastip.__file__).parent / "weights" / "inverses").glob("*.safetensors")}


def test_the_shipped_inverses_are_what_their_records_say():
    """Each loads and has its training log; those for x4 meet 1e-4 and 0.2 on fresh noise."""
    assert {"gaussian-x4-circular", "gaussian-x4-circular-paper", "motion-valid", "gaussian-valid"} <= SHIPPED.keys()
    ops = {"gaussian-x4-circular": gaussian(4, "circular"), "gaussian-x4-circular-paper": gaussian(4, "circular")}
    ops |= {"motion-valid": motion("valid"), "gaussian-valid": gaussian(1, "valid")}
    for name, path in SHIPPED.items():
        learned = fastip.load_inverse(path)
        assert path.with_suffix(".json").exists() and learned.trained.beta == (BETA, BETA)
        if name in ops:
            assert relative_residual(learned.net, ops[name], BETA, seed=7) == pytest.approx(
                learned.trained.accuracy, rel=0.1
            )
    assert fastip.load_inverse(SHIPPED["gaussian-x4-circular"]).trained.accuracy <= 1e-4
    assert fastip.load_inverse(SHIPPED["gaussian-x4-circular-paper"]).trained.accuracy <= 0.2


@pytest.mark.parametrize("name", ["gaussian-x4-circular", "gaussian-x4-circular-paper"])
def test_the_shipped_inverses_reach_the_optimum(name):
    op = gaussian(4, "circular")
    y = observe(op, spikes(1, 1, 64, 64))
    best = objective(op, y, fista(op, y, 1e-2, op.norm((1, 1, 64, 64))), 1e-2)
    solution = fastip.admm(
        y, op, priors.L1(1e-2), beta=BETA, inverse=fastip.load_inverse(SHIPPED[name]), iterations=300, tolerance=0
    )
    assert objective(op, y, solution.x, 1e-2) == pytest.approx(best, rel=1e-6)
