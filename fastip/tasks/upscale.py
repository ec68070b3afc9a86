"""Pictures that a program made small, enlarged again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .. import operators
from ..contracts import LinearOperator
from ..errors import InvalidInput
from .choice import Choice
from .classical import ClassicalTask
from .settings import Usual


@dataclass(frozen=True)
class UpscaleTask(ClassicalTask):
    """``y = operators.Resize(factor, method=method, like=like)(x)``, plus noise.

    Where the program cut off at 0 and 1 what its method overshoots beside edges, these pixels are taken as they are.

    Attributes:
        name: By which :func:`fastip.tasks.get` finds it.
        summary: What it does, in a few words.
        stride: 1, which plays no role.
        psf: None: there is none.
        method: By which the program made the picture small.
        like: The program.
    """

    takes: ClassVar[tuple[str, ...]] = ("factor", "method", "like")
    clips: ClassVar[bool] = False
    without: ClassVar[str] = (
        "has no {option}: the program that made the picture small, told by method and like, brings its own"
    )

    method: str = "bicubic"
    like: str = "pillow"

    @property
    def data_text(self) -> str:
        return f"{self.method} as {self.like.capitalize()}, factor to be given"

    def words(self, choice: Choice, psf: str | None = None) -> str:
        return f"{self.name} × {choice.factor:g}, {choice.method or self.method} as {choice.like or self.like}"

    def operator(self, choice: Choice) -> LinearOperator:
        if choice.factor is None:
            raise InvalidInput(
                f"task {self.name!r} needs a factor, how many times larger the picture is to get; "
                "give one, e.g. 1.5, 2, 3, 4 or 8"
            )
        return operators.Resize(choice.factor, method=choice.method or self.method, like=choice.like or self.like)

    def usual(self, choice: Choice) -> Usual:
        return Usual(inverse="exact")


TASKS = (UpscaleTask("upscale", "enlarge what a program made small", 1, None),)
