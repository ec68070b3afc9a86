"""What is told of a training when it is over."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch

from ..._version import __version__
from . import state


def summarise(settings: Any, history: state.History, device: torch.device) -> dict[str, Any]:
    """What a checkpoint and its log say of a training: settings, time, machine, losses, scores where there are some."""
    machine = {
        "processor": state.processor(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "fastip": __version__,
    }
    losses = {"step": [step for step, _ in history.losses], "loss": [loss for _, loss in history.losses]}
    result = {
        "settings": settings,
        "seconds": history.seconds,
        "starts": history.starts,
        "machine": machine,
        "losses": losses,
    }
    if history.scores:
        result["scores"] = {
            "step": [step for step, _ in history.scores],
            "score": [score for _, score in history.scores],
        }
    if history.step < settings["steps"]:  # told before its end
        result["step"] = history.step
    if len(history.machines) > 1 or "step" in result:
        result["machines"] = [asdict(machine) for machine in history.machines]
    return result


def told(training: Mapping[str, Any]) -> state.History:
    """The history that :func:`summarise` told.

    Raises:
        KeyError: Where it told another thing; TypeError and ValueError likewise.
    """
    curves = {
        name: list(zip(curve["step"], curve[value], strict=True))
        for name, value in (("losses", "loss"), ("scores", "score"))
        if (curve := training.get(name))
    }
    last = training.get("step", training["settings"]["steps"])
    return state.History.read(
        {
            "step": last,
            "seconds": training["seconds"],
            "starts": training["starts"],
            "machines": training.get("machines", []),
        }
        | curves
    )
