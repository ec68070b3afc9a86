"""The weights that come with fastip, found by their names."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

import torch

from .. import checkpoint, nets, priors
from ..errors import InvalidInput, strict_keywords

FOLDER = resources.files("fastip") / "weights"
SUFFIX = checkpoint.SUFFIX
DENOISERS = {"photo": "photo-denoiser"}  # by the pictures that they know


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
    _check_known(name, names("projectors"), "projector")
    with weights("projectors", name) as path:
        return priors.Projector(checkpoint.load_projector(path).net.to(torch.float32))


@strict_keywords
def generator(name: str) -> nets.Generator:
    """The generator of that projector, for ``csgm``, ``pgdgan`` and ``rec``: fastip.shipped.generator("digits").sample(16)."""
    found: nets.Generator = projector(name).net.generator
    return found


@strict_keywords
def prior(
    name: str,
    *,
    noise: float,
    steps: int = 8,
    memory: int | str = "2GB",
    dtype: torch.dtype | None = None,
) -> priors.PlugAndPlay:
    """A trained denoiser that comes with fastip, as the prior of any operator, with the schedule for this noise:

        prior = fastip.shipped.prior("photo", noise=0.01)
        fastip.admm(y, op, prior, beta=prior.schedule.betas, iterations=len(prior.schedule), tolerance=0)

    name: the pictures that it knows, "photo". noise, steps: the standard deviation of the noise in y, images in [0, 1],
    and the iterations, as for ``priors.schedule``. memory, dtype: bytes that the network may take, and the precision of
    its weights, None for bfloat16 where that is native, as for ``priors.PlugAndPlay``. Images b c h w, grey or colour,
    of any size; on any device; under ``torch.no_grad()`` where no gradient is wanted.
    Raises InvalidInput for an unknown name, with the closest one, and for numbers that cannot be.
    """
    _check_known(name, DENOISERS, "denoiser")
    schedule = priors.schedule(noise, steps=steps)
    with weights("priors", DENOISERS[name]) as path:
        found = checkpoint.load_prior(path)
    most = math.inf if found.trained is None else found.trained.levels[1]
    if max(schedule.levels) > most:
        raise InvalidInput(
            f"noise is {noise!r}; the denoiser of {name!r} was trained on noise up to {most:g}: give the noise of the data, images in [0, 1]"
        )
    return priors.PlugAndPlay(found.net, schedule=schedule, memory=memory, dtype=dtype)


def _check_known(name: str, known: Iterable[str], what: str) -> None:
    """Refuse a name that does not exist, with the closest one that does."""
    known = list(known)
    if name not in known:
        close = difflib.get_close_matches(str(name), known, 1)
        advice = f"did you mean {close[0]!r}?" if close else f"expected one of {', '.join(known)}"
        raise InvalidInput(f"there is no {what} {name!r}: {advice}")
