"""Whole ADMM solves in Triton: sweeps over all planes, or, for small planes, programs that keep a plane for many iterations.

All memory is allocated before the loop. Nothing is waited for when the tolerance is 0; else the device judges every few iterations and the host reads late.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..contracts import Pointwise, Status, StencilStep
from ..errors import InvalidInput
from ..stopping import EVERY, StopRule
from . import triton_sweeps as sweeps
from .triton_blocks import PLANE, PLANE_WARPS, WARPS, accumulator, language_dtype, on, tile, tiles
from .triton_cells import Taps, table, taps
from .triton_doors import image, plain, psf_of, same_device
from .triton_stop_rule import Watch
from .triton_strided_conv import wrap

ALIGNED = 16  # pixels that rows of a copied state start at multiples of


class Solve:
    """The state and the launches of one solve."""

    def __init__(self, step: StencilStep, prox: Pointwise, x: Tensor, q: Tensor, y: Tensor, relaxation: float, by_plane: bool) -> None:
        c = step.convolution
        self.taps = taps(*psf_of(c.psf, c.stride, c.boundary).shape, c.stride, c.boundary)
        self.stencil = taps(*step.taps.shape, 1, wrap(c.boundary))
        self.image, self.y, self.by_plane, self.relaxation = x, y, by_plane, float(relaxation)
        self.planes, (self.h, self.w), (self.height, self.width) = len(x) * x.shape[1], y.shape[2:], x.shape[2:]
        self.cells, self.blend = -(-self.width // c.stride), relaxation != 1.0
        acc = accumulator(y.dtype)
        self.q = plain(q).to(acc, copy=True)
        self.r, self.t = torch.empty_like(self.q), torch.empty_like(self.q)
        self.weights, self.c_weights = table(c.psf, self.taps, acc, y.device), table(step.taps, self.stencil, acc, y.device)
        self.state, self.ld, self.whole = self._state(x)
        tau = 1 / (2 * step.beta)
        self.beta = float(step.beta)
        self.numbers = (tau * prox.l1, 1 / (1 + 2 * tau * prox.l2), float(prox.low), float(prox.high), self.relaxation)
        self.clip = prox.low > float("-inf") or prox.high < float("inf")
        self.warps = PLANE_WARPS if by_plane else WARPS
        self.data_block = tile(self.h, self.w, self.taps.depth, self.warps, acc)
        self.image_block = tile(self.height, self.cells, self.taps.depth, self.warps, acc)
        self.kind = {"ACC": language_dtype(acc), "num_warps": self.warps}

    def _state(self, x: Tensor) -> tuple[Tensor, int, bool]:
        """The tensor that x lives in during the solve, the distance of its rows, and whether they end with whole cells.

        x itself where its rows are aligned for wide loads; else, and where x' is not the state (relaxation), a copy with aligned rows.
        """
        s, whole = self.taps.stride, self.width % self.taps.stride == 0
        padded = self.taps.depth == s
        if not self.blend and (not padded or (whole and self.width * x.element_size() % 16 == 0)):
            return x, self.width, whole
        ld = -(-self.cells * s // ALIGNED) * ALIGNED
        state = x.new_empty(*x.shape[:3], ld)
        state[..., self.width :] = 0
        state[..., : self.width] = x
        return state, ld, whole or padded

    def programs(self) -> tuple[int, int]:
        """How many programs write sums of squares: of the data, of the image."""
        if self.by_plane:
            return self.planes, self.planes
        return self.planes * tiles(self.h, self.w, self.data_block), self.planes * tiles(self.height, self.cells, self.image_block)

    def run(self, count: int, watch: Watch | None, last: bool) -> None:
        """``count`` iterations; with a watch, the last of them is looked at. ``last``: x' of the last one is wanted."""
        once = self.taps.rows.once(self.height, self.taps.stride) and self.taps.columns.once(self.width, self.taps.stride)
        once_c = self.stencil.rows.once(self.h, 1) and self.stencil.columns.once(self.w, 1)
        if self.by_plane:
            self._planes(count, watch, once, once_c)
            return
        for k in range(count):
            look = watch if k + 1 == count else None
            self._sweep(watch, look, once, once_c, write=self.blend and k + 1 == count and (last or look is not None))

    def _planes(self, count: int, watch: Watch | None, once: bool, once_c: bool) -> None:
        squares = (None, None) if watch is None else (watch.data_squares, watch.image_squares)
        sizes = (self.ld, self.height, self.width, self.cells, self.h, self.w)
        sweeps.plane_kernel[(self.planes,)](
            None if watch is None else watch.state,
            *(self.state, self.y, self.q, self.r, self.t, self.image if self.blend else None),
            *squares,
            *(self.weights, self.c_weights),
            *sizes,
            count,
            *(self.beta, *self.numbers),
            A=self.taps.loops(),
            C=self.stencil.loops(),
            ONCE=once,
            ONCE_C=once_c,
            CELLS=self.whole,
            CLIP=self.clip,
            BLEND=self.blend,
            BH=self.data_block[0],
            BW=self.data_block[1],
            PH=self.image_block[0],
            PW=self.image_block[1],
            **self.kind,
        )

    def _sweep(self, watch: Watch | None, look: Watch | None, once: bool, once_c: bool, write: bool) -> None:
        over = None if watch is None else watch.state
        data, pixels = ((count,) for count in self.programs())
        sizes = (self.ld, self.height, self.width, self.cells, self.h, self.w)
        a: dict[str, Any] = {"A": self.taps.loops(), "ONCE": once, "CELLS": self.whole, **self.kind}
        block = {"BH": self.data_block[0], "BW": self.data_block[1]}
        squares = None if look is None else look.data_squares
        sweeps.residual_kernel[data](over, self.state, self.y, self.q, self.r, squares, self.weights, *sizes, self.beta, **a, **block)
        sweeps.dual_kernel[data](
            over, self.r, self.q, self.t, self.c_weights, self.h, self.w, self.relaxation, C=self.stencil.loops(), ONCE=once_c, **self.kind, **block
        )
        block = {"BH": self.image_block[0], "BW": self.image_block[1]}
        squares, picture = None if look is None else look.image_squares, self.image if self.blend else None
        sweeps.prior_kernel[pixels](
            *(over, self.state, self.t, picture, squares, self.weights, *sizes, *self.numbers), CLIP=self.clip, BLEND=self.blend, WRITE=write, **a, **block
        )

    def result(self) -> Tensor:
        """x' of the last iteration, in the memory that x came in."""
        if self.state is not self.image and not self.blend:
            self.image.copy_(self.state[..., : self.width])
        return self.image


