"""A training loop that can be killed at any moment and continued bit for bit.

It runs on any device and in several processes (Lightning Fabric).
"""

from __future__ import annotations

import copy
import math
import os
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from ...errors import FastipError, InvalidInput, Unsupported
from . import schedule, state
from .interrupt import Interrupts
from .progress import Bar
from .state import History, Machine

if TYPE_CHECKING:
    from lightning_fabric import Fabric

POINTS = 200  # losses kept of one training: enough for a curve; each waits for the device, and lengthens the record
LOOKS = 20  # scores: fewer, as a look runs the network over all of its pictures
PICTURED = 5  # one look in so many is a picture in the log, whose size is mostly theirs
# Half weights cannot take small steps, and a loss scale would be one more thing to keep.
PRECISIONS = ("32-true", "64-true", "bf16-mixed")

Result = TypeVar("Result")
Draw = Callable[[int, int], tuple[Any, ...]]
Report = Callable[[int, float], None]
Look = Callable[[], tuple[float, Mapping[str, Tensor]]]
Terms = Callable[[], Mapping[str, Tensor]]


@dataclass(frozen=True)
class Plan:
    """A training but for what is trained; fields that are not named here are those of :class:`fastip.train.Run`.

    Args:
        settings: What must be the same for a run to be continued.
        state: Where to keep it, or None; ``logs`` likewise.
        clip: The largest norm of the gradient of all weights, longer ones are shortened.
        betas: Adam's.
        after: Called after each step with its number, for weights that follow the trained ones.
        look: Called now and then and at the end in the first process for (score, pictures for the log by name, c h w in
            [0, 1]).
        terms: Called for the parts of the last loss by name, for the log.
        warm_up: Steps in which the learning rates rise to theirs, counted from where Adam began.
        look_every: Steps between two looks, else LOOKS in all.
        save_minutes: A state is also kept when so much time has passed (one process).
        pause: A step that takes more seconds was halted in between, and its time is not counted.
        begun: The history of the weights that the module has, where they were trained before and there is no state: the
            steps go on from there.
    """

    steps: int
    learning_rate: float
    save_every: int
    settings: Mapping[str, Any]
    state: Path | None
    logs: Path | None
    progress: bool
    report: Report | None
    clip: float | None = None
    betas: tuple[float, float] = (0.9, 0.999)
    after: Callable[[int], None] | None = None
    look: Look | None = None
    terms: Terms | None = None
    warm_up: int = 0
    look_every: int | None = None
    save_minutes: float = math.inf
    pause: float = math.inf
    begun: History | None = None

    def within(self, settings: Mapping[str, Any], state: Path | None, logs: Path | None) -> Plan:
        """The same for these settings, kept in these files."""
        return replace(self, settings=settings, state=state, logs=logs)

    def watched(self, after: Callable[[int], None], look: Look | None, terms: Terms | None = None) -> Plan:
        """The same with what is done after steps."""
        return replace(self, after=after, look=look, terms=terms)


@dataclass(frozen=True)
class Opponent:
    """What is trained against a module: a step of an Adam of its own on ``module(*seen())`` after each of the module's.

    ``seen`` tells of the module's last batch.
    """

    module: nn.Module
    learning_rate: float
    betas: tuple[float, float]
    seen: Callable[[], tuple[Tensor, ...]]


class Diverged(FastipError):
    """The loss is no longer a number."""


def make_fabric(accelerator: str, devices: int, precision: str) -> Fabric:
    """Lightning Fabric for these devices. Processes are spawned, but for those that torchrun has started.

    Raises:
        InvalidInput: For devices that this machine lacks, and another precision.
        Unsupported: Without lightning-fabric.
    """
    try:
        from lightning_fabric import Fabric
    except ImportError:
        raise Unsupported("training needs lightning-fabric and safetensors: pip install 'fastip[train]'") from None
    if precision not in PRECISIONS:
        raise InvalidInput(f"precision is {precision!r}; expected one of {', '.join(PRECISIONS)}")
    strategy = "auto" if devices == 1 else "ddp" if "TORCHELASTIC_RUN_ID" in os.environ else "ddp_spawn"
    try:
        if precision == "bf16-mixed":
            from .precision import Mixed

            kind = Fabric(accelerator=accelerator, devices=devices, strategy=strategy).device.type
            return Fabric(
                accelerator=accelerator, devices=devices, strategy=strategy, plugins=Mixed("bf16-mixed", kind)
            )
        return Fabric(accelerator=accelerator, devices=devices, precision=precision, strategy=strategy)  # type: ignore[arg-type]
    except Exception as error:  # Lightning raises ValueError, RuntimeError and its own
        given = f"accelerator {accelerator!r} with {devices} devices cannot be used ({error})"
        raise InvalidInput(
            f"{given}; expected what this machine has: 'auto' takes that, 'cpu' is always there"
        ) from None


