"""Training an inverse: the loss against dense matrices, what comes out, and what is refused before any work."""

from __future__ import annotations

import os
import sys

import pytest
import torch

import fastip
from fastip import inverses, nets, operators, priors, psf
from fastip.errors import FastipError, InvalidInput, UnknownKeyword, Unsupported
from fastip.inverses.examine import relative_residual
from fastip.train import inverse
from fastip.train.engine import loop, schedule
from fastip.train.losses.objective import Noise, Objective


def blur(boundary="circular", stride=2, size=5, sigma=1.0):
    return operators.Blur(psf.gaussian(size, sigma=sigma), stride=stride, boundary=boundary)


def small(boundary="circular", beta_range=None, seed=3):
    torch.manual_seed(seed)
    return nets.InverseNet(channels=(6,), sizes=(5,), boundary=nets.boundary_of(boundary), beta_range=beta_range)


def matrix(apply, n, m):
    """The dense matrix of a linear map of 1 x 1 x n x m grids, float64."""
    basis = torch.eye(n * m, dtype=torch.float64).view(n * m, 1, n, m)
    with torch.no_grad():
        return apply(basis).flatten(1).T


# ---- the loss --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("power", [1, 2, 3])
@pytest.mark.parametrize("boundary", ["circular", "valid", "zero", "reflect"])
def test_the_loss_of_a_linear_net_is_that_of_its_matrices(boundary, power):
    op, net, beta, scale = blur(boundary), small(boundary), 0.03, 1.7
    n, m = 7, 9
    e = torch.randn(3, 1, n, m, dtype=torch.float64)
    b = matrix(lambda v: beta * v + op(op.adjoint(v)), n, m)
    c = matrix(lambda v: net(v), n, m) / scale
    error = torch.linalg.matrix_power(torch.eye(n * m, dtype=torch.float64) - c @ b, power) @ e.flatten(1).T
    torch.testing.assert_close(
        Objective(net, op, scale)(e, beta, power), error.square().mean() ** (1 / power), rtol=1e-9, atol=0
    )


def test_the_loss_of_a_relu_net_has_both_terms():
    op, beta, scale = blur("valid"), 0.03, 0.4
    net = nets.PaperInverseNet(channels=(4, 6), boundary="zero")
    e = torch.randn(2, 1, 7, 8, dtype=torch.float64)

    def b(v):
        return beta * v + op(op.adjoint(v))

    expected = (e - net(b(e)) / scale).square().mean() + (e - b(net(e)) / scale).square().mean()
    torch.testing.assert_close(Objective(net, op, scale)(e, beta, 1), expected, rtol=1e-6, atol=0)


def test_each_image_has_its_own_beta():
    op, net = blur(), small(beta_range=(0.01, 1.0))
    with torch.no_grad():
        net.gains.last.weight.normal_()  # gains that do depend on beta
    e, betas = torch.randn(3, 1, 8, 6, dtype=torch.float64), torch.tensor([0.01, 0.2, 1.0], dtype=torch.float64)
    objective = Objective(net, op)
    alone = torch.stack([objective(e[i : i + 1], float(betas[i]), 1) for i in range(3)])
    torch.testing.assert_close(objective(e, betas, 1), alone.mean())
    assert alone.std() / alone.mean() > 0.01


@pytest.mark.parametrize("make", [small, lambda: nets.PaperInverseNet(channels=(4, 6))])
def test_no_other_factor_starts_better(make):
    op, net = blur(), make()
    e = torch.randn(4, 1, 10, 10)
    objective = Objective(net, op)
    objective.suit(e, 0.05)

    def loss(factor):
        with torch.no_grad():
            return float((e - factor * net(objective.inverse(e, 0.05))).square().mean())

    assert loss(1.0) < min(loss(0.97), loss(1.03)) and loss(1.0) < 1


