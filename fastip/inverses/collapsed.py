"""A linear network as stencils: one inside, and near each edge and corner those that its layers make there."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import kernels
from ..nets import InverseNet
from ..placement import placed
from . import edges


def worth_collapsing(net: InverseNet) -> bool:
    """Whether one stencil is less work for each pixel than the layers."""
    return (2 * net.reach + 1) ** 2 <= net.products


class Bordered:
    """C of a linear network on a grid with borders, computed as stencils.

    It equals the layers to rounding, for the work of one stencil. C is symmetric, so the weights of an output are
    the response to an impulse at its place: one response serves all pixels away from borders, one for each of the
    ``band`` rows serves an edge, and the band x band pixels of a corner have one each. Needs a grid of at least
    :meth:`smallest` a side.
    """

    def __init__(self, net: InverseNet, beta: float, like: Tensor) -> None:
        self.reach, self.band = net.reach, net.band
        self.taps = placed(net.stencil(beta), like.device)
        self.edges = [weights.to(like) for weights in edge_weights(net, beta)] if self.band else []
        self.corners = [weights.to(like) for weights in self._corner_weights(net, beta)] if self.band else []

    @staticmethod
    def smallest(net: InverseNet) -> int:
        """The side from which opposite borders do not meet in one output."""
        return 2 * (net.band + net.reach)

    def __call__(self, r: Tensor) -> Tensor:
        out = kernels.stencil(r, self.taps, "zero")
        if self.band == 0:
            return out
        plane, result = r.flatten(0, 1)[:, None], out.flatten(0, 1)
        depth, b, side = self.band + self.reach, self.band, self.reach
        top, bottom, left, right = self.edges
        result[:, :b] = F.conv2d(plane[:, :, :depth], top, padding=(0, side))[:, :, 0]
        result[:, -b:] = F.conv2d(plane[:, :, -depth:], bottom, padding=(0, side))[:, :, 0]
        result[:, :, :b] = F.conv2d(plane[..., :depth], left, padding=(side, 0))[..., 0].transpose(1, 2)
        result[:, :, -b:] = F.conv2d(plane[..., -depth:], right, padding=(side, 0))[..., 0].transpose(1, 2)
        near, far = slice(0, depth), slice(-depth, None)
        for weights, rows, columns in zip(self.corners, (near, near, far, far), (near, far, near, far), strict=True):
            values = (plane[:, 0, rows, columns].flatten(1) @ weights).view(-1, b, b)
            result[
                :, slice(0, b) if rows is near else slice(-b, None), slice(0, b) if columns is near else slice(-b, None)
            ] = values
        return result.view_as(r)

    def _corner_weights(self, net: InverseNet, beta: float) -> list[Tensor]:
        """Matrices (depth^2, band^2): top left, top right, bottom left, bottom right."""
        depth, b = self.band + self.reach, self.band
        n = 2 * depth
        near, far = (range(b), slice(0, depth)), (range(n - b, n), slice(n - depth, n))
        result = []
        for (rows, high), (columns, across) in ((near, near), (near, far), (far, near), (far, far)):
            found = _responses(net, beta, (n, n), [(i, j) for i in rows for j in columns])
            result.append(found[:, 0, high, across].flatten(1).T)
        return result


def edge_weights(net: InverseNet, beta: float) -> list[Tensor]:
    """Correlation kernels (band, 1, depth, 2 reach + 1) for top and bottom, turned for left and right."""
    depth, b, width = net.band + net.reach, net.band, 2 * net.reach + 1
    tall, wide = 2 * depth, 2 * depth + width  # the other borders are out of reach
    middle = wide // 2
    across = slice(middle - net.reach, middle + net.reach + 1)
    rows = _responses(net, beta, (tall, wide), [(d, middle) for d in (*range(b), *range(tall - b, tall))])
    columns = _responses(net, beta, (wide, tall), [(middle, d) for d in (*range(b), *range(tall - b, tall))])
    return [
        rows[:b, :, :depth, across],
        rows[b:, :, -depth:, across],
        columns[:b, :, across, :depth],
        columns[b:, :, across, -depth:],
    ]


class Edges:
    """C of a linear network for waves along an edge, as ``limits.beyond`` asks for it."""

    def __init__(self, net: InverseNet, beta: float) -> None:
        self.net, self.beta, self.taps = net, beta, net.stencil(beta)
        self._edges: list[Tensor] | None = None

    def __call__(self, axis: int, n: int) -> edges.Across:
        """The map of waves along ``axis``, across ``n`` pixels."""
        net = self.net
        middle = edges.inside(self.taps if axis else self.taps.T, n, wraps=net.boundary == "circular")
        if net.band == 0:
            return middle
        if n < Bordered.smallest(net):
            return edges.matrix(self._rows(axis, n))
        if self._edges is None:
            self._edges = edge_weights(net, self.beta)
        top, bottom, left, right = (e[:, 0] for e in self._edges)
        first, last = (top, bottom) if axis else (left.mT, right.mT)
        return edges.bordered(middle, first, last)

    def _rows(self, axis: int, n: int) -> Tensor:
        """Each pixel across: what it sees, (n, n, columns)."""
        net = self.net
        wide = 2 * (net.band + net.reach) + 2 * net.reach + 1
        middle = wide // 2
        shape, places = ((n, wide), [(d, middle) for d in range(n)])
        if axis == 0:
            shape, places = (wide, n), [(middle, d) for d in range(n)]
        found = _responses(net, self.beta, shape, places)[:, 0]
        return (found if axis else found.mT)[..., middle - net.reach : middle + net.reach + 1]


def _responses(net: InverseNet, beta: float, shape: tuple[int, int], places: list[tuple[int, int]]) -> Tensor:
    """C applied to impulses, float64 on the CPU, ``(len(places), 1, *shape)``."""
    impulses = torch.zeros(len(places), 1, *shape, dtype=torch.float64, device=net.log_scale.device)
    for k, (i, j) in enumerate(places):
        impulses[k, 0, i, j] = 1
    with torch.no_grad():
        return net(impulses, beta).cpu()


def layered(net: Callable[..., Tensor], beta: float, factor: float) -> Callable[[Tensor], Tensor]:
    """r -> factor C r by the layers themselves."""
    return lambda r: net(r, beta) if factor == 1 else factor * net(r, beta)
