"""A training of many hours, in parts on whatever machine has time.

It is gone on with from where it was, and exported when it is better than before.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ... import checkpoint, data, nets
from ...checkpoint import shipped
from ...data import cache
from ...errors import FastipError, InvalidInput, strict_keywords
from ...priors.fitted import native
from ..recipes import photo_denoiser
from ..recipes.long_recipes import LongRecipe, recipe
from ..recipes.photo_denoiser import Start
from . import loop, state
from .files import Files
from .progress import Bar
from .summary import summarise, told

Say = Callable[[str], None]


class Busy(FastipError):
    """Another process trains the same."""


def folder(name: str) -> Path:
    """Where its state is kept: training/NAME below FASTIP_CACHE, or fastip's folder in the user's cache."""
    return cache.root() / "training" / name


def files(name: str) -> Files:
    """The files of the long training there; the folder is made. Raises DownloadFailed where it cannot be."""
    cache.make_folder(folder(name))
    return Files.beside(folder(name) / f"{name}{shipped.SUFFIX}", recipe(name).kind)


def go_on(
    name: str,
    *,
    train: Callable[..., Any] | None = None,
    accelerator: str = "auto",
    progress: bool = True,
    report: loop.Report | None = None,
) -> Any:
    """Go on with a long training.

    From its state, else from the shipped weights at their place in the schedule, else from its beginning. Stop it at
    any time, in any way; the state is at most five minutes old.

    Args:
        name: "photo-denoiser" or "photo-restorer".
        train: The training, by default that of its recipe; that with other settings.
        accelerator: As for :class:`fastip.train.Run`.
        progress: Likewise.
        report: Likewise.

    Returns:
        What was trained, a prior or a restorer.

    Raises:
        Busy: Where another process is at it already.
        DownloadFailed: Where the folder cannot be made.
        InvalidInput: For another name.
    """
    what, own, say = recipe(name), files(name), Bar(1, 0, progress).say
    with alone(folder(name)):
        assert own.output is not None and own.state is not None
        state.sweep(own.state)
        begun = None if own.output.exists() or own.state.exists() else shipped_start(name, say)
        return (train or what.train)(own.output, begun=begun, accelerator=accelerator, progress=progress, report=report)


def shipped_start(name: str, say: Say) -> Start | None:
    """The shipped weights with their history.

    None where there are none, and where they are of another shape or of another training.
    """
    what = recipe(name)
    if name not in shipped.names(what.shelf):
        return None
    with shipped.weights(what.shelf, name) as path:
        training = checkpoint.read_record(path, what.kind).get("training", {})
        net = what.load(path).net
    if training.get("settings", {}).get("kind") != name or net.config() != what.network().config():
        say("no state is kept and the shipped weights are of another kind: the training begins from nothing")
        return None
    history = told(training)
    history.since = history.step  # Adam begins anew, with a warm-up
    say(
        f"no state is kept: the training goes on from the shipped weights, at step {history.step} of "
        f"{training['settings']['steps']}"
    )
    return Start(net, history)


@dataclass(frozen=True)
class Exported:
    """What an export found.

    Attributes:
        step: How many steps the training has behind it.
        seconds: Their time.
        columns: What the numbers of a score are for.
        shipped: Mean PSNR in dB at each of these on "validation" and "test" photographs, of the shipped weights; empty
            where there are none.
        trained: The same of the weights of the training.
        written: The file, None where the shipped weights are as good.
    """

    step: int
    seconds: float
    columns: tuple[str, ...]
    shipped: dict[str, list[float]]
    trained: dict[str, list[float]]
    written: Path | None


@strict_keywords
def export(name: str, target: str | Path, *, say: Say = lambda text: None) -> Exported:
    """Write the averaged weights of a long training if they are better on validation than those that are shipped.

    Called while it trains, too: the last state is read. The file is in float16, and so are the weights that are
    scored; a record of all parts is beside it.

    Args:
        name: "photo-denoiser" or "photo-restorer".
        target: The folder to write into.
        say: Is told what is done.

    Returns:
        The scores, and the file where it was written.

    Raises:
        InvalidInput: For another name, where nothing has been trained, or ``target`` is no folder.
    """
    what = recipe(name)
    output = Files.beside(Path(target) / f"{name}{shipped.SUFFIX}", what.kind)
    made, settings, history = _latest(name, what)
    pictures = {"validation": data.validation_photographs(), "test": photo_denoiser.test_photographs()}

    def score(which: str, one: Any) -> dict[str, list[float]]:
        say(f"scoring the {which} weights on {sum(map(len, pictures.values()))} pictures")
        return {title: what.score(one, some) for title, some in pictures.items()}

    old = {}
    if name in shipped.names(what.shelf):
        with shipped.weights(what.shelf, name) as path:
            old = score("shipped", what.load(path))
    new = score("trained", made)
    better = not old or bool(np.nanmean(new["validation"]) > np.nanmean(old["validation"]))
    if better:
        quality = {"of": list(what.columns), "precision": str(native(torch.device("cpu"))).removeprefix("torch.")} | new
        summary = summarise(settings, history, torch.device("cpu")) | {"psnr": quality}
        output.finish(lambda path: what.save(path, made, summary))
    else:
        output.mend()
    return Exported(history.step, history.seconds, what.columns, old, new, output.output if better else None)


def _latest(name: str, what: LongRecipe) -> tuple[Any, dict[str, Any], state.History]:
    """What the averaged weights of the last state make, as float16 holds them, or the finished result; its history."""
    own = files(name)
    assert own.output is not None and own.state is not None
    if own.state.exists():
        kept, tensors = checkpoint.read(own.state, "training")
    elif own.output.exists():
        training = checkpoint.read_record(own.output, what.kind)["training"]
        return what.load(own.output), training["settings"], told(training)
    else:
        raise InvalidInput(
            f"nothing is trained yet: {folder(name)} holds no state; begin with: fastip train task {name}"
        )
    settings = dict(kept["settings"])
    net = nets.build(nets.PRIOR_NETS, settings["net"]["name"], dict(settings["net"]["config"]))
    prefix = "module.average."
    net.load_state_dict(
        {key.removeprefix(prefix): tensor.half().float() for key, tensor in tensors.items() if key.startswith(prefix)}
    )
    return what.make(net.eval().requires_grad_(False), settings), settings, state.History.read(kept["progress"])


@contextmanager
def alone(place: Path) -> Iterator[None]:
    """The lock of the training, which the system frees however this process ends; the file names who has it."""
    with open(place / "lock", "a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise Busy(
                f"process {lock.read().strip() or '?'} is at this training already; stop that one first, "
                "or leave it at work"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        try:
            yield
        finally:  # a number that is no longer that process's must not be stopped
            lock.truncate(0)
