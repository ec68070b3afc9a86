"""Training the encoder of a projector.

Each term of the loss against its formula and gradient, replayed by hand, continued after a stop, refusals.
"""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
import torch
from torch.func import functional_call, jacrev, vmap

from cases.generators import Linear, dcgan, encoder, pictures, same, stop_at
from fastip import checkpoint, data, metrics, nets, priors
from fastip.errors import InvalidInput, UnknownKeyword
from fastip.train import encoder as encoder_of
from fastip.train import projector
from fastip.train.engine import loop, schedule
from fastip.train.losses.projection import Draw, Projection, Score, Terms


def start(seed=5, width=2, outputs=5):
    torch.manual_seed(seed)
    return nets.DCGANEncoder(width=width, outputs=outputs)


def train(output=None, **changed):
    options = {"steps": 8, "batch": 4, "seed": 1, "progress": False, "accelerator": "cpu", "output": output} | changed
    return projector(options.pop("generator", None) or dcgan(), options.pop("encoder", None) or start(), **options)


# ---- what is minimised -----------------------------------------------------------------------------------------------


def test_what_is_drawn_depends_on_the_step_alone():
    draw = Draw(600, 5, (1, 28, 28), (0.2, 0.8), None, 1)
    assert all(torch.equal(a, b) for a, b in zip(draw(3, 0), draw(3, 0), strict=True))
    assert not torch.equal(draw(3, 0)[0], draw(3, 1)[0]) and not torch.equal(draw(3, 0)[0], draw(4, 0)[0])
    z, e, pictures = draw(0, 0)
    assert z.shape == (600, 5) and e.shape == (600, 1, 28, 28) and pictures.shape == (0, 1, 28, 28)
    levels = e.flatten(1).std(dim=1)
    assert (
        abs(e.mean()) < 0.01
        and 0.17 < levels.min() < 0.23
        and 0.76 < levels.max() < 0.86
        and abs(levels.mean() - 0.5) < 0.03
    )


def test_real_pictures_are_projected_near_themselves():
    """They take part in the loss of the image and in no other; half of each batch is theirs."""
    g, net = dcgan().double(), start().double().train().requires_grad_()
    real = torch.rand(2, 1, 28, 28, dtype=torch.float64)
    z, e, given = (part.double() for part in Draw(3, 5, g.shape, (0.3, 0.3), None, 1).beside(real, 7))
    assert e.shape == (5, 1, 28, 28) and torch.equal(given, real)
    twin = copy.deepcopy(net)
    value = Projection(nets.Projector(g, net), Terms(0.7, 0.0, 0.0), 0.9)(z, e, real)
    x = torch.cat([g(z), real])
    code = twin(x + e)
    torch.testing.assert_close(value, (g(code) - x).square().mean() + 0.7 * (code[:3] - z).square().mean())
    shades = data.Stored(np.random.default_rng(0).integers(0, 255, (9, 1, 28, 28), np.uint8), np.zeros(9))
    alone, beside = train(noise=0.3), train(noise=0.3, images=shades, validation=shades)
    assert not same(alone.net.encoder, beside.net.encoder)


def pieces(g, net, z, e):
    """x, w, the code, P(w) and the transpose of G's Jacobian times w - P(w), by autograd's Jacobians."""
    x = g(z)
    w = x + e
    code = net(w)
    projected = g(code)
    jacobian = vmap(jacrev(lambda c: g(c[None])[0]))(code)
    slope = torch.einsum("bchwk,bchw->bk", jacobian, w - projected)
    return x, w, code, projected, slope


@pytest.mark.parametrize("name", ["image", "latent", "idempotence", "orthogonality", "all"])
def test_each_term_and_its_gradient(name):
    """The gradient is of the whole term: of w - P(w) too, and of the second pass.

    The running statistics are those of noisy images alone.
    """
    g, net = dcgan().double(), encoder().double().train().requires_grad_()
    z, e, none = (part.double() for part in Draw(3, 5, g.shape, (0.3, 0.3), None, 1)(0, 0))
    weights = {"latent": 0.0, "idempotence": 0.0, "orthogonality": 0.0}
    weights = {key: 0.7 + 0.2 * i if name in (key, "all") else 0.0 for i, key in enumerate(weights)}
    twin = copy.deepcopy(net)
    loss = Projection(nets.Projector(g, net), Terms(**weights), 0.9)
    value = loss(z, e, none)
    x, w, code, projected, slope = pieces(g, twin, z, e)
    after = copy.deepcopy(dict(twin.named_buffers()))
    terms = {
        "latent": (code - z).square().mean(),
        "idempotence": (g(functional_call(twin.eval(), {}, projected)) - projected).square().mean(),
        "orthogonality": slope.square().mean(),
    }
    expected = (projected - x).square().mean() + sum(weights[key] * term for key, term in terms.items())
    torch.testing.assert_close(value, expected)
    assert set(loss.terms) == {"image"} | {key for key, weight in weights.items() if weight}
    for key, term in loss.terms.items():
        torch.testing.assert_close(term, ((projected - x).square().mean() if key == "image" else terms[key]).detach())
    value.backward()
    for p, gradient in zip(net.parameters(), torch.autograd.grad(expected, list(twin.parameters())), strict=True):
        torch.testing.assert_close(p.grad, gradient, rtol=1e-7, atol=1e-12)
    for key, buffer in net.named_buffers():
        torch.testing.assert_close(buffer, after[key])
    assert net.training and not g.training


