"""psnr, ssim and nmse against scikit-image, the perceptual distance against its formula, and bad inputs."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import scipy.linalg
import torch
from skimage import metrics as skimage

from fastip import metrics, nets
from fastip.data.comparators import comparator
from fastip.errors import InvalidInput, UnknownKeyword, Unsupported


def pair(*shape: int, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    reference = torch.rand(*shape, generator=generator, dtype=torch.float64)
    return (reference + 0.1 * torch.randn(*shape, generator=generator, dtype=torch.float64)).to(dtype), reference.to(
        dtype
    )


@pytest.mark.parametrize("peak", [1.0, 2.5])
def test_psnr_per_image(peak: float) -> None:
    x, reference = pair(3, 2, 13, 17)
    expected = [
        skimage.peak_signal_noise_ratio(r.numpy(), a.numpy(), data_range=peak)
        for a, r in zip(x, reference, strict=True)
    ]
    np.testing.assert_allclose(metrics.psnr(x, reference, peak=peak).numpy(), expected)
    assert metrics.psnr(x[:1], reference[:1]).shape == (1,)
    assert torch.isinf(metrics.psnr(x, x)).all()


@pytest.mark.parametrize("shape", [(3, 2, 7, 5), (2, 1, 3, 4, 5)], ids=["images", "volumes"])
def test_complex_images_and_volumes(shape: tuple[int, ...]) -> None:
    """By the modulus of the difference, in the precision of the data."""
    x, reference = (torch.complex(*pair(*shape)) for _ in range(2))
    reference = reference * (0.3 + 0.9j)
    energy = (x - reference).abs().square().flatten(1)
    torch.testing.assert_close(metrics.nmse(x, reference), energy.sum(1) / reference.abs().square().flatten(1).sum(1))
    torch.testing.assert_close(metrics.psnr(x, reference, peak=1.5), 10 * (2.25 / energy.mean(1)).log10())
    torch.testing.assert_close(metrics.nmse(x.conj(), reference.conj()), metrics.nmse(x, reference))
    assert metrics.nmse(x.to(torch.complex64), reference.to(torch.complex64)).dtype == torch.float32
    torch.testing.assert_close(metrics.psnr(x.real, reference.real), metrics.psnr(x.real + 0j, reference.real + 0j))
    with pytest.raises(InvalidInput, match="real floating type"):
        metrics.ssim(x, reference)
    bad = x.clone()
    bad[0, 0, 0, 0] = torch.nan
    with pytest.raises(InvalidInput, match="NaN or Inf"):
        metrics.psnr(bad, reference)


@pytest.mark.parametrize("shape", [(3, 1, 21, 18), (2, 3, 11, 30), (1, 1, 40, 33)], ids=str)
@pytest.mark.parametrize("peak", [1.0, 2.5])
def test_ssim_per_image(shape: tuple[int, ...], peak: float) -> None:
    """scikit-image with the settings of the paper; both average over the pixels whose window lies inside."""
    x, reference = pair(*shape)
    options = {
        "data_range": peak,
        "gaussian_weights": True,
        "sigma": 1.5,
        "use_sample_covariance": False,
        "channel_axis": 0,
    }
    expected = [
        skimage.structural_similarity(r.numpy(), a.numpy(), **options) for a, r in zip(x, reference, strict=True)
    ]
    np.testing.assert_allclose(metrics.ssim(x, reference, peak=peak).numpy(), expected, atol=1e-10)
    torch.testing.assert_close(metrics.ssim(x, x), torch.ones(shape[0], dtype=torch.float64))


def test_nmse_per_image() -> None:
    x, reference = pair(3, 2, 5, 4)
    expected = [
        np.linalg.norm((a - r).numpy()) ** 2 / np.linalg.norm(r.numpy()) ** 2 for a, r in zip(x, reference, strict=True)
    ]
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


class Colours(nets.Comparator):
    """Two layers: the colours of a pixel, and their squares."""

    def __init__(self) -> None:
        super().__init__()
        self.one = torch.nn.Parameter(torch.ones(()))

    def layers(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [self.one * x, x.square()]


def test_the_perceptual_distance_per_image() -> None:
    x, reference = pair(3, 3, 7, 9)
    net = Colours().double()
    expected = torch.zeros(3, dtype=torch.float64)
    for power in (1, 2):
        cosine = torch.nn.functional.cosine_similarity(x**power, reference**power, dim=1)
        expected += (2 - 2 * cosine).flatten(1).mean(1)
    torch.testing.assert_close(metrics.perceptual_distance(x, reference, net), expected, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(
        metrics.perceptual_distance(x.numpy(), reference.numpy(), comparator=net).detach(),
        expected,
        rtol=1e-7,
        atol=1e-7,
    )
    torch.testing.assert_close(metrics.perceptual_distance(x, x, net).detach(), torch.zeros(3, dtype=torch.float64))
    x[0], x[1, :, 2, 3], reference[2] = 0, 0, 0  # places without any feature
    (gradient,) = torch.autograd.grad(metrics.perceptual_distance(x.requires_grad_(), reference, net).sum(), x)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_the_perceptual_distance_takes_any_floating_type(dtype: torch.dtype) -> None:
    net = comparator()
    x, reference = pair(2, 3, 40, 33, dtype=dtype)
    x, reference = x.clamp(0, 1), reference.clamp(0, 1)
    found = metrics.perceptual_distance(x, reference, net)
    assert found.shape == (2,) and found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(found.float(), net(x.float(), reference.float()))
    (gradient,) = torch.autograd.grad(metrics.perceptual_distance(x.requires_grad_(), reference, net).sum(), x)
    assert torch.isfinite(gradient).all() and gradient.abs().max() > 0 and gradient.dtype == dtype


def test_bad_inputs_of_the_perceptual_distance_are_refused() -> None:
    net, (x, reference) = comparator(), pair(2, 3, 32, 32, dtype=torch.float32)
    nan = x.clone()
    nan[0, 0, 0, 0] = float("nan")
    for a, r, c in (
        (x[:, :, 1:], reference, net),
        (x.double(), reference, net),
        (nan, reference, net),
        (x[:, :2], reference[:, :2], net),
        (x[..., :16], reference[..., :16], net),
        (x, reference, "squeezenet"),
        (x, reference, torch.nn.Conv2d(3, 3, 1)),
        (x, reference, Colours().to("meta")),
    ):
        with pytest.raises(InvalidInput):
            metrics.perceptual_distance(a, r, c)
    with pytest.raises(UnknownKeyword, match="comparator"):
        metrics.perceptual_distance(x, reference, comparater=net)


def frechet(x: np.ndarray, reference: np.ndarray, components: int) -> float:
    """By the singular vectors of the reference and SciPy's square root of a matrix."""
    mean = reference.mean(axis=0)
    basis = np.linalg.svd(reference - mean, full_matrices=False)[2][:components]
    a, b = (x - mean) @ basis.T, (reference - mean) @ basis.T
    s, t = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    return float(np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(s + t - 2 * scipy.linalg.sqrtm(s @ t).real))


