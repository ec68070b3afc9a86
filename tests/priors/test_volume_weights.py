"""Priors of volumes, b c d h w, that are diagonal under a transform, and weights of each channel."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import pywt
import scipy.fft
import scipy.ndimage
import torch
from torch import Tensor

import fastip
from cases.checks import noise, relative
from cases.pretended import pretended
from fastip import operators, priors

SPACING = (2.0, 1.0, 0.5)
MODES = {"circular": "grid-wrap", "reflect": "reflect"}
SYMMETRIC = np.multiply.outer(np.array([1.0, 2, 1]), np.multiply.outer(np.array([-1.0, 3, -1]), np.ones(5)))
SKEW = noise((2, 3, 2), seed=2).numpy()


def prox(prior: Any, v: Tensor, step: float) -> Tensor:
    return prior.bind(v, operators.Identity(axes=3))(v, step)


def filters(given: Any, spacing: tuple[float, ...] | None) -> list[Any]:
    """Taps whose squares are summed."""
    if not isinstance(given, str):
        return [np.asarray(given)]
    taps = []
    for axis, h in enumerate(spacing or (1, 1, 1)):
        shape = [3 if axis == n else 1 for n in range(3)]
        taps.append(np.reshape([0, -1, 1], shape) / h if given == "gradient" else np.reshape([-1, 2, -1], shape) / h**2)
    if given == "gradient":
        return taps
    whole = np.zeros((3, 3, 3))
    for tap in taps:
        whole += np.pad(tap, [(0, 0) if n == 3 else (1, 1) for n in tap.shape])
    return [whole]


@pytest.mark.parametrize("boundary", MODES)
@pytest.mark.parametrize(
    ("given", "spacing"),
    [("laplacian", None), ("laplacian", SPACING), ("gradient", SPACING), (SYMMETRIC, None), (SKEW, None)],
    ids=["laplacian", "spaced", "gradient", "symmetric", "skew"],
)
def test_quadratic_against_a_dense_matrix(given: Any, spacing: Any, boundary: str) -> None:
    if given is SKEW and boundary == "reflect":
        pytest.skip("no transform has it as a diagonal")
    size, weight, step = (4, 5, 6), torch.tensor([0.3, 0.1], dtype=torch.float64).reshape(1, 2, 1, 1, 1), 0.7
    prior = priors.Quadratic(weight, given, boundary=boundary, spacing=spacing)
    v, count = noise((2, 2, *size), seed=1), int(np.prod(size))
    energy = torch.zeros(count, count, dtype=torch.float64)
    for tap in filters(given, spacing):
        rows = [scipy.ndimage.convolve(x, tap, mode=MODES[boundary]).ravel() for x in np.eye(count).reshape(-1, *size)]
        f = torch.from_numpy(np.stack(rows, axis=1))
        energy += f.T @ f
    found, values = prox(prior, v, step), 0
    for channel, own in enumerate(weight.flatten()):
        x = v[:, channel].flatten(1)
        due = torch.linalg.solve(torch.eye(count) + 2 * step * own * energy, x.T).T
        assert relative(found[:, channel].flatten(1), due) < 1e-12
        values = values + own * (x @ energy * x).sum(dim=1)
    torch.testing.assert_close(prior.value(v), values, rtol=1e-11, atol=0)
    assert torch.equal(prox(pickle.loads(pickle.dumps(prior)), v, step), found)
    with pretended() as gpu:
        x = gpu.get(prox(priors.Quadratic(weight.float(), given, boundary=boundary), gpu.put(v.float()), step))
        expected = prox(priors.Quadratic(weight, given, boundary=boundary), v, step)
        assert x.dtype == torch.float32 and relative(x.double(), expected) < 1e-5


@pytest.mark.parametrize("given", ["laplacian", "gradient"])
def test_admm_ends_where_wiener_begins(given: str) -> None:
    op, shape = operators.Blur(noise((2, 3, 3), seed=3).abs() / 9, axes=3), (2, 2, 4, 5, 6)
    y = op(noise(shape, seed=4))
    prior = priors.Quadratic(0.05, given, boundary="circular")
    x = fastip.wiener(y, op, 0.05, spectrum=given).x
    assert relative(fastip.admm(y, op, prior, iterations=2000, tolerance=1e-10).x, x) < 1e-7
    power = 1 / prior.spectrum(*shape[2:]).clamp_min(1e-12)
    assert relative(fastip.wiener(y, op, 0.05, spectrum=power).x, x) < 1e-8


def test_white_and_mirrored_spectra_of_a_volume() -> None:
    y = noise((1, 1, 4, 6, 5), seed=5)
    angles = [np.pi / n * np.arange(n) for n in y.shape[2:]]
    power = sum(np.square(w).reshape([-1 if n == axis else 1 for n in range(3)]) for axis, w in enumerate(angles))
    seen = scipy.fft.dctn(y[0, 0].numpy(), norm="ortho") / (1 + 0.3 * power ** (1.5 / 2))
    x = fastip.wiener(y, operators.Identity(axes=3), 0.3, spectrum="power", exponent=1.5).x
    assert relative(x[0, 0], torch.from_numpy(scipy.fft.idctn(seen, norm="ortho"))) < 1e-12


@pytest.mark.parametrize("name", ["haar", "db2"])
def test_the_wavelet_of_a_volume(name: str) -> None:
    prior = priors.Wavelet(0.2, name, levels=2)
    x = noise((2, 1, 8, 4, 12), seed=6)
    w = prior.transform(x)
    kept, d = x[0, 0].numpy(), 2
    for level in range(d):  # as PyWavelets has it
        parts = pywt.dwtn(kept, name, mode="periodization")
        n = [s // 2 for s in kept.shape]
        found = w[0, 0, : 2 * n[0], : 2 * n[1], : 2 * n[2]].numpy()
        for key, part in parts.items():
            if key != "aaa":
                at = tuple(slice(s, 2 * s) if letter == "d" else slice(s) for letter, s in zip(key, n, strict=True))
                assert np.allclose(found[at], part), (level, key)
        kept = parts["aaa"]
    assert np.allclose(w[0, 0, :2, :1, :3].numpy(), kept) and prior.corner(x) == (2, 1, 3)
    assert relative(prior.inverse(w), x) < 1e-12


@pytest.mark.parametrize("size", [(5, 7, 6), (4, 4, 9)])
def test_wavelets_of_odd_volumes_are_orthogonal(size: tuple[int, ...]) -> None:
    weight = torch.tensor([0.3, 0.1], dtype=torch.float64).reshape(1, 2, 1, 1, 1)
    prior = priors.Wavelet(weight, "db2", levels=2)
    x, y = noise((2, 2, *size), seed=7), noise((2, 2, *size), seed=8)
    wx, wy = prior.transform(x), prior.transform(y)
    assert relative(prior.inverse(wx), x) < 1e-12 and abs((wx * wy).sum() - (x * y).sum()) < 1e-10
    with pretended() as gpu:
        assert relative(gpu.get(prior.transform(gpu.put(x))), wx) < 1e-12
    found = prox(prior, x, 0.5)
    for channel, own in enumerate((0.3, 0.1)):
        alone = priors.Wavelet(own, "db2", levels=2)
        assert relative(found[:, channel], prox(alone, x[:, channel : channel + 1], 0.5)[:, 0]) < 1e-12
    nearby = found + 0.01 * noise(found.shape, seed=9)
    gain = [0.5 * prior.value(z) + (z - x).square().flatten(1).sum(1) / 2 for z in (found, nearby)]
    assert (gain[0] < gain[1]).all()
    v = x[:1, :, :4, :4, :4].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda v: prior.prox(v, 0.5), v)


KINDS = {
    "TV": priors.TV,
    "AnisotropicTV": priors.AnisotropicTV,
    "Huber": lambda weight: priors.Huber(weight, 0.1),
    "L1": priors.L1,
    "L2": priors.L2,
    "Quadratic": priors.Quadratic,
    "Wavelet": lambda weight: priors.Wavelet(weight, levels=2),
}


@pytest.mark.parametrize("parts", [False, True], ids=["real", "complex"])
@pytest.mark.parametrize("kind", KINDS)
def test_channels_with_weights_of_their_own(kind: str, parts: bool) -> None:
    x = noise((2, 2, 4, 5, 4), seed=10)
    y = torch.complex(x, noise(x.shape, seed=11)) if parts else x
    weights = torch.tensor([0.3, 0.05], dtype=torch.float64)
    given: dict[str, Any] = {"iterations": 6, "tolerance": 0, "beta": 0.5}
    op: Any = operators.Complex(operators.Identity(axes=3)) if parts else operators.Identity(axes=3)
    found = fastip.admm(y, op, KINDS[kind](weights.reshape(1, 2, 1, 1, 1)), **given)
    for channel, weight in enumerate(weights.tolist()):
        one = fastip.admm(y[:, channel : channel + 1], op, KINDS[kind](weight), **given)
        assert relative(found.x[:, channel], one.x[:, 0]) < 1e-12


def test_volumes_of_a_batch_with_weights_of_their_own() -> None:
    y, weights = noise((2, 2, 4, 5, 4), seed=12), torch.tensor([0.3, 0.05]).double()
    given: dict[str, Any] = {"iterations": 6, "tolerance": 0, "beta": 0.5}
    found = fastip.admm(y, operators.Identity(axes=3), priors.VectorTV(weights.reshape(2, 1, 1, 1, 1)), **given).x
    for image, weight in enumerate(weights.tolist()):
        one = fastip.admm(y[image : image + 1], operators.Identity(axes=3), priors.VectorTV(weight), **given).x
        assert relative(found[image], one[0]) < 1e-12
