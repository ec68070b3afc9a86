"""C as a network trained on noise.

Bound to its operator it is one data step, scaled by its certificate when it is linear.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch import Tensor, nn

from ..contracts import LinearOperator, StencilStep
from ..errors import InvalidInput, StrictKeywords
from ..nets import InverseNet
from ..nets.weights import check_beside, net_digest, net_on
from ..tracing import check_traceable
from .certificate import Certificate
from .collapsed import Bordered, layered, worth_collapsing
from .examine import certify
from .stencil import StencilDataStep
from .steps import DataStep
from .trained import ROUNDING, Trained

REMEMBERED = 16  # set-ups kept by one inverse: more hold memory, fewer are made again where solves take turns


class Learned(StrictKeywords):
    """C = a network: q' = q + C(y - A x - beta q).

    Whatever C is, a fixed point is an exact minimiser; a certified linear C converges to it. At bind a linear
    network becomes stencils where that is less work, scaled so that kappa < 0.98 (``Certificate.scale``). Networks
    whose weights require a gradient keep their layers, so that a solve can be differentiated in them. Data on
    another device than the network's are given a copy of it there, which is kept; where a gradient is asked for
    they are refused.

    Args:
        net: A network of ``fastip.nets``, or any module called as net(r, beta) that keeps the shape b c h w of r.
            Those that are not InverseNets are taken for non-linear: they are not certified, and the solver's own
            watch stops a diverging run with Status.UNSTABLE.
        trained: The problem that the network belongs to (``fastip.load_inverse`` and ``fastip.train.inverse`` give
            it). Another operator, or a beta outside its range, is then refused. The certificates in it are not taken
            for true: the first bind computes that of the weights for the problem at hand, and later ones remember it.

    Raises:
        InvalidInput: For what is no network. At ``bind`` for another operator, a beta out of range, data that are
            complex or not b c h w with channels for the network, and a linear C that is not positive definite.
        Unsupported: At ``bind`` inside torch.compile, for an InverseNet and for a network with its record.

    References:
        Fan, Wei, Carin and Heller, An inner-loop free solution to inverse problems using deep neural networks, NIPS
        2017, section 3.
    """

    def __init__(self, net: nn.Module, *, trained: Trained | None = None) -> None:
        if not isinstance(net, nn.Module):
            raise InvalidInput(
                f"net is {type(net).__name__}; expected a network such as nets.InverseNet(): "
                "load trained ones with fastip.load_inverse(path)"
            )
        self.net, self.trained = net, trained
        self._examined = None if trained is None else net_digest(net)
        self._remembered: dict[Hashable, Any] = {}

    @property
    def unchanged(self) -> bool:
        """Whether the weights still are those that ``trained`` describes, as they were when this object was made."""
        return self._examined is None or self._examined == net_digest(self.net)

    def bind(self, op: LinearOperator, y: Tensor, beta: float, relaxation: float = 1.0) -> DataStep:
        """The data step with this C.

        Raises:
            InvalidInput: For another operator, a beta out of range, or data that the network does not take.
            Unsupported: Inside torch.compile, for an InverseNet and for a network with its record.
        """
        if self.trained is not None or isinstance(self.net, InverseNet):
            check_traceable(
                "Learned",
                "each bind looks at the weights that its network has now",
                "use inverses.Stencil() or Exact()",
            )
        self._check(op, y, beta)
        net = self.net
        if not isinstance(net, InverseNet):
            near = self._beside(y)
            return DataStep(op, y, beta, lambda r: near(r, beta), self._about())
        certificate = certify(net, op, tuple(y.shape), beta, relaxation)
        factor, certificate = certificate.scale(), certificate.scaled()
        text = f"{self._about()}, kappa = {certificate.kappa:.3f}, rho = {certificate.rho:.2e}"
        if not worth_collapsing(net) or self._differentiable():
            why = "its weights require a gradient" if self._differentiable() else "its stencil would be more work"
            return DataStep(op, y, beta, layered(self._beside(y), beta, factor), f"{text}, by its layers: {why}")
        convolution = op.convolution()
        if convolution is not None and convolution.boundary == net.boundary == "circular":
            taps = self._remember(("taps", beta, factor), lambda: net.stencil(beta) * factor)
            return StencilDataStep(op, y, StencilStep(convolution, taps, beta), text)
        if net.boundary == "circular" or min(y.shape[-2:]) < Bordered.smallest(net):
            why = "A is no circular convolution" if net.boundary == "circular" else "the data are small"
            return DataStep(op, y, beta, layered(self._beside(y), beta, factor), f"{text}, by its layers: {why}")
        text += ", as a stencil with borders of its own"
        bordered = self._remember(("bordered", beta, y.dtype, y.device), lambda: Bordered(net, beta, y))
        return DataStep(op, y, beta, bordered if factor == 1 else lambda r: factor * bordered(r), text)

    def certificate(self, op: LinearOperator, y: Tensor, beta: float, relaxation: float = 1.0) -> Certificate | None:
        """The certificate, before scaling, with which this inverse would be bound; None for a non-linear network."""
        self._check(op, y, beta)
        return certify(self.net, op, tuple(y.shape), beta, relaxation) if isinstance(self.net, InverseNet) else None

    def _remember(self, key: tuple[Hashable, ...], make: Callable[[], Any]) -> Any:
        """``make()``, kept while the weights are the same."""
        key = (*key, net_digest(self.net))
        if key not in self._remembered:
            while len(self._remembered) >= REMEMBERED:
                del self._remembered[next(iter(self._remembered))]
            self._remembered[key] = make()
        return self._remembered[key]

    def _beside(self, y: Tensor) -> nn.Module:
        """The network on the device of y."""
        if self._differentiable():
            check_beside(self.net, y)
            return self.net
        if all(p.device == y.device for p in self.net.parameters()):
            return self.net
        return self._remember(("beside", y.device), lambda: net_on(self.net, y.device))

    def _differentiable(self) -> bool:
        return torch.is_grad_enabled() and any(p.requires_grad for p in self.net.parameters())

    def _check(self, op: LinearOperator, y: Tensor, beta: float) -> None:
        colours = getattr(self.net, "colours", 1)
        if y.is_complex() or y.ndim != 4:
            found = f"{'complex' if y.is_complex() else 'real'} of shape {tuple(y.shape)}"
            raise InvalidInput(
                f"y is {found}; a learned inverse works on real images b c h w: for other data use inverses.Exact()"
            )
        if y.shape[1] % colours:
            raise InvalidInput(
                f"y has {y.shape[1]} channels; expected a multiple of {colours}, which this network takes together: "
                "use one with colours=1, or inverse='auto'"
            )
        allowed = getattr(self.net, "beta_range", None) if self.trained is None else self.trained.beta
        if self.trained is not None and op.fingerprint() != self.trained.fingerprint:
            raise InvalidInput(
                "this learned inverse was trained for another operator (psf, stride or boundary differ): "
                "train one for this operator with fastip.train.inverse(op, beta), or use inverse='auto'"
            )
        if allowed is not None and not allowed[0] * (1 - ROUNDING) <= beta <= allowed[1] * (1 + ROUNDING):
            trained_for = f"{allowed[0]:g}" if allowed[0] == allowed[1] else f"{allowed[0]:g} to {allowed[1]:g}"
            raise InvalidInput(
                f"beta is {beta:g}, and this learned inverse was trained for {trained_for}: "
                "pass that, train one for it, or use inverse='auto'"
            )

    def _about(self) -> str:
        net, name = self.net, type(self.net).__name__
        if isinstance(net, InverseNet):
            return f"learned inverse, {name} of {2 * net.reach + 1} x {2 * net.reach + 1}"
        known = (
            ""
            if self.trained is None or self.trained.estimate is None
            else f", worst error found {self.trained.estimate:.2g} (an estimate)"
        )
        return f"learned inverse, {name}, not certified, as only an InverseNet can be{known}"
