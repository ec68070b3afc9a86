"""What the workers of ``fastip serve`` do: the commands restore and degrade, and the pictures that a browser shows."""

from __future__ import annotations

import contextlib
import dataclasses
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fastip

from ..errors import FastipError, InvalidInput
from ..web.choices import EXAMPLES, SEARCH, Example, Look, Ready, Restore, Restored, Seen, Warm, result_name
from .choices import METHODS, PROGRAMS

if TYPE_CHECKING:
    from torch import Tensor

SHOWN = 2048  # pixels a side of a preview: more is not seen on a page, and takes seconds to pack
HOLE = (0.82, 0.29, 0.36)  # the colour in which a preview shows what is missing
SIDE = 512  # pixels of the middle of a photograph that make an example
# By degrade: what the example of each photograph has gone through.
MADE: dict[str, dict[str, Any]] = {
    "astronaut": {"task": "upscale", "factor": 4.0},
    "coffee": {"task": "deblur", "psf": "disk:9:4", "noise": "2/255"},
    "chelsea": {"task": "deblur", "psf": "motion:15:30", "noise": "2/255"},
    "rocket": {"task": "denoise", "noise": "25/255"},
}


def job(asked: Any) -> Any:
    """Answer what the page asks.

    Args:
        asked: One of the requests of :mod:`fastip.web.choices`.

    Returns:
        Its answer.

    Raises:
        FastipError: With the sentence for the user.
    """
    answer: dict[type, Callable[[Any], Any]] = {Warm: _warm, Look: _seen, Restore: _restored, Example: _example}
    try:
        return answer[type(asked)](asked)
    except FastipError as error:
        raise InvalidInput(_named(str(error), asked)) from error.__context__


def _named(text: str, asked: Any) -> str:
    """The text with the names of files alone: the user knows no folders."""
    values = vars(asked)
    for value in (*values.values(), *values.get("options", {}).values()):
        if isinstance(value, Path):
            text = text.replace(f"{value}/", "").replace(f"{value.parent}/", "")
    return text


