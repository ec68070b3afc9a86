"""Checkpoints of generators and projectors: what is written is read again bit for bit, and anything else is refused."""

from __future__ import annotations

import os

import pytest
import torch

import fastip
from cases.generators import Linear, dcgan, encoder, same, settled
from fastip import checkpoint, nets, priors
from fastip.errors import InvalidInput


def sagan():
    torch.manual_seed(2)
    return nets.SAGANGenerator(width=2, latent=4).eval().requires_grad_(False)


def vae():
    torch.manual_seed(3)
    return nets.VAEDecoder(height=6, width=5, latent=3, hidden=7).eval().requires_grad_(False)


def one_net():
    torch.manual_seed(4)
    return settled(nets.OneNetProjector(colours=1, size=12, width=1))


def projector():
    return nets.Projector(dcgan(), encoder()).eval().requires_grad_(False)


GENERATORS = {"DCGANGenerator": dcgan, "SAGANGenerator": sagan, "VAEDecoder": vae}


def test_every_generator_has_a_case():
    assert set(GENERATORS) == set(nets.GENERATORS) and {type(make()).__name__ for make in GENERATORS.values()} == set(
        nets.GENERATORS
    )
    assert all(
        getattr(nets, name) is kind
        for table in (nets.GENERATORS, nets.ENCODERS, nets.PROJECTORS)
        for name, kind in table.items()
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16], ids=str)
@pytest.mark.parametrize("name", GENERATORS)
def test_a_generator_comes_back(tmp_path, name, dtype):
    path, net = tmp_path / "g.safetensors", GENERATORS[name]().to(dtype)
    fastip.save_generator(path, net, training={"steps": 7})
    back = fastip.load_generator(path)
    assert type(back) is type(net) and back.config() == net.config() and same(back, net)
    assert not back.training and not any(p.requires_grad for p in back.parameters())
    assert checkpoint.read_record(path, "generator")["training"] == {"steps": 7} and os.listdir(tmp_path) == [
        "g.safetensors"
    ]
    if dtype != torch.float16:
        assert torch.equal(back.sample(3), net.sample(3))


@pytest.mark.parametrize("make", [projector, one_net])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_projector_comes_back(tmp_path, make, dtype):
    path, net = tmp_path / "p.safetensors", make().to(dtype)
    fastip.save_projector(path, priors.Projector(net))
    back = fastip.load_projector(path)
    assert isinstance(back, priors.Projector) and type(back.net) is type(net) and same(back.net, net)
    x = torch.rand(2, *net.shape, dtype=dtype)
    assert (
        torch.equal(back.net(x), net(x))
        and not back.net.training
        and not any(p.requires_grad for p in back.net.parameters())
    )


def test_it_goes_straight_into_a_solver(tmp_path):
    path, net = tmp_path / "p.safetensors", projector()
    fastip.save_projector(path, priors.Projector(net))
    back = fastip.load_projector(path)
    op = fastip.operators.GaussianMeasurements(40, (1, 28, 28))
    y = op(net.generator.sample(2))
    assert torch.equal(
        fastip.npgd(y, op, back, iterations=5).x, fastip.npgd(y, op, priors.Projector(net), iterations=5).x
    )
    assert fastip.csgm(y, op, back.net.generator, iterations=2, restarts=2).x.shape == (2, 1, 28, 28)


# ---- what is refused -------------------------------------------------------------------------------------------------


def rewritten(path, kind, change):
    record, tensors = checkpoint.read(path, kind)
    del record["digest"]
    change(record, tensors)
    checkpoint.write(path, record.pop("kind"), tensors, record)


def move(prefix):
    """Let a tensor disappear under another name."""

    def change(record, tensors):
        name = next(name for name in tensors if name.startswith(prefix))
        tensors["elsewhere." + name] = tensors.pop(name)

    return change


BAD_GENERATORS = {
    "another kind": (
        lambda r, t: r.update(kind="projector"),
        "holds a trained projector; expected a trained generator",
    ),
    "unknown network": (lambda r, t: r["net"].update(name="StyleGAN"), "no network 'StyleGAN'"),
    "an encoder": (lambda r, t: r["net"].update(name="DCGANEncoder"), "no network 'DCGANEncoder'"),
    "another width": (lambda r, t: r["net"]["config"].update(width=4), "expected"),
    "width beyond memory": (lambda r, t: r["net"]["config"].update(width=10**8), "expected"),
    "width beyond integers": (lambda r, t: r["net"]["config"].update(width=10**20), "record|built"),
    "no such size": (lambda r, t: r["net"]["config"].update(size=29), "28 or 64"),
    "no net": (lambda r, t: r.pop("net"), "describes no network"),
    "missing tensor": (move("layers.0.weight"), "misses tensors .*layers.0.weight"),
    "NaN": (lambda r, t: t["layers.1.bias"].fill_(float("nan")), "layers.1.bias .*NaN"),
}
BAD_PROJECTORS = {
    "another kind": (
        lambda r, t: r.update(kind="generator"),
        "holds a trained generator; expected a trained projector",
    ),
    "no encoder": (lambda r, t: r.pop("encoder"), "describes no encoder"),
    "encoder is a text": (lambda r, t: r.update(encoder="DCGANEncoder"), "describes no encoder"),
    "generator is no generator": (lambda r, t: r["generator"].update(name="DCGANEncoder"), "no network 'DCGANEncoder'"),
    "missing tensor": (move("encoder.layers.0.weight"), "misses tensors .*layers.0.weight"),
    "extra tensor": (lambda r, t: t.update(more=torch.zeros(2)), "unknown tensors.* more"),
    "a corrector without weights": (lambda r, t: r.update(corrector=r["encoder"]), "misses tensors"),
    "weights of no corrector": (
        lambda r, t: t.update({"corrector.layers.0.weight": torch.zeros(2)}),
        "unknown tensors.* corrector",
    ),
    "a net of another kind": (lambda r, t: r.update(net={"name": "OneNetProjector", "config": {}}), "misses tensors"),
    "a net that is no network": (lambda r, t: r.update(net=3), "describes no network"),
}


