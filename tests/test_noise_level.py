"""noise_level: white noise, what must not change it, textures, what is left out, and bad inputs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import fastip
from fastip.errors import InvalidInput, UnknownKeyword, Unsupported


def white(*shape: int, sigma: float = 1.0, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return (sigma * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)).to(dtype)


# ---- white noise -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [1e-6, 1 / 255, 0.02, 0.1, 3.0])
@pytest.mark.parametrize("shape", [(3, 1, 256, 256), (2, 3, 251, 262)], ids=str)
def test_white_noise_is_measured(shape: tuple[int, ...], sigma: float) -> None:
    """A mean over draws sees a bias that hides in one draw."""
    found = fastip.noise_level(0.5 + white(*shape, sigma=sigma)) / sigma
    torch.testing.assert_close(found, torch.ones(shape[0], dtype=torch.float64), rtol=0, atol=0.03)
    assert abs(float(found.mean()) - 1) < 0.012


def test_small_pictures_are_measured_on_average() -> None:
    for side, within in ((16, 0.05), (19, 0.04), (32, 0.03)):
        assert abs(float(fastip.noise_level(white(100, 1, side, side + 1)).mean()) - 1) < within, side


def test_each_picture_has_its_own_level() -> None:
    sigmas = torch.tensor([0.004, 0.1, 0.02], dtype=torch.float64)
    y = 0.5 + sigmas[:, None, None, None] * white(3, 2, 128, 140)
    found = fastip.noise_level(y)
    assert found.shape == (3,) and bool(((found / sigmas - 1).abs() < 0.05).all())
    for k in range(3):
        assert torch.equal(fastip.noise_level(y[k : k + 1])[0], found[k])


# ---- what must not change it -----------------------------------------------------------------------------------------


def test_it_scales_with_the_picture() -> None:
    y = 0.3 + 0.02 * white(1, 3, 90, 70) + _stripes(90, 70) / 20
    torch.testing.assert_close(fastip.noise_level(2 * y), 2 * fastip.noise_level(y), rtol=1e-10, atol=0)
    torch.testing.assert_close(fastip.noise_level(1e-3 * y), 1e-3 * fastip.noise_level(y), rtol=1e-10, atol=0)


@pytest.mark.parametrize("size", [1e-25, 1e25, 1e38])
def test_pictures_of_any_size_are_measured(size: float) -> None:
    """Their squares vanish, or are infinite, in float32."""
    y = (0.5 + white(1, 1, 90, 70, sigma=0.03) + _stripes(90, 70) / 10).float()
    torch.testing.assert_close(fastip.noise_level(size * y) / size, fastip.noise_level(y), rtol=1e-4, atol=0)


def test_a_smooth_ramp_changes_nothing() -> None:
    rows, columns = (torch.linspace(-0.3, 0.3, n, dtype=torch.float64) for n in (77, 96))
    y = 0.5 + white(1, 1, 77, 96, sigma=0.01)
    found = fastip.noise_level(y + rows[:, None] - 0.4 * columns)
    torch.testing.assert_close(found, fastip.noise_level(y), rtol=1e-9, atol=0)
    assert float(fastip.noise_level((0.5 + rows[:, None] - 0.4 * columns)[None, None])) < 1e-12


@pytest.mark.parametrize("kind", ["flip", "transpose", "channels"])
def test_turned_pictures_have_nearly_the_same_level(kind: str) -> None:
    y = 0.5 + white(1, 3, 128, 128, sigma=0.05)
    turned = {"flip": y.flip(-1), "transpose": y.transpose(-1, -2), "channels": y.flip(1)}[kind]
    torch.testing.assert_close(fastip.noise_level(turned), fastip.noise_level(y), rtol=0.02, atol=0)


def test_precisions_agree() -> None:
    y = 0.5 + white(2, 3, 101, 87, sigma=0.03) + _stripes(101, 87) / 10
    exact = fastip.noise_level(y)
    single = fastip.noise_level(y.float())
    assert single.dtype is torch.float32 and exact.dtype is torch.float64
    torch.testing.assert_close(single.double(), exact, rtol=1e-4, atol=0)
    half = fastip.noise_level(y.half())
    assert half.dtype is torch.float32
    torch.testing.assert_close(half.double(), exact, rtol=0.02, atol=0)


def test_views_and_gradients() -> None:
    """Any layout, the argument unchanged, the result without a gradient."""
    y = (0.5 + white(1, 3, 60, 50, sigma=0.03)).requires_grad_()
    found = fastip.noise_level(y)
    assert not found.requires_grad and torch.equal(found, fastip.noise_level(y.detach()))
    last = y.detach().to(memory_format=torch.channels_last)
    before = last.clone()
    torch.testing.assert_close(fastip.noise_level(last), found)
    assert torch.equal(last, before)


def test_numpy_in_numpy_out() -> None:
    y = (0.5 + white(2, 1, 64, 64, sigma=0.03)).numpy()
    found = fastip.noise_level(y)
    assert isinstance(found, np.ndarray) and found.shape == (2,) and found.dtype == np.float64
    np.testing.assert_array_equal(found, fastip.noise_level(torch.from_numpy(y)).numpy())
    np.testing.assert_allclose(fastip.noise_level(y[:, :, ::-1, ::-1]), found, rtol=0.2)


# ---- pictures --------------------------------------------------------------------------------------------------------


def _stripes(height: int, width: int) -> torch.Tensor:
    rows, columns = torch.arange(height, dtype=torch.float64)[:, None], torch.arange(width, dtype=torch.float64)
    return torch.sin(0.9 * rows + 1.3 * columns)


@pytest.mark.parametrize("sigma", [0.002, 0.01, 0.05])
def test_a_texture_is_not_noise(sigma: float) -> None:
    """Coarse grain over five sixths of the picture, whose plain median is more than twice a low level."""
    texture = 0.1 * torch.nn.functional.avg_pool2d(white(1, 1, 193, 193, seed=1), 2, 1)
    texture[..., :32, :] = 0
    y = 0.5 + texture + white(1, 1, 192, 192, sigma=sigma, seed=2)
    fine = y[..., ::2, ::2] - y[..., 1::2, ::2] - y[..., ::2, 1::2] + y[..., 1::2, 1::2]
    plain = float(fine.abs().median()) / 2 / 0.6745
    assert float(fastip.noise_level(y)) == pytest.approx(sigma, rel=0.12)
    assert sigma > 0.02 or plain > 2 * sigma


def test_pictures_without_noise_have_none() -> None:
    ramp = torch.linspace(0.1, 0.9, 64).expand(1, 1, 48, 64)
    checks = ((torch.arange(48)[:, None] // 20 + torch.arange(64) // 20) % 2).float()[None, None]
    for picture in (torch.zeros(1, 1, 48, 64), torch.ones(1, 3, 48, 64), torch.full((1, 1, 48, 64), 0.3), ramp, checks):
        assert 0 <= float(fastip.noise_level(picture)) < 1e-6
    assert float(fastip.noise_level(0.2 + 0.5 * checks)) < 1e-6


# ---- what is left out ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0, 1.0])
def test_pixels_that_are_no_measurement_do_not_count(value: float) -> None:
    y = 0.5 + white(2, 1, 128, 128, sigma=0.02)
    y[0, :, 30:90, 17:111] = value  # a large hole
    y[0, :, 100:, :][..., torch.rand(28, 128, generator=torch.Generator().manual_seed(3)) < 0.01] = value  # and specks
    torch.testing.assert_close(fastip.noise_level(y), torch.full((2,), 0.02, dtype=torch.float64), rtol=0.05, atol=0)


def test_a_painted_border_has_no_say() -> None:
    y = torch.full((1, 3, 128, 160), 0.3, dtype=torch.float64)
    y[..., 10:-10, 30:-10] = 0.5 + white(1, 3, 108, 120, sigma=0.03)
    assert float(fastip.noise_level(y)) == pytest.approx(0.03, rel=0.05)


def test_a_dead_pixel_leaves_a_small_picture_measurable() -> None:
    y = 0.5 + white(1, 1, 16, 16, sigma=0.02)
    y[..., 8, 8] = float("nan")
    assert 0.01 < float(fastip.noise_level(y)) < 0.03


@pytest.mark.parametrize("sigma", [10 / 255, 20 / 255, 30 / 255])
def test_clipped_noise_is_not_taken_for_less(sigma: float) -> None:
    """A ramp from black to white in 8 bits: near its ends half of the noise is cut off."""
    ramp = torch.linspace(0, 1, 200, dtype=torch.float64)
    y = (255 * (ramp + white(1, 1, 200, 200, sigma=sigma)).clamp(0, 1)).round() / 255
    assert float(fastip.noise_level(y)) == pytest.approx(sigma, rel=0.05)


def test_a_dark_ground_where_noise_is_clipped_has_no_say() -> None:
    """Its few responses that are not clipped are those where the noise is small."""
    picture = torch.full((1, 1, 160, 160), 0.1, dtype=torch.float64)
    picture[..., :40, :] = 0.5
    y = (picture + white(1, 1, 160, 160, sigma=0.1)).clamp(0, 1)
    assert float(fastip.noise_level(y)) == pytest.approx(0.1, rel=0.05)


@pytest.mark.parametrize("value", [float("nan"), 0.0, 1.0])
def test_dead_pixels_in_every_patch(value: float) -> None:
    """A quarter of all responses touch one."""
    y = 0.5 + white(1, 3, 200, 200, sigma=0.02)
    y[..., ::8, ::8] = value
    assert float(fastip.noise_level(y)) == pytest.approx(0.02, rel=0.05)


def test_values_beyond_the_range_count_where_nothing_is_clipped() -> None:
    assert float(fastip.noise_level(white(1, 1, 128, 128, sigma=0.1))) == pytest.approx(0.1, rel=0.05)


def test_pictures_with_too_little_left_are_refused() -> None:
    holes = 0.5 + white(2, 1, 64, 64, sigma=0.1)
    holes[1][torch.rand(1, 64, 64, generator=torch.Generator().manual_seed(4)) < 0.5] = 0  # those of a mask
    with pytest.raises(InvalidInput, match=r"y\[1\] has 48% of its values at 0, at 1 or not finite.*as a num"):
        fastip.noise_level(holes)
    with pytest.raises(InvalidInput, match=r"y\[0\] has 100% of its values"):
        fastip.noise_level(torch.full((1, 1, 32, 32), float("nan")))
    dark = (0.1 * white(1, 1, 64, 64)).clamp(0, 1)  # half of the noise is cut off everywhere
    with pytest.raises(InvalidInput, match=r"are not clipped"):
        fastip.noise_level(dark)


def test_refusals() -> None:
    with pytest.raises(InvalidInput, match=r"y has shape \(1, 1, 15, 64\); expected at least 16 x 16 pixels.*larger"):
        fastip.noise_level(torch.rand(1, 1, 15, 64))
    with pytest.raises(InvalidInput, match="four dimensions b c h w"):
        fastip.noise_level(torch.rand(3, 64, 64))
    with pytest.raises(InvalidInput, match="dtype torch.uint8"):
        fastip.noise_level(torch.zeros(1, 1, 32, 32, dtype=torch.uint8))
    with pytest.raises(InvalidInput, match="dtype torch.complex64"):
        fastip.noise_level(torch.zeros(1, 1, 32, 32, dtype=torch.complex64))
    with pytest.raises(InvalidInput, match="y is list"):
        fastip.noise_level([[0.0]])
    with pytest.raises(UnknownKeyword, match="no keyword 'sigma'"):
        fastip.noise_level(torch.rand(1, 1, 32, 32), sigma=1)


def test_compilation_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    with pytest.raises(Unsupported, match="cannot trace noise_level, because the patches.*as a number"):
        fastip.noise_level(torch.rand(1, 1, 32, 32))
