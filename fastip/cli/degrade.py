"""The command ``fastip degrade``: the data that a task restores, made from an image."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import fastip

from ..errors import InvalidInput, closest
from .choices import BOUNDARY, PSF, TASKS
from .console import out
from .light import check_linear, light_of
from .options import MAX_PIXELS, Factor, Like, Linear, Mask, MaxPixels, Method, Range, noise_level, reading, same_place
from .psf_file import Background, Centre, read_given

if TYPE_CHECKING:
    from torch import Tensor

    from ..contracts import LinearOperator


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
    factor: Factor = None,
    method: Method = None,
    like: Like = None,
    mask: Mask = None,
    noise: Annotated[
        str | None,
        typer.Option(
            metavar="LEVEL",
            help="Standard deviation of the noise in units of [0, 1], e.g. 0.01 or 2.55/255; by default that of the "
            "task, or none.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the noise.")] = 0,
    linear: Linear = False,
    value_range: Range = None,
    max_pixels: MaxPixels = MAX_PIXELS,
) -> None:
    """Make what a camera would have given: blur, sample, hide or measure an image as a task expects it, and add noise.

    With a natural or a valid border the data show a window of the image, whose rim they see in part only.
    """
    closest(task, TASKS, "task")
    chosen = fastip.tasks.get(task)
    check_linear(linear, chosen)
    if same_place(output, source):
        raise InvalidInput(f"the output {output} is the input itself; choose another name")
    import torch

    from ..arrays import check_count

    if check_count(seed, "--seed", low=0) >= 2**63:
        raise InvalidInput(f"--seed is {seed}; expected less than 2^63")
    options = reading(value_range, max_pixels)
    level = noise_level(noise)
    made: dict[str, Any] = {"boundary": boundary, "factor": factor, "method": method, "like": like}
    made |= {"mask": None if mask is None else fastip.tasks.read_mask(mask)}
    choice = fastip.tasks.Choice(psf=read_given(psf, psf_background, psf_centre), **made)
    problem = chosen.problem(choice)
    pages, sizes = fastip.io.count_pages(source), []
    level = problem.noise or 0.0 if level is None else level
    generator = torch.Generator().manual_seed(seed)

    def degraded(page: int | None) -> tuple[Tensor, fastip.io.Kind]:
        x, kind = fastip.io.read_image(source, page=page, **options)
        x, kind, window = _window(x, kind, problem.op)
        shape = problem.op.output_shape(tuple(x.shape))
        if len(shape) == 4:
            fastip.io.check_write(output, channels=shape[1], like=kind, size=(shape[2], shape[3]))
        elif pages > 1:
            raise InvalidInput(f"{source} has {pages} pages, and measurements are those of one image: split it first")
        light = light_of(linear, kind, output)
        y = light.written.encode(fastip.data.degrade(light.read.decode(x), problem.op, level, generator=generator))
        size = f"{y.shape[3]} × {y.shape[2]}" if y.ndim == 4 else f"{y.shape[1]} numbers"
        sizes.append(f"{x.shape[3]} × {x.shape[2]} -> {size}{window}{light.words}")
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
    by = f", {chosen.data_text}" if isinstance(chosen, fastip.tasks.MeasuredTask) else ""
    told = f"{', '.join(dict.fromkeys(sizes))}, {chosen.words(choice, psf)}{by}"
    out.print(f"{output}  {many}{told}", soft_wrap=True)


def _window(x: Tensor, kind: fastip.io.Kind, op: LinearOperator) -> tuple[Tensor, fastip.io.Kind, str]:
    """What of the image the operator takes, the kind of the data under it, and which part of it they show."""
    x = fastip.tasks.fitted(x, op)
    shape, convolution = tuple(x.shape), op.convolution()
    if convolution is None or convolution.boundary != "valid":
        return x, kind, ""
    h, w = fastip.tasks.under_data(x, op, op.output_shape(shape)).shape[2:]
    top, left = (k - 1 - k // 2 for k in convolution.psf.shape)
    rows, columns = slice(top, top + h), slice(left, left + w)
    alpha = None if kind.alpha is None else kind.alpha[rows, columns]
    told = f" (rows {top} to {top + h - 1}, columns {left} to {left + w - 1})"
    return x, dataclasses.replace(kind, alpha=alpha), told
