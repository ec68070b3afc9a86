"""The penalty beta that suits a weight; docs/mathematics.md has the measurements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from ..contracts import Diagonal, LinearOperator, Scalar, Shape
from ..tracing import check_traceable, check_uncaptured, constant, fixed, norm
from .prior import Weight

# Times ||A||^2. A larger beta than the first makes images of another range than [0, 1], whose weights are larger, slow;
# without the second a weight of 0 would be no penalty at all.
MOST, LEAST = 1.0, 1e-3


class Weighted(Protocol):
    """A prior with a weight."""

    def suited(self, op: LinearOperator, shape: Shape) -> float | None:
        """The beta that suits it."""
        ...


@dataclass(frozen=True)
class Penalty:
    """``beta = factor (weight / ||A||^2)^power ||A||^2``, within 1e-3 and 1 ||A||^2, for images in [0, 1].

    Attributes:
        factor: Of one kind of prior.
        power: The same.
    """

    factor: float
    power: float

    def suits(self, weight: Weight, op: LinearOperator, shape: Shape) -> float:
        """beta for this weight, a tensor by its largest entry."""
        size = norm(op, shape) ** 2
        largest = float(weight.detach().max()) if isinstance(weight, Tensor) else weight
        relative = self.factor * (largest / size) ** self.power if size > 0 else 0.0
        return size * min(max(relative, LEAST), MOST)


def suggested(prior: Weighted, weights: tuple[Weight, ...], op: LinearOperator, shape: Shape) -> float | None:
    """What suits the prior, as a constant of a graph that torch.compile traces.

    Args:
        prior: Has ``suited``, which works it out.
        weights: Its weights. Tensors, whose entries are not known while a graph is traced, are refused there.
        op: The operator.
        shape: That of the image.
    """
    for weight in weights:
        if isinstance(weight, Tensor):
            told = (
                "the default beta of a prior whose weight is a tensor",
                "it depends on the largest entry",
                "pass beta",
            )
            check_traceable(*told)
            check_uncaptured(weight.device, *told)
    return _suited(prior, op, fixed(shape, op))


@constant
def _suited(prior: Weighted, op: LinearOperator, shape: Shape) -> float | None:
    return prior.suited(op, shape)


def alike(op: LinearOperator, shape: Shape, pixel_by_pixel: bool = False) -> float | None:
    """``||A||^2`` where it is the best beta whatever the weight is: where A^T A is that number times the identity.

    ``pixel_by_pixel``: or diagonal, for priors that see each pixel by itself, too.
    """
    gram = op.gram(shape)
    scalar = isinstance(gram, Scalar)
    if isinstance(gram, Diagonal):
        scalar = pixel_by_pixel or bool(gram.values.min() == gram.values.max())
    return norm(op, shape) ** 2 if scalar else None
