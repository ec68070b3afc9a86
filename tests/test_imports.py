"""The house: imports go down only and never in a circle, rooms are small, private names stay at home.

Every import of the package by itself is read from the source, those by a string too.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import fastip

LAYERS = (
    ("_version", "_C"),
    ("errors", "forks"),
    ("tracing",),
    ("arrays",),
    ("placement", "io", "solution", "terms", "noise"),
    ("contracts", "streams"),
    ("stopping",),
    ("kernels",),
    ("operators", "nets"),
    ("fidelities", "inverses", "priors"),
    ("solvers",),
    ("explanation", "interop"),
    ("metrics", "rec", "curves"),
    ("restorer",),
    ("checkpoint", "data"),
    ("tasks", "figures"),
    ("train",),
    ("bench",),
    ("experiments",),
    ("web",),
    ("cli",),
    ("__main__",),
)
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
ROOT = Path(__file__).parents[1] / "fastip"
FILES = sorted(ROOT.rglob("*.py"))
MODULES = 20  # in a folder
PARAMETERS = 12  # of a function


def module_of(path: Path) -> tuple[str, ...]:
    """The parts of a file's module below ``fastip``: ('kernels', 'choose'); of a package those of its folder."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


PATHS = {module_of(path): path for path in FILES}


def imported(path: Path) -> Iterator[tuple[str, ...]]:
    """The parts below ``fastip`` of each module that the file imports: ('kernels', 'native')."""
    package = ("fastip", *path.relative_to(ROOT).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [tuple(alias.name.split(".")) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            base += tuple(node.module.split(".")) if node.module else ()
            names = [(*base, alias.name) for alias in node.names]
        elif isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "import_module":
            literal = node.args[0]
            names = [tuple(literal.value.split("."))] if isinstance(literal, ast.Constant) else []
        else:
            continue
        yield from (name[1:] for name in names if name[0] == "fastip")


def edges() -> Iterator[tuple[Path, str, tuple[str, ...]]]:
    """(file, its top-level name, what it imports) for each import below the root."""
    for path in FILES:
        own = path.relative_to(ROOT).parts[0].removesuffix(".py")
        if own == "__init__":
            continue
        for target in imported(path):
            yield path.relative_to(ROOT), own, target


def upward(own: str, target: tuple[str, ...]) -> bool:
    """Whether ``own`` may not import ``target``."""
    if target == ("__version__",):
        return False
    if not target or target[0] not in RANK:  # the face itself, which knows all but what stands on it
        return RANK[own] < RANK["tasks"]
    if target[0] == own:
        return False
    if (own, target) == ("operators", ("explanation", "usual")):
        return False  # operators.check tells what "auto" does with one: asked for in its function, when it is called
    if own == "solvers" and target[0] in ("inverses", "priors"):
        return target[:2] != ("inverses", "auto")
    if target[0] == "_C":
        return own != "kernels"
    return RANK[target[0]] >= RANK[own]


def test_every_module_has_a_layer() -> None:
    names = {
        path.name.removesuffix(".py")
        for path in ROOT.iterdir()
        if path.suffix == ".py" or (path.is_dir() and any(path.glob("*.py")))
    }
    assert names - {"__init__"} <= set(RANK), f"give these a layer: {names - {'__init__'} - set(RANK)}"


def test_imports_go_down() -> None:
    found = list(edges())
    assert len(found) > 50
    wrong = [f"{path} imports {'.'.join(target)}" for path, own, target in found if upward(own, target)]
    assert not wrong, "\n".join(wrong)


def test_the_rule_itself() -> None:
    """It refuses what it should."""
    for own, target in (
        ("errors", "arrays"),
        ("kernels", "operators.psf"),
        ("inverses", "priors"),
        ("priors", "inverses"),
        ("solvers", "priors.separable"),
        ("solvers", "inverses.exact"),
        ("operators", "_C"),
        ("io", "data"),
        ("data", "checkpoint"),
        ("solvers", "psf"),
        ("kernels", "solvers.fused"),
    ):
        assert upward(own, tuple(target.split(".")))
    for own, target in (("solvers", "inverses.auto"), ("kernels", "_C"), ("cli", "tasks"), ("io", "errors")):
        assert not upward(own, tuple(target.split(".")))
    assert upward("solvers", ())


def circles(graph: dict[tuple[str, ...], set[tuple[str, ...]]]) -> list[list[str]]:
    """The strongly connected components of more than one file (Tarjan)."""
    order: dict[tuple[str, ...], int] = {}
    low: dict[tuple[str, ...], int] = {}
    stack: list[tuple[str, ...]] = []
    found = []

    def visit(node: tuple[str, ...]) -> None:
        order[node] = low[node] = len(order)
        stack.append(node)
        for target in graph[node]:
            if target not in order:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], order[target])
        if low[node] == order[node]:
            part = [stack.pop()]
            while part[-1] != node:
                part.append(stack.pop())
            if len(part) > 1:
                found.append(sorted(".".join(name) for name in part))

    for node in graph:
        if node not in order:
            visit(node)
    return found


