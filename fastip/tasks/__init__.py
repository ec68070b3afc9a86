"""The one registry of named tasks.

A task is operator + prior + solver + its settings; filled in with what the caller chose it is a Problem to solve.
"""

from __future__ import annotations

import torch

from ..errors import closest, strict_keywords
from .choice import Choice as Choice
from .classical import BOXED as BOXED
from .classical import INVERSES as INVERSES
from .classical import PRIORS as PRIORS
from .classical import TASKS as CLASSICAL
from .classical import ClassicalTask as ClassicalTask
from .classical import read_psf as read_psf
from .measured import TASKS as MEASURED
from .measured import MeasuredTask as MeasuredTask
from .prior import TaskPrior as TaskPrior
from .problem import CHUNK as CHUNK
from .problem import AdmmProblem as AdmmProblem
from .problem import NpgdProblem as NpgdProblem
from .problem import Problem as Problem
from .problem import Report as Report
from .problem import crop_valid as crop_valid
from .quality import Quality as Quality
from .quality import quality as quality
from .task import Task as Task
from .trained import TASKS as LEARNED
from .trained import LearnedTask as LearnedTask
from .weights import suggested_weight as suggested_weight

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
        name: "sr4", "sr2" or "deblur".

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


@strict_keywords
def load_task(
    name: str, *, boundary: str | None = None, memory: int | str | None = None, dtype: torch.dtype | None = None
) -> Problem:
    """A named task with its weights, ready to solve.

    As in ``x = load_task("photo-sr4").solve(y).x``, or with its parts, the second for compressed sensing
    (digits-cs100, ...)::

        how = {"iterations": task.iterations, "tolerance": task.tolerance}
        fastip.admm(y, task.op, task.prior, beta=task.beta, inverse=task.inverse, **how)
        fastip.npgd(y, task.op, task.prior, **how)

    Args:
        name: One of :func:`fastip.tasks.names`.
        boundary: "circular" (default), "reflect", "zero" or "valid". Real photographs do not wrap: reflect or valid
            suit them better. Only where the image wraps is ``inverse="auto"`` as good as ``task.inverse``.
        memory: Bytes that a solve may take in all (2 GB by default), or a text such as "800MB"; larger images go
            through the network in tiles.
        dtype: Of the network's weights; None is bfloat16 where the machine computes with it natively, else float32
            (always, for compressed sensing). The solve keeps the precision of y.

    Returns:
        The problem: operator, prior and settings, with a method ``solve``.

    Raises:
        InvalidInput: For an unknown name (``fastip tasks`` lists them) and for what the task cannot use.
    """
    return get(name).problem(boundary=boundary, memory=memory, dtype=dtype)
