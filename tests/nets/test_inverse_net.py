"""The linear network: symmetric, positive definite, one stencil away from borders; beta as an input."""

import pytest
import torch

from cases.checks import noise
from fastip import kernels, nets
from fastip.errors import InvalidInput, UnknownKeyword
from fastip.nets.boundary import NET_BOUNDARIES

RANGE = (1e-3, 1e-1)


def net(boundary="circular", beta_range=None, **structure):
    """A small network with weights that depend on beta as well as they can."""
    made = nets.InverseNet(
        **({"channels": (3, 4), "sizes": (3, 5), "dilations": (1, 2)} | structure),
        boundary=boundary,
        beta_range=beta_range,
    )
    if made.gains is not None:
        torch.nn.init.normal_(made.gains.last.weight)
        torch.nn.init.normal_(made.gains.last.bias)
    return made.requires_grad_(False)


@pytest.mark.parametrize("beta_range", [None, RANGE])
@pytest.mark.parametrize("boundary", NET_BOUNDARIES)
def test_it_is_symmetric_and_positive_definite(boundary, beta_range):
    """On a grid smaller than its reach."""
    made = net(boundary, beta_range).double()
    matrix = made(torch.eye(63, dtype=torch.float64).view(63, 1, 7, 9), 2e-2 if beta_range else None).flatten(1)
    torch.testing.assert_close(matrix, matrix.T)
    assert torch.linalg.eigvalsh(matrix)[0] > 0


@pytest.mark.parametrize("beta", [None, 3e-3])
def test_it_is_linear_and_shares_its_channels(beta):
    made = net("reflect", RANGE if beta else None).double()
    a, b = noise((2, 3, 11, 13), seed=1), noise((2, 3, 11, 13), seed=2)
    torch.testing.assert_close(made(2 * a - 3 * b, beta), 2 * made(a, beta) - 3 * made(b, beta))
    torch.testing.assert_close(made(a, beta)[1:, 2:], made(a[1:, 2:], beta))


@pytest.mark.parametrize(
    "structure",
    [
        {},
        {"channels": (4,), "sizes": (7,), "dilations": None},
        {"channels": (2, 2, 2), "sizes": (3, 1, 3), "dilations": (3, 1, 2)},
    ],
)
@pytest.mark.parametrize("beta", [None, 3e-3])
def test_on_a_circular_grid_it_is_one_stencil(structure, beta):
    made = net("circular", RANGE if beta else None, **structure).double()
    r = noise((2, 2, 23, 29))
    taps = made.stencil(beta)
    assert taps.shape == (2 * made.reach + 1,) * 2
    torch.testing.assert_close(kernels.stencil(r, taps, "circular"), made(r, beta))


@pytest.mark.parametrize("boundary", ["zero", "reflect"])
def test_away_from_borders_it_is_the_stencil(boundary):
    """Exactly from row ``band`` on, and not before."""
    made = net(boundary).double()
    r = noise((1, 1, 45, 47))
    difference = (kernels.stencil(r, made.stencil(), "zero") - made(r)).abs()[0, 0]
    b = made.band
    assert difference[b:-b, b:-b].max() < 1e-12 < difference[b - 1, b:-b].max()


def test_the_dilated_one():
    made = nets.InverseNet.dilated(boundary="zero", beta_range=RANGE)
    assert (made.reach, made.products, made.boundary, made.beta_range) == (24, 888, "zero", RANGE)


def test_beta_belongs_to_its_image():
    made = net("zero", RANGE).double()
    r = noise((3, 2, 9, 8))
    betas = torch.tensor([1e-3, 2e-2, 1e-1], dtype=torch.float64)
    together = made(r, betas)
    for k in range(3):
        torch.testing.assert_close(together[k : k + 1], made(r[k : k + 1], float(betas[k])))
    assert (together[0] - made(r[:1], 1e-1)[0]).abs().max() > 1e-3


def test_rescale_and_config():
    made = net("zero", RANGE).double()
    r = noise((1, 1, 9, 8))
    before = made(r, 1e-2)
    again = nets.build(nets.INVERSE_NETS, "InverseNet", made.config()).double()
    again.load_state_dict(made.state_dict())
    assert torch.equal(again(r, 1e-2), before)
    made.rescale(3.0)
    torch.testing.assert_close(made(r, 1e-2), 3 * before)


def test_gradients_reach_every_weight():
    made = net("reflect", RANGE).double().requires_grad_(True)
    made(noise((2, 1, 8, 9)), 2e-2).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in made.parameters())
    assert made.gains.last.bias.grad.abs().min() > 0, "every gain acts"


def test_float32_agrees_with_float64():
    made = net("zero")
    r = noise((1, 1, 30, 31))
    torch.testing.assert_close(made(r.float()).double(), made(r), rtol=1e-4, atol=1e-5)


def test_refusals():
    with pytest.raises(InvalidInput, match="odd"):
        nets.InverseNet(sizes=(4, 3))
    with pytest.raises(InvalidInput, match="one for each layer"):
        nets.InverseNet(channels=(4, 4, 4))
    with pytest.raises(InvalidInput, match="boundary"):
        nets.InverseNet(boundary="valid")
    with pytest.raises(InvalidInput, match="at most 256"):
        nets.InverseNet(dilations=(1, 600))
    with pytest.raises(InvalidInput, match="low < high"):
        nets.InverseNet(beta_range=(1e-1, 1e-2))
    with pytest.raises(InvalidInput, match="beta as an input"):
        net("zero", RANGE)(torch.zeros(1, 1, 4, 4))
    with pytest.raises(InvalidInput, match="values"):
        net("zero", RANGE)(torch.zeros(3, 1, 4, 4), torch.tensor([1e-2, 1e-2]))
    with pytest.raises(InvalidInput, match="four dimensions"):
        net()(torch.zeros(4, 4))
    with pytest.raises(UnknownKeyword, match="channels"):
        nets.InverseNet(chanels=(3,))
    with pytest.raises(InvalidInput, match="no network"):
        nets.build(nets.INVERSE_NETS, "Inverse", {})
    with pytest.raises(InvalidInput, match="does not fit"):
        nets.build(nets.INVERSE_NETS, "InverseNet", {"widths": [3]})
