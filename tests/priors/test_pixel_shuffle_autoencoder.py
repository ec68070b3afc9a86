"""The trained network as a prior.

What it sees of the data and of the level, gradients through a whole solve, and what is refused.
"""

from __future__ import annotations

import copy

import pytest
import torch

import fastip
from cases.checks import noise
from fastip import inverses, nets, operators, priors, psf
from fastip.errors import InvalidInput, Unsupported

OWN = nets.PixelShuffleAutoencoder


def made(seed=0, spread=0.05, **config):
    torch.manual_seed(seed)
    net = OWN(**{"colours": 1, "factor": 2, "widths": (3,), "blocks": (1,)} | config).double()
    torch.nn.init.normal_(net.tail.weight, std=spread)
    return net


def blur(stride=2, boundary="circular", size=5):
    return operators.Blur(psf.gaussian(size, sigma=1.2).double(), stride=stride, boundary=boundary)


class Spy(nets.PriorNet):
    """Notes what it is given."""

    def __init__(self, data_colours=0, stride=1, takes_level=True, colours=1):
        super().__init__()
        self.data_colours, self.stride, self.takes_level, self.colours = data_colours, stride, takes_level, colours
        self.seen = []

    def config(self):
        return {}

    def estimate(self, v, y, level):
        self.seen.append((v, y, level))
        return 0.9 * v


# ---- what the network sees -------------------------------------------------------------------------------------------


def test_the_network_sees_the_data_of_this_solve():
    op, net = blur(), Spy(data_colours=1, stride=2)
    prior = priors.PixelShuffleAutoencoder(net, sigma=0.1)
    for seed in (1, 2):
        y = op(noise((2, 3, 8, 10), seed=seed))
        fastip.admm(y, op, prior, beta=0.1, iterations=2, tolerance=0)
        assert torch.equal(net.seen[-1][1], y.reshape(6, 1, 4, 5)) and net.seen[-1][0].shape == (6, 1, 8, 10)
    assert len(net.seen) == 4


def test_what_the_network_says_is_the_prox():
    op, net = blur(), made(data_colours=1, stride=2)
    y, v = op(noise((2, 1, 8, 10))), noise((2, 1, 8, 10), seed=3)
    bound = priors.PixelShuffleAutoencoder(net, noise=0.05).bind(y, op)
    torch.testing.assert_close(bound(v, 2.0), net(v, y, 0.05 * 2.0))
    assert bound.pointwise() is None


