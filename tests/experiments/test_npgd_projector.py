"""The experiment on the projector by itself with small networks.

Its measures are tried with a linear range, where the nearest image is known.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from cases.generators import Linear, Nearest, dcgan, encoder, pictures
from fastip import data, nets, priors
from fastip.checkpoint import shipped
from fastip.experiments import Outcome
from fastip.experiments.generative import npgd_projector
from fastip.experiments.generative.npgd_projector import MADE, REAL

LINEAR = Linear()
NOISES = (0.0, 0.2, 0.7)


@pytest.fixture(scope="module")
def outcome() -> Iterator[Outcome]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "Digits", lambda split: {"test": pictures()}[split])
        patch.setattr(shipped, "projector", lambda name: priors.Projector(nets.Projector(dcgan(), encoder()).eval()))
        yield npgd_projector.run(count=12, noises=NOISES, compared=3, steps=15, restarts=2, drawn=0.25)


def test_descent_finds_the_nearest_image() -> None:
    w = LINEAR.sample(3, seed=1) + 0.3 * torch.randn(
        3, 1, 12, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    best = npgd_projector.nearest(w, LINEAR, steps=300, restarts=2)
    torch.testing.assert_close(best, Nearest(LINEAR)(w), rtol=0, atol=1e-3)


def test_a_second_pass_is_one_of_the_first_result() -> None:
    prior = priors.Projector(nets.Projector(dcgan(), encoder()).eval())
    w = torch.rand(5, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    once = npgd_projector.Projected.of(prior, w)
    torch.testing.assert_close(once.image, prior.net(w))
    torch.testing.assert_close(once.again, prior.net(prior.net(w)))
    exact = npgd_projector.Projected.of(
        priors.Projector(Nearest(LINEAR)), torch.rand(2, 1, 12, 12, dtype=torch.float64)
    )
    torch.testing.assert_close(exact.again, exact.image)


def test_the_measures_by_hand() -> None:
    """Images of one value each: every mean is a square.

    The excess is counted from the nearest of P, descent and, in the second set, the truth.
    """
    image, again, w, truth, best = (
        torch.tensor(values).reshape(2, 1, 1, 1)
        for values in ([3.0, 5.0], [4.0, 7.0], [0.0, 1.0], [1.0, 1.0], [2.0, 9.0])
    )
    one = npgd_projector.measured(npgd_projector.Projected(image, again), w, truth, best, known=False)
    assert (
        one["error"] == (4 + 16) / 2
        and one["again"] == (1 + 4) / 2
        and one["few_error"] == 10
        and one["best_error"] == (1 + 64) / 2
    )
    assert (
        one["few_distance"] == (9 + 16) / 2
        and one["best_distance"] == (4 + 64) / 2
        and one["excess"] == (9 - 4 + 0) / 2
    )
    assert one["bar"] == pytest.approx(1.96 * (72**0.5) / 2**0.5)
    assert (
        npgd_projector.measured(npgd_projector.Projected(image, again), w, truth, best, known=True)["excess"]
        == (9 - 1 + 16 - 0) / 2
    )
    few = npgd_projector.measured(npgd_projector.Projected(image, again), w, truth, best[:1], known=False)
    assert few["error"] == 10 and few["few_error"] == 4 and few["best_error"] == 1


def test_noise_moves_what_is_projected_and_nothing_is_random(outcome: Outcome) -> None:
    found = outcome.numbers["found"]
    assert [[row["noise"] for row in rows] for rows in found.values()] == [list(NOISES)] * 2
    prior = nets.Projector(dcgan(), encoder()).eval()
    truth = pictures().batch(range(12))
    assert found[REAL][0]["error"] == pytest.approx(float((prior(truth) - truth).square().mean()), rel=1e-5)
    with torch.no_grad():
        made = dcgan().sample(12, seed=1)
        assert found[MADE][0]["error"] == pytest.approx(float((prior(made) - made).square().mean()), rel=1e-5)
    assert found[MADE][0]["excess"] == pytest.approx(found[MADE][0]["few_distance"]), (
        "the generator made them, so the nearest is the truth"
    )
    assert found[REAL][2]["few_distance"] > 0.3**2 + found[REAL][0]["few_distance"] / 2, "the noise is in w"


def test_the_page_tells_the_numbers(outcome: Outcome) -> None:
    page = npgd_projector.page(outcome.numbers)
    row = outcome.numbers["found"][REAL][1]
    assert (
        f"| 0.2 | {row['error']:.3g} ± {row['bar']:.2g} |" in page
        and f"| {row['excess']:.3g} |" in page
        and "first 3" in page
    )
    assert outcome.numbers["settings"]["drawn"] == 0.2
    rows = [{"noise": noise, "error": 2.0, "again": 0.5, "few_error": noise, "best_error": 0.5} for noise in (0.0, 1.0)]
    assert "nearer to the truth than D does, in the mean, at σ = 0." in npgd_projector._words({REAL: rows})
    assert "at most 0.5 times its distance" in npgd_projector._words({REAL: rows})
