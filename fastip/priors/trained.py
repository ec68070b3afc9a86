"""What a trained network belongs to: the levels it knows, the data it takes, the iterations it was tuned through."""

from __future__ import annotations

from dataclasses import dataclass

from ..contracts import LinearOperator
from ..errors import InvalidInput
from ..operators.base.fingerprint import value_digest
from ..tracing import constant


@dataclass(frozen=True)
class Trained:
    """What a trained network belongs to.

    Attributes:
        levels: (low, high), standard deviations of the noise it was trained to remove.
        data: The :func:`likeness` of the operator whose data the network takes, None where it takes none.
        schedule: (beta, level) of each iteration of the solver that it was tuned through; empty for a denoiser alone.
    """

    levels: tuple[float, float]
    data: str | None = None
    schedule: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        numbers = (*self.levels, *(number for pair in self.schedule for number in pair))
        if len(self.levels) != 2 or not self.levels[0] <= self.levels[1] or not all(number > 0 for number in numbers):
            raise InvalidInput(
                f"levels are {self.levels} and the schedule {self.schedule}; "
                "expected positive numbers, levels (low, high)"
            )

    @property
    def beta(self) -> tuple[float, ...] | None:
        """What to pass to the solver as beta; None without a schedule."""
        return tuple(beta for beta, _ in self.schedule) or None

    @property
    def sigma(self) -> tuple[float, ...] | None:
        """The level of each iteration; None without a schedule."""
        return tuple(level for _, level in self.schedule) or None

    def check_operator(self, op: LinearOperator) -> None:
        """Refuse data of another operator than that of the training."""
        if self.data is not None and likeness(op) != self.data:
            raise InvalidInput(
                f"op is {op!r}, and the network takes the data of another operator: "
                "use the one it was trained for, or train it for this one"
            )


@constant
def likeness(op: LinearOperator) -> str:
    """What data of ``op`` look like away from borders, as a text.

    Psf and stride of a convolution, whatever its boundary; the fingerprint of others.
    """
    convolution = op.convolution()
    if convolution is None:
        return op.fingerprint()
    return str(value_digest((convolution.psf, convolution.stride)).hexdigest())
