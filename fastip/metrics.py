"""How close two images are: psnr, nmse, ssim (through torchmetrics) and perceptual_distance, one number for each.

And how close two sets of images are: frechet_distance.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from .arrays import as_tensor, check_count, check_finite, check_image, check_number, check_shape
from .errors import InvalidInput, Unsupported, strict_keywords
from .nets import Comparator

WINDOW = 11  # pixels of the Gaussian window of SSIM, as in its paper


@strict_keywords
def psnr(x: Any, reference: Any, *, peak: float = 1.0) -> Tensor:
    """``10 log10(peak^2 / mean |x - reference|^2)`` in dB for each image, infinite for equal ones.

    Args:
        x: Images b c h w or volumes b c d h w, tensors, NumPy or CuPy arrays of a real floating or a complex dtype.
        reference: What they are compared with, of the same shape, dtype and device.
        peak: The largest value, or modulus, an image can have, > 0.

    Returns:
        One number for each image, shape (b,), real, in the precision of ``x``.

    Raises:
        InvalidInput: For shapes, dtypes or devices that differ, NaN, Inf, or a bad peak.
    """
    x, reference = _pair(x, reference, any_kind=True)
    limit = check_number(peak, "peak", low=0.0, strict=True)
    return 10 * (limit**2 / _squares(x - reference).mean(dim=1)).log10()


@strict_keywords
def ssim(x: Any, reference: Any, *, peak: float = 1.0) -> Tensor:
    """Structural similarity for each image, at most 1.

    11 x 11 Gaussian window of sigma 1.5, K1 = 0.01, K2 = 0.03, mean over the pixels whose window lies inside the image,
    and over channels.

    Args:
        x: Images, b c h w with h, w >= 11, tensors, NumPy or CuPy arrays of a real floating dtype.
        reference: What they are compared with, of the same shape, dtype and device.
        peak: The largest value an image can have, > 0.

    Returns:
        One number for each image, shape (b,).

    Raises:
        InvalidInput: For shapes, dtypes or devices that differ, images smaller than the window, NaN, Inf, a bad peak.
        Unsupported: Without torchmetrics.

    References:
        Wang, Bovik, Sheikh and Simoncelli, Image quality assessment, 2004.
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
    """``||x - reference||^2 / ||reference||^2`` for each image.

    Args:
        x: Images b c h w or volumes b c d h w, tensors, NumPy or CuPy arrays of a real floating or a complex dtype.
        reference: What they are compared with, of the same shape, dtype and device; none of its images zero everywhere.

    Returns:
        One number for each image, shape (b,), real, in the precision of ``x``.

    Raises:
        InvalidInput: For shapes, dtypes or devices that differ, NaN, Inf, and for a reference that is zero.
    """
    x, reference = _pair(x, reference, any_kind=True)
    energy = _squares(reference).sum(dim=1)
    if bool((energy == 0).any()):
        raise InvalidInput("reference holds an image that is zero everywhere, to which no error is relative; use psnr")
    return _squares(x - reference).sum(dim=1) / energy


@strict_keywords
def perceptual_distance(x: Any, reference: Any, comparator: Comparator) -> Tensor:
    """How differently each pair of images looks to a network that was trained to name what is in photographs.

    With f and g the channels of a layer at a place, for ``x`` and for ``reference``::

        sum over layers of  mean over places of  ||f / |f| - g / |g| ||^2

    It is LPIPS without its learned weights ("baseline"), so its numbers are not those of LPIPS.

    Args:
        x: Images, b c h w in [0, 1] with 1 or 3 channels, tensors, NumPy or CuPy arrays of a real floating dtype; half
            precision is compared in float32, or whatever the weights of the network are in.
        reference: What they are compared with, of the same shape, dtype and device.
        comparator: A network, e.g. fastip.data.comparators.comparator(); move it to the device of ``x``.

    Returns:
        One number for each pair, shape (b,), 0 for equal images, smaller is closer; float32 for half precision.

    Raises:
        InvalidInput: For shapes, dtypes or devices that differ, another number of channels, images smaller than the
            network needs, NaN, Inf, and another kind of comparator.

    References:
        Zhang, Isola, Efros, Shechtman and Wang, The unreasonable effectiveness of deep features as a perceptual metric,
        2018.
    """
    x, reference = _pair(x, reference)
    if not isinstance(comparator, Comparator):
        raise InvalidInput(
            f"comparator is {type(comparator).__name__}; expected a fastip.nets.Comparator with weights, "
            "e.g. fastip.data.comparators.comparator()"
        )
    weight = next(comparator.parameters())
    if weight.device != x.device:
        raise InvalidInput(
            f"x is on {x.device} and the comparator on {weight.device}; move it with comparator.to({str(x.device)!r})"
        )
    distance: Tensor = comparator(x.to(weight.dtype), reference.to(weight.dtype))
    return distance.to(torch.promote_types(x.dtype, torch.float32))