def launch(fabric: Fabric, work: Callable[[Fabric], Result]) -> Result:
    """``work(fabric)`` in each process; the result of the first. FastipError has the last words of one that fails."""
    try:
        return fabric.launch(partial(_and_part, work) if _spawned(fabric) else work)
    except torch.multiprocessing.ProcessRaisedException as error:
        raise FastipError(
            f"one of {fabric.world_size} processes failed: {str(error).strip().splitlines()[-1]}"
        ) from error


def _spawned(fabric: Fabric) -> bool:
    return fabric.world_size > 1 and "TORCHELASTIC_RUN_ID" not in os.environ


def _and_part(work: Callable[[Fabric], Result], fabric: Fabric) -> Result:
    """``work`` in a process that leaves in good order: threads of gloo that outlive it would abort it at its end."""
    result = work(fabric)
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
    return result


def fit(fabric: Fabric, module: nn.Module, draw: Draw, plan: Plan, opponent: Opponent | None = None) -> History:
    """Adam on ``module(*draw(step, rank))``, which is the loss, in turn with its opponent where there is one.

    ``draw`` depends on its arguments alone. The module is trained in place. The learning rates are half a cosine.
    Gradients are averaged over the processes; that of rank 0 writes. At Ctrl-C (one process) the state is kept before
    it is passed on.

    Raises:
        Diverged: When the loss, or a weight that is to be kept, is no longer a number.
        InvalidInput: For a state of other settings.
    """
    run = _Run(fabric, module, plan, opponent)
    with ExitStack() as stack:
        interrupts = stack.enter_context(Interrupts()) if fabric.world_size == 1 else Interrupts()
        run.bar = stack.enter_context(Bar(plan.steps, run.history.step, plan.progress and fabric.is_global_zero))
        run.log = stack.enter_context(_Log(plan.logs if fabric.is_global_zero else None, run.history))
        # The same bits in each run, and float32 that is not rounded to ten bits on the way: C is to be right to 1e-5.
        stack.enter_context(
            torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
        )
        stack.enter_context(torch.enable_grad())
        for step in range(run.history.step, plan.steps):
            losses = run.step(draw, step)
            leaving = interrupts.pending is not None  # read once: a signal from here on waits for the next step
            run.tell(losses, step, leaving)
            if leaving:
                break
    if run.history.step < plan.steps:  # whoever handled the signal let it pass, but this is no result
        raise KeyboardInterrupt
    return run.history


class _Descent:
    """Adam on one module in one process."""

    def __init__(
        self, fabric: Fabric, module: nn.Module, plan: Plan, learning_rate: float, betas: tuple[float, float]
    ) -> None:
        self.fabric, self.module, self.plan, self.learning_rate = fabric, module, plan, learning_rate
        self.adam = torch.optim.Adam([p for p in module.parameters() if p.requires_grad], lr=learning_rate, betas=betas)
        self.wrapped, self.optimizer = fabric.setup(module, self.adam)

    def step(self, values: tuple[Any, ...], step: int, since: int) -> Tensor:
        """One step of Adam, which began at step ``since``; returns the loss before it."""
        self.adam.param_groups[0]["lr"] = schedule.learning_rate(
            step, self.plan.steps, self.learning_rate
        ) * schedule.warm_up(step - since, self.plan.warm_up)
        loss: Tensor = self.wrapped(*values)
        self.optimizer.zero_grad()
        self.fabric.backward(loss)
        if self.plan.clip is not None:
            self.fabric.clip_gradients(self.wrapped, self.optimizer, max_norm=self.plan.clip, error_if_nonfinite=False)
        self.optimizer.step()
        return loss


