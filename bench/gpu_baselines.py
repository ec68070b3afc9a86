"""What fastip is compared with on a GPU besides baselines.py.

Compiled and captured PyTorch, CuPy's conjugate gradients, the copy of a buffer.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from baselines import convolutions, fft_inverse, full_size, six_variables, soft, two_lines
from measure import ITERATIONS
from workloads import Problem

Solve = Callable[[Tensor], Tensor]


def exact(y: Tensor, problem: Problem, iterations: int) -> tuple[Tensor, Tensor]:
    """(x, z) after this many iterations of exact ADMM, in float64 by eager PyTorch.

    It is what every program is compared with. z of the last iteration is w + A^T B (y - A w) with w = x - A^T q from
    the iteration before.
    """
    y = y.double()
    forward, adjoint = convolutions(problem, y)
    before, q = two_lines(y, problem, iterations - 1)
    w = before - adjoint(q)
    z = w + adjoint(fft_inverse(y, problem)(y - forward(w)))
    return two_lines(y, problem, iterations)[0], z


# ---- PyTorch, compiled or captured: constants, the compilation and the capture are made before and not counted -------


def two_lines_solve(problem: Problem, like: Tensor, iterations: int, compiled: bool) -> Solve:
    """:func:`baselines.two_lines_eager` with its constants made.

    Each iteration through torch.compile where asked for.
    """
    forward, adjoint = convolutions(problem, like)
    inverse, threshold, beta = fft_inverse(like, problem), problem.weight / (2 * problem.beta), problem.beta

    def advance(x: Tensor, q: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        q_new = q + inverse(y - forward(x) - beta * q)
        return soft(x + adjoint(2 * q_new - q), threshold), q_new

    step = _compiled(advance) if compiled else advance

    def solve(y: Tensor) -> Tensor:
        x, q = adjoint(inverse(y)), torch.zeros_like(y)
        for _ in range(iterations):
            x, q = step(x, q, y)
        return x

    return solve


def full_size_solve(problem: Problem, like: Tensor, iterations: int, compiled: bool) -> Solve:
    """:func:`baselines.fft_full_size` with its constants made; each iteration through torch.compile where asked for."""
    start, data_step = full_size(problem, like)
    threshold = problem.weight / (2 * problem.beta)

    def advance(x: Tensor, d: Tensor, pulled: Tensor) -> tuple[Tensor, Tensor]:
        w = x + d
        z = data_step(w, pulled)
        return soft(2 * z - w, threshold), w - z

    step = _compiled(advance) if compiled else advance

    def solve(y: Tensor) -> Tensor:
        x, pulled = start(y)
        d = torch.zeros_like(x)
        for _ in range(iterations):
            x, d = step(x, d, pulled)
        return x

    return solve


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    torch._dynamo.reset()  # what it remembers of other sizes would make it generalise
    compiled: Callable[..., Any] = torch.compile(function, dynamic=False)
    return compiled


class Captured:
    """A function of tensors as one CUDA graph, replayed on new data of the same shapes; on a CPU the function itself.

    The result is overwritten.
    """

    def __init__(self, function: Callable[..., Any], *inputs: Tensor) -> None:
        self.function, self.graph = function, None
        if not inputs[0].is_cuda:
            return
        self.inputs = [t.clone() for t in inputs]
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # plans, workspaces and modules must be there before the capture
            for _ in range(3):
                function(*self.inputs)
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.result = function(*self.inputs)

    def __call__(self, *inputs: Tensor) -> Any:
        if self.graph is None:
            return self.function(*inputs)
        for held, new in zip(self.inputs, inputs, strict=True):
            held.copy_(new)
        self.graph.replay()
        return self.result


# ---- CuPy ------------------------------------------------------------------------------------------------------------


def cupy_cg(y: Tensor, problem: Problem, iterations: int, tolerance: float = 1e-5) -> Tensor:
    """Six-variable ADMM, (beta I + A A^T) q = y - A w by CuPy's conjugate gradients, warm-started.

    A is that of the other programs, without a copy. On a CPU: SciPy's, which CuPy's follows. Raises ImportError where
    CuPy is missing.
    """
    linalg = importlib.import_module("cupyx.scipy.sparse.linalg" if y.is_cuda else "scipy.sparse.linalg")
    array: Callable[[Tensor], Any] = importlib.import_module("cupy").from_dlpack if y.is_cuda else torch.Tensor.numpy
    forward, adjoint = convolutions(problem, y)

    def product(v: Any) -> Any:
        u = torch.from_dlpack(v).reshape(y.shape)
        return array(forward(adjoint(u)).add_(u, alpha=problem.beta).flatten())

    matrix = linalg.LinearOperator((y.numel(), y.numel()), matvec=product, dtype=np.float32)

    def solved(right: Tensor, q: Tensor) -> Tensor:
        found, info = linalg.cg(matrix, array(right.flatten()), x0=array(q.flatten()), rtol=tolerance, maxiter=1000)
        assert info == 0, f"conjugate gradients stopped with {info}"
        return torch.from_dlpack(found).reshape(y.shape)

    q = solved(y, torch.zeros_like(y))
    start = adjoint(q)
    q = torch.zeros_like(y)

    def data_step(w: Tensor) -> Tensor:
        nonlocal q
        q = solved(y - forward(w), q)
        return w + adjoint(q)

    return six_variables(data_step, start, problem, iterations)


# ---- the memory's own speed ------------------------------------------------------------------------------------------


class DeviceCopy:
    """Moves ``bytes_moved`` bytes a pixel, half of them read and half written, ITERATIONS times: the floor of a solve.

    Cold: no part soon comes again. kernel: by an elementwise kernel instead of the driver's copy. One call is one
    CUDA graph, so that launches do not count.
    """

    def __init__(self, pixels: int, bytes_moved: int, device: torch.device, kernel: bool, arena: int = 1 << 29) -> None:
        size = bytes_moved * pixels // 2
        arena = arena if device.type == "cuda" else 1 << 20
        parts = max(2, arena // size)
        source = torch.randint(0, 127, (parts, size), dtype=torch.uint8, device=device).view(torch.int32)
        target = torch.empty_like(source)
        self.index, self.graphs = 0, []
        for first in range(0, max(parts, ITERATIONS), ITERATIONS):
            rows = [(first + i) % parts for i in range(ITERATIONS)]
            copy = functools.partial(_kernel_copy if kernel else _copy, source, target, rows)
            copy()
            if kernel:
                assert torch.equal(target[rows[0]], ~source[rows[0]])
            self.graphs.append(Captured(lambda marker, copy=copy: copy(), source[0, :1]))

    def __call__(self) -> None:
        graph = self.graphs[self.index]
        self.index = (self.index + 1) % len(self.graphs)
        if graph.graph is None:
            graph.function(None)
        else:
            graph.graph.replay()


def _copy(source: Tensor, target: Tensor, rows: list[int]) -> None:
    for row in rows:
        target[row].copy_(source[row])


def _kernel_copy(source: Tensor, target: Tensor, rows: list[int]) -> None:
    for row in rows:
        torch.bitwise_not(source[row], out=target[row])
