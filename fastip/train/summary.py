"""What is told of a training when it is over."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import torch

from .._version import __version__
from . import state


def summarise(settings: Any, history: state.History, device: torch.device) -> dict[str, Any]:
    """What a checkpoint and its log say of a training: settings, time, machine, losses, and scores where there are some."""
    machine = {
        "processor": _processor(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "fastip": __version__,
    }
    losses = {"step": [step for step, _ in history.losses], "loss": [loss for _, loss in history.losses]}
    result = {"settings": settings, "seconds": history.seconds, "starts": history.starts, "machine": machine, "losses": losses}
    if history.scores:
        result["scores"] = {"step": [step for step, _ in history.scores], "score": [score for _, score in history.scores]}
    return result


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor() or platform.machine())
