"""The bound of memory: what it is read from, the tiles that follow from it, and that a solve keeps it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fastip import nets, operators, psf
from fastip.errors import InvalidInput
from fastip.tasks import memory
from task_cases import network, small


@pytest.mark.parametrize(
    ("given", "bytes_"),
    [(7, 7), ("2GB", 2 * 10**9), ("800 mb", 8 * 10**8), ("1.5GiB", 3 * 2**29), ("64k", 64_000), (".5g", 5 * 10**8), ("12", 12), ("3TiB", 3 * 2**40)],
)
def test_sizes_as_people_write_them(given, bytes_):
    assert memory.parse(given) == bytes_


@pytest.mark.parametrize("given", [0, -5, True, 1.5, None, "", "GB", "two GB", "2XB", "-1GB", "1e9", "inf", "2i", "0GB"])
def test_what_is_no_size(given):
    with pytest.raises(InvalidInput, match="memory is"):
        memory.parse(given)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_tile_is_the_largest_that_fits(dtype):
    net = network(3, 3, 4, widths=(16, 32))
    shape, op = (1, 3, 4000, 3000), operators.Blur(psf.gaussian(9, 1.6), stride=4)
    held, each = memory.state(op, shape, 4, torch.float32), memory.features(net, dtype)
    assert memory.state(op, shape, 4, torch.float64) == 2 * held
    assert memory.state(operators.Blur(op.psf, stride=4, boundary="reflect"), shape, 4, torch.float32) > held  # conjugate gradients keep more
    for spare in (30e6, 100e6):
        side = memory.tile(net, shape, held, bound=int(held + spare), dtype=dtype)
        assert nets.Tiled.smallest(net) <= side and each * side**2 <= spare < each * (side + 1) ** 2
    assert memory.tile(net, shape, held, bound=10**12, dtype=dtype) == memory.LARGEST_TILE
    with pytest.raises(InvalidInput, match=r"with 3 channels would take about (\d+) MB, and memory is bound to 500 MB; raise the bound to at least \1 MB"):
        memory.tile(net, shape, held, bound=500_000_000, dtype=dtype)


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
    assert few.prior._fitted(y, few.op, shape).tile <= tile < min(shape[2:]) < problem.prior._fitted(y, problem.op, shape).tile
    return few


@pytest.mark.parametrize(("dtype", "rounding"), [(torch.float32, 1e-5), (torch.bfloat16, 1e-3)])
@pytest.mark.parametrize(("name", "boundary"), [("photo-sr4-wide", "circular"), ("photo-sr4-wide", "valid"), ("photo-deblur-motion", "reflect")])
def test_tiled_equals_whole(tmp_path, name, boundary, dtype, rounding):
    """The bound changes nothing but rounding: no seams."""
    task = small(name, tmp_path)
    y = torch.rand(1, 3, *((60, 43) if task.stride == 4 else (181, 130)), generator=torch.Generator().manual_seed(3))
    whole = task.problem(boundary=boundary, dtype=dtype)
    assert float((bounded(task, y, 100, boundary=boundary, dtype=dtype).solve(y).x - whole.solve(y).x).abs().max()) < rounding


def test_a_constant_stays_constant(tmp_path):
    y = torch.full((1, 3, 181, 130), 0.4)
    x = bounded(small("photo-deblur-motion", tmp_path), y, 100, dtype=torch.float32).solve(y).x
    assert float(x.std(dim=(2, 3)).max()) < 1e-5


MEASURE = """
import sys, torch
from pathlib import Path
sys.path.insert(0, {tests!r})
from task_cases import small
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
    """Peak resident memory of a solve, in a process of its own: below the bound, which the untiled network would break."""
    bound = 70_000_000
    script = MEASURE.format(tests=str(Path(__file__).parents[1]), folder=str(tmp_path), bound=bound)
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True)
    tiled, whole = map(int, done.stdout.split())
    assert 10_000_000 < tiled < bound < whole, (tiled, whole)
