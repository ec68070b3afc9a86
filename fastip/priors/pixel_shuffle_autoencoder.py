"""PixelShuffleAutoencoder: a trained network as the prox, which sees the data beside the image."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from .. import nets
from ..arrays import check_real
from ..contracts import LinearOperator, Shape
from ..errors import InvalidInput, brief, strict_keywords
from ..nets.weights import check_beside
from .levelled import BoundLevelled, Levelled
from .prior import image_shape
from .trained import Trained


class PixelShuffleAutoencoder(Levelled):
    """A trained network as the prox, which sees the data beside the image: the amortised prior of these data.

    ``prox_{step R}(v)`` is net(v, y, level), and with a net that does not take y a denoiser as any other, with::

        level = noise sqrt(2 step)      where noise is given; step = 1 / 2 beta in admm, so level = noise / sqrt(beta)
        level = sigma                   else

    The net keeps its gradients: solve under ``torch.no_grad()`` where none are wanted. A net that takes the level
    must have one when it is bound: ``prior.at(noise=0.01)`` gives the same prior with another. Data with a valid
    boundary, which are smaller than the image's grid, are continued at their borders for the net.

    Args:
        net: A network of ``fastip.nets`` (``nets.PRIOR_NETS``), in eval mode unless its BatchNorm is to be trained.
            Its weights may be bfloat16: v keeps its own precision.
        sigma: The level in image units, > 0, or a sequence with one for each iteration (its last is repeated; a solve
            that is resumed from a Solution goes on where that one ended).
        noise: The standard deviation of the noise in y, >= 0 (0 is as good as missing). Together with sigma it
            implies beta = noise^2 / sigma^2.
        trained: What the net was trained on (``fastip.load_prior`` gives it); data of another operator are then
            refused, whatever their boundary.

    Raises:
        InvalidInput: For another net, levels that contradict each other, and at ``bind`` for a missing level, for
            data that do not fit the net, and for data on another device than its weights.

    References:
        Fan, Wei, Carin and Heller, An inner-loop free solution to inverse problems using deep neural networks, NIPS
        2017, section 3.1.
    """

    def __init__(
        self,
        net: nets.PriorNet,
        *,
        sigma: float | Sequence[float] | None = None,
        noise: float | None = None,
        trained: Trained | None = None,
    ) -> None:
        if not isinstance(net, nets.PriorNet):
            raise InvalidInput(
                f"net is {brief(net)}; expected one of {', '.join(nets.PRIOR_NETS)}; "
                "any other denoiser: priors.Denoiser(net, sigma=...)"
            )
        self.net, self.trained = net, trained
        self._set_levels(sigma, noise)

    @strict_keywords
    def at(
        self, *, sigma: float | Sequence[float] | None = None, noise: float | None = None
    ) -> PixelShuffleAutoencoder:
        """The same network with these levels instead of its own."""
        return PixelShuffleAutoencoder(self.net, sigma=sigma, noise=noise, trained=self.trained)

    def bind(self, y: Tensor, op: LinearOperator) -> BoundPixelShuffleAutoencoder:
        if self.net.takes_level:
            self._require_level()
        check_beside(self.net, y)
        shape = image_shape(y, op)
        if len(shape) != 4 or shape[1] % self.net.colours:
            raise InvalidInput(
                f"the image has shape {shape}; "
                f"this {type(self.net).__name__} takes b c h w with c a multiple of {self.net.colours}"
            )
        if self.net.conditional and self.trained is not None:
            self.trained.check_operator(op)
        return BoundPixelShuffleAutoencoder(
            self, _on_net_grid(y, op, shape, self.net) if self.net.conditional else None
        )


class BoundPixelShuffleAutoencoder(BoundLevelled):
    """The network in a solve, with the data it sees."""

    def __init__(self, prior: PixelShuffleAutoencoder, y: Tensor | None) -> None:
        super().__init__(prior)
        self._net, self._y = prior.net, y

    @property
    def several(self) -> bool:
        """False: it may have been trained through another data step, and from another start."""
        return False

    def denoise(self, v: Tensor, level: float | None) -> Tensor:
        x: Tensor = self._net(v, self._y, level)
        return x


def _on_net_grid(y: Tensor, op: LinearOperator, shape: Shape, net: nets.PriorNet) -> Tensor:
    """The data on the image's grid divided by the net's stride.

    A valid convolution has k - 1 - k // 2 rows of the image before its first datum.
    """
    check_real(y, "y")
    due = (shape[0], shape[1] // net.colours * net.data_colours, *(-(-n // net.stride) for n in shape[2:]))
    convolution = op.convolution()
    if tuple(y.shape) == due:
        return y
    if (
        convolution is None
        or convolution.boundary != "valid"
        or convolution.stride != net.stride
        or tuple(y.shape[:2]) != due[:2]
    ):
        raise InvalidInput(
            f"y has shape {tuple(y.shape)}; "
            f"this {type(net).__name__} takes data of shape {due} for an image of shape {shape}"
        )
    pads = []
    for k, n, m in zip(convolution.psf.shape, y.shape[2:], due[2:], strict=True):
        before = (k - 1 - k // 2 + net.stride // 2) // net.stride
        pads.append((before, m - n - before))
    return F.pad(y, (*pads[1], *pads[0]), mode="replicate")
