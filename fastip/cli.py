"""The command line: fastip restore | tasks | demo | bench | train | experiment | info."""

from __future__ import annotations

import dataclasses
import functools
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import torch
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from . import __version__, cli_data, cli_experiment, cli_train, demo, figures, io, kernels, tasks
from .contracts import Solution, Status
from .errors import FastipError, InvalidInput

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False, help="Restore images: super-resolution and deblurring.")
out, err = Console(highlight=False), Console(stderr=True, highlight=False)

Command = TypeVar("Command", bound=Callable[..., Any])


def main() -> None:
    """The entry point of the ``fastip`` command."""
    app(prog_name="fastip")


def _complain(error: FastipError | str) -> None:
    err.print(f"error: {error}", style="red", markup=False, emoji=False, soft_wrap=True)


def _plainly(command: Command) -> Command:
    """Errors of the family become one red line and exit code 2."""

    @functools.wraps(command)
    def checked(*args: Any, **options: Any) -> Any:
        try:
            return command(*args, **options)
        except FastipError as error:
            _complain(error)
            raise typer.Exit(2) from None

    return checked  # type: ignore[return-value]


# ---- restore ---------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Settings:
    """What was asked for on the command line; None leaves the choice to the task."""

    task: tasks.Task
    psf: torch.Tensor | None
    boundary: str | None
    prior: str | None
    weight: float | None
    beta: float | None
    inverse: str | None
    iterations: int | None
    tolerance: float | None
    crop: bool

    def problem(self, depth: str) -> tasks.Problem:
        """The problem for files of this depth: integers are held to [0, 1], floats are not."""
        return self.task.problem(
            psf=self.psf,
            boundary=self.boundary,
            prior=self.prior,
            weight=self.weight,
            beta=self.beta,
            inverse=self.inverse,
            iterations=self.iterations,
            tolerance=self.tolerance,
            bounded=depth != "float32",
        )


