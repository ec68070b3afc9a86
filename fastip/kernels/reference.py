"""The slow, obvious kernels in plain torch: differentiable, any device, exact in float64; the others' measure."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from ..arrays import accumulator
from ..contracts import Pointwise, Status, StencilStep
from ..stopping import StopRule

BOUNDARIES = ("circular", "valid", "reflect", "zero")


def margins(k: int, boundary: str) -> tuple[int, int]:
    """Pixels the psf reaches before the first and after the last pixel: (k - 1 - k // 2, k // 2); none for valid."""
    return (0, 0) if boundary == "valid" else (k - 1 - k // 2, k // 2)


def extension(size: int, before: int, after: int, boundary: str) -> Tensor:
    """Source index of every pixel of the axis with its margins, (before + size + after,); -1 where zeros stand."""
    i = torch.arange(-before, size + after)
    if boundary == "circular":
        return i % size
    if boundary == "reflect":  # half-sample: d c b a | a b c d | d c b a
        i = i % (2 * size)
        return torch.where(i < size, i, 2 * size - 1 - i)
    return torch.where((i >= 0) & (i < size), i, torch.full_like(i, -1))


def extend(x: Tensor, dim: int, k: int, boundary: str) -> Tensor:
    """``x`` with the margins of a psf of ``k`` pixels along ``dim``."""
    before, after = margins(k, boundary)
    if boundary in ("valid", "zero"):
        pad = [0, 0] * (x.ndim - 1 - dim % x.ndim) + [before, after]
        return F.pad(x, pad)
    return x.index_select(dim, extension(x.shape[dim], before, after, boundary).to(x.device))


def fold(e: Tensor, dim: int, k: int, size: int, boundary: str) -> Tensor:
    """The adjoint of :func:`extend`."""
    before, after = margins(k, boundary)
    if boundary in ("valid", "zero"):
        return e.narrow(dim, before, size)
    shape = list(e.shape)
    shape[dim] = size
    return e.new_zeros(shape).index_add(dim, extension(size, before, after, boundary).to(e.device), e)


def strided_conv(x: Tensor, psf: Tensor, stride: int, boundary: str) -> Tensor:
    """A x: every channel convolved with the psf, of which every ``stride``-th point is kept.

    ``y[i] = sum_t psf[t] x[stride i + k // 2 - t]`` along an axis of k taps, for valid ``x[stride i + k - 1 - t]``.

    Args:
        x: Images, b c H W.
        psf: kh kw, real.
        stride: Pixels from one kept point to the next along both axes, >= 1.
        boundary: What stands beyond the border: circular, reflect (d c b a | a b c d), zero; valid: nothing is needed.

    Returns:
        b c h w of the dtype of x, h = ceil(H / stride), for valid (H - kh) // stride + 1.

    Raises:
        InvalidInput: Where x, psf, stride or the boundary is none of these, or for valid the psf is larger than x.
    """
    b, c = x.shape[:2]
    kh, kw = psf.shape
    extended = extend(extend(x, 2, kh, boundary), 3, kw, boundary)
    weight = psf.to(x).flip(0, 1)[None, None]
    y = F.conv2d(extended.reshape(b * c, 1, *extended.shape[2:]), weight, stride=stride)
    return y.reshape(b, c, *y.shape[2:])


def strided_conv_adjoint(y: Tensor, psf: Tensor, stride: int, boundary: str) -> Tensor:
    """A^T y, the transpose of :func:`strided_conv`.

    Args:
        y: Data, b c h w.
        psf: kh kw, real: that of A.
        stride: That of A, >= 1.
        boundary: That of A.

    Returns:
        b c H W of the dtype of y with H = h stride, for valid (h - 1) stride + kh.

    Raises:
        InvalidInput: As :func:`strided_conv`.
    """
    b, c, h, w = y.shape
    kh, kw = psf.shape
    valid = boundary == "valid"
    height = (h - 1) * stride + kh if valid else h * stride
    width = (w - 1) * stride + kw if valid else w * stride
    weight = psf.to(y).flip(0, 1)[None, None]
    e = F.conv_transpose2d(y.reshape(b * c, 1, h, w), weight, stride=stride)
    if not valid:
        e = F.pad(e, (0, width + kw - 1 - e.shape[3], 0, height + kh - 1 - e.shape[2]))
    e = fold(fold(e, 2, kh, height, boundary), 3, kw, width, boundary)
    return e.reshape(b, c, height, width)


def stencil(r: Tensor, taps: Tensor, boundary: str) -> Tensor:
    """C r for a stencil on the data grid.

    Args:
        r: b c h w.
        taps: (2p + 1) x (2p + 1), real.
        boundary: Circular wraps; any other sees zeros outside.

    Returns:
        b c h w of the dtype of r.

    Raises:
        InvalidInput: Where r has not four dimensions, taps is no non-empty real matrix, or the boundary is unknown.
    """
    return strided_conv(r, taps, 1, "circular" if boundary == "circular" else "zero")


def woodbury(
    x: Tensor, q: Tensor, y: Tensor, psf: Tensor, stride: int, boundary: str, taps: Tensor, beta: float
) -> tuple[Tensor, Tensor]:
    """The data step q' = q + C r with r = y - A x - beta q, A a strided convolution and C a stencil.

    Args:
        x: Images, b c H W.
        q: Dual, b c h w.
        y: Data, b c h w.
        psf: kh kw, real.
        stride: That of A, >= 1.
        boundary: That of A; C wraps where it is circular and sees zeros elsewhere.
        taps: C, (2p + 1) x (2p + 1), real.
        beta: The penalty; a tensor where its gradient is asked for.

    Returns:
        (q', r), both b c h w.

    Raises:
        InvalidInput: As :func:`strided_conv`, and where q or y has not the shape of A x.
    """
    r = y - strided_conv(x, psf, stride, boundary) - beta * q
    return q + stencil(r, taps, boundary), r


def pixel_unshuffle(x: Tensor, stride: int) -> Tensor:
    """The polyphase layout, ``out[..., i, j, a, d] = x[..., a s + i, d s + j]`` for stride s.

    Args:
        x: Images, b c H W; padded with zeros to multiples of the stride.
        stride: Pixels of a cell along both axes, >= 1.

    Returns:
        Phases, b c s s h w, of the dtype of x.

    Raises:
        InvalidInput: Where x has not four dimensions or stride is no whole number >= 1.
    """
    b, c, height, width = x.shape
    s = stride
    x = F.pad(x, (0, -width % s, 0, -height % s))
    h, w = x.shape[2] // s, x.shape[3] // s
    return x.reshape(b, c, h, s, w, s).permute(0, 1, 3, 5, 2, 4).contiguous()


def pixel_shuffle(phases: Tensor, height: int, width: int) -> Tensor:
    """The inverse of :func:`pixel_unshuffle`, cropped.

    Args:
        phases: b c s s h w.
        height: Rows of the image, as far as there are so many.
        width: Columns of it, likewise.

    Returns:
        Images, b c height width, of the dtype of the phases.

    Raises:
        InvalidInput: Where phases is not b c s s h w, or a size is negative.
    """
    b, c, s, _, h, w = phases.shape
    return phases.permute(0, 1, 4, 2, 5, 3).reshape(b, c, h * s, w * s)[:, :, :height, :width].contiguous()


def soft_threshold(
    v: Tensor,
    threshold: float | Tensor,
    shrink: float | Tensor = 1.0,
    low: float = float("-inf"),
    high: float = float("inf"),
    add: Tensor | None = None,
) -> Tensor:
    """The pointwise prox, ``clip(soft(v + add, threshold) * shrink, low, high)``, ``soft(a, t) = a - clip(a, -t, t)``.

    Args:
        v: Numbers of any shape.
        threshold: >= 0; a tensor broadcasts.
        shrink: The factor behind the threshold; a tensor broadcasts.
        low: The least value of the result.
        high: The largest.
        add: The extrapolation, added to v first.

    Returns:
        The shape that all of them broadcast to, of the dtype that they promote to.
    """
    if add is not None:
        v = v + add
    if isinstance(threshold, Tensor):
        v = v - torch.minimum(torch.maximum(v, -threshold), threshold)
    elif threshold > 0:
        v = v - v.clamp(-threshold, threshold)
    v = v * shrink if isinstance(shrink, Tensor) or shrink != 1.0 else v
    return v.clamp(low, high) if low > float("-inf") or high < float("inf") else v


def spectral_step(f: Tensor, p: Tensor, offset: Tensor, gain: Tensor, relaxation: float = 1.0) -> tuple[Tensor, Tensor]:
    """The data step where it is pointwise in Fourier space, p' = offset + gain (p - f), f the transform of the image.

    Returns (2 p' - p, p + relaxation (p' - p)). All complex, planes h w, but ``gain``: real, h w.
    """
    new = offset + gain * (p - f)
    return 2 * new - p, p + relaxation * (new - p)


def differences(x: Tensor) -> Tensor:
    """D x: forward differences along rows and columns, zero across the border; ... h w -> 2 ... h w."""
    return torch.stack([F.pad(x.diff(dim=-2), (0, 0, 0, 1)), F.pad(x.diff(dim=-1), (0, 1))])


def differences_adjoint(u: Tensor) -> Tensor:
    """D^T u, 2 ... h w -> ... h w, where the last row of u[0] and the last column of u[1] are zero as those of D x."""
    return F.pad(u[0][..., :-1, :], (0, 0, 1, 0)) - u[0] + F.pad(u[1][..., :-1], (1, 0)) - u[1]


def limit(g: Tensor, weight: float | Tensor, isotropic: bool) -> Tensor:
    """The nearest field with ``|g| <= weight`` at every pixel: the pair's Euclidean length, or each entry alone."""
    if not isotropic:
        return torch.clamp(g, -weight, weight)  # type: ignore[arg-type]  # two numbers or two tensors
    # In units of the larger entry, so that the squares neither overflow nor vanish, and a weight of 0 has its gradient.
    unit = g.detach().abs().amax(dim=0)
    direction = g / torch.where(unit > 0, unit, torch.ones_like(unit))
    length = direction.square().sum(dim=0).clamp(min=1).sqrt()  # below 1 only where g is 0
    return torch.where(unit * length > weight, direction * (weight / length), g)


def spectral_step_(f: Tensor, p: Tensor, offset: Tensor, gain: Tensor, relaxation: float = 1.0) -> None:
    """:func:`spectral_step` in place: f becomes 2 p' - p, p becomes p + relaxation (p' - p).

    Args:
        f: The transform of the image, contiguous complex, planes h w; overwritten.
        p: The transform of the dual, likewise; overwritten.
        offset: Likewise; read alone.
        gain: Contiguous real, h w 2: each number twice, for the real and the imaginary part.
        relaxation: How far p moves, 1 to p' itself.

    Raises:
        InvalidInput: Where shapes or dtypes do not fit, or something is not contiguous.
    """
    ahead, new = spectral_step(f, p, offset, gain.reshape(*f.shape[1:], 2)[..., 0], relaxation)
    f.copy_(ahead)
    p.copy_(new)


def tv_prox(
    v: Tensor,
    u: Tensor,
    r: Tensor,
    step: float,
    weight: float | Tensor,
    momentum: float,
    steps: int,
    isotropic: bool,
    prox: Pointwise | Callable[[Tensor], Tensor],
) -> tuple[Tensor, Tensor, Tensor]:
    """Projected dual steps towards ``prox_{step (weight TV + f)}(v)``.

    Raw kernels overwrite u and r, which are contiguous. A step, 8 being the bound of ``||D||^2``, and the result::

        u' = project(r + D prox(v - step D^T r) / (8 step)),  r' = u' + momentum (u' - u);  x = prox(v - step D^T u)

    Args:
        v: Images, b c h w.
        u: The dual field, 2 b c h w: differences along rows, then along columns.
        r: Its extrapolation, likewise.
        step: That of the prox, > 0.
        weight: Of total variation, >= 0; a tensor broadcasts.
        momentum: Of the extrapolation, 0 to 1.
        steps: How many are taken, >= 0.
        isotropic: Whether ``project`` limits the length of a pixel's pair or each of its entries.
        prox: That of step f, a function, or the numbers of f.

    Returns:
        (x, u, r) after the steps, x of the shape and dtype of v.

    Raises:
        InvalidInput: Where v has not four dimensions, or u and r are not contiguous fields of its shape and dtype.
    """
    # Half precision in float32, because float16 rounds the squares of numbers of the size of the weight to nothing.
    wide = accumulator(v.dtype)
    dtype, v, u, r = v.dtype, v.to(wide), u.to(wide), r.to(wide)
    apply = pointwise(prox, step) if isinstance(prox, Pointwise) else prox
    for _ in range(steps):
        new = limit(r + differences(apply(v - step * differences_adjoint(r))) / (8 * step), weight, isotropic)
        u, r = new, new + momentum * (new - u)
    return apply(v - step * differences_adjoint(u)).to(dtype), u, r


def pointwise(f: Pointwise, step: float) -> Callable[[Tensor], Tensor]:
    """``prox_{step f}``."""
    numbers = f.at(step)
    return lambda v: soft_threshold(v, **numbers)  # type: ignore[arg-type]  # four floats


def solve(
    step: StencilStep, prox: Pointwise, x: Tensor, q: Tensor, y: Tensor, rule: StopRule, relaxation: float = 1.0
) -> tuple[Tensor, Tensor, int, Status, Tensor]:
    """A whole ADMM solve, its data step a stencil and its prior R pointwise.

    Raw kernels overwrite x and keep q and y. This loop never looks at the rule. An iteration::

        q' = q + C (y - A x - beta q),      x' = prox_{R / 2 beta}(x + A^T (2 q' - q))

    Args:
        step: A, C and beta. Kernels run only what ``whole_solve.why_unsolved`` lets pass.
        prox: The numbers of R.
        x: Where to start, the shape and dtype of A^T y.
        q: The dual, b c h w.
        y: Data, b c h w.
        rule: When to stop.
        relaxation: How far x and q move in an iteration, 1 to x' and q' themselves.

    Returns:
        (x, q, iterations done, status, residuals checks x 2 x b), x being the last prox, not the blend.

    Raises:
        InvalidInput: Where shapes or dtypes do not fit, the taps of C are no odd square, or the rule runs no iteration.
        Unsupported: For a tolerance inside a compiled graph, and for a step that no kernel runs.
    """
    a, threshold = step.convolution, pointwise(prox, 1 / (2 * step.beta))
    state = x
    for _ in range(rule.iterations):
        q_new, _ = woodbury(state, q, y, a.psf, a.stride, a.boundary, step.taps, step.beta)
        x = threshold(state + strided_conv_adjoint(2 * q_new - q, a.psf, a.stride, a.boundary))
        if relaxation == 1.0:
            state, q = x, q_new
        else:
            state, q = state + relaxation * (x - state), q + relaxation * (q_new - q)
    return x, q, rule.iterations, Status.ITERATIONS, rule.residuals(len(y))
