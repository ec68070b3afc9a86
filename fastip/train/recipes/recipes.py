"""How each network that is shipped was trained, from nothing: ``fastip train task NAME``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ... import data, nets, priors, tasks
from ...arrays import check_count
from ...errors import InvalidInput, strict_keywords
from ...restorer import Restorer
from ..engine import loop
from . import photo_denoiser, photo_restorer
from .projector_recipes import PROJECTORS
from .workshop import Prior, Workshop


@strict_keywords
def task(
    name: str,
    folder: str | Path,
    *,
    steps: int | None = None,
    accelerator: str = "auto",
    progress: bool = True,
    report: loop.Report | None = None,
) -> Prior | Restorer | priors.Projector:
    """Train the network of a task, after those it starts from.

    What is finished in the folder is taken, what was stopped goes on.

    Args:
        name: One of RECIPES.
        folder: Where NAME.safetensors comes, beside those it starts from; it is made.
        steps: Instead of those of the recipe, in each of its trainings, for a look at how it goes.
        accelerator: As for :class:`fastip.train.Run`.
        progress: Likewise.
        report: Likewise.

    Returns:
        The trained prior, restorer or projector, frozen, on the CPU.

    Raises:
        InvalidInput: For an unknown name, and for files of other settings in the folder.
        MissingData: Where pictures are not fetched (``data.MissingData``).
        Diverged: When a loss is no longer a number (``train.engine.loop.Diverged``).
        Unsupported: Without the extra ``train``.
    """
    if name not in RECIPES:
        raise InvalidInput(f"there is no recipe {name!r}; expected one of {', '.join(RECIPES)}")
    if steps is not None:
        check_count(steps, "steps", low=1)
    return RECIPES[name](
        Workshop(Path(folder), steps, {"accelerator": accelerator, "progress": progress, "report": report})
    )


# ---- photographs -----------------------------------------------------------------------------------------------------


def _photo_denoiser(shop: Workshop) -> Prior:
    """A denoiser of colour photographs, which sees no data: a prior for any operator.

    Hours, in as many parts as it takes: see long_training.go_on.
    """
    return shop.long(photo_denoiser.NAME, photo_denoiser.train_photo_denoiser, steps=photo_denoiser.STEPS)


def _photo_restorer(shop: Workshop) -> Restorer:
    """One network for any known operator, tuned through the solver from that denoiser: hours too."""
    return shop.long(photo_restorer.NAME, photo_restorer.train_photo_restorer, steps=photo_restorer.STEPS)


def _small_photo_denoiser(shop: Workshop) -> Prior:
    """A smaller one, trained for minutes: where the networks of the tasks start."""
    torch.manual_seed(0)
    pictures = data.Photographs("train", 128), data.Photographs("validation", 128)
    return shop.denoiser(
        "photo-denoiser-small",
        nets.PixelShuffleAutoencoder(),
        pictures,
        noise=(0.005, 0.25),
        steps=2600,
        precision="bf16-mixed",
    )


def _photo_task(name: str, steps: int) -> Callable[[Workshop], Prior]:
    """The denoiser, grown, shown the data, and tuned through seven iterations.

    The photographs are reduced, which removes what their coding did to them.
    """
    beta, levels = SCHEDULES[name]

    def follow(shop: Workshop) -> Prior:
        start = _small_photo_denoiser(shop).net
        assert isinstance(start, nets.PixelShuffleAutoencoder)
        torch.manual_seed(0)
        net = start.grown(widths=(16, 48, 128), blocks=(1, 2, 3)).conditioned(
            data_colours=3, stride=tasks.learned(name).stride
        )
        pictures = (
            data.Photographs("train", 96, reductions=(2, 3, 4)),
            data.Photographs("validation", 128, reductions=(2, 3)),
        )
        about: dict[str, Any] = {
            "beta": beta,
            "levels": levels,
            "iterations": len(levels),
            "learning_rate": 7e-4,
            "precision": "bf16-mixed",
            "dtype": torch.float16,
        }
        return shop.solver(name, net, pictures, steps=steps, **about)

    return follow


# (beta, level) of each iteration: levels on a logarithmic scale, beta = (n / level)^2 with n near the noise of the data
# (noise-free: a small number).
SCHEDULES: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "photo-sr4": (
        (0.000144, 0.000266, 0.000487, 0.0009, 0.00166, 0.00305, 0.00562),
        (0.25, 0.184, 0.136, 0.1, 0.0737, 0.0543, 0.04),
    ),
    "photo-sr4-wide": (
        (0.000676, 0.00125, 0.00228, 0.00422, 0.00778, 0.0143, 0.0264),
        (0.25, 0.184, 0.136, 0.1, 0.0737, 0.0543, 0.04),
    ),
}

# ---- colour ----------------------------------------------------------------------------------------------------------


def _colorize(shop: Workshop) -> Prior:
    """First one iteration, which is cheap, then four.

    The patches are small views of whole things; any place of a photograph will do.
    """
    views = {"reductions": (2, 3, 4, 6), "places": 1}
    about: dict[str, Any] = {"beta": 1e-3, "batch": 8, "precision": "bf16-mixed"}
    looked_at = data.Photographs("validation", 64, **views)  # type: ignore[arg-type]
    torch.manual_seed(0)
    net = nets.PixelShuffleAutoencoder(factor=2, widths=(32, 64, 96), data_colours=1, stride=2)
    first = data.Photographs("train", 64, **views), looked_at  # type: ignore[arg-type]
    once = shop.solver(
        "colorize-sr2",
        net,
        first,
        output="colorize-sr2-once",
        levels=0.3,
        iterations=1,
        steps=3600,
        learning_rate=1e-3,
        **about,
    )
    then = data.Photographs("train", 64, seed=1, **views), looked_at  # type: ignore[arg-type]
    return shop.solver(
        "colorize-sr2",
        once.net,
        then,
        levels=(0.3, 0.14, 0.065, 0.03),
        iterations=4,
        steps=1400,
        learning_rate=5e-4,
        dtype=torch.float16,
        **about,
    )


# ---- digits ----------------------------------------------------------------------------------------------------------


def _digits_autoencoder(shop: Workshop) -> Prior:
    torch.manual_seed(0)
    pictures = data.Digits("train"), data.Digits("validation")
    about: dict[str, Any] = {"noise": (0.05, 0.6), "batch": 64, "norm": 2, "learning_rate": 3e-4}
    return shop.denoiser("digits-autoencoder", nets.DigitAutoencoder(), pictures, steps=8000, **about)


def _digits(shop: Workshop) -> Prior:
    torch.manual_seed(0)
    net = nets.PixelShuffleAutoencoder(colours=1, data_colours=1, stride=4)
    levels = [0.3 * (0.03 / 0.3) ** (k / 3) for k in range(4)]
    about: dict[str, Any] = {"batch": 16, "norm": 2, "learning_rate": 1e-3, "precision": "bf16-mixed"}
    pictures = data.Digits("train"), data.Digits("validation")
    return shop.solver("digits-sr4", net, pictures, beta=1e-3, levels=levels, iterations=4, steps=3600, **about)


# Steps of the photograph tasks: about half an hour on one core each.
PRIORS: dict[str, Callable[[Workshop], Prior | Restorer]] = {
    "photo-denoiser": _photo_denoiser,
    "photo-restorer": _photo_restorer,
    "photo-denoiser-small": _small_photo_denoiser,
    "photo-sr4": _photo_task("photo-sr4", 900),
    "photo-sr4-wide": _photo_task("photo-sr4-wide", 1100),
    "colorize-sr2": _colorize,
    "digits-sr4": _digits,
    "digits-autoencoder": _digits_autoencoder,
}

RECIPES: dict[str, Callable[[Workshop], Prior | Restorer | priors.Projector]] = {**PRIORS, **PROJECTORS}
