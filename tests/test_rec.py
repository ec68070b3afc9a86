"""Restricted eigenvalues of a linear generator against the exact ones, and what is refused."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from cases.generators import Linear, dcgan, restricted
from fastip import operators, rec
from fastip.errors import InvalidInput, UnknownKeyword
from fastip.streams import stream


@pytest.mark.parametrize("measurements", [12, 100])
def test_a_linear_generator(measurements: int) -> None:
    generator, op = Linear(latent=4), operators.GaussianMeasurements(measurements, (1, 12, 12), seed=1)
    alpha, beta = restricted(op, generator)
    found = rec.extremes(op, generator, restarts=6, iterations=300)
    assert alpha * (1 - 1e-9) <= found.low <= alpha * 1.001 and beta * 0.999 <= found.high <= beta * (1 + 1e-9)
    assert found.ratio == pytest.approx(beta / alpha, rel=2e-3)
    values = rec.sampled(op, generator, pairs=600)
    assert values.shape == (600,) and (values.diff() >= 0).all() and alpha <= values[0] and values[-1] <= beta
    spread = (values.mean() - alpha) / (beta - alpha)
    assert 0.1 < spread < 0.9 and values[0] < alpha + 0.2 * (beta - alpha) and values[-1] > beta - 0.3 * (beta - alpha)


def test_the_pairs_that_are_found() -> None:
    """Their quotients, by the definition in float64, are the extremes; with another operator they are its own."""
    generator, op, other = (
        dcgan(),
        operators.GaussianMeasurements(20, (1, 28, 28)),
        operators.GaussianMeasurements(7, (1, 28, 28), seed=4),
    )
    found = rec.extremes(op, generator, restarts=3, iterations=15)
    assert found.pairs.shape == (2, 2, generator.latent)
    exact = copy.deepcopy(generator).double()
    for a in (op, other):
        with torch.no_grad():
            s = [exact(one[None].double()) - exact(two[None].double()) for one, two in found.pairs]
        expected = torch.stack([a(one).square().sum() / one.square().sum() for one in s])
        torch.testing.assert_close(rec.stretch(a, generator, found.pairs), expected, rtol=1e-10, atol=0)
    assert [found.low, found.high] == rec.stretch(op, generator, found.pairs).tolist()
    assert next(generator.parameters()).dtype == torch.float32, "the network is left alone"
    for wrong in (found.pairs[0], found.pairs[..., 1:], None):
        with pytest.raises(InvalidInput, match="of latent vectors"):
            rec.stretch(op, generator, wrong)  # type: ignore[arg-type]


def test_the_furthest_of_all_starts_counts() -> None:
    """After one look, before any step, the extremes are those of the starts."""
    generator, op = dcgan(), operators.GaussianMeasurements(20, (1, 28, 28))
    found = rec.extremes(op, generator, restarts=8, iterations=1, seed=3)
    z = torch.randn(2, 8, generator.latent, generator=stream(3, "pairs"))
    z[1, :4] = z[0, :4] + 0.1 * z[1, :4]
    values = rec.stretch(op, generator, z.transpose(0, 1))
    assert [found.low, found.high] == pytest.approx([float(values.min()), float(values.max())], rel=1e-9)


def test_samples_are_the_quotients_of_random_pairs() -> None:
    """In the mean they are what the average of the matrix over all directions says.

    The same for a seed, whatever the batches.
    """
    generator, op = Linear(latent=2), operators.GaussianMeasurements(30, (1, 12, 12), seed=1)
    values = rec.sampled(op, generator, pairs=1000, seed=3)
    z = torch.randn(2, 20_000, 2, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
    s = generator(z[0]) - generator(z[1])
    expected = (op(s).square().sum(1) / s.flatten(1).square().sum(1)).mean()
    assert abs(values.mean() - expected) < 5 * values.std() / 1000**0.5
    assert torch.equal(rec.sampled(op, generator, pairs=1000, seed=3), values) and not torch.equal(
        rec.sampled(op, generator, pairs=1000, seed=4), values
    )
    few = rec.sampled(op, generator, pairs=250, seed=3)
    assert torch.isin(few, values).all()


def test_a_scaled_operator_scales_them() -> None:
    """Also far from 1, where a tracker that begins at 1 would fail."""
    generator, op = dcgan(), operators.GaussianMeasurements(20, (1, 28, 28))
    one, ten = (rec.extremes(scale * op, generator, restarts=4, iterations=20) for scale in (1.0, 10.0))
    assert (
        ten.low == pytest.approx(100 * one.low, rel=1e-3)
        and ten.high == pytest.approx(100 * one.high, rel=1e-3)
        and one.low < one.high
    )
    values = rec.sampled(op, generator, pairs=300)
    assert one.low < values[0] and values[-1] < one.high, "the extremes lie beyond what a sample shows"


def test_what_the_operator_does_not_see() -> None:
    """A direction of the range that is lost: alpha is 0, the ratio infinite, and nothing is NaN."""

    class Two(Linear):
        def draw(self, z: Tensor) -> Tensor:
            return torch.cat([z, torch.zeros_like(z)], dim=1).reshape(-1, 1, 2, 2)

    generator = Two(latent=2)
    generator.shape = (1, 2, 2)
    op = operators.Mask(torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
    found = rec.extremes(op, generator, restarts=4, iterations=400)
    assert found.low < 1e-4 and found.high == pytest.approx(1, abs=1e-6) and found.ratio > 1e4
    hidden = operators.Mask(torch.tensor([[0.0, 0.0], [1.0, 0.0]]))
    nothing = rec.extremes(hidden, generator, restarts=2, iterations=3)
    assert nothing.low == nothing.high == 0 and nothing.ratio == float("inf")


def test_pairs_that_agree_do_not_count() -> None:
    class Same(Linear):
        def draw(self, z: Tensor) -> Tensor:
            return super().draw(0 * z) + 1

    with pytest.raises(InvalidInput, match="all images of the generator agree"):
        rec.extremes(operators.Identity(), Same(latent=2), restarts=2, iterations=2)


def test_complex_data() -> None:
    """Fourier samples of all frequencies: what a unitary transform keeps."""
    op, generator = operators.MaskedFourier(torch.ones(12, 12, dtype=torch.bool)), Linear()
    assert (rec.sampled(op, generator, pairs=20) - 1).abs().max() < 1e-9
    found = rec.extremes(op, generator, restarts=2, iterations=5)
    assert found.low == pytest.approx(1) == found.high


def test_extremes_need_gradients() -> None:
    with torch.inference_mode(), pytest.raises(InvalidInput, match="inference_mode"):
        rec.extremes(operators.Identity(), Linear())


def test_bad_inputs() -> None:
    op, generator = operators.Identity(), Linear()
    for function in (rec.sampled, rec.extremes):
        for wrong in (torch.clone, None, Linear, Linear().train()):
            with pytest.raises(InvalidInput, match=r"eval\(\)"):
                function(op, wrong)  # type: ignore[arg-type]
        with pytest.raises(InvalidInput, match="seed"):
            function(op, generator, seed=-1)
        with pytest.raises(InvalidInput, match="op is Tensor; expected an operator"):
            function(torch.eye(144), generator)  # type: ignore[arg-type]
        broken = Linear()
        broken.weight.data[0, 0] = float("nan")
        with pytest.raises(InvalidInput, match="NaN or Inf"):
            function(op, broken)
        with pytest.raises(UnknownKeyword):
            function(op, generator, sede=1)  # type: ignore[call-arg]
    with pytest.raises(InvalidInput, match="pairs"):
        rec.sampled(op, generator, pairs=0)
    for wrong in ({"restarts": 0}, {"iterations": 0}, {"learning_rate": 0.0}):
        with pytest.raises(InvalidInput, match="expected"):
            rec.extremes(op, generator, **wrong)  # type: ignore[arg-type]
