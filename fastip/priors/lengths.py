"""Total variation with other lengths: one of all channels, and Huber's function of each."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..arrays import check_number
from ..errors import InvalidInput
from .prior import Weight
from .tv import TV


class VectorTV(TV):
    """Total variation of all channels together, so that colours have their edges in one place; else as :class:`TV`.

    It is, the sum under the root being over the channels, the Frobenius norm of the Jacobian::

        R(x) = weight sum_ij sqrt(sum_c (x[c, i+1, j] - x[c, i, j])^2 + (x[c, i, j+1] - x[c, i, j])^2)

    and the dual field of a pixel is limited in its length over all channels. Of a grey image it is :class:`TV`. It has
    no compiled kernel.

    Args:
        weight: A number >= 0, or a tensor b 1 1 1, of volumes b 1 1 1 1 (it may require a gradient).
        steps: As for :class:`TV`.
        boundary: As for :class:`TV`.
        spacing: As for :class:`TV`.

    Raises:
        InvalidInput: As for :class:`TV`, and for a weight for each channel.

    References:
        Bresson and Chan, Fast dual minimization of the vectorial total variation norm and applications to color image
        processing, 2008.
    """

    compiled = False
    over = (0, 2)

    def _weighed(self, weight: Weight) -> Weight:
        weight = super()._weighed(weight)
        if isinstance(weight, Tensor) and weight.ndim > 3 and weight.shape[1] > 1:
            raise InvalidInput(
                f"weight has shape {tuple(weight.shape)}, and all channels have one length; "
                "expected one number, or one for each image: b 1 1 1, of volumes b 1 1 1 1"
            )
        return weight

    def lengths(self, x: Tensor) -> Tensor:
        """What is summed, weight apart, b 1 h w."""
        return torch.linalg.vector_norm(self.differences(x), dim=self.lengthwise).unsqueeze(1)


class Huber(TV):
    """Total variation with Huber's function of each length: edges stay sharp, ramps do not become stairs.

    Each channel alone; else as :class:`TV`. With t the length of the differences of a pixel, as there::

        R(x) = weight sum_ij h(t),      h(t) = t^2 / (2 threshold) up to the threshold, t - threshold / 2 beyond

    The dual loses ``threshold |u|^2 / (2 weight)``, so that a step is shrunk before it is limited. Differences below
    the threshold, of noise or of shading, count by their squares. It has no compiled kernel.

    Args:
        weight: As for :class:`TV`.
        threshold: A number > 0, in the units of the image: for images in [0, 1] about 0.01.
        steps: As for :class:`TV`.
        boundary: As for :class:`TV`.
        spacing: As for :class:`TV`.

    Raises:
        InvalidInput: As for :class:`TV`.

    References:
        Huber, Robust estimation of a location parameter, 1964. Chambolle and Pock, A first-order primal-dual algorithm
        for convex problems with applications to imaging, 2011, section 6.2.3.
    """

    compiled = False

    def __init__(
        self,
        weight: Weight,
        threshold: float,
        *,
        steps: int = 5,
        boundary: str = "reflect",
        spacing: Sequence[float] | None = None,
    ) -> None:
        super().__init__(weight, steps=steps, boundary=boundary, spacing=spacing)
        self.threshold = check_number(threshold, "threshold", low=0.0, strict=True)

    def lengths(self, x: Tensor) -> Tensor:
        """What is summed, weight apart, b c h w."""
        length = torch.linalg.vector_norm(self.differences(x), dim=self.lengthwise)
        beyond = length - self.threshold / 2
        return torch.where(length < self.threshold, length.square() / (2 * self.threshold), beyond)

    def conjugate(self, u: Tensor, weight: Weight) -> Tensor | float:
        """``threshold |u|^2 / (2 weight)``, b c h w; where the weight is 0, so is u."""
        if not isinstance(weight, Tensor):
            weight = u.new_full((1, 1, 1, 1), weight)
        weight = weight.to(u)
        return (
            (self.threshold / 2)
            * u.square().sum(dim=self.lengthwise)
            / torch.where(weight > 0, weight, torch.ones_like(weight))
        )
