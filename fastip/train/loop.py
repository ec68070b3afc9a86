"""A training loop that can be killed at any moment and continued bit for bit, on any device and with several processes (Lightning Fabric)."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from ..errors import FastipError, InvalidInput, Unsupported
from . import schedule, state
from .interrupt import Interrupts
from .progress import Bar
from .state import History

if TYPE_CHECKING:
    from lightning_fabric import Fabric

POINTS = 200  # losses that are kept of one training
PRECISIONS = ("32-true", "64-true", "bf16-mixed")  # half weights cannot take small steps, and a loss scale would be one more thing to keep

Result = TypeVar("Result")
Draw = Callable[[int, int], tuple[Any, ...]]
Report = Callable[[int, float], None]


@dataclass(frozen=True)
class Plan:
    """A training but for what is trained. ``settings``: what must be the same for a run to be continued; ``state``, ``logs``: where to keep it, or None."""

    steps: int
    learning_rate: float
    save_every: int
    settings: Mapping[str, Any]
    state: Path | None
    logs: Path | None
    progress: bool
    report: Report | None


class Diverged(FastipError):
    """The loss is no longer a number."""


def make_fabric(accelerator: str, devices: int, precision: str) -> Fabric:
    """Lightning Fabric for these devices. Processes are spawned, but for those that torchrun has started.

    Raises InvalidInput for devices that this machine lacks, Unsupported without lightning-fabric.
    """
    try:
        from lightning_fabric import Fabric
    except ImportError:
        raise Unsupported("training needs lightning-fabric and safetensors: pip install 'fastip[train]'") from None
    if precision not in PRECISIONS:
        raise InvalidInput(f"precision is {precision!r}; expected one of {', '.join(PRECISIONS)}")
    strategy = "auto" if devices == 1 else "ddp" if "TORCHELASTIC_RUN_ID" in os.environ else "ddp_spawn"
    try:
        return Fabric(accelerator=accelerator, devices=devices, precision=precision, strategy=strategy)  # type: ignore[arg-type]
    except Exception as error:  # Lightning raises ValueError, RuntimeError and its own
        raise InvalidInput(f"accelerator {accelerator!r} with {devices} devices cannot be used: {error}") from None


def launch(fabric: Fabric, work: Callable[[Fabric], Result]) -> Result:
    """``work(fabric)`` in each process; the result of the first. Raises FastipError where one of several fails, with its last words."""
    try:
        return fabric.launch(work)
    except torch.multiprocessing.ProcessRaisedException as error:
        raise FastipError(f"one of {fabric.world_size} processes failed: {str(error).strip().splitlines()[-1]}") from error


def fit(fabric: Fabric, module: nn.Module, draw: Draw, plan: Plan) -> History:
    """Adam on ``module(*draw(step, rank))``, which is the loss; the learning rate is half a cosine.

    ``draw`` depends on its arguments alone. The module is trained in place. Gradients are averaged over the processes; that of rank 0 writes.
    At Ctrl-C (one process) the state is kept before it is passed on. Raises Diverged when the loss is NaN, InvalidInput for a state of other settings.
    """
    run = _Run(fabric, module, plan)
    with ExitStack() as stack:
        interrupts = stack.enter_context(Interrupts()) if fabric.world_size == 1 else Interrupts()
        run.bar = stack.enter_context(Bar(plan.steps, run.history.step, plan.progress and fabric.is_global_zero))
        run.log = stack.enter_context(_Log(plan.logs if fabric.is_global_zero else None, run.history))
        # The same bits in each run, and float32 that is not rounded to ten bits on the way: C is to be right to 1e-5.
        stack.enter_context(torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False))
        stack.enter_context(torch.enable_grad())
        for step in range(run.history.step, plan.steps):
            loss = run.step(draw, step)
            leaving = interrupts.pending is not None  # read once: a signal from here on waits for the next step
            run.tell(loss, step, leaving)
            if leaving:
                break
    if run.history.step < plan.steps:  # whoever handled the signal let it pass, but this is no result
        raise KeyboardInterrupt
    return run.history


class _Run:
    """One process of a training between its start and its end."""

    bar: Bar
    log: Callable[[int, dict[str, float]], None]

    def __init__(self, fabric: Fabric, module: nn.Module, plan: Plan) -> None:
        self.fabric, self.module, self.plan, self.history = fabric, module, plan, History()
        self.adam = torch.optim.Adam(module.parameters(), lr=plan.learning_rate)
        self.wrapped, self.optimizer = fabric.setup(module, self.adam)
        if plan.state is not None and plan.state.exists():
            self.history = state.load(plan.state, plan.settings, module, self.adam)
        self.history.starts += 1
        fabric.barrier()  # nobody writes a state before all have read the last one
        self.begun = time.perf_counter() - self.history.seconds

    def step(self, draw: Draw, step: int) -> Tensor:
        """One step of Adam; returns the loss before it."""
        self.adam.param_groups[0]["lr"] = schedule.learning_rate(step, self.plan.steps, self.plan.learning_rate)
        loss: Tensor = self.wrapped(*self.fabric.to_device(draw(step, self.fabric.global_rank)))
        self.optimizer.zero_grad()
        self.fabric.backward(loss)
        self.optimizer.step()
        return loss

    def tell(self, loss: Tensor, step: int, leaving: bool) -> None:
        """Keep and show what is due after this step; by its number alone, so that all processes meet."""
        plan, history = self.plan, self.history
        history.step, history.seconds = step + 1, time.perf_counter() - self.begun
        self.bar.step(history.step)
        last = history.step == plan.steps
        due, keep = step % max(1, plan.steps // POINTS) == 0 or last, history.step % plan.save_every == 0 or last or leaving
        value = _value(self.fabric, loss, history.step) if due or keep else 0.0
        if due:
            history.losses.append((step, value))
            self.bar.loss(value)
            self.log(step, {"loss": value, "learning_rate": self.adam.param_groups[0]["lr"], "steps_per_second": history.step / history.seconds})
            if plan.report is not None and self.fabric.is_global_zero:
                plan.report(history.step, value)
        if keep and plan.state is not None and self.fabric.is_global_zero:
            state.save(plan.state, plan.settings, self.module, self.adam, history)


def _value(fabric: Fabric, loss: Tensor, step: int) -> float:
    """The loss as a number, the mean over the processes, which all ask for it at once. Raises Diverged when it is none."""
    number = float(fabric.all_reduce(loss.detach(), reduce_op="mean"))  # type: ignore[arg-type]
    if not math.isfinite(number):
        raise Diverged(f"the loss is {number} after {step} steps: lower the learning rate, or a power above 1, and start again")
    return number


class _Log:
    """Scalars for TensorBoard in a folder; nothing without one."""

    def __init__(self, folder: Path | None, history: History) -> None:
        self._logger: Any = None
        if folder is not None:
            from lightning_fabric.loggers import TensorBoardLogger

            # A file for each start, which supersedes what a killed run wrote after its last state.
            name, suffix = folder.name, f".{history.starts}"
            self._logger = TensorBoardLogger(folder.parent, name=name, version="", purge_step=history.step, filename_suffix=suffix)

    def __enter__(self) -> Callable[[int, dict[str, float]], None]:
        return self._write

    def _write(self, step: int, scalars: dict[str, float]) -> None:
        if self._logger is not None:
            self._logger.log_metrics(scalars, step)

    def __exit__(self, *what: object) -> None:
        if self._logger is not None:
            self._logger.finalize("")
