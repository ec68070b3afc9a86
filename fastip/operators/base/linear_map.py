"""What every operator has: the door (checks, arrays), one autograd rule, norm and fingerprint."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ...arrays import as_tensor
from ...contracts import Convolution, Shape, Structure, Window
from ...errors import InvalidInput, StrictKeywords
from ...tracing import untransformed
from . import autograd, structures, windows
from .door import check_tensor
from .fingerprint import PASSING, Passing, flat, lasting, value_digest
from .lanczos import ROUGH, TOLERANCE, largest_singular_value
from .remembered import PREFIX, last

# found once, for every solve asks for them
FINGERPRINT, PROVEN, HOME = f"{PREFIX}fingerprint", f"{PREFIX}proven", f"{PREFIX}home"


class LinearMap(StrictKeywords, abc.ABC):
    """A linear map A with its adjoint: y = op(x), x = op.adjoint(y).

    A subclass gives ``_forward``, ``_adjoint`` and two shape rules, and ``_parameters`` where it is to be known again
    in files; it states ``gram``, ``cogram``,
    ``convolution`` and ``window`` where it knows them. Tensors, NumPy and CuPy arrays come in and go out as themselves,
    on any device, differentiable. Parameters are kept in float64 on the CPU, and copied once to each device of data.
    """

    complex_input = False  # for complex data A^T is the adjoint of Re <A x, y>, so images stay real
    complex_output = False
    channelwise = False  # acts on each channel of each image alone, and alike on all
    pixelwise = False  # acts on each pixel of each image alone, and alike on all: it mixes channels only

    trusted = True  # of fastip's own classes: whether the adjoint is right by construction

    # ---- what a subclass gives ---------------------------------------------------------------------------------------

    @abc.abstractmethod
    def _forward(self, x: Tensor) -> Tensor: ...  # a fresh tensor; x is checked already

    @abc.abstractmethod
    def _adjoint(self, y: Tensor) -> Tensor: ...  # a fresh tensor; y is checked already

    def _parameters(self) -> tuple[Any, ...]:
        """What the fingerprint covers; without these it is that of this object, and no other process knows it again."""
        return (self.__dict__.setdefault("_name", Passing()),)

    def __new__(cls, *_: Any, **__: Any) -> LinearMap:
        self = super().__new__(cls)
        if not torch.compiler.is_compiling():  # a graph has no random names: there it gets one when it is asked for it
            self.__dict__["_name"] = Passing()
        return self

    @abc.abstractmethod
    def output_shape(self, input_shape: Shape) -> Shape:
        """The shape of A x for x of this shape. Raises InvalidInput if A does not take it."""

    @abc.abstractmethod
    def input_shape(self, output_shape: Shape) -> Shape:
        """The shape of A^T y for y of this shape. Raises InvalidInput if A does not give it."""

    def gram(self, input_shape: Shape) -> Structure | None:
        """What A^T A looks like on images of this shape, where it is known."""
        self.output_shape(input_shape)
        return None

    def cogram(self, output_shape: Shape) -> Structure | None:
        """What A A^T looks like on data of this shape, where it is known."""
        self.input_shape(output_shape)
        return None

    def convolution(self) -> Convolution | None:
        """A itself as one strided convolution, where it is one."""
        return None

    def products(self, input_shape: Shape) -> float | None:
        """What A x costs on images of this shape, in multiply-adds (``base/work.py``); None: by no formula."""
        return None

    def absolute(self) -> LinearMap | None:
        """An operator whose entries are those of A without their sign, or larger, where A's are known and real."""
        return None

    def majorant(self) -> Tensor | None:
        """A real number for each datum of an image, as a diagonal that A A^T is below, where one is known."""
        return None

    def window(self) -> Window | None:
        """A as weighted pixels of a circular convolution on a larger grid, where it is that."""
        return windows.of(self.convolution())

    def check_measured(self, y: Tensor) -> None:
        """Refuse data that no image of the kind that A takes can have given.

        Args:
            y: The data, 0 where they do not count.

        Raises:
            InvalidInput: For these.
        """

    def _own_shape(self) -> Shape | None:
        """The image shape (batch 1) this operator was made for, where its parameters fix it."""
        return None

    # ---- the door ----------------------------------------------------------------------------------------------------

    def __call__(self, x: Any) -> Any:
        """A x."""
        tensor, back = as_tensor(x, "x")
        check_tensor(tensor, "x", self.complex_input)
        self.output_shape(tuple(tensor.shape))
        return back(_apply(tensor, self, False))

    def adjoint(self, y: Any) -> Any:
        """A^T y."""
        tensor, back = as_tensor(y, "y")
        check_tensor(tensor, "y", self.complex_output)
        self.input_shape(tuple(tensor.shape))
        return back(_apply(tensor, self, True))

    # ---- what follows for all ----------------------------------------------------------------------------------------

    def norm(self, input_shape: Shape | None = None) -> float:
        """The largest singular value of A, in closed form where A A^T or A^T A has a structure, else by Lanczos.

        By Lanczos it is up to 1e-7 of its square too large, not too small; up to 1e-3 where products are known by the
        clock alone, which those of one's own are.

        Args:
            input_shape: That of the images; None: the own shape of an operator that has one, else InvalidInput.
        """
        shape = self._known_shape() if input_shape is None else tuple(input_shape)
        return self._norm((1, 1, *shape[2:]) if self.channelwise else shape)

    @last
    def _norm(self, shape: Shape) -> float:
        structure = self.cogram(self.output_shape(shape)) or self.gram(shape)
        if structure is not None:
            return structures.largest(structure) ** 0.5
        tolerance = ROUGH if self.products(shape) is None else TOLERANCE
        return largest_singular_value(self, shape, self.complex_input, self.home, tolerance)

    def _known_shape(self) -> Shape:
        try:
            shape = self._own_shape()
            if shape is not None:
                self.output_shape(shape)
                return shape
        except InvalidInput:  # the parameters fix the size but not the channels or the batch
            pass
        raise InvalidInput(f"the norm of {type(self).__name__} depends on the image size; pass it: op.norm(x.shape)")

    def as_linear_operator(self, image_shape: Sequence[int], *, dtype: Any = "float64") -> Any:
        """This operator on one flattened image, for SciPy, pylops and whatever takes their operators.

        matvec and rmatvec take vectors of NumPy; matmat and rmatmat take their columns as one batch. Vectors are
        computed with, and come back, in the precision of dtype, without gradients. With complex data or images the
        dtype is complex, and images are complex vectors: A x is then ``A Re x + i A Im x``.

        Args:
            image_shape: That of one image without the batch, e.g. (c, h, w).
            dtype: float32 or float64, or the complex type of that precision, of NumPy.

        Returns:
            A ``scipy.sparse.linalg.LinearOperator`` of shape (numbers of one image's data, numbers of one image).

        Raises:
            InvalidInput: For a shape that the operator does not take (of one that differs from image to image, any),
                and another dtype.
            Unsupported: Without SciPy.
        """
        from .flat import flattened

        return flattened(self, image_shape, dtype)

    def fingerprint(self) -> str:
        """sha256 of class and parameters up to rounding, in hex: the same in every process and on every processor."""
        kept: str | None = self.__dict__.get(FINGERPRINT)
        if kept is None:
            found = untransformed(self._fingerprint)()
            kept = self.__dict__[FINGERPRINT] = f"{'' if self.lasting else PASSING}{found}"
        return kept

    @property
    def proven(self) -> bool:
        """Whether the adjoint is right by construction: this class, and what it is made of, is of fastip."""
        kept: bool | None = self.__dict__.get(PROVEN)
        if kept is None:
            parts = [value for value in flat(self._parameters()) if isinstance(value, LinearMap)]
            ours = self.trusted and type(self).__module__.partition(".")[0] == __name__.partition(".")[0]
            kept = self.__dict__[PROVEN] = ours and all(part.proven for part in parts)
        return kept

    @property
    def home(self) -> torch.device:
        """Where norms and sketches are computed: the CPU, or the GPU of :meth:`at_home`."""
        found: torch.device = self.__dict__.get(HOME, torch.device("cpu"))
        return found

    def at_home(self, device: torch.device) -> None:
        """Norms are computed on this GPU from now on, where functions of one's own may live that know no other place.

        In float64, which a function has to take.
        """
        if device.type == "cuda":
            self.__dict__[HOME] = device

    @property
    def lasting(self) -> bool:
        """Whether the fingerprint is that of an equal operator in every process."""
        return lasting(self._parameters())

    def _fingerprint(self) -> str:
        return str(value_digest((type(self).__qualname__, self._parameters())).hexdigest())

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if not name.startswith(PREFIX)}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(_brief(p) for p in self._parameters())})"


def _apply(data: Tensor, op: LinearMap, transposed: bool) -> Tensor:
    """A x, or A^T y, with one rule for the gradient."""
    if torch.compiler.is_compiling():  # it takes no rule with a forward mode: it traces the kernels' own gradients
        return op._adjoint(data) if transposed else op._forward(data)
    return autograd.apply(data, op, transposed)


def _brief(value: Any) -> str:
    return f"<{'x'.join(map(str, value.shape))}>" if isinstance(value, Tensor) else repr(value)
