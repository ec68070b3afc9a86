"""The family ``spectral_step_``: the data step where it is pointwise in Fourier space, in place on packed planes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from . import choose, extension, reference, shapes
from .family import Family, Operator, own

Pair = tuple[Tensor, Tensor]


def _native(f: Tensor, p: Tensor, offset: Tensor, gain: Tensor, relaxation: float = 1.0) -> None:
    shapes.check_planes(f, p, offset, gain)
    pointers = {"f": f.data_ptr(), "p": p.data_ptr(), "offset": offset.data_ptr(), "gain": gain.data_ptr()}
    functions, where = extension.target(gain)
    arguments = functions.SpectralArgs(**pointers, planes=len(f), n=gain.numel(), relaxation=relaxation)
    extension.run(functions.spectral_step, arguments, gain, where)


# ---- the operator, which changes nothing in place --------------------------------------------------------------------


def _run(f: Tensor, p: Tensor, offset: Tensor, gain: Tensor, relaxation: float) -> Pair:
    shapes.of_planes(f, p, offset, gain)
    if f.numel() == 0 or choose.raw((gain,)) == choose.REFERENCE:
        ahead, new = reference.spectral_step(f, p, offset, gain, relaxation)
        return own(ahead), own(new)
    f, p = (t.resolve_conj().clone(memory_format=torch.contiguous_format) for t in (f, p))
    twice = gain[:, :, None].expand(*gain.shape, 2).contiguous()  # once for the real, once for the imaginary part
    spectral_step_.raw(gain)(f, p, offset.resolve_conj().contiguous(), twice, relaxation)
    return f, p


def _fake(f: Tensor, p: Tensor, offset: Tensor, gain: Tensor, relaxation: float) -> Pair:
    shape = shapes.of_planes(f, p, offset, gain)
    return f.new_empty(shape), f.new_empty(shape)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Pair) -> None:
    f, p, _, gain, ctx.relaxation = inputs
    learned = ctx.needs_input_grad[3]
    ctx.save_for_backward(f if learned else None, p if learned else None, gain)


def _gradient(ctx: Any, to_ahead: Tensor, to_p: Tensor) -> tuple[Any, ...]:
    """Complex gradients as torch has them, dL/d re + i dL/d im.

    A real factor is its own adjoint, and gain receives re(conj(p - f) g).
    """
    f, p, gain = ctx.saved_tensors
    g = 2 * to_ahead + ctx.relaxation * to_p  # of p' = offset + gain (p - f)
    scaled = gain * g
    to_gain = ((p - f).conj() * g).real.sum(dim=0) if ctx.needs_input_grad[3] else None
    return -scaled, scaled - to_ahead + (1 - ctx.relaxation) * to_p, g, to_gain, None


SCHEMA = "spectral_step(Tensor f, Tensor p, Tensor offset, Tensor gain, float relaxation) -> (Tensor, Tensor)"
spectral_step_ = Family(
    reference.spectral_step_,
    native=_native,
    triton="spectral_step",
    images=(3,),
    operators=(Operator(SCHEMA, run=_run, fake=_fake, gradient=_gradient, keep=_keep, images=(0, 1, 2)),),
    dispatch=reference.spectral_step_,
)
