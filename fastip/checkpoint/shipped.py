"""The weights that come with fastip, found by their names."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

import torch

from .. import checkpoint, nets, priors
from ..errors import InvalidInput, closest, strict_keywords
from ..restorer import Restorer

FOLDER = resources.files("fastip") / "weights"
KINDS = ("inverses", "priors", "projectors", "restorers", "tasks")
SUFFIX = checkpoint.SUFFIX
DENOISERS = {"photo": "photo-denoiser"}  # by the pictures that they know
RESTORERS = {"photo": "photo-restorer"}  # likewise


def names(kind: str) -> list[str]:
    """The names that there are weights of.

    Args:
        kind: "inverses", "priors", "projectors", "restorers" or "tasks".

    Returns:
        The names, sorted.

    Raises:
        InvalidInput: For another kind.
    """
    if kind not in KINDS:
        raise InvalidInput(f"kind is {kind!r}; expected one of {', '.join(KINDS)}")
    return sorted(entry.name.removesuffix(SUFFIX) for entry in (FOLDER / kind).iterdir() if entry.name.endswith(SUFFIX))


@contextmanager
def weights(kind: str, name: str) -> Iterator[Path]:
    """The file with the weights of this kind and name.

    Args:
        kind: "inverses", "priors", "projectors", "restorers" or "tasks".
        name: One of :func:`names`.

    Yields:
        The file, which is sure to be there inside the ``with`` alone.

    Raises:
        InvalidInput: Where there is no such file.
    """
    with resources.as_file(FOLDER / kind / f"{name}{SUFFIX}") as path:
        if not path.exists():
            raise InvalidInput(f"the weights {name!r} should be {path}, and are not: install fastip again")
        yield path


@strict_keywords
def projector(name: str) -> priors.Projector:
    """A trained projector that comes with fastip, a prior for ``npgd``.

    As in::

        fastip.npgd(y, op, fastip.shipped.projector("digits"))

    Args:
        name: The pictures that it knows, "digits", "fashion" (1 x 28 x 28) or "avatars" (3 x 64 x 64).

    Returns:
        The projector, in float32 (its file holds float16), frozen, on the CPU.

    Raises:
        InvalidInput: For another name, with the closest one.
    """
    closest(name, names("projectors"), "projector")
    with weights("projectors", name) as path:
        return priors.Projector(checkpoint.load_projector(path).net.to(torch.float32))


@strict_keywords
def generator(name: str) -> nets.Generator:
    """The generator of :func:`projector`, for ``csgm``, ``pgdgan`` and ``rec``.

    As in ``fastip.shipped.generator("digits").sample(16)``.

    Args:
        name: As for :func:`projector`.

    Returns:
        The generator, in float32, frozen, on the CPU.

    Raises:
        InvalidInput: For another name, with the closest one.
    """
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
    """A trained denoiser that comes with fastip, as the prior of any operator, with the schedule for this noise.

    As in::

        prior = fastip.shipped.prior("photo", noise=0.01)
        fastip.admm(y, op, prior, beta=prior.schedule.betas, iterations=len(prior.schedule), tolerance=0)

    Images b c h w, grey or colour, of any size; on any device; under ``torch.no_grad()`` where no gradient is wanted.

    Args:
        name: The pictures that it knows, "photo".
        noise: The standard deviation of the noise in y, images in [0, 1], as for ``priors.schedule``.
        steps: The iterations, as for ``priors.schedule``.
        memory: Bytes that the network may take, or a text such as "800MB", as for ``priors.PlugAndPlay``.
        dtype: The precision of the network's weights; None is bfloat16 where that is native, as for
            ``priors.PlugAndPlay``.

    Returns:
        The prior, with its ``schedule``.

    Raises:
        InvalidInput: For an unknown name, with the closest one, and for numbers that cannot be.
    """
    closest(name, DENOISERS, "denoiser")
    schedule = priors.schedule(noise, steps=steps)
    with weights("priors", DENOISERS[name]) as path:
        found = checkpoint.load_prior(path)
    most = math.inf if found.trained is None else found.trained.levels[1]
    if max(schedule.levels) > most:
        raise InvalidInput(
            f"noise is {noise!r}; the denoiser of {name!r} was trained on noise up to {most:g}: "
            "give the noise of the data, images in [0, 1]"
        )
    return priors.PlugAndPlay(found.net, schedule=schedule, memory=memory, dtype=dtype)


@strict_keywords
def restorer(name: str, *, memory: int | str = "2GB", dtype: torch.dtype | None = None) -> Restorer:
    """A learned restorer that comes with fastip: one network for any known blur, reduction, mask and noise.

    As in ``x = fastip.shipped.restorer("photo").solve(y, op).x``.

    Args:
        name: The pictures that it knows, "photo".
        memory: Bytes that the network may take, or a text such as "800MB", as for ``priors.PlugAndPlay``.
        dtype: The precision of the network's weights; None is bfloat16 where that is native, as for
            ``priors.PlugAndPlay``.

    Returns:
        The restorer, frozen, on the CPU.

    Raises:
        InvalidInput: For an unknown name, with the closest one, and for a bad memory or dtype.
    """
    closest(name, RESTORERS, "restorer")
    with weights("restorers", RESTORERS[name]) as path:
        return checkpoint.load_restorer(path, memory=memory, dtype=dtype)
