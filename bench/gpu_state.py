"""The state of the long training in parts that travel: cut, read, joined, and from and into the one that is kept here.

Whenever a program that writes parts is killed, one whole state can be read.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fastip import checkpoint, data, nets
from fastip.errors import InvalidInput
from fastip.train.engine import long_training, state
from fastip.train.engine.feed import Stage
from fastip.train.recipes import photo_denoiser

LIMIT = 16 * 2**20  # bytes of a part
HEADER = 2**18  # of them for names and the record
KIND = "part of a training"
PARTS = f"{photo_denoiser.NAME}.part-*{checkpoint.SUFFIX}"
MODULE = "module."  # the names of weights in a state, beside "adam."

Say = Callable[[str], None]


@dataclass(frozen=True)
class Kept:
    """A state in memory, with the names of the state's file."""

    settings: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    history: state.History


# ---- parts -----------------------------------------------------------------------------------------------------------


def _name(number: int, new: bool = False) -> str:
    return f"{photo_denoiser.NAME}.part-{number}{'.new' if new else ''}{checkpoint.SUFFIX}"


def write_parts(folders: Sequence[Path], kept: Kept, limit: int = LIMIT) -> list[Path]:
    """Write a state into each folder as files of at most ``limit`` bytes; those in the first folder.

    All are written under a second name, then renamed: whenever this is killed, the parts of one state are all there.
    """
    first, *others = folders
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(f".{photo_denoiser.NAME}.part-*"):
            left.unlink()
        _settle_interrupted(folder)
    cut = list(_cut(kept.tensors, limit - HEADER))
    record = {"settings": kept.settings, "progress": asdict(kept.history), "stamp": secrets.token_hex(8)}
    shapes = {name: list(tensor.shape) for name, tensor in kept.tensors.items()}
    for number, pieces in enumerate(cut):
        names = {key.rpartition("@")[0] for key in pieces}
        own = {"part": number, "of": len(cut), "shapes": {name: shapes[name] for name in names}}
        checkpoint.write(first / _name(number, new=True), KIND, pieces, record | own)
    for folder in others:
        for number in range(len(cut)):
            shutil.copyfile(first / _name(number, new=True), folder / _name(number, new=True))
    for folder in folders:
        _settle(folder, len(cut))
    return [first / _name(number) for number in range(len(cut))]


def _settle_interrupted(folder: Path) -> None:
    """Go on renaming where a kill came between two names: what is written next would take the rest of that state."""
    stamps: dict[str, dict[int, bool]] = {}
    counts = {}
    for path in folder.glob(PARTS):
        with contextlib.suppress(InvalidInput):  # a damaged part belongs to no whole state
            record = checkpoint.read_record(path, KIND)
            stamps.setdefault(record["stamp"], {})[record["part"]] = path == folder / _name(record["part"], new=True)
            counts[record["stamp"]] = record["of"]
    for stamp, parts in stamps.items():
        if len(parts) == counts[stamp] and len(set(parts.values())) == 2:
            for number in (number for number, new in parts.items() if new):
                os.replace(folder / _name(number, new=True), folder / _name(number))


def _settle(folder: Path, count: int) -> None:
    """Give so many new parts their names, and remove what is left of a state with more."""
    for number in range(count):
        os.replace(folder / _name(number, new=True), folder / _name(number))
    keep = {_name(number) for number in range(count)}
    for path in folder.glob(PARTS):
        if path.name not in keep:
            path.unlink()


