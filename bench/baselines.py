"""What fastip is compared with: ADMM as one writes it in PyTorch, straightforward and with care.

Care: constants once, no copies that are easy to avoid. All minimise ||y - A x||^2 + weight ||x||_1 with penalty
beta ||x - z||^2 from x0 = A^T B y, d0 = 0, so that all produce the same iterates::

    z = argmin ||y - A z||^2 + beta ||z - w||^2,  w = x + d        d = w - z        x = soft(z - d, weight / 2 beta)

and differ in how z is found. Convolutions take the layout in which PyTorch is fastest: on a CPU planes as images for a
stride, as groups at stride 1; on a GPU the faster of the two, tried once for each size. Everything that does not change
is on the device of y before the loop.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from workloads import Problem

Map = Callable[[Tensor], Tensor]
Watch = Callable[[Tensor], bool]
Layout = tuple[tuple[int, int], int]  # images and channels that the planes are given as, and groups of channels


# ---- A and its adjoint -----------------------------------------------------------------------------------------------


def convolutions(problem: Problem, like: Tensor) -> tuple[Map, Map]:
    """(A, A^T) with PyTorch's convolutions, circular or valid, in the precision and on the device of ``like``.

    Images and data b c h w.
    """
    planes = problem.shape[0] * problem.shape[1]
    as_images, as_groups = ((planes, 1), 1), ((1, planes), planes)
    if like.is_cuda:
        return _arranged(
            problem, like.dtype, like.device, _faster(problem, like.dtype, like.device, (as_images, as_groups))
        )
    return _arranged(problem, like.dtype, like.device, as_groups if problem.stride == 1 else as_images)


def _arranged(problem: Problem, dtype: torch.dtype, device: torch.device, arrangement: Layout) -> tuple[Map, Map]:
    (b, c, height, width), s, k = problem.shape, problem.stride, problem.psf.shape[0]
    circular, (layout, groups) = problem.boundary == "circular", arrangement
    weight = problem.psf.to(device, dtype).flip(0, 1).expand(groups, 1, k, k).contiguous()
    before, after = k - 1 - k // 2, k // 2
    reach = -(-k // s)  # data pixels that touch an image pixel, at most, on each side

    def forward(x: Tensor) -> Tensor:
        x = x.reshape(*layout, height, width)
        x = F.pad(x, (before, after, before, after), mode="circular") if circular else x
        y = F.conv2d(x, weight, stride=s, groups=groups)
        return y.reshape(b, c, *y.shape[2:])

    def adjoint(y: Tensor) -> Tensor:
        y = y.reshape(*layout, *y.shape[2:])
        if not circular:
            return F.conv_transpose2d(y, weight, stride=s, groups=groups).reshape(b, c, height, width)
        x = F.conv_transpose2d(F.pad(y, (reach,) * 4, mode="circular"), weight, stride=s, groups=groups)
        first = reach * s + before
        return x[:, :, first : first + height, first : first + width].reshape(b, c, height, width)

    return forward, adjoint


@functools.lru_cache(maxsize=64)
def _faster(problem: Problem, dtype: torch.dtype, device: torch.device, layouts: tuple[Layout, ...]) -> Layout:
    """The layout with which A^T A is faster on this GPU."""
    spent = []
    x = torch.rand(problem.shape, dtype=dtype, device=device)
    for arrangement in layouts:
        forward, adjoint = _arranged(problem, dtype, device, arrangement)
        adjoint(forward(x))  # the library's own choices
        torch.cuda.synchronize(device)
        start = time.perf_counter()
        for _ in range(3):
            adjoint(forward(x))
        torch.cuda.synchronize(device)
        spent.append(time.perf_counter() - start)
    return layouts[spent.index(min(spent))]


def transfer(problem: Problem, like: Tensor) -> Tensor:
    """The transfer function of the psf, rfft2 layout at full size, in the precision and on the device of ``like``."""
    k = problem.psf.shape[0]
    grid = torch.zeros(problem.shape[2:], dtype=torch.float64, device=like.device)
    grid[:k, :k] = problem.psf.to(like.device)
    return torch.fft.rfft2(grid.roll((-(k // 2), -(k // 2)), dims=(0, 1))).to(like.dtype.to_complex())


@functools.lru_cache(maxsize=64)
def _mirrored(n: int, device: torch.device) -> Tensor:
    """The index of frequency -k for each k."""
    return (-torch.arange(n, device=device)) % n


def fold(spectrum: Tensor, height: int, width: int, s: int) -> Tensor:
    """The mean of the s x s aliases, rfft2 layout of height x width -> of height / s x width / s."""
    h, w = height // s, width // s
    mirrored = _mirrored(height, spectrum.device)
    total = spectrum[..., : w // 2 + 1].clone()
    for j in range(1, s):
        start, stop = j * w, j * w + w // 2 + 1
        if 2 * j < s:
            total += spectrum[..., start:stop]
        else:  # beyond the half plane: F(-k) = conj F(k)
            total += spectrum[..., width - stop + 1 : width - start + 1].flip(-1)[..., mirrored, :].conj()
    return total.unflatten(-2, (s, h)).sum(-3) / s**2


def unfold(spectrum: Tensor, height: int, width: int, s: int) -> Tensor:
    """The periodic repetition of a small spectrum, rfft2 layout of height / s x width / s -> of height x width."""
    h, w = height // s, width // s
    mirrored = _mirrored(h, spectrum.device)
    full = torch.cat([spectrum, spectrum[..., 1 : (w + 1) // 2].flip(-1)[..., mirrored, :].conj()], dim=-1)
    return full.repeat(*[1] * (full.ndim - 2), s, s)[..., : width // 2 + 1]


def cogram(problem: Problem, like: Tensor) -> Tensor:
    """The spectrum of A A^T on the data grid, rfft2 layout, as ``like``: the mean of the aliases of |h|^2."""
    power = transfer(problem, torch.empty(0, dtype=torch.float64, device=like.device)).abs().square()
    return fold(power, *problem.shape[2:], problem.stride).real.to(like.dtype)


# ---- ADMM and its data steps -----------------------------------------------------------------------------------------


def soft(v: Tensor, threshold: float) -> Tensor:
    """The proximal map of threshold ||.||_1."""
    return v - v.clamp(-threshold, threshold)


def six_variables(data_step: Map, x: Tensor, problem: Problem, iterations: int, watch: Watch | None = None) -> Tensor:
    """The textbook loop with x, z and d of the size of the image, over-relaxed where the problem asks for it.

    ``watch`` sees each x and may stop it.
    """
    d, z, a = torch.zeros_like(x), x, problem.relaxation
    for _ in range(iterations):
        w = x + d if a == 1.0 else a * x + (1 - a) * z + d
        z = data_step(w)
        d = w - z
        x = soft(z - d, problem.weight / (2 * problem.beta))
        if watch is not None and watch(x):
            break
    return x


def full_size(
    problem: Problem, like: Tensor
) -> tuple[Callable[[Tensor], tuple[Tensor, Tensor]], Callable[[Tensor, Tensor], Tensor]]:
    """The constants of :func:`fft_full_size` in two functions: y -> (x0, F A^T y) and (w, F A^T y) -> z."""
    (height, width), s, beta = problem.shape[2:], problem.stride, problem.beta
    h = transfer(problem, like)
    scale = 1 / (beta + (h.abs().square() if s == 1 else cogram(problem, like)))

    def start(y: Tensor) -> tuple[Tensor, Tensor]:
        up = y.new_zeros(problem.shape)
        up[..., ::s, ::s] = y
        pulled = h.conj() * torch.fft.rfft2(up)
        spectrum = pulled * scale if s == 1 else h.conj() * unfold(torch.fft.rfft2(y) * scale, height, width, s)
        return torch.fft.irfft2(spectrum, s=(height, width)), pulled

    def data_step(w: Tensor, pulled: Tensor) -> Tensor:
        right = pulled + beta * torch.fft.rfft2(w)
        if s == 1:
            return torch.fft.irfft2(right * scale, s=(height, width))
        small = fold(h * right, height, width, s) * scale
        return torch.fft.irfft2((right - h.conj() * unfold(small, height, width, s)) / beta, s=(height, width))

    return start, data_step


def fft_full_size(y: Tensor, problem: Problem, iterations: int) -> Tensor:
    """Six-variable ADMM, closed form with full-size rfft2 and irfft2; at stride 1 a division.

    As in Zhao et al., Fast single image super-resolution, 2016.
    """
    start, data_step = full_size(problem, y)
    x, pulled = start(y)
    return six_variables(lambda w: data_step(w, pulled), x, problem, iterations)


def fft_data_grid(y: Tensor, problem: Problem, iterations: int) -> Tensor:
    """Six-variable ADMM, exact with one small rfft2 and irfft2 on the data grid.

    z = (b - A^T B A b) / beta, b = A^T y + beta w.
    """
    forward, adjoint = convolutions(problem, y)
    inverse = fft_inverse(y, problem)
    pulled = adjoint(y)

    def data_step(w: Tensor) -> Tensor:
        right = pulled + problem.beta * w
        return (right - adjoint(inverse(forward(right)))) / problem.beta

    return six_variables(data_step, adjoint(inverse(y)), problem, iterations)


def fft_inverse(y: Tensor, problem: Problem) -> Map:
    """B = (beta I + A A^T)^-1 on the data grid, circular."""
    scale = 1 / (problem.beta + cogram(problem, y))
    return lambda v: torch.fft.irfft2(torch.fft.rfft2(v) * scale, s=v.shape[-2:])


def two_lines(y: Tensor, problem: Problem, iterations: int) -> tuple[Tensor, Tensor]:
    """(x, q) by fastip's own two lines in eager PyTorch, with the exact inverse on the data grid."""
    forward, adjoint = convolutions(problem, y)
    inverse = fft_inverse(y, problem)
    x, q = adjoint(inverse(y)), torch.zeros_like(y)
    for _ in range(iterations):
        q_new = q + inverse(y - forward(x) - problem.beta * q)
        x = soft(x + adjoint(2 * q_new - q), problem.weight / (2 * problem.beta))
        q = q_new
    return x, q


