"""Whole ADMM solves in Triton: sweeps over all planes, or, for many small planes, programs that keep one plane each.

All memory is allocated before the loop. Nothing is waited for when the tolerance is 0; else the device judges every few
iterations and the host reads late.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...arrays import accumulator
from ...contracts import Pointwise, Status, StencilStep
from ...stopping import EVERY, StopRule
from ..extension import plain
from ..shapes import check_iterations, check_solve, wrap
from ..whole_solve import check_solved
from . import sweeps as sweeps
from .blocks import LONE_PLANE, PLANE, PLANE_WARPS, WARPS, Tiling, language_dtype, on
from .cells import table, taps
from .stop_rule import Watch
from .threshold import clips

# Pixels that rows of a copied state start at multiples of: Triton takes a size that 16 divides for aligned, and then
# loads wide. Fewer lose that; more cost memory.
ALIGNED = 16


Solved = tuple[Tensor, Tensor, int, Status, Tensor]


class Solve:
    """The state and the launches of one solve."""

    def __init__(
        self, step: StencilStep, prox: Pointwise, x: Tensor, q: Tensor, y: Tensor, relaxation: float, by_plane: bool
    ) -> None:
        c, acc, warps = step.convolution, accumulator(y.dtype), PLANE_WARPS if by_plane else WARPS
        self.taps, self.stencil = taps(*c.psf.shape, c.stride, c.boundary), taps(*step.taps.shape, 1, wrap(c.boundary))
        self.weights, self.c_weights = (
            table(c.psf, self.taps, acc, y.device),
            table(step.taps, self.stencil, acc, y.device),
        )
        self.image, self.y, self.q = x, y, plain(q).to(acc, copy=True)
        self.r, self.t = torch.empty_like(self.q), torch.empty_like(self.q)
        (self.height, self.width), (h, w) = x.shape[2:], y.shape[2:]
        self.cells, self.planes, self.channels = -(-self.width // c.stride), len(x) * x.shape[1], x.shape[1]
        self.by_plane, self.blend = by_plane, relaxation != 1.0
        self.state, ld, whole = self._state(x)
        self.sizes = (ld, self.height, self.width, self.cells, h, w)
        self.beta, self.relaxation = float(step.beta), float(relaxation)
        self.pending = self.beta, self.beta / (2 - self.relaxation), 1 - 1 / self.relaxation, 1 / self.relaxation
        self.prox = (*prox.at(1 / (2 * step.beta)).values(), self.relaxation)
        self.data, self.pixels = (
            Tiling.of(h, w, self.taps.depth, y.dtype, warps),
            Tiling.of(self.height, self.cells, self.taps.depth, y.dtype, warps),
        )
        self.a = {
            "A": self.taps.loops(),
            "ONCE": self.taps.once(self.height, self.width),
            "CELLS": whole,
            "ACC": language_dtype(y.dtype),
        }
        self.c = {"C": self.stencil.loops(), "ACC": language_dtype(y.dtype)}
        self.once_c = self.stencil.once(h, w)
        self.ends = {"CLIP": clips(prox.low, prox.high), "BLEND": self.blend}

    def _state(self, x: Tensor) -> tuple[Tensor, int, bool]:
        """The tensor that x lives in during the solve, the distance of its rows, and whether they end with whole cells.

        x itself where its rows are aligned for wide loads, of 16 bytes; else, and where x' is not the state
        (relaxation), a copy with aligned rows.
        """
        s, whole = self.taps.stride, self.width % self.taps.stride == 0
        filled = self.taps.depth == s
        if not self.blend and (not filled or (whole and self.width * x.element_size() % 16 == 0)):
            return x, self.width, whole
        ld = -(-self.cells * s // ALIGNED) * ALIGNED
        state = x.new_empty(*x.shape[:3], ld)
        state[..., self.width :] = 0
        state[..., : self.width] = x
        return state, ld, whole or filled

    def parts(self) -> tuple[int, int, int, int]:
        """Programs that write sums of squares for one image: of its data, its pixels, its next residual, A^T t."""
        data, pixels = self.channels * self.data.count, self.channels * self.pixels.count
        if self.by_plane:
            return self.channels, self.channels, data, pixels
        return data, pixels, data, pixels

    def run(self, count: int, watch: Watch | None, last: bool) -> None:
        """``count`` iterations; with a watch, the last of them is looked at. ``last``: x' of the last one is wanted."""
        if self.by_plane:
            self._planes(count, watch)
        else:
            for k in range(count):
                end = k + 1 == count
                self._sweep(watch, watch if end else None, write=self.blend and end and (last or watch is not None))
        if watch is not None:
            sweeps.pending_kernel[(self.planes * self.data.count,)](
                watch.state, self.state, self.y, self.q, self.r, self.t, watch.pending_squares, self.weights,
                *self.sizes, *self.pending, watch.unit, **self.a, **self.data.options(),
            )  # fmt: skip
            # twice the threads: its loads are narrow, and would spill
            a = {name: self.a[name] for name in ("A", "ONCE", "ACC")} | self.pixels.options()
            a["num_warps"] *= 2
            sweeps.pulled_kernel[(self.planes * self.pixels.count,)](
                watch.state, self.t, watch.pulled_squares, self.weights, *self.sizes[1:], watch.unit, **a
            )

    def _planes(self, count: int, watch: Watch | None) -> None:
        over, *squares = (None, None, None) if watch is None else (watch.state, watch.data_squares, watch.image_squares)
        tensors = (
            self.state,
            self.y,
            self.q,
            self.r,
            self.t,
            self.image if self.blend else None,
            *squares,
            self.weights,
            self.c_weights,
        )
        image_tiles = {"PH": self.pixels.high, "PW": self.pixels.wide}
        constants = self.a | self.c | self.ends | image_tiles | self.data.options()
        sweeps.plane_kernel[(self.planes,)](
            over, *tensors, *self.sizes, count, self.beta, *self.prox, _unit(watch), ONCE_C=self.once_c, **constants
        )

    def _sweep(self, watch: Watch | None, look: Watch | None, write: bool) -> None:
        over = None if watch is None else watch.state
        of_data, of_image = (None, None) if look is None else (look.data_squares, look.image_squares)
        data, pixels = (self.planes * self.data.count,), (self.planes * self.pixels.count,)
        a, c, block = self.a, self.c | {"ONCE": self.once_c}, self.data.options()
        sweeps.residual_kernel[data](
            over, self.state, self.y, self.q, self.r, of_data, self.weights, *self.sizes, self.beta, _unit(look),
            **a, **block,
        )  # fmt: skip
        sweeps.dual_kernel[data](
            over, self.r, self.q, self.t, self.c_weights, *self.sizes[4:], self.relaxation, **c, **block
        )
        tensors = (self.state, self.t, self.image if self.blend else None, of_image, self.weights)
        sweeps.prior_kernel[pixels](
            over, *tensors, *self.sizes, *self.prox, _unit(look), WRITE=write, **a, **self.ends, **self.pixels.options()
        )

    def result(self) -> Tensor:
        """x' of the last iteration, in the memory that x came in."""
        if self.state is not self.image and not self.blend:
            self.image.copy_(self.state[..., : self.width])
        return self.image


