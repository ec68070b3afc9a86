"""torch.compile(fullgraph=True) of whole solves.

Equal to eager with its gradients, one graph for all batches, and what a graph cannot do is refused.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import fastip
from fastip import fidelities, inverses, nets, operators, priors, psf
from fastip.contracts import LinearOperator
from fastip.solvers import BackProjection, Nesterov, pgd, wiener

GAUSSIAN, MOTION = psf.gaussian(9, sigma=1.6), psf.motion(9, 30.0)
TV = priors.TV(1e-2, steps=1)
BLUR = operators.Blur(GAUSSIAN, stride=4)


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).to(dtype)


MASKS = [operators.Mask((random(11, 9, seed=s) > 0.4).double() * random(11, 9, seed=s + 9)) for s in (1, 2)]
BLUR_ZERO = operators.Blur(random(3, 3, seed=8) / 9, boundary="zero")
PROBLEMS: dict[str, tuple[LinearOperator, Any, tuple[int, ...], dict[str, Any]]] = {
    "stencil": (BLUR, priors.L1(1e-2), (2, 3, 7, 9), {"relaxation": 1.5}),
    "chosen beta": (BLUR, priors.NonNegative(), (1, 1, 5, 6), {"beta": None}),
    "one beta per iteration": (BLUR, priors.L1(1e-2), (2, 1, 5, 6), {"beta": [0.1, 0.01]}),
    "from an image": (BLUR, priors.L1(1e-2), (1, 1, 5, 6), {"init": random(1, 1, 20, 24, seed=4)}),
    "scalar": (operators.Downsample(2), priors.ElasticNet(1e-2, 1e-2), (3, 1, 5, 7), {}),
    "valid": (
        operators.Blur(GAUSSIAN, boundary="valid"),
        priors.L2(1e-2),
        (1, 2, 5, 6),
        {"inverse": inverses.Stencil(2)},
    ),
    "fourier": (operators.Blur(MOTION), priors.Box(0, 1), (2, 1, 13, 11), {"inverse": inverses.Exact()}),
    "cosine": (operators.Blur(GAUSSIAN, boundary="reflect"), TV, (1, 1, 13, 11), {}),
    "resize": (operators.Resize((1.5, 2)), TV, (1, 2, 5, 6), {}),
    "separable": (operators.Separable(random(3, 7) - 0.5, random(4, 5)), priors.L1(1e-2), (2, 1, 3, 4), {}),
    "separable blur": (
        operators.Blur(psf.gaussian(4, sigma=1.0), boundary="zero"),
        priors.L1(1e-2),
        (1, 1, 7, 6),
        {"inverse": inverses.Exact()},
    ),
    "diagonal": (MASKS[0] @ MASKS[1], priors.AnisotropicTV(1e-2, steps=1), (2, 2, 11, 9), {}),
    "channels": (
        operators.Stack([operators.ToGray(), operators.Identity()]),
        priors.Wavelet(1e-2, levels=1),
        (1, 4, 8, 7),
        {},
    ),
    "dense": (operators.Dense(random(6, 12, seed=5) - 0.5, image_shape=(3, 2, 2)), priors.L1(1e-3), (2, 6), {}),
    "wide psf": (operators.Blur(psf.gaussian(35, sigma=5.0)), TV, (1, 1, 36, 37), {}),
    "volume": (
        operators.Blur(random(3, 2, 2, seed=7), axes=3),
        priors.TV(1e-2, steps=1, spacing=(2.0, 1.0, 1.0)),
        (1, 2, 4, 5, 6),
        {},
    ),
    "complex": (
        operators.MaskedFourier((random(9, 8, seed=6) > 0.5).double()),
        priors.L1(1e-2) + priors.NonNegative(),
        (2, 1, 9, 8),
        {},
    ),
    "split": (
        MASKS[0] @ operators.Blur(psf.gaussian(4, sigma=1.0), boundary="valid"),
        TV,
        (2, 2, 11, 9),
        {"inverse": inverses.Split(), "beta": [0.1, 0.1, 0.02], "iterations": 4},
    ),
    "split, chosen": (
        operators.Mask((random(65, 66, seed=3) > 0.4).double()) @ operators.Blur(MOTION, boundary="valid"),
        TV,
        (1, 1, 65, 66),
        {},
    ),
    "polynomial, chosen": (operators.Blur(random(20, 20) / 400, boundary="zero"), priors.L1(1e-3), (2, 1, 40, 41), {}),
    "a number": (MASKS[0] @ BLUR_ZERO, TV, (1, 2, 11, 9), {"inverse": inverses.Scalar()}),
    "split, weights": (
        operators.Blur(psf.gaussian(4, sigma=1.0), 2, boundary="valid"),
        priors.NonNegative(),
        (2, 1, 5, 6),
        {
            "fidelity": fidelities.Squares(3 * random(5, 6, seed=2)),
            "beta": None,
            "iterations": 3,
            "inverse": inverses.Split(),
        },
    ),
    "split, clipped": (
        MASKS[0] @ operators.Blur(psf.gaussian(4, sigma=1.0), boundary="valid"),
        TV,
        (2, 2, 11, 9),
        {
            "fidelity": fidelities.Clipped(high=random(2, 1, 11, 9, seed=1) > 0.7, low=0.2),
            "iterations": 3,
            "inverse": inverses.Split(),
        },
    ),
    "split of a large psf, chosen": (
        operators.Blur(random(18, 18, seed=9) / 324, boundary="valid"),
        TV,
        (1, 1, 5, 4),
        {"fidelity": fidelities.Huber(0.1), "iterations": 3},
    ),
    "prox, huber": (
        BLUR_ZERO,
        TV,
        (2, 2, 11, 9),
        {"fidelity": fidelities.Huber(0.1), "beta": None, "iterations": 3},
    ),
    "prox, counts": (
        BLUR_ZERO,
        priors.NonNegative(),
        (2, 2, 11, 9),
        {"fidelity": fidelities.Poisson(0.5), "inverse": inverses.Scalar(), "iterations": 3},
    ),
    "inner loop": (
        2.0 * BLUR,
        priors.L1(torch.full((1, 3, 1, 1), 1e-2)),
        (1, 3, 5, 4),
        {"inverse": inverses.GradientDescent(2)},
    ),
}


@pytest.fixture(autouse=True)
def fresh() -> None:
    """Graphs and their limits of recompilation belong to one test."""
    torch.compiler.reset()


def compiled(function: Callable[..., Any], graphs: list[torch.fx.GraphModule] | None = None) -> Any:
    """``function`` as one graph; those that are made are appended to ``graphs``."""

    def backend(graph: torch.fx.GraphModule, example: Any) -> Any:
        if graphs is not None:
            graphs.append(graph)
        return torch._dynamo.lookup_backend("aot_eager")(graph, example)

    return torch.compile(function, backend=backend, fullgraph=True)


def solve(op: LinearOperator, prior: Any, **keywords: Any) -> Callable[[Tensor], Tensor]:
    keywords = {"beta": 1e-2, "iterations": 2, "tolerance": 0, **keywords}
    return lambda y: fastip.admm(y, op, prior, **keywords).x


def with_gradients(function: Callable[..., Tensor], *inputs: Tensor) -> list[Tensor]:
    """The result, and the gradients of the sum of its squares."""
    inputs = tuple(v.detach().clone().requires_grad_() for v in inputs)
    result = function(*inputs)
    return [result.detach(), *torch.autograd.grad(result.square().sum(), inputs)]


def assert_equal(results: list[Tensor], expected: list[Tensor], tolerance: float = 1e-9) -> None:
    for a, b in zip(results, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance * max(1e-6, float(b.abs().max())))


@pytest.mark.filterwarnings("error:Dynamo")
@pytest.mark.parametrize("name", PROBLEMS)
def test_equals_eager(name: str) -> None:
    op, prior, shape, keywords = PROBLEMS[name]
    function = solve(op, prior, **keywords)
    y = random(*shape, seed=7)
    y = torch.complex(y, random(*shape, seed=8)) if name == "complex" else y
    assert_equal(with_gradients(compiled(function), y), with_gradients(function, y))


def test_a_solve_without_gradient_is_one_operator() -> None:
    """Where a fused kernel runs it in eager: the same code, so the same bits."""
    graphs: list[torch.fx.GraphModule] = []
    function, y = solve(BLUR, priors.L1(1e-2), iterations=100), random(2, 3, 7, 9, dtype=torch.float32)
    assert torch.equal(compiled(function, graphs)(y), function(y))
    called = [str(node.target) for graph in graphs for node in graph.graph.nodes if node.op == "call_function"]
    assert called.count("fastip.admm.default") == 1 and len(called) < 20


def test_the_set_up_is_not_in_the_graph() -> None:
    """One transform each way for the data and one for each iteration; those of the psf were done while it traced."""
    graphs: list[torch.fx.GraphModule] = []
    compiled(solve(operators.Blur(MOTION), TV, iterations=3, inverse=inverses.Exact()), graphs)(random(1, 1, 13, 11))
    called = [str(node.target) for node in graphs[0].graph.nodes if node.op == "call_function"]
    assert sum("fft" in target for target in called) == 2 + 2 * 3


def test_other_solvers() -> None:
    y = random(2, 1, 5, 6)
    keywords: dict[str, Any] = {"iterations": 2, "tolerance": 0}
    for function in (
        lambda y: pgd(y, BLUR, priors.L1(1e-2), momentum=Nesterov(), **keywords).x,
        lambda y: pgd(y, BLUR, priors.L1(1e-2), step=BackProjection(), **keywords).x,
        lambda y: wiener(y, BLUR, 1e-2, **keywords).x,
        lambda y: BLUR(BLUR.adjoint(y).square()),
    ):
        assert_equal(with_gradients(compiled(function), y), with_gradients(function, y))


def test_the_solution() -> None:
    """All of it comes out, and a solve resumes from it, inside the graph."""

    def twice(y: Tensor) -> fastip.Solution:
        first = fastip.admm(y, BLUR, priors.L1(1e-2), beta=1e-2, iterations=3, tolerance=0)
        return fastip.admm(y, BLUR, priors.L1(1e-2), beta=1e-2, iterations=4, tolerance=0, init=first)

    y = random(2, 3, 7, 9)
    result, expected = compiled(twice)(y), twice(y)
    assert (result.status, result.iterations, result.beta, result.residuals.shape) == (
        expected.status,
        4,
        1e-2,
        (0, 2, 2),
    )
    assert_equal([result.x, result.q], [expected.x, expected.q])
    assert_equal([result.x], [fastip.admm(y, BLUR, priors.L1(1e-2), beta=1e-2, iterations=7, tolerance=0).x])


# ---- training --------------------------------------------------------------------------------------------------------


def test_a_learned_weight() -> None:
    def function(y: Tensor, log_weight: Tensor) -> Tensor:
        return fastip.admm(y, BLUR, priors.L1(log_weight.exp()), beta=1e-2, iterations=3, tolerance=0).x

    graphs: list[torch.fx.GraphModule] = []
    traced = compiled(function, graphs)
    for seed in range(3):
        inputs = random(2, 1, 5, 6, seed=seed), -4 - random(1, 1, 1, 1, seed=seed)
        results = with_gradients(traced, *inputs)
        assert float(results[2].abs()) > 0
        assert_equal(results, with_gradients(function, *inputs))
    assert len(graphs) == 1


def trained(prior: Callable[[torch.nn.Module], Any], net: torch.nn.Module, run: Callable[[Any], Any]) -> list[Tensor]:
    """The parameters of a copy of ``net`` after three steps through the unrolled solve."""
    net = copy.deepcopy(net)
    function, optimiser = run(solve(BLUR, prior(net), beta=1e-2)), torch.optim.SGD(net.parameters(), lr=1e-2)
    for step in range(3):
        optimiser.zero_grad()
        (function(random(2, 3, 5, 4, seed=step)) - 0.5).square().sum().backward()
        optimiser.step()
    return list(net.parameters())


@pytest.mark.parametrize("kind", ["denoiser", "autoencoder"])
def test_training_a_network(kind: str) -> None:
    """Steps through one graph are the steps of eager: the weights in it are the present ones."""
    torch.manual_seed(0)
    net: torch.nn.Module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.Tanh(), torch.nn.Conv2d(4, 3, 1)
    )
    prior: Callable[[Any], Any] = lambda net: priors.Denoiser(net, sigma=0.1)  # noqa: E731
    if kind == "autoencoder":
        net, prior = (
            nets.PixelShuffleAutoencoder(factor=2, widths=(4,), blocks=(1,)),
            lambda net: priors.PixelShuffleAutoencoder(net, noise=0.01),
        )
    net, graphs = net.double(), []
    results, expected = trained(prior, net, lambda f: compiled(f, graphs)), trained(prior, net, lambda f: f)
    assert len(graphs) == 1 and any(not torch.equal(a, b) for a, b in zip(results, net.parameters(), strict=True))
    assert_equal([p.detach() for p in results], [p.detach() for p in expected])


# ---- which graph serves what -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("gradient", [False, True])
def test_one_graph_for_all_batches_and_one_for_each_size(gradient: bool) -> None:
    graphs: list[torch.fx.GraphModule] = []
    function = solve(BLUR, priors.L1(1e-2))
    traced = compiled(function, graphs)
    made = []
    for seed, shape in enumerate(
        [(2, 3, 5, 6), (3, 3, 5, 6), (4, 3, 5, 6), (7, 3, 5, 6), (2, 3, 5, 6), (3, 3, 8, 7), (5, 3, 8, 7), (6, 3, 5, 6)]
    ):
        y = random(*shape, seed=seed)
        if gradient:
            assert_equal(with_gradients(traced, y), with_gradients(function, y))
        else:
            assert torch.equal(traced(y), function(y))
        made.append(len(graphs))
    assert made == [1, 2, 2, 2, 2, 3, 3, 3]  # the second batch tells that they differ


def test_a_graph_belongs_to_its_operator() -> None:
    """Set-ups are kept in the graph, so an operator that looks the same must not find that of another."""
    traced, y = compiled(lambda y, op: solve(op, priors.L1(1e-2))(y)), random(1, 1, 9, 8)
    for sigma in (1.0, 1.6):
        for op in (
            operators.Blur(psf.gaussian(7, sigma=sigma), stride=2),
            operators.Blur(psf.gaussian(7, sigma=sigma), boundary="reflect"),
        ):
            assert_equal([traced(y, op)], [solve(op, priors.L1(1e-2))(y)])


def test_operators_are_as_before() -> None:
    """What is worked out while tracing is real: the operator's own copies serve eager solves afterwards."""
    op = operators.Mask(random(9, 8, seed=3))
    compiled(solve(op, priors.L1(1e-2)))(random(1, 1, 9, 8, dtype=torch.float32))
    y = random(1, 1, 9, 8, dtype=torch.float32)
    assert torch.equal(op(y), operators.Mask(random(9, 8, seed=3))(y))


