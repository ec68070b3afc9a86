"""Family: one kernel with all its implementations, called like its reference; and its operators in torch.ops.fastip."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Generic, ParamSpec, TypeVar

import torch
from torch import Tensor
from torch.library import Library, register_autograd, register_fake, register_vmap

from . import choose
from .shapes import Shape

P = ParamSpec("P")
R = TypeVar("R")

LIBRARY = Library("fastip", "DEF")  # the operators live as long as this object
DEVICES = (("AutocastCPU", "cpu"), ("AutocastCUDA", "cuda"))
FAMILIES: dict[str, Family[..., Any]] = {}
OPERATORS: dict[str, Operator] = {}


@dataclass(frozen=True)
class Operator:
    """One operator of torch.ops.fastip: it never changes nor returns its arguments and gives contiguous results.

    Args:
        schema: Its name and types, as torch writes them.
        run: What it computes, on any device.
        fake: Shape, dtype and device of it without data.
        gradient: Its backward, of differentiable calls, so that gradients have gradients.
        keep: What it keeps for that.
        images: The places of arguments whose first dimension is a batch. Under autocast they keep the widest precision
            among them: a data step in half precision loses what the solver gains.
        pointwise: Whether they broadcast instead.
    """

    schema: str
    run: Callable[..., Any]
    fake: Callable[..., Any]
    gradient: Callable[..., Any]
    keep: Callable[..., None] | None = None
    images: tuple[int, ...] = (0,)
    pointwise: bool = False

    @property
    def name(self) -> str:
        """With its overload: soft_threshold.Tensor."""
        return self.schema.partition("(")[0]

    @property
    def call(self) -> Any:
        """``torch.ops.fastip.<name>.<overload>``."""
        packet, _, overload = self.name.partition(".")
        return getattr(getattr(torch.ops.fastip, packet), overload or "default")

    def register(self) -> None:
        """Define it, with its fake kernel, its gradient and its rules for vmap and autocast."""
        name, OPERATORS[self.name] = f"fastip::{self.name}", self
        LIBRARY.define(self.schema, tags=(torch.Tag.pt2_compliant_tag, torch.Tag.flexible_layout))
        LIBRARY.impl(self.name, self.run, "CompositeExplicitAutograd")
        register_fake(name, self.fake, lib=LIBRARY)
        register_autograd(name, self.gradient, setup_context=self.keep, lib=LIBRARY)
        register_vmap(name, self._aligned if self.pointwise else self._merged, lib=LIBRARY)
        for key, device in DEVICES:
            LIBRARY.impl(self.name, functools.partial(self._kept, device), key)

    # ---- vmap --------------------------------------------------------------------------------------------------------

    def _merged(self, info: Any, in_dims: tuple[int | None, ...], *arguments: Any) -> tuple[Any, Any]:
        """The mapped dimension joins the batch; a psf, taps or gain for each entry is a loop."""
        if any(d is not None and i not in self.images for i, d in enumerate(in_dims)):
            return self._looped(info.batch_size, in_dims, arguments)
        n, changed = info.batch_size, list(arguments)
        for i in self.images:
            image, d = arguments[i], in_dims[i]
            image = image.unsqueeze(0).expand(n, *image.shape) if d is None else image.movedim(d, 0)
            changed[i] = image.flatten(0, 1)
        result = self.call(*changed)
        if isinstance(result, Tensor):
            return result.unflatten(0, (n, -1)), 0
        return tuple(t.unflatten(0, (n, -1)) for t in result), (0,) * len(result)

    def _looped(self, n: int, in_dims: tuple[int | None, ...], arguments: tuple[Any, ...]) -> tuple[Any, Any]:
        """One call for each entry."""
        given = list(zip(arguments, in_dims, strict=True))
        results = [self.call(*(a if d is None else a.select(d, i) for a, d in given)) for i in range(n)]
        if isinstance(results[0], Tensor):
            return torch.stack(results), 0
        return tuple(torch.stack(part) for part in zip(*results, strict=True)), (0,) * len(results[0])

    def _aligned(self, info: Any, in_dims: tuple[int | None, ...], *arguments: Any) -> tuple[Tensor, int]:
        """The mapped dimension comes first, and what else broadcasts still does."""
        ranks = [a.ndim - (d is not None) for a, d in zip(arguments, in_dims, strict=True) if isinstance(a, Tensor)]
        changed = list(arguments)
        for i, (a, d) in enumerate(zip(arguments, in_dims, strict=True)):
            if d is not None:
                first = a.movedim(d, 0)
                changed[i] = first.reshape(first.shape[0], *[1] * (max(ranks) - a.ndim + 1), *first.shape[1:])
        return self.call(*changed), 0

    # ---- autocast ----------------------------------------------------------------------------------------------------

    def _kept(self, device: str, *arguments: Any) -> Any:
        """On images of the widest precision among them, with autocast off: what runs inside must not lower it."""
        changed, tensors = list(arguments), [i for i in self.images if isinstance(arguments[i], Tensor)]
        dtype = arguments[tensors[0]].dtype
        for i in tensors[1:]:
            dtype = torch.promote_types(dtype, arguments[i].dtype)
        for i in tensors:
            changed[i] = arguments[i].to(dtype)
        with torch.autocast(device, enabled=False):
            return self.call(*changed)


class Family(Generic[P, R]):
    """One kernel, called like its reference; which implementation runs is chosen at each call (choose.py).

    Args:
        reference: The formula in plain torch, whose signature the others share.
        native: The compiled kernel, which is not differentiable.
        triton: The module of fastip.kernels.triton that has a function of the family's name, not differentiable either.
        images: The places of the arguments that decide, images on one device; all others matter for gradients only.
            Where they do not lie side by side the first place is 0 and the last may be left out.
        operators: What is registered in torch.ops.fastip. A family without any runs its reference where a gradient is
            asked for.
        dispatch: The call of the operators, by default of the only one.
    """

    def __init__(
        self,
        reference: Callable[P, R],
        *,
        native: Callable[P, R],
        triton: str,
        images: tuple[int, ...] = (0,),
        operators: tuple[Operator, ...] = (),
        dispatch: Callable[P, R] | None = None,
    ) -> None:
        functools.update_wrapper(self, reference)
        self.reference, self.native, self.images, self._triton = reference, native, images, triton
        self.name: str = reference.__name__
        self._signature = inspect.signature(reference)
        side_by_side = images == tuple(range(images[0], images[-1] + 1))  # images side by side are found faster
        self._together = slice(images[0], images[-1] + 1) if side_by_side else None
        for operator in operators:
            operator.register()
        self.operator: Callable[P, R] = dispatch or (operators[0].call if operators else reference)
        FAMILIES[self.name] = self

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if kwargs:
            given = self._signature.bind(*args, **kwargs)
            given.apply_defaults()  # without them what stands behind one that is left out would be lost
            args = given.args  # type: ignore[assignment]
        images = args[self._together] if self._together else self._apart(args)
        result: R = getattr(self, choose.implementation(images, args))(*args)  # type: ignore[arg-type]
        return result

    def _apart(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The images of these arguments where they do not lie side by side; None and what is not given are none."""
        last = self.images[-1]
        if len(args) <= last or args[last] is None:
            return args[:1]
        return tuple(args[i] for i in self.images)

    @functools.cached_property
    def triton(self) -> Callable[P, R]:
        """The function in Triton, which is imported now."""
        function: Callable[P, R] = getattr(import_module(f"{__package__}.triton.{self._triton}"), self.name)
        return function

    def raw(self, *images: Tensor) -> Callable[P, R]:
        """The implementation that takes these images where no gradient is asked for."""
        function: Callable[P, R] = getattr(self, choose.raw(images))
        return function

    def __reduce__(self) -> tuple[Any, ...]:
        return _found, (self.name,)

    def __repr__(self) -> str:
        return f"<kernel family {self.name}>"


