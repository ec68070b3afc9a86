"""Compressed sensing: images of one set from few random measurements.

They are found by projected gradient descent with the projector of that set.
"""

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

# What random measurements and a trained projector leave no choice of.
FIXED = (
    *("psf", "boundary", "factor", "method", "like", "mask", "noise", "clipped"),
    *("prior", "weight", "beta", "inverse", "memory"),
)


@dataclass(frozen=True)
class MeasuredTask(Task[NpgdProblem]):
    """``y = A x``, ``A = operators.GaussianMeasurements(measurements, shape)``, seed 0, for images x of one set.

    Attributes:
        name: By which :func:`fastip.tasks.get` finds it.
        summary: What it does, in a few words.
        stride: 1, which plays no role.
        psf: None: there is no blur.
        measurements: How many numbers y holds.
        pictures: The set, whose projector comes with fastip.
        shape: (c, h, w) of its images.
        iterations: At most.
        tolerance: As for ``npgd``.
    """

    measurements: int
    pictures: str
    shape: tuple[int, int, int]
    # docs/experiments/npgd_speed.md, digits: the mean error is 0.00842 after 5 iterations, 0.00818 after 10, 0.00817
    # after 20 and 30. The npgd tolerance is the usual one: smaller takes longer, larger stops further from the limit.
    iterations: int = 30
    tolerance: float = 1e-3

    @property
    def prior_text(self) -> str:
        return "generator"

    @property
    def data_text(self) -> str:
        return "Gaussian matrix of seed 0"

    def pages(self, path: Path) -> int:
        """One: an NPY file has no pages."""
        return 1

    def read(
        self,
        path: Path,
        *,
        value_range: tuple[float, float] | None = None,
        max_pixels: int = io.MAX_PIXELS,
        page: int | None = None,
    ) -> tuple[Tensor, io.Kind]:
        """The measurements in an NPY file, 1 m; the image will have 8 bits where its file can.

        Args:
            path: The file.
            value_range: None: measurements have no black and white.
            max_pixels: Plays no role: there are as many numbers as the task says.
            page: Plays no role.

        Returns:
            Both.

        Raises:
            InvalidInput: For what is no such file, and where a range is given.
        """
        if value_range is not None:
            raise InvalidInput(
                f"a range is given, and task {self.name!r} reads measurements, which have none: leave it out"
            )
        return vectors.read_vector(path, self.measurements), io.Kind()

    def chosen(self, choice: Choice) -> NpgdProblem:
        """The problem for this choice.

        Args:
            choice: Its ``dtype`` is that of the networks' weights, float32 by default. Its ``bounded`` plays no role:
                the generator's images are in [0, 1].

        Returns:
            The problem.

        Raises:
            InvalidInput: For what random measurements and a trained projector leave no choice of, and for bad values.
        """
        for option in choice.given(*FIXED):
            fixed = f"task {self.name!r} is for measurements and a trained projector, which have none"
            raise InvalidInput(f"{option} is given, and {fixed}: leave it out")
        if choice.dtype is not None and choice.dtype not in REAL:
            raise InvalidInput(
                f"dtype is {choice.dtype!r}; expected one of {', '.join(map(str, REAL))}, or None for float32"
            )
        iterations = self.iterations if choice.iterations is None else choice.iterations
        tolerance = self.tolerance if choice.tolerance is None else choice.tolerance
        projector = shipped.projector(self.pictures)
        projector.net.to(choice.dtype)
        return NpgdProblem(
            op=operators.GaussianMeasurements(self.measurements, self.shape),
            prior=projector,
            iterations=check_count(iterations, "iterations", low=1),
            tolerance=check_number(tolerance, "tolerance", low=0.0),
            noise=0.0,
        )


def _task(pictures: str, summary: str, measurements: int, shape: tuple[int, int, int]) -> MeasuredTask:
    return MeasuredTask(f"{pictures}-cs{measurements}", summary, 1, None, measurements, pictures, shape)


TASKS = (
    _task("digits", "handwritten digits, 28 × 28 from 100 measurements", 100, (1, 28, 28)),
    _task("fashion", "pictures of clothes, 28 × 28 from 100 measurements", 100, (1, 28, 28)),
    _task("avatars", "drawn faces, 64 × 64 in colour from 1000 measurements", 1000, (3, 64, 64)),
)
