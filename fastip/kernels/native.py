"""The compiled kernels, on CPUs and GPUs: raw pointers go down, the interpreter lock is released below."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..contracts import Pointwise, Status, StencilStep
from ..errors import DeviceError
from ..stopping import EVERY, PATIENCE, StopRule
from . import extension, reference, shapes
from .extension import DTYPES, plain, weights
from .reference import BOUNDARIES

# ---- calls -----------------------------------------------------------------------------------------------------------


def _run(family: str, like: Tensor, *arguments: Any) -> Any:
    """Calls a compiled family where ``like`` is, with its dtype and threads or stream behind the arguments.

    Raises DeviceError where CUDA reports a failure.
    """
    functions, where = extension.target(like)
    try:
        return getattr(functions, family)(*arguments, DTYPES[like.dtype], where)
    except RuntimeError as error:
        if like.is_cpu:
            raise
        instead = "where memory is short pass fewer images at a time; after a fault of the device start the process again"
        raise DeviceError(f"the CUDA kernel {family} failed on {like.device} ({error}); {instead}; FASTIP_BACKEND=reference does without it") from error


def _address(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()


# ---- convolutions ----------------------------------------------------------------------------------------------------


def _convolve(
    x: Tensor,
    psf: Tensor,
    stride: int,
    boundary: str,
    shape: shapes.Shape,
    scale: float = 1.0,
    first: Tensor | None = None,
    a: float = 0.0,
    second: Tensor | None = None,
    b: float = 0.0,
) -> Tensor:
    """scale A x + a first + b second, in one pass, all of ``shape``."""
    x, taps, out = plain(x), weights(psf, x), x.new_empty(shape)
    (n, c, height, width), (h, w), (kh, kw) = x.shape, shape[2:], taps.shape
    first, second = (None if t is None else plain(t) for t in (first, second))
    pointers = (x.data_ptr(), out.data_ptr(), taps.data_ptr(), _address(first), _address(second))
    _run("strided_conv", x, *pointers, (n * c, height, width, h, w, kh, kw, stride, BOUNDARIES.index(boundary)), (scale, a, b))
    return out


def strided_conv(x: Tensor, psf: Tensor, stride: int, boundary: str) -> Tensor:
    """As :func:`fastip.kernels.reference.strided_conv`."""
    return _convolve(x, psf, stride, boundary, shapes.convolved(x, psf, stride, boundary))


def strided_conv_adjoint(y: Tensor, psf: Tensor, stride: int, boundary: str) -> Tensor:
    """As :func:`fastip.kernels.reference.strided_conv_adjoint`."""
    out = y.new_empty(shapes.pulled(y, psf, stride, boundary))
    y, taps = plain(y), weights(psf, y)
    (n, c, h, w), (height, width), (kh, kw) = y.shape, out.shape[2:], taps.shape
    sizes = (n * c, height, width, h, w, kh, kw, stride, BOUNDARIES.index(boundary))
    _run("strided_conv_adjoint", y, y.data_ptr(), out.data_ptr(), taps.data_ptr(), sizes)
    return out


def stencil(r: Tensor, taps: Tensor, boundary: str) -> Tensor:
    """As :func:`fastip.kernels.reference.stencil`."""
    return _convolve(r, taps, 1, shapes.wrap(boundary), shapes.filtered(r, taps, boundary))


def woodbury(x: Tensor, q: Tensor, y: Tensor, psf: Tensor, stride: int, boundary: str, taps: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    """As :func:`fastip.kernels.reference.woodbury`: two passes, the sums inside the convolutions."""
    shape = shapes.measured(x, q, y, psf, stride, boundary, taps)
    shapes.check_dtypes((("x", x), ("q", q), ("y", y)))
    r = _convolve(x, psf, stride, boundary, shape, -1.0, y, 1.0, q, -float(beta))
    return _convolve(r, taps, 1, shapes.wrap(boundary), shape, 1.0, q, 1.0), r


# ---- layout ----------------------------------------------------------------------------------------------------------


def pixel_unshuffle(x: Tensor, stride: int) -> Tensor:
    """As :func:`fastip.kernels.reference.pixel_unshuffle`."""
    out, x = x.new_empty(shapes.split(x, stride)), plain(x)
    (b, c, height, width), (h, w) = x.shape, out.shape[4:]
    _run("pixel_unshuffle", x, x.data_ptr(), out.data_ptr(), (b * c, height, width, h, w, stride))
    return out


def pixel_shuffle(phases: Tensor, height: int, width: int) -> Tensor:
    """As :func:`fastip.kernels.reference.pixel_shuffle`."""
    out, phases = phases.new_empty(shapes.joined(phases, height, width)), plain(phases)
    (b, c, height, width), (s, h, w) = out.shape, phases.shape[3:]
    _run("pixel_shuffle", phases, phases.data_ptr(), out.data_ptr(), (b * c, height, width, h, w, s))
    return out


# ---- pointwise -------------------------------------------------------------------------------------------------------


def soft_threshold(
    v: Tensor,
    threshold: float | Tensor,
    shrink: float | Tensor = 1.0,
    low: float = float("-inf"),
    high: float = float("inf"),
    add: Tensor | None = None,
) -> Tensor:
    """As :func:`fastip.kernels.reference.soft_threshold`; weights that vary over the image, and broadcasting, take the reference."""
    t, factor = shapes.number(threshold, v), shapes.number(shrink, v)
    if t is None or factor is None or (add is not None and (add.shape != v.shape or add.dtype != v.dtype)):
        return reference.soft_threshold(v, threshold, shrink, low, high, add)
    if add is not None:
        shapes.check_devices((("v", v), ("add", add)))
        add = plain(add)
    v = plain(v)
    out = torch.empty_like(v)
    _run("soft_threshold", v, v.data_ptr(), _address(add), out.data_ptr(), v.numel(), (t, factor, low, high))
    return out


def spectral_step_(f: Tensor, p: Tensor, offset: Tensor, gain: Tensor, relaxation: float = 1.0) -> None:
    """:func:`fastip.kernels.reference.spectral_step` in place: f becomes 2 p' - p, p becomes p + relaxation (p' - p).

    f, p, offset: contiguous complex, planes h w; ``gain``: real, h w 2, each number twice.
    """
    shapes.check_planes(f, p, offset, gain)
    _run("spectral_step", gain, (f.data_ptr(), p.data_ptr(), offset.data_ptr(), gain.data_ptr()), len(f), gain.numel(), relaxation)


def tv_prox_(v: Tensor, u: Tensor, r: Tensor, step: float, weight: float, momentum: float, steps: int, isotropic: bool, prox: Pointwise) -> Tensor:
    """:func:`fastip.kernels.reference.tv_prox` with f the pointwise prior ``prox``; u and r (contiguous, 2 b c h w) are overwritten."""
    shapes.check_fields(v, u, r)
    v = plain(v)
    b, c, h, w = v.shape
    out = torch.empty_like(v)
    numbers = (step, weight, momentum, step * prox.l1, 1 / (1 + 2 * step * prox.l2), prox.low, prox.high)
    pointers = (v.data_ptr(), u.data_ptr(), r.data_ptr(), out.data_ptr())
    _run("tv_prox", v, pointers, (b * c, h, w, steps), isotropic, numbers)
    return out


# ---- whole solves ----------------------------------------------------------------------------------------------------

_VERDICTS = (Status.ITERATIONS, Status.CONVERGED, Status.UNSTABLE)


def admm(step: StencilStep, prox: Pointwise, x: Tensor, q: Tensor, y: Tensor, rule: StopRule, relaxation: float) -> tuple[Tensor, Tensor, int, Status, Tensor]:
    """(x, q, iterations done, status, residuals checks x 2 x b) after up to ``rule.iterations`` iterations; x is overwritten, q and y are kept.

    On a GPU nothing is waited for when ``rule.tolerance`` is 0; the dual has the precision of the sums (float32 for images in half precision).
    """
    a = step.convolution
    shapes.check_iterations(rule.iterations)
    shapes.check_solve(x, q, y, a.psf, a.stride, a.boundary, step.taps)
    x, y, psf, taps = plain(x), plain(y), weights(a.psf, y), weights(step.taps, y)
    (b, c, h, w), (height, width), (kh, kw) = y.shape, x.shape[2:], psf.shape
    looks = -(-rule.iterations // EVERY) if rule.tolerance > 0 else 0
    tau = 1 / (2 * step.beta)
    sizes = (b, c, h, w, height, width, kh, kw, a.stride, BOUNDARIES.index(a.boundary), taps.shape[0] // 2, rule.iterations, EVERY, PATIENCE)
    numbers = (step.beta, tau * prox.l1, 1 / (1 + 2 * tau * prox.l2), prox.low, prox.high, relaxation, rule.tolerance)
    history = torch.empty(looks, 2, b, dtype=torch.float64, device=y.device if looks else "cpu")
    solve = _on_gpu if y.is_cuda else _on_cpu
    x, q, (done, checks, verdict) = solve(x, q, y, psf, taps, history, sizes, numbers)
    return x, q, done, _VERDICTS[verdict], history[:checks].cpu()


Counts = tuple[int, int, int]  # iterations done, looks at the stop rule, verdict


def _on_cpu(
    x: Tensor, q: Tensor, y: Tensor, psf: Tensor, taps: Tensor, history: Tensor, sizes: tuple[int, ...], numbers: tuple[float, ...]
) -> tuple[Tensor, Tensor, Counts]:
    q = plain(q).clone()
    pointers = (y.data_ptr(), q.data_ptr(), x.data_ptr(), psf.data_ptr(), taps.data_ptr(), history.data_ptr())
    return x, q, _run("admm", y, pointers, sizes, numbers)


def _on_gpu(
    x: Tensor,
    q: Tensor,
    y: Tensor,
    psf: Tensor,
    taps: Tensor,
    history: Tensor,
    sizes: tuple[int, ...],
    numbers: tuple[float, ...],
    path: int = 0,
    ranks: int = 0,
    by_phase: bool = False,
) -> tuple[Tensor, Tensor, Counts]:
    """``path``: 0 the fastest, 1 sweeps through memory, 2 planes kept on the chip where they fit, each by ``ranks`` blocks (0: as suits).

    ``by_phase``: on the chip in float32, the slower way to fetch margins, which is there to be measured.
    """
    functions, _ = extension.target(y)
    dual = plain(q).to(torch.float64 if y.dtype == torch.float64 else torch.float32, copy=True)
    workspace = torch.empty(functions.admm_workspace(sizes, numbers, DTYPES[y.dtype]), dtype=torch.uint8, device=y.device)
    relaxed = torch.empty_like(x) if numbers[5] != 1.0 else None
    states = torch.empty(functions.admm_states if history.numel() else 0, dtype=torch.uint8, pin_memory=y.is_cuda and history.numel() > 0)
    pointers = (y.data_ptr(), dual.data_ptr(), x.data_ptr(), psf.data_ptr(), taps.data_ptr(), history.data_ptr())
    counts = _run("admm", y, pointers, sizes, numbers, (workspace.data_ptr(), _address(relaxed), states.data_ptr()), (path, ranks, int(by_phase)))
    return x if relaxed is None else relaxed, dual.to(q.dtype), counts