def _cut(tensors: Mapping[str, Tensor], room: int) -> Iterator[dict[str, Tensor]]:
    """The tensors as pieces "name@first entry", so that each yield but the last is as full as its entries allow."""
    part: dict[str, Tensor] = {}
    left = room
    for name, tensor in tensors.items():
        flat, begin, size = tensor.detach().cpu().reshape(-1), 0, tensor.element_size()
        while begin < flat.numel():
            if left < size:
                yield part
                part, left = {}, room
            piece = flat[begin : begin + left // size]
            part[f"{name}@{begin}"] = piece.clone()
            begin, left = begin + piece.numel(), left - size * piece.numel()
    yield part


def read_parts(folder: Path) -> Kept | None:
    """The state with most steps of which all parts are there; None where there are no parts.

    Raises InvalidInput where there are parts of no whole state, and for damaged ones.
    """
    groups: dict[str, dict[int, tuple[Path, dict[str, Any]]]] = {}
    troubles = []
    for path in sorted(folder.glob(PARTS)):
        try:
            record = checkpoint.read_record(path, KIND)
            groups.setdefault(record["stamp"], {})[record["part"]] = path, record
        except InvalidInput as error:
            troubles.append(str(error))
    whole = [parts for parts in groups.values() if all(len(parts) == record["of"] for _, record in parts.values())]
    if not whole:
        if not groups and not troubles:
            return None
        found = ", ".join(f"{len(parts)} of {next(iter(parts.values()))[1]['of']}" for parts in groups.values())
        problem = f"{folder} holds parts of states, but no state whole ({found or 'none can be read'})"
        raise InvalidInput(". ".join([f"{problem}: copy them again, or remove them to begin anew", *troubles]))
    chosen = max(whole, key=lambda parts: parts[0][1]["progress"]["step"])
    return _joined([path for path, _ in chosen.values()])


def _joined(paths: Sequence[Path]) -> Kept:
    pieces: dict[str, list[tuple[int, Tensor]]] = {}
    shapes: dict[str, list[int]] = {}
    for path in paths:
        record, tensors = checkpoint.read(path, KIND)
        shapes |= record["shapes"]
        for key, piece in tensors.items():
            name, _, begin = key.rpartition("@")
            pieces.setdefault(name, []).append((int(begin), piece))
    whole = {name: torch.cat([piece for _, piece in sorted(some, key=lambda p: p[0])]) for name, some in pieces.items()}
    tensors = {name: tensor.reshape(shapes[name]) for name, tensor in whole.items()}
    return Kept(record["settings"], tensors, state.History.read(record["progress"]))


# ---- from the state that is kept here, and back into it --------------------------------------------------------------


def home() -> Path:
    """The state of the CPU's training."""
    path = long_training.files(photo_denoiser.NAME).state
    assert path is not None
    return path


def split(path: Path, folder: Path, light: bool = False, limit: int = LIMIT) -> tuple[list[Path], state.History]:
    """The state ``path`` as parts. ``light``: without Adam's moments, half as large; Adam then begins anew."""
    if not path.exists():
        message = f"there is no state {path}; without parts the training begins from the shipped weights by itself"
        raise InvalidInput(message)
    record, tensors = checkpoint.read(path, "training")
    history = state.History.read(record["progress"])
    if light:
        tensors = {name: tensor for name, tensor in tensors.items() if name.startswith(MODULE)}
        history.since = history.step
    return write_parts([folder], Kept(record["settings"], tensors, history), limit), history


def join(folder: Path) -> state.History:
    """Put the parts back into the state that ``long_training.go_on`` resumes from; its history.

    Raises InvalidInput where there are no whole parts, where what is kept has as many steps or other settings, and for
    parts that do not load; long_training.Busy while the training runs here.
    """
    kept = read_parts(folder)
    if kept is None:
        raise InvalidInput(f"{folder} holds no parts of a training; give the folder that `train` wrote into")
    place = long_training.folder(photo_denoiser.NAME)
    place.mkdir(parents=True, exist_ok=True)
    with long_training.alone(place):
        _check_newer(kept, place)
        joined = place / f"joined{checkpoint.SUFFIX}"
        try:
            tensors = dict(kept.tensors)
            record = {"settings": kept.settings, "progress": asdict(kept.history)}
            checkpoint.write(joined, "training", tensors, record)
            objective = objective_of(kept.settings)
            weights = [p for p in objective.parameters() if p.requires_grad]
            history = state.load(joined, kept.settings, {"": (objective, torch.optim.Adam(weights))})
            os.replace(joined, home())
        finally:
            joined.unlink(missing_ok=True)
    return history


def _check_newer(kept: Kept, place: Path) -> None:
    """Refuse to lose steps."""
    finished = place / f"{photo_denoiser.NAME}{checkpoint.SUFFIX}"
    if finished.exists():
        raise InvalidInput(f"{finished} is a finished training, so nothing is joined; export it, or move it away")
    if not home().exists():
        return
    record = checkpoint.read_record(home(), "training")
    state.check_same(home(), record["settings"], kept.settings, "the state")
    here, there = record["progress"]["step"], kept.history.step
    if here >= there:
        raise InvalidInput(f"{home()} is at step {here} and the parts are at step {there}: nothing is joined")


def planned(
    pictures: data.Pictures,
    *,
    steps: int = photo_denoiser.STEPS,
    stages: tuple[Stage, ...] = photo_denoiser.STAGES,
    precision: str = "bf16-mixed",
    warm_up: int = photo_denoiser.WARM_UP,
) -> dict[str, Any]:
    """The settings that ``photo_denoiser.train_photo_denoiser`` writes beside a state, as JSON values."""
    settings = photo_denoiser.settled(steps=steps, stages=stages, precision=precision, warm_up=warm_up)
    return dict(json.loads(json.dumps(photo_denoiser.record(photo_denoiser.network(), pictures, settings))))


def begun(settings: Mapping[str, Any], say: Say) -> Kept:
    """A state without moments: the shipped weights at their step, else the network's first ones."""
    start = long_training.shipped_start(photo_denoiser.NAME, say) or photo_denoiser.Start(
        photo_denoiser.network(), state.History()
    )
    if json.loads(json.dumps(start.net.config())) != settings["net"]["config"]:
        raise InvalidInput("the pack was made for a network of another shape; pack again")
    weights = start.net.state_dict()
    tensors = {f"{MODULE}{part}.{name}": tensor for part in ("net", "average") for name, tensor in weights.items()}
    return Kept(settings, tensors, start.history)


def objective_of(settings: Mapping[str, Any]) -> photo_denoiser.BalancedDenoising:
    """What is trained, its first weights unset."""
    net = nets.build(nets.PRIOR_NETS, settings["net"]["name"], dict(settings["net"]["config"])).train().requires_grad_()
    return photo_denoiser.BalancedDenoising(net, None, 0.0, 1, settings["average"])
