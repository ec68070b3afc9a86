"""The networks of priors: what all of them promise, the tables of the paper, and what makes the variant work."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn as modules

from cases.checks import noise
from fastip import nets
from fastip.errors import InvalidInput, UnknownKeyword

PAPER = nets.PaperPixelShuffleAutoencoder
OWN = nets.PixelShuffleAutoencoder
CASES = {
    "own": lambda: OWN(colours=3, factor=2, widths=(6,), blocks=(1,)),
    "own with data": lambda: OWN(colours=1, factor=4, widths=(6, 5), blocks=(1, 1), data_colours=2, stride=2),
    "own with coarse data": lambda: OWN(
        colours=3, factor=1, widths=(4, 6, 5), blocks=(1, 0, 1), data_colours=1, stride=2
    ),
    "own with coarser data": lambda: OWN(colours=1, factor=1, widths=(4, 5), blocks=(0, 1), data_colours=1, stride=6),
    "own with zeros": lambda: OWN(colours=3, widths=(4, 5), blocks=(1, 1), data_colours=1, padding_mode="zeros"),
    "paper": lambda: PAPER(factor=2, channels=(6, 5, 4), stride=2),
    "paper for deblurring": lambda: PAPER(factor=2, channels=(6, 4), stride=1),
    "paper without data": lambda: PAPER(factor=2, channels=(6,), data_colours=0),
    "nonexpansive": lambda: nets.NonexpansiveDenoiser(colours=1, factor=2, width=6, depth=3),
    "digits": lambda: nets.DigitAutoencoder(),
}


def made(name, seed=0):
    """A net with random weights everywhere and running statistics of its own, in eval mode, float64."""
    torch.manual_seed(seed)
    net = CASES[name]()
    if isinstance(net, OWN):
        modules.init.normal_(net.tail.weight, std=0.1)
    for module in net.modules():
        if isinstance(module, modules.BatchNorm2d):
            for tensor in (module.weight, module.running_var):
                modules.init.uniform_(tensor, 0.5, 2.0)
            for tensor in (module.bias, module.running_mean):
                modules.init.normal_(tensor, std=0.3)
    return net.double().eval().requires_grad_(False)


def inputs(net, batch=2, groups=1, seed=1):
    size = (28, 28) if isinstance(net, nets.DigitAutoencoder) else (13, 18)
    v = noise((batch, groups * net.colours, *size), seed=seed)
    grid = [-(-n // net.stride) for n in size]
    return v, noise((batch, groups * net.data_colours, *grid), seed=seed + 1) if net.conditional else None


def convolutions(net):
    return [m for m in net.modules() if isinstance(m, modules.Conv2d | modules.ConvTranspose2d)]


# ---- what all promise ------------------------------------------------------------------------------------------------


def test_every_prior_net_has_a_case():
    assert {type(make()).__name__ for make in CASES.values()} == set(nets.PRIOR_NETS)
    assert all(issubclass(net, nets.PriorNet) and getattr(nets, name) is net for name, net in nets.PRIOR_NETS.items())


@pytest.mark.parametrize("name", CASES)
def test_images_and_groups_of_colours_are_independent(name):
    net = made(name)
    v, y = inputs(net, batch=3, groups=2)
    levels = torch.tensor([0.1, 0.3, 0.2], dtype=torch.float64)
    x = net(v, y, levels)
    assert x.shape == v.shape and x.dtype == v.dtype and (x - v).abs().max() > 1e-3
    c, d = net.colours, net.data_colours
    alone = net(v[1:2, c:].contiguous(), None if y is None else y[1:2, d:].contiguous(), 0.3)
    torch.testing.assert_close(x[1:2, c:], alone, rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", CASES)
def test_config_builds_it_again(name):
    net = made(name)
    again = nets.build(nets.PRIOR_NETS, type(net).__name__, net.config()).double().eval()
    again.load_state_dict(net.state_dict())
    v, y = inputs(net)
    assert torch.equal(again(v, y, 0.1), net(v, y, 0.1))


@pytest.mark.parametrize("name", CASES)
def test_every_input_and_every_weight_matters(name):
    net = made(name).requires_grad_(True)
    v, y = inputs(net)
    level = torch.tensor([0.1, 0.2], dtype=torch.float64, requires_grad=True)
    tensors = [
        v.requires_grad_(),
        *([y.requires_grad_()] if y is not None else []),
        *([level] if net.takes_level else []),
        *net.parameters(),
    ]
    x = net(v, y, level)
    for gradient in torch.autograd.grad((x * noise(x.shape)).sum(), tensors):
        assert torch.isfinite(gradient).all() and gradient.abs().max() > 0


@pytest.mark.parametrize("name", CASES)
def test_v_keeps_its_precision(name):
    net = made(name)
    v, y = inputs(net)
    expected = net(v, y, 0.1)
    torch.testing.assert_close(net(v.float(), y, 0.1), expected.float(), rtol=0, atol=2e-6)
    single = copy.deepcopy(net).float()
    x = single(v, y, 0.1)
    assert x.dtype == torch.float64
    torch.testing.assert_close(x, expected, rtol=0, atol=1e-5)
    half = copy.deepcopy(net).bfloat16()(v.float(), y, 0.1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = single(v.float(), y, 0.1)
    scale = (expected - v).abs().max()
    for x in (half, cast):
        assert x.dtype == torch.float32 and (x - expected).abs().max() < 0.05 * scale


@pytest.mark.parametrize("name", CASES)
def test_wrong_inputs_are_refused(name):
    net = made(name)
    v, y = inputs(net)
    with pytest.raises(InvalidInput, match="four dimensions"):
        net(v[0], y, 0.1)
    if net.colours > 1:
        with pytest.raises(InvalidInput, match="multiple of 3"):
            net(v[:, :2], y, 0.1)
    if net.conditional:
        with pytest.raises(InvalidInput, match="takes the data"):
            net(v, None, 0.1)
        with pytest.raises(InvalidInput, match="times smaller"):
            net(v, y[..., 1:], 0.1)
    if net.takes_level:
        with pytest.raises(InvalidInput, match="level=") as caught:
            net(v, y)
        assert "standard deviation" in str(caught.value)
        with pytest.raises(InvalidInput, match="3 values"):
            net(v, y, torch.ones(3))


# ---- the tables of the paper -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "weights"),
    [
        ({}, 527_824),
        ({"factor": 2, "stride": 2}, 380_332),
        ({"factor": 2, "stride": 2, "data_colours": 1}, 378_284),
        ({"stride": 1}, 573_904),
    ],
    ids=str,
)
def test_the_weights_of_tables_2_and_3(options, weights):
    net = PAPER(**options)
    assert sum(p.numel() for conv in convolutions(net) for p in conv.parameters()) == weights
    shapes = [tuple(conv.weight.shape[:2]) for conv in convolutions(net)]
    image, data = 3 * net.factor**2, net.data_colours * (net.factor // net.stride) ** 2
    assert shapes == [(128, image), (64, 128), (32, 64), (64, 32 + data), (128, 64), (image, 128)]
    assert (
        len([m for m in net.modules() if isinstance(m, modules.BatchNorm2d)])
        == len([m for m in net.modules() if isinstance(m, modules.ReLU)])
        == 6
    )


def test_the_paper_layer_by_layer():
    net = made("paper for deblurring")
    v, y = noise((2, 3, 8, 12), seed=1), noise((2, 3, 8, 12), seed=2)

    def layer(f, conv, norm):
        f = F.conv2d(F.pad(f, (1, 2, 1, 2)), conv.weight, conv.bias)
        f = (f - norm.running_mean[:, None, None]) / (norm.running_var[:, None, None] + norm.eps).sqrt()
        return (f * norm.weight[:, None, None] + norm.bias[:, None, None]).relu()

    pairs = list(zip(convolutions(net), (m for m in net.modules() if isinstance(m, modules.BatchNorm2d)), strict=True))
    f = F.pixel_unshuffle(v, 2)
    for k, (conv, norm) in enumerate(pairs):
        f = layer(torch.cat([f, F.pixel_unshuffle(y, 2)], dim=1) if k == len(pairs) // 2 else f, conv, norm)
    x = net(v, y)
    torch.testing.assert_close(x, F.pixel_shuffle(f, 2))
    assert x.min() == 0


def test_the_digit_network_is_that_of_table_1():
    net = nets.DigitAutoencoder().double()
    assert sum(p.numel() for p in net.parameters()) == 620_609
    v = noise((2, 1, 28, 28))
    with torch.no_grad():
        f, shapes = v, []
        for k, conv in enumerate(net.encoder):
            f = F.conv2d(F.pad(f, (1, 2, 1, 2)) if k < 2 else f, conv.weight, conv.bias, stride=conv.stride)
            f = f.relu() if k < 3 else f
            shapes.append(tuple(f.shape[1:]))
        torch.testing.assert_close(net.encode(v), f.flatten(1))
        for k, conv in enumerate(net.decoder):
            f = F.conv_transpose2d(f, conv.weight, conv.bias, stride=conv.stride)
            f = f[..., 1:-2, 1:-2] if k > 1 else f  # the transpose of SAME: the rows that it had added
            f = f.relu() if k < 3 else f.sigmoid()
            shapes.append(tuple(f.shape[1:]))
        torch.testing.assert_close(net(v), f)
    assert shapes == [
        (32, 14, 14),
        (64, 7, 7),
        (128, 2, 2),
        (64, 1, 1),
        (128, 3, 3),
        (64, 7, 7),
        (32, 14, 14),
        (1, 28, 28),
    ]
    with pytest.raises(InvalidInput, match="28 x 28"):
        net(v[..., 1:])


# ---- BatchNorm -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["paper", "paper for deblurring", "paper without data"])
def test_batchnorm_folds_into_the_convolutions(name):
    net = made(name).train()
    v, y = inputs(net)
    folded = nets.fold_batchnorm(net)
    torch.testing.assert_close(folded(v, y), net.eval()(v, y), rtol=0, atol=1e-12)
    assert not folded.training and not any(isinstance(m, modules.BatchNorm2d) for m in folded.modules())
    assert folded.config() == net.config() | {"batchnorm": False}
    again = nets.build(nets.PRIOR_NETS, "PaperPixelShuffleAutoencoder", folded.config()).double()
    again.load_state_dict(folded.state_dict())
    assert torch.equal(again(v, y), folded(v, y))


def test_batchnorm_folds_in_other_networks_too():
    torch.manual_seed(0)
    net = modules.Sequential(
        modules.Conv2d(2, 4, 3, bias=False),
        modules.BatchNorm2d(4),
        modules.ReLU(),
        modules.ConvTranspose2d(4, 3, 3, 2),
        modules.BatchNorm2d(3),
    )
    x = torch.randn(5, 2, 9, 8)
    for _ in range(3):
        net(x)
    folded = nets.fold_batchnorm(net)
    torch.testing.assert_close(folded(x), net.eval()(x), rtol=1e-5, atol=1e-5)
    assert (
        sum(isinstance(m, modules.BatchNorm2d) for m in folded)
        == 0
        < sum(isinstance(m, modules.BatchNorm2d) for m in net)
    )


# ---- the variant -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [{}, {"data_colours": 3, "stride": 4}, {"factor": 2, "widths": (8,), "blocks": (1,), "data_colours": 1}],
    ids=str,
)
def test_it_starts_as_the_identity_and_costs_as_much_as_the_paper(options):
    net = OWN(**options)
    v = noise((1, 3, 21, 26), torch.float32)
    y = (
        noise((1, net.data_colours, *(-(-n // net.stride) for n in (21, 26))), torch.float32)
        if net.conditional
        else None
    )
    assert torch.equal(net(v, y, 0.2), v)
    if not options:
        assert 0.9 < net.products / PAPER().products < 1.0


@pytest.mark.parametrize("name", [name for name in CASES if name not in ("digits", "nonexpansive")])
def test_the_products_are_those_of_the_convolutions(name):
    """Counted as the network runs, on an image whose sides no grid has to fill up."""
    net = made(name)
    count = 0

    def add(module, given, result):
        nonlocal count
        places = given[0] if isinstance(module, modules.ConvTranspose2d) else result
        count += module.weight.numel() * places.shape[2] * places.shape[3]

    for conv in convolutions(net):
        conv.register_forward_hook(add)
    v = noise((1, net.colours, 48, 24))
    net(v, noise((1, net.data_colours, 48 // net.stride, 24 // net.stride)) if net.conditional else None, 0.1)
    assert count == pytest.approx(net.products * 48 * 24)


@pytest.mark.parametrize(("padding", "beyond"), [("replicate", "replicate"), ("zeros", "constant")])
def test_the_variant_layer_by_layer(padding, beyond):
    """Two grids and data of the coarser one.

    The head sees the image mirrored at its borders whatever the others see.
    """
    torch.manual_seed(0)
    net = (
        OWN(colours=1, widths=(3, 4), blocks=(1, 1), data_colours=1, stride=2, padding_mode=padding)
        .double()
        .requires_grad_(False)
    )
    modules.init.normal_(net.tail.weight)
    v, y = noise((2, 1, 8, 6), seed=1), noise((2, 1, 4, 3), seed=2)

    def conv(f, layer, mode=beyond):
        return F.conv2d(F.pad(f, (1, 1, 1, 1), mode=mode), layer.weight, layer.bias)

    def block(f, layers):
        return f + conv(conv(f, layers[0].first).relu(), layers[0].second)

    levels = torch.tensor([0.1, 0.3], dtype=torch.float64)
    fine = block(
        conv(torch.cat([v, levels.view(2, 1, 1, 1).expand(2, 1, 8, 6)], dim=1), net.head, "replicate"), net.encoder[0]
    )
    coarse = F.conv2d(fine, net.down[0].weight, net.down[0].bias, stride=2) + conv(y, net.data)
    back = F.conv2d(block(coarse, net.encoder[1]), net.up[0].weight, net.up[0].bias)
    back = back.repeat_interleave(2, -1).repeat_interleave(2, -2)
    torch.testing.assert_close(net(v, y, levels), v - conv(block(fine + back, net.decoder[0]), net.tail))


def test_the_data_join_on_the_coarsest_grid_that_is_not_coarser():
    for factor, widths, stride, joint in (
        (1, (4, 4, 4), 1, 0),
        (1, (4, 4, 4), 2, 1),
        (1, (4, 4, 4), 4, 2),
        (1, (4, 4), 4, 1),
        (2, (4, 4), 4, 1),
        (4, (4,), 1, 0),
    ):
        net = OWN(factor=factor, widths=widths, blocks=(0,) * len(widths), data_colours=3, stride=stride)
        assert net.joint == joint and net.data.weight.shape[:2] == (4, 3 * max(1, factor // stride) ** 2)


@pytest.mark.parametrize(
    "options",
    [
        {"factor": 2, "widths": (4,), "blocks": (2,)},
        {"widths": (4, 3), "blocks": (1, 1), "stride": 2},
        {"widths": (3, 3, 3), "blocks": (1, 0, 1), "stride": 8},
    ],
    ids=str,
)
def test_nothing_farther_than_its_reach_matters(options):
    torch.manual_seed(0)
    net = OWN(colours=1, data_colours=1, **options).double()
    modules.init.normal_(net.tail.weight)
    v, stride = noise((1, 1, 96, 96)).requires_grad_(), net.stride
    y = noise((1, 1, 96 // stride, 96 // stride)).requires_grad_()
    farthest = 0
    for row in range(48, 48 + max(net.multiple, stride)):
        gradients = torch.autograd.grad(net(v, y, 0.1)[0, 0, row].sum(), (v, y))
        for gradient, step in zip(gradients, (1, stride), strict=True):
            rows = step * gradient[0, 0].abs().amax(dim=1).nonzero()[:, 0]
            farthest = max(farthest, row - int(rows[0]), int(rows[-1]) - row)
    assert 0.7 * net.reach < farthest <= net.reach < 40


def test_a_constant_image_has_no_seam():
    """Every block of r x r pixels comes out the same, at the borders too.

    The paper's network, which sees zeros there, has one.
    """
    v = torch.full((1, 3, 28, 28), 0.4, dtype=torch.float64)
    torch.manual_seed(0)
    for options in (
        {"factor": 4, "widths": (8,), "blocks": (2,)},
        {"widths": (4, 5, 6), "blocks": (1, 1, 1)},
        {"factor": 2, "widths": (4, 6), "blocks": (1, 1)},
    ):
        own = OWN(**options, data_colours=3, stride=4).double()
        modules.init.normal_(own.tail.weight)
        x = own(v, v[..., ::4, ::4], 0.1)
        blocks = F.pixel_unshuffle(x, 4)
        assert (blocks - blocks[..., :1, :1]).abs().max() < 1e-12 < (x - v).abs().max()
    blocks = F.pixel_unshuffle(made("paper")(v, v[..., ::2, ::2]), 2)
    assert (blocks - blocks[..., 7:8, 7:8]).abs().max() > 1e-3


@pytest.mark.parametrize("rest", [0, 1, 3])
def test_the_inside_does_not_depend_on_the_fill(rest):
    """Rows added below an image change only what lies near them."""
    torch.manual_seed(0)
    net = OWN(colours=1, factor=2, widths=(6, 5), blocks=(1, 1)).double()
    modules.init.normal_(net.tail.weight)
    v = noise((1, 1, 64, 60))
    x, cut = net(v, level=0.1), net(v[..., : 48 + rest, :], level=0.1)
    assert cut.shape[-2] == 48 + rest
    torch.testing.assert_close(cut[..., :20, :], x[..., :20, :], rtol=0, atol=1e-13)


# ---- the discriminator -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "widths"),
    [({}, (48, 64, 128, 256, 512, 1)), ({"factor": 2, "size": 64}, (12, 64, 128, 256, 1))],
    ids=str,
)
def test_the_discriminator_is_that_of_dcgan(options, widths):
    net = nets.Discriminator(**options)
    assert tuple(conv.weight.shape[1] for conv in convolutions(net)) == widths[:-1]
    assert (
        all(conv.kernel_size == (4, 4) for conv in convolutions(net))
        and nets.Discriminator(**net.config()).config() == net.config()
    )
    x = noise((3, 3, net.size, net.size), torch.float32).requires_grad_()
    odds = net(x)
    assert odds.shape == (3,)
    odds.sum().backward()
    assert x.grad.abs().min(dim=1).values.max() > 0


def test_larger_images_give_the_mean_over_places():
    torch.manual_seed(0)
    net = nets.Discriminator(colours=1, factor=2, size=16, width=4).double().eval()
    small = noise((1, 1, 16, 16))
    assert net(small.repeat(1, 1, 2, 3)).shape == (1,)
    for bad in (small[..., 1:], small.repeat(1, 3, 1, 1), noise((1, 1, 17, 18))):
        with pytest.raises(InvalidInput, match="at least 16 x 16"):
            net(bad)


# ---- refusals --------------------------------------------------------------------------------------------------------


def test_wrong_structures_are_refused():
    with pytest.raises(InvalidInput, match="divide"):
        OWN(factor=4, stride=3)
    with pytest.raises(InvalidInput, match="whole number"):
        OWN(widths=(0,), blocks=(1,))
    with pytest.raises(InvalidInput, match="one for each grid"):
        OWN(widths=(8, 16))
    with pytest.raises(InvalidInput, match="padding_mode is 'reflect'; expected one of replicate, zeros"):
        OWN(padding_mode="reflect")
    with pytest.raises(InvalidInput, match="empty"):
        PAPER(channels=())
    with pytest.raises(InvalidInput, match="2\\^k"):
        nets.Discriminator(size=100)
    with pytest.raises(UnknownKeyword, match="widths"):
        OWN(widht=(3,))
    with pytest.raises(InvalidInput, match="no network"):
        nets.build(nets.PRIOR_NETS, "InverseNet", {})
    with pytest.raises(InvalidInput, match="does not fit"):
        nets.build(nets.PRIOR_NETS, "PixelShuffleAutoencoder", {"depth": [3]})
