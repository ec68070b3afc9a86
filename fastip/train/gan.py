"""Training a generator against a discriminator on pictures."""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from .. import checkpoint, nets
from ..arrays import check_number
from ..data import Batches, Pictures
from ..errors import InvalidInput
from ..nets.weights import start_digest
from .described import described
from .engine import loop, state
from .engine.course import AveragedSettings, Course, Weights, saved_generator
from .engine.run import AveragedOptions, run_of, training
from .generators import arrays, check_generator, check_pictures, copied, pair, with_weights
from .losses import adversarial

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from typing_extensions import Unpack


@dataclass(frozen=True, kw_only=True)
class Settings(AveragedSettings):
    """All that decides the trained weights, but the networks and the pictures."""

    loss: str
    discriminator_rate: float
    penalty: float
    betas: tuple[float, float]

    least_batch = 2  # BatchNorm over maps of 1 x 1 pixel cannot normalise a single image

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.loss not in adversarial.GAMES:
            raise InvalidInput(f"loss is {self.loss!r}; expected one of {', '.join(adversarial.GAMES)}")
        check_number(self.discriminator_rate, "discriminator_rate", low=0.0, strict=True)
        check_number(self.penalty, "penalty", low=0.0)
        if not all(0 <= check_number(beta, "betas") < 1 for beta in self.betas):
            raise InvalidInput(f"betas are {self.betas}; expected two numbers in [0, 1) for Adam")


@training(AveragedOptions)
def gan(
    generator: nets.Generator,
    discriminator: nn.Module,
    images: Pictures,
    *,
    loss: str = "bce",
    discriminator_rate: float | None = None,
    penalty: float = 0.0,
    betas: tuple[float, float] = (0.5, 0.999),
    validation: Pictures | None = None,
    **run: Unpack[AveragedOptions],
) -> nets.Generator:
    """Train a generator to make pictures that a discriminator, trained in turn, cannot tell from real ones.

    Args:
        generator: Trained from the weights it has, and left alone (a copy is trained).
        discriminator: One number for each image; trained from the weights it has, and left alone likewise.
        images: What real pictures look like, in the shape that the generator makes.
        loss: "bce": the discriminator minimises ``-log D(x) - log(1 - D(G z))``, D = sigmoid of its output, the
            generator ``-log D(G z)``, z ~ N(0, I). "hinge" and "wasserstein" for a discriminator with spectral
            normalisation.
        discriminator_rate: The learning rate of the discriminator's Adam, by default the generator's.
        penalty: Of ``penalty / 2 E ||grad D(x)||^2`` over the real pictures ("R1"), which keeps a discriminator that
            tells all pictures apart from driving the generator away; 0 for none.
        betas: Of the two Adams.
        validation: Two pictures or more that are not trained on; the log then has the Fréchet distance
            (``metrics.frechet_distance``) of samples to them, and a grid.
        **run: The keywords of :class:`fastip.train.Run` but clip and dtype; here batch (128, at least 2), steps
            (20,000), learning_rate (2e-4), average (0.999).

    Returns:
        The generator with the running mean of its weights, frozen, on the CPU.

    Raises:
        InvalidInput: For bad values, and files of other settings.
        Diverged: When the loss is no longer a number (``train.engine.loop.Diverged``).
        Unsupported: Without the extra ``train``.

    References:
        Goodfellow et al., Generative adversarial networks, 2014; Radford, Metz and Chintala, DCGAN, 2015; Zhang et al.,
        SAGAN, 2019; the penalty: Mescheder, Geiger and Nowozin, Which training methods for GANs do actually converge?,
        2018.
    """
    how = run_of(run, batch=128, steps=20_000, learning_rate=2e-4, average=0.999)
    rate = how.learning_rate if discriminator_rate is None else discriminator_rate
    settings = Settings(**how.decisive, loss=loss, discriminator_rate=rate, penalty=penalty, betas=pair(betas, "betas"))
    whole = _Run(generator, discriminator, images, validation, settings)
    plan = how.plan(betas=settings.betas)
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
    return course.run(partial(_train, whole), partial(with_weights, generator))


@dataclass(frozen=True)
class _Run:
    """A training of a generator but for its plan."""

    generator: nets.Generator
    discriminator: nn.Module
    images: Pictures
    validation: Pictures | None
    settings: Settings

    def __post_init__(self) -> None:
        check_generator(self.generator)
        check_pictures(self.images, self.validation, self.generator.shape, compared=2)
        weight = next(self.discriminator.parameters(), None) if isinstance(self.discriminator, nn.Module) else None
        if weight is None:
            raise InvalidInput(
                f"the discriminator is {type(self.discriminator).__name__}; expected a network with weights, "
                "e.g. DCGANEncoder(outputs=1)"
            )
        with torch.no_grad():
            odds = copy.deepcopy(self.discriminator).eval()(self.images.batch([0, 0]).to(weight))
        if odds.numel() != 2:
            raise InvalidInput(
                f"the discriminator gives {tuple(odds.shape)} for two images; expected one number for each: "
                "DCGANEncoder(outputs=1)"
            )

    def record(self) -> dict[str, Any]:
        """The settings as JSON values, with the networks' structure and first weights, and the pictures."""
        networks = {"generator": self.generator, "discriminator": self.discriminator}
        parts = {key: {"name": type(net).__name__, "start": start_digest(net)} for key, net in networks.items()}
        return parts | {"config": self.generator.config(), "images": described(self.images)} | asdict(self.settings)


def _train(run: _Run, plan: loop.Plan, fabric: Fabric) -> tuple[Weights, state.History]:
    """In each process: the averaged weights, and what happened."""
    settings = run.settings
    own = copied(run.generator)
    generation = adversarial.Generation(
        own, copied(run.discriminator), adversarial.GAMES[settings.loss], settings.average
    )
    draw = adversarial.Draw(
        Batches(run.images, settings.batch, settings.seed, fabric.world_size), own.latent, settings.seed
    )
    look = None if run.validation is None else adversarial.Samples(generation, run.validation, settings.seed)
    opponent = adversarial.opponent(generation, settings.discriminator_rate, settings.betas, settings.penalty)
    history = loop.fit(fabric, generation, draw, plan.watched(generation.follow, look), opponent)
    return arrays(generation.average), history