@pytest.mark.parametrize(
    ("stride", "size", "shape"),
    [(4, 9, (7, 9)), (4, 3, (6, 5)), (1, 9, (20, 17)), (2, 5, (9, 8)), (3, 4, (5, 5)), (4, 7, (7, 6)), (5, 9, (6, 7))],
)
def test_valid_data_lie_under_their_pixels(stride, size, shape):
    """For an image that is a ramp, a datum is the mean of pixels about its place.

    The network gets data that follow the ramp wherever there are some.
    """
    op = operators.Blur(torch.full((size, size), 1.0 / size**2, dtype=torch.float64), stride=stride, boundary="valid")
    h, w = op.input_shape((1, 1, *shape))[2:]
    ramp = torch.arange(float(h), dtype=torch.float64)[None, None, :, None].expand(1, 1, h, w)
    net = Spy(data_colours=1, stride=stride)
    fastip.admm(op(ramp), op, priors.PixelShuffleAutoencoder(net, sigma=0.1), beta=0.1, iterations=1, tolerance=0)
    y = net.seen[0][1]
    assert y.shape[2:] == (-(-h // stride), -(-w // stride))
    places = stride * torch.arange(y.shape[2])
    inner = (places >= size) & (places < h - size)
    assert inner.any() and (y[0, 0, :, 0] - places)[inner].abs().max() <= stride / 2 + 0.5


# ---- levels ----------------------------------------------------------------------------------------------------------


def levels(net):
    return [float(level[0]) for _, _, level in net.seen]


def test_the_level_follows_noise_and_beta_or_the_sequence():
    op, y = blur(), blur()(noise((1, 1, 8, 10)))
    for options, beta, expected in (
        ({"noise": 0.1}, [0.01, 0.04, 0.25], [1.0, 0.5, 0.2, 0.2]),
        ({"sigma": 0.3}, [0.01, 0.04], [0.3] * 4),
        ({"sigma": [0.3, 0.2, 0.05]}, 0.1, [0.3, 0.2, 0.05, 0.05]),
        ({"sigma": (0.3, 0.2), "noise": 0}, [0.1, 0.2, 0.3, 0.4], [0.3, 0.2, 0.2, 0.2]),
        ({"sigma": 0.2, "noise": 0.05}, None, [0.2] * 4),
    ):
        net = Spy()
        prior = priors.PixelShuffleAutoencoder(net, **options)
        for _ in range(2):  # each solve begins with the first level
            solution = fastip.admm(y, op, prior, beta=beta, iterations=4, tolerance=0)
        assert levels(net) == pytest.approx(expected * 2)
        if beta is None:
            assert solution.beta == pytest.approx(0.0625)


def test_a_denoiser_takes_a_sequence_too():
    seen = []
    prior = priors.Denoiser(lambda v, level: seen.append(level) or 0.9 * v, sigma=[0.3, 0.1])
    fastip.admm(blur()(noise((1, 1, 8, 10))), blur(), prior, beta=0.1, iterations=3, tolerance=0)
    assert seen == [0.3, 0.1, 0.1]


def test_a_blind_network_needs_no_level_but_beta():
    op, net = blur(), Spy(takes_level=False)
    y = op(noise((1, 1, 8, 10)))
    prior = priors.PixelShuffleAutoencoder(net)
    fastip.admm(y, op, prior, beta=0.1, iterations=2, tolerance=0)
    assert [level for _, _, level in net.seen] == [None, None]
    with pytest.raises(InvalidInput, match="PixelShuffleAutoencoder cannot imply it"):
        fastip.admm(y, op, prior, iterations=1)
    assert fastip.admm(
        y, op, priors.PixelShuffleAutoencoder(net, sigma=0.2, noise=0.1), iterations=1
    ).beta == pytest.approx(0.25)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"noise": 0},
        {"sigma": 0},
        {"sigma": [0.1, -1]},
        {"sigma": []},
        {"sigma": [0.1, 0.2], "noise": 0.1},
        {"sigma": "ab"},
    ],
    ids=str,
)
def test_bad_levels_are_refused(options):
    v = noise((1, 1, 4, 4))
    for make in (
        lambda **given: priors.PixelShuffleAutoencoder(made(), **given),
        lambda **given: priors.Denoiser(torch.clone, **given),
    ):
        with pytest.raises(InvalidInput, match="sigma|noise"):
            make(**options).bind(v, operators.Identity())


def test_another_level_for_the_same_network():
    net = Spy()
    trained = priors.Trained((0.01, 0.2), schedule=((0.1, 0.2), (0.2, 0.1)))
    prior = priors.PixelShuffleAutoencoder(net, trained=trained)
    v = noise((1, 1, 4, 4))
    for options, level in (({"sigma": trained.sigma}, 0.2), ({"noise": 0.1}, 0.3), ({"sigma": 0.7}, 0.7)):
        other = prior.at(**options)
        other.bind(v, operators.Identity())(v, 4.5)
        assert levels(net)[-1] == pytest.approx(level) and other.net is net and other.trained is trained
    assert trained.beta == (0.1, 0.2) and priors.Trained((0.1, 0.2)).beta is None


# ---- gradients -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("net", [{}, {"factor": 1, "widths": (3, 2), "blocks": (1, 1)}], ids=["one grid", "two grids"])
@pytest.mark.parametrize("inverse", ["auto", inverses.Stencil(half_width=2)], ids=["auto", "stencil"])
def test_gradients_of_a_solve(net, inverse):
    """In the data and in each weight of the network, against differences of whole solves."""
    op, net = blur(), made(**net, data_colours=1, stride=2, spread=0.3)
    y = op(noise((1, 1, 6, 8))).requires_grad_()
    names, weights = zip(*net.named_parameters(), strict=True)

    def solve(y, *weights):
        tuned = copy.deepcopy(net)
        for name, weight in zip(names, weights, strict=True):
            place, _, leaf = name.rpartition(".")
            module = tuned.get_submodule(place)
            delattr(module, leaf)
            setattr(module, leaf, weight)
        prior = priors.PixelShuffleAutoencoder(tuned, sigma=[0.3, 0.1, 0.05])
        return fastip.admm(y, op, prior, beta=[0.03, 0.1, 0.1], inverse=inverse, iterations=3, tolerance=0).x

    assert torch.autograd.gradcheck(solve, (y, *(w.detach().clone().requires_grad_() for w in weights)), fast_mode=True)


