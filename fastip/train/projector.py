"""Training an encoder so that generator after encoder projects on the generator's images."""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from .. import checkpoint, nets, priors
from ..arrays import check_count, check_number
from ..errors import InvalidInput, strict_keywords
from ..nets.weights import digest
from . import loop, state
from .files import Files
from .generators import arrays, check_generator, with_weights
from .projection import Draw, Projection, Terms, watched
from .summary import summarise

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(frozen=True)
class Settings:
    """All that decides the trained weights, but the networks."""

    noise: float
    latent: float
    idempotence: float
    orthogonality: float
    batch: int
    steps: int
    learning_rate: float
    average: float
    seed: int
    devices: int
    precision: str

    def __post_init__(self) -> None:
        for name, low in (("batch", 2), ("steps", 1), ("seed", 0), ("devices", 1)):
            check_count(getattr(self, name), name, low=low)
        for name in ("noise", "latent", "idempotence", "orthogonality"):
            check_number(getattr(self, name), name, low=0.0)
        check_number(self.learning_rate, "learning_rate", low=0.0, strict=True)
        if not 0 <= check_number(self.average, "average") < 1:
            raise InvalidInput(f"average is {self.average}; expected 0 <= average < 1, 0 for the weights of the last step")

    @property
    def terms(self) -> Terms:
        return Terms(self.noise, self.latent, self.idempotence, self.orthogonality)


@strict_keywords
def projector(
    generator: nets.Generator,
    encoder: nets.DCGANEncoder | None = None,
    *,
    noise: float = 0.5,
    latent: float = 0.025,
    idempotence: float = 0.0,
    orthogonality: float = 0.0,
    batch: int = 128,
    steps: int = 20_000,
    learning_rate: float = 5e-4,
    average: float = 0.999,
    seed: int = 0,
    output: str | Path | None = None,
    save_every: int = 250,
    accelerator: str = "auto",
    devices: int = 1,
    precision: str = "32-true",
    progress: bool = True,
    report: loop.Report | None = None,
) -> priors.Projector:
    """Train the encoder G^+ of a projector P(w) = G(G^+(w)), from latent vectors and noise alone; G stays as it is.

    min over the weights of G^+ of  mean |P(w) - x|^2 + latent mean |G^+(w) - z|^2,  x = G(z), w = x + noise e,  z, e ~ N(0, I);  means over elements.

    generator: a trained one, e.g. of ``train.gan``. encoder: trained from the weights it has (a copy is), by default a mirror of the generator.
    noise: the level of the noise in image units; 0.5 is the published 1 for images in [-1, 1]. latent: the published 0.1 is 0.025 for images in [0, 1].
    idempotence: weight of mean |P(P(w)) - P(w)|^2. orthogonality: weight of mean |J^T (w - P(w))|^2, J the Jacobian of G.
    average: the decay of the running mean of the weights, which is what is returned. The log has the PSNR of P(w) against x for z that are not trained on.
    batch, steps, learning_rate, seed, output, save_every, accelerator, devices, precision, progress, report: as for ``train.gan``.

    Raises InvalidInput for bad values and files of other settings, loop.Diverged for a loss that is NaN, Unsupported without the extra ``train``.
    Source: Raj, Li and Bresler, GAN-based projector for faster recovery with convergence guarantees in linear inverse problems, 2019.
    """
    settings = Settings(noise, latent, idempotence, orthogonality, batch, steps, learning_rate, average, seed, devices, precision)
    check_generator(generator)
    if encoder is not None and nets.ENCODERS.get(type(encoder).__name__) is not type(encoder):
        raise InvalidInput(f"encoder is {type(encoder).__name__}; expected one of {', '.join(nets.ENCODERS)} of fastip.nets, or None for the mirror")
    start = _default(generator, seed) if encoder is None else encoder
    run = _Run(nets.Projector(generator, start), settings)
    record, files = run.record(), Files.beside(output, "projector")
    finished = files.finished(record, checkpoint.load_projector)
    if finished is not None:
        return finished
    check_count(save_every, "save_every", low=1)
    fabric = loop.make_fabric(accelerator, devices, precision)
    plan = loop.Plan(steps, learning_rate, save_every, record, files.state, files.logs, progress, report)
    weights, history = loop.launch(fabric, partial(_train, run, plan))
    trained = with_weights(run.net.encoder, weights)
    kept = copy.deepcopy(generator).to("cpu", next(trained.parameters()).dtype)  # the precision that the encoder was trained for it in
    made = priors.Projector(nets.Projector(kept, trained).eval().requires_grad_(False))
    if fabric.is_global_zero:
        summary = summarise(record, history, fabric.device)
        files.finish(lambda path: checkpoint.save_projector(path, made, training=summary))
    return made


def _default(generator: nets.Generator, seed: int) -> nets.DCGANEncoder:
    """The mirror of the generator, with weights drawn from the seed."""
    colours, size, _ = generator.shape
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(check_count(seed, "seed", low=0) % 2**63)
        return nets.DCGANEncoder(colours=colours, size=size, width=getattr(generator, "width", 64), outputs=generator.latent)


@dataclass(frozen=True)
class _Run:
    """A training of a projector but for its plan."""

    net: nets.Projector
    settings: Settings

    def record(self) -> dict[str, Any]:
        """The settings as JSON values, with the networks' structure and weights."""
        parts: dict[str, nets.Generator | nets.DCGANEncoder] = {"generator": self.net.generator, "encoder": self.net.encoder}
        described = {key: {"name": type(net).__name__, "config": net.config(), "start": digest(net)} for key, net in parts.items()}
        return described | asdict(self.settings)


def _train(run: _Run, plan: loop.Plan, fabric: Fabric) -> tuple[dict[str, np.ndarray], state.History]:
    """In each process: the averaged weights of the encoder, and what happened."""
    settings = run.settings
    dtype = torch.float64 if settings.precision == "64-true" else torch.float32
    generator = copy.deepcopy(run.net.generator).to(fabric.device, dtype).eval().requires_grad_(False)
    encoder = copy.deepcopy(run.net.encoder).to("cpu", dtype).train().requires_grad_()
    projection = Projection(generator, encoder, settings.terms, settings.average)
    draw = Draw(settings.batch, generator.latent, generator.shape, settings.seed)
    history = loop.fit(fabric, projection, draw, watched(plan, projection, draw))
    return arrays(projection.average), history
