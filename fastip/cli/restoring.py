"""One file restored, page by page, and what is said of it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fastip

from ..errors import FastipError, InvalidInput
from .console import err, warned
from .light import Light, light_of
from .progress import Bars

if TYPE_CHECKING:
    from torch import Tensor

    from ..solution import Solution


@dataclasses.dataclass(frozen=True)
class Settings:
    """What was asked for on the command line; None leaves the choice to the task."""

    task: fastip.tasks.Task[Any]
    psf: str | None
    choice: fastip.tasks.Choice
    linear: bool
    reading: dict[str, Any]
    auto: str | None = None  # the kind of blur whose psf is estimated
    search: Path | None = None  # where its search is drawn

    def problem(self, kind: fastip.io.Kind) -> tuple[fastip.tasks.Problem, fastip.io.Kind]:
        """The problem for a file of this kind, and the kind of its result.

        Integers are held to [0, 1], floats are not.
        """
        choice, like = self.task.for_file(self.choice, kind)
        return self.task.problem(choice, bounded=kind.depth != "float32"), like


def restore_file(read: Path, write: Path, settings: Settings, figure: Path | None) -> str:
    """Restore one file, page by page, and say what was done."""
    start = time.perf_counter()
    pages = settings.task.pages(read)
    for drawn in (figure, settings.search):
        if pages > 1 and drawn is not None:
            raise InvalidInput(
                f"the figure {drawn} draws one image and {read} has {pages} pages; restore that page alone"
            )
    done: list[_Told] = []
    if pages == 1:
        page = _restored(read, write, settings, None, read.name)
        fastip.io.write_image(write, page.x, like=page.kind)
        if figure is not None:
            page.draw(figure, settings)
        done.append(page.told)
    else:

        def all_pages() -> Iterator[tuple[Tensor, fastip.io.Kind]]:
            for number in range(pages):
                try:
                    page = _restored(read, write, settings, number, f"{read.name} {number + 1}/{pages}")
                except FastipError as error:
                    raise InvalidInput(f"page {number + 1} of {pages}: {error}") from error
                done.append(page.told)
                content = page.x, page.kind
                del page  # or it would be held until the next one is there
                yield content
                del content

        fastip.io.write_pages(write, all_pages(), count=pages)
    sizes = ", ".join(dict.fromkeys(told.sizes for told in done))
    ended = "".join(f", {status}" for status in dict.fromkeys(told.ended for told in done) if status)
    levels = "".join(f", noise {text}" for text in _noises([told.level for told in done if told.level]))
    levels += _highlights([told.clipped for told in done])
    took = f"{sum(told.iterations for told in done)} iterations, {time.perf_counter() - start:.1f} s{ended}"
    psf = settings.psf if settings.auto is None else " and ".join(dict.fromkeys(str(told.blur) for told in done))
    psf = psf if settings.auto is None else f"{psf}, estimated"
    words = f"{sizes}, {settings.task.words(settings.choice, psf)}{levels}, {took}"
    return f"{write}  {f'{pages} pages, ' if pages > 1 else ''}{words}"


@dataclasses.dataclass(frozen=True)
class _Told:
    """What is said of a page."""

    sizes: str
    iterations: int
    ended: str
    level: fastip.tasks.Level | None
    clipped: float
    blur: fastip.psf.Estimate | None


def _noises(levels: list[fastip.tasks.Level]) -> Iterator[str]:
    """The noise of each page, in as many words as it takes."""
    for source in dict.fromkeys(level.source for level in levels):
        own = sorted((level for level in levels if level.source == source), key=lambda level: level.value)
        least, most = str(own[0]), str(own[-1])
        yield most if least == most else f"{least.split()[0]} to {most}"


def _highlights(shares: list[float]) -> str:
    """How much of the pages says only "at least this", behind a comma; nothing where none does."""
    most = max(shares)
    return f", {'up to ' if min(shares) < most else ''}{100 * most:.2g} % clipped" if most > 0 else ""


@dataclasses.dataclass(frozen=True)
class _Page:
    y: Tensor
    x: Tensor
    kind: fastip.io.Kind
    problem: fastip.tasks.Problem
    solution: Solution
    light: Light
    blur: fastip.psf.Estimate | None

    @property
    def told(self) -> _Told:
        y, x = self.y, self.x
        given = f"{y.shape[3]} × {y.shape[2]}" if y.ndim == 4 else f"{y.shape[1]} numbers"
        ended = str(self.solution.status).partition(":")[0] if self.problem.tolerance > 0 else ""
        sizes = f"{given} -> {x.shape[3]} × {x.shape[2]}{self.light.words}"
        level, clipped = self.problem.level, self.problem.clipped_share
        return _Told(sizes, self.solution.iterations, ended, level, clipped, self.blur)

    def draw(self, figure: Path, settings: Settings) -> None:
        shown = self.light.read.encode(self.y) if self.y.ndim == 4 else self.problem.op.adjoint(self.y)
        fastip.figures.restoration(
            *(figure, shown, self.x, self.solution),
            name=settings.task.name,
            settings=f"{self.solution.iterations} iterations",
            blur=self.blur,
        )


def _restored(read: Path, write: Path, settings: Settings, number: int | None, label: str) -> _Page:
    """One page, after it is known that the file to write can hold what it becomes."""
    values, kind = settings.task.read(read, page=number, **settings.reading)
    light = light_of(settings.linear, kind, write)
    y = light.read.decode(values)
    blur = None if settings.auto is None else _estimated(y, read, settings, label)
    if blur is not None:
        settings = dataclasses.replace(settings, choice=settings.choice.but({"psf": blur.psf}))
    with warned():
        problem, like = settings.problem(kind)
        fastip.io.check_write(write, like=like, **_form(problem, y, settings.choice.crop))
        problem = problem.fitted(y, values=values)
    _tell_of_holes(problem, read)
    with Bars("iterations") as bars:
        solution = problem.solve(y, report=lambda done: bars(label, done, problem.iterations))
    if solution.status is fastip.Status.UNSTABLE:
        raise InvalidInput(f"{read} was not restored: {solution.status}")
    x = solution.x
    if settings.choice.crop:
        x = fastip.tasks.under_data(x, problem.op, tuple(y.shape))
    return _Page(y, light.written.encode(x), like, problem, solution, light, blur)


def _estimated(y: Tensor, read: Path, settings: Settings, label: str) -> fastip.psf.Estimate:
    """The blur of a picture, where it is clear."""
    kind: Any = settings.auto
    with Bars("candidates") as bars:
        blur = fastip.psf.estimate(
            *(y, kind, settings.choice.noise), report=lambda done, total: bars(f"{label}, psf", done, total)
        )
    if settings.search is not None:
        fastip.figures.blur(settings.search, blur)
    if not blur.clear:
        raise InvalidInput(
            f"the psf of {read} is to be estimated (auto:{kind}), and the best, a {blur}, is not clear: not a blur of "
            "this kind; give the psf"
        )
    return blur


def _form(problem: fastip.tasks.Problem, y: Tensor, crop: bool) -> dict[str, Any]:
    """The channels and the size of what will be written."""
    shape = problem.op.input_shape(tuple(y.shape))
    image = y.new_zeros(()).expand(shape)
    _, channels, h, w = (fastip.tasks.under_data(image, problem.op, tuple(y.shape)) if crop else image).shape
    return {"channels": channels, "size": (h, w)}


def _tell_of_holes(problem: fastip.tasks.Problem, read: Path) -> None:
    """A mask that hides most of the picture may be meant the other way round."""
    known = problem.known if isinstance(problem, fastip.tasks.AdmmProblem) else None
    if known is not None and (hidden := 1 - float(known.mean())) > 0.5:
        err.print(
            f"warning: {hidden:.0%} of {read} is to be filled; in a mask white is known and black is filled: "
            "invert it if the other way round is meant",
            style="yellow",
            soft_wrap=True,
        )