@pytest.mark.parametrize("case", BAD_GENERATORS)
def test_a_bad_generator_is_refused_with_the_reason(tmp_path, case):
    change, message = BAD_GENERATORS[case]
    path = tmp_path / "g.safetensors"
    fastip.save_generator(path, dcgan())
    rewritten(path, "generator", lambda record, tensors: None)
    fastip.load_generator(path)
    rewritten(path, "generator", change)
    with pytest.raises(InvalidInput, match=message) as caught:
        fastip.load_generator(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("case", BAD_PROJECTORS)
def test_a_bad_projector_is_refused_with_the_reason(tmp_path, case):
    change, message = BAD_PROJECTORS[case]
    path = tmp_path / "p.safetensors"
    fastip.save_projector(path, priors.Projector(projector()))
    rewritten(path, "projector", lambda record, tensors: None)
    fastip.load_projector(path)
    rewritten(path, "projector", change)
    with pytest.raises(InvalidInput, match=message) as caught:
        fastip.load_projector(path)
    assert str(path) in str(caught.value)


def test_a_corrector_comes_back_and_must_read_two_images(tmp_path):
    path = tmp_path / "p.safetensors"
    net = nets.Projector(dcgan(), encoder(), encoder(seed=2, colours=2), corrections=3).eval().requires_grad_(False)
    fastip.save_projector(path, priors.Projector(net))
    back = fastip.load_projector(path).net
    assert same(back, net) and back.corrector.config() == net.corrector.config() and back.corrections == 3
    record, tensors = checkpoint.read(path, "projector")
    record["corrections"] = 0
    del record["digest"]
    checkpoint.write(path, record.pop("kind"), tensors, record)
    with pytest.raises(InvalidInput, match="do not fit.*corrections is 0"):
        fastip.load_projector(path)
    record, tensors = checkpoint.read(path, "projector")
    record["corrections"] = 1
    record["corrector"]["config"]["colours"] = 1
    tensors["corrector.layers.0.weight"] = tensors["corrector.layers.0.weight"][:, :1].clone()
    del record["digest"]
    checkpoint.write(path, record.pop("kind"), tensors, record)
    with pytest.raises(InvalidInput, match=r"do not fit.*expected \(2, 28, 28\)"):
        fastip.load_projector(path)


def test_a_generator_and_an_encoder_of_another_are_refused(tmp_path):
    path = tmp_path / "p.safetensors"
    fastip.save_projector(path, priors.Projector(projector()))
    other = encoder(outputs=6)

    def change(record, tensors):
        record["encoder"]["config"] = other.config()
        for name in [name for name in tensors if name.startswith("encoder.")]:
            del tensors[name]
        tensors |= {f"encoder.{name}": tensor for name, tensor in other.state_dict().items()}

    record, tensors = checkpoint.read(path, "projector")
    change(record, tensors)
    del record["digest"]
    checkpoint.write(path, record.pop("kind"), tensors, record)
    with pytest.raises(InvalidInput, match="do not fit.*outputs=5") as caught:
        fastip.load_projector(path)
    assert str(path) in str(caught.value)


def test_what_cannot_be_written_is_refused(tmp_path):
    path = tmp_path / "g.safetensors"
    with pytest.raises(InvalidInput, match="the net is Linear"):
        fastip.save_generator(path, Linear())
    for net in (torch.nn.Conv2d(1, 1, 1).eval(), dcgan()):
        with pytest.raises(InvalidInput, match="the projector is"):
            fastip.save_projector(path, priors.Projector(net))
    with pytest.raises(InvalidInput, match="the generator is Linear"):
        fastip.save_projector(path, priors.Projector(nets.Projector(Linear((1, 28, 28), 5), encoder())))
    with pytest.raises(InvalidInput, match="suffix"):
        fastip.save_generator(tmp_path / "g.pt", dcgan())
    broken, wrong = dcgan(), one_net()
    broken.layers[1].bias.fill_(float("inf"))
    wrong.middle[0].weight.fill_(float("nan"))
    with pytest.raises(InvalidInput, match=r"layers\.1\.bias hold NaN"):
        fastip.save_generator(path, broken)
    with pytest.raises(InvalidInput, match=r"middle\.0\.weight hold NaN"):
        fastip.save_projector(path, priors.Projector(wrong))
    assert not os.listdir(tmp_path)