def test_noise_is_a_function_of_seed_step_and_rank():
    noise = Noise((4, 1, 9, 7), (0.01, 1.0), 5, 100, 4)
    e, beta, power = noise(60, 1)
    again = noise(60, 1)
    assert torch.equal(e, again[0]) and torch.equal(beta, again[1]) and power == again[2]
    for other in (noise(61, 1), noise(60, 0), Noise((4, 1, 9, 7), (0.01, 1.0), 6, 100, 4)(60, 1)):
        assert (
            abs(float((e * other[0]).mean())) < 0.4 and not torch.equal(e, other[0]) and not torch.equal(beta, other[1])
        )
    many = Noise((2000, 1, 9, 7), (0.01, 1.0), 5, 100, 4)(0, 0)
    assert abs(float(many[0].mean())) < 0.02 and abs(float(many[0].var()) - 1) < 0.03
    logs = many[1].log10()
    assert (
        float(logs.min()) >= -2
        and float(logs.max()) <= 0
        and abs(float(logs.mean()) + 1) < 0.07
        and abs(float(logs.std()) - 2 / 12**0.5) < 0.05
    )


def test_the_schedules():
    rates = [schedule.learning_rate(k, 100, 3e-3) for k in range(101)]
    assert rates[0] == 3e-3 and rates[100] == pytest.approx(3e-5) and rates[50] == pytest.approx(0.505 * 3e-3)
    assert all(a > b for a, b in zip(rates, rates[1:], strict=False))
    assert [schedule.power(k, 12, 1) for k in range(12)] == [1] * 12
    assert [schedule.power(k, 12, 8) for k in range(12)] == [1] * 6 + [2, 2, 4, 4, 8, 8]
    assert [schedule.power(k, 8, 6) for k in range(8)] == [1] * 4 + [2, 2, 4, 6]
    assert [schedule.power(k, 1, 4) for k in range(1)] == [2]


# ---- what comes out --------------------------------------------------------------------------------------------------


def test_a_trained_inverse_is_good_frozen_and_knows_its_problem():
    op, net = blur(), small()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    told = []
    learned = inverse(
        op, 0.05, net=net, size=16, steps=250, learning_rate=1e-2, report=lambda step, loss: told.append((step, loss))
    )
    assert (
        all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
        and net.training
        and next(net.parameters()).requires_grad
    )
    assert not learned.net.training and not any(p.requires_grad for p in learned.net.parameters())
    untrained = inverses.examine(net, op, 0.05)
    assert learned.trained.accuracy < 0.02 < 0.3 < untrained.accuracy
    assert learned.trained.fingerprint == op.fingerprint() and learned.trained.beta == (0.05, 0.05)
    assert learned.trained == inverses.examine(learned.net, op, 0.05)
    assert told[0][0] == 1 and told[-1][0] == 250 and told[-1][1] < told[0][1] / 1000
    y = torch.rand(2, 1, 12, 9)
    exact = fastip.admm(
        y, op, priors.L1(weight=1e-3), beta=0.05, inverse=inverses.Exact(side="data"), iterations=200, tolerance=0
    )
    close = fastip.admm(y, op, priors.L1(weight=1e-3), beta=0.05, inverse=learned, iterations=200, tolerance=0)
    assert float((exact.x - close.x).norm() / exact.x.norm()) < 1e-4


def test_the_same_call_gives_the_same_bits_and_another_seed_does_not():
    one, two, three = (inverse(blur(), 0.05, size=12, batch=2, steps=5, seed=s).net.state_dict() for s in (1, 1, 2))
    assert all(torch.equal(one[name], two[name]) for name in one) and not torch.equal(
        one["kernels.0"], three["kernels.0"]
    )


def test_a_scaled_problem_trains_alike():
    """A -> a A, beta -> a^2 beta: the same C / a^2, whatever the size of a."""
    results = [
        inverse(
            a * blur("zero"), 0.05 * a**2, net=small("zero"), size=12, steps=60, learning_rate=1e-2
        ).trained.accuracy
        for a in (1.0, 1e-3, 1e3)
    ]
    assert (
        results[1] == pytest.approx(results[0], rel=0.05)
        and results[2] == pytest.approx(results[0], rel=0.05)
        and results[0] < 0.2
    )


