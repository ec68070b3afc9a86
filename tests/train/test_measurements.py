"""Designed measurements against the dense singular value decomposition of the secants, and what is refused."""

from __future__ import annotations

import pytest
import torch

from cases.generators import Linear, dcgan
from fastip import operators, rec
from fastip.errors import InvalidInput, UnknownKeyword
from fastip.train import measurements
from fastip.train.secants import Secants


def rows(generator, pairs, seed=0):
    return torch.cat(list(Secants(generator, pairs, seed))).double()


def test_secants_are_normalised_differences_and_the_same_at_every_pass():
    generator = dcgan()
    secants = Secants(generator, 600, 3)
    one, two = torch.cat(list(secants)), torch.cat(list(secants))
    assert torch.equal(one, two) and one.shape == (600, 784) and [len(s) for s in secants] == [250, 250, 100]
    torch.testing.assert_close(one.norm(dim=1), torch.ones(600))
    assert len({tuple(row) for row in (1e4 * one[:, :9]).round().tolist()}) == 600, "all are different"
    assert not torch.equal(torch.cat(list(Secants(generator, 600, 4))), one)
    basis = Linear(latent=3).basis
    linear = torch.cat(list(Secants(Linear(latent=3), 40, 0)))
    torch.testing.assert_close(linear @ basis @ basis.T, linear, rtol=0, atol=1e-12)


@pytest.mark.parametrize("count", [1, 7, 40])
def test_they_are_the_first_singular_vectors(count):
    generator = dcgan().double()
    op = measurements(generator, count, pairs=700, seed=2)
    assert isinstance(op, operators.Dense) and op.matrix.shape == (count, 784) and op.image_shape == (1, 28, 28)
    torch.testing.assert_close(op.matrix @ op.matrix.T, torch.eye(count, dtype=torch.float64), rtol=0, atol=1e-12)
    s = rows(generator, 700, seed=2)
    _, values, vectors = torch.linalg.svd(s, full_matrices=False)
    seen, best = (s @ op.matrix.T).square().sum(1).mean(), values[:count].square().sum() / 700
    assert best * (1 - 2e-3) < seen <= best * (1 + 1e-9)
    few = min(count, 3)
    torch.testing.assert_close(
        (op.matrix[:few] * vectors[:few]).sum(1).abs(), torch.ones(few, dtype=torch.float64), rtol=0, atol=1e-3
    )
    energies = (s @ op.matrix.T).square().mean(0)
    assert (energies.diff() <= 1e-9).all(), "the first row sees most"


def test_more_passes_are_nearer_to_it():
    generator = dcgan()
    s = rows(generator, 500)
    best = torch.linalg.svdvals(s)[:12].square().sum() / 500
    lost = [
        best - (s @ measurements(generator, 12, pairs=500, passes=passes).matrix.T).square().sum(1).mean()
        for passes in (1, 2, 6)
    ]
    assert lost[0] > lost[1] > lost[2] > -1e-6 and lost[2] < 1e-3 * best


def test_all_of_a_linear_range_is_seen():
    generator = Linear(latent=4)
    op = measurements(generator, 4, pairs=100)
    x = generator.sample(5, seed=1) - generator.sample(5, seed=2)
    torch.testing.assert_close(op.adjoint(op(x)), x, rtol=0, atol=1e-9)
    found = rec.extremes(op, generator, restarts=2, iterations=20)
    assert found.low == pytest.approx(1, abs=1e-9) == found.high


def test_they_see_more_than_random_ones():
    generator = dcgan()
    designed = measurements(generator, 8, pairs=400)
    random = torch.linalg.qr(torch.randn(784, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)).Q.T
    s = rows(generator, 400, seed=9)  # others than those of the design
    means = [(s @ a.T).square().sum(1).mean() for a in (designed.matrix, random)]
    assert means[0] > 10 * means[1]


def test_the_seed_decides():
    generator = dcgan()
    one, two, other = (measurements(generator, 3, pairs=300, passes=1, seed=seed) for seed in (1, 1, 2))
    assert one.fingerprint() == two.fingerprint() != other.fingerprint()


def test_bad_inputs():
    generator = dcgan()
    for wrong in (torch.clone, None, dcgan().train(), torch.nn.Linear(2, 2)):
        with pytest.raises(InvalidInput, match=r"eval\(\)"):
            measurements(wrong, 3)
    for wrong in (
        {"count": 0},
        {"count": 1.5},
        {"count": 3, "pairs": 0},
        {"count": 3, "passes": 0},
        {"count": 3, "seed": -1},
    ):
        with pytest.raises(InvalidInput, match="whole number"):
            measurements(generator, **wrong)
    for count, pairs in ((785, 1000), (11, 10)):
        with pytest.raises(InvalidInput, match="at most"):
            measurements(generator, count, pairs=pairs)
    for scale in (0.0, float("nan")):
        collapsed = Linear(latent=4)
        collapsed.weight.mul_(scale)
        with pytest.raises(InvalidInput, match="NaN, or all the same"):
            measurements(collapsed, 3, pairs=30)
    with pytest.raises(UnknownKeyword, match="did you mean 'pairs'"):
        measurements(generator, 3, pair=9)