def test_no_circle_of_files() -> None:
    """Faces, which collect what is below them, are left out."""
    faces = {module for module, path in PATHS.items() if path.name == "__init__.py"}
    graph: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
    for module, path in PATHS.items():
        if module not in faces:
            targets = {t if t in PATHS else t[:-1] for t in imported(path)}
            graph[module] = {t for t in targets if t in PATHS and t not in faces and t != module}
    assert not circles(graph)
    assert circles({("a",): {("b",)}, ("b",): {("c",)}, ("c",): {("a",)}, ("d",): {("a",)}}) == [["a", "b", "c"]]


@pytest.mark.parametrize(
    "folder", sorted({path.parent for path in FILES}), ids=lambda folder: str(folder.relative_to(ROOT.parent))
)
def test_folders_are_small(folder: Path) -> None:
    assert len(list(folder.glob("*.py"))) <= MODULES


def test_private_names_stay_at_home() -> None:
    """Nothing imports a private name of another module."""
    wrong = []
    for path in FILES:
        for target in imported(path):
            if target and target[-1].startswith("_") and target[-1] not in ("_C", "_version", "__version__"):
                wrong.append(f"{path.relative_to(ROOT)}: {'.'.join(target)}")
    assert not wrong


def test_the_kernels_know_no_solver() -> None:
    """No bound inverse, no bound prior; the definition of a whole solve is the only loop over iterations."""
    for path in (ROOT / "kernels").rglob("*.py"):
        text = path.read_text()
        assert "BoundInverse" not in text and "BoundPrior" not in text, path


def test_functions_take_few_parameters() -> None:
    wrong = []
    for path in FILES:
        if (
            "triton" in path.parts or "cli" in path.parts or "experiments" in path.parts
        ):  # a kernel takes sizes one by one, a command has its options
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                count = len(node.args.posonlyargs + node.args.args + node.args.kwonlyargs)
                if count > PARAMETERS:
                    wrong.append(f"{path.relative_to(ROOT)}: {node.name} takes {count}")
    assert not wrong, "\n".join(wrong)


# ---- the face --------------------------------------------------------------------------------------------------------


def test_the_face_is_the_same_for_type_checkers() -> None:
    block = next(node for node in ast.parse((ROOT / "__init__.py").read_text()).body if isinstance(node, ast.If))
    told = Counter(alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names)
    assert told == Counter(set(fastip.__all__) - {"__version__"}) and dir(fastip) == sorted(fastip.__all__)
    for name in fastip.__all__:
        getattr(fastip, name)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        fastip.nothing  # noqa: B018


# modules of fastip that each loads: measured, and 10 % more are allowed
LOADED = {"fastip.metrics": 58, "fastip.admm": 144, "fastip.operators.Blur": 73, "fastip.priors.TV(1e-3)": 124}
HEAVY = ("rich", "typer", "matplotlib", "scipy", "skimage", "sklearn", "pywt", "lightning", "tensorboardX")


@pytest.mark.parametrize("code", LOADED)
def test_little_is_loaded(code: str) -> None:
    """Importing fastip loads no torch; a solve neither the training nor what draws in a terminal or on paper.

    Torch comes first.
    """
    asked = f"import fastip, sys; assert 'torch' not in sys.modules; {code}; names = list(sys.modules); print(*names)"
    loaded = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True).stdout.split()
    assert not [name for name in loaded if name.split(".")[0] in HEAVY or name.startswith("fastip.train")]
    ours = [name for name in loaded if name.startswith("fastip.") and name != "fastip._version"]
    assert loaded.index("torch") < min(map(loaded.index, ours))
    assert len(ours) <= 1.1 * LOADED[code], f"{len(ours)} modules: {ours}"
