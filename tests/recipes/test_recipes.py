"""The worked examples of CONTRIBUTING.md, one patch for each recipe, to be read beside it.

They apply to the tree as it is, touch no more files of the product than they did, and what they add works on the
reference. An edit that takes the ground from under one brings it up to date: ``git apply --3way`` the old one, mend it,
``git diff -U1 HEAD`` it is then.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cases.programs import PYTHON

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
# files below fastip/ and csrc/, and CMakeLists.txt: more of them are more places where the next one is forgotten
MOST = {"operator": 2, "pointwise_prior": 11, "kernel_prior": 8}
UNLIKE = ("__pycache__", "weights", "*.so")  # what the trial of an example does without


def touched(name: str) -> list[str]:
    """The files that a patch changes or adds."""
    return re.findall(r"^diff --git a/(\S+) b/\1$", (HERE / f"{name}.patch").read_text(), re.MULTILINE)


def product(paths: list[str]) -> list[str]:
    return [path for path in paths if path.startswith(("fastip/", "csrc/")) or path == "CMakeLists.txt"]


def apply(name: str, tree: Path, *options: str) -> None:
    """Apply a patch to a copy, whatever repository there is around it."""
    git = shutil.which("git")
    if git is None:
        pytest.skip("no git, which applies the patches")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    environment["GIT_CEILING_DIRECTORIES"] = str(tree.parent)
    command = [git, "apply", *options, str(HERE / f"{name}.patch")]
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{name}.patch no longer applies: bring it up to date\n{done.stderr}"


def test_every_patch_is_here() -> None:
    assert {path.stem for path in HERE.glob("*.patch")} == set(MOST)


@pytest.mark.parametrize("name", MOST)
def test_it_applies(name: str, tmp_path: Path) -> None:
    tree = tmp_path.resolve() / "tree"
    paths = touched(name)
    for path in paths:
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / path).exists():
            shutil.copyfile(ROOT / path, tree / path)
    before = {path: (tree / path).read_text() if (tree / path).exists() else None for path in paths}
    apply(name, tree)
    assert paths and all((tree / path).read_text() != text for path, text in before.items())


@pytest.mark.parametrize("name", MOST)
def test_it_touches_few_files(name: str) -> None:
    found = product(touched(name))
    assert 0 < len(found) <= MOST[name], found
    assert any(path.startswith("tests/cases/") for path in touched(name)), "it has no line in a table of tests"


def test_the_recipes_say_so() -> None:
    """CONTRIBUTING.md counts the same files, and names each that has to be changed."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    counted = re.findall(r"`tests/recipes/(\w+)\.patch`[^:]*: (\d+) files of the product", text)
    assert {name: int(count) for name, count in counted} == {name: len(product(touched(name))) for name in MOST}
    changed = {path for name in MOST for path in product(touched(name)) if (ROOT / path).exists()}
    forgotten = [path for path in sorted(changed) if path not in text and f"`{Path(path).name}`" not in text]
    assert not forgotten, forgotten


# ---- what they add, tried --------------------------------------------------------------------------------------------

BEGIN = """
import sys, torch, fastip
from fastip import inverses, operators, priors
assert fastip.__file__.startswith(sys.argv[1]), fastip.__file__
torch.manual_seed(0)
def prox(prior, v, step):
    return prior.bind(v, operators.Identity())(v, step)
"""
TRIALS = {
    "operator": """
for axis, dim in (("rows", 2), ("columns", 3)):
    op = operators.Flip(axis)
    x, y = torch.randn(2, 2, 3, 5, 4, dtype=torch.float64)
    assert torch.equal(op(x), x.flip(dim)) and not torch.equal(op(x), x)
    assert abs((op(x) * y).sum() - (x * op.adjoint(y)).sum()) < 1e-12
    assert torch.equal(op.adjoint(op(x)), x) and op.cogram(y.shape).value == op.norm() == 1.0
    assert "scalar" in inverses.Exact().bind(op, y, 0.1).describe()
    assert (fastip.admm(y, op, priors.L2(0.0), beta=0.1, iterations=200).x - y.flip(dim)).abs().max() < 1e-2
try:
    operators.Flip("depth")
except fastip.errors.InvalidInput as error:
    assert "rows, columns" in str(error)
else:
    raise AssertionError("nothing was refused")
""",
    "pointwise_prior": """
step, prior = 0.7, priors.RoundedL1(0.9, 0.4)
grid = torch.linspace(-3, 3, 60_001, dtype=torch.float64).reshape(-1, 1, 1, 1)
for v in torch.linspace(-2.5, 2.5, 41, dtype=torch.float64):
    best = grid.flatten()[(step * prior.value(grid) + (grid.flatten() - v).square() / 2).argmin()]
    assert abs(prox(prior, v.reshape(1, 1, 1, 1), step) - best) < 2e-4
op = operators.Blur(torch.ones(3, 3, dtype=torch.float64) / 9)
y = torch.randn(1, 2, 8, 9, dtype=torch.float64)
options = {"beta": 0.1, "iterations": 9, "tolerance": 0.0}
for inverse in (inverses.Stencil(2), inverses.Exact()):
    fused = fastip.admm(y, op, prior, inverse=inverse, **options).x
    seen = fastip.admm(y, op, prior, inverse=inverse, callback=lambda *_: None, **options).x
    assert (fused - seen).abs().max() < 1e-10
    assert (fused - fastip.admm(y, op, priors.L1(0.9), inverse=inverse, **options).x).abs().max() > 1e-3
""",
    "kernel_prior": """
step, prior = 0.7, priors.GroupL1(0.9)
lengths = torch.linspace(0, 3, 30_001, dtype=torch.float64)
for v in torch.randn(20, 1, 3, 1, 1, dtype=torch.float64):
    line = lengths.reshape(-1, 1, 1, 1) * v / v.norm()
    best = line[(step * prior.value(line) + (line - v).square().flatten(1).sum(dim=1) / 2).argmin()]
    assert (prox(prior, v, step) - best).norm() < 2e-4
v = torch.randn(1, 3, 2, 3, dtype=torch.float64, requires_grad=True)
assert torch.autograd.gradcheck(lambda x: torch.ops.fastip.group_threshold(x, 0.8), v)
assert torch.equal(fastip.kernels.group_threshold(v, 0.8).detach(), prox(priors.GroupL1(0.8), v, 1.0).detach())
""",
}


@pytest.mark.parametrize("name", MOST)
def test_it_works(name: str, tmp_path: Path) -> None:
    tree = tmp_path.resolve() / "tree"
    shutil.copytree(ROOT / "fastip", tree / "fastip", ignore=shutil.ignore_patterns(*UNLIKE))
    apply(name, tree, "--include=fastip/*")
    # without site, whose finder of an editable installation comes before every path
    path = os.pathsep.join([str(tree), *(entry for entry in sys.path if entry and Path(entry) != ROOT)])
    variables = {"PYTHONPATH": path, "FASTIP_BACKEND": "reference", "OMP_NUM_THREADS": "1"}
    command = [*PYTHON, "-S", "-c", BEGIN + TRIALS[name], str(tree)]
    done = subprocess.run(command, cwd=tree, env=os.environ | variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
