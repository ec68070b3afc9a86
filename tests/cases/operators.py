"""The table of operators that every property test walks.

A new public operator enters the tests by getting a line here, and a test fails until it has one::

    from cases.operators import operator_cases
    CASES = [pytest.param(make, shape, id=name) for name, make, shape in operator_cases()]
    @pytest.mark.parametrize("make, shape", CASES)
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from fastip import operators
from fastip.operators import psf

Factory = Callable[[torch.dtype], operators.Operator]


class Case(NamedTuple):
    """One operator on one grid; unpacks as (id, factory taking a dtype, input shape)."""

    id: str
    make: Factory
    input_shape: tuple[int, ...]


def draw(*shape: int, seed: int = 0) -> Tensor:
    """A reproducible standard normal float64 tensor."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _blur(kh: int, kw: int, stride: int, boundary: str) -> Factory:
    kernel = draw(kh, kw, seed=100 * kh + kw)
    return lambda dtype: operators.Blur((kernel / kernel.abs().sum()).to(dtype), stride=stride, boundary=boundary)


def _size(k: int, stride: int, boundary: str, multiple: int) -> int:
    """An image side for psf side k: an odd or even multiple of the stride, no smaller than the psf."""
    if boundary == "valid":
        return (multiple - 1) * stride + k
    while multiple * stride < k:
        multiple += 2
    return multiple * stride


# psf height, psf width, stride, low-resolution height and width (grown by two until the psf fits), batch, channels
_BLURS = (
    (3, 3, 1, 7, 8, 1, 1),
    (4, 4, 1, 6, 7, 2, 3),
    (1, 5, 1, 5, 6, 1, 2),
    (3, 5, 2, 5, 4, 2, 1),
    (2, 2, 2, 3, 4, 1, 3),
    (5, 4, 3, 4, 3, 1, 2),
    (3, 2, 3, 3, 4, 1, 1),
    (9, 9, 4, 3, 4, 1, 1),
    (6, 3, 5, 3, 2, 3, 1),
    (4, 5, 5, 2, 3, 1, 2),
)


def _blurs() -> list[Case]:
    cases = []
    for boundary in ("circular", "valid", "reflect", "zero"):
        for kh, kw, stride, h, w, b, c in _BLURS:
            shape = (b, c, _size(kh, stride, boundary, h), _size(kw, stride, boundary, w))
            cases.append(Case(f"blur-{boundary}-{kh}x{kw}-s{stride}", _blur(kh, kw, stride, boundary), shape))
        shape = (1, 1, _size(34, 1, boundary, 3), _size(33, 1, boundary, 2))  # so large that Blur goes through the FFT
        cases.append(Case(f"blur-{boundary}-34x33-s1", _blur(34, 33, 1, boundary), shape))
    return cases


def _centred(kh: int, kw: int, stride: int, boundary: str, centre: tuple[int, int]) -> Factory:
    kernel = draw(kh, kw, seed=100 * kh + kw)
    return lambda dtype: operators.Blur(kernel.to(dtype), stride=stride, boundary=boundary, centre=centre)


def _several(psfs: tuple[int, ...], stride: int, boundary: str, symmetric: bool = False) -> Factory:
    kernels = draw(*psfs, seed=31)
    if symmetric:
        kernels = kernels + kernels.flip(-1) + kernels.flip(-2) + kernels.flip((-1, -2))
    return lambda dtype: operators.Blur(kernels.to(dtype), stride=stride, boundary=boundary)


def _of_several() -> list[Case]:
    """Each channel, or each image, with a psf of its own."""
    cases = []
    for boundary in ("circular", "valid", "reflect", "zero"):
        for name, psfs, stride, (h, w), (b, c) in (
            ("channels", (3, 3, 4), 1, (5, 6), (2, 3)),
            ("images", (2, 1, 4, 3), 2, (4, 3), (2, 2)),
            ("both", (2, 2, 3, 3), 1, (4, 5), (2, 2)),
            ("boxes", (2, 3, 3), 3, (2, 3), (1, 2)),
            ("many", (3, 6, 3, 2), 1, (3, 4), (3, 6)),  # by FFTs of all planes
        ):
            size = (_size(psfs[-2], stride, boundary, h), _size(psfs[-1], stride, boundary, w))
            cases.append(Case(f"blur-{boundary}-{name}-s{stride}", _several(psfs, stride, boundary), (b, c, *size)))
    cases.append(Case("blur-reflect-symmetric-channels", _several((2, 3, 5), 1, "reflect", True), (2, 2, 5, 6)))
    return cases