def test_a_corrector_is_trained_with_the_encoder():
    """The image and the latent vector of both passes count the same; the other terms are those of the last pass."""
    g, net, second = (
        dcgan().double(),
        encoder().double().train().requires_grad_(),
        encoder(seed=2, colours=2).double().train().requires_grad_(),
    )
    z, e, none = (part.double() for part in Draw(3, 5, g.shape, (0.3, 0.3), None, 1)(0, 0))
    twins = copy.deepcopy((net, second))
    value = Projection(nets.Projector(g, net, second), Terms(0.7, 0.4, 0.3), 0.9)(z, e, none)
    x = g(z)
    w = x + e
    codes = [twins[0](w)]
    codes.append(codes[0] + twins[1](torch.cat([w, g(codes[0])], dim=1)))
    expected = sum((g(code) - x).square().mean() / 2 + 0.7 * (code - z).square().mean() / 2 for code in codes)
    last = g(codes[1])
    jacobian = vmap(jacrev(lambda c: g(c[None])[0]))(codes[1])
    expected = expected + 0.3 * torch.einsum("bchwk,bchw->bk", jacobian, w - last).square().mean()
    again = nets.Projector(g, *(twin.eval() for twin in twins))(last)
    expected = expected + 0.4 * (again - last).square().mean()
    torch.testing.assert_close(value, expected)
    value.backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in second.parameters())


def test_a_corrector_comes_nearer():
    """Trained, its pass is nearer than the one before; both encoders come out trained, and are read back."""
    g = dcgan()
    made = train(
        generator=g,
        encoder=start(width=6),
        corrector=encoder_of(g, images=2, width=6),
        steps=400,
        batch=32,
        noise=0.1,
        learning_rate=3e-3,
        average=0.9,
    )
    z, e, _ = Draw(200, 5, g.shape, (0.1, 0.1), None, 77)(0, 0)
    x = g(z)
    with torch.no_grad():
        first, second = ((image - x).square().mean() for _, image in made.net.passes(x + e))
    assert second < 0.95 * first


def test_orthogonality_alone_teaches_a_linear_projection():
    """For G z = W z + c the term is |W^T (w - P(w))|^2.

    It is zero for the orthogonal projection alone, so its gradient must not vanish elsewhere.
    """
    g = Linear((1, 28, 28), 5)
    net = encoder().double().train().requires_grad_()
    z, e, none = (part.double() for part in Draw(3, 5, g.shape, (0.3, 0.3), None, 1)(0, 0))
    w = g(z) + e
    loss = (
        Projection(nets.Projector(g, net), Terms(0.0, 0.0, 1.0), 0.9)(z, e, none) - (g(net(w)) - g(z)).square().mean()
    )
    gradients = torch.autograd.grad(loss, list(net.parameters()))
    assert max(gradient.abs().max() for gradient in gradients) > 1e-4


def test_the_generator_is_left_alone():
    g, net = dcgan(), start()
    projection = Projection(nets.Projector(g, net), Terms(0.1, 0.1, 0.1), 0.9)
    before = copy.deepcopy(g.state_dict())
    projection(*Draw(3, 5, g.shape, (0.3, 0.3), None, 1)(0, 0)).backward()
    assert all(torch.equal(before[name], tensor) for name, tensor in g.state_dict().items())
    assert not any("fixed" in name or "generator" in name for name in projection.state_dict()) and all(
        p.grad is not None for p in net.parameters()
    )


