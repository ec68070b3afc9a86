"""What is trained for hours, in parts: engine/long_training.py goes on with it, and exports it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ... import checkpoint, nets
from ...errors import closest
from ...priors import PixelShuffleAutoencoder, Trained
from ...restorer import Restorer
from ..denoising_score import SIGMAS
from . import photo_denoiser, photo_restorer


@dataclass(frozen=True)
class LongRecipe:
    """A training of hours.

    Attributes:
        kind: Of its checkpoint.
        shelf: Where its weights are shipped, as for ``shipped.weights``.
        train: The training.
        network: The network that it trains today.
        load: Reads its checkpoint.
        make: What a network with these settings makes.
        save: ``save(path, made, summary)``.
        score: The PSNR in dB of what was made on pictures, in as many numbers as it has columns.
        columns: What they are.
    """

    kind: str
    shelf: str
    train: Callable[..., Any]
    network: Callable[[], nets.PriorNet]
    load: Callable[[Path], Any]
    make: Callable[[nets.PriorNet, Mapping[str, Any]], Any]
    save: Callable[[Path, Any, Mapping[str, Any]], None]
    score: Callable[[Any, Sequence[Tensor]], list[float]]
    columns: tuple[str, ...]


def _denoiser(net: nets.PriorNet, settings: Mapping[str, Any]) -> PixelShuffleAutoencoder:
    return PixelShuffleAutoencoder(net, trained=Trained(tuple(settings["levels"])))


def _restorer(net: nets.PriorNet, settings: Mapping[str, Any]) -> Restorer:
    return Restorer(net, iterations=settings["iterations"], trained=photo_restorer.known())


RECIPES = {
    photo_denoiser.NAME: LongRecipe(
        kind="prior",
        shelf="priors",
        train=photo_denoiser.train_photo_denoiser,
        network=lambda: photo_denoiser.network(),
        load=checkpoint.load_prior,
        make=_denoiser,
        save=photo_denoiser.saved,
        score=lambda made, pictures: photo_denoiser.psnr(made.net, pictures),
        columns=tuple(f"noise {255 * sigma:.0f}" for sigma in SIGMAS),
    ),
    photo_restorer.NAME: LongRecipe(
        kind="restorer",
        shelf="restorers",
        train=photo_restorer.train_photo_restorer,
        network=lambda: photo_restorer.denoiser(),
        load=checkpoint.load_restorer,
        make=_restorer,
        save=photo_restorer.saved,
        score=lambda made, pictures: photo_restorer.psnr(made, photo_restorer.problems(pictures)),
        columns=photo_restorer.KINDS,
    ),
}


def recipe(name: str) -> LongRecipe:
    """The recipe of that name.

    Args:
        name: "photo-denoiser" or "photo-restorer".

    Returns:
        The recipe.

    Raises:
        InvalidInput: For another name, with the closest one.
    """
    return RECIPES[closest(name, RECIPES, "long training")]
