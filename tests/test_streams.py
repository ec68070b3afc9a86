"""Random numbers from a seed and a purpose."""

from __future__ import annotations

import pytest
import torch

from fastip.errors import InvalidInput
from fastip.streams import stream

FIRST = [-0.0938664, 1.2166095, 0.4500683]


def test_seed_and_purpose_decide() -> None:
    draws = {
        key: torch.randn(1000, generator=stream(*key))
        for key in ((0, "starts"), (1, "starts"), (0, "pairs"), (2**70, "starts"))
    }
    assert torch.equal(torch.randn(1000, generator=stream(0, "starts")), draws[0, "starts"])
    plain = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    together = torch.corrcoef(torch.stack([*draws.values(), plain]))
    assert (together - torch.eye(5)).abs().max() < 0.15
    assert draws[0, "starts"][:3].tolist() == pytest.approx(FIRST, abs=1e-5), (
        "the same on every machine and in every version"
    )


def test_bad_seeds_are_refused() -> None:
    for seed in (-1, 1.0, True, "0"):
        with pytest.raises(InvalidInput, match="seed is"):
            stream(seed, "starts")  # type: ignore[arg-type]
