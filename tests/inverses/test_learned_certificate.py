"""The certificate of a network: computed for its weights, on data of any size, whatever its file says."""

import dataclasses
import sys

import pytest
import torch

import fastip
from cases import wide
from cases.checks import noise
from cases.problems import motion
from fastip import inverses, nets, operators
from fastip.errors import InvalidInput
from fastip.inverses import Certificate, Stored
from fastip.inverses.certificate import weights
from fastip.inverses.collapsed import Edges
from fastip.inverses.examine import certify

examining = sys.modules["fastip.inverses.examine"]
BETA = 1e-2


def network(boundary, factor=1.0, **structure):
    torch.manual_seed(5)
    net = nets.InverseNet(**({"channels": (2, 3), "sizes": (5, 3)} | structure), boundary=boundary)
    net.rescale(factor)
    return net.requires_grad_(False)


@pytest.mark.parametrize("side", [130, 40], ids=["larger than the settled grid", "small"])
def test_a_forged_certificate_changes_nothing(side, tmp_path):
    """A file that claims kappa = 0.1 for a network with kappa > 1 is scaled like the honest one."""
    op, net = motion("valid"), network("zero", 30.0)
    record, y = inverses.examine(net, op, BETA), noise((1, 1, side, side))
    assert record.certificates[0].certificate.kappa > 1
    forged = dataclasses.replace(record, certificates=(Stored(BETA, Certificate(0.1, 0.9, 1.1, 0.5)),))
    found = []
    for name, said in (("honest", record), ("forged", forged)):
        fastip.save_inverse(tmp_path / f"{name}.safetensors", inverses.Learned(net, trained=said))
        loaded = fastip.load_inverse(tmp_path / f"{name}.safetensors")
        assert loaded.trained == said
        found.append(loaded.bind(op, y, BETA))
    assert found[1].describe() == found[0].describe() and "kappa = 0.9" in found[0].describe()
    torch.testing.assert_close(found[1].apply(y), found[0].apply(y), rtol=0, atol=0)


def test_what_cannot_be_certified_is_refused_whatever_its_file_says(monkeypatch):
    op, net = motion("valid"), network("zero")
    said = inverses.Trained(op.fingerprint(), (BETA, BETA), 0.1, (Stored(BETA, Certificate(0.1, 0.9, 1.1, 0.5)),))
    monkeypatch.setattr(examining, "_certify", lambda *_: Certificate(float("inf"), -1.0, 2.0, -0.1))
    with pytest.raises(InvalidInput, match="positive definite"):
        inverses.Learned(net, trained=said).bind(op, noise((1, 1, 131, 131)), BETA)


def test_it_is_computed_once_for_the_weights(monkeypatch):
    """By other objects, too: examined, loaded twice, bound at any size above the settled one."""
    op, net, calls = motion("valid"), network("zero", 1.7), []
    own = examining._certify
    monkeypatch.setattr(examining, "_certify", lambda *given: calls.append(given[2]) or own(*given))
    record = inverses.examine(net, op, BETA)
    first, second = (inverses.Learned(net, trained=record) for _ in range(2))
    large, larger, small = (torch.zeros(1, 1, *s) for s in ((200, 180), (1500, 1100), (20, 30)))
    assert first.certificate(op, large, BETA) is second.certificate(op, larger, BETA)
    assert first.certificate(op, large, BETA) is record.certificates[0].certificate and len(calls) == 1
    assert first.certificate(op, small, BETA) is second.certificate(op, small, BETA) and len(calls) == 2
    assert first.certificate(op, large, BETA, 1.5) is not first.certificate(op, large, BETA) and len(calls) == 3
    net.rescale(2.0)
    assert second.certificate(op, large, BETA).kappa == pytest.approx(2 * record.certificates[0].certificate.kappa)


@pytest.mark.parametrize(
    "net, psf, sides",
    [
        (network("zero", sizes=(7, 5)), (7, 24), (18, 300)),
        (network("zero", 0.1), (24, 24), (290, 300)),
    ],
    ids=["narrow data", "inside"],
)
def test_what_grows_with_the_data(net, psf, sides):
    op = operators.Blur(torch.full(psf, 1 / (psf[0] * psf[1])), boundary="valid")
    own, gram = weights(BETA, 1.0)
    a = op.convolution()
    g = wide.gram(a, sides)
    true = wide.largest(lambda v: net(v[None, None], BETA)[0, 0], lambda v: own * v + gram * g(v), sides)
    assert 0.995 * true < certify(net, op, (1, 1, *sides), BETA, 1.0).kappa < 1.015 * true


@pytest.mark.parametrize("boundary", ["zero", "reflect", "circular"])
@pytest.mark.parametrize("n", [4, 9, 40])
def test_along_an_edge_a_network_is_itself(boundary, n):
    """On data that repeat along an axis, and so do not see where that ends."""
    net, v = network(boundary), noise((1, 1, n, 16))
    of = Edges(net, BETA)
    frequencies = 2 * torch.pi / 16 * torch.arange(16, dtype=torch.float64)
    for axis in (0, 1):
        repeated = v.repeat(1, 1, 1, 5)
        whole = net(repeated) if axis else net(repeated.mT.contiguous()).mT
        found = torch.fft.ifft(of(axis, n)(frequencies)(torch.fft.fft(v[0, 0]).T).T).real
        torch.testing.assert_close(found, whole[0, 0, :, 32:48])