def test_a_frozen_net_can_be_trained_on():
    """What load_inverse gives is the start of another training, whatever the gradient mode of the caller."""
    op = blur()
    first = inverse(op, 0.05, net=small(), size=12, steps=100, learning_rate=1e-2)
    with torch.no_grad():
        second = inverse(op, 0.06, net=first.net, size=12, steps=100, learning_rate=1e-2, seed=1)
    assert not torch.equal(first.net.kernels[0], second.net.kernels[0])
    assert second.trained.accuracy < 0.5 * inverses.examine(first.net, op, 0.06).accuracy


def test_one_net_serves_a_range():
    op, betas = blur(), (0.02, 2.0)
    conditioned = inverse(op, betas, net=small(beta_range=betas), size=12, steps=400, learning_rate=1e-2)
    single = inverse(op, 0.2, net=small(), size=12, steps=400, learning_rate=1e-2)

    def error(learned, beta):
        return inverses.examine(learned.net, op, beta).accuracy

    assert conditioned.trained.beta == betas and len(conditioned.trained.certificates) == 3
    for beta in betas:
        assert error(conditioned, beta) < 0.1 < error(single, beta)


def test_a_power_lifts_the_worst_mode():
    op = operators.Blur(psf.gaussian(5, sigma=1.2), boundary="valid")
    found = [
        inverse(op, 0.02, net=small("valid"), size=12, batch=4, steps=300, power=p, learning_rate=1e-2).trained
        for p in (1, 4)
    ]
    low = [trained.certificates[0].certificate.scaled().low for trained in found]
    assert low[1] > 1.15 * low[0] and found[1].accuracy < 0.3


def test_a_relu_net_trains():
    op, net = blur("valid"), nets.PaperInverseNet(channels=(8, 12), boundary="zero")
    before = relative_residual(net, op, 0.05)
    learned = inverse(op, 0.05, net=net, size=12, batch=4, steps=150)
    assert learned.trained.accuracy < min(0.5, before) and learned.trained.estimate is not None


@pytest.mark.parametrize("boundary", ["circular", "reflect"])
def test_a_psf_wider_than_the_grids_that_measure_it(boundary):
    """What can be trained can be measured: nothing is refused after the last step."""
    net = nets.PaperInverseNet(channels=(2, 2), boundary=boundary)
    assert (
        inverse(
            operators.Blur(psf.gaussian(27, sigma=1.0), boundary=boundary), 0.05, net=net, size=30, batch=1, steps=1
        ).trained.estimate
        is not None
    )
    wide = operators.Blur(psf.gaussian(71, sigma=1.0), boundary=boundary)
    assert inverse(
        wide, 0.05, net=nets.InverseNet(channels=(2,), sizes=(3,), boundary=boundary), size=72, batch=1, steps=1
    ).trained.certificates


def test_an_operator_that_fixes_its_size():
    op = operators.Mask(torch.ones(20, 20).tril()) @ operators.Blur(psf.gaussian(3, sigma=1.0))
    assert inverse(op, 0.5, net=small("zero"), size=20, batch=2, steps=3).trained.certificates
    with pytest.raises(InvalidInput, match="mask"):
        inverse(op, 0.5, net=small("zero"), size=24, batch=2, steps=3)


def test_colours_double_precision_and_operators_without_a_psf():
    op = blur()
    colour = inverse(op, 0.05, net=nets.PaperInverseNet(colours=3, channels=(4, 6)), size=8, batch=2, steps=3)
    assert colour.net.colours == 3
    double = inverse(op, 0.05, net=small(), size=8, batch=2, steps=3, precision="64-true")
    assert all(p.dtype == torch.float64 for p in double.net.parameters())
    chain = blur() @ operators.Blur(psf.motion(3, 30.0))
    assert inverse(chain, 0.05, size=16, steps=30).trained.fingerprint == chain.fingerprint()


# ---- what is refused -------------------------------------------------------------------------------------------------

