"""Fitting a network to B = (beta I + A A^T)^-1 from noise alone."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from .. import checkpoint, nets
from ..arrays import check_count, check_number
from ..contracts import LinearOperator
from ..errors import InvalidInput
from ..inverses import Learned, examine
from ..nets.weights import net_digest
from .engine import course, loop, state
from .engine.course import Weights
from .engine.run import Options, run_of, training
from .losses.objective import InverseNet, Noise, Objective

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from typing_extensions import Unpack

EXAMINED = 64  # least side of the noise on which a net is measured: smaller is mostly border, larger takes longer

# ---- what is asked for -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Settings(course.Settings):
    """All that decides the trained weights, but the net, the weights that it starts with, and the operator."""

    beta: tuple[float, float]
    size: int
    power: int

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count(self.size, "size", low=4)
        check_count(self.power, "power", low=1)

    def record(self, op: LinearOperator, net: InverseNet) -> dict[str, Any]:
        """As JSON values, with the net's structure and first weights and the operator's fingerprint."""
        described = {"name": type(net).__name__, "config": net.config(), "start": net_digest(net)}
        return {"operator": op.fingerprint(), "net": described} | asdict(self) | {"beta": list(self.beta)}


def _betas(beta: float | Sequence[float]) -> tuple[float, float]:
    given = tuple(beta) if isinstance(beta, Sequence) and not isinstance(beta, str) else (beta, beta)
    if len(given) != 2:
        raise InvalidInput(f"beta is {beta!r}; expected a number, or two for a range (low, high)")
    low, high = (check_number(b, "beta", low=0.0, strict=True) for b in given)
    if low > high:
        raise InvalidInput(f"beta is {beta!r}; expected (low, high) with low < high: swap them")
    return low, high


def default_net(op: LinearOperator, beta: tuple[float, float], seed: int) -> nets.InverseNet:
    """A linear net of 13 x 13 taps for the operator's boundary, with beta as an input for a range."""
    convolution = op.convolution()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(check_count(seed, "seed", low=0) % 2**63)
        boundary = "zero" if convolution is None else nets.boundary_of(convolution.boundary)
        return nets.InverseNet(boundary=boundary, beta_range=None if beta[0] == beta[1] else beta)


def _check_net(net: InverseNet, op: LinearOperator, beta: tuple[float, float]) -> None:
    if not isinstance(net, (nets.InverseNet, nets.PaperInverseNet)):
        raise InvalidInput(f"net is {type(net).__name__}; expected one of {', '.join(nets.INVERSE_NETS)}")
    convolution = op.convolution()
    if convolution is not None and net.boundary != nets.boundary_of(convolution.boundary):
        due = nets.boundary_of(convolution.boundary)
        raise InvalidInput(
            f"the net has boundary {net.boundary!r} and the operator {convolution.boundary!r}; "
            f"build the net with boundary={due!r}"
        )
    if net.beta_range is None and beta[0] < beta[1]:
        raise InvalidInput(f"beta is the range {beta} and the net takes no beta; build it with beta_range={beta}")
    if net.beta_range is not None and not net.beta_range[0] <= beta[0] <= beta[1] <= net.beta_range[1]:
        raise InvalidInput(
            f"beta is {beta} and the net takes {net.beta_range[0]:g} to {net.beta_range[1]:g}; "
            "build it with a beta_range that holds it"
        )


def _colours(net: InverseNet) -> int:
    return net.colours if isinstance(net, nets.PaperInverseNet) else 1


def _check_operator(op: LinearOperator, noise: Noise) -> None:
    """One image through A A^T, so that an operator of another kind is refused before any work."""
    e = torch.zeros(1, *noise.shape[1:])
    image = op(op.adjoint(e))
    if image.shape != e.shape or image.is_complex():
        raise InvalidInput(
            f"A A^T turns data of shape {tuple(e.shape)} into {tuple(image.shape)} {image.dtype}; "
            "training needs an operator with real data"
        )


# ---- the training ----------------------------------------------------------------------------------------------------


