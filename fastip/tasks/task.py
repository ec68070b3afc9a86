"""What every named task offers, and how a name that does not exist is answered."""

from __future__ import annotations

import abc
import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from .. import io
from ..errors import InvalidInput
from .problem import Problem


@dataclass(frozen=True)
class Task(abc.ABC):
    """A named restoration: y = A x, plus noise, and settings that suit images in [0, 1].

    stride: how many times smaller the data's grid is than the image's. psf: a text as in ``operators.psf.parse``, or None where only the user can know it.
    """

    name: str
    summary: str
    stride: int
    psf: str | None

    @property
    @abc.abstractmethod
    def prior_text(self) -> str:
        """The prior it chooses by default, in a word or two."""

    @property
    def data_text(self) -> str:
        """What the data are, as far as the name does not say it."""
        return f"psf {self.psf or 'to be given'}"

    def read(self, path: Path) -> tuple[Tensor, io.Kind]:
        """The data in a file, and what a result needs to be written in kind: an image, 1 c h w."""
        return io.read_image(path)

    @abc.abstractmethod
    def problem(
        self,
        *,
        psf: str | Tensor | None = None,
        boundary: str | None = None,
        prior: str | None = None,
        weight: float | None = None,
        beta: float | None = None,
        inverse: str | None = None,
        iterations: int | None = None,
        tolerance: float | None = None,
        bounded: bool = True,
        memory: int | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> Problem:
        """The problem to solve, with None standing for the task's own choice. Raises InvalidInput for what the task cannot use."""


def closest(given: str, known: Iterable[str], what: str) -> str:
    """``given`` when it is known, else InvalidInput with the closest name."""
    known = list(known)
    if given in known:
        return given
    close = difflib.get_close_matches(str(given).lower(), known, 1)
    advice = f"did you mean {close[0]!r}?" if close else f"expected one of {', '.join(known)}"
    raise InvalidInput(f"there is no {what} {given!r}: {advice}")
