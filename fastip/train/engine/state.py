"""The state of a training on disk, so that a killed run is continued bit for bit.

It is the weights, Adam's moments and the number of the step.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ... import checkpoint
from ...errors import InvalidInput
from ...io.replace import leftovers


@dataclass  # not frozen: Lightning Fabric, which carries histories between processes, refuses those
class Machine:
    """Where a part of a training ran, from ``step`` on."""

    step: int
    processor: str
    device: str
    threads: int

    @staticmethod
    def this(device: torch.device) -> Machine:
        """This process."""
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
        return Machine(0, processor(), name, torch.get_num_threads())


@dataclass
class History:
    """What has happened.

    Args:
        step: Steps done.
        seconds: Their time, over all runs.
        starts: Runs.
        losses: (step, loss) at some of them.
        scores: (step, score on other data) at fewer.
        since: The step at which Adam began; it is 0 but where a training goes on from weights alone.
        machines: Where it ran, in turn.
    """

    step: int = 0
    seconds: float = 0.0
    starts: int = 0
    losses: list[tuple[int, float]] = field(default_factory=list)
    scores: list[tuple[int, float]] = field(default_factory=list)
    since: int = 0
    machines: list[Machine] = field(default_factory=list)

    def ran_on(self, machine: Machine) -> None:
        """From this step on it runs there."""
        if not self.machines or replace(self.machines[-1], step=0) != replace(machine, step=0):
            self.machines.append(replace(machine, step=self.step))

    @staticmethod
    def read(progress: Mapping[str, Any]) -> History:
        """A history from the JSON values of ``asdict``.

        Raises:
            KeyError: For values of another kind; TypeError and ValueError likewise.
        """
        losses, scores = (
            [(int(step), float(value)) for step, value in progress.get(name, [])] for name in ("losses", "scores")
        )
        machines = [Machine(**machine) for machine in progress.get("machines", [])]
        counts = int(progress["step"]), float(progress["seconds"]), int(progress["starts"])
        return History(*counts, losses, scores, int(progress.get("since", 0)), machines)


def processor() -> str:
    """The name of this machine's processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.processor() or platform.machine(),
    )


# By the prefix of their names in the file, "" for what is trained.
Kept = Mapping[str, tuple[nn.Module, torch.optim.Adam]]


def save(path: Path, settings: Mapping[str, Any], kept: Kept, history: History) -> None:
    """Write the state of the modules and their optimisers as one file, which replaces the one before."""
    tensors: dict[str, Tensor] = {}
    for prefix, (module, adam) in kept.items():
        tensors |= {f"{prefix}module.{name}": tensor for name, tensor in module.state_dict().items()}
        for index, moments in adam.state_dict()["state"].items():
            tensors |= {f"{prefix}adam.{index}.{name}": torch.as_tensor(value) for name, value in moments.items()}
    checkpoint.write(path, "training", tensors, {"settings": settings, "progress": asdict(history)})


def load(path: Path, settings: Mapping[str, Any], kept: Kept) -> History:
    """Put the state in ``path`` into modules and optimisers.

    Raises:
        InvalidInput: For a damaged file or one of other settings.
    """
    record, tensors = checkpoint.read(path, "training")
    check_same(path, record.get("settings"), settings, "an unfinished training")
    try:
        for prefix, (module, adam) in kept.items():
            module.load_state_dict(_below(f"{prefix}module.", tensors))
            moments: dict[int, dict[str, Any]] = {}
            for name, tensor in _below(f"{prefix}adam.", tensors).items():
                index, key = name.split(".")
                moments.setdefault(int(index), {})[key] = tensor
            adam.load_state_dict({"state": moments, "param_groups": adam.state_dict()["param_groups"]})
        return History.read(record["progress"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InvalidInput(f"the state {path} is damaged ({error}); delete it to start again") from None


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def remove(path: Path) -> None:
    """Delete the state, and what a run that was killed while writing one left behind."""
    path.unlink(missing_ok=True)
    sweep(path)


def sweep(path: Path) -> None:
    """Delete what runs that were killed while writing this state left behind."""
    for part in leftovers(path):
        part.unlink(missing_ok=True)


def check_same(path: Path, saved: Any, asked: Mapping[str, Any], what: str) -> None:
    """Refuse to go on with a file that was made with other settings, and say which."""
    before, now = _flat(saved), _flat(asked)
    if before != now:
        keys = [key for key in sorted(before.keys() | now.keys()) if before.get(key) != now.get(key)]
        told = "; ".join(f"{key} {_brief(before.get(key))} there, {_brief(now.get(key))} asked for" for key in keys)
        raise InvalidInput(
            f"{path} holds {what} with other settings: {told}. "
            "Ask for the same, give another output, or delete that file"
        )


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one with dotted keys; tuples as lists, as JSON has them."""
    if isinstance(value, Mapping):
        return {key: leaf for name, inner in value.items() for key, leaf in _flat(inner, f"{prefix}{name}.").items()}
    return {prefix.removesuffix("."): list(value) if isinstance(value, tuple) else value}


def _brief(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:12]}..."
