"""The learned inverses of the experiments: a shipped one where it belongs to the problem.

Else one that is trained on the spot with a stated budget.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from ... import inverses, nets, operators
from ...checkpoint import load_inverse, shipped
from ...errors import strict_keywords
from ...inverses.examine import relative_residual
from ..record import Report

# Side of the noise patches on the data grid, and patches a step: larger patches hold less of their border, more of
# them make calmer steps, and both make slower ones.
SIZE, BATCH = 32, 8
# of Adam, by the class of the net: a higher rate learns in fewer steps, until it diverges
RATES = {"InverseNet": 3e-3, "PaperInverseNet": 1e-3}
Net = nets.InverseNet | nets.PaperInverseNet
Architecture = Callable[[str], Net]  # from the boundary of the net


@dataclass(frozen=True)
class Taught:
    """A learned inverse and what it took.

    Args:
        inverse: Frozen.
        steps: Of its training here, 0 for a shipped one.
        seconds: Of its training here, 0 for a shipped one.
        accuracy: ``||(I - C B^-1) e|| / ||e||`` on fresh noise.
    """

    inverse: inverses.Learned
    steps: int
    seconds: float
    accuracy: float

    @property
    def products(self) -> int:
        """Products for each data pixel in one application: the taps of a linear net, the layers of another."""
        net = self.inverse.net
        return (2 * net.reach + 1) ** 2 if isinstance(net, nets.InverseNet) else int(net.products)  # type: ignore[arg-type]

    def record(self) -> dict[str, Any]:
        """What a page says of it."""
        return {"steps": self.steps, "seconds": self.seconds, "accuracy": self.accuracy, "products": self.products}


def linear(boundary: str) -> nets.InverseNet:
    """Symmetric and positive definite, one tied layer: 5 x 5 taps away from borders, for inverses of small support."""
    return nets.InverseNet(channels=(16,), sizes=(3,), boundary=boundary)


def wide(boundary: str) -> nets.InverseNet:
    """Two tied layers: 13 x 13 taps."""
    return nets.InverseNet(boundary=boundary)


def dilated(boundary: str) -> nets.InverseNet:
    """Three tied layers of which two are dilated: 49 x 49 taps, for inverses that reach far."""
    return nets.InverseNet.dilated(boundary=boundary)


def relu(boundary: str) -> nets.PaperInverseNet:
    """The network of the paper, with its ReLU."""
    return nets.PaperInverseNet(boundary=boundary)


@strict_keywords
def learned(
    op: operators.Operator, beta: float, architecture: Architecture, *, steps: int, seed: int, report: Report
) -> Taught:
    """C ~ (beta I + A A^T)^-1 of this architecture, frozen.

    The shipped one for exactly this operator and beta if there is one, else trained from noise.
    """
    convolution = op.convolution()
    boundary = "zero" if convolution is None else nets.boundary_of(convolution.boundary)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = architecture(boundary)
    found = ready(op, beta, net)
    if found is not None:
        assert isinstance(found.net, (nets.InverseNet, nets.PaperInverseNet))
        return Taught(found, 0, 0.0, relative_residual(found.net, op, beta))
    from ... import train  # needs the extra "train"

    name = type(net).__name__
    start = time.perf_counter()
    inverse = train.inverse(
        op,
        beta,
        net=net,
        size=SIZE,
        batch=BATCH,
        steps=steps,
        learning_rate=RATES[name],
        seed=seed,
        progress=False,
        report=lambda done, loss: report(f"training {name} for beta {beta:.3g}: loss {loss:.1e}", done, steps),
    )
    assert inverse.trained is not None
    return Taught(inverse, steps, time.perf_counter() - start, inverse.trained.accuracy)


def ready(op: operators.Operator, beta: float, like: Net) -> inverses.Learned | None:
    """The inverse among the weights of this package for this operator and the structure of ``like``, or None.

    It was trained for this beta, or for a range that holds it.
    """
    for name in shipped.names("inverses"):
        with shipped.weights("inverses", name) as path:
            inverse = load_inverse(path)
        trained = inverse.trained
        if trained is None or trained.fingerprint != op.fingerprint() or not trained.beta[0] <= beta <= trained.beta[1]:
            continue
        if _structure(inverse.net) == _structure(like):
            return inverse
    return None


def _structure(net: torch.nn.Module) -> tuple[str, dict[str, Any]]:
    """Class and configuration, whether or not beta is an input."""
    assert isinstance(net, (nets.InverseNet, nets.PaperInverseNet))
    return type(net).__name__, net.config() | {"beta_range": None}
