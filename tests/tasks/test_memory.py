"""The bound of memory of a task: its advice is enough, it changes nothing but rounding, and a solve keeps it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import torch

from cases.programs import PYTHON
from cases.tasks import small
from fastip.errors import InvalidInput
from fastip.priors import memory


def test_the_advice_is_enough(tmp_path):
    """The bound that the refusal names is accepted, one that is a tenth less is not."""
    task = small("photo-sr4", tmp_path)
    y = torch.rand(1, 3, 60, 80)
    with pytest.raises(InvalidInput, match="at least") as refusal:
        task.problem(memory=1_000_000).solve(y)
    least = int(str(refusal.value).split("at least ")[1].split(" MB")[0])
    assert task.problem(memory=f"{least}MB", iterations=1).solve(y).x.shape == (1, 3, 240, 320)
    with pytest.raises(InvalidInput, match="at least"):
        task.problem(memory=(least - 2) * 10**6).solve(y)


def bounded(task, y, tile, **options):
    """The problem with just the memory for tiles of this side."""
    problem = task.problem(**options)
    shape, dtype = problem.op.input_shape(tuple(y.shape)), options["dtype"]
    held, net = memory.state(problem.op, shape, task.stride, y.dtype), problem.prior.net
    few = task.problem(**options, memory=int(held + memory.features(net, dtype) * (tile + 0.5) ** 2))
    assert (
        few.prior._fitted(y, few.op, shape).tile
        <= tile
        < min(shape[2:])
        < problem.prior._fitted(y, problem.op, shape).tile
    )
    return few


@pytest.mark.parametrize(("dtype", "rounding"), [(torch.float32, 1e-5), (torch.bfloat16, 1e-3)])
@pytest.mark.parametrize(
    ("name", "boundary"),
    [("photo-sr4-wide", "circular"), ("photo-sr4-wide", "valid"), ("photo-deblur-motion", "reflect")],
)
def test_tiled_equals_whole(tmp_path, name, boundary, dtype, rounding):
    """The bound changes nothing but rounding: no seams."""
    task = small(name, tmp_path)
    y = torch.rand(1, 3, *((60, 43) if task.stride == 4 else (181, 130)), generator=torch.Generator().manual_seed(3))
    whole = task.problem(boundary=boundary, dtype=dtype)
    tiled, expected = bounded(task, y, 100, boundary=boundary, dtype=dtype).solve(y).x, whole.solve(y).x
    assert float((tiled - expected).abs().max()) < rounding * max(1.0, float(expected.abs().max()))


def test_a_constant_stays_constant(tmp_path):
    y = torch.full((1, 3, 181, 130), 0.4)
    x = bounded(small("photo-deblur-motion", tmp_path), y, 100, boundary="circular", dtype=torch.float32).solve(y).x
    assert float(x.std(dim=(2, 3)).max()) < 1e-5


MEASURE = """
import sys, torch
from pathlib import Path
sys.path.insert(0, {tests!r})
from cases.tasks import small
torch.set_num_threads(1)
task = small("photo-sr4-wide", Path({folder!r}), widths=(16, 32), blocks=(1, 1))
status = Path("/proc/self/status")  # ru_maxrss would begin with that of the parent
peak = lambda: next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM"))
task.problem(dtype=torch.float32).solve(torch.rand(1, 3, 16, 16))
before = peak()
y = torch.rand(1, 3, 112, 112)
for bound in ({bound}, 10**10):
    task.problem(memory=bound, dtype=torch.float32, iterations=1).solve(y)
    print(peak() - before)
"""


def test_the_bound_is_kept(tmp_path):
    """Peak resident memory of a solve, in a process of its own.

    It is below the bound, which the untiled network would break.
    """
    bound = 70_000_000
    script = MEASURE.format(tests=str(Path(__file__).parents[1]), folder=str(tmp_path), bound=bound)
    done = subprocess.run([*PYTHON, "-c", script], capture_output=True, text=True, check=True)
    tiled, whole = map(int, done.stdout.split())
    assert 10_000_000 < tiled < bound < whole, (tiled, whole)
