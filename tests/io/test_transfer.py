"""Light and the values of files: the curves against their formulas, there and back, channels, kinds, refusals."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from fastip import io
from fastip.errors import InvalidInput
from fastip.io.tone_curves import Parametric, Table, table

BT709 = Parametric(1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081)
SAMPLED = table(np.round(np.linspace(0, 1, 256) ** 2.2 * 65535).astype(np.uint16))
FLAT = table(np.array([0, 0, 0, 0, 3, 3, 900, 900, 20000, 65535, 65535], np.uint16))
CURVES = {
    "srgb": io.Transfer.srgb().curves[0],
    "gamma": Parametric(2.2),
    "root": Parametric(0.45),
    "bt709": BT709,
    "flat": Parametric(2.2, 1.02, -0.02, 0.0, 0.02 / 1.02),
    "offset": Parametric(2.4, 0.9479, 0.0521, 0.0774, 0.04045, 0.002, 0.002),
    "sampled": SAMPLED,
    "flat table": FLAT,
}


def transfer(name: str) -> io.Transfer:
    return io.Transfer((CURVES[name],), "by a test")


def test_srgb_is_the_standard() -> None:
    """Its own numbers, and the formula of IEC 61966-2-1 over both pieces."""
    x = np.array([0, 0.02, 0.04045, 0.0405, 0.5, 188 / 255, 1.0])
    expected = [0.02 / 12.92, 0.04045 / 12.92]
    expected = [0.0, *expected, *(((v + 0.055) / 1.055) ** 2.4 for v in x[3:])]
    found = io.Transfer.srgb().decode(x)
    np.testing.assert_allclose(found, expected, rtol=1e-14)
    assert found[5] == pytest.approx(0.5029, abs=1e-4)  # half of the light is 188, as is known
    np.testing.assert_allclose(io.Transfer.srgb().encode(np.array([0.18, 0.5])), [0.46135613, 0.73535698], rtol=1e-7)


def test_srgb_and_back_in_float64() -> None:
    x = torch.linspace(0, 1, 100_003, dtype=torch.float64)
    srgb = io.Transfer.srgb()
    assert (srgb.encode(srgb.decode(x)) - x).abs().max() < 1e-12
    assert (srgb.decode(srgb.encode(x)) - x).abs().max() < 1e-12


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", CURVES)
def test_the_same_integers_come_back(name: str, dtype: torch.dtype) -> None:
    """All of 8 and of 16 bits, also where a curve is flat, or falls by rounding."""
    # A tenth of 16 bits that all are white are one number of float32.
    for top in (255, 65535)[: 1 if (name, dtype) == ("flat table", torch.float32) else 2]:
        levels = torch.arange(top + 1, dtype=torch.float64)
        x = (levels / top).to(dtype)
        y = transfer(name).decode(x)
        assert y.dtype == dtype and (y.diff() >= 0).all() and y.min() > -1e-3 and y.max() < 1.003
        assert torch.equal((transfer(name).encode(y).double() * top).round(), levels)


@pytest.mark.parametrize("name", CURVES)
def test_what_lies_outside(name: str) -> None:
    """Below 0 is 0; above 1 the curve goes on, and the way back with it."""
    curve = transfer(name)
    y = torch.tensor([-0.5, -1e-8, 1.25, 2.0], dtype=torch.float64)
    x = curve.encode(y)
    assert (x[:2] == 0).all() and (x[2:] > 1 - 1e-9).all() and x[3] > x[2]
    torch.testing.assert_close(curve.decode(x[2:]), y[2:], rtol=1e-9, atol=0.0)
    assert torch.equal(curve.decode(-torch.ones(1)), curve.decode(torch.zeros(1)))


def test_a_table_that_ends_flat_goes_on_with_slope_1() -> None:
    """Else light a little above white would be values of thousands, which floats would hold."""
    found = transfer("flat table").encode(torch.tensor([1.0, 1.05, 2.0], dtype=torch.float64))
    torch.testing.assert_close(found, torch.tensor([1.0, 1.05, 2.0], dtype=torch.float64))


def test_light_stays_as_it_is() -> None:
    x = torch.tensor([-0.5, 0.25, 3.0])
    assert io.Transfer.linear().decode(x) is x and io.Transfer.linear().encode(x) is x


def test_the_formula_of_each_piece() -> None:
    x = torch.tensor([0.0, 0.03, 0.0809, 0.2, 1.0], dtype=torch.float64)
    expected = torch.cat([x[:3] / 4.5, ((x[3:] + 0.099) / 1.099) ** (1 / 0.45)])
    # The standard falls by 6e-5 at 0.081, and the line goes on to where it meets the power.
    torch.testing.assert_close(transfer("bt709").decode(x), expected, rtol=1e-12, atol=1e-15)
    near = torch.linspace(0.0811, 0.1, 500, dtype=torch.float64)
    away = transfer("bt709").decode(near) - ((near + 0.099) / 1.099) ** (1 / 0.45)
    assert 4e-5 < away.max() < 7e-5 and away.min() > -1e-12


def test_tables_are_straight_between_their_numbers() -> None:
    x = torch.linspace(0, 1, 1021, dtype=torch.float64)
    expected = np.interp(x, np.linspace(0, 1, 256), np.round(np.linspace(0, 1, 256) ** 2.2 * 65535) / 65535)
    assert np.abs(transfer("sampled").decode(x).numpy() - expected).max() <= 0.5 / 65535
    assert Table((0.0, 0.25, 1.0)).decode(torch.tensor(0.75)) == 0.625


@pytest.mark.parametrize("name", CURVES)
def test_gradients(name: str) -> None:
    curve = transfer(name)
    x = torch.tensor([0.013, 0.203, 0.512, 0.93, 1.1], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(curve.decode, x)
    # Where a table is flat light says nothing of the value, and the slope is huge: no difference quotient shows it.
    y = torch.tensor([0.1, 0.2, 0.5, 0.93, 1.1], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(curve.encode, y)
    outside = torch.tensor([-1.0, 0.0], requires_grad=True)
    (curve.encode(outside).sum() + curve.decode(outside).sum()).backward()
    assert outside.grad is not None and outside.grad.isfinite().all()


def test_channels_have_curves_of_their_own() -> None:
    x = torch.rand(2, 3, 5, 7, generator=torch.Generator().manual_seed(3))
    several = io.Transfer((Parametric(1.8), BT709, SAMPLED), "by a test")
    y = several.decode(x)
    for i, curve in enumerate(several.curves):
        torch.testing.assert_close(y[:, i], io.Transfer((curve,), "").decode(x[:, i]))
    torch.testing.assert_close(several.encode(y), x)
    for shape in ((2, 1, 5, 7), (5, 7), (3,)):
        with pytest.raises(InvalidInput, match="3 tone curves, one for each channel; expected"):
            several.decode(torch.rand(shape))
    assert io.Transfer((BT709, BT709, BT709), "").decode(x[:, :2]).shape == (2, 2, 5, 7)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ["srgb", "sampled"])
def test_halves_are_worked_out_in_more(name: str, dtype: torch.dtype) -> None:
    x = torch.linspace(0, 1, 97).to(dtype)
    y = transfer(name).decode(x)
    assert y.dtype == dtype and torch.equal(y, transfer(name).decode(x.float()).to(dtype))
    assert transfer(name).encode(y).dtype == dtype


def test_numpy_comes_and_goes() -> None:
    x = np.linspace(0, 1, 50, dtype=np.float32).reshape(1, 2, 25)[..., ::-1]
    y = transfer("srgb").decode(x)
    assert isinstance(y, np.ndarray) and y.dtype == np.float32
    np.testing.assert_array_equal(y, transfer("srgb").decode(torch.from_numpy(x.copy())).numpy())


def test_curves_are_pickled_and_compared() -> None:
    for name in CURVES:
        assert pickle.loads(pickle.dumps(transfer(name))) == transfer(name) and hash(transfer(name))
    assert io.Transfer.gamma(2.2) != io.Transfer.gamma(2.4)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: io.Transfer.gamma(0.1), "exponent 0.1; expected 0.2 to 5"),
        (lambda: io.Transfer.gamma(float("nan")), "exponent is nan; expected a finite number"),
        (lambda: io.Transfer.gamma("two"), "exponent is 'two'; expected a number"),
        (lambda: io.Transfer((), ""), "expected one or more, as Transfer.srgb"),
        (lambda: io.Transfer((2.2,), ""), "expected one or more, as Transfer.srgb"),
        (lambda: io.Kind(told="srgb"), "told is 'srgb'; expected an io.Transfer"),
        (lambda: Parametric(2.2, -1.0), "expected some below 100000, a above 0"),
        (lambda: Parametric(2.2, b=float("inf")), "expected some below 100000"),
        (lambda: Parametric(2.2, c=-1.0, d=0.1), "c not below it"),
        (lambda: Parametric(2.2, 1.0, -0.5, 0.1, 0.2), "powers of negative numbers"),
        (lambda: Parametric(2.2, c=2.0, d=0.5), "falls where its line meets its power"),
        (lambda: Parametric(2.2, 0.2), "goes from 0 to 0.0289"),
        (lambda: Parametric(2.2, e=3.0), "goes from 3 to 4; expected from about 0 to about 1"),
        (lambda: table(np.array([0, 9, 8, 65535], np.uint16)), "a table that falls"),
        (lambda: table(np.array([7, 7], np.uint16)), "expected from about 0 to about 1"),
        (lambda: io.Transfer.srgb().decode(torch.zeros(3, dtype=torch.int64)), "int64; expected floating-point"),
        (lambda: io.Transfer.srgb().encode(torch.zeros(3, dtype=torch.complex64)), "complex64; expected"),
        (lambda: io.Transfer.srgb().decode([0.5]), "expected a torch tensor"),
    ],
)
def test_refusals(make: object, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        make()
