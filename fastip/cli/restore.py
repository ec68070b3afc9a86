"""The command ``fastip restore``: an image, or every image of a folder."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import fastip

from ..errors import FastipError, InvalidInput, closest
from .choices import BOUNDARY, INVERSES, PRIORS, PSF, TASKS
from .console import complain, err, out
from .light import Light, check_linear, light_of
from .options import MAX_PIXELS, Linear, MaxPixels, Range, reading, same_place
from .psf_file import Background, Centre, read_given

if TYPE_CHECKING:
    from rich.progress import Progress
    from torch import Tensor

    from ..solution import Solution


@dataclasses.dataclass(frozen=True)
class Settings:
    """What was asked for on the command line; None leaves the choice to the task."""

    task: fastip.tasks.Task[Any]
    psf: str | None
    choice: fastip.tasks.Choice
    crop: bool
    linear: bool
    reading: dict[str, Any]

    def problem(self, depth: str) -> fastip.tasks.Problem:
        """The problem for files of this depth: integers are held to [0, 1], floats are not."""
        problem: fastip.tasks.Problem = self.task.problem(self.choice, bounded=depth != "float32")
        return problem

    def words(self) -> str:
        """The task and, of a blur, the psf and the boundary."""
        if isinstance(self.task, fastip.tasks.MeasuredTask):
            return self.task.name
        return f"{self.task.name}, psf {self.psf or self.task.psf}, {self.choice.boundary or 'circular'} boundary"


def restore(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="INPUT",
            help="An image (PNG, JPEG, TIFF, NPY, ...), measurements (NPY), or a folder.",
            show_default=False,
        ),
    ],
    task: Annotated[
        str,
        typer.Option(help="What to do: photo-sr4, sr2, deblur, ...; 'fastip tasks' lists them.", show_default=False),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="The image to write, or a folder: names are kept.", show_default=False),
    ],
    psf: Annotated[str | None, typer.Option(help=PSF, show_default=False)] = None,
    psf_background: Background = None,
    psf_centre: Centre = False,
    prior: Annotated[str | None, typer.Option(help=f"One of {', '.join(PRIORS)}.", show_default=False)] = None,
    weight: Annotated[
        float | None, typer.Option(help="Weight of the prior: larger is smoother.", show_default=False)
    ] = None,
    beta: Annotated[
        float | None,
        typer.Option(help="Penalty of the splitting: changes the speed, not the answer.", show_default=False),
    ] = None,
    iterations: Annotated[int | None, typer.Option(help="Iterations at most.", show_default=False)] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(help="When to stop, as for the solver; 0: when the iterations are used up.", show_default=False),
    ] = None,
    boundary: Annotated[str | None, typer.Option(help=BOUNDARY, show_default=False)] = None,
    inverse: Annotated[str | None, typer.Option(help=f"One of {', '.join(INVERSES)}.", show_default=False)] = None,
    memory: Annotated[
        str | None,
        typer.Option(help="What a task with a network may take, e.g. 800MB (2GB by default).", show_default=False),
    ] = None,
    crop: Annotated[
        bool, typer.Option("--crop/--no-crop", help="With valid: cut off what lies outside the input.")
    ] = True,
    linear: Linear = False,
    value_range: Range = None,
    max_pixels: MaxPixels = MAX_PIXELS,
    figure: Annotated[
        Path | None, typer.Option(help="Also draw input, result and residuals (one image only).", show_default=False)
    ] = None,
) -> None:
    """Restore an image, or every image of a folder."""
    for given, known, what in ((task, TASKS, "task"), (prior, PRIORS, "prior"), (inverse, INVERSES, "inverse")):
        if given is not None:
            closest(given, known, what)
    chosen = fastip.tasks.get(task)
    taps = read_given(psf, psf_background, psf_centre)
    numbers: dict[str, Any] = {"weight": weight, "beta": beta, "iterations": iterations, "tolerance": tolerance}
    choice = fastip.tasks.Choice(psf=taps, boundary=boundary, prior=prior, inverse=inverse, memory=memory, **numbers)
    settings = Settings(chosen, psf, choice, crop, linear, reading(value_range, max_pixels))
    check_linear(linear, chosen)
    settings.problem("uint8")  # refuse bad options before any file is read
    pairs = _pairs(source, output)
    if figure is not None and source.is_dir():
        raise InvalidInput(f"--figure {figure} draws one image and {source} is a folder; restore that image alone")
    if figure is not None:
        fastip.figures.check_figure(figure)
    failed = 0
    for read, write in pairs:
        try:
            told = _restore_file(read, write, settings, figure)
        except Exception as error:  # of whatever kind: the other files are worth their time
            if not source.is_dir():
                raise
            failed += 1
            complain(_line(read, error))
        else:
            out.print(told, soft_wrap=True)
    if failed:
        complain(f"{failed} of {len(pairs)} files could not be restored")
        raise typer.Exit(1)


def _line(read: Path, error: Exception) -> str:
    """What stopped a file, in one line that names it."""
    kind = "" if isinstance(error, FastipError) else f"{type(error).__name__}: "
    text = " ".join(f"{kind}{error}".split())
    return text if str(read) in text else f"{read}: {text}"


def _pairs(source: Path, output: Path) -> list[tuple[Path, Path]]:
    """(file to read, file to write) for one image or for each image of a folder."""
    if not source.is_dir():
        target = output / source.name if output.is_dir() else output
        if same_place(target, source):
            raise InvalidInput(f"the output {target} is the input itself; choose another name")
        if source.exists():
            fastip.io.check_write(target)
        return [(source, target)]
    found = sorted(
        p
        for p in source.iterdir()
        if p.is_file() and p.suffix.lower() in fastip.io.SUFFIXES and not p.name.startswith(".")
    )
    if not found:
        raise InvalidInput(
            f"the folder {source} holds no image; expected files ending in {', '.join(fastip.io.SUFFIXES)}"
        )
    if same_place(output, source):
        raise InvalidInput(f"the output folder {output} is the input folder; choose another one")
    try:
        output.mkdir(exist_ok=True)
    except FileNotFoundError:
        raise InvalidInput(
            f"the folder {output.parent} does not exist, so {output.name} cannot be made in it; create it first"
        ) from None
    except OSError as error:
        raise InvalidInput(
            f"the output {output} cannot be used as a folder: {error.strerror}; {source} is a folder, so give a folder"
        ) from error
    return [(p, output / p.name) for p in found]


def _restore_file(read: Path, write: Path, settings: Settings, figure: Path | None) -> str:
    """Restore one file, page by page, and say what was done."""
    start = time.perf_counter()
    pages = settings.task.pages(read)
    if pages > 1 and figure is not None:
        raise InvalidInput(f"--figure {figure} draws one image and {read} has {pages} pages; restore that page alone")
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
    took = f"{sum(told.iterations for told in done)} iterations, {time.perf_counter() - start:.1f} s{ended}"
    return f"{write}  {f'{pages} pages, ' if pages > 1 else ''}{sizes}, {settings.words()}, {took}"


@dataclasses.dataclass(frozen=True)
class _Told:
    """What is said of a page."""

    sizes: str
    iterations: int
    ended: str


@dataclasses.dataclass(frozen=True)
class _Page:
    y: Tensor
    x: Tensor
    kind: fastip.io.Kind
    problem: fastip.tasks.Problem
    solution: Solution
    light: Light

    @property
    def told(self) -> _Told:
        y, x = self.y, self.x
        given = f"{y.shape[3]} × {y.shape[2]}" if y.ndim == 4 else f"{y.shape[1]} numbers"
        ended = str(self.solution.status).partition(":")[0] if self.problem.tolerance > 0 else ""
        return _Told(f"{given} -> {x.shape[3]} × {x.shape[2]}{self.light.words}", self.solution.iterations, ended)

    def draw(self, figure: Path, settings: Settings) -> None:
        shown = self.light.read.encode(self.y) if self.y.ndim == 4 else self.problem.op.adjoint(self.y)
        fastip.figures.restoration(
            *(figure, shown, self.x, self.solution),
            name=settings.task.name,
            settings=f"{self.solution.iterations} iterations",
        )


def _restored(read: Path, write: Path, settings: Settings, number: int | None, label: str) -> _Page:
    """One page, after it is known that the file to write can hold what it becomes."""
    y, kind = settings.task.read(read, page=number, **settings.reading)
    problem, s = settings.problem(kind.depth), settings.task.stride
    _, channels, h, w = problem.op.input_shape(tuple(y.shape))
    cut = (s * y.shape[2], s * y.shape[3]) if settings.crop and y.ndim == 4 else None
    fastip.io.check_write(write, channels=channels, like=kind, size=cut or (h, w))
    light = light_of(settings.linear, kind, write)
    y = light.read.decode(y)
    with _progress() as progress:
        job = progress.add_task(label, total=problem.iterations)
        solution = problem.solve(y, report=lambda done: progress.update(job, completed=done))
    if solution.status is fastip.Status.UNSTABLE:
        raise InvalidInput(f"{read} was not restored: {solution.status}")
    x = fastip.tasks.crop_valid(solution.x, problem.op, cut) if cut else solution.x
    return _Page(y, light.written.encode(x), kind, problem, solution, light)


def _progress() -> Progress:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("iterations"),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=err, transient=True, disable=not err.is_terminal)
