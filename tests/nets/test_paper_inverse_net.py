"""The paper's network: its table, its tied 4 x 4 SAME kernels, and what it is not."""

import pytest
import torch
import torch.nn.functional as F

from cases.checks import noise
from fastip import nets
from fastip.errors import InvalidInput
from fastip.nets.boundary import NET_BOUNDARIES


def test_the_weights_of_table_4():
    assert sum(p.numel() for p in nets.PaperInverseNet(colours=3).parameters()) == 34_304
    assert sum(p.numel() for p in nets.PaperInverseNet().parameters()) == 33_280


def test_the_layers_one_by_one():
    """Zero boundary: SAME convolutions pad one row before and two after, as torch's padding="same".

    The first half is their exact transpose.
    """
    net = nets.PaperInverseNet(colours=3, boundary="zero").double().requires_grad_(False)
    r = noise((2, 3, 9, 7))
    first = F.conv_transpose2d(r, net.outer)[..., 1:-2, 1:-2].relu()
    second = F.conv_transpose2d(first, net.inner)[..., 1:-2, 1:-2].relu()
    third = F.conv2d(second, net.inner, padding="same").relu()
    torch.testing.assert_close(net(r), F.conv2d(third, net.outer, padding="same"))


@pytest.mark.parametrize("boundary", NET_BOUNDARIES)
def test_without_relu_it_would_be_symmetric(boundary, monkeypatch):
    """Kernels tied across the middle: W W^T once the activations are gone."""
    monkeypatch.setattr(torch, "relu", lambda v: v)
    net = nets.PaperInverseNet(channels=(3, 5), boundary=boundary).double().requires_grad_(False)
    matrix = net(torch.eye(35, dtype=torch.float64).view(35, 1, 5, 7)).flatten(1)
    torch.testing.assert_close(matrix, matrix.T)
    assert torch.linalg.eigvalsh(matrix)[0] > -1e-12


def test_it_is_homogeneous_but_neither_linear_nor_odd():
    net = nets.PaperInverseNet().double().requires_grad_(False)
    r = noise((1, 1, 16, 15))
    out = net(r)
    torch.testing.assert_close(net(10 * r), 10 * out)
    assert (net(-r) + out).norm() > 0.1 * out.norm()
    assert not net.linear


def test_colours_fold_into_the_batch():
    net = nets.PaperInverseNet(colours=3, beta_range=(1e-3, 1e-1)).double().requires_grad_(False)
    torch.nn.init.normal_(net.gains.last.weight)
    r, beta = noise((2, 6, 8, 9)), torch.tensor([1e-2, 1e-1], dtype=torch.float64)
    out = net(r, beta)
    torch.testing.assert_close(out[1:, 3:], net(r[1:, 3:], 1e-1))
    with pytest.raises(InvalidInput, match="multiple of 3"):
        net(r[:, :4], beta)


def test_rescale_and_config():
    net = nets.PaperInverseNet(colours=1, boundary="reflect", beta_range=(1e-3, 1e-1)).double()
    r = noise((1, 1, 8, 9))
    before = net(r, 1e-2).detach()
    again = nets.build(nets.INVERSE_NETS, "PaperInverseNet", net.config()).double()
    again.load_state_dict(net.state_dict())
    assert torch.equal(again(r, 1e-2), before)
    net.rescale(4.0)
    torch.testing.assert_close(net(r, 1e-2), 4 * before)
