"""The order in which a training sees a set."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fastip.data import Batches, Pictures, Stored
from fastip.errors import InvalidInput


def numbered(count: int) -> Stored:
    return Stored(np.arange(count, dtype=np.uint8).reshape(-1, 1, 1, 1), np.arange(count))


class Endless(Pictures):
    endless = True

    def __len__(self):
        return 4

    def batch(self, indices):
        return torch.tensor([float(i) for i in indices]).reshape(-1, 1, 1, 1)


def numbers(batch: torch.Tensor) -> list[int]:
    return (batch.flatten() * 255).round().int().tolist()


@pytest.mark.parametrize(("size", "ranks"), [(1, 1), (4, 1), (3, 2), (7, 5)])
def test_an_epoch_is_a_permutation(size, ranks):
    batches = Batches(numbered(30), size, seed=2, ranks=ranks)
    seen = [n for step in range(30) for rank in range(ranks) for n in numbers(batches(step, rank))]
    for epoch in range(len(seen) // 30):
        assert sorted(seen[30 * epoch : 30 * epoch + 30]) == list(range(30))
    assert seen[:30] != list(range(30)) and (len(seen) < 60 or seen[:30] != seen[30:60])


def test_a_step_needs_no_history():
    batches = Batches(numbered(11), 4, seed=1)
    assert torch.equal(batches(1000), Batches(numbered(11), 4, seed=1)(1000)) and not torch.equal(
        batches(1000), Batches(numbered(11), 4, seed=2)(1000)
    )


def test_endless_sets_are_counted_through():
    batches = Batches(Endless(), 3, ranks=2)
    assert batches(5, 1).flatten().tolist() == [33.0, 34.0, 35.0] and batches(0).flatten().tolist() == [0.0, 1.0, 2.0]
    assert [float(x) for x in Endless()] == [0.0, 1.0, 2.0, 3.0] and float(Endless()[9]) == 9.0


def test_a_torch_loader_takes_them():
    loader = torch.utils.data.DataLoader(numbered(10), batch_size=4)
    assert [len(batch) for batch in loader] == [4, 4, 2] and numbers(torch.cat(list(loader))) == list(range(10))


def test_doors():
    with pytest.raises(InvalidInput, match="size"):
        Batches(numbered(3), 0)
    with pytest.raises(InvalidInput, match="seed"):
        Batches(numbered(3), 1, seed=-1)
    with pytest.raises(InvalidInput, match="no picture"):
        Batches(numbered(0), 1)
    with pytest.raises(InvalidInput, match="rank 2"):
        Batches(numbered(3), 1, ranks=2)(0, 2)
    with pytest.raises(IndexError):
        Endless()[-1]
