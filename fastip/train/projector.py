"""Training an encoder so that generator after encoder projects on the generator's images."""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from .. import checkpoint, nets, priors
from ..arrays import check_number
from ..data import Batches, Pictures
from ..errors import InvalidInput
from ..nets.weights import net_digest
from .described import described
from .engine import loop, state
from .engine.course import AveragedSettings, Course, Weights, saved_projector
from .engine.run import AveragedOptions, run_of, training
from .generators import arrays, check_generator, check_pictures, pair, with_weights
from .losses.projection import Draw, Projection, Terms, encoders, watched
from .networks import encoder as mirror

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from typing_extensions import Unpack


@dataclass(frozen=True, kw_only=True)
class Settings(AveragedSettings):
    """All that decides the trained weights, but the networks and the pictures."""

    noise: tuple[float, float]
    latent: float
    idempotence: float
    orthogonality: float

    least_batch = (
        2  # half of it may be real pictures; BatchNorm over maps of 1 x 1 pixel cannot normalise a single image
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("latent", "idempotence", "orthogonality"):
            check_number(getattr(self, name), name, low=0.0)
        low, high = (check_number(level, "noise", low=0.0) for level in self.noise)
        if low > high:
            raise InvalidInput(f"noise is {self.noise}; expected a level, or two for a range (low, high)")

    @property
    def terms(self) -> Terms:
        return Terms(self.latent, self.idempotence, self.orthogonality)


@training(AveragedOptions)
def projector(
    generator: nets.Generator,
    encoder: nets.DCGANEncoder | None = None,
    *,
    corrector: nets.DCGANEncoder | None = None,
    corrections: int = 1,
    images: Pictures | None = None,
    noise: tuple[float, float] | float = (0.0, 1.0),
    latent: float = 0.025,
    idempotence: float = 0.0,
    orthogonality: float = 0.0,
    validation: Pictures | None = None,
    **run: Unpack[AveragedOptions],
) -> priors.Projector:
    """Train the encoder G^+ of a projector P(w) = G(G^+(w)); the generator G stays as it is.

    It learns from latent vectors and noise, and from pictures where there are some::

        min over the weights of G^+ of  mean |P(w) - x|^2 + latent mean |G^+(w) - z|^2,
        x = G(z), w = x + level e,  z, e ~ N(0, I);  means over elements

    Args:
        generator: A trained one, e.g. of ``train.gan``.
        encoder: Trained from the weights it has (a copy is), by default a mirror of the generator.
        corrector: A second encoder, ``train.encoder(generator, images=2)``, trained with the first so that all passes
            of ``nets.Projector`` come near x.
        corrections: How often it corrects; 1 without one.
        images: Real pictures, half of each batch, for which P(w) is to be near the picture too: no generator makes all
            that is real, and the solver meets what is real. None trains as it was published, on the generator's own
            images.
        noise: (low, high), the level of each image is uniform between them, in image units; or one: 0.5 is the
            published 1 for images in [-1, 1].
        latent: Weight of the latent term; the published 0.1 is 0.025 for images in [0, 1].
        idempotence: Weight of ``mean |P(P(w)) - P(w)|^2``.
        orthogonality: Weight of ``mean |J^T (w - P(w))|^2``, J the Jacobian of G.
        validation: Pictures that are not trained on; the log has the PSNR of P(w) against them, or against G(z) of
            other z where there are none.
        **run: The keywords of :class:`fastip.train.Run` but clip and dtype; here batch (128, at least 2), steps
            (20,000), learning_rate (5e-4), average (0.999).

    Returns:
        The projector, its encoders with the running mean of their weights, frozen, on the CPU.

    Raises:
        InvalidInput: For bad values, and files of other settings.
        Diverged: When the loss is no longer a number (``train.engine.loop.Diverged``).
        Unsupported: Without the extra ``train``.

    References:
        Raj, Li and Bresler, GAN-based projector for faster recovery with convergence guarantees in linear inverse
        problems, 2019.
    """
    levels = tuple(noise) if isinstance(noise, tuple | list) else (noise, noise)
    how = run_of(run, batch=128, steps=20_000, learning_rate=5e-4, average=0.999)
    terms: dict[str, Any] = {"latent": latent, "idempotence": idempotence, "orthogonality": orthogonality}
    settings = Settings(**how.decisive, **terms, noise=pair(levels, "noise"))
    check_generator(generator)
    for name, given in (("encoder, None for the mirror", encoder), ("corrector", corrector)):
        if given is not None and nets.ENCODERS.get(type(given).__name__) is not type(given):
            raise InvalidInput(
                f"{type(given).__name__} is no {name}; expected one of {', '.join(nets.ENCODERS)} of fastip.nets"
            )
    start = mirror(generator, seed=how.seed) if encoder is None else encoder
    if images is not None or validation is not None:
        check_pictures(images if images is not None else validation, validation, generator.shape)
    whole = _Run(nets.Projector(generator, start, corrector, corrections), images, validation, settings)
    plan = how.plan()
    course = Course(
        "projector",
        checkpoint.load_projector,
        saved_projector,
        whole.record(),
        how.output,
        plan,
        how.accelerator,
        settings,
    )
    return course.run(partial(_train, whole), partial(_made, whole.net))


def _made(net: nets.Projector, weights: Weights) -> priors.Projector:
    """The prior with these weights of the encoders, frozen, on the CPU; its generator takes their precision."""
    parts = {name: with_weights(part, _below(f"{name}.", weights)) for name, part in encoders(net).items()}
    generator = copy.deepcopy(net.generator).to("cpu", next(parts["encoder"].parameters()).dtype)
    return priors.Projector(
        nets.Projector(generator, **parts, corrections=net.corrections).eval().requires_grad_(False)
    )


def _below(prefix: str, weights: Weights) -> Weights:
    return {name.removeprefix(prefix): array for name, array in weights.items() if name.startswith(prefix)}


@dataclass(frozen=True)
class _Run:
    """A training of a projector but for its plan."""

    net: nets.Projector
    images: Pictures | None
    validation: Pictures | None
    settings: Settings

    def record(self) -> dict[str, Any]:
        """The settings as JSON values, with the networks' structure and weights."""
        parts: dict[str, nets.Generator | nets.DCGANEncoder] = {"generator": self.net.generator, **encoders(self.net)}
        networks: dict[str, Any] = {
            key: {"name": type(net).__name__, "config": net.config(), "start": net_digest(net)}
            for key, net in parts.items()
        }
        networks |= {"corrections": self.net.corrections}
        return networks | {"images": None if self.images is None else described(self.images)} | asdict(self.settings)


def _train(run: _Run, plan: loop.Plan, fabric: Fabric) -> tuple[Weights, state.History]:
    """In each process: the averaged weights of the encoder, and what happened."""
    settings = run.settings
    dtype = torch.float64 if settings.precision == "64-true" else torch.float32
    generator = copy.deepcopy(run.net.generator).to(fabric.device, dtype).eval().requires_grad_(False)
    parts = {
        name: copy.deepcopy(net).to("cpu", dtype).train().requires_grad_() for name, net in encoders(run.net).items()
    }
    projection = Projection(
        nets.Projector(generator, **parts, corrections=run.net.corrections), settings.terms, settings.average
    )
    real = 0 if run.images is None else settings.batch // 2
    pictures = None if run.images is None else Batches(run.images, real, settings.seed, fabric.world_size)
    draw = Draw(settings.batch - real, generator.latent, generator.shape, settings.noise, pictures, settings.seed)
    history = loop.fit(fabric, projection, draw, watched(plan, projection, draw, run.validation))
    return arrays(projection.average), history
