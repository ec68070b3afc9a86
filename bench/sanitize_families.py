"""Each compiled GPU kernel family once, on small odd sizes, for a checker to watch.

Its results are compared with the reference in float64 on the CPU::

    compute-sanitizer --tool memcheck python -P bench/sanitize_families.py            all families
    compute-sanitizer --tool racecheck python -P bench/sanitize_families.py admm      one family

Exits with 1 where a result is wrong, with 3 where there is no CUDA device. On a CPU (FASTIP_BENCH_DEVICE=cpu) it
compares the kernels of the CPU.
"""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

sys.path.insert(0, str(pathlib.Path(__file__).parent))  # python -P leaves it out


import gpu_machine
from fastip.contracts import Convolution, Pointwise, Scales, StencilStep
from fastip.kernels import reference, split_reference
from fastip.kernels.family import Implementations
from fastip.stopping import StopRule

native = Implementations("native")

NO_DEVICE = 3
# psf height and width, stride, half-width of C, data height and width, batch, channels
GEOMETRIES = (
    (9, 9, 4, 2, 11, 19, 2, 3),
    (4, 6, 3, 1, 13, 8, 3, 1),
    (3, 3, 1, 1, 7, 9, 1, 1),
    (2, 7, 5, 3, 33, 70, 1, 2),
)
BOUNDARIES = ("circular", "valid", "zero")
PROX = Pointwise(l1=0.02, l2=0.1, low=-0.4, high=1.0)
DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
BOUND = {torch.float32: 2e-5, torch.float64: 1e-12, torch.bfloat16: 3e-2, torch.float16: 4e-3}
# one block a plane: a launch without clusters; by phase: the slower form of the margins
WAYS = (gpu_machine.SWEEPS, gpu_machine.CHIP, gpu_machine.Way(2, ranks=1), gpu_machine.Way(2, by_phase=True))
Check = Iterator[tuple[str, Any, Any]]  # what it was, what the kernel gave, what it should be


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def problems() -> Iterator[tuple[str, StencilStep, Tensor, Tensor, Tensor]]:
    """(what, step, x, q, y), all float64 on the CPU."""
    for kh, kw, stride, half, h, w, b, c in GEOMETRIES:
        for boundary in BOUNDARIES:
            psf, taps = draw(kh, kw, seed=kh), draw(2 * half + 1, 2 * half + 1, seed=kw)
            height, width = (
                ((h - 1) * stride + kh, (w - 1) * stride + kw) if boundary == "valid" else (h * stride, w * stride)
            )
            step = StencilStep(Convolution(psf / psf.abs().sum(), stride, boundary), taps / (2 * taps.abs().sum()), 0.3)
            what = f"{kh} x {kw}, stride {stride}, {boundary}, {b} x {c} x {h} x {w}"
            yield what, step, draw(b, c, height, width, seed=3), draw(b, c, h, w, seed=4), draw(b, c, h, w, seed=5)


def strided_conv(on: Callable[[Tensor], Tensor]) -> Check:
    for what, step, x, _, _ in problems():
        c = step.convolution
        yield (
            what,
            native.strided_conv(on(x), c.psf, c.stride, c.boundary),
            reference.strided_conv(x, c.psf, c.stride, c.boundary),
        )


def strided_conv_adjoint(on: Callable[[Tensor], Tensor]) -> Check:
    for what, step, _, _, y in problems():
        c = step.convolution
        yield (
            what,
            native.strided_conv_adjoint(on(y), c.psf, c.stride, c.boundary),
            reference.strided_conv_adjoint(y, c.psf, c.stride, c.boundary),
        )


def stencil(on: Callable[[Tensor], Tensor]) -> Check:
    for what, step, _, _, y in problems():
        boundary = step.convolution.boundary
        yield what, native.stencil(on(y), step.taps, boundary), reference.stencil(y, step.taps, boundary)


def woodbury(on: Callable[[Tensor], Tensor]) -> Check:
    for what, step, x, q, y in problems():
        c = step.convolution
        rest = (c.psf, c.stride, c.boundary, step.taps, step.beta)
        yield what, native.woodbury(on(x), on(q), on(y), *rest), reference.woodbury(x, q, y, *rest)


def pixel_unshuffle(on: Callable[[Tensor], Tensor]) -> Check:
    for stride, height, width in ((1, 5, 7), (3, 10, 16), (4, 33, 66)):
        x = draw(2, 3, height, width, seed=stride)
        yield f"stride {stride}", native.pixel_unshuffle(on(x), stride), reference.pixel_unshuffle(x, stride)


