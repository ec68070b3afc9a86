"""Compressed sensing: images of one set from few random measurements, by projected gradient descent with the projector of that set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from .. import io, operators
from ..arrays import REAL, check_count, check_number
from ..checkpoint import shipped
from ..errors import InvalidInput
from ..io import vectors
from .choice import Choice
from .problem import NpgdProblem
from .task import Task


@dataclass(frozen=True)
class MeasuredTask(Task[NpgdProblem]):
    """y = A x, A = operators.GaussianMeasurements(measurements, shape), seed 0, for images x of one set.

    pictures: the set, whose projector comes with fastip. shape: (c, h, w) of its images.
    """

    measurements: int
    pictures: str
    shape: tuple[int, int, int]
    iterations: int = 30
    tolerance: float = 1e-3

    @property
    def prior_text(self) -> str:
        return "generator"

    @property
    def data_text(self) -> str:
        return "Gaussian matrix of seed 0"

    def read(self, path: Path) -> tuple[Tensor, io.Kind]:
        """The measurements in an NPY file, 1 m; the image will have 8 bits where its file can."""
        return vectors.read_vector(path, self.measurements), io.Kind()

    def chosen(self, choice: Choice) -> NpgdProblem:
        """The problem for this choice. bounded: plays no role, the generator's images are in [0, 1].

        dtype: of the networks' weights, float32 by default. Raises InvalidInput for what random measurements and a
        trained projector leave no choice of.
        """
        for option in choice.given("psf", "boundary", "prior", "weight", "beta", "inverse", "memory"):
            fixed = f"task {self.name!r} is for measurements and a trained projector, which have none"
            raise InvalidInput(f"{option} is given, and {fixed}: leave it out")
        if choice.dtype is not None and choice.dtype not in REAL:
            raise InvalidInput(
                f"dtype is {choice.dtype!r}; expected one of {', '.join(map(str, REAL))}, or None for float32"
            )
        projector = shipped.projector(self.pictures)
        projector.net.to(choice.dtype)
        return NpgdProblem(
            op=operators.GaussianMeasurements(self.measurements, self.shape),
            prior=projector,
            iterations=check_count(
                self.iterations if choice.iterations is None else choice.iterations, "iterations", low=1
            ),
            tolerance=check_number(
                self.tolerance if choice.tolerance is None else choice.tolerance, "tolerance", low=0.0
            ),
            noise=0.0,
        )


def _task(pictures: str, summary: str, measurements: int, shape: tuple[int, int, int]) -> MeasuredTask:
    return MeasuredTask(f"{pictures}-cs{measurements}", summary, 1, None, measurements, pictures, shape)


TASKS = (
    _task("digits", "handwritten digits, 28 × 28 from 100 measurements", 100, (1, 28, 28)),
    _task("fashion", "pictures of clothes, 28 × 28 from 100 measurements", 100, (1, 28, 28)),
    _task("avatars", "drawn faces, 64 × 64 in colour from 1000 measurements", 1000, (3, 64, 64)),
)
