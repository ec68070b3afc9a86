"""The fields that priors keep from one call to the next, and what another weight makes of them."""

from __future__ import annotations

import pytest
import torch

from cases.priors import draw
from fastip import operators, priors
from fastip.errors import InvalidInput
from fastip.priors.prior import WithDualFields


def bound(prior: priors.Prior, v: torch.Tensor) -> WithDualFields:
    made = prior.bind(v, operators.Identity())
    assert isinstance(made, WithDualFields)
    return made


@pytest.mark.parametrize(("kind", "duals"), [(priors.TV, 2), (priors.VectorTV, 2), (priors.TGV, 2)])
def test_the_dual_ones_grow_with_the_weight(kind: type[priors.TV], duals: int) -> None:
    v = draw(2, 2, 6, 5)
    before, after = bound(kind(0.2), v), bound(kind(0.05), v)
    before(v, 0.7)
    after.resume(before.state())
    *kept, weight = after.state()
    assert float(weight) == pytest.approx(0.05) and len(kept) > 1
    for number, (now, was) in enumerate(zip(kept, before.state(), strict=False)):
        assert float(was.abs().max()) > 0
        torch.testing.assert_close(now, was / 4 if number < duals else was, rtol=1e-6, atol=0)


@pytest.mark.parametrize("kind", [priors.TV, priors.TGV])
def test_what_is_gone_on_with_is_a_copy(kind: type[priors.TV]) -> None:
    v = draw(1, 1, 6, 5)
    before, after = bound(kind(0.2), v), bound(kind(0.2), v)
    assert before.state() == ()
    with pytest.raises(InvalidInput, match=r"kept nothing"):
        after.resume(before.state())
    before(v, 0.7)
    after.resume(before.state())
    own = [field.clone() for field in after.fields()]
    for field in before.fields():
        field.zero_()
    assert all(torch.equal(now, then) for now, then in zip(after.fields(), own, strict=True))
