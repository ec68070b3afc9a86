"""Training one network to project on natural images, for every linear inverse problem."""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from .. import checkpoint, nets, priors
from ..arrays import check_count, check_number
from ..data import Batches, Pictures
from ..errors import InvalidInput
from ..nets.weights import start_digest
from .described import described
from .engine import loop, state
from .engine.course import AveragedSettings, Course, Weights, saved_projector
from .engine.run import AveragedOptions, run_of, training
from .generators import arrays, check_pictures, copied, pair, with_weights
from .losses.one_net_loss import Draw, Projecting, Score, opponent

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from typing_extensions import Unpack

CLIP = 10.0  # the largest norm of a gradient; the paper bounds each number by it. Less slows, more lets one batch throw
SCORED = 64  # pictures of the validation set: more are a steadier score, which each look computes anew


@dataclass(frozen=True, kw_only=True)
class Settings(AveragedSettings):
    """All that decides the trained weights, but the networks and the pictures."""

    noise: tuple[float, float]

    least_batch = 2  # BatchNorm over maps of 1 x 1 pixel cannot normalise a single image

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= check_number(self.noise[0], "noise") <= check_number(self.noise[1], "noise"):
            raise InvalidInput(
                f"noise is {self.noise}; expected (low, high) with 0 <= low <= high, levels in image units"
            )


@training(AveragedOptions)
def one_net(
    net: nets.OneNetProjector,
    images: Pictures,
    discriminators: tuple[nn.Module, nn.Module] | None = None,
    *,
    noise: tuple[float, float] = (0.025, 0.25),
    validation: Pictures | None = None,
    **run: Unpack[AveragedOptions],
) -> priors.Projector:
    """Train a network to bring damaged images back to the natural ones, and return it as a prior for ``admm``.

    Over the weights of P it minimises ``|P(v) - x|^2`` and small terms, which ask P to leave images as they are and its
    results and codes to look real to discriminators of images and of codes. These are trained in turn.
    ``one_net_loss.Projecting`` has the formula, ``one_net_loss.Draw`` the damage.

    Args:
        net: P, trained from the weights it has, and left alone (a copy is trained).
        images: What it learns from, in the shape of the network's images.
        discriminators: Of images and of codes, by default nets.OneNetDiscriminator and OneNetLatentDiscriminator of the
            width of ``net``; copies are trained.
        noise: The least and the largest level of the noise in image units; published 0.05 and 0.5 for images in [-1,
            1].
        validation: Pictures that are not trained on; the log then has the PSNR of P(v) against x.
        **run: The keywords of :class:`fastip.train.Run` but clip and dtype; here batch (25, at least 2), steps
            (50,000), learning_rate (2e-4), average (0.999). The rate is that of both Adams (betas 0.9, 0.999 and 0.5,
            0.999); it falls by half a cosine to 1 %, where the paper has 0.95 for each epoch. The paper clips each
            number of a gradient at 10, here their norm is.

    Returns:
        The projector with the running mean of the network's weights, frozen, on the CPU.

    Raises:
        InvalidInput: For bad values, and files of other settings.
        Diverged: When the loss is no longer a number (``train.engine.loop.Diverged``).
        Unsupported: Without the extra ``train``.

    References:
        Chang et al., One network to solve them all, 2017.
    """
    how = run_of(run, batch=25, steps=50_000, learning_rate=2e-4, average=0.999)
    settings = Settings(**how.decisive, noise=pair(noise, "noise"))
    if nets.PROJECTORS.get(type(net).__name__) is not type(net):
        raise InvalidInput(f"net is {type(net).__name__}; expected one of {', '.join(nets.PROJECTORS)} of fastip.nets")
    whole = _Run(
        net, _default(net, how.seed) if discriminators is None else discriminators, images, validation, settings
    )
    plan = how.plan(clip=CLIP)
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
    return course.run(partial(_train, whole), lambda weights: priors.Projector(with_weights(net, weights)))


def _default(net: nets.OneNetProjector, seed: int) -> tuple[nn.Module, nn.Module]:
    """Discriminators of images and codes, with weights drawn from the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(check_count(seed, "seed", low=0) % 2**63)
        return nets.OneNetDiscriminator(colours=net.shape[0], width=net.width), nets.OneNetLatentDiscriminator(
            width=net.width
        )


@dataclass(frozen=True)
class _Run:
    """A training of a projector from image to image but for its plan."""

    net: nets.OneNetProjector
    discriminators: tuple[nn.Module, nn.Module]
    images: Pictures
    validation: Pictures | None
    settings: Settings

    def __post_init__(self) -> None:
        check_pictures(self.images, self.validation, self.net.shape)
        given = self.discriminators
        if not isinstance(given, tuple) or len(given) != 2 or not all(isinstance(one, nn.Module) for one in given):
            raise InvalidInput(
                "discriminators is no pair of networks; expected (of images, of codes), "
                "or None for nets.OneNetDiscriminator and its like"
            )
        net, (image, latent) = copy.deepcopy(self.net).eval(), (copy.deepcopy(one).eval() for one in given)
        with torch.no_grad():
            x = self.images.batch([0, 0]).to(next(net.parameters()))
            for name, odds in (("images", image(x)), ("codes", latent(net.encode(x)))):
                if odds.numel() != 2:
                    raise InvalidInput(
                        f"the discriminator of {name} gives {tuple(odds.shape)} for two of them; "
                        "expected one number for each"
                    )

    def record(self) -> dict[str, Any]:
        """The settings as JSON values, with the networks' structure and first weights, and the pictures."""
        networks = {
            "net": self.net,
            "discriminator": self.discriminators[0],
            "latent_discriminator": self.discriminators[1],
        }
        parts = {key: {"name": type(net).__name__, "start": start_digest(net)} for key, net in networks.items()}
        return parts | {"config": self.net.config(), "images": described(self.images)} | asdict(self.settings)


def _train(run: _Run, plan: loop.Plan, fabric: Fabric) -> tuple[Weights, state.History]:
    """In each process: the averaged weights, and what happened."""
    settings = run.settings
    image, latent = run.discriminators
    projecting = Projecting(copied(run.net), (copied(image), copied(latent)), settings.average)
    draw = Draw(Batches(run.images, settings.batch, settings.seed, fabric.world_size), settings.noise, settings.seed)
    look = None if run.validation is None else Score(projecting, run.validation, draw, min(SCORED, len(run.validation)))
    watched = plan.watched(projecting.follow, look, lambda: projecting.terms)
    history = loop.fit(fabric, projecting, draw, watched, opponent(projecting, settings.learning_rate))
    return arrays(projecting.average), history
