"""Networks that compare images: against the formulas in float64, written out with other means, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.signal import correlate

from fastip import data, nets
from fastip.data.comparators import comparator
from fastip.errors import FastipError, InvalidInput

NETS = {"squeezenet": (nets.SqueezeNet, 9), "vgg16": (nets.VGG16, 5), "alexnet": (nets.AlexNet, 5)}


def images(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(scope="module")
def trained():
    return comparator().double()


# ---- the features, in NumPy ------------------------------------------------------------------------------------------


def convolved(f, module):
    """A convolution layer on c h w by correlation of channels, then a ReLU."""
    kernel, bias = module.weight.detach().numpy(), module.bias.detach().numpy()
    pad = [(0, 0), *((p, p) for p in module.padding)]
    f, (down, right) = np.pad(f, pad), module.stride
    rows = [correlate(f, k, mode="valid")[0, ::down, ::right] + b for k, b in zip(kernel, bias, strict=True)]
    return np.maximum(np.stack(rows), 0)


def pooled(f):
    """Maxima of 3 x 3 every 2 places; the last of them may stick out."""
    h, w = (-(-(n - 3) // 2) + 1 for n in f.shape[1:])
    return np.stack(
        [[f[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3].max(axis=(1, 2)) for j in range(w)] for i in range(h)]
    ).transpose(2, 0, 1)


def squeezed(net, x):
    """The nine layers for one image 3 h w."""
    mean = np.float32([103.939, 116.779, 123.68])[:, None, None]  # the constants are kept in float32
    f = convolved(255 * x[::-1] - mean, net.conv1)
    found = [f]
    for k, fire in enumerate(net.fires):
        s = convolved(pooled(f) if k in (0, 2, 4) else f, fire.squeeze1x1)
        f = np.concatenate([convolved(s, fire.expand1x1), convolved(s, fire.expand3x3)])
        found.append(f)
    return found


def far(features, others):
    """sum over layers of the mean over places of |f / |f| - g / |g||^2 = 2 - 2 cos."""
    total = 0.0
    for f, g in zip(features, others, strict=True):
        lengths = np.linalg.norm(f, axis=0), np.linalg.norm(g, axis=0)
        assert min(length.min() for length in lengths) > 1e-3
        total += np.mean(2 - 2 * (f * g).sum(axis=0) / (lengths[0] * lengths[1]))
    return total


@pytest.mark.parametrize(("h", "w"), [(29, 36), (35, 27)])
def test_squeezenet_in_numpy(trained, h, w):
    """Layers and distance to rounding, in float64, for two images of a batch."""
    x, reference = images(2, 3, h, w), images(2, 3, h, w, seed=1)
    layers = trained.layers(x)
    assert len(layers) == 9
    expected = []
    for k in range(2):
        one, other = squeezed(trained, x[k].numpy()), squeezed(trained, reference[k].numpy())
        for found, due in zip(layers, one, strict=True):
            np.testing.assert_allclose(found[k].detach().numpy(), due, rtol=1e-9, atol=1e-8)
        expected.append(far(one, other))
    np.testing.assert_allclose(trained(x, reference).numpy(), expected, rtol=1e-9)
    single = comparator()(x.float(), reference.float())
    torch.testing.assert_close(single.double(), trained(x, reference), rtol=1e-4, atol=0)


def test_the_structure():
    assert sum(p.numel() for p in nets.SqueezeNet().parameters()) == 1_235_496
    assert [tuple(f.shape[1:]) for f in nets.SqueezeNet().layers(torch.rand(1, 3, 64, 80))] == [
        (64, 31, 39),
        (128, 15, 19),
        (128, 15, 19),
        (256, 7, 9),
        (256, 7, 9),
        (384, 3, 4),
        (384, 3, 4),
        (512, 3, 4),
        (512, 3, 4),
    ]
    assert [f.shape[1] for f in nets.VGG16().layers(torch.rand(1, 3, 32, 32))] == [64, 128, 256, 512, 512]
    assert [f.shape[1] for f in nets.AlexNet().layers(torch.rand(1, 3, 40, 40))] == [64, 192, 384, 256, 256]


@pytest.mark.parametrize(("build", "convolutions"), [(nets.VGG16, (0, 2)), (nets.AlexNet, (0,))])
def test_the_chains_take_the_colours_of_imagenet(build, convolutions):
    """Their first layer, from an image less the mean colour over the deviation, red first."""
    net, x = build().double(), images(2, 3, 40, 37)
    f = torch.stack(
        [
            (x[:, c] - mean) / deviation
            for c, (mean, deviation) in enumerate(((0.485, 0.229), (0.456, 0.224), (0.406, 0.225)))
        ],
        dim=1,
    )
    for position in convolutions:
        f = torch.relu(net.chain[position](f))
    torch.testing.assert_close(net.layers(x)[0], f, rtol=1e-6, atol=1e-6)


# ---- photographs -----------------------------------------------------------------------------------------------------


def test_what_it_sees_on_photographs():
    """Classes of ImageNet: a cat is one of the cats (281 to 285), a cup of coffee an espresso (967).

    Channels come blue before red, or the cup is no espresso.
    """
    net = comparator()
    pictures = data.held_out_photographs(["chelsea", "coffee"])
    cat, coffee = (data.centre(x, 256) for x in pictures.values())
    assert int(net.scores(cat).argmax()) in range(281, 286)
    shares = net.scores(coffee).softmax(dim=1)[0]
    assert int(shares.argmax()) == 967 and shares[967] > 0.5
    assert net.scores(coffee.flip(1)).softmax(dim=1)[0, 967] < shares[967]


def test_the_distance_grows_with_noise_and_blur():
    net, cat = comparator(), data.centre(data.held_out_photographs(["chelsea"])["chelsea"], 128)
    noise = torch.randn(cat.shape, generator=torch.Generator().manual_seed(0))
    noisy = [float(net((cat + level * noise).clamp(0, 1), cat)) for level in (0.0, 0.01, 0.02, 0.05, 0.1, 0.2)]
    pool = torch.nn.functional.avg_pool2d
    blurred = [float(net(pool(cat, k, 1, padding=k // 2, count_include_pad=False), cat)) for k in (1, 3, 5, 9, 15)]
    for distances in (noisy, blurred):
        assert abs(distances[0]) < 1e-6 and all(b > 1.1 * a for a, b in zip(distances, distances[1:], strict=False))
    assert float(net(cat.flip(3), cat)) > noisy[1], "another picture is farther than a little noise"


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("colours", [1, 3])
def test_any_comparator(name, colours):
    """Symmetric, 0 for equal images, and batches are independent.

    Grey is repeated, and gradients are finite even where an image is black.
    """
    build, count = NETS[name]
    torch.manual_seed(0)
    net = comparator() if name == "squeezenet" else build()
    x, reference = (images(3, colours, 37, 33, seed=seed).float() for seed in (0, 1))
    x[0], reference[1] = 0.0, 0.0
    found = net(x, reference)
    assert found.shape == (3,) and len(net.features(x)) == count and (found > 0).all()
    torch.testing.assert_close(found, net(reference, x))
    torch.testing.assert_close(found[1:2], net(x[1:2], reference[1:2]))
    torch.testing.assert_close(net(x, x), torch.zeros(3))
    if colours == 1:
        torch.testing.assert_close(found, net(x.repeat(1, 3, 1, 1), reference.repeat(1, 3, 1, 1)))
    for f in net.features(x):
        lengths = f.square().sum(dim=1)
        assert (((lengths - 1).abs() < 1e-3) | (lengths < 1e-3)).all()
    (gradient,) = torch.autograd.grad(net(x.requires_grad_(), reference).sum(), x)
    assert torch.isfinite(gradient).all() and gradient[2].abs().max() > 0


def test_the_gradient_is_that_of_the_distance(trained):
    """Against a difference in float64."""
    x, reference, direction = images(1, 3, 24, 31), images(1, 3, 24, 31, seed=1), images(1, 3, 24, 31, seed=2) - 0.5
    inner = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(trained(inner, reference).sum(), inner)
    step = 1e-7
    slope = (trained(x + step * direction, reference) - trained(x - step * direction, reference)) / (2 * step)
    torch.testing.assert_close((gradient * direction).sum(), slope[0], rtol=1e-4, atol=0)


@pytest.mark.parametrize("name", NETS)
def test_images_that_do_not_fit_are_refused(name):
    build, _ = NETS[name]
    net = build()
    least = net.smallest
    assert torch.isfinite(net(torch.rand(1, 3, least, least + 2), torch.rand(1, 3, least, least + 2))).all()
    x = torch.rand(1, 3, 40, 40)
    for wrong, message in (
        (torch.rand(1, 2, 40, 40), "1 or 3"),
        (torch.rand(1, 3, least - 1, 40), f"{least} x {least}"),
        (x[0], "b c h w"),
        (x.int(), "dtype"),
    ):
        with pytest.raises(FastipError, match=message):
            net(wrong, wrong)
    with pytest.raises(InvalidInput, match="one shape"):
        net(x, x[:, :1])
