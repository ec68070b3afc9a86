"""The families ``split_open``, ``split_mix``, ``split_close``: the passes of a second split around its transforms."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import InvalidInput
from . import extension, shapes, split_reference
from .extension import addresses, plain
from .family import Family


def _refuse(named: dict[str, Tensor], expected: str) -> None:
    given = ", ".join(f"{name} {tuple(t.shape)}" for name, t in named.items())
    raise InvalidInput(f"the shapes are {given}; expected {expected}")


def check_open(x: Tensor, q: Tensor) -> dict[str, int]:
    """The sizes of images b c h w and their dual b 2 c H W, which are refused where they do not fit."""
    fits = x.ndim == 4 and q.ndim == 5 and q.shape[:3] == (x.shape[0], 2, x.shape[1])
    if not fits or any(n > most for n, most in zip(x.shape[2:], q.shape[3:], strict=True)):
        _refuse({"x": x, "q": q}, "b c h w, and b 2 c H W on a grid at least as large")
    named = (("x", x), ("q", q))
    shapes.check_dtypes(named)
    shapes.check_devices(named)
    sizes = ("images", "channels", "height", "width", "grid_height", "grid_width")
    return dict(zip(sizes, (*x.shape, *q.shape[3:]), strict=True))


def check_mix(w: Tensor, s: Tensor, spectrum: Tensor, near: Tensor, far: Tensor) -> None:
    """Refuse what is not complex planes b c h w twice, and factors h w of which ``near`` is real."""
    named = {"w": w, "s": s, "spectrum": spectrum, "near": near, "far": far}
    factors = (spectrum, near, far)
    if not (w.ndim == 4 and w.shape == s.shape and all(t.shape == w.shape[2:] for t in factors)):
        _refuse(named, "b c h w twice, and h w three times")
    if not (w.is_complex() and w.dtype == s.dtype == spectrum.dtype == far.dtype and near.dtype == w.dtype.to_real()):
        given = ", ".join(f"{name} is {t.dtype}" for name, t in named.items())
        raise InvalidInput(f"the dtypes do not fit: {given}; expected one complex dtype, and for near its real one")
    shapes.check_devices(tuple(named.items()))


def check_close(image: Tensor, blurred: Tensor, x: Tensor, q: Tensor, kept: Tensor, target: Tensor) -> dict[str, int]:
    """The sizes, as :func:`check_open`, with those of ``kept``."""
    sizes = check_open(x, q)
    grids, own = (x.shape[0], x.shape[1], *q.shape[3:]), kept.shape
    broadcasts = kept.ndim == 4 and own[2:] == grids[2:] and own[0] in (1, grids[0]) and own[1] in (1, grids[1])
    named = {"image": image, "blurred": blurred, "x": x, "q": q, "kept": kept, "target": target}
    if not broadcasts or any(t.shape != grids for t in (image, blurred, target)):
        _refuse(named, "b c H W for image, blurred and target, which kept broadcasts to")
    shapes.check_dtypes(tuple(named.items()))
    shapes.check_devices(tuple(named.items()))
    return {**sizes, "kept_images": own[0], "kept_channels": own[1]}


# ---- compiled --------------------------------------------------------------------------------------------------------


def _open(x: Tensor, q: Tensor) -> Tensor:
    sizes = check_open(x, q)
    x, q = plain(x), plain(q)
    w = x.new_empty(len(x), x.shape[1], *q.shape[3:])
    functions, where = extension.target(x)
    arguments = functions.SplitOpenArgs(**addresses({"x": x, "q": q, "w": w}), **sizes)
    extension.run(functions.split_open, arguments, x, where)
    return w


def _mix(w: Tensor, s: Tensor, spectrum: Tensor, near: Tensor, far: Tensor) -> tuple[Tensor, Tensor]:
    check_mix(w, s, spectrum, near, far)
    w, s, spectrum, far = (plain(t.resolve_conj()) for t in (w, s, spectrum, far))
    near = plain(near)
    planes = {"w": w, "s": s, "spectrum": spectrum, "near": near, "far": far}
    functions, where = extension.target(near)
    arguments = functions.SplitMixArgs(**addresses(planes), planes=w.shape[0] * w.shape[1], n=near.numel())
    extension.run(functions.split_mix, arguments, near, where)
    return w, s


def _close(
    image: Tensor, blurred: Tensor, x: Tensor, q: Tensor, kept: Tensor, target: Tensor, beta: float
) -> tuple[Tensor, Tensor]:
    sizes = check_close(image, blurred, x, q, kept, target)
    image, blurred, x, q, kept, target = (plain(t) for t in (image, blurred, x, q, kept, target))
    dual, r = torch.empty_like(q), torch.empty_like(x)
    given = {"image": image, "blurred": blurred, "x": x, "q": q, "kept": kept, "target": target}
    functions, where = extension.target(x)
    arguments = functions.SplitCloseArgs(**addresses(given | {"dual": dual, "r": r}), **sizes, beta=beta)
    extension.run(functions.split_close, arguments, x, where)
    return dual, r[:, None]


split_open = Family(split_reference.split_open, native=_open, triton="split_step", images=(0, 1))
# near, which is real, decides: a complex tensor would take the reference
split_mix = Family(split_reference.split_mix, native=_mix, triton="split_step", images=(3,))
split_close = Family(split_reference.split_close, native=_close, triton="split_step", images=(0, 1, 2, 3, 4, 5))
