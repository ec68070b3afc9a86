"""Says on the pages of classes what the parameters of methods are where a docstring does not.

Methods that many classes have, ``output_shape(input_shape)`` or ``bind(op, y, beta, relaxation)``, mean the same by
them: what is said here is added under the method, unless its own docstring says more.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import names
from sphinx.application import Sphinx

WORDS = {
    "beta": "The penalty, > 0.",
    "choice": "What the caller chose.",
    "clipped": "Whether there are pixels at the limits of the file.",
    "code": "Latent vectors, b n.",
    "coefficients": "The coefficients, as ``transform`` gives them.",
    "count": "How many.",
    "factor": "The number, > 0.",
    "fidelity": "D, in the place of ``||y - A x||^2``.",
    "image": "The last two axes of the image, h and w.",
    "index": "Which one, counted from 0.",
    "indices": "Which ones, counted from 0.",
    "input_shape": "The shape of the image with its batch, mostly b c h w.",
    "iteration": "How many iterations were made.",
    "kind": "Its ending, in small letters: what kind of file it is.",
    "latent": "The hidden variables, as ``encode`` gives them.",
    "level": "The standard deviation of the noise in v, images in [0, 1].",
    "names": "Names of settings.",
    "norm": "``||A||``.",
    "noise": "The standard deviation of the noise in the data, images in [0, 1].",
    "number": "Which photograph, counted from 0.",
    "op": "The operator A.",
    "other": "The prior that is added to this one.",
    "output_shape": "The shape of the data with its batch.",
    "path": "The file.",
    "picture": "A training picture, 1 c h w.",
    "reference": "The true images, b c h w in [0, 1].",
    "relaxation": "0 < a < 2, that of the solve.",
    "residuals": "The two ratios of the stop rule, 2 x b.",
    "r": "Data, b c h w, to which C is applied.",
    "seed": "Where the random numbers begin.",
    "shape": "The shape of the image with its batch.",
    "shrink": "The factor by which a picture is made smaller first.",
    "sigma": "The levels of the prior, one number or one for each iteration.",
    "step": "The step of the prox, > 0: ``argmin_x step R(x) + 1/2 ||x - v||^2``.",
    "task": "The name of the task.",
    "threshold": "What is taken off each coefficient, > 0.",
    "u": "The dual field.",
    "usual": "The settings that the task has without a choice.",
    "v": "The point at which it is evaluated, an image b c h w: of a denoiser the noisy one.",
    "w": "The slopes, with an axis for the direction.",
    "weight": "The weight of R, > 0.",
    "x": "Images, b c h w.",
    "y": "The data, of the shape that the operator gives.",
    "z": "Latent vectors, b n.",
}
# By class and method, where the word means something else.
PLACES = {
    "AdmmProblem.counted.beside": "What stands in the data that do not count.",
    "Box.of.x": "Positions along the width.",
    "Run.plan.more": "Further settings of the plan, by name.",
    "Separable.beside.y": "The data of the solve.",
}
OWN = ("self", "cls")
KEYWORDS = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def parameters(method: Any) -> list[str]:
    """Its parameters; nothing for what is no function."""
    function = getattr(method, "__func__", method)
    if not callable(function) or isinstance(function, type):
        return []
    found = inspect.signature(function).parameters.values()
    return [p.name for p in found if p.name not in OWN and p.kind not in KEYWORDS]


def of(name: names.Name, shown: set[str]) -> Iterator[tuple[str, list[str]]]:
    """(full name, parameters) of the methods that stand on the page of a class."""
    for key in dir(name.value) if isinstance(name.value, type) else ():
        if f"{name.page}.{key}" in shown:
            yield f"{name.page}.{key}", parameters(inspect.getattr_static(name.value, key))


def said(lines: list[str]) -> set[str]:
    """The parameters that a docstring, as napoleon hands it on, describes."""
    return set(re.findall(r"^:param \\?\*{0,2}(\w+):", "\n".join(lines).replace("\\*", "*"), re.M))


def add(app: Sphinx, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Adds what is missing below a method."""
    if what != "method":
        return
    place, there = ".".join(name.split(".")[-2:]), said(lines)
    words = {key: PLACES.get(f"{place}.{key}", WORDS.get(key, "")) for key in parameters(value) if key not in there}
    found = [f":param {key}: {text}" for key, text in words.items() if text]
    if found:
        at = next((i for i, line in enumerate(lines) if re.match(r":(param|returns?|raises?)\b", line)), len(lines))
        lines[at:at] = [*([] if at and not lines[at - 1] else [""]), *found, *([""] if at == len(lines) else [])]


def setup(app: Sphinx) -> dict[str, bool]:
    """As Sphinx asks for it."""
    app.connect("autodoc-process-docstring", add, priority=900)  # after napoleon
    return {"parallel_read_safe": True, "parallel_write_safe": True}
