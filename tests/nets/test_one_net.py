"""The projector from image to image and its discriminators: the layers one by one, odd sizes, eval mode, bad inputs."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cases.generators import settled
from fastip import nets
from fastip.errors import InvalidInput


def made(seed=0, **changed):
    torch.manual_seed(seed)
    net = nets.OneNetProjector(**{"colours": 2, "size": 16, "width": 2} | changed)
    nn.init.normal_(net.middle[0].weight, std=0.2)
    return settled(net.double())


def normal(f, n):
    f = (f - n.running_mean[:, None, None]) / (n.running_var[:, None, None] + n.eps).sqrt() * n.weight[
        :, None, None
    ] + n.bias[:, None, None]
    return torch.where(f > 0, f, f.exp() - 1)


@pytest.mark.parametrize("size", [16, 28, 9], ids=str)
def test_layer_by_layer(size):
    net, x = made(size=size), torch.rand(3, 2, size, size, dtype=torch.float64)
    f, sides = 2 * x - 1, [size]
    down = [m.conv for m in net.down if hasattr(m, "conv")]
    for conv, norm in zip(down, (m for m in net.down if isinstance(m, nn.BatchNorm2d)), strict=True):
        stride = conv.stride[0]
        f = normal(F.conv2d(F.pad(f, (1, 2, 1, 2) if stride == 1 else (1, 1, 1, 1)), conv.weight, stride=stride), norm)
        sides.append(f.shape[-1])
    assert sides == [size, size, size, size // 2, size // 4, size // 8] and [c.out_channels for c in down] == [
        2,
        4,
        8,
        16,
        32,
    ]
    matrices, _, mixed = net.middle
    rows = torch.stack([f[:, c].flatten(1) @ matrices.weight[c] for c in range(32)], dim=1).reshape(f.shape)
    code = normal(F.conv2d(F.pad(rows, (0, 1, 0, 1)), mixed.weight), net.after[0])
    torch.testing.assert_close(net.encode(x), code)
    f = code
    norms = [*(m for m in net.up if isinstance(m, nn.BatchNorm2d)), None]
    for up, norm, twin, side in zip(
        (m.conv for m in net.up if hasattr(m, "conv")), norms, reversed(down), reversed(sides[:-1]), strict=True
    ):
        # all that the kernels reach, of which the mirror of the padding is cut off
        f = F.conv_transpose2d(f, up.weight, up.bias, up.stride)
        f = F.pad(f, (0, 1, 0, 1))[..., 1 : 1 + side, 1 : 1 + side]
        assert up.weight.shape == twin.weight.shape
        f = f if norm is None else normal(f, norm)
    torch.testing.assert_close(net(x), (1 + f) / 2)
    assert net(x).shape == x.shape == (3, *net.shape)


def test_the_published_width():
    """64 and 128 at stride 1, 256, 512 and 1024 at stride 2, 64 x 64 numbers for each of 1024 channels."""
    with torch.device("meta"):
        net = nets.OneNetProjector()
        image, latent = nets.OneNetDiscriminator(), nets.OneNetLatentDiscriminator()
    sizes = [64, 128, 256, 512, 1024]
    convolutions = sum(16 * i * o for i, o in zip([3, *sizes], sizes, strict=False))
    norms, biases = 2 * (2 * sum(sizes) - 1024 + 1024), sum(sizes[:-1]) + 3
    assert sum(p.numel() for p in net.parameters()) == 2 * convolutions + 1024 * 64**2 + 4 * 1024**2 + norms + biases
    assert len([m for m in image.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]) == 3 + 4 + 6 + 3
    assert len([m for m in latent.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]) == 6
    assert image.layers[-2].in_features == 2048 and latent.layers[-2].in_features == 1024


def test_first_weights():
    torch.manual_seed(0)
    net = nets.OneNetProjector(width=8, size=16)
    assert torch.equal(net.middle[0].weight, torch.eye(4).expand(128, 4, 4))
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and module.weight.numel() > 2000:
            assert float(module.weight.detach().std()) == pytest.approx(0.02, rel=4 / module.weight.numel() ** 0.5)


def test_eval_mode_is_deterministic_and_each_image_is_on_its_own():
    net, x = made(), torch.rand(4, 2, 16, 16, dtype=torch.float64)
    found = net(x)
    assert torch.equal(net(x), found) and found.std() > 0.05
    image, latent = (
        settled(d.double())
        for d in (
            nets.OneNetDiscriminator(colours=2, width=2, blocks=(1, 2)),
            nets.OneNetLatentDiscriminator(width=2, blocks=2),
        )
    )
    odds, doubts = image(x), latent(net.encode(x))
    assert odds.shape == doubts.shape == (4,) and odds.std() > 1e-6 and doubts.std() > 1e-6
    for k in range(4):
        one = x[k : k + 1]
        torch.testing.assert_close(net(one), found[k : k + 1], rtol=0, atol=1e-12)
        torch.testing.assert_close(image(one), odds[k : k + 1], rtol=0, atol=1e-12)
        torch.testing.assert_close(latent(net.encode(one)), doubts[k : k + 1], rtol=0, atol=1e-12)


def test_a_bottleneck_by_hand():
    torch.manual_seed(0)
    d = settled(nets.OneNetDiscriminator(colours=1, width=2, blocks=(1, 1)).double())
    x = torch.rand(2, 1, 12, 12, dtype=torch.float64)
    stem, first, second, norm, _, _, _, linear, _ = d.layers
    f = F.conv2d(2 * x - 1, stem.weight, stem.bias, 2, 1)
    for block, stride in ((first, 1), (second, 2)):
        g = f
        for n, conv, (s, p) in zip(block.layers[0::3], block.layers[2::3], ((1, 0), (stride, 1), (1, 0)), strict=True):
            g = F.conv2d(normal(g, n), conv.weight, stride=s, padding=p)
        f = F.conv2d(f, block.past.weight, stride=stride) + g
    assert f.shape == (2, 16, 3, 3)
    torch.testing.assert_close(d(x), (normal(f, norm).mean(dim=(2, 3)) @ linear.weight.T + linear.bias)[:, 0])


def test_config_builds_them_again():
    net = made()
    again = nets.build(nets.PROJECTORS, "OneNetProjector", net.config()).double().eval()
    again.load_state_dict(net.state_dict())
    x = torch.rand(2, 2, 16, 16, dtype=torch.float64)
    assert torch.equal(again(x), net(x))
    for d in (
        nets.OneNetDiscriminator(colours=2, width=2, blocks=(1, 2)),
        nets.OneNetLatentDiscriminator(width=2, blocks=2),
    ):
        type(d)(**d.config()).load_state_dict(d.state_dict())
    with pytest.raises(InvalidInput, match="no network"):
        nets.build(nets.PROJECTORS, "Projector", {})


def test_wrong_inputs_are_refused():
    net = made()
    for x in (torch.rand(1, 2, 16, 17), torch.rand(1, 1, 16, 16)):
        with pytest.raises(InvalidInput, match=r"expected \(b, 2, 16, 16\)"):
            net(x.double())
    with pytest.raises(InvalidInput, match="whole number >= 8"):
        nets.OneNetProjector(size=7)
    with pytest.raises(InvalidInput, match="expected 2 channels"):
        nets.OneNetDiscriminator(colours=2, width=2, blocks=(1,))(torch.rand(1, 3, 16, 16))
    with pytest.raises(InvalidInput, match="width 2"):
        nets.OneNetLatentDiscriminator(width=2, blocks=1)(torch.rand(1, 16, 2, 2))
    with pytest.raises(InvalidInput, match="whole number"):
        nets.OneNetDiscriminator(blocks=(3, 0))
