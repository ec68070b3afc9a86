"""Run: where and how a training runs, the keywords that all trainings share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, TypeVar

import torch

from ...errors import strict_keywords
from ...priors.fitted import native
from . import loop

Function = TypeVar("Function", bound=Callable[..., Any])


class Options(TypedDict, total=False):
    """The keywords of every training, for its signature ``**run: Unpack[Options]``; :class:`Run` says what they are."""

    batch: int
    steps: int
    learning_rate: float
    seed: int
    output: str | Path | None
    save_every: int
    accelerator: str
    devices: int
    precision: str
    progress: bool
    report: loop.Report | None


class AveragedOptions(Options, total=False):
    """The same for a training that returns the running mean of the weights."""

    average: float


class PriorOptions(AveragedOptions, total=False):
    """The same for the network of a prior."""

    clip: float
    dtype: torch.dtype | None


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a training is told that has nothing to do with what it learns.

    Args:
        batch: Patches or pictures a step in each process.
        steps: Steps of Adam in all, those of earlier runs included.
        learning_rate: Adam's at the first step, half a cosine down to 1 % of it.
        average: The decay of the running mean of the weights, 0 <= average < 1; 0 for the weights of the last step.
        clip: The largest norm of the gradient; longer ones are shortened.
        seed: Of what is drawn; each process and step has its own stream.
        output: A .safetensors file. Beside it come NAME.json (settings, losses, seconds, versions), NAME.tensorboard,
            and while the training lasts NAME.unfinished.safetensors, its state. Called again with the same settings
            and first weights it goes on from there to the same bits (same machine and threads), or returns what is
            finished. None keeps nothing.
        dtype: In which ``output`` holds the weights; None for their own.
        save_every: Steps between two states; one process also keeps one at Ctrl-C.
        accelerator: As Lightning Fabric has it: "auto", "cpu", "cuda", ...
        devices: How many processes; they average their gradients. They are spawned, so a script that asks for several
            needs ``if __name__ == "__main__"``, and ``report`` must be a function of a module.
        precision: "32-true", "64-true" or "bf16-mixed".
        progress: A bar where standard error is a terminal, else a line every half minute.
        report: Called with (steps done, loss), about 200 times.
    """

    batch: int
    steps: int
    learning_rate: float
    average: float | None = None
    clip: float | None = None
    seed: int = 0
    output: str | Path | None = None
    dtype: torch.dtype | None = None
    save_every: int = 250
    accelerator: str = "auto"
    devices: int = 1
    precision: str = "32-true"
    progress: bool = True
    report: loop.Report | None = None

    @property
    def decisive(self) -> dict[str, Any]:
        """What decides the trained weights, by the names that the settings of trainings have."""
        names = ["batch", "steps", "learning_rate", "seed", "devices", "precision"]
        names += [name for name in ("average", "clip") if getattr(self, name) is not None]
        return {name: getattr(self, name) for name in names}

    def plan(self, **more: Any) -> loop.Plan:
        """The plan of the loop, its files yet unknown."""
        files: dict[str, Any] = {"settings": {}, "state": None, "logs": None}
        told = {"save_every": self.save_every, "progress": self.progress, "report": self.report, "clip": self.clip}
        return loop.Plan(self.steps, self.learning_rate, **files, **(told | more))


def training(options: type[Any]) -> Callable[[Function], Function]:
    """For a function with ``**run: Unpack[options]``: a misspelt keyword is refused with a suggestion from both."""
    return lambda function: strict_keywords(function, also=frozenset(options.__annotations__))


def run_of(given: Mapping[str, Any], **defaults: Any) -> Run:
    """What the caller said, else these defaults of the training, else those of all."""
    return Run(**(defaults | dict(given)))


def quick_precision(accelerator: str = "auto") -> str:
    """The precision "bf16-mixed" of products where the device computes them in hardware, else "32-true".

    A processor that has no such products emulates them: 48 features, 3 x 3 taps, in 9 times the time of float32.
    """
    cuda = accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    return "bf16-mixed" if native(torch.device("cuda" if cuda else "cpu")) == torch.bfloat16 else "32-true"
