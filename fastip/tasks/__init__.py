"""The one registry of named tasks.

A task is operator + prior + solver + its settings; filled in with what the caller chose it is a Problem to solve.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypedDict

import torch
from torch import Tensor

from ..errors import closest, strict_keywords
from .blurred import TASKS as BLURRED
from .blurred import BlurTask as BlurTask
from .blurred import read_psf as read_psf
from .borders import BOUNDARIES as BOUNDARIES
from .borders import crop_valid as crop_valid
from .borders import fitted as fitted
from .borders import under_data as under_data
from .choice import Choice as Choice
from .classical import ClassicalTask as ClassicalTask
from .iterated import CHUNK as CHUNK
from .iterated import AdmmProblem as AdmmProblem
from .iterated import FittedProblem as FittedProblem
from .levels import Level as Level
from .measured import TASKS as MEASURED
from .measured import MeasuredTask as MeasuredTask
from .pixelwise import TASKS as PIXELWISE
from .pixelwise import DenoiseTask as DenoiseTask
from .pixelwise import InpaintTask as InpaintTask
from .pixelwise import read_mask as read_mask
from .prior import TaskPrior as TaskPrior
from .problem import NpgdProblem as NpgdProblem
from .problem import Problem as Problem
from .problem import Report as Report
from .quality import Quality as Quality
from .quality import quality as quality
from .settings import INVERSES as INVERSES
from .settings import PRIORS as PRIORS
from .settings import WAYS as WAYS
from .settings import Usual as Usual
from .settings import Way as Way
from .task import Task as Task
from .trained import TASKS as LEARNED
from .trained import LearnedTask as LearnedTask
from .upscale import TASKS as RESIZED
from .upscale import UpscaleTask as UpscaleTask
from .weights import suggested_weight as suggested_weight

if TYPE_CHECKING:
    from typing_extensions import Unpack

CLASSICAL = (*RESIZED, *BLURRED, *PIXELWISE)
_TASKS: dict[str, Task[Problem]] = {task.name: task for task in (*CLASSICAL, *LEARNED, *MEASURED)}


def names() -> list[str]:
    """The names of all tasks."""
    return list(_TASKS)


def get(name: str) -> Task[Problem]:
    """The task of that name.

    Args:
        name: One of :func:`names`.

    Returns:
        The task.

    Raises:
        InvalidInput: For an unknown name, with the closest one.
    """
    return _TASKS[closest(name, _TASKS, "task")]


def classical(name: str) -> ClassicalTask:
    """The task of that name with a classical prior.

    Args:
        name: "upscale", "sr4", "sr3", "sr2", "deblur", "denoise" or "inpaint".

    Returns:
        The task.

    Raises:
        InvalidInput: For another name, with the closest one.
    """
    known = {task.name: task for task in _TASKS.values() if isinstance(task, ClassicalTask)}
    return known[closest(name, known, "classical task")]


def learned(name: str) -> LearnedTask:
    """The task of that name with a network that was trained through the solver.

    Args:
        name: "photo-sr4", "photo-sr4-wide", "photo-deblur-motion", "digits-sr4" or "colorize-sr2".

    Returns:
        The task.

    Raises:
        InvalidInput: For another name, with the closest one.
    """
    known = {task.name: task for task in _TASKS.values() if isinstance(task, LearnedTask)}
    return known[closest(name, known, "learned task")]


class Network(TypedDict, total=False):
    """How a network runs: keywords of :func:`load_task`.

    Attributes:
        memory: Bytes that a solve may take in all, or a text such as "800MB"; larger images go through it in tiles.
        dtype: Of its weights; None is bfloat16 where the machine computes with it natively, else float32.
    """

    memory: int | str | None
    dtype: torch.dtype | None


@partial(strict_keywords, also=Network.__annotations__.keys())
def load_task(
    name: str,
    *,
    psf: str | Tensor | None = None,
    boundary: str | None = None,
    factor: float | None = None,
    method: str | None = None,
    like: str | None = None,
    mask: Any = None,
    noise: float | None = None,
    prior: str | None = None,
    weight: float | None = None,
    clipped: str | float | None = None,
    **network: Unpack[Network],
) -> Problem:
    """A named task with its weights, ready to solve.

    As in ``x = load_task("upscale", factor=4).solve(y).x``, or with its parts, the second for compressed sensing
    (digits-cs100, ...)::

        how = {"iterations": task.iterations, "tolerance": task.tolerance}
        fastip.admm(y, task.op, task.prior, beta=task.beta, inverse=task.inverse, **how)
        fastip.npgd(y, task.op, task.prior, **how)

    Args:
        name: One of :func:`fastip.tasks.names`.
        psf: What blurred the picture, a tensor kh x kw or a text for :func:`fastip.tasks.read_psf`: deblur needs it,
            sr2 ... sr4 have a usual one.
        boundary: "natural" (default; for pictures: a window of a larger scene, restored a little beyond and cut to the
            data by ``solve``), "valid" (the same, not cut), "circular", "reflect" or "zero". Where the image does not
            wrap ``inverse="auto"`` is not always as good as ``task.inverse``.
        factor: Of upscale, which needs it: how many times larger the picture gets, 1 to 16, whole or not.
        method: Of upscale: by which a program made the picture small, as for ``operators.Resize``; "bicubic" if None.
        like: Of upscale: the program, as there; "pillow" if None.
        mask: Of inpaint, which needs it: 1 where a pixel is known and 0 where it is to be filled, h w or b c h w with b
            and c those of the data or 1, something known in each channel; or an image file, white where it is known.
        noise: The standard deviation of the noise in the data, in units of [0, 1]: that of grey levels of 255 divided
            by 255. None: for each picture what :func:`fastip.noise_level` tells, else 0.015; ``task.fitted(y)`` has the
            number.
        prior: A name of ``fastip.tasks.PRIORS``; if None the learned restorer, "photo", and total variation where a
            weight, beta, iterations or tolerance is given.
        weight: Of that prior, >= 0, larger is smoother; None follows the noise.
        clipped: Of deblur, sr2 ... sr4, denoise and inpaint: which pixels were cut off at a limit and say only
            "at least this". "auto": those of 1 in groups of four and more, in pictures without larger values; a number
            in (0, 1]: those from there on; "off" or None: none. A picture that has some is solved with
            ``fidelities.Clipped``, the learned restorer starts from total variation, and x is cut off at 1 in the end
            (``tasks.get(name).problem(..., bounded=False)`` gives highlights whole). It is worth much where lamps and
            other highlights were blurred, and nothing where there is no blur.
        memory: Bytes that a solve may take in all (2 GB by default), or a text such as "800MB"; larger images go
            through the network in tiles.
        dtype: Of the network's weights; None is bfloat16 where the machine computes with it natively, else float32
            (always, for compressed sensing). The solve keeps the precision of y.

    Returns:
        The problem: operator, prior and settings, with a method ``solve``.

    Raises:
        InvalidInput: For an unknown name (``fastip tasks`` lists them) and for what the task cannot use.
    """
    chosen = {"psf": psf, "boundary": boundary, "factor": factor, "method": method, "like": like, "mask": mask}
    return get(name).problem(**chosen, noise=noise, prior=prior, weight=weight, clipped=clipped, **network)
