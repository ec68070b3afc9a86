"""What every prior shares: strict keywords, sums, weights that are numbers or tensors."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..arrays import check_number, check_real
from ..contracts import BoundPrior, LinearOperator, Pointwise, Shape
from ..errors import InvalidInput, StrictKeywords, Unsupported, brief
from ..tracing import real_dtype

Weight = float | Tensor


class Prior(StrictKeywords):
    """R(x) with its weight inside, known to a solver by its prox.

    That is::

        prox_{step R}(v) = argmin_x step R(x) + 1/2 ||x - v||^2

    A subclass gives ``bind`` and ``value``, and ``plus`` where it can be added to another prior with an exact prox.
    Priors are immutable and can be shared between solves: whatever changes during a solve lives in the object that
    ``bind`` returns.
    """

    def bind(self, y: Tensor, op: LinearOperator) -> BoundPrior:
        """The prox for one solve.

        Args:
            y: The data, b c h w or of the shape that ``op`` maps to.
            op: The operator, which knows the shape of the image.

        Returns:
            A callable (v, step) -> x.

        Raises:
            InvalidInput: Where the prior does not fit the image.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define bind")

    def value(self, x: Tensor) -> Tensor:
        """R(x) for each image, shape (b,).

        Raises:
            Unsupported: For priors that are known by their prox alone.
        """
        raise Unsupported(
            f"{type(self).__name__} is known by its prox alone and has no value R(x); watch solution.residuals instead"
        )

    def suggested_beta(self, op: LinearOperator, shape: Shape) -> float | None:
        """The beta that suits the prior's own numbers, or None.

        Args:
            op: The operator.
            shape: That of the image, b c h w.

        Returns:
            A number > 0, or None where the prior has none to suggest.
        """
        return None

    def check_beta(self, beta: float) -> None:
        """Refuse a beta that contradicts the prior's own numbers; a solver without beta passes 1 / (2 step).

        Raises:
            InvalidInput: For such a beta.
        """

    def of_parts(self) -> Prior:
        """This prior of complex images, for their real and imaginary parts as channels.

        Raises:
            Unsupported: For priors of real images alone.
        """
        raise Unsupported(
            f"{type(self).__name__} takes real images and these are complex; expected a prior of moduli (L1, L2, "
            "ElasticNet, TV, AnisotropicTV, VectorTV, Huber, Wavelet and sums of these), Quadratic, or a Denoiser of "
            "their parts as channels"
        )

    def plus(self, other: Prior) -> Prior | None:
        """The sum as one prior whose prox is exact, or None."""
        return None

    def __add__(self, other: Any) -> Prior:
        if not isinstance(other, Prior):
            raise InvalidInput(
                f"{type(self).__name__} + {type(other).__name__}: only priors can be added, "
                "e.g. priors.TV(1e-3) + priors.Box(0, 1)"
            )
        total = self.plus(other)
        total = other.plus(self) if total is None else total
        if total is None:
            raise Unsupported(
                f"{type(self).__name__} + {type(other).__name__} has no exact prox without an inner loop; "
                "sums that have one: L1, L2, ElasticNet, NonNegative and Box with each other, "
                "and one TV, AnisotropicTV, VectorTV, Huber or TGV with any of these"
            )
        return total


class Stateless:
    """Base of bound priors that keep nothing between iterations."""

    exact = True

    def state(self) -> tuple[Tensor, ...]:
        """Empty."""
        return ()

    def resume(self, state: tuple[Tensor, ...]) -> None:
        """Nothing: any prior can be followed by this one."""


class BoundWithout(Stateless):
    """Base of bound priors that have no pointwise form."""

    def pointwise(self) -> Pointwise | None:
        return None

    def slack(self, x: Tensor) -> tuple[Tensor, Tensor] | None:
        """None: the prox is exact, or R unknown."""
        return None

    def why_unfused(self) -> str:
        return (
            "the prior has no formula for each pixel alone, "
            "as L1, L2, ElasticNet, NonNegative, Box and sums of these have"
        )


class WithDualFields(BoundWithout):
    """Keeps fields such as those of ``own``; of them the first ``duals`` grow with the weight.

    ``name`` is that of the prior, for messages.
    """

    exact = False

    def __init__(self, name: str, weight: Weight, own: tuple[Tensor, ...], duals: int) -> None:
        self._name, self._weight, self._own, self._duals = name, weight, own, duals
        self._fields: tuple[Tensor, ...] = ()

    @abstractmethod
    def __call__(self, v: Tensor, step: float) -> Tensor: ...

    def state(self) -> tuple[Tensor, ...]:
        """The fields and the weight; empty before the first call."""
        if not self._fields:
            return ()
        return (*(field.detach() for field in self._fields), torch.as_tensor(self._weight).detach())

    def fields(self) -> tuple[Tensor, ...]:
        """The fields with their graph; empty before the first call."""
        return self._fields

    def resume(self, state: tuple[Tensor, ...]) -> None:
        """Go on with these, the dual ones scaled to this weight: a path of weights then takes half the iterations."""
        check_state(state[:-1], self._own, self._name)
        *fields, weight = state
        own = torch.as_tensor(self._weight).detach().to(weight)
        if not torch.equal(weight, own):
            scale = torch.where(weight > 0, own / weight, torch.zeros_like(weight))
            fields[: self._duals] = [field * scale for field in fields[: self._duals]]
        self._fields = tuple(field.clone() for field in fields)