def admm(step: StencilStep, prox: Pointwise, x: Tensor, q: Tensor, y: Tensor, rule: StopRule, relaxation: float) -> tuple[Tensor, Tensor, int, Status, Tensor]:
    """As :func:`fastip.kernels.native.admm`."""
    small = x.shape[-2] * x.shape[-1] <= PLANE
    return solve(step, prox, x, q, y, rule, relaxation, by_plane=small)


def solve(
    step: StencilStep, prox: Pointwise, x: Tensor, q: Tensor, y: Tensor, rule: StopRule, relaxation: float, *, by_plane: bool
) -> tuple[Tensor, Tensor, int, Status, Tensor]:
    """:func:`admm` in whole iterations of one plane a program, or in sweeps over all planes."""
    x, y = image(x, "x"), image(y, "y")
    same_device(x, q, y)
    if x.dtype != y.dtype or x.shape[:2] != y.shape[:2] or q.shape != y.shape:
        raise InvalidInput(
            f"x, q and y are {tuple(x.shape)} {x.dtype}, {tuple(q.shape)} and {tuple(y.shape)} {y.dtype}; expected the same images, and q of the shape of y"
        )
    with on(y):
        run = Solve(step, prox, x, q, y, relaxation, by_plane)
        watch = Watch(rule, y, *run.programs()) if rule.tolerance > 0 else None
        done, over = 0, False
        while done < rule.iterations and not over:
            count = min(EVERY, rule.iterations - done) if watch else rule.iterations
            done += count
            run.run(count, watch, done == rule.iterations)
            over = watch is not None and watch.look(count)
        result = run.result()
    status, history = Status.ITERATIONS, torch.zeros(0, 2, len(y), dtype=torch.float64)
    if watch is not None:
        done, status, history = watch.result()
    return result, run.q.to(q.dtype), done, status, history