@app.command()
@_plainly
def restore(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="An image (PNG, JPEG, TIFF, NPY) or a folder of images.", show_default=False)],
    task: Annotated[str, typer.Option(help="What to do: sr4, sr2 or deblur; see 'fastip tasks'.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="The image to write, or a folder: names are kept.", show_default=False)],
    psf: Annotated[str | None, typer.Option(help="gaussian:9:1.6, motion:9:45, disk:7:3 or an image file.", show_default=False)] = None,
    prior: Annotated[str | None, typer.Option(help=f"One of {', '.join(tasks.PRIORS)}.", show_default=False)] = None,
    weight: Annotated[float | None, typer.Option(help="Weight of the prior: larger is smoother.", show_default=False)] = None,
    beta: Annotated[float | None, typer.Option(help="Penalty of the splitting: changes the speed, not the answer.", show_default=False)] = None,
    iterations: Annotated[int | None, typer.Option(help="Iterations at most.", show_default=False)] = None,
    tolerance: Annotated[float | None, typer.Option(help="Stop when both residuals are below it; 0: never.", show_default=False)] = None,
    boundary: Annotated[str | None, typer.Option(help="circular, reflect, zero or valid.", show_default=False)] = None,
    inverse: Annotated[str | None, typer.Option(help=f"One of {', '.join(tasks.INVERSES)}.", show_default=False)] = None,
    crop: Annotated[bool, typer.Option("--crop/--no-crop", help="With valid: cut off what lies outside the input.")] = True,
    figure: Annotated[Path | None, typer.Option(help="Also draw input, result and residuals (one image only).", show_default=False)] = None,
) -> None:
    """Restore an image, or every image of a folder."""
    chosen = tasks.get(task)
    taps = None if psf is None else tasks.read_psf(psf)
    settings = Settings(chosen, taps, boundary, prior, weight, beta, inverse, iterations, tolerance, crop)
    settings.problem("uint8")  # refuse bad options before any file is read
    pairs = _pairs(source, output)
    if figure is not None and source.is_dir():
        raise InvalidInput(f"--figure {figure} draws one image and {source} is a folder; restore that image alone")
    if figure is not None:
        figures.check_figure(figure)
    failed = 0
    for read, write in pairs:
        try:
            _restore_file(read, write, settings, figure)
        except FastipError as error:
            if not source.is_dir():
                raise
            failed += 1
            _complain(error if str(read) in str(error) else f"{read}: {error}")
    if failed:
        _complain(f"{failed} of {len(pairs)} files could not be restored")
        raise typer.Exit(1)


def _pairs(source: Path, output: Path) -> list[tuple[Path, Path]]:
    """(file to read, file to write) for one image or for each image of a folder."""
    if not source.is_dir():
        target = output / source.name if output.is_dir() else output
        if target.resolve() == source.resolve():
            raise InvalidInput(f"the output {target} is the input itself; choose another name")
        if source.exists():
            io.check_write(target)
        return [(source, target)]
    found = sorted(p for p in source.iterdir() if p.is_file() and p.suffix.lower() in io.SUFFIXES and not p.name.startswith("."))
    if not found:
        raise InvalidInput(f"the folder {source} holds no image; expected files ending in {', '.join(io.SUFFIXES)}")
    if output.resolve() == source.resolve():
        raise InvalidInput(f"the output folder {output} is the input folder; choose another one")
    try:
        output.mkdir(exist_ok=True)
    except FileNotFoundError:
        raise InvalidInput(f"the folder {output.parent} does not exist, so {output.name} cannot be made in it; create it first") from None
    except OSError as error:
        raise InvalidInput(f"the output {output} cannot be used as a folder: {error.strerror}; {source} is a folder, so give a folder") from error
    return [(p, output / p.name) for p in found]


def _restore_file(read: Path, write: Path, settings: Settings, figure: Path | None) -> None:
    start = time.perf_counter()
    y, kind = io.read_image(read)
    io.check_write(write, channels=y.shape[1])
    problem = settings.problem(kind.depth)
    with _progress() as progress:
        job = progress.add_task(read.name, total=problem.iterations)
        solution = problem.solve(y, report=lambda done: progress.update(job, completed=done))
        if solution.status is Status.UNSTABLE:
            raise InvalidInput(f"{read} was not restored: {solution.status}")
        x, s = solution.x, settings.task.stride
        if settings.crop:
            x = tasks.crop_valid(x, problem.op, (s * y.shape[2], s * y.shape[3]))
        io.write_image(write, x, like=kind)
        if figure is not None:
            figures.restoration(figure, y, x, solution, name=settings.task.name, settings=f"{solution.iterations} iterations")
    _tell(write, y, x, solution, time.perf_counter() - start)


def _progress() -> Progress:
    columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("iterations"), TimeElapsedColumn()
    return Progress(*columns, console=err, transient=True, disable=not err.is_terminal)


def _tell(write: Path, y: torch.Tensor, x: torch.Tensor, solution: Solution, seconds: float) -> None:
    sizes = f"{y.shape[3]} × {y.shape[2]} -> {x.shape[3]} × {x.shape[2]}"
    status = f"{solution.iterations} iterations, {seconds:.1f} s, {str(solution.status).partition(':')[0]}"
    out.print(f"{write}  {sizes}, {status}", markup=False, soft_wrap=True)


# ---- the other commands ----------------------------------------------------------------------------------------------


@app.command("tasks")
def list_tasks() -> None:
    """List the tasks and what they choose by default."""
    table = Table()
    for heading in ("task", "what it does", "psf", "prior", "boundary", "beta"):
        table.add_column(heading, no_wrap=heading in ("task", "psf"))
    for task in map(tasks.get, tasks.names()):
        prior = f"{task.prior} {task.weights[task.prior]:g}"
        table.add_row(task.name, task.summary, task.psf or "to be given", prior, task.boundary, f"{task.beta:g}")
    out.print(table)


@app.command("demo")
@_plainly
def run_demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder for demo.png, made if it is missing.")] = Path("."),
) -> None:
    """Restore two photographs, print PSNR and time against the baselines, and draw one figure."""
    try:
        output.mkdir(exist_ok=True)
    except OSError as error:
        raise InvalidInput(f"the folder {output} cannot be made: {error.strerror}; choose another one") from None
    path = figures.check_figure(output / "demo.png")
    table = Table("scene", "method", "PSNR", "time", "iterations", title=f"noise {demo.NOISE}, float32, {torch.get_num_threads()} threads")
    results = []
    for scene in demo.scenes():
        with err.status(f"{scene.title}: {scene.photograph}"):
            results.append(demo.restore(scene))
        for run in results[-1].runs:
            seconds = "" if run.method == "input" else f"{run.seconds:.3f} s"
            style = "bold" if run.method == "fastip" else ""
            table.add_row(f"{scene.title}, {scene.photograph}", run.method, f"{run.psnr:.2f} dB", seconds, str(run.iterations or ""), style=style)
        table.add_section()
    demo.draw(path, results)
    out.print(table)
    out.print("CG-ADMM: the same loop, prior, beta and iterations with conjugate gradients (to 1e-5, warm-started) inside.")
    out.print(f"figure: {path}", markup=False, soft_wrap=True)


@app.command()
@_plainly
def bench(
    size: Annotated[int | None, typer.Option(help="Time 3 x SIZE x SIZE pixels instead of the whole benchmark.", show_default=False)] = None,
    iterations: Annotated[int, typer.Option(help="ADMM iterations in each timed solve.")] = 30,
) -> None:
    """Time the solver: the benchmarks of the repository where they are at hand, else a short comparison."""
    folder = Path(__file__).resolve().parents[1] / "bench"
    if size is None and list(folder.glob("bench_*.py")):
        raise typer.Exit(subprocess.call([sys.executable, "-P", "-m", "pytest", str(folder), "--benchmark-only"], cwd=folder.parent))
    size = 512 if size is None else size
    rows = demo.benchmark(size=size, iterations=iterations)
    table = Table(
        "data step", "ms an iteration", title=f"× 4, 9 × 9 Gaussian, L1, 3 × {size} × {size}, {iterations} iterations, {torch.get_num_threads()} threads"
    )
    for name, milliseconds in rows:
        table.add_row(name, f"{milliseconds:.3f}")
    out.print(table)


app.command("experiment")(_plainly(cli_experiment.experiment))
app.add_typer(cli_train.app(_plainly), name="train")
app.add_typer(cli_data.app(_plainly), name="data")


@app.command()
@_plainly
def info() -> None:
    """Say what this installation is and what it can run."""
    table = Table(show_header=False, box=None)
    table.add_row("fastip", __version__)
    table.add_row("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    table.add_row("torch", f"{torch.__version__}, {torch.get_num_threads()} threads")
    for name, value in kernels.available().items():
        table.add_row(name, ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value))
    out.print(table)