def check_state(given: tuple[Tensor, ...], own: tuple[Tensor, ...], name: str) -> None:
    """Refuse a state of another prior or of other images."""
    shapes, due = ([(tuple(t.shape), t.dtype, t.device) for t in state] for state in (given, own))
    if shapes != due:
        told = ", ".join(f"{shape} {dtype} on {device}" for shape, dtype, device in shapes) or "nothing"
        expected = ", ".join(f"{shape} {dtype} on {device}" for shape, dtype, device in due)
        raise InvalidInput(
            f"init is a Solution whose prior kept {told}; {name} keeps {expected}: pass init=solution.x to start anew"
        )


def check_weight(value: Any, name: str) -> Weight:
    """``value`` as a number >= 0, or as a real tensor of such numbers.

    A constant tensor of one element becomes a number.
    """
    if not isinstance(value, Tensor):
        return check_number(value, name, low=0.0)
    check_real(value, name)
    if value.numel() == 0 or value.ndim not in (0, 1, 4, 5) or (value.ndim == 1 and value.numel() > 1):
        raise InvalidInput(
            f"{name} has shape {tuple(value.shape)}; expected one number, or four dimensions that broadcast to the "
            "image such as 1 c 1 1, five to a volume"
        )
    check_sign(value, name)
    if value.numel() > 1 or value.requires_grad:
        return value
    return float(value)


def check_plane_weight(value: Any, name: str) -> Weight:
    """:func:`check_weight` of one number, or one for each image and channel."""
    value = check_weight(value, name)
    if isinstance(value, Tensor) and value.shape[2:].numel() > 1:
        raise InvalidInput(
            f"{name} has shape {tuple(value.shape)}; expected one number, or one per image and channel: b c 1 1 or "
            "1 c 1 1, of volumes 1 c 1 1 1"
        )
    return value


def check_sign(value: Weight, name: str) -> None:
    """Refuse a weight tensor that holds negative numbers, NaN or Inf."""
    if (
        isinstance(value, Tensor)
        and not torch.compiler.is_compiling()
        and not bool((torch.isfinite(value) & (value >= 0)).all())
    ):
        low, high = value.detach().min().item(), value.detach().max().item()
        raise InvalidInput(
            f"{name} holds numbers from {low:g} to {high:g}; "
            "expected finite ones >= 0 (to learn it, learn its logarithm: log_weight.exp())"
        )


def check_fit(value: Weight, name: str, shape: Shape) -> None:
    """Refuse a weight tensor that does not broadcast to ``shape``, or that went negative since it was given."""
    if not isinstance(value, Tensor):
        return
    check_sign(value, name)
    given = tuple(value.shape)
    fits = len(given) == len(shape) and all(n in (1, m) for n, m in zip(given, shape, strict=True))
    if value.numel() > 1 and not fits:
        raise InvalidInput(
            f"{name} has shape {given}, which does not broadcast to the image of shape {tuple(shape)}; "
            f"expected e.g. 1 c {'1 1' if len(shape) == 4 else '1 1 1, as a volume has slices'}"
        )


def like(weight: Weight, v: Tensor) -> Weight:
    """``weight`` in the precision and on the device of ``v``."""
    return weight.to(v) if isinstance(weight, Tensor) else weight


def weight_on(weight: Weight, y: Tensor) -> Weight:
    """``weight`` in the precision of the image behind y and on its device: moved once for a solve."""
    return weight.to(device=y.device, dtype=real_dtype(y.dtype)) if isinstance(weight, Tensor) else weight


def is_zero(weight: Weight) -> bool:
    """Whether the weight is the number 0."""
    return not isinstance(weight, Tensor) and weight == 0.0


def check_bound(value: Any, name: str) -> float:
    """A bound of a box as a float; infinite allowed, NaN refused."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise InvalidInput(f"{name} is {value!r}; expected a number, or infinity for no bound") from None
    if math.isnan(number):
        raise InvalidInput(f"{name} is NaN; expected a number, or infinity for no bound")
    return number


def image_shape(y: Tensor, op: LinearOperator) -> Shape:
    """The shape of the image behind the data."""
    return tuple(op.input_shape(tuple(y.shape)))


def picture_shape(y: Tensor, op: LinearOperator, prior: Prior, volumes: bool = False) -> Shape:
    """Likewise, for a prior of rows and columns, and of slices where it takes ``volumes``, b c d h w.

    Raises InvalidInput for other images.
    """
    shape = image_shape(y, op)
    if len(shape) != 4 and not (volumes and len(shape) == 5):
        needs = "b c h w, or b c d h w for a volume" if volumes else "b c h w"
        raise InvalidInput(
            f"the image has shape {shape}; {type(prior).__name__} needs {needs}: give operators.Dense an image_shape"
        )
    return shape


def check_spacing(value: Any) -> tuple[float, ...]:
    """The spacing as numbers > 0."""
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence) or len(value) not in (2, 3):
        raise InvalidInput(
            f"spacing is {brief(value)}; expected two numbers > 0 for images, (h_row, h_column), or three for volumes, "
            "(h_slice, h_row, h_column)"
        )
    return tuple(check_number(h, "a distance of spacing", low=0.0, strict=True) for h in value)


def spaced(spacing: tuple[float, ...] | None, axes: int) -> tuple[float, ...]:
    """The spacing along each of so many axes; None: 1. Raises InvalidInput where it is for another number."""
    if spacing is None:
        return (1.0,) * axes
    if len(spacing) != axes:
        raise InvalidInput(
            f"spacing is {spacing}, for {len(spacing)} axes, and the image has {axes}; expected one "
            "number for each: two for images b c h w, three for volumes b c d h w"
        )
    return spacing