def _found(name: str) -> Family[..., Any]:
    """A family that was pickled: there is one of each in a process."""
    return FAMILIES[name]


class Implementations:
    """One implementation of every family, by the family's name: ``Implementations("native").woodbury``.

    A family is looked up when it is asked for, so that Triton is imported for a kernel in Triton only.
    """

    def __init__(self, name: str) -> None:
        self.implementation = name

    def __getattr__(self, family: str) -> Any:
        if family not in FAMILIES:
            raise AttributeError(f"no kernel family {family!r}; there are {', '.join(FAMILIES)}")
        return getattr(FAMILIES[family], self.implementation)


# ---- what operators are made of --------------------------------------------------------------------------------------


def own(result: Tensor, *arguments: Tensor | None) -> Tensor:
    """``result`` contiguous, in memory of its own: some kernels return their argument where there is nothing to do."""
    result = result.contiguous()
    memory = result.untyped_storage().data_ptr()
    shared = any(a is not None and a.untyped_storage().data_ptr() == memory for a in arguments)
    return result.clone() if shared else result


def of_one_image(
    schema: str, shape: Callable[..., Shape], gradient: Callable[..., Any], keep: Callable[..., None]
) -> Operator:
    """The operator that makes one image of one image by the raw kernels of the family of its name.

    ``shape`` checks the arguments and tells the shape of the result.
    """

    def run(image: Tensor, *arguments: Any) -> Tensor:
        shape(image, *arguments)
        return own(FAMILIES[operator.name].raw(image)(image, *arguments), image)

    def fake(image: Tensor, *arguments: Any) -> Tensor:
        return image.new_empty(shape(image, *arguments))

    operator = Operator(schema, run, fake, gradient, keep)
    return operator