# Principal components of the reference that the distance of two sets is measured in: more see finer differences, and
# their covariance needs more images; fewer are blind to what lies outside them.
COMPONENTS = 50


@strict_keywords
def frechet_distance(x: Any, reference: Any, *, components: int = COMPONENTS) -> float:
    """How far one set of images is from another, the Fréchet distance of two normal distributions.

    ``|m - n|^2 + tr(S + T - 2 (S T)^(1/2))`` with m, S and n, T the means and covariances of the images of ``x`` and of
    ``reference`` in the first principal components of the reference, images as vectors. It is what FID measures, with
    components instead of a network's features.

    Args:
        x: Images, n c h w, at least two, a tensor, a NumPy or a CuPy array of a real floating dtype.
        reference: As ``x``: images of the same shape, dtype and device, not necessarily as many.
        components: The number of principal components, >= 1; at most as many are used as there are.

    Returns:
        The distance, 0 for equal sets, in units of squared pixels summed over an image.

    Raises:
        InvalidInput: For shapes of images, dtypes or devices that differ, sets of one image, NaN, Inf, a bad number of
            components.

    References:
        Heusel et al., GANs trained by a two time-scale update rule converge to a local Nash equilibrium, 2017.
    """
    x, reference = _sets(x, reference)
    mean = reference.mean(dim=0)
    count = min(check_count(components, "components", low=1), len(reference) - 1, reference.shape[1])
    basis = _components(reference - mean, count)
    a, b = ((images - mean) @ basis for images in (x, reference))
    product = torch.linalg.eigvals(torch.atleast_2d(a.T.cov()) @ torch.atleast_2d(b.T.cov()))
    root = product.real.clamp_min(0).sqrt().sum()
    return float((a.mean(0) - b.mean(0)).square().sum() + a.var(0).sum() + b.var(0).sum() - 2 * root)


def _components(rows: Tensor, count: int) -> Tensor:
    """An orthonormal basis, n x count, of the span of the first right singular vectors, by the smaller Gram matrix."""
    if len(rows) < rows.shape[1]:
        return torch.linalg.qr(rows.T @ torch.linalg.eigh(rows @ rows.T).eigenvectors[:, -count:]).Q
    return torch.linalg.eigh(rows.T @ rows).eigenvectors[:, -count:]


def _sets(x: Any, reference: Any) -> tuple[Tensor, Tensor]:
    """Two checked sets as float64 rows."""
    sets = []
    for name, value in (("x", x), ("reference", reference)):
        images, _ = as_tensor(value, name)
        check_image(images, name)
        check_finite(images, name)
        if len(images) < 2:
            raise InvalidInput(f"{name} holds one image; a covariance needs at least two")
        sets.append(images)
    a, b = sets
    if a.shape[1:] != b.shape[1:] or a.dtype != b.dtype or a.device != b.device:
        one, other = (f"images of shape {tuple(t.shape[1:])}, {t.dtype} on {t.device}" for t in sets)
        raise InvalidInput(f"x holds {one}; reference {other}; expected the same: convert or resize one of them")
    return a.detach().flatten(1).double(), b.detach().flatten(1).double()


def _squares(x: Tensor) -> Tensor:
    """``|x|^2`` of the pixels of each image."""
    return (x.real.square() + x.imag.square() if x.is_complex() else x.square()).flatten(1)


def _pair(x: Any, reference: Any, any_kind: bool = False) -> tuple[Tensor, Tensor]:
    """Both as checked tensors, real b c h w; or of any kind, complex and volumes, too."""
    x, _ = as_tensor(x, "x")
    reference, _ = as_tensor(reference, "reference")
    for tensor, name in ((x, "x"), (reference, "reference")):
        part = tensor.real if any_kind and tensor.is_complex() else tensor
        check_image(part.flatten(2, 3) if any_kind and part.ndim == 5 else part, name)
        check_finite(tensor, name)
    check_shape(x, reference.shape, "x", "the shape of reference")
    if x.dtype != reference.dtype or x.device != reference.device:
        raise InvalidInput(
            f"x is {x.dtype} on {x.device} and reference {reference.dtype} on {reference.device}; "
            "convert one with .to(reference)"
        )
    return x, reference


def _torchmetrics() -> ModuleType:
    try:
        import torchmetrics.functional.image
    except ImportError:
        raise Unsupported("fastip.metrics.ssim needs torchmetrics: pip install torchmetrics") from None
    return torchmetrics.functional.image
