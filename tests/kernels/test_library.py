"""The functions over torch.ops.fastip.

The reference's signatures, torch.compile of chains and of an unrolled solve, export, and the whole solve as one op.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from cases.library import Draw, arguments, solve
from fastip.contracts import Convolution, Pointwise, Status, StencilStep
from fastip.errors import InvalidInput, Unsupported
from fastip.kernels import reference
from fastip.kernels.family import FAMILIES, Implementations
from fastip.stopping import StopRule

library = Implementations("operator")
native = Implementations("native")

PSF = torch.rand(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
PSF = PSF / PSF.sum()
TAPS = torch.tensor([[0.0, -0.05, 0.0], [-0.05, 0.8, -0.05], [0.0, -0.05, 0.0]], dtype=torch.float64)


@pytest.fixture(autouse=True)
def fresh() -> None:
    """Graphs and their limits of recompilation belong to one test."""
    torch.compiler.reset()


@pytest.mark.parametrize("name", FAMILIES)
def test_signatures(name: str) -> None:
    """One family has one signature in every implementation that is written in Python."""
    family = FAMILIES[name]
    expected = [(p.name, p.default) for p in inspect.signature(family.reference).parameters.values()]
    for function in (family.native, family.operator):
        if inspect.isfunction(function):
            assert [(p.name, p.default) for p in inspect.signature(function).parameters.values()] == expected


@pytest.mark.parametrize("stride", [0, 1.5, "2", None])
def test_strides_are_whole_numbers(stride: Any) -> None:
    for call in (library.strided_conv, library.strided_conv_adjoint):
        with pytest.raises(InvalidInput, match="expected a whole number >= 1"):
            call(torch.zeros(1, 1, 4, 4), PSF, stride, "zero")
    with pytest.raises(InvalidInput, match="expected a whole number >= 1"):
        library.pixel_unshuffle(torch.zeros(1, 1, 4, 4), stride)


# ---- torch.compile ---------------------------------------------------------------------------------------------------


def chain(kernels: Any, x: Tensor, psf: Tensor, threshold: Tensor) -> Tensor:
    """Every linear family, a layout change there and back, and a learnable threshold."""
    phases = kernels.pixel_unshuffle(x, 2)
    x = kernels.pixel_shuffle(2 * phases, x.shape[2], x.shape[3])
    y = kernels.strided_conv(x, psf, 2, "reflect")
    new, r = kernels.woodbury(x, y.sin(), y.cos(), psf, 2, "reflect", TAPS, 0.3)
    x = x + kernels.strided_conv_adjoint(kernels.stencil(new + r, TAPS, "zero"), psf, 2, "reflect")
    x = kernels.soft_threshold(x, threshold, 0.9, -1.0, 1.0)
    return kernels.soft_threshold(x, 0.05, add=x.square())


def loop(
    kernels: Any,
    y: Tensor,
    weight: Tensor,
    iterations: int = 5,
    beta: float = 0.3,
    psf: Tensor = PSF,
    taps: Tensor = TAPS,
) -> Tensor:
    """An unrolled solve: the two lines with a learnable l1 weight."""
    x, q = kernels.strided_conv_adjoint(y, psf, 2, "circular"), torch.zeros_like(y)
    for _ in range(iterations):
        new, _ = kernels.woodbury(x, q, y, psf, 2, "circular", taps, beta)
        x = kernels.soft_threshold(
            x + kernels.strided_conv_adjoint(2 * new - q, psf, 2, "circular"), weight / (2 * beta), 1.0, 0.0, 1.0
        )
        q = new
    return x


def run(function: Callable[..., Tensor], inputs: list[Tensor]) -> list[Tensor]:
    """The result and the gradients of its squares."""
    inputs = [v.clone().requires_grad_() for v in inputs]
    result = function(*inputs)
    return [result.detach(), *torch.autograd.grad(result.square().sum(), inputs)]


def assert_same(
    function: Callable[..., Tensor], compiled: Callable[..., Tensor], inputs: list[Tensor], tolerance: float
) -> None:
    expected = run(lambda *v: function(reference, *v), inputs)
    for results in (run(lambda *v: function(library, *v), inputs), run(compiled, inputs)):
        for result, exact in zip(results, expected, strict=True):
            torch.testing.assert_close(result, exact, rtol=tolerance, atol=tolerance)


def inputs_of(function: Callable[..., Tensor], seed: int, dtype: torch.dtype) -> list[Tensor]:
    d = Draw(seed, dtype)
    if function is chain:
        return [d.normal(2, 3, 10, 14), PSF.clone(), d.positive(1, 3, 1, 1) * 0.1]
    return [d.normal(2, 3, 7, 9), d.positive(1) * 0.1]


@pytest.mark.parametrize("function", [chain, loop])
def test_one_graph_forward_and_backward(function: Callable[..., Tensor]) -> None:
    compiled = torch.compile(lambda *v: function(library, *v), backend="aot_eager", fullgraph=True, dynamic=False)
    for seed in (1, 2):
        assert_same(function, compiled, inputs_of(function, seed, torch.float64), 1e-10)


def test_dynamic_shapes() -> None:
    """What was compiled for one size serves the others."""
    graphs = []

    def count(module: torch.fx.GraphModule, example: Any) -> Any:
        graphs.append(module)
        return torch._dynamo.lookup_backend("aot_eager")(module, example)

    def both(kernels: Any, y: Tensor, weight: Tensor) -> Tensor:
        x = loop(kernels, y, weight, iterations=2)
        return kernels.pixel_shuffle(kernels.pixel_unshuffle(x, 2), x.shape[2] - 1, y.shape[3] + 2)

    compiled = torch.compile(lambda *v: both(library, *v), backend=count, fullgraph=True, dynamic=True)
    first: int | None = None
    for size in (
        (6, 2, 7, 9),
        (4, 3, 12, 11),
        (3, 5, 8, 21),
    ):  # no size of the first is one of a psf: torch would tie the two
        assert_same(
            both, compiled, [torch.randn(size, dtype=torch.float64), torch.tensor(0.05, dtype=torch.float64)], 1e-10
        )
        first = first or len(graphs)  # tracing may start over once
    assert len(graphs) == first


def test_the_graph_holds_the_ops() -> None:
    """They are traced as they are, not taken apart."""
    seen: set[str] = set()

    def look(module: torch.fx.GraphModule, example: Any) -> Any:
        seen.update(str(node.target) for node in module.graph.nodes if node.op == "call_function")
        return module

    torch.compile(lambda *v: chain(library, *v), backend=look, fullgraph=True)(*inputs_of(chain, 4, torch.float64))
    names = (
        "strided_conv",
        "strided_conv_adjoint",
        "stencil",
        "woodbury",
        "pixel_unshuffle",
        "pixel_shuffle",
        "soft_threshold",
    )
    assert {f"fastip.{name}.default" for name in names} | {"fastip.soft_threshold.Tensor"} <= seen


def test_autocast_in_a_graph() -> None:
    """Compiled and eager promote alike."""

    def function(x: Tensor, image: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return library.soft_threshold(
                torch.nn.functional.conv2d(x, image[:, :, :1, :1]), 0.1, add=x
            ) + library.strided_conv(x, PSF, 1, "zero")

    x, weight = torch.randn(1, 1, 9, 7), torch.ones(1, 1, 1, 1)
    result = torch.compile(function, backend="aot_eager", fullgraph=True)(x, weight)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, function(x, weight))


def test_export() -> None:
    class Solve(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("psf", PSF)  # torch 2.6 exports no tensors of the module around
            self.register_buffer("taps", TAPS)

        def forward(self, y: Tensor) -> Tensor:
            return loop(library, y, torch.tensor(0.1, dtype=torch.float64), psf=self.psf, taps=self.taps)

    y = torch.randn(2, 3, 7, 9, dtype=torch.float64)
    program = torch.export.export(Solve(), (y,))
    torch.testing.assert_close(program.module()(y), loop(reference, y, torch.tensor(0.1, dtype=torch.float64)))


# ---- whole solves ----------------------------------------------------------------------------------------------------


def described(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments of library.solve from those of the op."""
    x, q, y, psf, stride, boundary, taps, beta, l1, l2, low, high, relaxation, iterations = values
    step = StencilStep(Convolution(psf, stride, boundary), taps, beta)
    return step, Pointwise(l1, l2, low, high), x, q, y, StopRule(0.0, iterations), relaxation