def pixel_shuffle(on: Callable[[Tensor], Tensor]) -> Check:
    for stride, height, width in ((1, 5, 7), (3, 10, 16), (4, 33, 66)):
        phases = draw(2, 3, stride, stride, -(-height // stride), -(-width // stride), seed=stride)
        yield (
            f"stride {stride}",
            native.pixel_shuffle(on(phases), height, width),
            reference.pixel_shuffle(phases, height, width),
        )


def soft_threshold(on: Callable[[Tensor], Tensor]) -> Check:
    for count in (1, 7, 1023, 4099):
        v, add = draw(count, seed=count), draw(count, seed=count + 1)
        yield (
            f"{count} values",
            native.soft_threshold(on(v), 0.1, 0.9, -1.0, 1.0, on(add)),
            reference.soft_threshold(v, 0.1, 0.9, -1.0, 1.0, add),
        )


def spectral_step(on: Callable[[Tensor], Tensor]) -> Check:
    for shape in ((1, 1, 1), (3, 5, 7), (2, 64, 65)):
        parts = [(draw(*shape, seed=i), draw(*shape, seed=9 + i)) for i in range(3)]
        gain = draw(*shape[1:], seed=20).sigmoid()
        f, p, offset = (torch.complex(on(a), on(b)) for a, b in parts)
        expected = reference.spectral_step(*(torch.complex(a, b) for a, b in parts), gain, 1.7)
        native.spectral_step_(f, p, offset, on(gain)[:, :, None].expand(*gain.shape, 2).contiguous(), 1.7)
        yield f"{shape}", tuple(map(torch.view_as_real, (f, p))), tuple(map(torch.view_as_real, expected))


def split_step(on: Callable[[Tensor], Tensor]) -> Check:
    """All three passes."""
    for (b, c, h, w), grid, seen in (((1, 1, 1, 1), (1, 1), (1, 1)), ((2, 3, 33, 65), (36, 72), (2, 1))):
        shapes = ((b, c, *grid), (b, c, *grid), (b, c, h, w), (b, 2, c, *grid), (*seen, *grid), (b, c, *grid))
        given = [draw(*shape, seed=i) for i, shape in enumerate(shapes)]
        held = [on(t) for t in given]
        yield f"{grid}, before", native.split_open(*held[2:4]), split_reference.split_open(*given[2:4])
        yield f"{grid}, after", native.split_close(*held, 0.3), split_reference.split_close(*given, 0.3)
        parts = [(draw(b, c, *grid, seed=i), draw(b, c, *grid, seed=9 + i)) for i in range(4)]
        near = draw(*grid, seed=20).sigmoid()
        (w_on, s_on, h_on, far_on), (w_, s_, h_, far) = (
            [torch.complex(to(a), to(b)) for a, b in parts] for to in (on, lambda t: t)
        )
        expected = split_reference.split_mix(w_, s_, h_[0, 0], near, far[0, 0])
        found = native.split_mix(w_on, s_on, h_on[0, 0], on(near), far_on[0, 0])
        yield f"{grid}, between", tuple(map(torch.view_as_real, found)), tuple(map(torch.view_as_real, expected))


def tv_prox(on: Callable[[Tensor], Tensor]) -> Check:
    for shape in ((1, 1, 1, 1), (1, 2, 5, 7), (2, 3, 33, 65)):
        v, u = draw(*shape, seed=1), reference.differences(draw(*shape, seed=2)) / 10
        for isotropic in (True, False):
            numbers = (0.5, 0.2, 0.3, 4, isotropic)
            expected = reference.tv_prox(
                v,
                u,
                u,
                *numbers,
                lambda a: reference.soft_threshold(a, 0.5 * PROX.l1, 1 / (1 + PROX.l2), PROX.low, PROX.high),
            )
            given = on(u), on(u).clone()
            yield (
                f"{shape}, {'length' if isotropic else 'entries'}",
                native.tv_prox(on(v), *given, *numbers, PROX),
                expected,
            )


def admm(on: Callable[[Tensor], Tensor]) -> Check:
    """Without and with a stop rule, relaxed and not, in each way through the GPU."""
    for what, step, x, q, y in problems():
        for relaxation in (1.0, 1.6):
            expected = reference.solve(step, PROX, x, q, y, StopRule(0.0, 7), relaxation)[:2]
            for tolerance in (0.0, 1e-30):
                for way in WAYS if on(x).is_cuda else (gpu_machine.FASTEST,):
                    try:
                        with gpu_machine.way(way):
                            ones = torch.ones(len(y), dtype=torch.float64, device=on(y).device)
                            rule = StopRule(tolerance, 7, Scales(1.0, ones, ones))
                            found = native.solve(step, PROX, on(x).clone(), on(q), on(y), rule, relaxation)
                    except gpu_machine.DoesNotFit:
                        continue
                    yield f"{what}, relaxation {relaxation}, tolerance {tolerance}, {way}", found[:2], expected


EVERY = (
    strided_conv,
    strided_conv_adjoint,
    stencil,
    woodbury,
    pixel_unshuffle,
    pixel_shuffle,
    soft_threshold,
    spectral_step,
    split_step,
    tv_prox,
    admm,
)
FAMILIES = {function.__name__: function for function in EVERY}


def worst(found: Any, expected: Any) -> float:
    """The largest error relative to the largest value."""
    pairs = zip(found, expected, strict=True) if isinstance(found, tuple) else [(found, expected)]
    return max(float((a.cpu().double() - b).abs().max() / b.abs().max()) for a, b in pairs)


def run(name: str, device: torch.device) -> int:
    """The number of wrong results of a family; prints one line for each precision."""
    wrong = 0
    for dtype in DTYPES:
        if dtype.itemsize == 2 and (
            name in ("spectral_step", "split_step") or device.type == "cpu"
        ):  # there is no complex half precision
            continue
        errors = {
            what: worst(found, expected)
            for what, found, expected in FAMILIES[name](lambda t, to=dtype: t.to(device, to))
        }
        bad = {what: error for what, error in errors.items() if not error < BOUND[dtype]}
        wrong += len(bad)
        said = (
            f"{name:22} {str(dtype):15} {len(errors):4} calls, "
            f"largest error {max(errors.values()):.1e}, {'WRONG' if bad else 'ok'}"
        )
        print(said, *(f"\n    WRONG {error:.1e} {what}" for what, error in bad.items()), flush=True)
    return wrong


def main(*names: str) -> int:
    missing = gpu_machine.why_absent()
    if missing is not None:
        print(missing)
        return NO_DEVICE
    unknown = [n for n in names if n not in FAMILIES]
    if unknown:
        print(f"unknown: {', '.join(unknown)}; expected some of {', '.join(FAMILIES)}")
        return 2
    return int(sum(run(name, gpu_machine.device()) for name in names or FAMILIES) > 0)


if __name__ == "__main__":
    with torch.no_grad():
        sys.exit(main(*sys.argv[1:]))