def _warm(asked: Warm) -> Ready:
    import torch

    from . import degrade, restore  # noqa: F401 (loaded once, for all that follow)

    torch.set_num_threads(max(1, torch.get_num_threads() // asked.workers))
    there = []
    for name in EXAMPLES:
        with contextlib.suppress(FastipError):  # the package is not installed
            fastip.data.held_out_photographs((name,))
            there.append(name)
    return Ready(tuple(there), tuple(fastip.io.SUFFIXES), METHODS, PROGRAMS)


def _read(picture: Path, max_pixels: int) -> tuple[Tensor, fastip.io.Kind]:
    pages = fastip.io.count_pages(picture)
    if pages > 1:
        raise InvalidInput(
            f"{picture.name} has {pages} pages; expected one picture: save that page alone, or use fastip restore"
        )
    return fastip.io.read_image(picture, max_pixels=max_pixels)


def _seen(asked: Look) -> Seen:
    x, kind = _read(asked.picture, asked.max_pixels)
    bits = {"uint8": "8 bits", "uint16": "16 bits"}.get(kind.depth, "floating point")
    colours = {1: "grey", 3: "colour"}.get(x.shape[1], f"{x.shape[1]} channels")
    preview = asked.folder / "preview.png"
    _show(preview, _coloured(x, _holes(kind, None)))
    holes = ", with transparent pixels" if kind.alpha is not None else ""
    return Seen(preview, f"{x.shape[3]} × {x.shape[2]} pixels, {colours}, {bits}{holes}")


def _restored(asked: Restore) -> Restored:
    from .restore import restore

    x, kind = _read(asked.picture, asked.max_pixels)
    factor = asked.options.get("factor", 1.0)
    if (pixels := round(x.shape[2] * factor) * round(x.shape[3] * factor)) > asked.max_pixels:
        raise InvalidInput(
            f"the result would have {pixels} pixels; expected at most {asked.max_pixels}: "
            "choose a smaller factor or picture, or start fastip serve with a larger --max-pixels"
        )
    mask = asked.options.get("mask")
    if mask is not None:
        fastip.io.read_image(mask, max_pixels=asked.max_pixels)  # or the command would read one of any size
    result = asked.folder / result_name(asked.picture.name)
    search = asked.folder / SEARCH if str(asked.options.get("psf")).startswith("auto:") else None
    with _heard() as (told, warned):
        restore(asked.picture, output=result, max_pixels=asked.max_pixels, psf_figure=search, **asked.options)
    shown, _ = fastip.io.read_image(result, max_pixels=2 * asked.max_pixels)
    before, after = asked.folder / "before.png", asked.folder / "after.png"
    shape = _show(after, _coloured(shown, None))
    _show(before, _coloured(x, _holes(kind, mask)), shape)
    said = told.getvalue().strip().removeprefix(f"{result}  ")
    warnings = [line.removeprefix("warning: ") for line in warned.getvalue().splitlines() if line.startswith("warning")]
    return Restored(result, before, after, said, [_named(line, asked) for line in warnings])


@contextlib.contextmanager
def _heard() -> Iterator[tuple[io.StringIO, io.StringIO]]:
    """What is printed inside, and what is said on the standard error."""
    told, warned = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(warned):
        yield told, warned


def _holes(kind: fastip.io.Kind, mask: Path | None) -> Tensor | None:
    """Where the picture is not known, h w."""
    import torch

    if mask is not None:
        return fastip.tasks.read_mask(mask)[0, 0] < 0.5
    if kind.alpha is None:
        return None
    white = {"uint8": 255.0, "uint16": 65535.0}.get(kind.depth, kind.opaque)
    return torch.from_numpy(kind.alpha.astype("float32")) / white < 0.5


def _coloured(x: Tensor, holes: Tensor | None) -> Tensor:
    """1 3 h w or 1 1 h w in [0, 1], holes in a colour of their own."""
    x = (x if x.shape[1] in (1, 3) else x[:, :1]).clamp(0, 1)
    if holes is None or not holes.any() or holes.shape != x.shape[2:]:
        return x
    return x.expand(-1, 3, -1, -1).where(~holes, x.new_tensor(HOLE)[:, None, None])


def _show(path: Path, x: Tensor, shape: tuple[int, int] | None = None) -> tuple[int, int]:
    """Write a preview, of this height and width where they are given; returns them."""
    from torch.nn.functional import interpolate

    h, w = x.shape[2:]
    if shape is None:
        by = min(1.0, SHOWN / max(h, w))
        shape = max(1, round(h * by)), max(1, round(w * by))
    if shape != (h, w):
        x = interpolate(x, size=shape, mode="bicubic", antialias=True).clamp(0, 1)
    fastip.io.write_image(path, x)
    return shape


def _example(asked: Example) -> Path:
    from .degrade import degrade

    x = fastip.data.held_out_photographs((asked.name,))[asked.name]
    x = fastip.data.centre(x, min(SIDE, *x.shape[2:]))
    path = asked.folder / f"{asked.name}.png"
    if asked.name not in MADE:
        fastip.io.write_image(path, x, like=dataclasses.replace(fastip.io.Kind(), alpha=_scratches(*x.shape[2:])))
        return path
    source = asked.folder / "source.png"
    fastip.io.write_image(source, x)
    with _heard():
        degrade(source, output=path, **MADE[asked.name])
    source.unlink()
    return path


def _scratches(h: int, w: int) -> Any:
    """Alpha of thin lines, and of a hole."""
    import numpy as np

    row, column = np.mgrid[:h, :w]
    lines = ((row + 2 * column) % 71 < 3) | ((3 * row - column) % 113 < 4)
    hole = (row - 0.3 * h) ** 2 + (column - 0.6 * w) ** 2 < (0.04 * h) ** 2
    return np.where(lines | hole, 0, 255).astype("uint8")
