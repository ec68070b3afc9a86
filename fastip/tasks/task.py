"""What every named task offers."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from torch import Tensor

from .. import io
from .choice import Choice
from .problem import Problem

Solved = TypeVar("Solved", bound=Problem, covariant=True)


@dataclass(frozen=True)
class Task(abc.ABC, Generic[Solved]):
    """A named restoration: ``y = A x``, plus noise, and settings that suit images in [0, 1].

    Attributes:
        name: By which :func:`fastip.tasks.get` finds it.
        summary: What it does, in a few words.
        stride: How many times smaller the data's grid is than the image's.
        psf: A text as in ``operators.psf.parse``, or None where only the user can know it.
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

    def words(self, choice: Choice, psf: str | None = None) -> str:
        """Its name, and what the data were made by as far as that can be chosen.

        Args:
            choice: What was chosen.
            psf: The text that the psf was chosen by.

        Returns:
            A few words.
        """
        return self.name

    def pages(self, path: Path) -> int:
        """How many times the data are in a file, as :func:`fastip.io.count_pages` tells."""
        return io.count_pages(path)

    def read(
        self,
        path: Path,
        *,
        value_range: tuple[float, float] | None = None,
        max_pixels: int = io.MAX_PIXELS,
        page: int | None = None,
    ) -> tuple[Tensor, io.Kind]:
        """The data in a file, an image 1 c h w, and what a result needs to be written in kind.

        Args:
            path: The file.
            value_range: As for :func:`fastip.io.read_image`.
            max_pixels: As for :func:`fastip.io.read_image`.
            page: As for :func:`fastip.io.read_image`.

        Returns:
            Both.

        Raises:
            InvalidInput: For what is no such file.
        """
        return io.read_image(path, value_range=value_range, max_pixels=max_pixels, page=page)

    def check(self, choice: Choice) -> None:
        """Refuse what the task cannot use, before any file is read.

        Args:
            choice: What was chosen.

        Raises:
            InvalidInput: For what the task cannot use.
        """
        self.problem(choice)

    def for_file(self, choice: Choice, kind: io.Kind) -> tuple[Choice, io.Kind]:
        """What was chosen, with what a file itself says, and the kind of its result.

        Args:
            choice: What was chosen.
            kind: That of the file.

        Returns:
            Both.

        Raises:
            InvalidInput: Where the file does not say what the task needs.
        """
        return choice, kind

    def usual_clipped(self, choice: Choice) -> str | None:
        """Which clipped pixels a file's data may have where nobody said it, for :class:`Choice`.

        Args:
            choice: What was chosen.

        Returns:
            "auto" where looking for them is worth it, else None.

        Raises:
            InvalidInput: For what the operator cannot be.
        """
        return None

    def problem(self, choice: Choice | None = None, **changes: Any) -> Solved:
        """The problem to solve, with what the caller chose.

        Args:
            choice: What was chosen; None leaves all to the task.
            **changes: Fields of :class:`Choice`, instead of those of ``choice``.

        Returns:
            The problem.

        Raises:
            InvalidInput: For what the task cannot use.
            UnknownKeyword: For what nobody can choose.
        """
        return self.chosen((choice or Choice()).but(changes))

    @abc.abstractmethod
    def chosen(self, choice: Choice) -> Solved:
        """The problem for this choice."""