BAD = {
    "beta zero": (dict(beta=0.0), "beta is 0"),
    "beta negative": (dict(beta=(-1.0, 1.0)), "beta is -1"),
    "beta reversed": (dict(beta=(1.0, 0.1)), "swap"),
    "beta of three": (dict(beta=(1.0, 2.0, 3.0)), "two for a range"),
    "beta a text": (dict(beta="much"), "expected a number"),
    "range for a net without": (dict(beta=(0.1, 1.0), net=small()), "takes no beta"),
    "range beyond the net": (dict(beta=(0.1, 1.0), net=small(beta_range=(0.2, 1.0))), "takes 0.2 to 1"),
    "net of another boundary": (dict(net=small("valid")), "boundary='circular'"),
    "no net": (dict(net=torch.nn.Conv2d(1, 1, 3)), "Conv2d"),
    "power of a relu net": (dict(net=nets.PaperInverseNet(), power=2), "not linear"),
    "power zero": (dict(power=0), "power"),
    "no steps": (dict(steps=0), "steps"),
    "half a step": (dict(steps=2.5), "steps"),
    "batch zero": (dict(batch=0), "batch"),
    "tiny size": (dict(size=1), "size"),
    "negative seed": (dict(seed=-1), "seed"),
    "learning rate zero": (dict(learning_rate=0.0), "learning_rate"),
    "learning rate NaN": (dict(learning_rate=float("nan")), "learning_rate"),
    "never saved": (dict(save_every=0), "save_every"),
    "no devices": (dict(devices=0), "devices"),
    "too many gpus": (dict(accelerator="cuda", devices=99), "accelerator 'cuda'"),
    "unknown accelerator": (dict(accelerator="abacus"), "abacus"),
    "half precision": (dict(precision="16-true"), "32-true"),
    "suffix": (dict(output="c.pt"), "suffix"),
    "folder missing": (dict(output="no/c.safetensors"), "create it first"),
    "complex data": (dict(op=operators.MaskedFourier(torch.ones(8, 8))), "real data|complex"),
    "psf larger than the patch": (dict(op=operators.Blur(psf.gaussian(21, sigma=3.0)), size=8), "psf"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_values_are_refused_before_any_work(tmp_path, monkeypatch, case):
    given, message = BAD[case]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(loop, "fit", lambda *arguments: pytest.fail("trained in vain"))
    options = {"op": blur(), "beta": 0.05, "size": 8, "output": "c.safetensors"} | given
    with pytest.raises(FastipError, match=message):
        inverse(options.pop("op"), options.pop("beta"), **options)
    assert os.listdir(tmp_path) == []


def test_misspelt_keywords_and_a_missing_extra(monkeypatch):
    with pytest.raises(UnknownKeyword, match="'steps'"):
        inverse(blur(), 0.1, step=3)
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    with pytest.raises(Unsupported, match=r"pip install 'fastip\[train\]'"):
        inverse(blur(), 0.1, steps=3)


def test_a_diverging_training_says_so_and_leaves_no_weights(tmp_path):
    with pytest.raises(loop.Diverged, match="lower the learning rate"):
        inverse(
            blur(),
            0.05,
            net=small(),
            size=8,
            steps=300,
            learning_rate=1e4,
            output=tmp_path / "c.safetensors",
            save_every=1,
        )
    assert not (tmp_path / "c.safetensors").exists()
    assert issubclass(loop.Diverged, FastipError) and not issubclass(loop.Diverged, InvalidInput)


# ---- several processes -----------------------------------------------------------------------------------------------


def test_two_processes_average_their_gradients(tmp_path):
    op, noise = blur(), Noise((3, 1, 10, 10), (0.05, 0.05), 0, 3, 1)
    learned = inverse(
        op,
        0.05,
        net=small(),
        size=10,
        batch=3,
        steps=3,
        devices=2,
        accelerator="cpu",
        output=tmp_path / "c.safetensors",
    )
    objective = Objective(small(), op)
    objective.suit(*noise(0, 0)[:2])
    adam = torch.optim.Adam(objective.parameters())
    for step in range(3):
        adam.param_groups[0]["lr"] = schedule.learning_rate(step, 3, 3e-3)
        adam.zero_grad()
        (sum(objective(*noise(step, rank)) for rank in (0, 1)) / 2).backward()
        adam.step()
    objective.net.rescale(1 / float(objective.scale))
    for name, tensor in objective.net.state_dict().items():
        torch.testing.assert_close(learned.net.state_dict()[name], tensor, rtol=1e-4, atol=1e-6)
    assert sorted(os.listdir(tmp_path)) == ["c.json", "c.safetensors", "c.tensorboard"]
