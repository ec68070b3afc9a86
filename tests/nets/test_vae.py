"""The networks of CSGM's variational auto-encoder: the published table, the layers by hand, bad inputs."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from fastip import nets
from fastip.errors import InvalidInput


def made(seed=0):
    torch.manual_seed(seed)
    sizes = {"colours": 2, "height": 5, "width": 7, "latent": 3, "hidden": 11}
    return nets.VAEDecoder(**sizes).double().eval(), nets.VAEEncoder(**sizes).double().eval()


def test_the_published_numbers_of_weights():
    """20-500-500-784 and 784-500-500-(20 + 20)."""
    counts = [sum(p.numel() for p in net.parameters()) for net in (nets.VAEDecoder(), nets.VAEEncoder())]
    assert counts == [
        20 * 500 + 500 + 500 * 500 + 500 + 500 * 784 + 784,
        784 * 500 + 500 + 500 * 500 + 500 + 500 * 40 + 40,
    ]


def test_layers_by_hand():
    decoder, encoder = made()
    z, x = torch.randn(4, 3, dtype=torch.float64), torch.rand(4, 2, 5, 7, dtype=torch.float64)

    def through(f, net):
        first, second, last = (m for m in net.layers if isinstance(m, torch.nn.Linear))
        for layer in (first, second):
            f = F.softplus(f @ layer.weight.T + layer.bias)
        return f @ last.weight.T + last.bias

    logits = through(z, decoder).reshape(4, 2, 5, 7)
    torch.testing.assert_close(decoder.logits(z), logits)
    torch.testing.assert_close(decoder(z), 1 / (1 + torch.exp(-logits)))
    mean, log_variance = encoder(x)
    torch.testing.assert_close(torch.cat([mean, log_variance], dim=1), through(x.flatten(1), encoder))
    assert mean.shape == log_variance.shape == (4, 3)


def test_each_image_is_on_its_own_and_config_builds_them_again():
    decoder, encoder = made()
    x = decoder(torch.randn(4, 3, dtype=torch.float64))
    assert x.std(dim=0).mean() > 1e-3
    mean, _ = encoder(x)
    torch.testing.assert_close(encoder(x[2:3])[0], mean[2:3], rtol=0, atol=1e-13)
    again = nets.build(nets.GENERATORS, "VAEDecoder", decoder.config()).double()
    again.load_state_dict(decoder.state_dict())
    other = nets.VAEEncoder(**encoder.config()).double()
    other.load_state_dict(encoder.state_dict())
    z = torch.randn(2, 3, dtype=torch.float64)
    assert torch.equal(again(z), decoder(z)) and torch.equal(other(x)[1], encoder(x)[1])


def test_wrong_inputs_are_refused():
    decoder, encoder = made()
    with pytest.raises(InvalidInput, match=r"expected \(b, 3\)"):
        decoder(torch.randn(2, 4))
    with pytest.raises(InvalidInput, match=r"expected \(b, 2, 5, 7\)"):
        encoder(torch.rand(2, 2, 7, 5))
    for make in (nets.VAEDecoder, nets.VAEEncoder):
        for wrong in ({"hidden": 0}, {"latent": -1}, {"height": 2.5}):
            with pytest.raises(InvalidInput, match="whole number"):
                make(**wrong)