def test_no_graph_without_gradients():
    op, net = blur(), made(data_colours=1, stride=2)
    y = op(noise((1, 1, 8, 10)))
    prior = priors.PixelShuffleAutoencoder(net, sigma=0.1)
    with_graph = fastip.admm(y, op, prior, beta=0.1, iterations=3, tolerance=0).x
    with torch.no_grad():
        without = fastip.admm(y, op, prior, beta=0.1, iterations=3, tolerance=0).x
    assert with_graph.requires_grad and not without.requires_grad
    torch.testing.assert_close(with_graph.detach(), without)


# ---- precision, and what is refused ----------------------------------------------------------------------------------


def test_weights_in_bfloat16_keep_the_image_in_its_precision():
    """v less a small correction: what bfloat16 rounds is the correction, not the image."""
    op, net = blur(), made(spread=0.01)
    y = op(torch.rand(1, 1, 16, 18, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    solve = [
        fastip.admm(y.float(), op, priors.PixelShuffleAutoencoder(n, sigma=0.1), beta=0.1, iterations=5, tolerance=0).x
        for n in (net, net.bfloat16())
    ]
    assert solve[1].dtype == torch.float32 and (solve[0] - solve[1]).abs().max() < 5e-4


def test_value_and_strangers_are_refused():
    with pytest.raises(Unsupported, match="prox alone"):
        priors.PixelShuffleAutoencoder(made(), sigma=0.1).value(noise((1, 1, 4, 4)))
    for stranger in (torch.nn.Conv2d(1, 1, 3), None, OWN):
        with pytest.raises(InvalidInput, match="priors.Denoiser"):
            priors.PixelShuffleAutoencoder(stranger, sigma=0.1)


def test_a_network_belongs_to_its_data():
    """Psf and stride count, the boundary does not; a network that takes no data serves any operator."""
    image, op = noise((1, 1, 9, 11)), blur(boundary="valid")
    trained = priors.Trained((0.1, 0.1), data=priors.trained.likeness(op))
    for net, data in ((made(data_colours=1, stride=2), True), (made(), False)):
        prior = priors.PixelShuffleAutoencoder(net, sigma=0.1, trained=trained)
        for other in (op, blur(), blur(boundary="reflect")):
            x = image if other is op else image[..., :8, :10]
            prior.bind(other(x), other)
        for other in (
            blur(size=3),
            blur(stride=1),
            2.0 * blur(),
            operators.Blur(psf.gaussian(5, sigma=1.21).double(), stride=2),
        ):
            if data:
                with pytest.raises(InvalidInput, match="another operator"):
                    prior.bind(other(image[..., :8, :10]), other)
            else:
                prior.bind(other(image[..., :8, :10]), other)
    for levels, schedule in (((0.2, 0.1), ()), ((0.0, 0.1), ()), ((0.1, 0.1), ((0.1, -1.0),))):
        with pytest.raises(InvalidInput, match="positive"):
            priors.Trained(levels, schedule=schedule)


def test_images_and_data_that_do_not_fit_are_refused():
    op = blur()
    y = op(noise((1, 1, 8, 10)))
    for net, message in (
        (made(colours=3), "multiple of 3"),
        (made(data_colours=1, stride=1), "takes data of shape"),
        (made(data_colours=2, stride=2), "takes data"),
    ):
        with pytest.raises(InvalidInput, match=message):
            fastip.admm(y, op, priors.PixelShuffleAutoencoder(net, sigma=0.1), beta=0.1, iterations=1)
    with pytest.raises(InvalidInput, match="b c h w"):
        dense = operators.Dense(torch.rand(5, 16, dtype=torch.float64))
        fastip.admm(noise((1, 5)), dense, priors.PixelShuffleAutoencoder(made(), sigma=0.1), beta=0.1, iterations=1)
