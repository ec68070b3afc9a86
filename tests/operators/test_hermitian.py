"""Samples of Fourier space that no real image has are refused, those of real ones never."""

from __future__ import annotations

import pytest
import torch

import fastip
from fastip import fidelities, operators, priors
from fastip.operators.kspace import hermitian
from tests.cases.scenes import scene

KINDS = ("full", "scattered", "weighted", "lines", "partial", "low")


def is_real(y: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return hermitian.is_real(y, mask, hermitian.frequencies(mask))


def draw_mask(kind: str, h: int, w: int, generator: torch.Generator) -> torch.Tensor:
    f = torch.hypot(torch.fft.fftfreq(h)[:, None], torch.fft.fftfreq(w))
    drawn = torch.rand(h, w, generator=generator)
    half = (torch.arange(h) < h // 2 + 6).roll(-6).float()[:, None].expand(h, w)
    masks = {
        "full": torch.ones(h, w),
        "scattered": (drawn < 0.4) | (f < 0.08),
        "weighted": drawn + 0.05,
        "lines": ((drawn[:, :1] < 0.3) | (torch.fft.fftfreq(h).abs() < 0.06)[:, None]).expand(h, w),
        "partial": half,
        "low": f < 0.2,
    }
    return masks[kind].double()


def samples(x: torch.Tensor, mask: torch.Tensor, noise: float, generator: torch.Generator) -> torch.Tensor:
    rest = torch.randn(x.shape, dtype=torch.complex128, generator=generator)
    return mask * torch.fft.fft2(x.to(torch.complex128), norm="ortho") + (mask != 0) * noise * rest


def turned(x: torch.Tensor, by: float) -> torch.Tensor:
    """The image with a smooth phase, ``by`` from corner to corner."""
    place = torch.linspace(0, 1, x.shape[-1], dtype=torch.float64)
    return torch.polar(x, by * (place + place.square()).expand_as(x) / 2)


@pytest.mark.parametrize("kind", KINDS)
def test_real_images_pass_and_a_phase_is_seen(kind: str) -> None:
    generator = torch.Generator().manual_seed(len(kind))
    for h, w in ((64, 64), (51, 70)):
        x = scene(h, w, 0)[0, 0]
        for noise in (0.0, 1e-3, 0.1, 3.0):
            mask = draw_mask(kind, h, w, generator)
            for image in (x, torch.zeros_like(x)):  # and noise alone
                y = samples(image, mask, noise, generator)[None]
                assert bool(is_real(y, mask)) and bool(is_real(y.to(torch.complex64), mask.float()))
            if noise <= 1e-3:
                assert not bool(is_real(samples(turned(x, 1.0), mask, noise, generator)[None], mask))


def test_few_samples_pass() -> None:
    generator = torch.Generator().manual_seed(1)
    mask = torch.zeros(16, 16, dtype=torch.float64)
    mask[:3, :3] = 1
    assert bool(is_real(samples(turned(scene(16, 16, 0)[0, 0], 3.0), mask, 0.0, generator)[None], mask))


def test_samples_with_errors_of_their_size_pass() -> None:
    """As rounding to half precision has them."""
    y = torch.fft.fft2(scene(64, 64, 0)[0, 0], norm="ortho")
    drawn = torch.randn(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(4))
    ones = torch.ones(64, 64, dtype=torch.float64)
    assert bool(is_real((y * (1 + 2**-11 * drawn))[None], ones))
    assert not bool(is_real((y * (1 + 2**-4 * drawn))[None], ones))


@pytest.mark.parametrize("missing", [0.0, 0.6, 0.9])
def test_noise_alone_passes_and_so_does_a_real_image_in_it(missing: float) -> None:
    """Thousands of planes, with weights that differ at f and -f and samples that do not count."""
    generator = torch.Generator().manual_seed(5)
    mask = torch.rand(18, 15, dtype=torch.float64, generator=generator) ** 3 + 0.02
    noise = torch.randn(4000, 18, 15, dtype=torch.complex128, generator=generator)
    signal = mask * torch.fft.fft2(scene(18, 15, 0)[0, 0], norm="ortho")
    for y in (noise, noise + signal, 100 * noise + signal):
        kept = torch.rand(y.shape, generator=generator) >= missing
        assert bool(is_real(y * kept, mask).all())


def test_a_weak_phase_is_seen_in_noise() -> None:
    """1 % of the energy, at 25 times the noise of a sample where the image is strongest."""
    generator = torch.Generator().manual_seed(6)
    x, mask = scene(64, 64, 0)[0, 0], torch.ones(64, 64, dtype=torch.float64)
    assert bool(is_real(samples(x, mask, 0.03, generator)[None], mask))
    assert not bool(is_real(samples(turned(x, 0.15), mask, 0.03, generator)[None], mask))


def test_volumes() -> None:
    x = scene(24, 20, 0)[0, 0][None].expand(12, 24, 20) * torch.linspace(0.5, 1, 12, dtype=torch.float64)[:, None, None]
    ones = torch.ones_like(x)
    assert bool(is_real(torch.fft.fftn(x)[None], ones))
    assert not bool(is_real(torch.fft.fftn(turned(x, 1.0))[None], ones))


def test_the_door_names_the_image_and_the_channel() -> None:
    generator = torch.Generator().manual_seed(2)
    x, mask = scene(48, 40, 0)[0, 0], draw_mask("scattered", 48, 40, generator)
    good, bad = samples(x, mask, 1e-3, generator), samples(turned(x, 1.0), mask, 1e-3, generator)
    y = torch.stack([torch.stack([good, good]), torch.stack([good, bad])])
    blur = operators.Blur(operators.psf.gaussian(3, sigma=0.5))
    masks = operators.MaskedFourier(mask.expand(2, 2, 48, 40))
    stack = operators.Stack([operators.MaskedFourier(mask), operators.MaskedFourier(mask)])
    plain = operators.MaskedFourier(mask)
    for op in (plain, 2 * plain, plain @ blur, masks):
        for solve in (fastip.admm, fastip.pgd):
            with pytest.raises(fastip.FastipError, match='image 1, channel 1 .* image="complex"'):
                solve(y, op, priors.TV(1e-3), iterations=2)
        assert fastip.admm(y[:1].repeat(2, 1, 1, 1), op, priors.TV(1e-3), iterations=2).x.dtype == torch.float64
    with pytest.raises(fastip.FastipError, match="real image"):
        fastip.admm(torch.stack([good, bad])[None], stack, priors.TV(1e-3), iterations=2)
    assert fastip.admm(y, operators.MaskedFourier(mask, image="complex"), priors.TV(1e-3), iterations=2).x.is_complex()


def test_what_does_not_count_is_not_looked_at() -> None:
    generator = torch.Generator().manual_seed(3)
    mask = torch.ones(40, 40, dtype=torch.float64)
    y = samples(scene(40, 40, 0)[0, 0], mask, 1e-3, generator)[None, None]
    kept = torch.rand(40, 40, generator=generator) < 0.7
    spoilt = torch.where(kept, y, torch.full_like(y, 100j))
    spoilt[0, 0, 0, 0], kept[0, 0] = 100j, False
    op, settings = operators.MaskedFourier(mask), {"iterations": 2}
    fastip.admm(spoilt, op, priors.TV(1e-3), fidelity=fidelities.Squares(kept.double()), **settings)
    with pytest.raises(fastip.FastipError, match="real image"):
        fastip.admm(spoilt, op, priors.TV(1e-3), **settings)
