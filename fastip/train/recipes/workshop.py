"""Where a recipe is followed: the trainings one after the other, each beside its file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ... import data, nets, priors, tasks
from ..gan import gan
from ..prior import prior, unrolled
from ..projector import projector

Prior = priors.PixelShuffleAutoencoder
Made = TypeVar("Made")
Splits = tuple[data.Pictures, data.Pictures]  # of training and validation


@dataclass(frozen=True)
class Workshop:
    """The folder of the results, steps instead of the recipe's, and what every training is told."""

    folder: Path
    steps: int | None
    told: dict[str, Any]

    def denoiser(self, name: str, net: nets.PriorNet, pictures: Splits, *, steps: int, **settings: Any) -> Prior:
        """``train.prior`` of NAME."""
        return prior(net, pictures[0], validation=pictures[1], **self._given(name, steps), **settings)

    def solver(
        self, name: str, net: nets.PriorNet, pictures: Splits, *, steps: int, output: str | None = None, **settings: Any
    ) -> Prior:
        """``train.unrolled`` for the task NAME, its operator and the noise of its data.

        ``output`` is the name of a training before the last.
        """
        known = tasks.learned(name)
        given = self._given(output or name, steps) | {"data_noise": known.noise}
        return unrolled(net, pictures[0], known.operator(), validation=pictures[1], **given, **settings)

    def long(self, name: str, training: Callable[..., Made], *, steps: int) -> Made:
        """A training that brings its own network and pictures."""
        return training(**self._given(name, steps))

    def generator(
        self, name: str, networks: tuple[nets.Generator, Any], pictures: Splits, *, steps: int, **settings: Any
    ) -> nets.Generator:
        """``train.gan`` of NAME."""
        own, discriminator = networks
        return gan(own, discriminator, pictures[0], validation=pictures[1], **self._given(name, steps), **settings)

    def projector(
        self,
        name: str,
        generator: nets.Generator,
        encoder: nets.DCGANEncoder,
        pictures: Splits,
        *,
        steps: int,
        **settings: Any,
    ) -> priors.Projector:
        """``train.projector`` of NAME, on the generator's images and on real ones."""
        return projector(
            generator, encoder, images=pictures[0], validation=pictures[1], **self._given(name, steps), **settings
        )

    def _given(self, name: str, steps: int) -> dict[str, Any]:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.told | {"output": self.folder / f"{name}.safetensors", "steps": self.steps or steps}
