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
from ...priors import PixelShuffleAutoencoder, Trained
from ..denoising_score import SIGMAS
from ..recipes import photo_denoiser
from ..recipes.photo_denoiser import NAME, Start, psnr
from . import loop, state
from .files import Files
from .progress import Bar
from .summary import summarise, told

Say = Callable[[str], None]


class Busy(FastipError):
    """Another process trains the same."""


def folder() -> Path:
    """Where its state is kept: training/photo-denoiser below FASTIP_CACHE, or fastip's folder in the user's cache."""
    return cache.root() / "training" / NAME


def files() -> Files:
    """The files of the long training there; the folder is made. Raises DownloadFailed where it cannot be."""
    cache.make_folder(folder())
    return Files.beside(folder() / f"{NAME}{shipped.SUFFIX}", "prior")


def go_on(
    *,
    train: Callable[..., PixelShuffleAutoencoder] = photo_denoiser.train_photo_denoiser,
    accelerator: str = "auto",
    progress: bool = True,
    report: loop.Report | None = None,
) -> PixelShuffleAutoencoder:
    """Go on with the long training.

    From its state, else from the shipped weights at their place in the schedule, else from nothing. Stop it at any
    time, in any way; the state is at most five minutes old.

    Args:
        train: The training, ``photo_denoiser.train_photo_denoiser`` or that with other settings.
        accelerator: As for :class:`fastip.train.Run`.
        progress: Likewise.
        report: Likewise.

    Returns:
        The trained prior.

    Raises:
        Busy: Where another process is at it already.
        DownloadFailed: Where the folder cannot be made.
    """
    own, say = files(), Bar(1, 0, progress).say
    with alone(folder()):
        assert own.output is not None and own.state is not None
        state.sweep(own.state)
        begun = None if own.output.exists() or own.state.exists() else shipped_start(say)
        return train(own.output, begun=begun, accelerator=accelerator, progress=progress, report=report)


def shipped_start(say: Say) -> Start | None:
    """The shipped weights with their history, None where they are of another shape or of another training."""
    with shipped.weights("priors", NAME) as path:
        training = checkpoint.read_record(path, "prior").get("training", {})
        prior = checkpoint.load_prior(path)
    if training.get("settings", {}).get("kind") != NAME or prior.net.config() != photo_denoiser.network().config():
        say("no state is kept and the shipped weights are of another kind: the training begins from nothing")
        return None
    history = told(training)
    history.since = history.step  # Adam begins anew, with a warm-up
    say(
        f"no state is kept: the training goes on from the shipped weights, at step {history.step} of "
        f"{training['settings']['steps']}"
    )
    return Start(prior.net, history)


@dataclass(frozen=True)
class Exported:
    """What an export found.

    Attributes:
        step: How many steps the training has behind it.
        seconds: Their time.
        shipped: Mean PSNR in dB at each of SIGMAS on "validation" and "test" photographs, of the shipped weights.
        trained: The same of the weights of the training.
        written: The file, None where the shipped weights are as good.
    """

    step: int
    seconds: float
    shipped: dict[str, list[float]]
    trained: dict[str, list[float]]
    written: Path | None


@strict_keywords
def export(target: str | Path, *, say: Say = lambda text: None) -> Exported:
    """Write the averaged weights of the long training if they are better on validation than those that are shipped.

    Called while it trains, too: the last state is read. The file is in float16, and so are the weights that are
    scored; a record of all parts is beside it.

    Args:
        target: The folder to write into.
        say: Is told what is done.

    Returns:
        The scores, and the file where it was written.

    Raises:
        InvalidInput: Where nothing has been trained, or ``target`` is no folder.
    """
    output = Files.beside(Path(target) / f"{NAME}{shipped.SUFFIX}", "prior")
    prior, settings, history = _latest()
    with shipped.weights("priors", NAME) as path:
        before = checkpoint.load_prior(path)
    pictures = {"validation": data.validation_photographs(), "test": photo_denoiser.test_photographs()}
    scores = []
    for name, made in (("shipped", before), ("trained", prior)):
        say(f"scoring the {name} weights on {sum(map(len, pictures.values()))} pictures")
        scores.append({title: psnr(made.net, some) for title, some in pictures.items()})
    old, new = scores
    better = bool(np.mean(new["validation"]) > np.mean(old["validation"]))
    if better:
        quality = {"sigmas": list(SIGMAS), "precision": "bfloat16"} | new
        summary = summarise(settings, history, torch.device("cpu")) | {"psnr": quality}
        output.finish(lambda path: photo_denoiser.saved(path, prior, summary))
    else:
        output.mend()
    return Exported(history.step, history.seconds, old, new, output.output if better else None)


def _latest() -> tuple[PixelShuffleAutoencoder, dict[str, Any], state.History]:
    """The averaged weights of the last state as float16 holds them, or the finished result; settings and history."""
    own = files()
    assert own.output is not None and own.state is not None
    if own.state.exists():
        kept, tensors = checkpoint.read(own.state, "training")
    elif own.output.exists():
        training = checkpoint.read_record(own.output, "prior")["training"]
        return checkpoint.load_prior(own.output), training["settings"], told(training)
    else:
        raise InvalidInput(f"nothing is trained yet: {folder()} holds no state; begin with: fastip train task {NAME}")
    settings = dict(kept["settings"])
    net = nets.build(nets.PRIOR_NETS, settings["net"]["name"], dict(settings["net"]["config"]))
    prefix = "module.average."
    net.load_state_dict(
        {
            name.removeprefix(prefix): tensor.half().float()
            for name, tensor in tensors.items()
            if name.startswith(prefix)
        }
    )
    prior = PixelShuffleAutoencoder(net.eval().requires_grad_(False), trained=Trained(tuple(settings["levels"])))
    return prior, settings, state.History.read(kept["progress"])


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
