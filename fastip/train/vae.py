"""Training a generator as the decoder of a variational auto-encoder."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch.nn.functional as F
from torch import Tensor, nn

from .. import checkpoint, nets
from ..data import Batches, Pictures
from ..errors import InvalidInput, strict_keywords
from ..nets.weights import digest
from . import loop, state
from .adversarial import Draw, Samples
from .average import follow
from .course import AveragedSettings, Course, Weights, saved_generator
from .described import described
from .generators import arrays, check_pictures, copied, with_weights

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(frozen=True, kw_only=True)
class Settings(AveragedSettings):
    """All that decides the trained weights, but the networks and the pictures."""

    loss: str = "evidence"  # which tells the record from that of another training of a generator


@strict_keywords
def vae(
    decoder: nets.VAEDecoder,
    encoder: nets.VAEEncoder,
    images: Pictures,
    *,
    batch: int = 100,
    steps: int = 20_000,
    learning_rate: float = 1e-3,
    average: float = 0.999,
    validation: Pictures | None = None,
    seed: int = 0,
    output: str | Path | None = None,
    save_every: int = 250,
    accelerator: str = "auto",
    devices: int = 1,
    precision: str = "32-true",
    progress: bool = True,
    report: loop.Report | None = None,
) -> nets.Generator:
    """Train a decoder to make pictures from z ~ N(0, I), with an encoder that tells which z a picture may have come from.

    min over both of the mean over pictures of  -sum over pixels of [x log g + (1 - x) log(1 - g)] + KL(N(m, s^2) || N(0, I)),
    (m, log s^2) = encoder(x), g = decoder(m + s e), e ~ N(0, I): the negative evidence lower bound for pixels in [0, 1].

    decoder, encoder: trained from the weights they have, and left alone (copies are trained). learning_rate: Adam's (betas 0.9, 0.999) at the first step; it
    falls by half a cosine to 1 %. average: the decay of the running mean of the decoder's weights, which is what is returned.
    images, batch, steps, validation, seed, output, save_every, accelerator, devices, precision, progress, report: as for ``train.gan``.

    Raises InvalidInput for bad values and files of other settings, loop.Diverged for a loss that is NaN, Unsupported without the extra ``train``.
    Source: Kingma and Welling, Auto-encoding variational Bayes, 2014; settings of Bora et al., Compressed sensing using generative models, 2017.
    """
    settings = Settings(batch=batch, steps=steps, learning_rate=learning_rate, average=average, seed=seed, devices=devices, precision=precision)
    run = _Run(decoder, encoder, images, validation, settings)
    plan = loop.Plan(steps, learning_rate, save_every, {}, None, None, progress, report)
    course = Course("generator", checkpoint.load_generator, saved_generator, run.record(), output, plan, accelerator, settings)
    return course.run(partial(_train, run), partial(with_weights, decoder))


class Evidence(nn.Module):
    """The negative evidence lower bound, (x, e) -> mean over pictures; ``average`` follows the decoder's weights."""

    def __init__(self, decoder: nets.VAEDecoder, encoder: nets.VAEEncoder, decay: float) -> None:
        super().__init__()
        self.generator, self.encoder, self.decay = decoder, encoder, decay
        self.average = copy.deepcopy(decoder).eval().requires_grad_(False)
        self.terms: Mapping[str, Tensor] = {}

    def forward(self, x: Tensor, e: Tensor) -> Tensor:
        mean, log_variance = self.encoder(x)
        logits = self.generator.logits(mean + (log_variance / 2).exp() * e)
        pixels = F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)
        divergence = 0.5 * (log_variance.exp() + mean.square() - 1 - log_variance).sum() / len(x)
        self.terms = {"pixels": pixels.detach(), "divergence": divergence.detach()}
        return pixels + divergence

    def follow(self, step: int) -> None:
        """After a step: the average moves towards the weights."""
        follow(self.average, self.generator, self.decay, step)


@dataclass(frozen=True)
class _Run:
    """A training of a decoder but for its plan."""

    decoder: nets.VAEDecoder
    encoder: nets.VAEEncoder
    images: Pictures
    validation: Pictures | None
    settings: Settings

    def __post_init__(self) -> None:
        for name, net, kind in (("decoder", self.decoder, nets.VAEDecoder), ("encoder", self.encoder, nets.VAEEncoder)):
            if type(net) is not kind:
                raise InvalidInput(f"{name} is {type(net).__name__}; expected a nets.{kind.__name__}")
        if self.encoder.shape != self.decoder.shape or self.encoder.latent != self.decoder.latent:
            made, read = f"{self.decoder.shape} of {self.decoder.latent} numbers", f"{self.encoder.shape} and gives {self.encoder.latent}"
            raise InvalidInput(f"the decoder makes images {made}, the encoder reads {read}; build both with the same shape and latent")
        check_pictures(self.images, self.validation, self.decoder.shape, compared=2)

    def record(self) -> dict[str, Any]:
        """The settings as JSON values, with the networks' structure and first weights, and the pictures."""
        parts: dict[str, nets.VAEDecoder | nets.VAEEncoder] = {"generator": self.decoder, "encoder": self.encoder}
        networks = {key: {"name": type(net).__name__, "config": net.config(), "start": digest(net)} for key, net in parts.items()}
        return networks | {"images": described(self.images)} | asdict(self.settings)


def _train(run: _Run, plan: loop.Plan, fabric: Fabric) -> tuple[Weights, state.History]:
    """In each process: the averaged weights, and what happened."""
    settings = run.settings
    decoder, encoder = copied(run.decoder), copied(run.encoder)
    evidence = Evidence(decoder, encoder, settings.average)
    draw = Draw(Batches(run.images, settings.batch, settings.seed, fabric.world_size), decoder.latent, settings.seed)
    look = None if run.validation is None else Samples(evidence, run.validation, settings.seed)
    history = loop.fit(fabric, evidence, draw, plan.watched(evidence.follow, look, lambda: evidence.terms))
    return arrays(evidence.average), history