def two_lines_eager(y: Tensor, problem: Problem, iterations: int) -> Tensor:
    """x of :func:`two_lines`."""
    return two_lines(y, problem, iterations)[0]


def conjugate_gradients(matrix: Map, b: Tensor, x: Tensor, tolerance: float, maximum: int = 1000) -> Tensor:
    """matrix(x) = b from the given x until ||b - matrix(x)|| <= tolerance ||b||, the whole batch as one system."""
    r = b - matrix(x)
    p, rr = r, float(torch.dot(r.flatten(), r.flatten()))
    limit = tolerance**2 * float(torch.dot(b.flatten(), b.flatten()))
    for _ in range(maximum):
        if rr <= limit:
            break
        mp = matrix(p)
        alpha = rr / float(torch.dot(p.flatten(), mp.flatten()))
        x = x.add(p, alpha=alpha)
        r = r.sub(mp, alpha=alpha)
        old, rr = rr, float(torch.dot(r.flatten(), r.flatten()))
        p = r.add(p, alpha=rr / old)
    return x


def cg_image_side(y: Tensor, problem: Problem, iterations: int, tolerance: float = 1e-5) -> Tensor:
    """Six-variable ADMM, (beta I + A^T A) z = A^T y + beta w by conjugate gradients, warm-started from the last z."""
    forward, adjoint = convolutions(problem, y)
    pulled = adjoint(y)

    def matrix(v: Tensor) -> Tensor:
        return adjoint(forward(v)).add_(v, alpha=problem.beta)

    z = conjugate_gradients(matrix, pulled, torch.zeros_like(pulled), tolerance)
    start = z

    def data_step(w: Tensor) -> Tensor:
        nonlocal z
        z = conjugate_gradients(matrix, pulled + problem.beta * w, z, tolerance)
        return z

    return six_variables(data_step, start, problem, iterations)


