"""Choice: what the caller of a task may choose."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import check_keywords
from .clipped import check_clipped


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What the caller of a task may choose; None leaves it to the task, which refuses what it cannot use.

    Args:
        psf: A tensor kh x kw or a text for :func:`fastip.tasks.read_psf`.
        boundary: "natural" (a window of a larger scene), "circular", "reflect", "zero" or "valid".
        factor: How many times larger the picture gets, 1 to 16.
        method: By which a program made the picture small, as for ``operators.Resize``.
        like: The program, as there.
        mask: Which pixels are known: a tensor or an array, 0 where not, else 1, or an image file.
        noise: The standard deviation of the noise in the data, in units of [0, 1].
        clipped: Which pixels were cut off at a limit and say only "at least this": "auto" for those of 1 in groups of
            four and more, a number in (0, 1] for those from there on, "off" or None for none.
        prior: A name of ``fastip.tasks.PRIORS``.
        weight: Of that prior, >= 0; larger is smoother. Where it is given the noise plays no role.
        beta: The penalty of the splitting, > 0.
        inverse: A name of ``fastip.tasks.INVERSES``.
        iterations: The solver's, at most.
        tolerance: The solver's; 0 runs all iterations.
        crop: With a natural border: cuts the result to the data; else all that the data see is given.
        bounded: Adds 0 <= x <= 1 to the priors that can hold it. Where pixels are clipped the picture may go beyond 1
            and is cut off there in the end; False gives it whole.
        memory: Bytes that a solve may take, or a text such as "800MB".
        dtype: Of a network's weights.

    Raises:
        InvalidInput: For another clipped.
    """

    psf: str | Tensor | None = None
    boundary: str | None = None
    factor: float | None = None
    method: str | None = None
    like: str | None = None
    mask: Any = None
    noise: float | None = None
    clipped: str | float | None = None
    prior: str | None = None
    weight: float | None = None
    beta: float | None = None
    inverse: str | None = None
    iterations: int | None = None
    tolerance: float | None = None
    crop: bool = True
    bounded: bool = True
    memory: int | str | None = None
    dtype: torch.dtype | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "clipped", check_clipped(self.clipped))

    def but(self, changes: Mapping[str, Any]) -> Choice:
        """The same with other values.

        Args:
            changes: Values by the names of the fields.

        Returns:
            The changed copy.

        Raises:
            UnknownKeyword: For what nobody can choose, with the closest name.
        """
        check_keywords(changes, {field.name for field in dataclasses.fields(self)}, "problem")
        return dataclasses.replace(self, **changes)

    def given(self, *names: str) -> dict[str, Any]:
        """Those of the names that were chosen, with their values."""
        return {name: value for name in names if (value := getattr(self, name)) is not None}
