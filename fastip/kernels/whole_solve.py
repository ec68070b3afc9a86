"""The family ``solve``: whole ADMM solves whose data step is a stencil and whose prior is pointwise, in one call."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..contracts import Convolution, Pointwise, Status, StencilStep
from ..errors import InvalidInput, Unsupported
from ..stopping import EVERY, PATIENCE, StopRule, rounding
from . import extension, reference, shapes
from .extension import plain
from .family import Family, Operator

Solved = tuple[Tensor, Tensor, int, Status, Tensor]
Counts = tuple[int, int, int]  # iterations done, looks at the stop rule, verdict
VERDICTS = (Status.ITERATIONS, Status.CONVERGED, Status.UNSTABLE)
SOLVED = ("circular", "valid", "zero")  # boundaries; a reflecting one goes step by step


def why_unsolved(step: StencilStep, q: Tensor) -> str | None:
    """None where the raw kernels take this data step, else the reason in words."""
    c = step.convolution
    if c.boundary not in SOLVED:
        return f"the boundary is {c.boundary!r}; the fused kernel runs {', '.join(SOLVED)}"
    h, w = q.shape[-2:]
    reach = max(step.taps.shape[0] // 2, -(-max(c.psf.shape) // c.stride))
    if c.boundary == "circular" and reach > min(h, w):
        return f"the data are {h} x {w} and the stencils reach {reach} pixels, across the border more than once"
    return None


def check_solved(step: StencilStep, q: Tensor) -> None:
    """Refuse what :func:`why_unsolved` names: the raw kernels would end at another image."""
    reason = why_unsolved(step, q)
    if reason is not None:
        raise Unsupported(
            f"no kernel runs this solve in one call ({reason}); call fastip.admm, which goes step by step"
        )


# ---- compiled --------------------------------------------------------------------------------------------------------


def _native(
    step: StencilStep, prox: Pointwise, x: Tensor, q: Tensor, y: Tensor, rule: StopRule, relaxation: float = 1.0
) -> Solved:
    """On a GPU nothing is waited for when ``rule.tolerance`` is 0.

    The dual has there the precision of the sums (float32 for images in half precision).
    """
    a = step.convolution
    check_solved(step, q)
    shapes.check_iterations(rule.iterations)
    shapes.check_solve(x, q, y, a.psf, a.stride, a.boundary, step.taps)
    x, y, psf, taps = plain(x), plain(y), extension.weights(a.psf, y), extension.weights(step.taps, y)
    (b, c, h, w), (height, width), (kh, kw) = y.shape, x.shape[2:], psf.shape
    looks = -(-rule.iterations // EVERY) if rule.tolerance > 0 else 0
    history = torch.empty(looks, 2, b, dtype=torch.float64, device=y.device if looks else "cpu")
    fields: dict[str, Any] = {"y": y, "image": x, "psf": psf, "taps": taps, "history": history}
    fields |= {"images": b, "channels": c, "h": h, "w": w, "height": height, "width": width, "kh": kh, "kw": kw}
    fields |= {"stride": a.stride, "boundary": a.boundary, "half": taps.shape[0] // 2}
    fields |= {"beta": step.beta, **prox.at(1 / (2 * step.beta)), "relaxation": relaxation}
    fields |= {"iterations": rule.iterations, "every": EVERY, "patience": PATIENCE, "tolerance": rule.tolerance}
    if looks:
        fields |= _scales(rule, y.dtype)
    if runs_on_gpu(y):
        x, q, (done, checks, verdict) = on_gpu(x, q, y, fields)
    else:
        q = plain(q).clone()
        functions, threads = extension.target(y)
        arguments = functions.AdmmArgs(**extension.addresses(fields | {"q": q}))
        done, checks, verdict = functions.admm(arguments, extension.DTYPES[y.dtype], threads)
    return x, q, done, VERDICTS[verdict], history[:checks].cpu()


def _scales(rule: StopRule, dtype: torch.dtype) -> dict[str, Any]:
    """What the rule judges by, as fields."""
    scales = rule.known()
    norms = {"sizes": scales.sizes, "floors": scales.floors, "norm": scales.norm}
    return norms | {"rounding": rounding(dtype), "unit": scales.unit}


def runs_on_gpu(y: Tensor) -> bool:
    """Whether the kernels for GPUs solve it."""
    return y.is_cuda


def on_gpu(
    x: Tensor, q: Tensor, y: Tensor, fields: dict[str, Any], path: int = 0, ranks: int = 0, by_phase: bool = False
) -> tuple[Tensor, Tensor, Counts]:
    """A compiled solve on a GPU.

    Args:
        x: Where to start; overwritten.
        q: The dual, which is kept.
        y: Data.
        fields: Those of the argument struct that the CPU has too, but for q; arrays as tensors.
        path: 0 the fastest, 1 sweeps through memory, 2 planes kept on the chip where they fit.
        ranks: Blocks that keep a plane on the chip; 0: as suits.
        by_phase: On the chip in float32, the slower way to fetch margins, which is there to be measured.

    Returns:
        (x, q, counts).
    """
    functions, where = extension.target(y)
    dual = plain(q).to(torch.float64 if y.dtype == torch.float64 else torch.float32, copy=True)
    fields = fields | {"q": dual}
    bytes_needed = functions.admm_workspace(
        functions.AdmmArgs(**extension.addresses(fields)), extension.DTYPES[y.dtype]
    )
    workspace = torch.empty(bytes_needed, dtype=torch.uint8, device=y.device)
    relaxed = torch.empty_like(x) if fields["relaxation"] != 1.0 else None
    looked = fields["tolerance"] > 0
    states = torch.empty(functions.admm_states if looked else 0, dtype=torch.uint8, pin_memory=y.is_cuda and looked)
    fields |= {"workspace": workspace, "relaxed": relaxed, "states": states, "path": path, "ranks": ranks}
    arguments = functions.AdmmArgs(**extension.addresses(fields | {"by_phase": by_phase}))
    counts = extension.run(functions.admm, arguments, y, where)
    return x if relaxed is None else relaxed, dual.to(q.dtype), counts


# ---- the operator: a fixed number of iterations, and no gradient -----------------------------------------------------

Pair = tuple[Tensor, Tensor]


def _run(
    x: Tensor, q: Tensor, y: Tensor, psf: Tensor, stride: int, boundary: str, taps: Tensor, beta: float, *numbers: Any
) -> Pair:
    l1, l2, low, high, relaxation, iterations = numbers
    _check(x, q, y, psf, stride, boundary, taps, beta, iterations)
    step, prox = StencilStep(Convolution(psf, stride, boundary), taps, beta), Pointwise(l1, l2, low, high)
    raw = solve.raw(x, q, y) if why_unsolved(step, q) is None else reference.solve
    fresh = x.clone(memory_format=torch.contiguous_format)
    x, q = raw(step, prox, fresh, q, y, StopRule(0.0, iterations), relaxation)[:2]
    return x.contiguous(), q.contiguous()


def _check(
    x: Tensor, q: Tensor, y: Tensor, psf: Tensor, stride: int, boundary: str, taps: Tensor, beta: float, iterations: int
) -> None:
    shapes.check_solve(x, q, y, psf, stride, boundary, taps)
    shapes.check_dtypes((("q", q), ("y", y)))
    shapes.check_iterations(iterations)
    if not beta > 0:
        raise InvalidInput(f"beta is {beta!r}; expected a number > 0")


def _fake(
    x: Tensor, q: Tensor, y: Tensor, psf: Tensor, stride: int, boundary: str, taps: Tensor, beta: float, *numbers: Any
) -> Pair:
    _check(x, q, y, psf, stride, boundary, taps, beta, numbers[-1])
    return x.new_empty(x.shape), q.new_empty(q.shape)


def _gradient(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
    advice = "call fastip.admm(..., tolerance=0), whose loop is differentiable"
    raise Unsupported(f"torch.ops.fastip.admm runs a whole solve and has no gradient; {advice}")


def _registered(
    step: StencilStep, prox: Pointwise, x: Tensor, q: Tensor, y: Tensor, rule: StopRule, relaxation: float = 1.0
) -> Solved:
    """As the others, but it keeps x, and the rule may never look."""
    if rule.tolerance > 0:
        given = (
            f"tolerance is {rule.tolerance:g}, but a solve inside a compiled graph runs a fixed number of iterations"
        )
        raise Unsupported(f"{given}; pass tolerance=0")
    a = step.convolution
    numbers = (step.beta, prox.l1, prox.l2, prox.low, prox.high, relaxation, rule.iterations)
    x, q = torch.ops.fastip.admm.default(x, q, y, a.psf, a.stride, a.boundary, step.taps, *numbers)
    return x, q, rule.iterations, Status.ITERATIONS, rule.residuals(len(y))


SCHEMA = (
    "admm(Tensor x, Tensor q, Tensor y, Tensor psf, int stride, str boundary, Tensor taps, float beta, float l1, "
    "float l2, float low, float high, float relaxation, int iterations) -> (Tensor, Tensor)"
)
solve = Family(
    reference.solve,
    native=_native,
    triton="solve",
    images=(2, 3, 4),
    operators=(Operator(SCHEMA, run=_run, fake=_fake, gradient=_gradient, images=(0, 1, 2)),),
    dispatch=_registered,
)
