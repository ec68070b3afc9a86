"""A linear network as stencils: one inside, and near each edge and corner those that its layers make there."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import kernels
from ..nets import InverseNet
from ..placement import placed


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
        self.edges = [weights.to(like) for weights in self._edge_weights(net, beta)] if self.band else []
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

    def _edge_weights(self, net: InverseNet, beta: float) -> list[Tensor]:
        """Correlation kernels (band, 1, depth, 2 reach + 1) for top and bottom, turned for left and right."""
        depth, b, width = self.band + self.reach, self.band, 2 * self.reach + 1
        tall, wide = 2 * depth, 2 * depth + width  # the other borders are out of reach
        middle = wide // 2
        across = slice(middle - self.reach, middle + self.reach + 1)
        rows = _responses(net, beta, (tall, wide), [(d, middle) for d in (*range(b), *range(tall - b, tall))])
        columns = _responses(net, beta, (wide, tall), [(middle, d) for d in (*range(b), *range(tall - b, tall))])
        return [
            rows[:b, :, :depth, across],
            rows[b:, :, -depth:, across],
            columns[:b, :, across, :depth],
            columns[b:, :, across, -depth:],
        ]

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