def _volume(*psfs: int, stride: int = 1, boundary: str = "circular") -> Factory:
    kernel = draw(*psfs, seed=41)
    return lambda dtype: operators.Blur(kernel.to(dtype), stride=stride, boundary=boundary, axes=3)


def _of_volumes() -> list[Case]:
    return [
        Case("volume-circular", _volume(3, 2, 4), (2, 1, 4, 3, 5)),
        Case("volume-circular-s2", _volume(3, 3, 2, stride=2), (1, 1, 4, 6, 2)),
        Case("volume-valid", _volume(2, 3, 2, boundary="valid"), (1, 2, 4, 4, 3)),
        Case("volume-zero", _volume(2, 3, 3, boundary="zero"), (1, 1, 3, 4, 4)),
        Case("volume-reflect", _volume(3, 2, 3, boundary="reflect"), (2, 1, 3, 4, 4)),
        Case("volume-channels", _volume(2, 2, 3, 2), (1, 2, 3, 4, 3)),
        Case("volume-averages", lambda dtype: operators.Downsample(2, axes=3), (1, 2, 4, 2, 6)),
        Case("volume-mask", lambda dtype: operators.Mask(draw(3, 4, 5, seed=42).to(dtype), axes=3), (2, 2, 3, 4, 5)),
        Case(
            "mask-of-volume",
            lambda dtype: operators.Mask(draw(4, 3, 5, seed=43), axes=3) @ _volume(3, 2, 4)(dtype),
            (1, 1, 4, 3, 5),
        ),
    ]


def _gaussian(stride: int, boundary: str) -> Factory:
    return lambda dtype: operators.Blur(psf.gaussian(5, sigma=1.1).to(dtype), stride=stride, boundary=boundary)


def _separable(h: int, height: int, w: int, width: int) -> Factory:
    vertical, horizontal = draw(h, height, seed=10), draw(w, width, seed=11)
    return lambda dtype: operators.Separable(vertical.to(dtype), horizontal.to(dtype))


def _masked_fourier(*shape: int) -> Factory:
    mask = (draw(*shape, seed=7) > 0).double()
    return lambda dtype: operators.MaskedFourier(mask.to(dtype))


def _frequencies(axes: int, count: int) -> Tensor:
    return torch.rand(count, axes, generator=torch.Generator().manual_seed(26), dtype=torch.float64) - 0.5


def _coils(*shape: int) -> Tensor:
    return torch.complex(draw(*shape, seed=24), draw(*shape, seed=25))


def _thin(m: int, n: int, seed: int) -> Tensor:
    values = draw(m, n, seed=seed)
    return (values * (values.abs() > 0.8)).to_sparse()


def _differences(x: Tensor) -> Tensor:
    return x[..., 1:] - x[..., :-1]


def _differences_transposed(y: Tensor) -> Tensor:
    return torch.nn.functional.pad(y, (1, 0)) - torch.nn.functional.pad(y, (0, 1))


def _function(dtype: torch.dtype) -> operators.Operator:
    """The differences of neighbours in a row, with its transpose by hand."""
    shapes = (2, 4, 5), (2, 4, 4)
    return operators.Function(_differences, _differences_transposed, *shapes, fingerprint="differences")


def _half(x: Tensor) -> Tensor:
    return torch.fft.fft2((0.6 + 0.8j) * x, norm="ortho")[..., ::2]


def _half_transposed(y: Tensor) -> Tensor:
    whole = y.new_zeros(*y.shape[:-1], 2 * y.shape[-1])
    whole[..., ::2] = y
    return (0.6 - 0.8j) * torch.fft.ifft2(whole, norm="ortho")


def _complex_function(dtype: torch.dtype) -> operators.Operator:
    named = {"complex_image": True, "complex_data": True, "fingerprint": "phase and half of k-space"}
    return operators.Function(_half, _half_transposed, (1, 4, 6), (1, 4, 3), **named)


def _module(dtype: torch.dtype) -> operators.Operator:
    net = torch.nn.Conv2d(2, 3, 3, stride=2, bias=False)
    net.weight.data = draw(3, 2, 3, 3, seed=20).float()
    return operators.Module(net, (2, 5, 6))


