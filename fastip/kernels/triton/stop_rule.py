"""The stop rule of whole solves in Triton: judged on the device, read by the host one look late.

So the device never waits for the host.
"""

from __future__ import annotations

import functools

import torch
import triton
import triton.language as tl
from torch import Tensor

from ...contracts import Scales, Status
from ...stopping import EVERY, GROWTH, PATIENCE, StopRule, rounding
from .blocks import WARPS

VERDICTS = (Status.ITERATIONS, Status.CONVERGED, Status.UNSTABLE)
# Sums of squares that a program adds at a time: more would idle for small images, fewer loop longer for large ones.
LANES = 256

# Places in the state, 32-bit integers: the verdict (0 while the solve goes on), for how many looks the residual has
# grown, looks, iterations done.
VERDICT, GROWING, LOOKS, DONE = (tl.constexpr(place) for place in range(4))


@triton.jit
def _norm(squares, first, count, unit, LANE: tl.constexpr):
    acc = tl.zeros((LANE,), tl.float64)
    for n in range(0, count, LANE):
        place = n + tl.arange(0, LANE)
        acc += tl.load(squares + first + place, mask=place < count, other=0.0)
    return tl.sqrt(tl.sum(acc, axis=0)) / unit


@triton.jit
def ratios_kernel(
    state, history, sizes, floors, data_squares, image_squares, pending_squares, pulled_squares,
    data_parts, image_parts, pending_parts, pulled_parts,
    beta: tl.float64, norm: tl.float64, tolerance: tl.float64, rounding: tl.float64, unit: tl.float64,
    LANE: tl.constexpr,
):  # fmt: skip
    """The two ratios of one image, from the sums of squares of its programs in a fixed order; a program an image.

    The values in the sums were multiplied by ``unit``.
    """
    if tl.load(state) != 0:
        return
    image, images = tl.program_id(0), tl.num_programs(0)
    row = history + tl.load(state + LOOKS).to(tl.int64) * 2 * images
    size = tl.load(sizes + image)
    data = _norm(data_squares, image * data_parts, data_parts, unit, LANE)
    tl.store(row + image, data / tl.where(size > 0, size, 1.0))
    moved = _norm(image_squares, image * image_parts, image_parts, unit, LANE)
    pulled = 2 * beta * _norm(pulled_squares, image * pulled_parts, pulled_parts, unit, LANE)
    pending = _norm(pending_squares, image * pending_parts, pending_parts, unit, LANE)
    floor, error = tl.load(floors + image), beta * moved + norm * pending
    spare, least = rounding * floor, 0.2 * tolerance * floor
    scale = tl.where(pulled > least, pulled, least)
    tl.store(row + images + image, tl.where(error <= spare, 0.0, error - spare) / tl.where(scale > 0, scale, 1.0))


@triton.jit(do_not_specialize=["count"])
def judge_kernel(
    state, history, images, count, tolerance: tl.float64,
    every: tl.constexpr, patience: tl.constexpr, growth: tl.constexpr, LANE: tl.constexpr,
):  # fmt: skip
    """The verdict after ``count`` more iterations, as :meth:`fastip.stopping.StopRule.judge`. One program."""
    if tl.load(state) != 0:
        return
    looks = tl.load(state + LOOKS)
    row = history + looks.to(tl.int64) * 2 * images
    looked_at = tl.minimum(looks, 1) * images  # none in the first look
    limit = tl.full((LANE,), tolerance, tl.float64)
    open_, broken, grown = tl.zeros((LANE,), tl.int32), tl.zeros((LANE,), tl.int32), tl.zeros((LANE,), tl.int32)
    for n in range(0, images, LANE):
        image = n + tl.arange(0, LANE)
        inside = image < images
        data = tl.load(row + image, mask=inside, other=0.0)
        error = tl.load(row + images + image, mask=inside, other=0.0)
        before = tl.load(row - 2 * images + image, mask=image < looked_at, other=float("inf"))
        begun = tl.load(history + image, mask=image < looked_at, other=float("inf"))
        broken = tl.where((data - data == 0) & (error - error == 0), broken, 1)
        open_ = tl.where(error <= limit, open_, 1)
        grown = tl.where((data > before) & (data > growth * tl.where(begun > 0.1, begun, 0.1)), 1, grown)
    growing = tl.where(tl.max(grown, axis=0) > 0, tl.load(state + GROWING) + 1, 0)
    unstable = (tl.max(broken, axis=0) > 0) | (growing * every >= patience)
    tl.store(state + GROWING, growing)
    tl.store(state + LOOKS, looks + 1)
    tl.store(state + DONE, tl.load(state + DONE) + count)
    tl.store(state + VERDICT, tl.where(unstable, 2, tl.where(tl.max(open_, axis=0) > 0, 0, 1)))


class Watch:
    """One solve's stop rule: the sums of squares that the sweeps write, the ratios, what the host knows of the verdict.

    Args:
        rule: When to stop; it has its scales.
        y: The data, whose size and device are looked at.
        beta: The penalty.
        parts: Programs that work on the data of one image, on the image itself, on its next residual, on A^T t.
    """

    def __init__(self, rule: StopRule, y: Tensor, beta: float, parts: tuple[int, int, int, int]) -> None:
        images, empty = len(y), functools.partial(torch.empty, dtype=torch.float64, device=y.device)
        scales: Scales = rule.known()
        self.rule, self.images, self.parts = rule, images, parts
        self.unit = scales.unit
        self.sizes, self.floors = scales.sizes, scales.floors
        self.numbers = float(beta), float(scales.norm), float(rule.tolerance), rounding(y.dtype), self.unit
        self.history = empty(-(-rule.iterations // EVERY), 2, images)
        squares = [empty(images * count) for count in parts]
        self.data_squares, self.image_squares, self.pending_squares, self.pulled_squares = squares
        self.state = torch.zeros(4, dtype=torch.int32, device=y.device)
        self.copies = [torch.zeros(4, dtype=torch.int32, pin_memory=y.is_cuda) for _ in range(2)]
        self.arrived = [torch.cuda.Event() for _ in range(2)] if y.is_cuda else None
        self.looks = 0

    def look(self, count: int) -> bool:
        """Judge ``count`` more iterations; whether the host knows that all is over, on a GPU as of one look ago."""
        lanes = {"LANE": LANES, "num_warps": WARPS}
        squares = self.data_squares, self.image_squares, self.pending_squares, self.pulled_squares
        ratios_kernel[(self.images,)](
            self.state, self.history, self.sizes, self.floors, *squares, *self.parts, *self.numbers, **lanes
        )
        judge_kernel[(1,)](
            self.state, self.history, self.images, count, float(self.rule.tolerance), EVERY, PATIENCE, GROWTH, **lanes
        )
        now, before = self.looks % 2, (self.looks + 1) % 2
        self.looks += 1
        if self.arrived is None:
            return bool(self.state[0])
        self.copies[now].copy_(self.state, non_blocking=True)
        self.arrived[now].record()
        if self.looks == 1:
            return False
        self.arrived[before].synchronize()
        return bool(self.copies[before][0])

    def result(self) -> tuple[int, Status, Tensor]:
        """(iterations done, status, residuals checks x 2 x b); waits for the device."""
        verdict, _, looks, done = self.state.tolist()
        return done, VERDICTS[verdict], self.history[:looks].cpu()
