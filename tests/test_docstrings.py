"""What the docstrings say: one convention (Google's sections), true to the signatures, and clean reStructuredText.

Equations stand in ``::`` blocks or between double backticks: a bare |x| or x* means something to a page's typesetter.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import docutils.core
import docutils.nodes
import docutils.readers.standalone
import pytest
from docutils.parsers.rst import roles
from sphinx.ext.napoleon import Config
from sphinx.ext.napoleon.docstring import GoogleDocstring

import fastip
from fastip.kernels.family import Family

ROOT = Path(fastip.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
ROLES = ("class", "func", "meth", "mod", "attr", "exc", "data", "ref", "doc", "math")
FACES = ("", *sorted(name for name in fastip.__all__ if isinstance(getattr(fastip, name), ModuleType)))
_SECTION = re.compile(
    r"^(Args|Returns|Raises|Yields|Attributes|References|Example|Examples|Note|Warning):$", re.MULTILINE
)

for role in ROLES:
    roles.register_local_role(role, roles.GenericRole(role, docutils.nodes.literal))


def docstrings(path: Path) -> Iterator[tuple[str, str]]:
    """(where, docstring) of a file, its classes and its functions, those inside functions left out."""

    def visit(node: ast.AST, name: str) -> Iterator[tuple[str, str]]:
        text = ast.get_docstring(node)  # type: ignore[arg-type]
        if text:
            yield f"{path.relative_to(ROOT.parent)}:{getattr(node, 'lineno', 1)} {name}", text
        for child in node.body:  # type: ignore[attr-defined]
            if isinstance(child, ast.ClassDef) or (
                isinstance(child, ast.FunctionDef) and not isinstance(node, ast.FunctionDef)
            ):
                yield from visit(child, child.name)

    yield from visit(ast.parse(path.read_text()), "module")


def complaints(text: str) -> str:
    """What docutils says to a docstring once napoleon has turned its sections into fields."""
    heard: list[str] = []

    class Reader(docutils.readers.standalone.Reader):  # type: ignore[misc]
        def new_document(self) -> Any:
            document = super().new_document()
            document.reporter.attach_observer(lambda said: heard.append(said.astext()) if said["level"] > 1 else None)
            return document

    page = str(GoogleDocstring(text, Config(napoleon_use_rtype=False, napoleon_use_ivar=True)))
    docutils.core.publish_doctree(page, reader=Reader(), settings_overrides={"halt_level": 5, "warning_stream": False})
    return "; ".join(heard)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT.parent)))
def test_docstrings_are_clean_pages(path: Path) -> None:
    wrong = [f"{where}: {said}" for where, text in docstrings(path) if (said := complaints(text))]
    assert not wrong, "\n".join(wrong)


def test_the_judge_hears() -> None:
    assert "substitution" in complaints("The norm |x| of x.") and "emphasis" in complaints("A *x is bad.")
    assert not complaints("The norm ``|x|``.\n\nArgs:\n    x: An image.\n\nReturns:\n    A number.")


# ---- true to the signature -------------------------------------------------------------------------------------------


def public() -> Iterator[tuple[str, Any]]:
    """(name, object) of every function and class that the package's faces export."""
    seen = set()
    for face in FACES:
        module = getattr(fastip, face) if face else fastip
        if face and not hasattr(module, "__path__"):
            names = [
                name
                for name, value in vars(module).items()
                if getattr(value, "__module__", None) == module.__name__ and name[0] != "_"
            ]
        else:
            names = exported(Path(inspect.getfile(module)))
        for name in names:
            value = getattr(module, name)
            if (isinstance(value, type) or inspect.isroutine(value) or isinstance(value, Family)) and id(
                value
            ) not in seen:
                seen.add(id(value))
                yield f"{face}.{name}".strip("."), value


def exported(init: Path) -> list[str]:
    """``__all__``, else what is imported ``as`` itself."""
    tree = ast.parse(init.read_text())
    module = importlib.import_module(".".join(init.relative_to(ROOT.parent).parts[:-1]))
    if hasattr(module, "__all__"):
        return [name for name in module.__all__ if name != "__version__"]
    return [
        alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name == alias.asname
    ]


def sections(text: str) -> dict[str, str]:
    """Section -> its text."""
    parts = _SECTION.split(text)
    return {name: body for name, body in zip(parts[1::2], parts[2::2], strict=True)}


def parameters(value: Any) -> list[str]:
    """What a caller can give, in the signature's order."""
    found = inspect.signature(value).parameters.values()
    skip = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p.name for p in found if p.kind not in skip and not p.name.startswith("_")]


PUBLIC = dict(public())


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_public_names_describe_every_argument(name: str) -> None:
    """``Args:`` has the parameters of the signature in its order, ``Returns:`` is there where something comes back."""
    value = PUBLIC[name]
    text = inspect.getdoc(value) or ""
    assert text, "no docstring"
    found = sections(text)
    if isinstance(value, type) and (
        issubclass(value, BaseException) or getattr(value, "_is_protocol", False) or hasattr(value, "_member_map_")
    ):
        return
    named = re.findall(
        r"^    \*{0,2}(\w+)(?: \([^)]*\))?:(?= |$)", found.get("Args", found.get("Attributes", "")), re.MULTILINE
    )
    own = parameters(value)
    assert [n for n in named if n in own] == own, f"Args: {named}; signature: {own}"
    if not isinstance(value, type):
        returned = inspect.signature(value).return_annotation
        assert ("Returns" in found or "Yields" in found) == (returned not in (None, "None", inspect.Signature.empty)), (
            returned
        )
