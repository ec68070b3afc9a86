"""The stop rule of the compiled whole solves on CPUs: what their looks found, judged again by the rule in Python.

tests/cuda/test_stop_rule.py has the scripts for the same loop.
"""

import pytest
import torch

from cases.solves import SHAPES, any_size, assert_judged_alike, assert_looks_agree, judged_loop
from cases.stop_rule import assert_follows, every_solve
from fastip.kernels.family import Implementations

native = Implementations("native")


@pytest.mark.parametrize("each_isa", ["base", "avx2", "avx512"], indirect=True)
@every_solve
def test_whole_solves_follow_the_rule(case, each_isa):
    assert_follows(case, native.solve)


@pytest.mark.parametrize("each_isa", ["base", "avx2", "avx512"], indirect=True)
@pytest.mark.parametrize("dtype, bound", [(torch.float32, 2e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("boundary", ["circular", "valid", "zero"])
@pytest.mark.parametrize("relaxation", [1.0, 1.6, 0.7])
@pytest.mark.parametrize("shape", SHAPES)
def test_looks_find_what_those_of_the_reference_loop_find(shape, relaxation, boundary, dtype, bound, each_isa):
    assert_looks_agree(native.solve, shape, boundary, relaxation, dtype, bound)


@pytest.mark.parametrize("each_isa", ["base", "avx2", "avx512"], indirect=True)
@pytest.mark.parametrize("relaxation", [1.0, 1.6])
@any_size
def test_data_of_any_size_are_judged_alike(dtype, scale, relaxation, each_isa):
    assert_judged_alike(native.solve, scale, relaxation, dtype, 2e-5 if dtype is torch.float32 else 1e-12)


@every_solve
def test_the_reference_ends_so_too(case):
    assert_follows(case, judged_loop)
