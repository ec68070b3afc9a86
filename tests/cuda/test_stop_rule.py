"""The stop rule of the compiled whole solves, on every script of the table.

The loops of the CPU and of the GPU are those of the product, and so are the kernels that judge; only what the
iterations find is played.
"""

import pytest
import torch

from cases.stop_rule import BETA, Look, assert_ends, assert_follows, every_script, every_solve
from fastip.contracts import Status
from fastip.kernels import whole_solve
from fastip.kernels.family import Implementations
from fastip.kernels.whole_solve import VERDICTS, on_gpu
from fastip.stopping import EVERY, PATIENCE

native = Implementations("native")


def played(module, gpu, script):
    """How the solve ends, and how many iterations it asked for."""
    scales, unit, sums = script.squares()
    beside = (scales.sizes.tolist(), scales.floors.tolist(), scales.norm, BETA, unit)
    rule = (script.iterations, EVERY, PATIENCE, script.tolerance)
    looks = sums.flatten().tolist() if script.tolerance > 0 else []
    (done, checks, status), history, asked = module.play(gpu, beside, looks, *rule)
    found = torch.tensor(history, dtype=torch.float64).reshape(checks, len(Look._fields), script.images)
    return (done, VERDICTS[status], found), asked


@every_script
def test_the_loop_on_cpus_judges_as_the_table_says(script, emulated_module):
    ending, asked = played(emulated_module, False, script)
    assert_ends(script, ending)
    assert asked == script.done


@pytest.mark.parametrize("order", [0, 1, 2])
@every_script
def test_the_loop_on_gpus_judges_as_the_table_says(script, order, emulated):
    """It asks for the iterations up to one more look, because it reads the verdict that late; they must not count."""
    emulated.set_order(order)
    ending, asked = played(emulated, True, script)
    assert_ends(script, ending)
    late = EVERY if script.status is not Status.ITERATIONS else 0
    assert asked == min(script.done + late, script.iterations)


@pytest.mark.parametrize("path", [1, 2], ids=["sweeps", "chip"])
@every_solve
def test_whole_solves_follow_the_rule(case, path, emulated, monkeypatch):
    monkeypatch.setattr(whole_solve, "on_gpu", lambda *arguments: on_gpu(*arguments, path=path))
    assert_follows(case, native.solve)
