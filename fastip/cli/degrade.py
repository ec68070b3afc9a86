"""The command ``fastip degrade``: the data that a task restores, made from an image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import fastip

from ..errors import InvalidInput, closest
from .choices import BOUNDARY, PSF, TASKS
from .console import out
from .light import check_linear, light_of
from .options import MAX_PIXELS, Linear, MaxPixels, Range, reading, same_place
from .psf_file import Background, Centre, read_given

if TYPE_CHECKING:
    from torch import Tensor


def degrade(
    source: Annotated[
        Path, typer.Argument(metavar="INPUT", help="An image (PNG, JPEG, TIFF, NPY, ...).", show_default=False)
    ],
    task: Annotated[
        str, typer.Option(help="The task whose data are made; 'fastip tasks' lists them.", show_default=False)
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="The image to write, or an NPY file for measurements.", show_default=False),
    ],
    psf: Annotated[str | None, typer.Option(help=PSF, show_default=False)] = None,
    psf_background: Background = None,
    psf_centre: Centre = False,
    boundary: Annotated[str | None, typer.Option(help=BOUNDARY, show_default=False)] = None,
    noise: Annotated[
        float | None,
        typer.Option(help="Standard deviation of the noise; by default that of the task.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the noise.")] = 0,
    linear: Linear = False,
    value_range: Range = None,
    max_pixels: MaxPixels = MAX_PIXELS,
) -> None:
    """Make what a camera would have given: blur, sample or measure an image as a task expects it, and add noise."""
    closest(task, TASKS, "task")
    chosen = fastip.tasks.get(task)
    check_linear(linear, chosen)
    if same_place(output, source):
        raise InvalidInput(f"the output {output} is the input itself; choose another name")
    import torch

    from ..arrays import check_count, check_number

    if check_count(seed, "--seed", low=0) >= 2**63:
        raise InvalidInput(f"--seed is {seed}; expected less than 2^63")
    options = reading(value_range, max_pixels)
    problem = chosen.problem(psf=read_given(psf, psf_background, psf_centre), boundary=boundary)
    pages, sizes = fastip.io.count_pages(source), []
    level = problem.noise or 0.0 if noise is None else check_number(noise, "noise", low=0.0)
    generator = torch.Generator().manual_seed(seed)

    def degraded(page: int | None) -> tuple[Tensor, fastip.io.Kind]:
        x, kind = fastip.io.read_image(source, page=page, **options)
        shape = problem.op.output_shape(tuple(x.shape))
        if len(shape) == 4:
            fastip.io.check_write(output, channels=shape[1], like=kind, size=(shape[2], shape[3]))
        elif pages > 1:
            raise InvalidInput(f"{source} has {pages} pages, and measurements are those of one image: split it first")
        light = light_of(linear, kind, output)
        y = light.written.encode(fastip.data.degrade(light.read.decode(x), problem.op, level, generator=generator))
        size = f"{y.shape[3]} × {y.shape[2]}" if y.ndim == 4 else f"{y.shape[1]} numbers"
        sizes.append(f"{x.shape[3]} × {x.shape[2]} -> {size}{light.words}")
        return y, kind

    if pages > 1:
        fastip.io.write_pages(output, map(degraded, range(pages)), count=pages)
    else:
        y, kind = degraded(None)
        if y.ndim == 4:
            fastip.io.write_image(output, y, like=kind)
        else:
            fastip.io.write_vector(output, y)
    many = f"{pages} pages, " if pages > 1 else ""
    made_by = chosen.data_text if psf is None else f"psf {psf}"
    out.print(f"{output}  {many}{', '.join(dict.fromkeys(sizes))}, {chosen.name}, {made_by}", soft_wrap=True)
