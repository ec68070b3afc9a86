"""``inverses.Split`` of volumes, b c d h w: the minimiser of the problem on its own volume, for every data term."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import fastip
from cases.checks import noise, relative
from fastip import fidelities, inverses, operators, priors, psf
from fastip.contracts import Status
from fastip.errors import InvalidInput
from fastip.inverses import split
from fastip.inverses.close import Close

Blur, Mask, Split = operators.Blur, operators.Mask, inverses.Split
WEIGHTS = noise((4, 5, 3), seed=4).abs() + 0.1
HOLES = noise((4, 5, 3), seed=5) > -0.5
ELASTIC = priors.ElasticNet(0.02, 0.1) + priors.Box(0.1, 0.8)


def taps(*k: int) -> Tensor:
    """Of both signs, no symmetry."""
    values = noise(k, seed=7) + 0.5
    return values / values.abs().sum()


def blur(*k: int, stride: int = 1, boundary: str = "valid") -> Any:
    return Blur(taps(*k), stride, boundary, axes=3)


PROBLEMS: dict[str, tuple[Any, tuple[int, ...]]] = {  # operator, volume
    "valid": (blur(3, 2, 4), (2, 2, 6, 5, 7)),
    "valid, stride 2": (blur(2, 3, 3, stride=2), (1, 1, 6, 7, 5)),
    "valid, stride 3": (blur(3, 2, 4, stride=3), (1, 2, 6, 5, 7)),
    "circular, stride 2": (blur(3, 2, 3, stride=2, boundary="circular"), (1, 1, 4, 6, 8)),
    "holes": (Mask(HOLES, axes=3) @ blur(2, 3, 4), (1, 2, 5, 7, 6)),
    "weights, circular": (Mask(WEIGHTS, axes=3) @ blur(3, 2, 2, boundary="circular"), (2, 1, 4, 5, 3)),
    "mask": (Mask(WEIGHTS, axes=3), (1, 1, 4, 5, 3)),
    "cubes": (operators.Downsample(2, axes=3), (1, 2, 4, 6, 4)),
    "psf larger than the data": (blur(5, 6, 7), (1, 1, 6, 8, 8)),
    "scaled": (-3.0 * Mask(WEIGHTS, axes=3) @ blur(2, 2, 3), (1, 1, 5, 6, 5)),
    "channels": (blur(2, 2, 3, 2), (2, 2, 4, 5, 4)),
}


def observed(name: str, dtype: torch.dtype = torch.float64) -> tuple[Any, Tensor]:
    op, shape = PROBLEMS[name]
    y = op(torch.rand(shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64))
    return op, (y + 0.02 * noise(y.shape, seed=2)).to(dtype)


@pytest.mark.parametrize("name", PROBLEMS)
def test_it_ends_where_the_dense_inverse_ends(name: str) -> None:
    op, y = observed(name)
    given: dict[str, Any] = {"beta": 0.1, "iterations": 400, "tolerance": 0}
    known = fastip.admm(y, op, ELASTIC, inverse=inverses.Exact(), **given).x
    found = fastip.admm(y, op, ELASTIC, inverse=Split(), **given).x
    assert found.shape == PROBLEMS[name][1] and (found - known).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("name", "term"), [("valid", "poisson"), ("valid, stride 2", "squares"), ("holes", "absolute")]
)
def test_other_data_terms_end_where_line_one_ends(name: str, term: str) -> None:
    op, y = observed(name)
    y = y.clamp_min(0.01)
    fidelity = {
        "squares": fidelities.Squares(noise(y.shape[2:], seed=8).abs()),
        "absolute": fidelities.Absolute(),
        "poisson": fidelities.Poisson(0.3),
    }[term]
    prior = priors.L2(0.1) + priors.NonNegative()
    given: dict[str, Any] = {"fidelity": fidelity, "tolerance": 0}
    known = fastip.admm(y, op, prior, inverse=inverses.Scalar(), beta=0.5, iterations=1200, **given).x
    found = fastip.admm(y, op, prior, inverse=Split(), beta=0.1, iterations=600, **given).x
    assert (found - known).abs().max() < 1e-4
    given["tolerance"] = 1e-3
    s = fastip.admm(y, op, prior, inverse=Split(), iterations=3000, **given)
    assert s.status is Status.CONVERGED and s.q.shape[:3] == (len(y), 2, y.shape[1])


def test_counts_on_a_valid_border_take_it() -> None:
    """Where the psf is large; there line one as a prox is dearer."""
    op = blur(7, 7, 7)
    y = op(torch.rand(1, 1, 9, 10, 8, dtype=torch.float64))
    prior = priors.TV(0.02) + priors.NonNegative()
    counts: dict[str, Any] = {"fidelity": fidelities.Poisson(1.0), "iterations": 5, "tolerance": 0}
    y = y.clamp_min(0)
    told = fastip.explain(op, prior, y, fidelity=counts["fidelity"])
    assert "second split" in told and "FFT on 9 x 10 x 8 pixels" in told
    assert torch.equal(fastip.admm(y, op, prior, **counts).x, fastip.admm(y, op, prior, inverse=Split(), **counts).x)
    few = blur(3, 2, 4)
    small = fastip.explain(few, prior, few(torch.rand(1, 1, 9, 10, 8)), fidelity=counts["fidelity"])
    assert "second split" not in small


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_solution_is_resumed_exactly(dtype: torch.dtype) -> None:
    op, y = observed("holes", dtype)
    prior = priors.TV(0.02, spacing=(2, 1, 1)) + priors.Box(0, 1)
    given: dict[str, Any] = {"beta": 0.1, "inverse": Split(), "tolerance": 0}
    whole = fastip.admm(y, op, prior, iterations=9, **given)
    part = fastip.admm(y, op, prior, iterations=4, **given)
    more = fastip.admm(y, op, prior, iterations=5, init=part, **given)
    assert more.x.dtype == dtype and torch.equal(more.x, whole.x) and torch.equal(more.q, whole.q)


@pytest.mark.parametrize("fidelity", [None, fidelities.Poisson(0.5)], ids=["squares", "poisson"])
@pytest.mark.parametrize("name", ["channels", "valid"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_volumes_one_by_one_are_those_of_all_at_once(
    dtype: torch.dtype, name: str, fidelity: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    op, y = observed(name, dtype)
    y = y.clamp_min(0)
    given: dict[str, Any] = {"beta": 0.1, "inverse": Split(), "iterations": 9, "tolerance": 0, "fidelity": fidelity}
    known = fastip.admm(y, op, ELASTIC, **given)
    monkeypatch.setattr(split, "LONE", 0)
    found = fastip.admm(y, op, ELASTIC, **given)
    assert relative(found.x, known.x) < (1e-13 if dtype == torch.float64 else 1e-5)
    given["inverse"] = Split(warm=3)
    assert torch.isfinite(fastip.admm(y, op, ELASTIC, **given).x).all()


@pytest.mark.parametrize("fidelity", [None, fidelities.Poisson(0.5)], ids=["squares", "poisson"])
def test_gradients(fidelity: Any) -> None:
    op = Mask(noise((2, 3, 2), seed=3).abs(), axes=3) @ blur(2, 2, 2)
    y = op(torch.rand(1, 1, 3, 4, 3, dtype=torch.float64)) + 0.3
    weight = torch.tensor(0.05, dtype=torch.float64)

    def solve(y: Tensor, weight: Tensor) -> Tensor:
        given: dict[str, Any] = {"beta": [0.2, 0.1], "inverse": Split(0.2), "iterations": 4, "tolerance": 0}
        return fastip.admm(y, op, priors.L2(weight), fidelity=fidelity, **given).x

    assert torch.autograd.gradcheck(solve, (y.requires_grad_(), weight.requires_grad_()))


@pytest.mark.parametrize("name", ["valid", "valid, stride 2", "weights, circular"])
def test_conjugate_gradients_have_its_circulant(name: str) -> None:
    op, y = observed(name)
    step = inverses.ConjugateGradient(1e-10, preconditioner="circulant").bind(op, y, 0.2)
    exact = inverses.Exact(side="data").bind(op, y, 0.2)
    assert relative(step.guess(), exact.guess()) < 1e-8


def test_a_start_of_averages() -> None:
    op = Blur(psf.gaussian((3, 5, 2), sigma=(1, 1, 1)), boundary="valid", axes=3)
    step = Split().bind(op, torch.full((1, 2, 4, 3, 5), 0.4, dtype=torch.float64), 0.1)
    torch.testing.assert_close(step.guess(), torch.full((1, 2, 6, 7, 6), 0.4, dtype=torch.float64))


@pytest.mark.parametrize("inverse", [Split(), Close()], ids=["split", "close"])
def test_the_start_knows_no_axis_from_another(inverse: Any) -> None:
    h, y = taps(2, 3, 4).abs(), noise((1, 2, 4, 5, 6), seed=3).abs()
    mask = (noise((4, 5, 6), seed=4) > -0.3).double()
    mask[1:, :, 2:] = 0  # some of the volume is hardly seen

    def guess(*order: int) -> Tensor:
        op = Mask(mask.permute(order), axes=3) @ Blur(h.permute(order), boundary="valid", axes=3)
        return inverse.bind(op, y.permute(0, 1, *(n + 2 for n in order)), 0.1).guess()

    torch.testing.assert_close(guess(1, 2, 0), guess(0, 1, 2).permute(0, 1, 3, 4, 2))


def test_a_penalty_that_vanishes_is_refused() -> None:
    op, y = observed("valid", torch.float32)
    with pytest.raises(InvalidInput, match="data_beta"):
        fastip.admm(y, op, ELASTIC, inverse=Split(1e-60))
