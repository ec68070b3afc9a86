"""The tasks for digits and for colour on pictures that no training saw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ... import data, metrics, tasks
from ...contracts import LinearOperator
from .. import colour_baselines
from ..scores import bicubic, mean, scores

DIGITS, COLOUR = "digits-sr4", "colorize-sr2"
ADJOINT, BICUBIC, LEARNED = "scaled adjoint", "bicubic", "learned"
GREY, CHROMA, BEST_CHROMA = "grey bicubic", "mean chroma of the training photographs", "mean chroma of each picture"
REDUCTION = 3  # of the photographs before they are cut into 64 x 64 pixels


def digits(count: int) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """NMSE, PSNR and SSIM, means over the first ``count`` digits of the test set, by method.

    And the images with the data and the truth.
    """
    x = data.Digits("test").batch(range(count)).float()
    problem = tasks.load_task(DIGITS, boundary="circular")
    y = data.degrade(x, problem.op, problem.noise or 0.0)
    images = {ADJOINT: _adjoint(y, problem.op, x), BICUBIC: bicubic(y, problem.op), LEARNED: problem.solve(y).x}
    found = {}
    for method, image in images.items():
        found[method] = {"nmse": float(metrics.nmse(image, x).mean())} | {
            name: mean(values) for name, values in scores(image, x).items()
        }
    return found, {"data": y, **images, "truth": x}


def _adjoint(y: Tensor, op: LinearOperator, x: Tensor) -> Tensor:
    """A^T y, scaled so that a constant image keeps its mean."""
    image: Tensor = op.adjoint(y)
    return image / float(op.adjoint(op(torch.ones_like(x[:1]))).mean())


def colour(pictures: Sequence[str]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """PSNR and SSIM by method, and the images of all tiles.

    The mean over the 64 x 64 tiles of each photograph, reduced, then over photographs.
    """
    problem = tasks.load_task(COLOUR, boundary="circular")
    by_picture: dict[str, list[dict[str, float]]] = {}
    kept: dict[str, list[Tensor]] = {}
    for picture in data.held_out_photographs(pictures).values():
        x = colour_baselines.tiles(picture, REDUCTION)
        y = problem.op(x)
        images = {
            GREY: colour_baselines.grey(y),
            CHROMA: colour_baselines.mean_chroma(y),
            BEST_CHROMA: colour_baselines.mean_chroma(y, chroma=colour_baselines.chroma_of(x)),
            LEARNED: problem.solve(y).x,
        }
        for method, image in images.items():
            by_picture.setdefault(method, []).append({name: mean(values) for name, values in scores(image, x).items()})
        for title, image in {"data": y, **images, "truth": x}.items():
            kept.setdefault(title, []).append(image)
    found = {
        method: {name: mean([one[name] for one in ones]) for name in ("psnr", "ssim")}
        for method, ones in by_picture.items()
    }
    return found, {title: torch.cat(images) for title, images in kept.items()}
