"""The stated reason why a solve is not fused names what stands in the way: every operator, inverse and prior."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
from torch import Tensor

import fastip
from cases.operators import Case, operator_cases
from cases.priors import CASES as PRIORS
from fastip import inverses, kernels, nets, operators, priors, psf
from fastip.contracts import BoundInverse
from fastip.errors import FastipError
from fastip.inverses.split import SplitStep
from fastip.inverses.steps import FourierStep, ImageStep
from fastip.kernels import choose
from fastip.solvers import fused

BETA = 10.0  # large enough for every stencil to be positive definite
INVERSES: dict[str, Any] = {
    "exact": inverses.Exact(),
    "exact, data": inverses.Exact(side="data"),
    "exact, image": inverses.Exact(side="image"),
    "stencil": inverses.Stencil(1),
    "conjugate gradients": inverses.ConjugateGradient(),
    "conjugate gradients, image": inverses.ConjugateGradient(side="image"),
    "gradient step": inverses.GradientDescent(1),
    "gradient steps": inverses.GradientDescent(2),
    "split": inverses.Split(),
    "uncorrected": inverses.Uncorrected(inverses.Exact(side="data")),
    "printed": inverses.Printed(inverses.Exact(side="data")),
}
BLURS = ("3x3-s1", "3x5-s2", "2x2-s2", "9x9-s4")  # of the many in the table
BOUNDARIES = tuple(f"blur-{boundary}-" for boundary in ("circular", "valid", "reflect", "zero"))
OPERATORS = [
    pytest.param(case, id=case.id)
    for case in operator_cases()
    if not case.id.startswith(BOUNDARIES) or case.id.endswith(BLURS)
]
POINTWISE = {"L1", "L2", "ElasticNet", "NonNegative", "Box", "Separable", "L1+Box", "L1+L2+NonNegative"}


@functools.cache
def problem(case: Case) -> tuple[operators.Operator, Tensor]:
    op = case.make(torch.float64)
    x = torch.rand(*case.input_shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return op, op(x.to(torch.complex128) if op.complex_input else x)


def bound(case: Case, inverse: str) -> BoundInverse | None:
    """None where the inverse is refused for this operator."""
    op, y = problem(case)
    try:
        step: BoundInverse = INVERSES[inverse].bind(op, y, BETA)
        return step
    except FastipError:
        return None


def reason(case: Case, step: BoundInverse, prior: priors.Prior) -> str | None:
    op, y = problem(case)
    return fused.why_unfused(step, prior.bind(y, op), step.guess(), step.start(), y)


def due(case: Case, inverse: str, step: BoundInverse) -> str | None:
    """What stands in the way of a pointwise prior, found from the operator and the inverse alone."""
    op, y = problem(case)
    convolution = op.convolution()
    if inverse in ("uncorrected", "printed"):
        return "the update is not q + C (y - A x - beta q)"
    if inverse == "split":
        return "the data step has a second split"
    if isinstance(step, FourierStep):
        if y.ndim == 5:
            return "these are volumes"
        return None if step.weight.ndim == 2 else "A differs from image to image"
    if isinstance(step, ImageStep):
        return "the data step is on the image grid"
    if convolution is None:
        return f"A ({type(op).__name__}) is no strided convolution"
    if inverse != "stencil" and step.describe() != "exact, a scalar":
        return f"C is not applied as one small stencil (it is: {step.describe()})"
    if convolution.boundary == "reflect":
        return "the boundary is 'reflect'"
    reach = max(0 if inverse != "stencil" else 1, -(-max(convolution.psf.shape) // convolution.stride))
    if convolution.boundary == "circular" and reach > min(y.shape[-2:]):
        return "across the border more than once"
    return choose.why_reference((y,))  # None but for complex data and a backend that was asked for


@pytest.mark.parametrize("case", OPERATORS)
def test_with_a_pointwise_prior_it_names_the_operator_or_the_inverse(case: Case) -> None:
    seen = 0
    for inverse in INVERSES:
        step = bound(case, inverse)
        if step is None:
            continue
        seen += 1
        found, expected = reason(case, step, priors.L1(0.1)), due(case, inverse, step)
        assert (found is None) == (expected is None), (inverse, found, expected)
        assert found is None or str(expected) in found, (inverse, found, expected)
        others = {"is no strided convolution", "small stencil", "image grid", "the update", "'reflect'", "prior"}
        assert not any(other in str(found).partition("(it is:")[0] and other not in str(expected) for other in others)
    assert seen >= 4


@pytest.mark.parametrize("case", OPERATORS)
def test_what_is_named_is_what_must_change(case: Case) -> None:
    """Where C is named another C runs fused, where A is named no C on the data grid does."""
    op, y = problem(case)
    reasons = {
        name: reason(case, step, priors.Box())
        for name in INVERSES
        if (step := bound(case, name)) is not None and not isinstance(step, (ImageStep, FourierStep, SplitStep))
    }
    if any("C is not applied" in str(found) for found in reasons.values()):
        assert "C is not applied" not in str(reasons["stencil"])
    if any("is no strided convolution" in str(found) for found in reasons.values()):
        assert op.convolution() is None and "stencil" not in reasons and None not in reasons.values()


@pytest.mark.parametrize("case", PRIORS, ids=str)
@pytest.mark.parametrize("weight", ["number", "tensor", "gradient"])
def test_it_names_the_prior(case: Any, weight: str) -> None:
    op = operators.Blur(psf.gaussian(3, sigma=1.0))
    y = torch.rand(1, 3, 8, 8, dtype=torch.float64)
    given = {"number": 0.1, "tensor": torch.full((1, 3, 1, 1), 0.1), "gradient": torch.tensor(0.1, requires_grad=True)}
    if case.id.startswith("VectorTV"):
        given["tensor"] = torch.full((1, 1, 1, 1), 0.1)  # all channels have one length
    prior = case.make(given[weight])
    for inverse in (inverses.Stencil(1), inverses.ConjugateGradient()):
        step = inverse.bind(op, y, BETA)
        found = fused.why_unfused(step, prior.bind(y, op), step.guess(), step.start(), y)
        if case.id not in POINTWISE:
            assert found == (
                "the prior has no formula for each pixel alone, "
                "as L1, L2, ElasticNet, NonNegative, Box and sums of these have"
            )
        elif case.weighted and weight == "tensor":
            assert found == "a weight of the prior is a tensor, and fused solves take one number for all pixels"
        elif case.weighted and weight == "gradient":
            assert found == "a weight of the prior requires a gradient, which fused solves do not have"
        elif isinstance(inverse, inverses.Stencil):
            assert found is None
        else:
            assert str(found).startswith("C is not applied as one small stencil (it is: conjugate gradients")


def net(boundary: str, trained: bool, channels: tuple[int, ...] = (4, 4)) -> nets.InverseNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = nets.InverseNet(channels=channels, sizes=(3,) * len(channels), boundary=boundary)
    return made.double().requires_grad_(trained)


class Half(torch.nn.Module):
    """A network of one's own."""

    def forward(self, r: Tensor, beta: float) -> Tensor:
        return r / (2 * beta)


