"""The weights that come with fastip, found by their names."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

import torch

from . import checkpoint, nets, priors
from .errors import InvalidInput, strict_keywords

FOLDER = resources.files("fastip") / "weights"
SUFFIX = checkpoint.SUFFIX


def names(kind: str) -> list[str]:
    """The names of the "inverses", "priors", "projectors" or "tasks" that there are weights of."""
    return sorted(entry.name.removesuffix(SUFFIX) for entry in (FOLDER / kind).iterdir() if entry.name.endswith(SUFFIX))


@contextmanager
def weights(kind: str, name: str) -> Iterator[Path]:
    """The file with the weights of this kind and name. Raises InvalidInput where there is none."""
    with resources.as_file(FOLDER / kind / f"{name}{SUFFIX}") as path:
        if not path.exists():
            raise InvalidInput(f"the weights {name!r} should be {path}, and are not: install fastip again")
        yield path


@strict_keywords
def projector(name: str) -> priors.Projector:
    """A trained projector that comes with fastip, in float32 (its file holds float16), on the CPU: a prior for ``npgd``, as in

        fastip.npgd(y, op, fastip.shipped.projector("digits"))

    name: the pictures that it knows, "digits", "fashion" (1 x 28 x 28) or "avatars" (3 x 64 x 64). Raises InvalidInput for others, with the closest name.
    """
    known = names("projectors")
    if name not in known:
        close = difflib.get_close_matches(str(name), known, 1)
        raise InvalidInput(f"there is no projector {name!r}: " + (f"did you mean {close[0]!r}?" if close else f"expected one of {', '.join(known)}"))
    with weights("projectors", name) as path:
        return priors.Projector(checkpoint.load_projector(path).net.to(torch.float32))


@strict_keywords
def generator(name: str) -> nets.Generator:
    """The generator of that projector, for ``csgm``, ``pgdgan`` and ``rec``: fastip.shipped.generator("digits").sample(16)."""
    found: nets.Generator = projector(name).net.generator
    return found