@training(Options)
def inverse(
    op: LinearOperator,
    beta: float | Sequence[float],
    *,
    net: InverseNet | None = None,
    size: int = 48,
    power: int | None = None,
    **run: Unpack[Options],
) -> Learned:
    """Train C to be (beta I + A A^T)^-1 on the operator's own boundary, from noise alone, and say how good it is.

    It minimises over C (docs/mathematics.md (5); for a net that is not linear: ``losses.objective.Objective``) ::

        E ||(I - C B^-1)^p e||^2,   e ~ N(0, I)

    Args:
        op: Any operator with real data whose size is free.
        beta: A positive number, or (low, high) for a net that takes it as an input.
        net: Trained from the weights it has, and left alone (a copy is trained): seed one of your own. Default: a
            linear net of 13 x 13 taps.
        size: Side of the noise patches on the data grid, at least 4.
        power: The last p; the first half of the steps has p = 1, equal parts of the rest 2, 4, ... p, which trade mean
            error for the worst mode, on which the iterations of ``admm`` depend. Default: 4 for stride 1, else 1 (there
            the mean error is all that matters); 1 for nets that are not linear.
        **run: The keywords of :class:`fastip.train.Run` but average, clip and dtype; here batch (8 patches), steps
            (3000), learning_rate (3e-3). NAME.json beside the output has the accuracy and the certificate too.

    Returns:
        An inverse that is frozen, on the CPU, and refuses another operator or beta.

    Raises:
        InvalidInput: For bad values, and files of other settings.
        Diverged: When the loss is no longer a number (``train.engine.loop.Diverged``).
        Unsupported: Without the extra ``train``.
    """
    betas, how = _betas(beta), run_of(run, batch=8, steps=3000, learning_rate=3e-3)
    net = default_net(op, betas, how.seed) if net is None else net
    _check_net(net, op, betas)
    power = default_power(op, net) if power is None else power
    settings = Settings(**how.decisive, beta=betas, size=size, power=power)
    if power > 1 and not net.linear:
        raise InvalidInput(f"power is {power} and {type(net).__name__} is not linear: train it with power=1")
    noise = Noise((how.batch, _colours(net), size, size), betas, how.seed, how.steps, power)
    _check_operator(op, noise)
    side = size if op.convolution() is None else max(EXAMINED, size)

    def make(weights: Weights) -> Learned:
        # Eight images: more make the accuracy that is told steadier, and take longer.
        return _learned(net, weights, op, betas, (8, _colours(net), side, side))

    def save(path: Path, learned: Learned, summary: Mapping[str, Any]) -> None:
        checkpoint.save_inverse(path, learned, op=op, training=summary)

    plan = how.plan()
    whole = course.Course(
        "inverse", checkpoint.load_inverse, save, settings.record(op, net), how.output, plan, how.accelerator, settings
    )
    return whole.run(partial(_train, net, op, noise), make)


def default_power(op: LinearOperator, net: InverseNet) -> int:
    """4 where B is too wide for a small stencil (stride 1) and the worst mode decides, else 1."""
    convolution = op.convolution()
    return 4 if net.linear and convolution is not None and convolution.stride == 1 else 1


def _train(
    net: InverseNet, op: LinearOperator, noise: Noise, plan: loop.Plan, fabric: Fabric
) -> tuple[Weights, state.History]:
    """In each process: the trained weights of C itself, and what happened."""
    # A copy: spawned processes share the memory of what they are given.
    own = copy.deepcopy(net).cpu().train().requires_grad_()
    objective = Objective(own, op)
    e, beta, _ = noise(0, 0)
    objective.suit(e, beta)
    history = loop.fit(fabric, objective, noise, plan)
    own.cpu().rescale(1 / float(objective.scale))
    # Arrays, because tensors die with a spawned process.
    return {name: tensor.numpy().copy() for name, tensor in own.state_dict().items()}, history


def _learned(
    net: InverseNet, weights: Weights, op: LinearOperator, beta: tuple[float, float], shape: tuple[int, ...]
) -> Learned:
    tensors = {name: torch.from_numpy(array) for name, array in weights.items()}
    own = copy.deepcopy(net).to("cpu", next(iter(tensors.values())).dtype)
    own.load_state_dict(tensors)
    net = own.eval().requires_grad_(False)
    return Learned(net, trained=examine(net, op, beta, shape=shape))