def test_the_steps_are_those_of_adam():
    steps, seen = 5, []
    options = {"noise": 0.4, "latent": 0.05, "idempotence": 0.1, "learning_rate": 2e-3, "average": 0.6, "steps": steps}
    made = train(**options, report=lambda step, value: seen.append(value))
    g, net = dcgan(), start()
    projection, draw = (
        Projection(nets.Projector(g, net), Terms(0.05, 0.1, 0.0), 0.6),
        Draw(4, 5, g.shape, (0.4, 0.4), None, 1),
    )
    mean, adam, losses = copy.deepcopy(net), torch.optim.Adam(net.parameters()), []
    for step in range(steps):
        adam.param_groups[0]["lr"] = schedule.learning_rate(step, steps, 2e-3)
        adam.zero_grad()
        loss = projection(*draw(step, 0))
        loss.backward()
        adam.step()
        losses.append(loss.item())
        share = 1 - min(0.6, (1 + step) / (10 + step))
        for a, p in zip(mean.parameters(), net.parameters(), strict=True):
            a.data.lerp_(p.data, share)
    assert seen == pytest.approx(losses, rel=1e-5)
    for (name, p), q in zip(made.net.encoder.named_parameters(), mean.parameters(), strict=True):
        torch.testing.assert_close(p, q.data, rtol=1e-3, atol=2e-6, msg=lambda text, name=name: f"{name}: {text}")
    for kept, buffer in zip(made.net.encoder.buffers(), net.buffers(), strict=True):
        torch.testing.assert_close(kept, buffer, rtol=1e-4, atol=1e-5)


def test_a_projector_learns():
    """It brings noisy images of the generator back, far better than the encoder that it began with."""
    g = dcgan()
    made = train(generator=g, encoder=start(width=6), steps=250, batch=32, noise=0.1, learning_rate=3e-3, average=0.9)
    z, e, _ = Draw(100, 5, g.shape, (0.1, 0.1), None, 77)(0, 0)
    x = g(z)
    w = x + e
    with torch.no_grad():
        gains = [
            float(metrics.psnr(net(w), x).mean() - metrics.psnr(w, x).mean())
            for net in (made.net, nets.Projector(g, start(width=6).eval()))
        ]
    assert gains[0] > 5 and gains[0] > gains[1] + 3


# ---- what comes out --------------------------------------------------------------------------------------------------


def test_copies_are_trained_and_what_comes_out_is_frozen():
    g, net = dcgan(), start()
    before = copy.deepcopy((g, net))
    made = train(generator=g, encoder=net)
    assert same(g, before[0]) and same(net, before[1]) and net.training
    assert isinstance(made, priors.Projector) and same(made.net.generator, g) and not same(made.net.encoder, net)
    assert not made.net.training and not any(p.requires_grad for p in made.net.parameters())


@pytest.mark.parametrize(
    "precision, dtype", [("64-true", torch.float64), ("32-true", torch.float32), ("bf16-mixed", torch.float32)]
)
@pytest.mark.parametrize("given", [torch.float32, torch.float64], ids=str)
def test_generator_and_encoder_come_out_in_one_precision(precision, dtype, given):
    made = train(generator=dcgan().to(given), precision=precision, steps=2)
    assert {p.dtype for p in made.net.parameters()} == {dtype}
    assert made.net(torch.rand(2, 1, 28, 28, dtype=dtype)).dtype == dtype


def test_the_default_encoder_is_the_mirror():
    g = dcgan(width=4)
    one, two, other = (
        projector(g, steps=1, batch=2, seed=seed, average=0.0, progress=False, accelerator="cpu") for seed in (1, 1, 2)
    )
    assert one.net.encoder.config() == {"colours": 1, "size": 28, "width": 4, "outputs": 5}
    assert same(one.net, two.net) and not same(one.net, other.net)


def test_the_score_is_the_mean_psnr():
    g, net = dcgan(), encoder()
    projection, draw = (
        Projection(nets.Projector(g, net), Terms(0.0, 0.0, 0.0), 0.9),
        Draw(4, 5, g.shape, (0.4, 0.4), None, 1),
    )
    score, shown = Score(projection, draw, None)()
    z, e, _ = Draw(200, 5, g.shape, (0.4, 0.4), None, 1)(-1, 0)
    x = g(z)
    w = x + e
    assert score == pytest.approx(float(metrics.psnr(g(net(w)), x).mean()), abs=1e-3)
    (image,) = shown.values()
    assert image.shape == (1, 3 * 28, 8 * 28)
    torch.testing.assert_close(image[:, 56:, 28:56], x[1])


def test_few_validation_pictures_stand_below_each_other():
    """Three of them: a row of noisy, a row of projected, a row of true pictures."""
    net = nets.Projector(dcgan(), start())
    shades = pictures(3)
    _, shown = Score(Projection(net, Terms(0.7, 0.0, 0.0), 0.9), Draw(4, 5, (1, 28, 28), (0.3, 0.3), None, 1), shades)()
    (image,) = shown.values()
    assert image.shape == (1, 3 * 28, 3 * 28)
    torch.testing.assert_close(image[:, 56:], torch.cat(list(shades.batch(range(3))), dim=-1))


