"""What a start costs: modules that are loaded beyond PyTorch's, processor time beside PyTorch's, quick answers."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys

import pytest

# Modules that fastip loads beyond those of PyTorch, and its processor time as a share of PyTorch's: measured, and 10 %
# more of the modules are allowed. The share is allowed to double: it moves with what else the machine does.
BASELINE = {"fastip": (4, 0.01), "fastip.admm": (154, 0.25)}
HEAVY = ("rich", "typer", "matplotlib", "scipy", "skimage", "sklearn", "pywt", "lightning", "tensorboardX", "triton")
CODE = """
import json, sys, time
begun = time.process_time()
import torch
between, before = time.process_time(), set(sys.modules)
import fastip
{}
print(json.dumps([between - begun, time.process_time() - between, sorted(set(sys.modules) - before)]))
"""


def started(code: str) -> tuple[float, list[str]]:
    """The processor time of fastip as a share of PyTorch's in the same process, and the modules that it loaded."""
    ran = subprocess.run([sys.executable, "-c", CODE.format(code)], capture_output=True, text=True, check=True)
    torch, own, names = json.loads(ran.stdout)
    return own / torch, names


@pytest.mark.parametrize("code", BASELINE)
def test_little_is_loaded_beyond_torch(code: str) -> None:
    modules, share = BASELINE[code]
    for _ in range(3):  # the least of a few
        found, names = started(code)
        if found <= 2 * share:
            break
    heavy = [name for name in names if name.split(".")[0] in HEAVY or name.startswith("fastip.train")]
    assert not heavy and len(names) <= 1.1 * modules, f"{len(names)} modules: {names}"
    assert found <= 2 * share, f"{code} takes {found:.3f} of the time of import torch; it was {share}"


def seconds(*words: str) -> float:
    """Processor time of a process of Python."""
    begun = os.times()
    subprocess.run([sys.executable, *words], capture_output=True, timeout=120)
    ended = os.times()
    return sum(ended[2:4]) - sum(begun[2:4])


@functools.cache
def slowness() -> float:
    """How much slower this machine is than one where Typer and Rich's console are loaded in a fifth of a second."""
    return max(1.0, min(seconds("-c", "import typer, rich.console") for _ in range(3)) / 0.2)


@pytest.mark.parametrize("words", ["--help", "--version", "--wrong"])
def test_answers_that_need_nothing_take_half_a_second(words: str) -> None:
    """That they load no torch is tested with the command line."""
    for _ in range(4):
        taken = seconds("-m", "fastip", words)
        if taken <= 0.5:
            return
    assert taken <= 0.5 * slowness(), f"fastip {words} takes {taken:.2f} s"
