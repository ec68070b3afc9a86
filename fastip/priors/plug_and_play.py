"""PlugAndPlay: a trained denoiser with the schedule of its levels, as the prior of any operator."""

from __future__ import annotations

import math
from typing import Any, NoReturn

import torch
from torch import Tensor

from .. import nets
from ..arrays import REAL
from ..contracts import LinearOperator, Shape
from ..errors import InvalidInput, brief
from ..tracing import real_dtype
from . import memory as bounds
from .filling import filled, unseen
from .fitted import Fitted, check_eager, native
from .levelled import BoundLevelled, Levelled
from .prior import image_shape
from .schedule import Schedule

COPIES = 2  # images that it holds beside a tile, the filled one and its result: 1200 x 1200 x 3, 14 to 24 MB measured


class PlugAndPlay(Levelled):
    """A trained denoiser with the schedule of its levels, as the prior of any operator.

    ``prox_{step R}(v)`` is net(v, level), the level that of the schedule for each iteration::

        fastip.admm(y, op, prior, beta=prior.schedule.betas, iterations=len(prior.schedule), tolerance=0)

    Pixels that no datum looks at (holes) are 0 in the default start of a solve, and no denoiser takes a black hole
    for noise: the first iteration fills them from their neighbours, unless ``init`` gave them a value.
    Differentiable in y.

    Args:
        net: A network of ``fastip.nets`` that takes noise away and sees no data (``nets.PRIOR_NETS``). Images are
            b c h w of any size; where c is no multiple of its colours each channel is restored by itself as a grey
            image (``nets.Grey``).
        schedule: Levels and betas, ``priors.schedule(noise)``; its last level is repeated.
        memory: Bytes that the network may take beside the solve, or a text such as "800MB"; larger images go
            through it in tiles, without seams.
        dtype: Of the network's weights, which are copied to the device of y once. None is bfloat16 where the device
            computes with it natively, else float32; float64 for data in double precision. v keeps the precision of y.

    Raises:
        InvalidInput: For another net, schedule, memory or dtype, and at ``bind`` for images that are not b c h w
            and for those of which not even the smallest tile fits the bound.
        Unsupported: At ``bind`` inside torch.compile.

    References:
        Venkatakrishnan, Bouman and Wohlberg, Plug-and-play priors for model based reconstruction, 2013.
    """

    def __init__(
        self,
        net: nets.PriorNet,
        *,
        schedule: Schedule,
        memory: int | str = bounds.DEFAULT,
        dtype: torch.dtype | None = None,
    ) -> None:
        if not isinstance(net, nets.PriorNet) or net.conditional:
            given = f"net is {brief(net)}; expected a network of fastip.nets that takes noise away and no data"
            advice = "one that takes data belongs to one operator: priors.PixelShuffleAutoencoder(net)"
            raise InvalidInput(f"{given}; {advice}; any other denoiser: priors.Denoiser(net, sigma=...)")
        if not isinstance(schedule, Schedule):
            expected = "levels and betas, e.g. priors.schedule(0.01) for noise of 0.01"
            raise InvalidInput(f"schedule is {brief(schedule)}; expected {expected}")
        if dtype is not None and dtype not in REAL:
            expected = f"one of {', '.join(map(str, REAL))}, or None for the fastest that is good enough"
            raise InvalidInput(f"dtype is {dtype!r}; expected {expected}")
        self.net, self.schedule, self.memory, self.dtype = net, schedule, bounds.parse(memory), dtype
        self._set_levels(schedule.levels, None)
        self._networks = Fitted(net)

    def suggested_beta(self, op: LinearOperator, shape: Shape) -> NoReturn:
        """Refused: the schedule has one beta for each iteration."""
        given = f"beta is not given, and this prior has {len(self.schedule)} betas, one for each iteration"
        raise InvalidInput(f"{given}: pass beta=prior.schedule.betas, iterations=len(prior.schedule), tolerance=0")

    def bind(self, y: Tensor, op: LinearOperator) -> BoundPlugAndPlay:
        check_eager()
        shape = image_shape(y, op)
        if len(shape) != 4:
            advice = "give the operator the shape of its images, e.g. image_shape=(3, 64, 64)"
            raise InvalidInput(f"the image has shape {shape}; a network takes b c h w: {advice}")
        double = real_dtype(y.dtype) is torch.float64
        dtype = self.dtype or (torch.float64 if double else native(y.device))
        own = COPIES * math.prod(shape) * real_dtype(y.dtype).itemsize
        net = self._networks.for_images(shape, y.device, dtype, held=own, bound=self.memory)
        return BoundPlugAndPlay(self, net, unseen(op, shape, y))


class BoundPlugAndPlay(BoundLevelled):
    """The network in a solve. holes: the pixels that no datum looks at."""

    def __init__(self, prior: PlugAndPlay, net: nets.PriorNet, holes: Tensor) -> None:
        super().__init__(prior)
        self._net = net
        self._holes: Tensor | None = holes

    def resume(self, state: tuple[Tensor, ...]) -> None:
        """Go on at this place in the levels; holes have been filled."""
        super().resume(state)
        self._holes = None

    def denoise(self, v: Tensor, level: float | None) -> Any:
        if self._holes is not None:
            v, self._holes = filled(v, self._holes & (v == 0)), None  # what an init gave is kept
        return self._net(v, None, level)