def test_inductor() -> None:
    function, y = solve(BLUR, priors.L1(1e-2), iterations=1), random(1, 1, 5, 6, dtype=torch.float32)
    assert_equal(
        with_gradients(torch.compile(function, fullgraph=True), y), with_gradients(function, y), tolerance=1e-4
    )


# ---- what a graph cannot do ------------------------------------------------------------------------------------------

LEARNED = inverses.Learned(nets.InverseNet())
REFUSED: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "stop rule": (
        solve(BLUR, priors.L1(1e-2), iterations=10, tolerance=1e-3),
        "pass tolerance=0 and a number of iterations",
    ),
    "stop rule, pgd": (lambda y: pgd(y, BLUR, priors.L1(1e-2)).x, "pass tolerance=0 and a number of iterations"),
    "conjugate gradients": (solve(BLUR, priors.L1(1e-2), inverse=inverses.ConjugateGradient()), "use inverses.Stencil"),
    "sketch": (solve(BLUR, TV, inverse=inverses.Nystrom(8)), "solve once before"),
    "learned inverse": (solve(BLUR, TV, inverse=LEARNED), "use inverses.Stencil"),
    "new operator": (lambda y: solve(operators.Blur(GAUSSIAN, stride=4), TV)(y), "make it before"),
    "wrong input": (lambda y: solve(BLUR, TV)(y[0]), "expected four dimensions b c h w"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name: str) -> None:
    function, advice = REFUSED[name]
    with pytest.raises(torch._dynamo.exc.Unsupported, match=advice):
        compiled(function)(random(1, 1, 5, 6))


def test_runs_in_parts_where_breaks_are_allowed() -> None:
    """Without fullgraph=True what cannot be traced runs as it is."""
    function, y = REFUSED["stop rule"][0], random(1, 1, 5, 6)
    assert_equal([torch.compile(function, backend="aot_eager")(y)], [function(y)])
