"""The long training of the photograph denoiser for some seconds on a GPU, from a state of the CPU's and back into it.

The commands::

    python bench/gpu_train.py pack FILE              photographs and settings in one file of at most 25 MB
    python bench/gpu_train.py split FOLDER           the state that is kept here, as parts of at most 16 MiB
    python bench/gpu_train.py carry FILE FOLDER      what travels, and its size; fails above 60 MB
    python bench/gpu_train.py train SECONDS --pack FILE --state FOLDER --out OUT
    python bench/gpu_train.py join OUT               parts into the state that `fastip train task` goes on from here
    python bench/gpu_train.py --rehearse OUT         all of it on this CPU, on a few photographs, in a minute

The steps (``gpu_steps.py``) are those of fastip.train.recipes.photo_denoiser: loss, stages, learning rates, clipping
and averages are its own or equal to them; only the random numbers are the device's. On CUDA a step is one graph that is
replayed; where it cannot be captured the output says so and the steps are launched one operation at a time. FOLDER is
read, where it holds parts, and written every minute, OUT gets copies; without parts the training begins from the
shipped weights, as it does on the CPU. Each file appears whole, and whenever the program is killed one whole state can
be read.

train exits with 0 at its end, 130 or 143 after SIGINT or SIGTERM, 3 where there is no device, 1 for other trouble.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import pathlib
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

sys.path.insert(0, str(pathlib.Path(__file__).parent))  # python -P leaves it out
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))  # the package, where it is not installed

import torch
from torch import Tensor

import gpu_carry
import gpu_photographs
import gpu_train_rehearsal
from fastip import checkpoint, data
from fastip.errors import FastipError, InvalidInput
from fastip.train.engine import loop, schedule, state
from fastip.train.engine.interrupt import Interrupts
from fastip.train.recipes import photo_denoiser
from gpu_process import INTERRUPTED, ROOT, interruptible
from gpu_state import Say, begun, home, join, planned, read_parts, split, write_parts
from gpu_steps import Descent, Steps

NO_DEVICE = 3
SAVE, LINE = 60.0, 10.0  # seconds between two states, and between two lines
RESERVE = 15.0  # seconds for the score and the last state, a tenth of the time where that is less
CHECK = 20  # steps between two looks at the loss on a GPU, where each look waits for all that was asked of it


# ---- for some seconds ------------------------------------------------------------------------------------------------


@dataclass
class Course:
    """The steps of one call, its clock, and what it says and writes."""

    descent: Descent
    steps: Steps
    folders: list[Path]
    until: float  # by time.monotonic
    say: Say

    def run(self, validation: list[Tensor]) -> state.History:
        """Steps until the time is over, the training ends or a signal comes; then the score, where no signal came.

        Raises loop.Diverged where the loss is no number: the last state stays.
        """
        history = self.descent.history
        history.starts += 1
        history.ran_on(state.Machine.this(self.descent.device))
        self.before = self.kept_at = time.monotonic()
        self.told, self.told_at = -math.inf, history.step
        with Interrupts() as interrupts:
            for step in range(history.step, self.descent.settings["steps"]):
                self._look(self.steps(step), step)
                if interrupts.pending is not None or self.before > self.until:
                    break
            self._settle()
            self._keep()
            scored = bool(history.scores) and history.scores[-1][0] >= history.step - 1
            if validation and interrupts.pending is None and not scored and history.step:
                history.scores.append((history.step - 1, self.descent.score(validation)))
                self.say(f"step {history.step}: score {history.scores[-1][1]:.3f} dB on {len(validation)} pictures")
                self._keep()
        return history

    def _look(self, loss: Tensor, step: int) -> None:
        """Note the step, and say and keep what is due."""
        history, total = self.descent.history, self.descent.settings["steps"]
        history.step = step + 1
        due = step % max(1, total // loop.POINTS) == 0 or history.step == total
        every = CHECK if self.descent.device.type == "cuda" else 1
        if not due and history.step % every:
            return
        value = float(loss)  # waits for the device: from here on the clock is right
        if not math.isfinite(value):
            raise loop.Diverged(f"the loss is {value} after {history.step} steps; the state before is kept")
        if due:
            history.losses.append((step, value))
        now = self._settle()
        if now - self.told > LINE:
            rate = (history.step - self.told_at) / (now - self.told)
            speed = f", {rate:.2f} steps/s" if rate else ""
            self.say(f"step {history.step} of {total}: loss {value:.4f}{speed}")
            self.told, self.told_at = now, history.step
        if now - self.kept_at > SAVE:
            self._keep()

    def _settle(self) -> float:
        """Count the time until now, which is returned."""
        if self.descent.device.type == "cuda":
            torch.cuda.synchronize()
        now = time.monotonic()
        self.descent.history.seconds += now - self.before
        self.before = now
        return now

    def _keep(self) -> None:
        begin = time.monotonic()
        paths = write_parts(self.folders, self.descent.kept())
        self.kept_at = time.monotonic()
        size = sum(path.stat().st_size for path in paths) / 1e6
        spent = self.kept_at - begin
        self.say(f"step {self.descent.history.step}: kept, {len(paths)} files, {size:.1f} MB, {spent:.2f} s")


def train(seconds: float, pack: Path, folder: Path, out: Path | None, device: torch.device, say: Say) -> state.History:
    """Train for so many seconds, loading, score and last state included; the history then."""
    start = time.monotonic()
    say(f"device: {state.Machine.this(device).device}, torch {torch.__version__}")
    held = gpu_photographs.unpack(pack)
    kept = read_parts(folder)
    if kept is None:
        kept = begun(held.settings, say)
    state.check_same(pack, held.settings, kept.settings, "photographs for a training")
    smallest = min(stage["size"] for stage in kept.settings["stages"])
    pictures = gpu_photographs.scales(held.photographs, smallest)
    torch.manual_seed(schedule.stream(kept.settings["seed"], kept.history.step, -1))  # other numbers than the CPU's
    with _prepared(device):
        photographs = gpu_photographs.Photographs(pictures, device)
        descent = Descent(kept, device)
        until = start + seconds - min(RESERVE, 0.1 * seconds)
        folders = [folder] if out is None else [folder, out]
        size = photographs.flat.numel() / 3e6
        where = f"step {kept.history.step}, Adam began at {kept.history.since}"
        say(f"{len(pictures)} pictures, {size:.1f} megapixels; {where}")
        say(f"ready after {time.monotonic() - start:.1f} s")
        return Course(descent, Steps(descent, photographs, say), folders, until, say).run(held.validation)


@contextlib.contextmanager
def _prepared(device: torch.device) -> Iterator[None]:
    """On CUDA all runs on one stream that a graph can be captured on, convolutions by the fastest kernels."""
    if device.type != "cuda":
        yield
        return
    with torch.backends.cudnn.flags(enabled=True, benchmark=True), torch.cuda.stream(torch.cuda.Stream(device)):
        yield
    torch.cuda.synchronize()


# ---- here, before ----------------------------------------------------------------------------------------------------


def pack_here(path: Path, most: int, say: Say) -> None:
    """Pack what the training here learns from, reduced by 2, what it is scored on, and its settings."""
    pictures = photo_denoiser.training_pictures()
    settings = checkpoint.read_record(home(), "training")["settings"] if home().exists() else planned(pictures)
    halves = [picture for picture in pictures.photographs if Path(cast(Any, picture).filename).stem.endswith("-2")]
    say(gpu_photographs.told(path, gpu_photographs.pack(path, halves, data.validation_photographs(), settings, most)))


def carried(paths: Sequence[Path], without: list[str], root: Path = ROOT) -> tuple[list[str], int]:
    """What travels, as lines, and its bytes: the checkout but for ``without``, and these paths below it."""
    try:
        names = [str(path.resolve().relative_to(root.resolve())) for path in paths]
    except ValueError as error:
        raise InvalidInput(f"what is carried must lie in the checkout, such as in build/: {error}") from None
    return gpu_carry.report(root, names, without)


# ---- the command line ------------------------------------------------------------------------------------------------


def arguments() -> argparse.ArgumentParser:
    """What can be asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rehearse", type=Path, metavar="OUT", help="all of it on this CPU, into a new folder")
    commands = parser.add_subparsers(dest="command")
    packing = commands.add_parser("pack", help="photographs and settings in one file")
    packing.add_argument("file", type=Path)
    packing.add_argument("--megabytes", type=float, default=gpu_photographs.MOST / 1e6, help="25 by default")
    splitting = commands.add_parser("split", help="the state that is kept here, as parts")
    splitting.add_argument("folder", type=Path)
    splitting.add_argument("--light", action="store_true", help="without Adam's moments: half as large")
    training = commands.add_parser("train", help="so many seconds, all included")
    training.add_argument("seconds", type=float)
    for name in ("pack", "state", "out"):
        training.add_argument(f"--{name}", type=Path, required=name != "out")
    training.add_argument("--device", default="cuda", help="cuda by default")
    joining = commands.add_parser("join", help="parts into the state that is kept here")
    joining.add_argument("folder", type=Path)
    carrying = commands.add_parser("carry", help="what travels, and its size")
    carrying.add_argument("paths", type=Path, nargs="+", metavar="PATH", help="the pack, and the folder of parts")
    carrying.add_argument("--without", action="append", default=[], metavar="PATH", help="as if this were left out")
    return parser