def _unit(watch: Watch | None) -> float:
    """That of the sums of squares, where any are written."""
    return 1.0 if watch is None else watch.unit


def solve(
    step: StencilStep, prox: Pointwise, x: Tensor, q: Tensor, y: Tensor, rule: StopRule, relaxation: float = 1.0
) -> Solved:
    """As :func:`fastip.kernels.reference.solve`. On a GPU nothing is waited for when ``rule.tolerance`` is 0."""
    return run(step, prox, x, q, y, rule, relaxation, by_plane=fits_planes(x))


def fits_planes(x: Tensor) -> bool:
    """Whether a program for each plane of ``x`` is taken to be faster than sweeps. Not yet measured.

    Sweeps spread few planes over all multiprocessors.
    """
    pixels, planes = x.shape[-2] * x.shape[-1], x.shape[0] * x.shape[1]
    return pixels <= LONE_PLANE or (pixels <= PLANE and planes >= multiprocessors(x.device))


def multiprocessors(device: torch.device) -> int:
    """How many programs run side by side: one in the interpreter."""
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 1


def run(
    step: StencilStep,
    prox: Pointwise,
    x: Tensor,
    q: Tensor,
    y: Tensor,
    rule: StopRule,
    relaxation: float,
    *,
    by_plane: bool,
) -> Solved:
    """:func:`solve` in whole iterations of one plane a program, or in sweeps over all planes."""
    c = step.convolution
    check_solved(step, q)
    check_iterations(rule.iterations)
    check_solve(x, q, y, c.psf, c.stride, c.boundary, step.taps)
    with on(y):
        state = Solve(step, prox, plain(x), q, plain(y), relaxation, by_plane)
        watch = Watch(rule, y, step.beta, state.parts()) if rule.tolerance > 0 else None
        done, over = 0, False
        while done < rule.iterations and not over:
            count = min(EVERY, rule.iterations - done) if watch else rule.iterations
            done += count
            state.run(count, watch, done == rule.iterations)
            over = watch is not None and watch.look(count)
        result = state.result()
    status, history = Status.ITERATIONS, torch.zeros(0, 2, len(y), dtype=torch.float64)
    if watch is not None:
        done, status, history = watch.result()
    return result, state.q.to(q.dtype), done, status, history
