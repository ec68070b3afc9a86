"""The networks of the shipped tasks on a GPU: images a second of 256^2, 16 at a time and one by one.

Eager, through torch.compile, and in a CUDA graph. Weights bfloat16 in channels_last, images float32, as in a solve;
eager float32 is what they are compared with before they are timed. Counted: the products that the network states (2
operations each); cuDNN's tensor cores are the ceiling, not memory.
"""

from __future__ import annotations

import copy
import functools
from typing import Any

import pytest
import torch
from torch import Tensor

import gpu_machine
from fastip import nets, tasks
from gpu_baselines import Captured
from measure import difference, now, rounds

SIDE: int = gpu_machine.sized(256, 32)
BATCHES: tuple[int, ...] = gpu_machine.sized((16, 1), (2,))
NAMES = [task.name for task in tasks.LEARNED]
PROGRAMS = ("eager", "eager, in a CUDA graph", "torch.compile", "torch.compile, in a CUDA graph")


@functools.cache
def network(name: str) -> nets.PriorNet:
    """The trained network of a task, float32 on the device."""
    return tasks.learned(name).load().net.to(gpu_machine.device()).eval()


def inputs(net: nets.PriorNet, batch: int, side: int, device: torch.device) -> tuple[Tensor, ...]:
    """v, y and the level; the network ignores what it does not take."""
    generator = torch.Generator(device).manual_seed(0)
    v = torch.rand(batch, net.colours, side, side, generator=generator, device=device)
    y = torch.rand(
        batch, max(1, net.data_colours), side // net.stride, side // net.stride, generator=generator, device=device
    )
    return v, y, torch.full((batch,), 0.05, device=device)


@pytest.mark.benchmark(timer=now)
@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("name", NAMES)
def test_network(benchmark: Any, name: str, batch: int, program: str) -> None:
    device, net = gpu_machine.device(), network(name)
    if not isinstance(net, nets.PixelShuffleAutoencoder):
        pytest.skip(f"the network of {name} is a {type(net).__name__}")
    size = tasks.learned(name).size
    side = SIDE if size is None else size[0]
    given = inputs(net, batch, side, device)
    expected = net(*given)
    half = copy.deepcopy(net).to(dtype=torch.bfloat16, memory_format=torch.channels_last)
    if program.startswith("torch.compile"):
        torch._dynamo.reset()
    run: Any = torch.compile(half, dynamic=False) if program.startswith("torch.compile") else half
    run = Captured(run, *given) if program.endswith("CUDA graph") else run
    run(*given)
    x, count = rounds(lambda: run(*given), gpu_machine.sized(0.5, 0.1), 200)
    error = difference(x, expected)
    assert error < 2e-2, f"another result than in float32: relative difference {error:.1e}"
    benchmark.group = f"GPU, network of {name}, {batch} of {side}²"
    benchmark.pedantic(run, args=given, rounds=max(count, 5), warmup_rounds=2)
    operations = 2 * net.products * batch * side**2
    benchmark.extra_info.update(
        kind="gpu network", program=program, images=batch, operations=operations, difference=error
    )
