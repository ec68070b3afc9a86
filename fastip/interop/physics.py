"""An operator of fastip as a physics of deepinv: it alone needs deepinv."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from ..contracts import Shape
from ..errors import InvalidInput, Unsupported
from ..inverses import ConjugateGradient, Exact
from ..operators import Operator
from ..solvers import consistent

try:
    from deepinv.physics import LinearPhysics
except ImportError as error:
    raise Unsupported(
        f"to_deepinv makes a physics of deepinv, which cannot be imported ({error}): pip install deepinv"
    ) from error

CLOSE = 1e-6  # of conjugate gradients, where the operator states no structure: rounding of float32


class OperatorPhysics(LinearPhysics):
    """As :func:`fastip.interop.to_deepinv` gives it.

    Args:
        op: The operator.
        img_size: The shape of its images without the batch.
        noise_model: Of deepinv, or None.
        inverse: Of fastip, or "auto".
    """

    def __init__(self, op: Operator, img_size: Shape, noise_model: Any, inverse: Any) -> None:
        sizes = (2 * img_size[0], *img_size[1:]) if op.complex_input else img_size
        super().__init__(img_size=sizes, **({} if noise_model is None else {"noise_model": noise_model}))
        self.op: Any = op
        self.inverse = inverse

    def A(self, x: Tensor, **keywords: Any) -> Tensor:
        """A x."""
        _refuse(keywords)
        return _real(self.op(self._image(x)))

    def A_adjoint(self, y: Tensor, **keywords: Any) -> Tensor:
        """A^T y."""
        _refuse(keywords)
        return _real(self.op.adjoint(self._data(y)))

    def prox_l2(self, z: Any, y: Tensor, gamma: Any, **options: Any) -> Tensor:
        """``argmin gamma ||A x - y||^2 / 2 + ||x - z||^2 / 2 = z + A^T (I / gamma + A A^T)^-1 (y - A z)``."""
        _refuse(options, allowed=("solver", "max_iter", "tol", "verbose"))
        if z is None or isinstance(z, (int, float)):
            z = torch.full_like(self.A_adjoint(y), float(z or 0.0))
        many = isinstance(gamma, Tensor) and (gamma.requires_grad or gamma.numel() > 1)
        if many or _asked(options):
            found: Tensor = super().prox_l2(z, y, gamma, **options)
            return found
        data, image = self._data(y), self._image(z)
        step = self._chosen(data).bind(self.op, data, 1 / float(gamma))
        q, _ = step(image, step.start(image))
        return _real(image + step.pull(q))

    def A_dagger(self, y: Tensor, **options: Any) -> Tensor:
        """The image of least size that gives the data y."""
        _refuse(options, allowed=("solver", "max_iter", "tol", "verbose", "x_init"))
        if _asked(options) or self.op.complex_input:
            found: Tensor = super().A_dagger(y, **options)
            return found
        data = self._data(y)
        image = torch.zeros_like(self.op.adjoint(data))
        return _real(consistent(image, data, self.op, inverse=self._chosen(data)))

    def update_parameters(self, **keywords: Any) -> None:
        """Nothing: an operator of fastip is what it is."""
        _refuse(keywords)

    def clone(self) -> OperatorPhysics:
        """A copy with the same operator, which does not change. Theirs walks through all that an object knows."""
        memo: dict[int, Any] = {id(self.op): self.op, id(self.inverse): self.inverse}
        for module in self.modules():
            for value in vars(module).values():
                if isinstance(value, torch.Generator):
                    memo[id(value)] = torch.Generator(value.device).set_state(value.get_state())
        return copy.deepcopy(self, memo)

    def _chosen(self, y: Tensor) -> Any:
        if self.inverse != "auto":
            return self.inverse
        return ConjugateGradient(CLOSE) if Exact().structure(self.op, y) is None else Exact()

    def _image(self, x: Tensor) -> Tensor:
        return _complex(x) if self.op.complex_input else x

    def _data(self, y: Tensor) -> Tensor:
        return _complex(y) if self.op.complex_output else y


def _real(values: Tensor) -> Tensor:
    """Complex numbers as two channels: the real part of the first, its imaginary part, the real part of the next."""
    return torch.view_as_real(values.resolve_conj()).movedim(-1, 2).flatten(1, 2) if values.is_complex() else values


def _complex(channels: Tensor) -> Tensor:
    if channels.is_complex():
        return channels
    return torch.view_as_complex(channels.unflatten(1, (-1, 2)).movedim(2, -1).contiguous())


def _asked(options: dict[str, Any]) -> bool:
    return any(options.get(name) is not None for name in ("solver", "max_iter", "tol", "x_init"))


def _refuse(given: dict[str, Any], allowed: tuple[str, ...] = ()) -> None:
    unknown = sorted(set(given) - set(allowed))
    if unknown:
        raise InvalidInput(
            f"this physics has no {', '.join(unknown)}; expected nothing but the data: the parameters of an operator "
            "of fastip are fixed, make another operator for others"
        )