LEARNED = [
    (net("circular", False), "circular", None),
    (net("circular", True), "circular", "by its layers: its weights require a gradient"),
    (net("reflect", False), "reflect", "as a stencil with borders of its own"),
    (net("circular", False), "reflect", "by its layers: A is no circular convolution"),
    (net("reflect", False), "small", "by its layers: the data are small"),
    (net("circular", False, (1,)), "circular", "by its layers: its stencil would be more work"),
    (nets.PaperInverseNet().double(), "circular", "PaperInverseNet, not certified, as only an InverseNet can be"),
    (Half(), "circular", "Half, not certified, as only an InverseNet can be"),
]


@pytest.mark.parametrize("network, boundary, words", LEARNED, ids=range(len(LEARNED)))
def test_a_learned_inverse_says_how_it_is_applied(network: Any, boundary: str, words: str | None) -> None:
    op = operators.Blur(psf.gaussian(3, sigma=1.0), boundary="reflect" if boundary == "small" else boundary)
    side = 5 if boundary == "small" else 20
    y = torch.rand(1, 1, side, side, dtype=torch.float64)
    step = inverses.Learned(network).bind(op, y, BETA)
    found = fused.why_unfused(step, priors.L1(0.1).bind(y, op), step.guess().detach(), step.start(), y)
    assert found is None if words is None else f"{words})" in str(found), found


def test_what_stands_in_the_way_of_the_kernels() -> None:
    op = operators.Blur(psf.gaussian(3, sigma=1.0), stride=2)
    y = torch.rand(1, 3, 8, 8)
    for given, loop, run in [
        (y, "loop: fused", "kernels: compiled, on cpu"),
        (
            y.clone().requires_grad_(),
            "because: a gradient is asked for, which the raw kernels do not have",
            "kernels: compiled, on cpu",
        ),
    ]:
        text = fastip.explain(op, priors.L1(0.1), given).splitlines()
        assert loop in text[1] and run in text[2], text
        assert ("torch.ops.fastip for the gradient" in text[2]) == given.requires_grad
    assert "reference, because: a tensor is torch.bfloat16" in choose.describe((y.bfloat16(),))
    assert "a tensor is torch.float64, another torch.float32" in choose.describe((y, y.double()))
    assert "a tensor is torch.int64; the fast kernels take real floating ones" in choose.describe((y.long(),))
    assert "run on 'cpu' and 'cuda'" in choose.describe((y.to("meta"),))


def test_what_runs_where_a_gradient_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiled kernels do: explain said the reference."""
    calls: list[str] = []

    def spied(name: str) -> Any:
        original = getattr(kernels.strided_conv, name)

        def spy(*arguments: Any) -> Any:
            calls.append(name)
            return original(*arguments)

        return spy

    for name in ("native", "reference"):
        monkeypatch.setattr(kernels.strided_conv, name, spied(name))
    y = torch.rand(1, 1, 8, 8).requires_grad_()
    op, prior = operators.Blur(psf.gaussian(3, sigma=1.0), stride=2), priors.L1(0.1)
    fastip.admm(y, op, prior, iterations=3).x.sum().backward()
    said = fastip.explain(op, prior, y)
    assert set(calls) == {"native"} and "kernels: compiled" in said


def test_several_betas_are_told() -> None:
    op, y = operators.Blur(psf.gaussian(3, sigma=1.0), stride=2), torch.rand(1, 1, 8, 8)
    text = fastip.explain(op, priors.L1(0.1), y, beta=[0.1, 0.2, 0.3])
    assert "beta = 0.1, the first of 3" in text and "because: beta changes between iterations" in text
    assert "the first of" not in fastip.explain(op, priors.L1(0.1), y, beta=[0.1, 0.1])