class Counter:
    """How often A and A^T were applied."""

    def __init__(self) -> None:
        self.total = 0

    def around(self, apply: Map) -> Map:
        """``apply``, counted."""

        def counted(v: Tensor) -> Tensor:
            self.total += 1
            return apply(v)

        return counted


def cg_data_side(
    y: Tensor,
    problem: Problem,
    iterations: int,
    tolerance: float = 1e-5,
    watch: Watch | None = None,
    counter: Counter | None = None,
) -> Tensor:
    """Six-variable ADMM by conjugate gradients, warm-started from the last q.

    (beta I + A A^T) q = y - A w, z = w + A^T q.
    """
    forward, adjoint = convolutions(problem, y)
    if counter is not None:
        forward, adjoint = counter.around(forward), counter.around(adjoint)

    def matrix(v: Tensor) -> Tensor:
        return forward(adjoint(v)).add_(v, alpha=problem.beta)

    q = torch.zeros_like(y)
    start = adjoint(conjugate_gradients(matrix, y, q, tolerance))

    def data_step(w: Tensor) -> Tensor:
        nonlocal q
        q = conjugate_gradients(matrix, y - forward(w), q, tolerance)
        return w + adjoint(q)

    return six_variables(data_step, start, problem, iterations, watch)


# ---- the memory's own speed ------------------------------------------------------------------------------------------


class Copy:
    """Copies a buffer of 12 bytes per pixel, cold.

    Each call takes the next part of two arenas far larger than the caches.
    """

    def __init__(self, pixels: int, arena: int = 1 << 30) -> None:
        self.size, self.index = 3 * pixels, 0
        self.parts = max(2, arena // (4 * self.size))
        self.source = torch.ones(self.parts * self.size)
        self.target = torch.zeros(self.parts * self.size)

    def __call__(self) -> None:
        part = slice(self.index * self.size, (self.index + 1) * self.size)
        self.target[part].copy_(self.source[part])
        self.index = (self.index + 1) % self.parts
