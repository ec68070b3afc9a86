"""Generator after encoder as one network."""

from __future__ import annotations

import pytest
import torch

from fastip import nets
from fastip.errors import InvalidInput
from generator_cases import dcgan, encoder


def test_it_is_generator_after_encoder():
    g, e = dcgan(), encoder()
    net, x = nets.Projector(g, e), torch.rand(3, 1, 28, 28)
    assert torch.equal(net(x), g(e(x))) and net.shape == (1, 28, 28)
    assert torch.equal(net.eval()(x), net(x))


def test_a_vae_may_be_the_generator():
    net = nets.Projector(nets.VAEDecoder(latent=5, hidden=6), encoder()).eval()
    assert net(torch.rand(2, 1, 28, 28)).shape == (2, 1, 28, 28)


def test_networks_that_do_not_fit_are_refused():
    g = dcgan()
    for other in (encoder(outputs=6), encoder(size=64), encoder(colours=3)):
        with pytest.raises(InvalidInput, match="outputs=5"):
            nets.Projector(g, other)
    for pair in ((encoder(), encoder()), (g, g), (g, None), (torch.nn.Linear(5, 784), encoder())):
        with pytest.raises(InvalidInput, match="nets.Generator and a nets.DCGANEncoder"):
            nets.Projector(*pair)
