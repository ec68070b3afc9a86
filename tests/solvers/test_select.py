"""fastip.select: each rule finds what it defines, on fresh problems; what it cannot judge is refused in words."""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import fastip
from fastip import fidelities, operators, priors, psf
from fastip.errors import InvalidInput, Unsupported
from fastip.solvers.selection.path import Asked, Path

GRID = [10 ** (k / 8 - 4) for k in range(33)]


def blocks(seed: int, n: int = 40, b: int = 1, dtype: torch.dtype = torch.float32) -> Tensor:
    """Images of random areas in [0, 1]."""
    coarse = torch.rand(b, 1, n // 8, n // 8, generator=torch.Generator().manual_seed(seed))
    return coarse.repeat_interleave(8, -1).repeat_interleave(8, -2).to(dtype)


def noisy(op: Any, x: Tensor, level: float, seed: int) -> Tensor:
    y = op(x)
    return y + level * torch.randn(y.shape, generator=torch.Generator().manual_seed(seed)).to(y)


PROBLEMS = {
    "denoise": operators.Identity(),
    "circular": operators.Blur(psf.gaussian(5, sigma=1.0), boundary="circular"),
    "valid": operators.Blur(psf.disk(5, 2), boundary="valid"),
    "x2": operators.Blur(psf.gaussian(5, sigma=1.0), stride=2, boundary="circular"),
    "mask": operators.Mask((torch.rand(40, 40, generator=torch.Generator().manual_seed(1)) < 0.6).float()),
}
MAKERS = {"tv": priors.TV, "tv+box": lambda w: priors.TV(w) + priors.Box(0, 1), "wavelet": priors.Wavelet}


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("name", PROBLEMS)
def test_the_misfit_is_that_of_the_noise(name: str, maker: str) -> None:
    op, level = PROBLEMS[name], 0.05
    y = noisy(op, blocks(3), level, 4)
    if name == "mask":
        y = op(y)
    found = fastip.select(y, op, MAKERS[maker], noise=level)
    count = float(op(torch.ones_like(blocks(3))).bool().sum())
    misfit = float((y - op(found.solution.x)).double().square().sum())
    assert abs(misfit / (count * level**2) - 1) <= 0.05
    assert found.scores[found.weights.index(found.weight)] == pytest.approx(misfit / (count * level**2), rel=0.05)
    assert found.rule == "discrepancy" and found.noise == pytest.approx(level)


def test_a_path_is_monotone_and_the_rule_takes_the_nearest() -> None:
    op = PROBLEMS["circular"]
    y = noisy(op, blocks(5), 0.05, 6)
    found = fastip.select(y, op, priors.TV, noise=0.05, weights=torch.tensor(GRID[8:25:2]))
    assert list(found.weights) == sorted(found.weights) and len(found.weights) == 9
    assert list(found.misfits) == sorted(found.misfits)
    assert found.weight == min(zip(found.weights, found.scores, strict=True), key=lambda p: abs(math.log(p[1])))[0]


def quadratic(op: Any, y: Tensor, weight: float) -> tuple[Tensor, float]:
    """A x(w) and the trace of its derivative, exactly: columns of the solve's matrix, from a dense A."""
    n = y.numel()
    a = torch.stack([op(e.view_as(y)).flatten() for e in torch.eye(n, dtype=y.dtype)], 1)
    d = torch.stack([laplacian(e.view_as(y)).flatten() for e in torch.eye(n, dtype=y.dtype)], 1)
    hat = a @ torch.linalg.solve(a.T @ a + weight * d.T @ d, a.T)
    return (hat @ y.flatten()).view_as(y), float(hat.trace())


def laplacian(x: Tensor) -> Tensor:
    kernel = torch.tensor([[0.0, -1, 0], [-1, 4, -1], [0, -1, 0]], dtype=x.dtype)
    return torch.nn.functional.conv2d(torch.nn.functional.pad(x, (1, 1, 1, 1), mode="circular"), kernel[None, None])


def smooth(weight: float) -> priors.Prior:
    return priors.Quadratic(weight, boundary="circular")


SMALL = operators.Blur(psf.gaussian(3, sigma=0.7), boundary="circular")
WAVE = (torch.arange(16, dtype=torch.float64) * (2 * math.pi / 16)).sin()
TRUTH = (0.5 + 0.25 * (WAVE[:, None] + WAVE))[None, None]


def exact(y: Tensor, rule: str, level: float, weight: float) -> float:
    fitted, trace = quadratic(SMALL, y, weight)
    misfit, n = float((y - fitted).square().sum()), y.numel()
    if rule == "gcv":
        return misfit / n / (1 - trace / n) ** 2
    return (misfit - n * level**2 + 2 * level**2 * trace) / n


@pytest.mark.parametrize("rule", ["sure", "gcv"])
def test_scores_against_the_exact_trace(rule: str) -> None:
    level = 0.1
    y = noisy(SMALL, TRUTH, level, 7)
    weights = [10.0 ** (k / 2) for k in range(-2, 4)]
    settings: Any = {"noise": level, "iterations": 200, "tolerance": 1e-5}
    found = fastip.select(y, SMALL, smooth, rule=rule, weights=weights, **settings)
    due = torch.tensor([exact(y, rule, level, w) for w in found.weights])
    # One probe knows the trace to a tenth.
    assert torch.allclose(torch.tensor(found.scores, dtype=due.dtype), due, rtol=0.15, atol=0.15 * level**2)
    searched = fastip.select(y, SMALL, smooth, rule=rule, **settings)
    assert exact(y, rule, level, searched.weight) <= min(exact(y, rule, level, w) for w in weights) + 0.03 * level**2


def test_sure_is_the_risk_on_average() -> None:
    level, weight, differences = 0.1, 0.3, []
    op, truth = PROBLEMS["circular"], blocks(8, dtype=torch.float64)
    for seed in range(12):
        y = noisy(op, truth, level, 20 + seed)
        found = fastip.select(y, op, priors.TV, rule="sure", weights=[weight], noise=level)
        differences.append(found.scores[0] - float((op(found.solution.x) - op(truth)).square().mean()))
    values = torch.tensor(differences)
    assert abs(float(values.mean())) < 3 * float(values.std()) / math.sqrt(len(values)) + 0.01 * level**2


WIDE = [10 ** (k / 2 - 4) for k in range(17)]


def test_the_corner_bends_as_second_differences_say() -> None:
    y = noisy(SMALL, TRUTH, 0.1, 9)
    points = []
    for weight in WIDE:
        fitted, _ = quadratic(SMALL, y, weight)
        x = fastip.wiener(y, SMALL, weight, spectrum="laplacian").x
        points.append((math.log(float((y - fitted).square().sum())), math.log(float(laplacian(x).square().sum()))))
    d, r = np.array(points).T
    (d1, r1), (d2, r2) = (np.gradient(v) for v in (d, r)), (np.gradient(np.gradient(v)) for v in (d, r))
    bend = (d1 * r2 - d2 * r1) / (d1**2 + r1**2) ** 1.5
    settings: Any = {"rule": "lcurve", "iterations": 100, "tolerance": 1e-4}
    found = fastip.select(y, SMALL, smooth, weights=WIDE, **settings)
    assert abs(math.log(found.weight / WIDE[1 + int(np.argmax(bend[1:-1]))])) < 0.7
    assert math.isnan(found.scores[0]) and found.penalties is not None and found.penalties[0] > found.penalties[-1]


def test_a_batch_has_one_weight_by_the_sum() -> None:
    op, levels = PROBLEMS["denoise"], torch.tensor([0.03, 0.1])
    y = blocks(10, b=2) + levels[:, None, None, None] * torch.randn(2, 1, 40, 40)
    found = fastip.select(y, op, priors.TV, noise=levels)
    misfit = float((y - found.solution.x).square().sum())
    assert misfit == pytest.approx(1600 * float(levels.square().sum()), rel=0.05)


def test_weights_of_the_data_and_a_mask_count_alike() -> None:
    op = PROBLEMS["circular"]
    y = noisy(op, blocks(11), 0.05, 12)
    kept = (torch.rand(40, 40, generator=torch.Generator().manual_seed(13)) < 0.7).float()
    weighted = fastip.select(y, op, priors.TV, noise=0.05, fidelity=fidelities.Squares(kept))
    masked = fastip.select(kept * y, operators.Mask(kept) @ op, priors.TV, noise=0.05)
    assert weighted.weight == pytest.approx(masked.weight, rel=0.2)


def test_numpy_in_and_out_float64_complex_data_and_the_estimated_noise() -> None:
    y = noisy(PROBLEMS["circular"], blocks(14, n=64, dtype=torch.float64), 0.05, 15)
    found = fastip.select(y.numpy(), PROBLEMS["circular"], priors.TV)
    assert isinstance(found.solution.x, np.ndarray) and found.solution.x.dtype == np.float64
    assert found.noise == pytest.approx(float(fastip.noise_level(y)))
    mask = (torch.rand(40, 40, generator=torch.Generator().manual_seed(2)) < 0.6).float()
    op = operators.MaskedFourier(mask)
    seen = op(blocks(16))
    noise = torch.complex(*torch.randn(2, *seen.shape, generator=torch.Generator().manual_seed(3))) * 0.1 / math.sqrt(2)
    found = fastip.select(seen + op(noise.real) * 0 + noise * mask, op, priors.TV, noise=0.1)
    assert found.scores[found.weights.index(found.weight)] == pytest.approx(1, abs=0.06)


def test_it_is_the_same_again_and_is_saved(tmp_path: Any) -> None:
    y = noisy(SMALL, TRUTH, 0.1, 17)
    one, other = (fastip.select(y, SMALL, smooth, rule="gcv") for _ in range(2))
    assert one.weight == other.weight and one.scores == other.scores and torch.equal(one.solution.x, other.solution.x)
    torch.save(one, tmp_path / "s.pt")
    for back in (pickle.loads(pickle.dumps(one)), torch.load(tmp_path / "s.pt")):
        assert (
            back.weight == one.weight and back.weights == one.weights and torch.equal(back.solution.x, one.solution.x)
        )


def test_what_is_seen_of_data_with_zero_rows() -> None:
    mask = torch.zeros(40, 40)
    mask[:10] = 1
    y = operators.Mask(mask)(blocks(18))
    asked = Asked(operators.Mask(mask), priors.TV, None, "auto", None, 5, 1e-3)
    assert Path(y, asked, tuple(y.shape), mask.expand(y.shape)).counted().tolist() == [400.0]


Y = noisy(PROBLEMS["denoise"], blocks(19), 0.05, 20)
REFUSED = {
    "rule": ({"rule": "lcurv"}, InvalidInput, "did you mean 'lcurve'"),
    "prior": ({"make_prior": priors.TV(1e-3)}, InvalidInput, "make_prior is"),
    "weights": ({"weights": [1e-3, 0.0]}, InvalidInput, "weights"),
    "few": ({"weights": [1e-3, 1e-2], "rule": "lcurve"}, InvalidInput, "expected 3"),
    "noise": ({"noise": 0.0}, InvalidInput, "noise"),
    "noises": ({"noise": [0.1, 0.2]}, InvalidInput, "one for each"),
    "more": ({"noise": 20.0}, InvalidInput, "check its unit"),
    "unreached": ({"noise": 0.4, "iterations": 40}, InvalidInput, "largest weight"),
    "fidelity": ({"fidelity": fidelities.Clipped(1.0), "noise": 0.1}, Unsupported, "rule='lcurve'"),
    "unknown": ({"fidelity": fidelities.Squares(torch.ones(40, 40))}, InvalidInput, "pass noise"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str) -> None:
    keywords, error, told = REFUSED[name]
    keywords = {"make_prior": priors.TV, **keywords}
    with pytest.raises(error, match=told):
        fastip.select(Y, operators.Identity(), **keywords)


def test_vectors_need_their_noise_and_an_end_is_told() -> None:
    op = operators.Dense(torch.randn(20, 30, generator=torch.Generator().manual_seed(21)))
    with pytest.raises(InvalidInput, match="pass noise"):
        fastip.select(torch.randn(1, 20), op, priors.L1)
    with pytest.warns(UserWarning, match="give larger weights"):
        fastip.select(Y, operators.Identity(), priors.TV, noise=0.05, weights=[1e-4, 1e-3])


@pytest.mark.parametrize("seed", range(3))
def test_solves_that_end_far_from_rest_get_more_iterations(seed: int) -> None:
    """With few of them a smaller weight seems to leave a larger misfit."""
    op = operators.Blur(psf.disk(9, 4), boundary="valid")
    y = noisy(op, blocks(seed, n=48), 0.01, seed + 50)
    found = fastip.select(y, op, priors.L1, noise=0.01)
    assert float((y - op(found.solution.x)).square().sum()) == pytest.approx(y.numel() * 1e-4, rel=0.05)


def test_a_misfit_that_stays_ends_the_search() -> None:
    """Where the largest weights leave just less than the noise."""
    flat = torch.full((1, 1, 40, 40), 0.5)
    y = flat + 0.05 * torch.randn(flat.shape, generator=torch.Generator().manual_seed(60))
    noise = 1.02 * float((y - y.mean()).square().mean().sqrt())
    found = fastip.select(y, operators.Identity(), priors.TV, noise=noise)
    assert abs(float((y - found.solution.x).square().mean()) / noise**2 - 1) <= 0.05 and len(found.weights) < 8


def test_one_who_found_the_weight_at_rest_solves_no_more() -> None:
    y = noisy(PROBLEMS["denoise"], blocks(61), 0.05, 62)
    told: list[float] = []
    found = fastip.select(
        y, PROBLEMS["denoise"], priors.TV, noise=0.05, tolerance=3e-2, report=lambda w, _: told.append(w)
    )
    assert told.count(found.weight) == 1 and found.solution.status is fastip.Status.CONVERGED
