"""Imports go down only: every import of the package by itself is read from the source and compared with the layers."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import fastip

LAYERS = (
    ("_version", "_C"),
    ("errors",),
    ("arrays", "files", "tracing"),
    ("contracts", "streams"),
    ("stopping", "tiles"),
    ("kernels",),
    ("operators", "nets"),
    ("inverses", "priors"),
    ("solvers",),
    ("metrics", "io", "rec"),
    ("vectors",),
    ("checkpoint", "data"),
    ("shipped",),
    ("tasks", "figures"),
    ("train",),
    ("demo", "bench"),
    ("experiments",),
    ("cli_console", "cli_train_prior"),
    ("cli_train_gan",),
    ("cli_degrade", "cli_restore", "cli_train", "cli_experiment", "cli_data"),
    ("cli",),
    ("__main__",),
)
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
ROOT = Path(__file__).parents[1] / "fastip"


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
        else:
            continue
        yield from (name[1:] for name in names if name[0] == "fastip")


def edges() -> Iterator[tuple[Path, str, tuple[str, ...]]]:
    """(file, its top-level name, what it imports) for each import below the root."""
    for path in sorted(ROOT.rglob("*.py")):
        own = path.relative_to(ROOT).parts[0].removesuffix(".py")
        if own == "__init__":
            continue
        for target in imported(path):
            yield path.relative_to(ROOT), own, target


def upward(own: str, target: tuple[str, ...]) -> bool:
    """Whether ``own`` may not import ``target``."""
    if not target or target[0] not in RANK:  # the face itself, which imports all but what stands on it
        return RANK[own] < RANK["tasks"]
    if target[0] == own:
        return False
    if own == "solvers" and target[0] in ("inverses", "priors"):
        return target[:2] != ("inverses", "auto")
    if target[0] == "_C":
        return own != "kernels"
    return RANK[target[0]] >= RANK[own]


def test_every_module_has_a_layer() -> None:
    names = {path.name.removesuffix(".py") for path in ROOT.iterdir() if path.suffix == ".py" or (path.is_dir() and any(path.glob("*.py")))}
    assert names - {"__init__"} <= set(RANK), f"give these a layer: {names - {'__init__'} - set(RANK)}"


def test_imports_go_down() -> None:
    found = list(edges())
    assert len(found) > 50
    wrong = [f"{path} imports {'.'.join(target)}" for path, own, target in found if upward(own, target)]
    assert not wrong, "\n".join(wrong)


def test_the_rule_itself() -> None:
    """It refuses what it should."""
    assert upward("errors", ("arrays",)) and upward("kernels", ("operators", "psf")) and upward("inverses", ("priors",)) and upward("priors", ("inverses",))
    assert (
        upward("solvers", ("priors", "l1"))
        and upward("solvers", ("inverses", "exact"))
        and upward("operators", ("_C",))
        and upward("io", ("data",))
        and upward("data", ("checkpoint",))
    )
    assert not upward("solvers", ("inverses", "auto")) and not upward("kernels", ("_C",)) and not upward("cli", ("tasks",)) and not upward("io", ("errors",))
    assert upward("solvers", ("psf",)) and upward("solvers", ()) and not upward("demo", ("psf",))


def test_torch_is_imported_before_the_extension() -> None:
    """The first import of the package is torch: its OpenMP runtime then serves the compiled kernels too."""
    tree = ast.parse((ROOT / "__init__.py").read_text())
    first = next(node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom) and getattr(node, "module", "") != "__future__")
    assert isinstance(first, ast.Import) and first.names[0].name == "torch"
    assert Path(fastip.__file__).parent.name == "fastip"
