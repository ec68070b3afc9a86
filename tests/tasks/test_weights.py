"""The suggested weight: its formula on operators of every kind, what it refuses, and that it is close to the best."""

from __future__ import annotations

import math

import pytest
import torch

from fastip import data, operators, tasks
from fastip.errors import InvalidInput
from fastip.experiments import default_weights
from fastip.experiments.scores import psnr, under_data
from tests.tasks.test_classical import photograph

SHAKEN = torch.rand(5, 7, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
SHAKEN /= SHAKEN.sum()
HALF = (torch.arange(63).reshape(7, 9) % 3 > 0).double()  # two thirds are known


def passed(op, shape):
    """The square of the Frobenius norm for each pixel, from the columns of the matrix."""
    pixels = math.prod(shape)
    columns = torch.eye(pixels, dtype=torch.float64).reshape(pixels, *shape[1:])
    return float(op(columns).square().sum()) / pixels


@pytest.mark.parametrize("noise", [0.004, 0.01, 0.05])
def test_the_formula_where_everything_passes(noise):
    assert tasks.suggested_weight("tv", noise, operators.Identity()) == pytest.approx(5 * noise**1.5)
    assert tasks.suggested_weight("wavelet", noise, operators.Identity()) == pytest.approx(12 * noise**1.6)


@pytest.mark.parametrize(
    ("op", "share"),
    [
        (operators.Blur(SHAKEN), float(SHAKEN.square().sum())),
        (operators.Blur(SHAKEN, stride=3, boundary="valid"), float(SHAKEN.square().sum()) / 9),
        (operators.Blur(SHAKEN, stride=2, boundary="reflect"), float(SHAKEN.square().sum()) / 4),
        (operators.Downsample(4), 4.0**-4),
        (operators.Mask(HALF), 2 / 3),
        (operators.Mask(HALF) @ operators.Blur(SHAKEN, boundary="valid"), float(SHAKEN.square().sum()) * 2 / 3),
        (operators.ToGray(), float(operators.ToGray()(torch.eye(3).reshape(3, 3, 1, 1)).square().sum()) / 3),
    ],
    ids=str,
)
def test_less_is_wanted_where_less_passes(op, share):
    whole = operators.Identity()
    for prior, power in (("tv", 1 / 3), ("wavelet", 1 / 4)):
        ratio = tasks.suggested_weight(prior, 0.1, op) / tasks.suggested_weight(prior, 0.1, whole)
        assert ratio == pytest.approx(share**power, rel=0.03)  # ToGray is tried with 3 x 64 x 64 random signs


@pytest.mark.parametrize(
    ("op", "small", "shape"),
    [
        (operators.Resize(2), operators.Resize(2), (1, 1, 24, 24)),
        (operators.Resize(3, method="area"), operators.Resize(3, method="area"), (1, 1, 24, 24)),
        (operators.Resize(1.5, like="opencv"), operators.Resize(1.5, like="opencv"), (1, 1, 24, 24)),
        (operators.Resize(shapes=((40, 44), (13, 21))),) * 2 + ((1, 1, 40, 44),),
        (operators.Separable(torch.eye(20)[::2] / 2, torch.eye(21)[::3]),) * 2 + ((1, 1, 20, 21),),
        (operators.Dense(torch.eye(48)[:12] * 3, image_shape=(1, 6, 8)),) * 2 + ((1, 1, 6, 8),),
    ],
    ids=["resize", "area", "opencv", "shapes", "separable", "dense"],
)
def test_what_passes_is_measured_where_it_is_not_known(op, small, shape):
    expected = tasks.suggested_weight("tv", 0.1, operators.Identity()) * passed(small, shape) ** (1 / 3)
    # 5 %: random signs, and on the small grid the border
    assert tasks.suggested_weight("tv", 0.1, op) == pytest.approx(expected, rel=0.05)
    assert tasks.suggested_weight("tv", 0.1, op) == tasks.suggested_weight("tv", 0.1, op)


@pytest.mark.parametrize("noise", [0.0, 0.004])
@pytest.mark.parametrize(
    ("op", "pixels"),
    [
        (operators.Resize(3), 9),
        (operators.Resize(4), 16),
        (operators.Resize(8), 16),  # no more than what was tried
        (operators.Blur(SHAKEN, stride=3, boundary="valid"), 9),
        (operators.Mask(HALF) @ operators.Blur(SHAKEN, stride=3, boundary="valid"), 9),
    ],
    ids=str,
)
def test_wavelets_want_more_where_most_is_their_own(op, pixels, noise):
    assert tasks.suggested_weight("wavelet", noise, op) == pytest.approx(1.6e-5 * pixels**2, rel=1e-9)


@pytest.mark.parametrize(
    ("prior", "op"),
    [
        ("tv", operators.Identity()),
        ("tv", operators.Resize(4)),
        ("tv", operators.Blur(SHAKEN)),
        ("wavelet", operators.Identity()),
        ("wavelet", operators.Blur(SHAKEN)),
        ("wavelet", operators.Mask(HALF)),
    ],
    ids=str,
)
def test_more_noise_wants_more_and_8_bits_are_the_floor(prior, op):
    levels = [0.0, 1e-9, 0.29 / 255, 1 / 255, 0.01, 0.03, 0.06, 0.3, 0.999]
    weights = [tasks.suggested_weight(prior, level, op) for level in levels]
    assert weights[0] == weights[1] > 0
    assert weights == sorted(weights) and len(set(weights[3:])) == len(weights[3:])


@pytest.mark.parametrize(
    ("op", "l1", "l2"),
    [
        (operators.Blur(SHAKEN), 5e-3, 2e-2),
        (operators.Blur(SHAKEN, stride=2), 2e-3, 1e-2),
        (operators.Blur(SHAKEN, stride=4), 1e-4, 1e-4),
        (operators.Resize(4), 1e-4, 1e-4),
        (operators.Resize(2), 2e-3, 1e-2),
        (operators.Mask(HALF), 5e-3, 2e-2),
    ],
    ids=str,
)
def test_l1_and_l2_depend_on_the_stride_alone(op, l1, l2):
    for noise in (0.0, 0.05):
        assert (tasks.suggested_weight("l1", noise, op), tasks.suggested_weight("l2", noise, op)) == (l1, l2)


class Odd(operators.Identity):
    """Takes 5 x 5 alone, and does not say so."""

    def convolution(self):
        return None

    window = convolution

    def input_shape(self, output_shape):
        raise InvalidInput("5 x 5")


@pytest.mark.parametrize(
    ("prior", "noise", "op", "message"),
    [
        ("wavelt", 0.01, operators.Identity(), "no prior 'wavelt': did you mean 'wavelet'"),
        ("bm3d", 0.01, operators.Identity(), "expected one of tv, wavelet, l1, l2"),
        ("tv", float("nan"), operators.Identity(), "noise is nan; expected a finite number >= 0"),
        ("tv", float("inf"), operators.Identity(), "noise is inf"),
        ("tv", -0.01, operators.Identity(), "noise is -0.01; expected a finite number >= 0"),
        ("l1", 2.55, operators.Identity(), r"noise is 2.55; .*divide grey levels by 255 \(2.55 / 255 = 0.01\)"),
        ("tv", 1.0, operators.Identity(), "below 1"),
        ("tv", "strong", operators.Identity(), "noise is 'strong'; expected a number"),
        ("tv", 0.01, Odd(), "op is Odd.*give the weight itself"),
    ],
)
def test_refusals(prior, noise, op, message):
    with pytest.raises(InvalidInput, match=message):
        tasks.suggested_weight(prior, noise, op)


@pytest.mark.parametrize(
    ("prior", "kind", "noise"),
    [
        ("tv", "7 × 7 disk", 2.55),
        ("tv", "thumbnail × 3 bicubic", 15.0),
        ("wavelet", "7 × 7 disk", 2.55),
        ("wavelet", "thumbnail × 4 bicubic", 1.0),
    ],
)
def test_it_is_close_to_the_best(prior, kind, noise):
    x = operators.ToGray()(photograph()[..., :96])
    op = default_weights.OPERATORS[kind](96)
    y = data.degrade(x, op, noise / 255, generator=7)
    weight = tasks.suggested_weight(prior, noise / 255, op)
    found = []
    for step in range(-3, 4):
        restored = default_weights.solve(y, op, default_weights.PRIORS[prior](weight * 2.0**step))
        found.append(psnr(under_data(restored, op, y), under_data(x, op, y)))
    assert max(found) - found[3] < 0.3 and max(found) - min(found) > 0.3, found
