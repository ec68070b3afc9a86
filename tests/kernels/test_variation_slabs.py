"""Total variation slab by slab is that of whole tensors, whatever is cut where."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import fastip
from cases.checks import noise, relative
from fastip import operators, priors
from fastip.contracts import Pointwise
from fastip.kernels import variation, variation_slabs

SHAPES = [
    ((2, 2, 7, 6, 5), (2.0, 1.0, 0.5)),
    ((1, 1, 9, 4, 6), (1.0, 1.0, 1.0)),
    ((2, 3, 11, 8), (1.0, 1.0)),
    ((1, 1, 1, 5, 4), (1.0, 1.0, 1.0)),
    ((1, 2, 5, 1, 4), (1.0, 3.0, 1.0)),
]


@pytest.mark.parametrize(("shape", "spacing"), SHAPES)
@pytest.mark.parametrize("over", [(), (0,), (0, 2)])
@pytest.mark.parametrize("threshold", [0.0, 0.05])
@pytest.mark.parametrize("slab", [1, 100, 10**6])
def test_it_is_the_reference(
    shape: Any, spacing: Any, over: Any, threshold: float, slab: int, monkeypatch: Any
) -> None:
    monkeypatch.setattr(variation_slabs, "SLAB", slab)
    kind = variation.Kind("reflect", over, threshold, spacing)
    v = noise(shape, seed=1)
    u = 0.05 * variation.differences(noise(shape, seed=2), "reflect", spacing)
    ends = 1 if 2 in over else shape[1]
    tensor = 0.2 * noise((shape[0], ends, *[1] * (len(shape) - 2)), seed=3).abs()
    for weight in (0.1, 0.0, tensor):
        for prox in (Pointwise(0, 0, 0, 0.8), Pointwise(0.1, 0.2)):
            own = u.clone(), 1.3 * u
            assert variation_slabs.fits(v, *own, weight, kind, prox)
            due = variation.variation_prox(v, u, 1.3 * u, 0.3, weight, 0.6, 4, kind, prox)
            found = variation_slabs.variation_slabs(v, *own, 0.3, weight, 0.6, 4, kind, prox)
            assert found[1] is own[0] and found[2] is own[1]
            for one, other in zip(found, due, strict=True):
                torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-13)


def test_what_is_left_to_whole_tensors() -> None:
    v, kind, none = noise((1, 1, 4, 5, 6), seed=1), variation.Kind("reflect", (0,), 0.0, (1.0,) * 3), Pointwise()
    u, r = torch.zeros(3, *v.shape, dtype=v.dtype), torch.zeros(3, *v.shape, dtype=v.dtype)
    assert variation_slabs.fits(v, u, r, 0.1, kind, none)
    learned = torch.tensor(0.1, requires_grad=True)
    for given in (
        (v.clone().requires_grad_(), u, r, 0.1, kind, none),
        (v, u, r, learned, kind, none),
        (v, u.requires_grad_(), r, 0.1, kind, none),
        (v, u.detach(), u.detach().float(), 0.1, kind, none),
        (v.half(), u.detach(), r, 0.1, kind, none),
        (v, r, r, 0.1, kind, none),
        (v, u.detach(), r, 0.1, kind._replace(boundary="circular"), none),
        (v, u.detach(), r, 0.1, kind, lambda a: a),
    ):
        assert not variation_slabs.fits(*given)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "prior",
    [priors.TV(0.05, spacing=(2, 1, 1)), priors.AnisotropicTV(0.05), priors.VectorTV(0.05), priors.Huber(0.05, 0.1)],
    ids=lambda prior: type(prior).__name__,
)
def test_solves_are_the_same(prior: Any, dtype: torch.dtype, monkeypatch: Any) -> None:
    monkeypatch.setattr(variation_slabs, "SLAB", 150)
    op, y = operators.Blur(noise((2, 3, 2), seed=4).abs() / 6, axes=3), noise((2, 2, 6, 5, 7), seed=5).to(dtype)
    given: dict[str, Any] = {"beta": 0.5, "tolerance": 0}
    prior = prior + priors.Box(-0.5, 0.5)
    found = fastip.admm(y, op, prior, iterations=12, **given)
    first = fastip.admm(y, op, prior, iterations=5, **given)
    kept = [t.clone() for t in first.prior_state]
    assert torch.equal(fastip.admm(y, op, prior, iterations=7, init=first, **given).x, found.x)
    assert all(torch.equal(one, other) for one, other in zip(first.prior_state, kept, strict=True))
    monkeypatch.setattr(variation_slabs, "fits", lambda *given: False)
    due = fastip.admm(y, op, prior, iterations=12, **given).x
    assert relative(found.x, due) < (1e-5 if dtype == torch.float32 else 1e-12)
