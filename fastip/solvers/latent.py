"""Descent on the latent vector of a generator: CSGM and PGDGAN.

They are the methods with an inner loop that a trained projector makes needless.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..arrays import HALF, as_tensor, check_count, check_number, energy
from ..contracts import LinearOperator, Shape, Solution, Status
from ..errors import InvalidInput, strict_keywords
from ..nets import Generator
from ..streams import stream
from .arguments import check_data
from .monitor import Callback, State, ended
from .pgd import Descent
from .range_steps import RestrictedStep, descent
from .whole import check_real_images


@strict_keywords
def csgm(
    y: Any,
    op: LinearOperator,
    generator: Generator,
    *,
    iterations: int = 1000,
    restarts: int = 10,
    learning_rate: float = 0.1,
    weight: float = 1e-3,
    seed: int = 0,
    callback: Callback | None = None,
) -> Solution:
    """Find the latent vector whose image gives the data, by Adam from several starts.

    It is, with x = G(z)::

        min over z of ||y - A G(z)||^2 + weight ||z||^2

    An iteration costs a pass through G and one back. Nothing is differentiable in y: the search is not
    part of a graph.

    Args:
        y: The data, as for ``pgd``, float32 or float64.
        op: The operator A.
        generator: G, e.g. ``fastip.load_generator(path)``, in eval mode, its weights of the dtype of y and
            on its device.
        iterations: Of Adam, >= 1.
        restarts: Starts z ~ N(0, I), drawn from ``seed``, the same for each image, so that an image does not depend
            on its neighbours; all descend together as one batch, and for each image that of least objective is
            kept. With more restarts the first ones are the same.
        learning_rate: Adam's, > 0.
        weight: Of ``||z||^2``, >= 0.
        seed: Of the starts.
        callback: Called after each iteration with a State whose images are those of the first starts; returning
            False stops.

    Returns:
        A Solution without a dual; ``residuals`` has ``||y - A x|| / ||y||`` and 0 for each image at the end.

    Raises:
        InvalidInput: A ValueError, for bad values.

    References:
        Bora, Jalal, Price and Dimakis, Compressed sensing using generative models, 2017.
    """
    y, restore = as_tensor(y, "y")
    search = _Search(y, op, generator, check_count(restarts, "restarts", low=1), seed)
    count, scale = check_count(iterations, "iterations", low=1), check_number(weight, "weight", low=0.0)

    def objective(z: Tensor) -> Tensor:
        return energy(search.y - op(generator(z))) + scale * energy(z)

    adam = search.adam(learning_rate)
    for k in range(count):
        search.step(adam, objective)
        if callback is not None and callback(search.state(k + 1)) is False:
            break
    status = Status.ITERATIONS if k + 1 == count else Status.STOPPED
    return search.solution(objective, status, k + 1, restore)


@strict_keywords
def pgdgan(
    y: Any,
    op: LinearOperator,
    generator: Generator,
    *,
    step: float | Descent | None = None,
    iterations: int = 10,
    inner: int = 100,
    restarts: int = 1,
    learning_rate: float = 0.1,
    weight: float = 1e-3,
    seed: int = 0,
    callback: Callback | None = None,
) -> Solution:
    """Projected gradient descent where the projection on the range of a generator is itself a descent.

    By ``inner`` steps of Adam from the last z::

        w = x + step A^T (y - A x)      or  x + A^+ (y - A x)
        z = argmin_z mean (G(z) - w)^2 + weight ||z||^2,   x = G(z)

    The first w is made of x = 0. Adam begins anew at each projection, z does not. An iteration costs ``inner``
    passes through G and back.

    Args:
        y: The data, as for ``csgm``.
        op: The operator A.
        generator: As for ``csgm``.
        step: As for ``npgd``.
        iterations: Projections, >= 1.
        inner: Steps of Adam in each, >= 1.
        restarts: As for ``csgm``; that of least ``||y - A x||`` is kept.
        learning_rate: Adam's, > 0.
        weight: Of ``||z||^2``, >= 0.
        seed: Of the starts.
        callback: As for ``csgm``.

    Returns:
        A Solution, as ``csgm``.

    Raises:
        InvalidInput: A ValueError, for bad values.
        Unsupported: Where the inverse of a BackProjection does not fit the operator.

    References:
        Shah and Hegde, Solving linear inverse problems using GAN priors: an algorithm with provable guarantees, 2018.
    """
    y, restore = as_tensor(y, "y")
    search = _Search(y, op, generator, check_count(restarts, "restarts", low=1), seed)
    count, steps = check_count(iterations, "iterations", low=1), check_count(inner, "inner", low=1)
    scale, move = (
        check_number(weight, "weight", low=0.0),
        (RestrictedStep(search.images()) if step is None else descent(step)).bind(op, search.y),
    )
    x = search.y.new_zeros(op.input_shape(tuple(search.y.shape)))
    for k in range(count):
        with torch.no_grad():
            w = move(x)

        def distance(z: Tensor, w: Tensor = w) -> Tensor:
            return (generator(z) - w).square().flatten(1).mean(dim=1) + scale * energy(z)

        adam = search.adam(learning_rate)
        for _ in range(steps):
            search.step(adam, distance)
        x = search.images()
        if callback is not None and callback(search.state(k + 1)) is False:
            break
    status = Status.ITERATIONS if k + 1 == count else Status.STOPPED
    return search.solution(lambda z: energy(search.y - op(generator(z))), status, k + 1, restore)


class _Search:
    """The latent vectors of all starts, image after image: z (b starts) k; y (b starts) ... is the data beside them."""

    def __init__(self, y: Tensor, op: LinearOperator, generator: Generator, starts: int, seed: int) -> None:
        shape = check_data(y, op)
        check_real_images(op, "a latent search")
        _check_generator(generator, y, shape)
        if starts > 1:
            try:
                op.output_shape((starts * shape[0], *shape[1:]))
            except InvalidInput as error:
                raise InvalidInput(
                    f"with restarts={starts} the operator is given {starts} times as many images: {error}; "
                    "or give restarts=1"
                ) from None
        self.op, self.generator, self.starts, self.data = op, generator, starts, y.detach()
        self.y = self.data.repeat_interleave(starts, dim=0)
        draws = stream(seed, "starts")
        each = torch.stack([torch.randn(generator.latent, generator=draws) for _ in range(starts)])
        self.z = each.repeat(len(y), 1).to(y).requires_grad_()

    def adam(self, learning_rate: float) -> torch.optim.Adam:
        """A fresh optimiser of the latent vectors; each of them goes its own way."""
        return torch.optim.Adam([self.z], lr=check_number(learning_rate, "learning_rate", low=0.0, strict=True))

    def step(self, adam: torch.optim.Adam, objective: Callable[[Tensor], Tensor]) -> None:
        """One step down ``objective(z)``, (b starts,)."""
        with torch.enable_grad():
            (self.z.grad,) = torch.autograd.grad(objective(self.z).sum(), self.z)
        adam.step()

    def images(self) -> Tensor:
        """G(z)."""
        with torch.no_grad():
            x: Tensor = self.generator(self.z)
        return x

    def state(self, iteration: int) -> State:
        """What a callback sees: the images of the first starts."""
        x = self.images()[:: self.starts]
        return State.of(iteration, x, self._ratios(x))

    def solution(
        self, objective: Callable[[Tensor], Tensor], status: Status, iterations: int, restore: Callable[[Tensor], Any]
    ) -> Solution:
        """The start of least objective for each image; one that went to NaN is not the least."""
        with torch.no_grad():
            values = objective(self.z).nan_to_num(nan=float("inf"), posinf=float("inf"))
        best = values.unflatten(0, (-1, self.starts)).argmin(dim=1)
        x = self.images().unflatten(0, (-1, self.starts))[torch.arange(len(best), device=best.device), best]
        return Solution(restore(x), None, ended(status, x), iterations, self._ratios(x)[None].double().cpu())

    def _ratios(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            ratio = (energy(self.data - self.op(x)) / energy(self.data).clamp_min(torch.finfo(x.dtype).tiny)).sqrt()
        return torch.stack([ratio, torch.zeros_like(ratio)])


def _check_generator(generator: Any, y: Tensor, shape: Shape) -> None:
    """Refuse data that are not those of the generator's images, and a generator that is not ready."""
    if y.is_complex():
        raise InvalidInput(
            f"y has dtype {y.dtype}; a search of the generator's images takes real data: use fastip.admm"
        )
    if y.dtype in HALF:
        raise InvalidInput(
            f"y has dtype {y.dtype}; expected float32 or float64: "
            "Adam's small numbers vanish in half precision, give y.float()"
        )
    if torch.is_inference_mode_enabled():
        raise InvalidInput(
            "a descent on z takes gradients, which torch.inference_mode() forbids; "
            "call it under torch.no_grad() or without either"
        )
    if not isinstance(generator, Generator):
        raise InvalidInput(
            f"generator is {type(generator).__name__}; expected a network of fastip.nets such as DCGANGenerator"
        )
    if tuple(shape[1:]) != generator.shape:
        raise InvalidInput(
            f"the image behind y has shape {tuple(shape)}; "
            f"the generator makes (b, {', '.join(map(str, generator.shape))}): give an operator on such images"
        )
    weight = next(generator.parameters(), y)
    if weight.dtype != y.dtype or weight.device != y.device:
        raise InvalidInput(
            f"y is {y.dtype} on {y.device}, the generator {weight.dtype} on {weight.device}; "
            "expected the same: generator.to(y)"
        )
    if generator.training:
        raise InvalidInput(
            "the generator is in training mode, in which an image depends on its neighbours: call generator.eval()"
        )
