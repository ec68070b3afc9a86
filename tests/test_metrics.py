"""psnr, ssim and nmse against scikit-image, and bad inputs."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from skimage import metrics as skimage

from fastip import metrics
from fastip.errors import InvalidInput, UnknownKeyword, Unsupported


def pair(*shape: int, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    reference = torch.rand(*shape, generator=generator, dtype=torch.float64)
    return (reference + 0.1 * torch.randn(*shape, generator=generator, dtype=torch.float64)).to(dtype), reference.to(dtype)


@pytest.mark.parametrize("peak", [1.0, 2.5])
def test_psnr_per_image(peak: float) -> None:
    x, reference = pair(3, 2, 13, 17)
    expected = [skimage.peak_signal_noise_ratio(r.numpy(), a.numpy(), data_range=peak) for a, r in zip(x, reference, strict=True)]
    np.testing.assert_allclose(metrics.psnr(x, reference, peak=peak).numpy(), expected)
    assert metrics.psnr(x[:1], reference[:1]).shape == (1,)
    assert torch.isinf(metrics.psnr(x, x)).all()


@pytest.mark.parametrize("shape", [(3, 1, 21, 18), (2, 3, 11, 30), (1, 1, 40, 33)], ids=str)
@pytest.mark.parametrize("peak", [1.0, 2.5])
def test_ssim_per_image(shape: tuple[int, ...], peak: float) -> None:
    """scikit-image with the settings of the paper; both average over the pixels whose window lies inside."""
    x, reference = pair(*shape)
    options = {"data_range": peak, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "channel_axis": 0}
    expected = [skimage.structural_similarity(r.numpy(), a.numpy(), **options) for a, r in zip(x, reference, strict=True)]
    np.testing.assert_allclose(metrics.ssim(x, reference, peak=peak).numpy(), expected, atol=1e-10)
    torch.testing.assert_close(metrics.ssim(x, x), torch.ones(shape[0], dtype=torch.float64))


def test_nmse_per_image() -> None:
    x, reference = pair(3, 2, 5, 4)
    expected = [np.linalg.norm((a - r).numpy()) ** 2 / np.linalg.norm(r.numpy()) ** 2 for a, r in zip(x, reference, strict=True)]
    np.testing.assert_allclose(metrics.nmse(x, reference).numpy(), expected)


@pytest.mark.parametrize("metric", [metrics.psnr, metrics.ssim, metrics.nmse])
def test_numpy_float32_and_gradients(metric) -> None:  # type: ignore[no-untyped-def]
    x, reference = pair(2, 1, 16, 16, dtype=torch.float32)
    result = metric(x.numpy(), reference.numpy())
    assert result.shape == (2,) and result.dtype == torch.float32
    torch.testing.assert_close(result, metric(x, reference))
    torch.testing.assert_close(result.double(), metric(x.double(), reference.double()), rtol=1e-4, atol=1e-4)
    (gradient,) = torch.autograd.grad(metric(x.requires_grad_(), reference).sum(), x)
    assert torch.isfinite(gradient).all() and gradient.abs().max() > 0


@pytest.mark.parametrize("metric", [metrics.psnr, metrics.ssim, metrics.nmse])
def test_bad_inputs_are_refused(metric) -> None:  # type: ignore[no-untyped-def]
    x, reference = pair(2, 1, 16, 16)
    nan = x.clone()
    nan[0, 0, 0, 0] = float("nan")
    for a, r in (
        (x[:, :, 1:], reference),
        (x.float(), reference),
        (x[0], reference[0]),
        (nan, reference),
        (x, nan),
        ("x", reference),
        (x.int(), reference.int()),
        (x[:0], reference[:0]),
    ):
        with pytest.raises(InvalidInput):
            metric(a, r)
    with pytest.raises(UnknownKeyword):
        metric(x, refrence=reference)


def test_special_inputs_are_refused() -> None:
    x, reference = pair(1, 1, 10, 16)
    with pytest.raises(InvalidInput, match="11 x 11"):
        metrics.ssim(x, reference)
    with pytest.raises(InvalidInput, match="zero everywhere"):
        metrics.nmse(x, torch.zeros_like(x))
    for peak in (0, -1, float("nan"), "a"):
        for metric in (metrics.psnr, metrics.ssim):
            with pytest.raises(InvalidInput, match="peak"):
                metric(*pair(1, 1, 16, 16), peak=peak)


def test_ssim_without_torchmetrics_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchmetrics.functional.image", None)
    with pytest.raises(Unsupported, match="pip install torchmetrics"):
        metrics.ssim(*pair(1, 1, 16, 16))