def perform(given: argparse.Namespace, say: Say) -> int:
    """One command; its exit code."""
    if given.rehearse is not None:
        gpu_train_rehearsal.rehearse(given.rehearse.resolve(), say)
    elif given.command == "pack":
        pack_here(given.file, round(1e6 * given.megabytes), say)
    elif given.command == "split":
        paths, history = split(home(), given.folder, given.light)
        say(f"step {history.step}: {', '.join(f'{p.name} {p.stat().st_size:,} bytes' for p in paths)}")
    elif given.command == "carry":
        lines, total = carried(given.paths, given.without)
        print("\n".join(lines))
        return int(total > gpu_carry.MOST)
    elif given.command == "join":
        say(f"{home()} is at step {join(given.folder).step}; go on with: fastip train task {photo_denoiser.NAME}")
    elif given.device.startswith("cuda") and not torch.cuda.is_available():
        say("no CUDA device answers; --device cpu trains on this processor")
        return NO_DEVICE
    else:
        train(given.seconds, given.pack, given.state, given.out, torch.device(given.device), say)
    return 0


def main(words: Sequence[str] | None = None) -> int:
    """A command, with its troubles told in one line."""
    parser = arguments()
    given = parser.parse_args(words)
    if given.rehearse is None and given.command is None:
        parser.error("give a command, or --rehearse OUT")
    interruptible()
    start = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - start:7.1f} s  {text}", flush=True)

    try:
        return perform(given, say)
    except FastipError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        say("interrupted; what is kept stays")
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