def _others() -> list[Case]:
    return [
        Case("gaussian-circular", _gaussian(1, "circular"), (2, 1, 8, 9)),
        Case("gaussian-reflect", _gaussian(1, "reflect"), (1, 2, 7, 8)),
        Case("gaussian-circular-s2", _gaussian(2, "circular"), (1, 1, 10, 8)),
        Case("blur-zero-centre", _centred(4, 4, 1, "zero", (1, 1)), (2, 1, 6, 7)),
        Case("blur-circular-centre-s2", _centred(4, 5, 2, "circular", (1, 4)), (1, 2, 6, 8)),
        Case("blur-circular-centre-image-wide", _centred(5, 4, 1, "circular", (0, 3)), (1, 2, 5, 4)),
        Case("blur-reflect-centre-image-wide", _centred(5, 4, 1, "reflect", (4, 1)), (1, 1, 5, 4)),
        Case("identity", lambda dtype: operators.Identity(), (2, 3, 5, 4)),
        Case("identity-volume", lambda dtype: operators.Identity(axes=3), (2, 3, 4, 5, 3)),
        Case("downsample-1", lambda dtype: operators.Downsample(1), (1, 1, 4, 5)),
        Case("downsample-2", lambda dtype: operators.Downsample(2), (2, 3, 6, 4)),
        Case("downsample-3", lambda dtype: operators.Downsample(3), (1, 1, 9, 12)),
        Case("mask-binary", lambda dtype: operators.Mask(draw(5, 6, seed=1) > 0), (2, 3, 5, 6)),
        Case("mask-weights", lambda dtype: operators.Mask(draw(3, 6, 5, seed=2).to(dtype)), (2, 3, 6, 5)),
        Case("mask-batch", lambda dtype: operators.Mask(draw(2, 1, 4, 5, seed=3).to(dtype)), (2, 3, 4, 5)),
        Case("separable", _separable(4, 6, 5, 7), (2, 3, 6, 7)),
        Case("separable-tall", _separable(7, 4, 6, 5), (1, 2, 4, 5)),
        Case("separable-square", lambda dtype: operators.Separable(*2 * [draw(3, 5, seed=8).to(dtype)]), (1, 1, 5, 5)),
        Case("resize", lambda dtype: operators.Resize(2), (2, 3, 6, 8)),
        Case("resize-area", lambda dtype: operators.Resize(3, method="area"), (1, 2, 9, 6)),
        Case("resize-pair", lambda dtype: operators.Resize((1.5, 4), method="lanczos", like="opencv"), (1, 1, 6, 12)),
        Case(
            "resize-shapes",
            lambda dtype: operators.Resize(shapes=((7, 9), (5, 4)), method="bilinear", like="torch-antialias"),
            (1, 2, 7, 9),
        ),
        Case("resize-many-blocks", lambda dtype: operators.Resize((1.25, 3), like="matlab"), (1, 1, 50, 9)),
        Case("grey-of-resize", lambda dtype: operators.ToGray() @ operators.Resize(2, like="opencv"), (1, 3, 6, 4)),
        Case("grey", lambda dtype: operators.ToGray(), (2, 3, 4, 5)),
        Case("grey-four-bands", lambda dtype: operators.ToGray((0.1, 0.2, -0.3, 0.4)), (1, 4, 5, 3)),
        Case("dense-wide", lambda dtype: operators.Dense(draw(7, 12, seed=4).to(dtype)), (3, 12)),
        Case(
            "dense-tall",
            lambda dtype: operators.Dense(draw(20, 12, seed=5).to(dtype), image_shape=(1, 3, 4)),
            (2, 1, 3, 4),
        ),
        Case("gaussian-measurements", lambda dtype: operators.GaussianMeasurements(5, (2, 3, 4), seed=3), (2, 2, 3, 4)),
        Case("sparse", lambda dtype: operators.Sparse(_thin(7, 24, 12), (2, 3, 4)), (2, 2, 3, 4)),
        Case("sparse-image-data", lambda dtype: operators.Sparse(_thin(6, 8, 13), (8,), (2, 3)), (3, 8)),
        Case("sparse-complex", lambda dtype: operators.Sparse(_thin(6, 8, 14) * (1 + 2j), (1, 2, 4)), (2, 1, 2, 4)),
        Case("function", _function, (2, 2, 4, 5)),
        Case("function-complex", _complex_function, (2, 1, 4, 6)),
        Case("module", _module, (2, 2, 5, 6)),
        Case("complex-blur", lambda dtype: operators.Complex(_blur(3, 2, 2, "reflect")(dtype)), (2, 2, 6, 4)),
        Case("complex-grey", lambda dtype: operators.Complex(operators.ToGray()), (2, 3, 4, 5)),
        Case(
            "varying",
            lambda dtype: operators.Varying(draw(3, 3, 4, seed=15), draw(3, 6, 7, seed=16), boundary="reflect"),
            (2, 3, 6, 7),
        ),
        Case(
            "varying-valid-s2",
            lambda dtype: operators.Varying(draw(2, 4, 3, seed=17), draw(2, 8, 9, seed=18), 2, "valid"),
            (1, 2, 8, 9),
        ),
        Case(
            "varying-centre",
            lambda dtype: operators.Varying(draw(2, 4, 4, seed=21), draw(2, 6, 7, seed=22), centre=(1, 1)),
            (1, 2, 6, 7),
        ),
        Case("masked-fourier-even", _masked_fourier(6, 8), (2, 1, 6, 8)),
        Case("masked-fourier-odd", _masked_fourier(5, 7), (1, 2, 5, 7)),
        Case("masked-fourier-images", _masked_fourier(2, 1, 5, 6), (2, 2, 5, 6)),
        Case("masked-fourier-channels", _masked_fourier(2, 6, 5), (2, 2, 6, 5)),
        Case(
            "masked-fourier-complex",
            lambda dtype: operators.MaskedFourier(draw(2, 6, 5, seed=19).to(dtype), image="complex"),
            (2, 2, 6, 5),
        ),
        Case(
            "masked-fourier-volumes",
            lambda dtype: operators.MaskedFourier(draw(3, 4, 5, seed=20).to(dtype), axes=3),
            (2, 2, 3, 4, 5),
        ),
        Case(
            "masked-fourier-complex-volumes",
            lambda dtype: operators.MaskedFourier(draw(2, 2, 3, 5, seed=20).to(dtype), image="complex", axes=3),
            (1, 2, 2, 3, 5),
        ),
        Case(
            "non-uniform-fourier",
            lambda dtype: operators.NonUniformFourier(_frequencies(2, 17).to(dtype), (5, 6)),
            (2, 2, 5, 6),
        ),
        Case(
            "non-uniform-fourier-volumes",
            lambda dtype: operators.NonUniformFourier(
                _frequencies(3, 40), (3, 4, 2), density=_frequencies(1, 40)[:, 0] + 1
            ),
            (1, 2, 3, 4, 2),
        ),
        Case("coils", lambda dtype: operators.Coils(_coils(2, 3, 4, 5)), (2, 1, 4, 5)),
        Case("coils-volumes", lambda dtype: operators.Coils(_coils(3, 2, 4, 3).real, axes=3), (2, 1, 2, 4, 3)),
        Case(
            "non-uniform-fourier-of-coils",
            lambda dtype: operators.NonUniformFourier(_frequencies(2, 9), (4, 5)) @ operators.Coils(_coils(2, 4, 5)),
            (2, 1, 4, 5),
        ),
        Case("sense", lambda dtype: operators.Sense(draw(6, 5, seed=23).to(dtype), _coils(3, 6, 5)), (2, 1, 6, 5)),
        Case(
            "sense-images",
            lambda dtype: operators.Sense(draw(2, 1, 5, 6, seed=23).to(dtype), _coils(2, 3, 5, 6)),
            (2, 1, 5, 6),
        ),
        Case(
            "sense-masks-of-coils",
            lambda dtype: operators.Sense(draw(2, 3, 4, seed=23).to(dtype), _coils(2, 3, 4).real),
            (1, 1, 3, 4),
        ),
        Case(
            "sense-volumes",
            lambda dtype: operators.Sense(draw(3, 4, 2, seed=23).to(dtype), _coils(2, 3, 4, 2), axes=3),
            (2, 1, 3, 4, 2),
        ),
    ]


