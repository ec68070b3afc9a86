"""Physics and priors of deepinv in fastip, and operators of fastip as its physics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..arrays import check_number
from ..contracts import Inverse, LinearOperator, Shape
from ..errors import InvalidInput, StrictKeywords, Unsupported, brief
from ..inverses.steps import ImageStep
from ..operators import Function, Operator
from ..operators.base.door import check_sizes
from ..operators.base.fingerprint import value_digest
from ..priors import Prior
from ..priors.prior import BoundWithout, image_shape
from ..tracing import real_dtype
from .translate import translated

# Of a random v, the most that (beta I + A^T A) K v may be off v for a closed form: float32 is off by 1e-6.
CLOSED = 1e-3
BASES = ("Physics", "LinearPhysics")  # which compute what they are given: functions have no content to tell them by
ASIDE = (  # what A does not hang on
    *("noise_model", "sensor_model", "rng", "initial_random_state", "training", "_device_holder"),
    *("max_iter", "tol", "solver", "implicit_backward_solver"),
)


def from_deepinv(
    physics: Any, img_size: Sequence[int], *, complex_image: bool = False, fingerprint: str | None = None
) -> Operator:
    """The operator of a linear physics of deepinv.

    BlurFFT, Blur, Downsampling, DownsamplingMatlab, Inpainting, Demosaicing, CompressedSensing, Decolorize and
    Denoising become operators of fastip, with their exact and fused inverses, wherever these give the same data of a
    random image. All others, and those whose border, psf or mask fastip has none like, are wrapped as they are now
    (:class:`DeepinvOperator`). Noise is left out. Data of several tensors (pansharpening, stacks) are one row of
    numbers for each image: ``torch.cat([part.flatten(1) for part in y], 1)``.

    Args:
        physics: A LinearPhysics.
        img_size: The shape of an image without the batch, e.g. (c, h, w).
        complex_image: Whether images are complex.
        fingerprint: The name of a physics that is wrapped; None: it is told by its class, numbers and tensors, one
            with functions of one's own from nothing but itself.

    Returns:
        An operator, which a first solve checks as any of one's own where it is wrapped.

    Raises:
        InvalidInput: For what is not linear, images of another shape, and parameters for each image of a batch.
    """
    sizes = check_sizes(img_size, "img_size")
    missing = [name for name in ("A", "A_adjoint", "prox_l2") if not callable(getattr(physics, name, None))]
    if missing or isinstance(physics, type):
        raise InvalidInput(
            f"physics is {brief(physics)}, without {' and '.join(missing) or 'being made'}; expected a LinearPhysics "
            "of deepinv: operators.Function takes a pair of functions"
        )
    known = None if complex_image else translated(physics, sizes)
    return known or DeepinvOperator(physics, sizes, complex_image=complex_image, fingerprint=fingerprint)


class DeepinvOperator(Function):
    """A linear physics of deepinv as it was when this was made, wrapped.

    It is computed in the precision of its buffers; data come back in that of what was given. Where its prox_l2 is a
    closed form ``inverse="auto"`` takes it (:class:`ProxL2`). Differentiable in images and data.

    Args:
        physics: As of :func:`from_deepinv`.
        img_size: Likewise.
        complex_image: Likewise.
        fingerprint: Likewise.

    Raises:
        InvalidInput: As there.
    """

    def __init__(
        self, physics: Any, img_size: Sequence[int], *, complex_image: bool = False, fingerprint: str | None = None
    ) -> None:
        sizes = check_sizes(img_size, "img_size")
        self.physics = physics.clone() if hasattr(physics, "clone") else physics
        like = torch.zeros(1, *sizes, dtype=torch.complex64 if complex_image else torch.float32)
        name = type(physics).__name__
        try:
            with torch.no_grad():
                found = physics.A(like.to(_precision(physics, like)))
        except (RuntimeError, ValueError, TypeError, IndexError, AssertionError) as error:
            raise InvalidInput(
                f"{name}.A does not take an image of shape {sizes} ({error}); expected its shape without the batch, "
                "and complex_image=True where images are complex"
            ) from error
        parts = None if isinstance(found, Tensor) else (type(found), [tuple(part.shape[1:]) for part in found])
        found = found if isinstance(found, Tensor) else torch.cat([part.flatten(1) for part in found], 1)
        if len(found) != 1:
            raise InvalidInput(
                f"{name} has parameters for each of {len(found)} images; expected one for all: make one for each"
            )
        self._parts = parts
        super().__init__(
            _Product(self.physics, "A", parts),
            _Product(self.physics, "A_adjoint", parts),
            sizes,
            tuple(found.shape[1:]),
            complex_image=complex_image,
            complex_data=found.is_complex(),
            fingerprint=fingerprint or _name(self.physics),
        )
        self._closed: bool | None = None

    def solved(self, v: Tensor, beta: float) -> Tensor:
        """``(beta I + A^T A)^-1 v`` by prox_l2, v being images."""
        given = v.to(_precision(self.physics, v))
        nothing = self.physics.A(torch.zeros_like(given))
        found: Tensor = self.physics.prox_l2(given / beta, 0 * nothing, 1 / beta)
        return found.to(v.dtype)

    def own_inverse(self) -> Inverse | None:
        """:class:`ProxL2` where prox_l2 is a closed form, and right; else None."""
        if self._closed is None:
            base = next((kind for kind in type(self.physics).__mro__ if kind.__name__ == "LinearPhysics"), None)
            own = base is not None and getattr(type(self.physics), "prox_l2", None) is not vars(base)["prox_l2"]
            self._closed = own and self._right()
        return ProxL2() if self._closed else None

    @torch.no_grad()
    def _right(self) -> bool:
        dtype = torch.complex64 if self.complex_input else torch.float32
        v = torch.randn(1, *self.image_shape, generator=torch.Generator().manual_seed(0), dtype=dtype)
        try:
            x = self.solved(v, 0.5)
            return bool((0.5 * x + self._adjoint(self._forward(x)) - v).norm() <= CLOSED * v.norm())
        except Exception:  # of another library: what fails is no closed form
            return False


class _Product:
    """A or A_adjoint of a physics, in its precision; several parts of data as one row."""

    def __init__(self, physics: Any, name: str, parts: tuple[type, list[Shape]] | None) -> None:
        self.physics, self.name, self.parts = physics, name, parts

    def __call__(self, batch: Tensor) -> Tensor:
        given: Any = batch.to(_precision(self.physics, batch))
        if self.parts is not None and self.name == "A_adjoint":
            kind, shapes = self.parts
            rows = given.split([torch.Size(shape).numel() for shape in shapes], dim=1)
            given = kind([row.reshape(len(batch), *shape) for row, shape in zip(rows, shapes, strict=True)])
        found = getattr(self.physics, self.name)(given)
        found = found if isinstance(found, Tensor) else torch.cat([part.flatten(1) for part in found], 1)
        dtype = real_dtype(batch.dtype)
        return found.to(dtype.to_complex() if found.is_complex() else dtype)


class ProxL2(StrictKeywords):
    """(beta I + A^T A)^-1 by the prox_l2 of a wrapped physics: its closed form, or the inner loop that it has.

    What is off in it is seen again by the next iteration of ADMM.

    Raises:
        Unsupported: At ``bind``, for anything but a :class:`DeepinvOperator`.
    """

    def bind(self, op: LinearOperator, y: Tensor, beta: float, relaxation: float = 1.0) -> ImageStep:
        if not isinstance(op, DeepinvOperator):
            raise Unsupported(
                f"interop.ProxL2 needs a physics that is wrapped, and {type(op).__name__} is none: use inverse='auto'"
            )
        return ImageStep(op, y, beta, lambda v: op.solved(v, beta), f"prox_l2 of {type(op.physics).__name__}")


def _precision(physics: Any, batch: Tensor) -> torch.dtype:
    """That of the buffers, where there are any: float32 modules do not take float64, in which norms are computed."""
    buffers = physics.buffers() if isinstance(physics, nn.Module) else ()
    kinds = [real_dtype(b.dtype) for b in buffers if b.ndim and (b.is_floating_point() or b.is_complex())]
    dtype = kinds[0] if kinds else real_dtype(batch.dtype)
    return dtype.to_complex() if batch.is_complex() else dtype


def _name(physics: Any) -> str | None:
    """A text that tells what a physics computes, of its classes, numbers and tensors; None where functions decide."""
    content = []
    for path, module in physics.named_modules() if isinstance(physics, nn.Module) else [("", physics)]:
        kind = type(module)
        if not kind.__module__.startswith(("deepinv.", "torch.")) or kind.__name__ in BASES:
            return None
        if not set(path.split(".")) & set(ASIDE):
            own = {**vars(module), **vars(module).get("_buffers", {}), **vars(module).get("_parameters", {})}
            content.append((path, kind.__qualname__, _content(own)))
    return f"{type(physics).__qualname__} of deepinv, {value_digest(tuple(content)).hexdigest()}"


def _content(value: Any) -> Any:
    """The numbers, texts and tensors in a value."""
    if isinstance(value, dict):
        return tuple((str(k), _content(v)) for k, v in sorted(value.items(), key=str) if k not in ASIDE)
    if isinstance(value, (tuple, list)):
        return tuple(_content(one) for one in value)
    if isinstance(value, Tensor):
        value = torch.view_as_real(value) if value.is_complex() else value
        return value.detach()
    return value if isinstance(value, (int, float, str, torch.dtype)) else type(value).__name__


def to_deepinv(op: Operator, img_size: Sequence[int], *, noise_model: Any = None, inverse: Any = "auto") -> Any:
    """A LinearPhysics of deepinv that computes with an operator of fastip.

    A and A_adjoint are those of the operator; prox_l2 and A_dagger go through its inverse, and through deepinv's own
    solver where gamma is a tensor that is trained or has one number for each image, or where a solver, max_iter or tol
    is given. Complex data, and complex images, are two real channels for each, as deepinv keeps those of MRI. Keywords
    that the physics does not have are refused. It needs deepinv.

    Args:
        op: The operator.
        img_size: The shape of an image of it without the batch, e.g. (c, h, w).
        noise_model: A noise model of deepinv; None: none.
        inverse: An object of ``fastip.inverses``; "auto": exact by a structure, else conjugate gradients.

    Returns:
        The physics, a ``deepinv.physics.LinearPhysics``.

    Raises:
        InvalidInput: For anything but an operator, and a shape that it does not take.
        Unsupported: Without deepinv.
    """
    if not isinstance(op, Operator):
        raise InvalidInput(f"op is {brief(op)}; expected an operator, e.g. operators.Blur(psf)")
    sizes = check_sizes(img_size, "img_size")
    op.output_shape((1, *sizes))
    from .physics import OperatorPhysics

    return OperatorPhysics(op, sizes, noise_model, inverse)


class DeepinvPrior(Prior):
    """As :func:`prior_from_deepinv` gives it.

    Args:
        prior: Of deepinv.
        weight: Times what.
        options: Keywords for its prox.
    """

    def __init__(self, prior: Any, weight: float, options: dict[str, Any]) -> None:
        self.prior, self.weight, self.options = prior, weight, options

    def bind(self, y: Tensor, op: LinearOperator) -> _Bound:
        image_shape(y, op)
        return _Bound(self)

    def value(self, x: Tensor) -> Tensor:
        value: Tensor = self.weight * self.prior.fn(x)
        return value.reshape(len(x), -1).sum(dim=1)


class _Bound(BoundWithout):
    exact = False  # several of theirs are an inner loop

    def __init__(self, prior: DeepinvPrior) -> None:
        self._prior = prior

    def __call__(self, v: Tensor, step: float) -> Tensor:
        found: Tensor = self._prior.prior.prox(v, gamma=step * self._prior.weight, **self._prior.options)
        return found.to(v.dtype)


def prior_from_deepinv(prior: Any, weight: float, **options: Any) -> DeepinvPrior:
    """A prior of deepinv with a prox, times a weight: R(x) = weight g(x).

    TVPrior, L1Prior, Tikhonov, TVL1Prior, L12Prior, WaveletPrior and whatever else has fn and a prox of its own. It is
    called once an iteration, with what inner loop it has; differentiable where theirs is.

    Args:
        prior: It.
        weight: A number >= 0.
        options: Keywords that its prox takes.

    Returns:
        A prior.

    Raises:
        InvalidInput: For a weight that is none, and what has no prox: of a network (PnP) give ``prior.denoiser`` to
            ``priors.Denoiser``; RED, score and patch priors know a gradient alone.
    """
    weight = check_number(weight, "weight", low=0.0)
    kind = type(prior)
    own = [base for base in kind.__mro__ if "prox" in vars(base)]
    if hasattr(prior, "denoiser") and not getattr(prior, "explicit_prior", False):
        raise InvalidInput(
            f"prior is {kind.__name__} with a denoiser in place of a penalty; expected one with a prox: give the "
            "network to priors.Denoiser(prior.denoiser, sigma=...)"
        )
    if isinstance(prior, type) or not own or own[0].__name__ in ("Potential", "Prior"):
        raise InvalidInput(
            f"prior is {brief(prior)}, which has no prox of its own; expected one such as deepinv.optim.TVPrior()"
        )
    return DeepinvPrior(prior, weight, options)
