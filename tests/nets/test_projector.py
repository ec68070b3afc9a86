"""Generator after encoder as one network."""

from __future__ import annotations

import pytest
import torch

from cases.generators import dcgan, encoder
from fastip import nets
from fastip.errors import InvalidInput


def test_it_is_generator_after_encoder():
    g, e = dcgan(), encoder()
    net, x = nets.Projector(g, e), torch.rand(3, 1, 28, 28)
    assert torch.equal(net(x), g(e(x))) and net.shape == (1, 28, 28)
    net.eval()
    alone = torch.cat([net(one) for one in x.split(1)])
    torch.manual_seed(1)
    # nothing is drawn, and an image does not depend on its neighbours
    torch.testing.assert_close(net(x), alone, rtol=0, atol=1e-6)


def test_a_corrector_sees_the_image_and_what_the_encoder_made_of_it():
    """The first colours of what it reads are x, the others G(G^+(x)); its answer is added to the code."""
    g, e, c = dcgan(), encoder(), encoder(seed=2, colours=2)
    net, x = nets.Projector(g, e, c), torch.rand(3, 1, 28, 28)
    first = e(x)
    second = first + c(torch.cat([x, g(first)], dim=1))
    assert torch.equal(net(x), g(second)) and (net(x) - g(first)).abs().max() > 1e-3
    passes = net.passes(x)
    assert len(passes) == 2 and all(
        torch.equal(z, code) and torch.equal(image, g(code))
        for (z, image), code in zip(passes, (first, second), strict=True)
    )
    assert len(nets.Projector(g, e).passes(x)) == 1


def test_the_corrector_may_correct_again():
    """It then reads what the last correction made."""
    g, e, c = dcgan(), encoder(), encoder(seed=2, colours=2)
    x = torch.rand(3, 1, 28, 28)
    net = nets.Projector(g, e, c, corrections=3)
    codes = [e(x)]
    for _ in range(3):
        codes.append(codes[-1] + c(torch.cat([x, g(codes[-1])], dim=1)))
    assert all(torch.equal(z, code) for (z, _), code in zip(net.passes(x), codes, strict=True)) and torch.equal(
        net(x), g(codes[3])
    )


def test_a_vae_may_be_the_generator():
    net = nets.Projector(nets.VAEDecoder(latent=5, hidden=6), encoder()).eval()
    assert net(torch.rand(2, 1, 28, 28)).shape == (2, 1, 28, 28)


def test_networks_that_do_not_fit_are_refused():
    g = dcgan()
    for other in (encoder(outputs=6), encoder(size=64), encoder(colours=3)):
        with pytest.raises(InvalidInput, match="outputs=5"):
            nets.Projector(g, other)
    for other in (encoder(), encoder(colours=2, outputs=6)):
        with pytest.raises(InvalidInput, match=r"expected \(2, 28, 28\) and outputs=5"):
            nets.Projector(g, encoder(), other)
    with pytest.raises(InvalidInput, match="corrector Linear"):
        nets.Projector(g, encoder(), torch.nn.Linear(5, 784))
    for count in (0, 1.5, True):
        with pytest.raises(InvalidInput, match="corrections is .* expected a whole number"):
            nets.Projector(g, encoder(), encoder(colours=2), corrections=count)
    with pytest.raises(InvalidInput, match="corrections is 1000000000; expected at most 64"):
        nets.Projector(g, encoder(), encoder(colours=2), corrections=10**9)
    with pytest.raises(InvalidInput, match="corrections is 3, and there is no corrector"):
        nets.Projector(g, encoder(), corrections=3)
    for pair in ((encoder(), encoder()), (g, g), (g, None), (torch.nn.Linear(5, 784), encoder())):
        with pytest.raises(InvalidInput, match="nets.Generator and a nets.DCGANEncoder"):
            nets.Projector(*pair)
