"""The command line: fastip restore | degrade | serve | tasks | demo | bench | train | data | experiment | info."""

from __future__ import annotations

import io
import logging
import os
import platform
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

import fastip

from ..errors import InvalidInput
from . import data, degrade, experiment, restore, serve, train
from .console import complain, err, lost, out, plainly

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # what lays a help out in boxes takes 0.1 to 0.2 s of processor time to load
    pretty_exceptions_show_locals=False,
    help="Solve linear inverse problems in imaging.",
)


def main() -> None:
    """The entry point of the ``fastip`` command."""
    if sys.stdout is None:  # the first file to be opened would get its number, and what is printed
        complain("the standard output is closed; open it, or send it elsewhere: > /dev/null")
        sys.exit(2)
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # file names may hold what no encoding has
    # Before torch is loaded: threads that wait give their processor away. Beside two busy programs on two cores a
    # deblur took 4.5 s so and 14 to 26 s else, alone 2.3 s both ways.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    _quieten_decoders()
    try:
        app(prog_name="fastip")
    except OSError as error:  # of the help and the version, which typer prints
        complain(lost(error))
        sys.exit(2)


def _quieten_decoders() -> None:
    """What decoders have to say about a damaged file is not shown: the file is refused in one line, or read."""
    logging.getLogger("tifffile").addHandler(logging.NullHandler())
    warnings.filterwarnings("ignore", module=r"PIL\.")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"fastip {fastip.__version__}")
        raise typer.Exit


@app.callback()
def callback(
    version: Annotated[
        bool, typer.Option("--version", help="Say the version and leave.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Take the options that stand before a command."""


app.command()(plainly(restore.restore))
app.command()(plainly(degrade.degrade))
app.command()(plainly(serve.serve))


@app.command("tasks")
@plainly
def list_tasks() -> None:
    """List the tasks, what they choose by default, and how well they restore where it was measured."""
    from rich.table import Table

    record = fastip.tasks.quality()
    table = Table()
    for heading in ("task", "what it does, with which prior" + (", and how well" if record.tasks else "")):
        table.add_column(heading, overflow="fold")  # a narrow terminal cuts nothing off
    for task in map(fastip.tasks.get, fastip.tasks.names()):
        how = [task.prior_text, *_measured(record.tasks.get(task.name))]
        table.add_row(task.name, f"{task.summary}; {task.data_text}\n{', '.join(how)}")
    out.print(table)
    said = [
        f"{word} {text}"
        for word, text in (("on", "; ".join(record.machines)), ("by", "; ".join(record.commands)))
        if text
    ]
    if record.tasks:
        out.print(" ".join(["Means over the test pictures, measured", *said]))
    out.print("Any other operator, in Python:")
    for name in fastip.shipped.RESTORERS:
        out.print(f'  x = fastip.shipped.restorer("{name}").solve(y, op).x', soft_wrap=True)


def _measured(quality: fastip.tasks.Quality | None) -> Iterator[str]:
    """PSNR beside the baseline's, and SSIM, as they are shown; nothing where they were not measured."""
    if quality is not None and quality.psnr is not None:
        simple, name = quality.baseline_psnr, quality.baseline or "baseline"
        baseline = "" if simple is None else f" ({name} {simple:.2f})"
        yield f"PSNR {quality.psnr:.2f} dB{baseline}"
    if quality is not None and quality.ssim is not None:
        yield f"SSIM {quality.ssim:.3f}"


@app.command("demo")
@plainly
def run_demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The folder for demo.png, made if it is missing.")
    ] = Path("."),
) -> None:
    """Restore three photographs, print PSNR and time against the baselines, and draw one figure."""
    import torch
    from rich.table import Table
    from rich.text import Text

    from . import demo

    try:
        output.mkdir(exist_ok=True)
    except OSError as error:
        raise InvalidInput(f"the folder {output} cannot be made: {error.strerror}; choose another one") from None
    path = fastip.figures.check_figure(output / "demo.png")
    table = Table("scene", "method", "PSNR", "time", "iterations", title=f"{torch.get_num_threads()} threads")
    results = []
    for scene in demo.scenes():
        with err.status(Text(f"{scene.title}: {scene.photograph}")):
            results.append(demo.restore(scene))
        for run in results[-1].runs:
            style = "bold" if run is results[-1].runs[-1] else ""
            table.add_row(
                scene.title,
                run.method,
                f"{run.psnr:.2f} dB",
                f"{run.seconds:.3f} s",
                str(run.iterations or ""),
                style=style,
            )
        table.add_section()
    demo.draw(path, results)
    out.print(table)
    out.print("learned: the restorer, one network for all; TV: total variation; both estimate the noise.")
    out.print(f"figure: {path}", soft_wrap=True)


@app.command()
@plainly
def bench(
    size: Annotated[
        int | None, typer.Option(help="Time 3 x SIZE x SIZE pixels instead of the whole benchmark.", show_default=False)
    ] = None,
    iterations: Annotated[int, typer.Option(help="ADMM iterations in each timed solve.")] = 30,
) -> None:
    """Time the solver: the benchmarks of the repository where they are at hand, else a short comparison."""
    folder = Path(__file__).resolve().parents[2] / "bench"
    if size is None and list(folder.glob("bench_*.py")):
        python = [sys.executable, *(["-P"] if sys.version_info >= (3, 11) else [])]  # Python 3.10 has no -P
        raise typer.Exit(subprocess.call([*python, "-m", "pytest", str(folder), "--benchmark-only"], cwd=folder.parent))
    import torch
    from rich.table import Table

    from . import demo

    size = 512 if size is None else size
    rows = demo.benchmark(size=size, iterations=iterations)
    problem = f"× 4, 9 × 9 Gaussian, L1, 3 × {size} × {size}"
    table = Table(
        "data step",
        "ms an iteration",
        title=f"{problem}, {iterations} iterations, {torch.get_num_threads()} threads",
    )
    for name, milliseconds in rows:
        table.add_row(name, f"{milliseconds:.3f}")
    out.print(table)


app.command("experiment")(plainly(experiment.experiment))
app.add_typer(train.app, name="train")
app.add_typer(data.app, name="data")


@app.command()
@plainly
def info() -> None:
    """Say what this installation is and what it can run."""
    import torch
    from rich.table import Table

    table = Table(show_header=False, box=None)
    for _ in range(2):
        table.add_column(overflow="fold")
    table.add_row("fastip", fastip.__version__)
    table.add_row("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    table.add_row("torch", f"{torch.__version__}, {torch.get_num_threads()} threads")
    for name, value in fastip.kernels.available().items():
        table.add_row(name, ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value))
    out.print(table)