@pytest.mark.usefixtures("compiled")
def test_whole_solve() -> None:
    """As the compiled kernel, which overwrites x, and as the loop."""
    for seed in range(12):
        values = arguments("admm", seed)
        step, prox, x, q, y, rule, relaxation = described(values)
        result = library.solve(step, prox, x, q, y, rule, relaxation)
        assert result[2:4] == (rule.iterations, Status.ITERATIONS) and result[4].shape == (0, 2, len(y))
        raw = solve(*values)
        if step.convolution.boundary != "reflect" and max(step.convolution.psf.shape) <= min(q.shape[-2:]):
            raw = native.solve(step, prox, x.clone(), q, y, rule, relaxation)[:2]
        for a, b, c in zip(result, raw, solve(*values), strict=False):
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
            torch.testing.assert_close(a, c, rtol=1e-11, atol=1e-11)


@pytest.mark.filterwarnings("ignore:Error detected")
def test_whole_solve_in_a_graph() -> None:
    step, prox, x, q, y, rule, relaxation = described(arguments("admm", 4))
    function = torch.compile(
        lambda x, q, y: library.solve(step, prox, x, q, y, rule, relaxation)[0] * 2, backend="aot_eager", fullgraph=True
    )
    torch.testing.assert_close(function(x, q, y), 2 * library.solve(step, prox, x, q, y, rule, relaxation)[0])
    with pytest.raises(Exception, match="call fastip.admm") as caught:
        function(x, q, y.clone().requires_grad_()).sum().backward()
    assert isinstance(caught.value, Unsupported) or "Unsupported" in repr(caught.value)


def test_whole_solve_needs_a_fixed_number_of_iterations() -> None:
    step, prox, x, q, y, _, relaxation = described(arguments("admm", 0))
    with pytest.raises(Unsupported, match="tolerance=0"):
        library.solve(step, prox, x, q, y, StopRule(1e-4, 10), relaxation)
