"""How close two images are: psnr, nmse, ssim (through torchmetrics) and perceptual_distance, one number for each image of the batch."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from .arrays import as_tensor, check_finite, check_image, check_number, check_shape
from .errors import InvalidInput, Unsupported, strict_keywords
from .nets import Comparator

WINDOW = 11  # pixels of the Gaussian window of SSIM


@strict_keywords
def psnr(x: Any, reference: Any, *, peak: float = 1.0) -> Tensor:
    """10 log10(peak^2 / mean (x - reference)^2) in dB for each image, infinite for equal ones.

    x, reference: b c h w, tensors or NumPy arrays of one floating dtype; peak: the largest value an image can have, > 0. Returns shape (b,).
    Raises InvalidInput for shapes or dtypes that differ, NaN, Inf.
    """
    x, reference = _pair(x, reference)
    limit = check_number(peak, "peak", low=0.0, strict=True)
    return 10 * (limit**2 / (x - reference).square().flatten(1).mean(dim=1)).log10()


@strict_keywords
def ssim(x: Any, reference: Any, *, peak: float = 1.0) -> Tensor:
    """Structural similarity for each image, at most 1: 11 x 11 Gaussian window of sigma 1.5, K1 = 0.01, K2 = 0.03, mean over the
    pixels whose window lies inside the image, and over channels.

    x, reference: b c h w with h, w >= 11, tensors or NumPy arrays of one floating dtype; peak: the largest value an image can have, > 0. Returns shape (b,).
    Raises InvalidInput for shapes or dtypes that differ, images smaller than the window, NaN, Inf; Unsupported without torchmetrics.
    Source: Wang, Bovik, Sheikh and Simoncelli, Image quality assessment, 2004.
    """
    x, reference = _pair(x, reference)
    functional = _torchmetrics()
    limit = check_number(peak, "peak", low=0.0, strict=True)
    if min(x.shape[-2:]) < WINDOW:
        raise InvalidInput(f"x has shape {tuple(x.shape)}; ssim needs at least {WINDOW} x {WINDOW} pixels")
    options = {"data_range": limit, "sigma": 1.5, "kernel_size": WINDOW, "reduction": "none", "return_full_image": True}
    _, everywhere = functional.structural_similarity_index_measure(x, reference, **options)
    edge = WINDOW // 2  # there torchmetrics mirrors the image; the paper's mean is over windows inside it
    return everywhere[..., edge:-edge, edge:-edge].flatten(1).mean(dim=1)


@strict_keywords
def nmse(x: Any, reference: Any) -> Tensor:
    """||x - reference||^2 / ||reference||^2 for each image.

    x, reference: b c h w, tensors or NumPy arrays of one floating dtype. Returns shape (b,).
    Raises InvalidInput for shapes or dtypes that differ, NaN, Inf, and for a reference that is zero.
    """
    x, reference = _pair(x, reference)
    energy = reference.square().flatten(1).sum(dim=1)
    if bool((energy == 0).any()):
        raise InvalidInput("reference holds an image that is zero everywhere, to which no error is relative; use psnr")
    return (x - reference).square().flatten(1).sum(dim=1) / energy


@strict_keywords
def perceptual_distance(x: Any, reference: Any, comparator: Comparator) -> Tensor:
    """How differently each pair of images looks to a network that was trained to name what is in photographs; 0 for equal ones, smaller is closer.

    sum over layers of  mean over places of  ||f / |f| - g / |g| ||^2: LPIPS without its learned weights ("baseline"), so its numbers are not those of LPIPS.

    x, reference: b c h w in [0, 1] with 1 or 3 channels, tensors or NumPy arrays of one floating dtype; half precision is compared in float32.
    comparator: a network of fastip.nets.Comparator, e.g. fastip.data.comparators.comparator(); move it to the device of x. Returns shape (b,).
    Raises InvalidInput for shapes or dtypes that differ, images smaller than the network needs, NaN, Inf, and another kind of comparator.
    Source: Zhang, Isola, Efros, Shechtman and Wang, The unreasonable effectiveness of deep features as a perceptual metric, 2018.
    """
    x, reference = _pair(x, reference)
    if not isinstance(comparator, Comparator):
        raise InvalidInput(
            f"comparator is {type(comparator).__name__}; expected a fastip.nets.Comparator with weights, e.g. fastip.data.comparators.comparator()"
        )
    weight = next(comparator.parameters())
    if weight.device != x.device:
        raise InvalidInput(f"x is on {x.device} and the comparator on {weight.device}; move it with comparator.to({str(x.device)!r})")
    distance: Tensor = comparator(x.to(weight.dtype), reference.to(weight.dtype))
    return distance.to(torch.promote_types(x.dtype, torch.float32))


def _pair(x: Any, reference: Any) -> tuple[Tensor, Tensor]:
    """Both as checked tensors."""
    x, _ = as_tensor(x, "x")
    reference, _ = as_tensor(reference, "reference")
    for tensor, name in ((x, "x"), (reference, "reference")):
        check_image(tensor, name)
        check_finite(tensor, name)
    check_shape(x, reference.shape, "x", "the shape of reference")
    if x.dtype != reference.dtype or x.device != reference.device:
        raise InvalidInput(f"x is {x.dtype} on {x.device} and reference {reference.dtype} on {reference.device}; convert one with .to(reference)")
    return x, reference


def _torchmetrics() -> ModuleType:
    try:
        import torchmetrics.functional.image
    except ImportError:
        raise Unsupported("fastip.metrics.ssim needs torchmetrics: pip install torchmetrics") from None
    return torchmetrics.functional.image