# ---- files -----------------------------------------------------------------------------------------------------------


def test_a_stopped_training_goes_on_to_the_same_bits(tmp_path):
    whole, parts = tmp_path / "whole.safetensors", tmp_path / "parts.safetensors"
    options = {"steps": 12, "idempotence": 0.1, "orthogonality": 0.1}
    made = train(whole, **options)
    for stop in (4, 9):
        with pytest.raises(KeyboardInterrupt):
            train(parts, **options, report=stop_at(stop))
    assert same(train(parts, **options).net, made.net) and same(checkpoint.load_projector(parts).net, made.net)
    both = train(
        tmp_path / "both.safetensors", **options, corrector=encoder_of(dcgan(), images=2, seed=3), corrections=2
    )
    assert same(checkpoint.load_projector(tmp_path / "both.safetensors").net, both.net) and both.net.corrections == 2
    one, two = (json.loads(path.with_suffix(".json").read_text())["training"] for path in (whole, parts))
    assert (
        one["losses"] == two["losses"]
        and one["scores"] == two["scores"]
        and len(one["scores"]["score"]) == 12
        and two["starts"] == 3
    )
    text = b"".join(path.read_bytes() for path in (tmp_path / "whole.tensorboard").iterdir())
    assert all(
        name in text
        for name in (b"noisy_projected_true", b"loss_image", b"loss_latent", b"loss_idempotence", b"loss_orthogonality")
    )


def test_a_finished_training_is_returned_and_other_settings_are_refused(tmp_path, monkeypatch):
    output = tmp_path / "p.safetensors"
    made = train(output)
    monkeypatch.setattr(loop, "fit", lambda *arguments: pytest.fail("trained again"))
    assert same(train(output).net, made.net)
    others = {
        "noise": {"noise": 0.4},
        "latent": {"latent": 0.1},
        "idempotence": {"idempotence": 0.1},
        "orthogonality": {"orthogonality": 0.1},
        "batch": {"batch": 5},
        "seed": {"seed": 2},
        "generator.start": {"generator": dcgan(seed=8)},
        "encoder.start": {"encoder": start(seed=8)},
        "corrector.name": {"corrector": encoder_of(dcgan(), images=2)},
    }
    for name, changed in others.items():
        with pytest.raises(InvalidInput, match=f"a projector that was trained.*{name} .* there"):
            train(output, **changed)


def test_the_generator_counts_whole(tmp_path):
    """Its images depend on the singular vectors of spectral normalisation too.

    So a training with others is another training.
    """
    one = nets.SAGANGenerator(width=2, latent=3).eval()
    other, start, about = (
        copy.deepcopy(one),
        encoder_of(one),
        {"steps": 1, "batch": 2, "progress": False, "output": tmp_path / "p.safetensors"},
    )
    name = next(name for name in one.state_dict() if name.endswith("._u"))
    with torch.no_grad():
        other.state_dict()[name].add_(1.0)
    projector(one, start, **about)
    with pytest.raises(InvalidInput, match="generator.start .* there"):
        projector(other, start, **about)


def test_an_encoder_is_of_a_generator():
    with pytest.raises(InvalidInput, match="generator is Linear"):
        encoder_of(torch.nn.Linear(3, 3))


def test_bad_inputs():
    bad = {
        "noise is": {"noise": -0.1},
        r"noise is \(0.5, 0.1\)": {"noise": (0.5, 0.1)},
        "images is": {"images": torch.rand(4, 1, 28, 28)},
        "latent is": {"latent": float("nan")},
        "orthogonality is": {"orthogonality": "much"},
        "batch is": {"batch": 1},
        "average is": {"average": -0.1},
        "learning_rate is": {"learning_rate": 0.0},
        "expected one of DCGANGenerator": {"generator": Linear((1, 28, 28))},
        "expected one of DCGANEncoder": {"encoder": torch.nn.Linear(3, 3)},
        "outputs=5": {"encoder": start(outputs=4)},
        r"expected \(2, 28, 28\)": {"corrector": start()},
        "Linear is no corrector": {"corrector": torch.nn.Linear(3, 3)},
        "suffix": {"output": "p.pt"},
    }
    for message, changed in bad.items():
        with pytest.raises(InvalidInput, match=message):
            train(**changed)
    with pytest.raises(UnknownKeyword, match="did you mean 'noise'"):
        train(nosie=0.1)
    with pytest.raises(InvalidInput, match="28 or 64"):
        projector(nets.VAEDecoder(height=20, width=20, latent=2, hidden=3))