def _compositions() -> list[Case]:
    blur = _blur(3, 5, 2, "circular")
    wide = _blur(4, 3, 1, "circular")
    mask = draw(3, 4, seed=6)
    return [
        Case(
            "grey-of-several-blurs",
            lambda dtype: operators.ToGray() @ _several((3, 3, 3), 1, "circular")(dtype),
            (2, 3, 5, 6),
        ),
        Case(
            "mask-of-several-blurs",
            lambda dtype: operators.Mask(mask.to(dtype)) @ _several((2, 2, 3, 3), 2, "valid")(dtype),
            (2, 2, 7, 9),
        ),
        Case("scaled-several-blurs", lambda dtype: -1.5 * _several((2, 4, 3), 1, "circular")(dtype), (1, 2, 5, 6)),
        Case("adjoint-of-several-blurs", lambda dtype: _several((2, 3, 3), 2, "zero")(dtype).T, (1, 2, 3, 4)),
        Case("grey-of-blur", lambda dtype: operators.ToGray() @ blur(dtype), (1, 3, 6, 8)),
        Case("blur-of-grey", lambda dtype: blur(dtype) @ operators.ToGray(), (2, 3, 6, 8)),
        Case("mask-of-blur", lambda dtype: operators.Mask(mask.to(dtype)) @ blur(dtype), (1, 2, 6, 8)),
        Case(
            "mask-of-downsample", lambda dtype: operators.Mask(mask.to(dtype)) @ operators.Downsample(2), (1, 1, 6, 8)
        ),
        Case("downsample-of-blur", lambda dtype: operators.Downsample(2) @ wide(dtype), (1, 1, 6, 8)),
        Case("blur-of-blur", lambda dtype: blur(dtype) @ wide(dtype), (1, 1, 8, 10)),
        Case("fourier-of-blur", lambda dtype: _masked_fourier(6, 5)(dtype) @ wide(dtype), (1, 1, 6, 5)),
        Case(
            "composition-three",
            lambda dtype: operators.ToGray() @ operators.Mask(draw(6, 8, seed=8).to(dtype)) @ wide(dtype),
            (1, 3, 6, 8),
        ),
        Case(
            "normal-of-fourier",
            lambda dtype: _masked_fourier(4, 5)(dtype).T @ _masked_fourier(4, 5)(dtype),
            (1, 1, 4, 5),
        ),
        Case("sum-of-blurs", lambda dtype: blur(dtype) + _blur(4, 2, 2, "circular")(dtype), (2, 1, 6, 8)),
        Case("blur-and-identity", lambda dtype: _blur(3, 4, 1, "reflect")(dtype) + operators.Identity(), (1, 2, 6, 7)),
        Case("sum-of-masks", lambda dtype: operators.Mask(mask.to(dtype)) - 0.5 * operators.Identity(), (1, 2, 3, 4)),
        Case("scaled-blur", lambda dtype: 2.5 * blur(dtype), (1, 1, 6, 10)),
        Case("negative-fourier", lambda dtype: -_masked_fourier(4, 6)(dtype), (1, 1, 4, 6)),
        Case("adjoint-of-blur", lambda dtype: blur(dtype).T, (1, 2, 3, 4)),
        Case("adjoint-of-fourier", lambda dtype: _masked_fourier(4, 5)(dtype).T, (1, 1, 4, 5)),
        Case(
            "adjoint-of-dense",
            lambda dtype: operators.Dense(draw(6, 12, seed=9).to(dtype), image_shape=(1, 3, 4)).T,
            (2, 6),
        ),
        Case(
            "stack-of-blurs",
            lambda dtype: operators.Stack([wide(dtype), _gaussian(1, "circular")(dtype)]),
            (2, 1, 6, 7),
        ),
        Case(
            "stack-with-grey",
            lambda dtype: operators.Stack([operators.ToGray(), wide(dtype), operators.Identity()]),
            (1, 3, 4, 5),
        ),
        Case(
            "stack-of-masks",
            lambda dtype: operators.Stack([operators.Mask(mask.to(dtype)), 0.5 * operators.Mask(mask > 0)]),
            (1, 1, 3, 4),
        ),
        Case(
            "stack-of-dense",
            lambda dtype: operators.Stack([operators.Dense(draw(m, 8, seed=m).to(dtype)) for m in (3, 4)]),
            (2, 8),
        ),
    ]


def operator_cases() -> list[Case]:
    """Every operator under test: (id, factory taking a dtype, input shape).

    Ids are unique; at least one case per public operator class.
    """
    return _blurs() + _of_several() + _of_volumes() + _others() + _compositions()


def public_operator_classes() -> list[type[operators.Operator]]:
    """Every concrete operator class that ``fastip.operators`` shows."""
    shown = [getattr(operators, name) for name in operators.__all__]
    return [
        item
        for item in shown
        if isinstance(item, type) and issubclass(item, operators.Operator) and not inspect.isabstract(item)
    ]
