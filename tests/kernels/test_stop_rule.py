"""The stop rule of the compiled whole solves on CPUs: what their looks found, judged again by the rule in Python.

tests/cuda/test_stop_rule.py has the scripts for the same loop.
"""

import pytest

from cases.solves import judged_loop
from cases.stop_rule import assert_follows, every_solve
from fastip.kernels.family import Implementations

native = Implementations("native")


@pytest.mark.parametrize("each_isa", ["base", "avx2", "avx512"], indirect=True)
@every_solve
def test_whole_solves_follow_the_rule(case, each_isa):
    assert_follows(case, native.solve)


@every_solve
def test_the_reference_ends_so_too(case):
    assert_follows(case, judged_loop)
