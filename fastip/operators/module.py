"""A linear network or module of torch as an operator."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import FastipError, InvalidInput, brief
from ..tracing import real_dtype
from .base.door import check_sizes
from .fixed import FixedShapes

LINEAR = 1e-9  # what sums in float64 may be off by; a bias or an activation is off by as much as the data


class Module(FixedShapes):
    """y = net(x) for a linear module, A^T y by its vector-Jacobian product.

    The module is copied and kept in eval mode: later changes of its weights are not seen, and they get no gradient.

    Args:
        net: A module from b x image_shape to a tensor b x data_shape, linear in eval mode: no bias, no activation.
        image_shape: That of an image without the batch, e.g. (c, h, w).

    Raises:
        InvalidInput: For anything but a module, one that does not take such images, and one that is not linear.
    """

    def __init__(self, net: nn.Module, image_shape: Sequence[int]) -> None:
        if not isinstance(net, nn.Module):
            raise InvalidInput(
                f"net is {brief(net)}; expected a linear torch.nn.Module, e.g. nn.Conv2d(..., bias=False)"
            )
        self.image_shape = check_sizes(image_shape, "image_shape")
        self._net = copy.deepcopy(net).cpu().double().eval().requires_grad_(False)
        self._casts: dict[tuple[torch.dtype, torch.device], nn.Module] = {}
        self.data_shape = self._tried()

    def _tried(self) -> tuple[int, ...]:
        """The shape of the data, after the module was seen to be linear in float64."""
        name = type(self._net).__name__
        x = torch.randn(2, *self.image_shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        try:
            with torch.no_grad():
                zero, (one, two), mixed = self._net(0 * x), self._net(x), self._net(2 * x[:1] - 3 * x[1:])
        except FastipError:
            raise
        except Exception as error:
            raise InvalidInput(f"{name} does not take a batch of images {self.image_shape}: {error}") from error
        if not isinstance(zero, Tensor) or zero.ndim < 2 or len(zero) != 2 or zero.dtype != torch.float64:
            raise InvalidInput(
                f"{name} gave {brief(zero)} for a batch of 2 in float64; expected a real tensor, batch first"
            )
        size = float(one.abs().max() + two.abs().max())
        if float(zero.abs().max()) > LINEAR * size:
            raise InvalidInput(
                f"{name} gives {float(zero.abs().max()):.3g} for images of zeros, so it is not linear: leave biases "
                "out, and subtract what they add from the data"
            )
        off = float((mixed[0] - (2 * one - 3 * two)).abs().max())
        if not off <= LINEAR * size:
            raise InvalidInput(
                f"{name} is not linear: net(2 a - 3 b) is up to {off:.3g} off 2 net(a) - 3 net(b), which are of the "
                f"size {size:.3g}; a network that is not linear can be a prior, priors.Denoiser, but no operator"
            )
        return tuple(zero.shape[1:])

    def _forward(self, x: Tensor) -> Tensor:
        return self._like(x)(x).contiguous().clone()

    def _adjoint(self, y: Tensor) -> Tensor:
        with torch.inference_mode(False), torch.enable_grad():
            x = torch.zeros(len(y), *self.image_shape, dtype=y.dtype, device=y.device, requires_grad=True)
            (found,) = torch.autograd.grad(self._like(y)(x), x, y.detach().clone())
        return found.contiguous()

    def _like(self, v: Tensor) -> nn.Module:
        key = (real_dtype(v.dtype), v.device)
        if key not in self._casts:
            with torch.inference_mode(False):
                self._casts[key] = copy.deepcopy(self._net).to(dtype=key[0], device=key[1])
        return self._casts[key]

    def _parameters(self) -> tuple[Any, ...]:
        weights = tuple(value for _, value in sorted(self._net.state_dict().items()))
        return (repr(self._net), *weights, self.image_shape)

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_casts": {}}

    def __repr__(self) -> str:
        return f"Module({type(self._net).__name__}, {self.image_shape})"
