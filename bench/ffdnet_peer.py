"""The plug-and-play peer: FFDNet with its published weights as the prior of fastip.admm.

fastip/experiments/ffdnet.py says where the weights come from.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

import fastip
from fastip import solvers
from fastip.contracts import LinearOperator
from fastip.experiments.ffdnet import FFDNet as FFDNet
from fastip.experiments.ffdnet import load as load
from fastip.experiments.ffdnet import weights as weights


@dataclass(frozen=True)
class Schedule:
    """Levels from ``first`` to ``last`` on a logarithmic scale, and beta = noise^2 / level^2 at each.

    Begun from ``solvers.bicubic``. As in Zhang et al., Plug-and-play image restoration with deep denoiser prior, 2021,
    whose numbers of steps these are. ``first``, ``last`` and ``noise`` were tuned by PSNR on validation photographs; it
    hardly depends on them, but for deblurring on ``noise``.
    """

    steps: int
    first: float
    last: float
    noise: float

    @property
    def sigma(self) -> list[float]:
        return [self.first * (self.last / self.first) ** (k / (self.steps - 1)) for k in range(self.steps)]

    @property
    def beta(self) -> list[float]:
        return [self.noise**2 / s**2 for s in self.sigma]


SCHEDULES = {
    "photo-sr4": Schedule(24, 0.3, 0.03, 0.003),
    "photo-sr4-wide": Schedule(24, 0.3, 0.035, 0.0065),
    "photo-deblur-motion": Schedule(8, 0.3, 0.06, 0.0085),
}


def restore(y: Tensor, op: LinearOperator, net: FFDNet, schedule: Schedule) -> Tensor:
    """The plug-and-play estimate from y b 3 h w.

    That is ``fastip.admm`` with the network as the prior, from the interpolated data.
    """
    convolution = op.convolution()
    assert convolution is not None
    prior, start = fastip.priors.Denoiser(net, sigma=schedule.sigma), solvers.bicubic(y, convolution.stride)
    x: Tensor = fastip.admm(y, op, prior, beta=schedule.beta, iterations=schedule.steps, tolerance=0, init=start).x
    return x
