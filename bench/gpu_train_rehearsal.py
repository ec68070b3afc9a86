"""The rehearsal of ``gpu_train.py`` on a CPU: pack, train, stop, go on, join and go on here, on a few photographs."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import gpu_photographs
from fastip import checkpoint, data
from fastip.data.reduced import originals, reduced
from fastip.errors import InvalidInput
from fastip.train.engine import long_training, state
from fastip.train.engine.feed import Stage
from fastip.train.recipes import photo_denoiser
from gpu_process import INTERRUPTED
from gpu_state import Say, home, join, planned, read_parts, split

SCRIPT = pathlib.Path(__file__).with_name("gpu_train.py")


class Few(data.Pictures):
    """Patches of a few photographs for the training here; ``stop`` is called with the number of each batch."""

    endless = True

    def __init__(self, photographs: Sequence[np.ndarray], size: int, stop: Callable[[int], None] = lambda batch: None):
        self.photographs, self.size, self.stop, self.drawn = photographs, size, stop, 0

    def __len__(self) -> int:
        return len(self.photographs)

    def sized(self, size: int) -> Few:
        return Few(self.photographs, size, self.stop)

    def batch(self, indices: Sequence[int] | np.ndarray | Tensor) -> Tensor:
        self.drawn += 1
        self.stop(self.drawn)
        some = [self.photographs[int(i) % len(self.photographs)][: self.size, : self.size] for i in indices]
        return torch.from_numpy(np.stack(some)).permute(0, 3, 1, 2).float().div_(255)


# The second stage begins at step 4.
REHEARSED: dict[str, Any] = {"steps": 4000, "stages": (Stage(0.0, 2, 32), Stage(0.001, 3, 40))}


def rehearse(out: Path, say: Say) -> None:
    """Pack, train, stop, go on, join and go on here, on a few photographs; raises AssertionError where a part fails."""
    halves = [reduced(np.load(path), 2) for path, _ in originals("photos", "train")[:4]]
    photographs = [picture[:400, :400] for picture in halves]
    validation = [torch.from_numpy(p[:48, :48] / np.float32(255)).permute(2, 0, 1)[None] for p in photographs[:2]]
    out.mkdir(parents=True, exist_ok=True)
    if any(out.iterdir()):
        raise InvalidInput(f"{out} is not empty; give a new folder")
    os.environ["FASTIP_CACHE"] = str(out / "cache")  # what follows keeps its state there
    pack = out / "photographs.safetensors"
    settings = planned(Few(photographs, 32), **REHEARSED)
    say(gpu_photographs.told(pack, gpu_photographs.pack(pack, photographs, validation, settings, 400_000)))
    assert pack.stat().st_size <= 400_000
    first = _rehearsed_train(out, 600, say, interrupt=True)
    second = _rehearsed_train(out, 12, say, interrupt=False)
    assert second.step > first.step > 0 and second.starts == first.starts + 1, "it did not go on where it was"
    assert second.scores and second.scores[-1][0] == second.step - 1, "it has no score"
    assert join(out / "back").step == second.step
    say(f"joined at step {second.step}; the CPU's training goes on")
    _go_on(photographs, validation, second, say)
    folder = out / "again"
    paths, history = split(home(), folder, light=True)
    kept = read_parts(folder)
    assert kept is not None and kept.history.since == history.step > second.step
    say(f"split again: {', '.join(f'{path.stat().st_size / 1e6:.1f} MB' for path in paths)}. REHEARSED, all is well")


def _rehearsed_train(out: Path, seconds: float, say: Say, interrupt: bool) -> state.History:
    """A process that trains, interrupted soon after its second stage has begun where asked for; the history it left."""
    where = ["--pack", out / "photographs.safetensors", "--state", out / "state", "--out", out / "back"]
    command = [sys.executable, "-P", SCRIPT, "train", seconds, *where, "--device", "cpu"]
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    stages = 0
    for line in process.stdout:
        say(f"  {line.rstrip()}")
        begins = " patches of " in line
        stages += begins
        if interrupt and begins and stages == len(REHEARSED["stages"]):
            process.send_signal(signal.SIGINT)
    assert process.wait() == (INTERRUPTED if interrupt else 0), f"exit code {process.returncode}"
    here, there = read_parts(out / "state"), read_parts(out / "back")
    assert here is not None and there is not None and here.history == there.history
    return here.history


def _go_on(photographs: Sequence[np.ndarray], validation: list[Tensor], before: state.History, say: Say) -> None:
    """Three steps of the CPU's own training from the joined state."""

    def stop(batch: int) -> None:
        if batch == 3:
            os.kill(os.getpid(), signal.SIGINT)

    try:
        about = {"pictures": Few(photographs, 32, stop), "validation": validation} | REHEARSED
        long_training.go_on(
            photo_denoiser.NAME, train=partial(photo_denoiser.train_photo_denoiser, **about), progress=False
        )
    except KeyboardInterrupt:
        pass
    record = checkpoint.read_record(home(), "training")
    after = state.History.read(record["progress"])
    assert before.step < after.step < before.step + 9, (before.step, after.step)
    assert after.starts == before.starts + 1 and after.scores == before.scores
    say(f"the CPU's training went on from step {before.step} to {after.step}")
