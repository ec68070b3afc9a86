"""Training a generator as the decoder of a variational auto-encoder."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch.nn.functional as F
from torch import Tensor, nn

from .. import checkpoint, nets
from ..data import Batches, Pictures
from ..errors import InvalidInput
from ..nets.weights import net_digest
from .described import described
from .engine import loop, state
from .engine.average import follow
from .engine.course import AveragedSettings, Course, Weights, saved_generator
from .engine.run import AveragedOptions, run_of, training
from .generators import arrays, check_pictures, copied, with_weights
from .losses.adversarial import Draw, Samples

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from typing_extensions import Unpack


@dataclass(frozen=True, kw_only=True)
class Settings(AveragedSettings):
    """All that decides the trained weights, but the networks and the pictures."""

    loss: str = "evidence"  # which tells the record from that of another training of a generator


@training(AveragedOptions)
def vae(
    decoder: nets.VAEDecoder,
    encoder: nets.VAEEncoder,
    images: Pictures,
    *,
    validation: Pictures | None = None,
    **run: Unpack[AveragedOptions],
) -> nets.Generator:
    """Train a decoder to make pictures from z ~ N(0, I).

    An encoder tells which z a picture may have come from. Both minimise the negative evidence lower bound for pixels in
    [0, 1], the mean over pictures of ::

        -sum over pixels of [x log g + (1 - x) log(1 - g)] + KL(N(m, s^2) || N(0, I)),
        (m, log s^2) = encoder(x), g = decoder(m + s e), e ~ N(0, I)

    Adam has betas 0.9, 0.999.

    Args:
        decoder: Trained from the weights it has, and left alone (a copy is trained).
        encoder: Of the decoder's shape and latent; trained from the weights it has, and left alone likewise.
        images: What real pictures look like, in the shape that the decoder makes.
        validation: Two pictures or more that are not trained on; the log then has the Fréchet distance
            (``metrics.frechet_distance``) of samples to them, and a grid.
        **run: The keywords of :class:`fastip.train.Run` but clip and dtype; here batch (100), steps (20,000),
            learning_rate (1e-3), average (0.999).

    Returns:
        The decoder with the running mean of its weights, frozen, on the CPU.

    Raises:
        InvalidInput: For bad values, and files of other settings.
        Diverged: When the loss is no longer a number (``train.engine.loop.Diverged``).
        Unsupported: Without the extra ``train``.

    References:
        Kingma and Welling, Auto-encoding variational Bayes, 2014; the settings: Bora et al., Compressed sensing using
        generative models, 2017.
    """
    how = run_of(run, batch=100, steps=20_000, learning_rate=1e-3, average=0.999)
    settings = Settings(**how.decisive)
    whole = _Run(decoder, encoder, images, validation, settings)
    plan = how.plan()
    course = Course(
        "generator",
        checkpoint.load_generator,
        saved_generator,
        whole.record(),
        how.output,
        plan,
        how.accelerator,
        settings,
    )
    return course.run(partial(_train, whole), partial(with_weights, decoder))


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
            made, read = (
                f"{self.decoder.shape} of {self.decoder.latent} numbers",
                f"{self.encoder.shape} and gives {self.encoder.latent}",
            )
            raise InvalidInput(
                f"the decoder makes images {made}, the encoder reads {read}; build both with the same shape and latent"
            )
        check_pictures(self.images, self.validation, self.decoder.shape, compared=2)

    def record(self) -> dict[str, Any]:
        """The settings as JSON values, with the networks' structure and first weights, and the pictures."""
        parts: dict[str, nets.VAEDecoder | nets.VAEEncoder] = {"generator": self.decoder, "encoder": self.encoder}
        networks = {
            key: {"name": type(net).__name__, "config": net.config(), "start": net_digest(net)}
            for key, net in parts.items()
        }
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
