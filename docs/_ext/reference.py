"""Writes the pages of the reference, one for each public name, and leads cross-references to them.

A name is documented where users find it (``fastip.priors.TV``), annotations and docstrings name where it lives
(``fastip.priors.tv.TV``): ``missing-reference`` and ``autodoc-process-bases`` turn the second into the first.
"""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from pathlib import Path
from typing import Any

import names
from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.ext.napoleon.docstring import GoogleDocstring
from sphinx.util.inspect import stringify_signature
from typing_extensions import Unpack

HEADS = {"function": "Functions", "class": "Classes", "family": "Kernels", "data": "Values"}
PUBLIC = dict(names.public())
PAGES = {  # where an object lives -> where its page is
    f"{name.value.__module__}.{name.value.__qualname__}": name.page
    for found in PUBLIC.values()
    for name in found
    if name.kind in ("class", "function")
}
SHORT = {full.rpartition(".")[2]: page for full, page in sorted(PAGES.items(), reverse=True)}


def title(text: str, line: str = "=") -> str:
    """A heading."""
    return f"{text}\n{line * len(text)}\n\n"


def first_line(value: Any) -> str:
    """What a docstring says first."""
    return " ".join((inspect.getdoc(value) or "").split("\n\n")[0].split())


def comment(name: names.Name) -> str:
    """What stands beside the assignment of a value, or above it."""
    short = name.full.rpartition(".")[2]
    for key, module in sorted(sys.modules.items()):
        if not key.startswith("fastip.") or vars(module).get(short) is not name.value or not module.__file__:
            continue
        source = Path(module.__file__).read_text()
        lines = source.splitlines()
        for node in ast.parse(source).body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            if [getattr(target, "id", None) for target in targets] == [short]:
                beside = lines[node.lineno - 1].partition("  # ")[2]
                first = node.lineno - 1
                while lines[first - 1].startswith("# "):
                    first -= 1
                return beside or " ".join(line.removeprefix("# ") for line in lines[first : node.lineno - 1])
    return ""


def entry(name: names.Name) -> str:
    """A value on the page of its face: its type, what is in it, what the source says of it."""
    value = name.value
    text = f".. py:data:: {name.full.rpartition('.')[2]}\n   :type: {type(value).__name__}\n"
    if isinstance(value, (int, float, str)):
        text += f"   :value: {value!r}\n"
    said = comment(name)
    text += f"\n   {said[:1].upper()}{said[1:]}\n" if said else "\n"
    if isinstance(value, dict) or (isinstance(value, tuple) and all(isinstance(item, str) for item in value)):
        text += f"\n   Has {', '.join(f'``{item}``' for item in value)}.\n"
    return text + "\n"


def page(name: names.Name) -> str:
    """The page of a function, a class or a family of kernels.

    It is no part of the tree of pages: a sidebar of 300 names on each of 300 pages took two minutes and served nobody.
    """
    face = name.full.rpartition(".")[0]
    text = f":orphan:\n\n{title(name.full)}Part of :doc:`{face} <face-{face.rpartition('.')[2]}>`.\n\n"
    if name.kind == "family":  # an instance: autodoc would show its class
        body = str(GoogleDocstring(inspect.getdoc(name.value) or "", what="function", name=name.full))
        head = f".. py:function:: {name.full}{inspect.signature(name.value)}\n\n".replace("Tensor'", "Tensor")
        return text + head + textwrap.indent(body, "   ") + "\n"
    if name.kind == "function":
        return text + f".. autofunction:: {name.full}\n"
    text += f".. autoclass:: {name.full}\n   :members:\n   :show-inheritance:\n"
    return text + ("   :undoc-members:\n" if hasattr(name.value, "_member_map_") else "")


def face_page(face: str, found: list[names.Name]) -> str:
    """The page of a face: its first words, then its names by kind."""
    module = names.module(face)
    text = title(f"fastip.{face}".rstrip("."))
    text += f".. py:module:: fastip.{face}\n\n" if face else ".. py:module:: fastip\n\n"
    text += f"{inspect.getdoc(module) or ''}\n\n"
    for kind, head in HEADS.items():
        chosen = [name for name in found if name.kind == kind and type(name.value).__name__ != "TypeVar"]
        if not chosen:
            continue
        text += title(head, "-")
        if kind == "data":
            text += "".join(entry(name) for name in chosen)
            continue
        role = "class" if kind == "class" else "func"
        for name in chosen:
            short = name.full.rpartition(".")[2]
            text += f":py:{role}:`{short} <{name.page}>`\n    {first_line(name.value)}\n\n"
    return text


def write(app: Sphinx) -> None:
    """Writes the folder ``api``; a page that says the same is left alone, so that it is not read again."""
    folder = Path(app.srcdir) / "api"
    folder.mkdir(exist_ok=True)
    texts = {"index.rst": title("API") + INDEX + "".join(f"   face-{face or 'fastip'}\n" for face in PUBLIC)}
    for face, found in PUBLIC.items():
        texts[f"face-{face or 'fastip'}.rst"] = face_page(face, found)
        for name in found:
            if name.page == name.full and name.kind != "data":
                texts[f"{name.full}.rst"] = page(name)
    for path in folder.glob("*.rst"):
        if path.name not in texts:
            path.unlink()
    for file, text in texts.items():
        path = folder / file
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


INDEX = """Everything that is public, by the module in which it is found. ``import fastip`` is enough to reach all
of it: each part is loaded at its first use.

.. toctree::
   :maxdepth: 1

"""


def bases(app: Sphinx, name: str, value: type, options: Any, found: list[Any]) -> None:
    """Names public bases by their pages, and leaves out the rest."""
    public = [PAGES.get(f"{base.__module__}.{base.__qualname__}") for base in found]
    known = [f":py:class:`{page}`" for page in public if page]
    builtin = [base for base in found if base.__module__ == "builtins" and base is not object]
    found[:] = known or builtin or [object]


def signature(app: Sphinx, what: str, name: str, value: Any, *rest: Any) -> tuple[str, None] | None:
    """That of ``__init__``, where a ``__new__`` for all subclasses stands in front of it."""
    if what != "class" or "__new__" in vars(value) or not inspect.isfunction(value.__new__):
        return None
    if value.__init__ is object.__init__:
        return "()", None
    return stringify_signature(inspect.signature(value), show_annotation=False, show_return_annotation=False), None


def resolve(app: Sphinx, env: Any, node: pending_xref, shown: nodes.Element) -> nodes.Element | None:
    """Leads a reference to where an object lives to its page."""
    if node.get("refdomain") != "py":
        return None
    target = str(node["reftarget"]).lstrip("~.")
    hidden = target.startswith("fastip.") and target not in PAGES  # contracts.Scalar is no inverses.Scalar
    page = None if hidden else PAGES.get(target) or SHORT.get(target.rpartition(".")[2])
    if page is None or page.rpartition(".")[2] != target.rpartition(".")[2]:
        return None
    domain = env.domains["py"]
    found = domain.resolve_any_xref(env, node["refdoc"], app.builder, page, node, shown)
    return found[0][1] if found else None


def setup(app: Sphinx) -> dict[str, bool]:
    """As Sphinx asks for it."""
    for name, module in list(sys.modules.items()):  # imported for type checkers alone: without it no hint is resolved
        if name.startswith("fastip.train"):
            vars(module).setdefault("Unpack", Unpack)
    app.connect("builder-inited", write)
    app.connect("autodoc-process-bases", bases)
    app.connect("autodoc-process-signature", signature)
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