@pytest.mark.parametrize("count", [60, 15], ids=["more images than pixels", "fewer"])
def test_frechet_distance(count: int) -> None:
    generator = torch.Generator().manual_seed(1)
    mix = torch.randn(40, 40, generator=generator, dtype=torch.float64)
    reference = (torch.randn(count, 40, generator=generator, dtype=torch.float64) @ mix).unflatten(1, (2, 4, 5))
    x = (0.3 + torch.randn(80, 40, generator=generator, dtype=torch.float64) @ (mix + 0.4)).unflatten(1, (2, 4, 5))
    for components in (3, 12):
        expected = frechet(x.flatten(1).numpy(), reference.flatten(1).numpy(), components)
        assert metrics.frechet_distance(x, reference, components=components) == pytest.approx(expected, rel=1e-7)
    assert abs(metrics.frechet_distance(reference.flip(0), reference)) < 1e-4 * metrics.frechet_distance(x, reference)
    moved = metrics.frechet_distance(reference + 0.25, reference, components=min(40, count - 1))
    if count > 40:
        assert moved == pytest.approx(40 * 0.25**2, rel=1e-6)
    assert metrics.frechet_distance(x.numpy(), reference.numpy(), components=3) == metrics.frechet_distance(
        x, reference, components=3
    )
    single = metrics.frechet_distance(x.float(), reference.float(), components=3)
    assert single == pytest.approx(metrics.frechet_distance(x, reference, components=3), rel=1e-4)


def test_frechet_distance_of_one_component_and_flat_sets() -> None:
    generator = torch.Generator().manual_seed(2)
    line = torch.randn(50, 1, 1, 1, generator=generator, dtype=torch.float64) * torch.ones(
        1, 1, 3, 3, dtype=torch.float64
    )
    assert metrics.frechet_distance(3 * line, line, components=1) == pytest.approx(
        float(9 * (2 * line[:, 0, 0, 0].mean()) ** 2 + (3 - 1) ** 2 * 9 * line[:, 0, 0, 0].var()), rel=1e-9
    )
    assert metrics.frechet_distance(line, line) == pytest.approx(0, abs=1e-6)  # a reference of rank one
    assert metrics.frechet_distance(line + 1, torch.zeros_like(line), components=9) >= 0


def test_frechet_distance_refuses() -> None:
    x = torch.rand(4, 1, 3, 3)
    for wrong in (torch.rand(4, 1, 3, 4), x.double()):
        with pytest.raises(InvalidInput, match="expected the same"):
            metrics.frechet_distance(x, wrong)
    for one, two in ((x[:1], x), (x, x[:1])):
        with pytest.raises(InvalidInput, match="at least two"):
            metrics.frechet_distance(one, two)
    with pytest.raises(InvalidInput, match="NaN"):
        metrics.frechet_distance(x * float("nan"), x)
    with pytest.raises(InvalidInput, match="four dimensions"):
        metrics.frechet_distance(x[0], x[0])
    with pytest.raises(InvalidInput, match="components"):
        metrics.frechet_distance(x, x, components=0)
    with pytest.raises(UnknownKeyword):
        metrics.frechet_distance(x, x, component=3)  # type: ignore[call-arg]