class _Run:
    """One process of a training between its start and its end."""

    bar: Bar
    log: Callable[[int, dict[str, Any]], None]

    def __init__(self, fabric: Fabric, module: nn.Module, plan: Plan, opponent: Opponent | None) -> None:
        self.fabric, self.plan, self.opponent = fabric, plan, opponent
        self.history = copy.deepcopy(plan.begun) or History()
        self.descents = {"": _Descent(fabric, module, plan, plan.learning_rate, plan.betas)}
        if opponent is not None:
            self.descents["opponent."] = _Descent(fabric, opponent.module, plan, opponent.learning_rate, opponent.betas)
        self.kept = {prefix: (descent.module, descent.adam) for prefix, descent in self.descents.items()}
        if plan.begun is not None and plan.begun.step >= plan.steps:
            raise InvalidInput(
                f"the weights have {plan.begun.step} steps behind them and {plan.steps} are planned in all: "
                "nothing is left to train; ask for more steps"
            )
        if plan.state is not None and plan.state.exists():
            self.history = state.load(plan.state, plan.settings, self.kept)
        self.history.starts += 1
        self.history.ran_on(Machine.this(fabric.device))
        fabric.barrier()  # nobody writes a state before all have read the last one
        self.before = self.kept_at = time.perf_counter()

    def step(self, draw: Draw, step: int) -> tuple[Tensor, ...]:
        """One step of Adam, and one of the opponent's; returns the losses before them."""
        drawn = self.fabric.to_device(draw(step, self.fabric.global_rank))
        losses: tuple[Tensor, ...] = (self.descents[""].step(drawn, step, self.history.since),)
        if self.opponent is not None:
            losses += (self.descents["opponent."].step(self.opponent.seen(), step, self.history.since),)
        if self.plan.after is not None:
            self.plan.after(step)
        return losses

    def tell(self, losses: tuple[Tensor, ...], step: int, leaving: bool) -> None:
        """Keep and show what is due after this step; by its number alone, so that all processes meet."""
        plan, history = self.plan, self.history
        now = time.perf_counter()
        passed = now - self.before
        history.step, self.before = step + 1, now
        history.seconds += passed if passed < plan.pause else 0.0
        last = history.step == plan.steps
        due = step % max(1, plan.steps // POINTS) == 0 or last
        keep = history.step % plan.save_every == 0 or last or leaving or now - self.kept_at > 60 * plan.save_minutes
        line = self.bar.line_due() and self.fabric.world_size == 1
        value, *others = [_value(self.fabric, loss, history.step) for loss in losses] if due or keep or line else [0.0]
        if due or line:
            self.bar.loss(value, history.step)
        if due:
            history.losses.append((step, value))
            speed = history.step / max(history.seconds, 1e-9)  # 0 s while all steps were halted
            rates = {"learning_rate": self._rate(), "steps_per_second": speed}
            self.log(step, {"loss": value} | rates | self._parts(others))
            if plan.report is not None and self.fabric.is_global_zero:
                plan.report(history.step, value)
        if (
            plan.look is not None
            and (history.step % (plan.look_every or max(1, plan.steps // LOOKS)) == 0 or last)
            and self.fabric.is_global_zero
        ):
            score, pictures = plan.look()
            history.scores.append((step, score))
            self.bar.say(f"step {history.step} of {plan.steps}: score {score:.3f}")
            self.log(step, {"score": score} | (dict(pictures) if last or len(history.scores) % PICTURED == 1 else {}))
        if keep and plan.state is not None and self.fabric.is_global_zero:
            self._check_weights()
            state.save(plan.state, plan.settings, self.kept, history)
            self.kept_at = now
        self.bar.step(history.step)

    def _check_weights(self) -> None:
        """Raise Diverged rather than replace a good state by NaN: a loss says nothing of the weights after it."""
        for prefix, (module, _) in self.kept.items():
            for name, tensor in module.state_dict().items():
                if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                    told = f"the weights {prefix}{name} hold NaN or Inf after {self.history.step} steps"
                    raise Diverged(f"{told}: lower the learning rate and start again; the state before is kept")

    def _rate(self) -> float:
        return float(self.descents[""].adam.param_groups[0]["lr"])

    def _parts(self, others: list[float]) -> dict[str, float]:
        """The parts of the loss (those of this process) and the opponent's loss."""
        parts = (
            {} if self.plan.terms is None else {f"loss_{name}": float(term) for name, term in self.plan.terms().items()}
        )
        return parts | ({"loss_opponent": others[0]} if others else {})


def _value(fabric: Fabric, loss: Tensor, step: int) -> float:
    """The loss, the mean over the processes, which all ask for it at once. Raises Diverged when it is no number."""
    number = float(fabric.all_reduce(loss.detach(), reduce_op="mean"))  # type: ignore[arg-type]
    if not math.isfinite(number):
        raise Diverged(
            f"the loss is {number} after {step} steps: lower the learning rate, or a power above 1, and start again"
        )
    return number


class _Log:
    """Scalars and pictures for TensorBoard in a folder; nothing without one."""

    def __init__(self, folder: Path | None, history: History) -> None:
        self._logger: Any = None
        if folder is not None:
            from lightning_fabric.loggers import TensorBoardLogger

            # A file for each start, which supersedes what a killed run wrote after its last state.
            name, suffix = folder.name, f".{history.starts}"
            self._logger = TensorBoardLogger(
                folder.parent, name=name, version="", purge_step=history.step, filename_suffix=suffix
            )

    def __enter__(self) -> Callable[[int, dict[str, Any]], None]:
        return self._write

    def _write(self, step: int, values: dict[str, Any]) -> None:
        if self._logger is None:
            return
        self._logger.log_metrics({name: value for name, value in values.items() if not isinstance(value, Tensor)}, step)
        for name, value in values.items():
            if isinstance(value, Tensor):
                self._logger.experiment.add_image(name, value.clamp(0, 1).float().cpu().numpy(), step)

    def __exit__(self, *what: object) -> None:
        if self._logger is not None:
            self._logger.finalize("")
