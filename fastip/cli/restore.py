"""The command ``fastip restore``: an image, or every image of a folder."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

import fastip

from ..errors import FastipError, InvalidInput, closest
from .choices import BOUNDARY, INVERSES, PRIORS, PSF, TASKS
from .console import complain, out
from .light import check_linear
from .options import (
    MAX_PIXELS,
    Clipped,
    Factor,
    Like,
    Linear,
    Mask,
    MaxPixels,
    Method,
    Range,
    clipped_pixels,
    noise_level,
    reading,
    same_place,
)
from .psf_file import AUTO, Background, Centre, automatic, read_given
from .restoring import Settings, restore_file


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
    psf: Annotated[
        str | None, typer.Option(help=f"{PSF[:-1]}; {' or '.join(AUTO)}: estimated.", show_default=False)
    ] = None,
    psf_background: Background = None,
    psf_centre: Centre = False,
    prior: Annotated[str | None, typer.Option(help=f"One of {', '.join(PRIORS)}.", show_default=False)] = None,
    weight: Annotated[
        float | None,
        typer.Option(
            help="Weight of the prior: larger is smoother; by default it follows the noise.", show_default=False
        ),
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
    factor: Factor = None,
    method: Method = None,
    like: Like = None,
    mask: Mask = None,
    noise: Annotated[
        str | None,
        typer.Option(
            metavar="LEVEL",
            help="Standard deviation of the noise in units of [0, 1], e.g. 0.01 or 2.55/255; estimated by default.",
            show_default=False,
        ),
    ] = None,
    clipped: Clipped = None,
    inverse: Annotated[str | None, typer.Option(help=f"One of {', '.join(INVERSES)}.", show_default=False)] = None,
    memory: Annotated[
        str | None,
        typer.Option(help="What a task with a network may take, e.g. 800MB (2GB by default).", show_default=False),
    ] = None,
    crop: Annotated[
        bool, typer.Option("--crop/--no-crop", help="With natural and valid: cut off what lies outside the input.")
    ] = True,
    linear: Linear = False,
    value_range: Range = None,
    max_pixels: MaxPixels = MAX_PIXELS,
    figure: Annotated[
        Path | None, typer.Option(help="Also draw input, result and residuals (one image only).", show_default=False)
    ] = None,
    psf_figure: Annotated[
        Path | None,
        typer.Option(
            help="Also draw the search of an estimated psf, clear or not (one image only).", show_default=False
        ),
    ] = None,
) -> None:
    """Restore an image, or every image of a folder."""
    for given, known, what in ((task, TASKS, "task"), (prior, PRIORS, "prior"), (inverse, INVERSES, "inverse")):
        if given is not None:
            closest(given, known, what)
    chosen = fastip.tasks.get(task)
    kind = automatic(psf, psf_background, psf_centre, chosen)
    taps = fastip.psf.delta() if kind else read_given(psf, psf_background, psf_centre)  # of each picture its own, later
    numbers: dict[str, Any] = {"weight": weight, "beta": beta, "iterations": iterations, "tolerance": tolerance}
    made: dict[str, Any] = {
        "psf": taps,
        "boundary": boundary,
        "factor": factor,
        "method": method,
        "like": like,
        "crop": crop,
    }
    numbers |= {"noise": noise_level(noise), "mask": None if mask is None else fastip.tasks.read_mask(mask)}
    choice = fastip.tasks.Choice(prior=prior, inverse=inverse, memory=memory, **numbers, **made)
    limit = chosen.usual_clipped(choice) if clipped is None else clipped_pixels(clipped)
    choice = choice.but({"clipped": limit})
    settings = Settings(chosen, psf, choice, linear, reading(value_range, max_pixels), kind, psf_figure)
    check_linear(linear, chosen)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        chosen.check(choice)  # bad options are refused before any file is read, which will have its own warnings
    pairs = _pairs(source, output)
    _check_figures(source, figure, psf_figure, kind)
    failed = 0
    for read, write in pairs:
        try:
            told = restore_file(read, write, settings, figure)
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


def _check_figures(source: Path, figure: Path | None, search: Path | None, kind: str | None) -> None:
    """Refuse figures of a folder, and that of a search where nothing is searched."""
    if search is not None and kind is None:
        raise InvalidInput(f"--psf-figure {search} draws a search; expected --psf {' or '.join(AUTO)} with it")
    for option, drawn in (("--figure", figure), ("--psf-figure", search)):
        if drawn is not None and source.is_dir():
            raise InvalidInput(f"{option} {drawn} draws one image and {source} is a folder; restore that image alone")
        if drawn is not None:
            fastip.figures.check_figure(drawn)


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
