"""The one network and CSGM with a VAE beside NPGD.

Each image by hand from the networks that were kept, trainings that go on, and the page.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import fastip
from cases.generators import Linear, Nearest, dcgan, encoder, pictures
from fastip import checkpoint, data, metrics, nets, operators, priors
from fastip.checkpoint import shipped
from fastip.errors import InvalidInput
from fastip.experiments import Outcome
from fastip.experiments.generative import npgd_others
from fastip.experiments.generative.compressed_sensing import Search, errors, tuned
from fastip.experiments.generative.npgd_others import BETAS, GAN, METHODS, NPGD, ONE, VAE
from fastip.experiments.generative.projector_tasks import Task

SMALL = {
    "count": 3,
    "tuned_on": 2,
    "one_net_steps": 2,
    "one_net_width": 1,
    "vae_steps": 3,
    "hidden": 8,
    "iterations": 3,
    "steps": 4,
    "restarts": 2,
}


@pytest.fixture(scope="module")
def shortened() -> Iterator[None]:
    """Small networks and pictures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "Digits", lambda split: pictures(200, seed=["test", "validation", "train"].index(split)))
        patch.setattr(shipped, "projector", lambda name: priors.Projector(nets.Projector(dcgan(), encoder()).eval()))
        yield


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("others") / "new" / "folder"


@pytest.fixture(scope="module")
def told() -> list[tuple[str, int, int]]:
    return []


@pytest.fixture(scope="module")
def outcome(shortened: None, kept: Path, told: list[tuple[str, int, int]]) -> Outcome:
    return npgd_others.run(lambda *one: told.append(one), kept=str(kept), **SMALL)


def jobs() -> list[Task]:
    return npgd_others._tasks((1, 28, 28), 28, 0)


def same(found: dict[str, Any], images: torch.Tensor) -> None:
    """The numbers are those of these images."""
    truth = pictures(200).batch(range(3))
    error = errors(images, truth)
    assert found["psnr"][0] == pytest.approx(float(metrics.psnr(images.clamp(0, 1), truth).mean()), rel=1e-4)
    assert found["error"] == pytest.approx(float(error.mean()), rel=1e-3) and found["median"] == pytest.approx(
        float(error.median()), rel=1e-3
    )


def test_every_method_on_every_task(outcome: Outcome) -> None:
    found = outcome.numbers["found"]
    assert list(found) == [
        "Gaussian measurements, m = 20",
        "Gaussian measurements, m = 100",
        "inpainting, 8 × 8 hidden",
        "super-resolution × 2",
    ]
    assert all(tuple(job) == METHODS for job in found.values())
    assert all(one["seconds"] > 0 for job in found.values() for one in job.values())


def test_npgd_has_the_shipped_projector(outcome: Outcome) -> None:
    truth = pictures(200).batch(range(3))
    for task in jobs():
        same(
            outcome.numbers["found"][task.title][NPGD],
            fastip.npgd(task.op(truth), task.op, shipped.projector("digits")).x,
        )


def solved(prior: priors.Projector, x: torch.Tensor, op: operators.Operator, beta: float) -> torch.Tensor:
    with torch.no_grad():
        return fastip.admm(op(x), op, prior, beta=beta, iterations=3, tolerance=0).x


def test_the_one_network_is_the_prior_of_admm(outcome: Outcome, kept: Path) -> None:
    prior = checkpoint.load_projector(kept / "one_net.safetensors")
    assert isinstance(prior.net, nets.OneNetProjector) and prior.net.width == 1
    for task in jobs():
        found = outcome.numbers["found"][task.title][ONE]
        beta = float(found["setting"].removeprefix("β = "))
        assert beta in BETAS
        same(found, solved(prior, pictures(200).batch(range(3)), task.op, beta))


def test_beta_is_that_of_least_error_on_other_pictures() -> None:
    """With a projector of which the answer depends on beta."""
    prior, truth, others = (
        priors.Projector(Nearest(Linear((1, 28, 28)))),
        pictures().batch(range(3)),
        pictures(seed=1).batch(range(2)),
    )
    chosen = set()
    for task in jobs():
        wrong = {beta: float(errors(solved(prior, others, task.op, beta), others).mean()) for beta in BETAS}
        best = min(wrong, key=wrong.__getitem__)
        assert max(wrong.values()) > 1.0001 * min(wrong.values())
        one = npgd_others._one_network(prior, task.op(truth), task.op, task.op(others), others, 3)
        assert one.setting == f"β = {best:g}" and torch.equal(one.images, solved(prior, truth, task.op, best))
        chosen.add(best)
    assert chosen != {BETAS[0]}


@pytest.mark.parametrize("name", [VAE, GAN])
def test_the_searches_have_the_best_weight(name: str, outcome: Outcome, kept: Path) -> None:
    generator = checkpoint.load_generator(kept / "vae.safetensors") if name == VAE else dcgan()
    assert isinstance(generator, nets.VAEDecoder if name == VAE else nets.DCGANGenerator)
    truth, others = pictures(200).batch(range(3)), pictures(200, seed=1).batch(range(2))
    for task in jobs():
        best = tuned(Search(4, 2), task.op(others), task.op, generator, others, lambda what: None)
        assert outcome.numbers["found"][task.title][name]["setting"] == f"weight {best.weight:g}"
        same(outcome.numbers["found"][task.title][name], best.solve(task.op(truth), task.op, generator).x)


def test_a_kept_training_is_not_run_again(outcome: Outcome, kept: Path, told: list[tuple[str, int, int]]) -> None:
    """The same numbers but for times, from the same files."""
    assert [(what.split(":")[0], done, total) for what, done, total in told if "training" in what] == [
        *((f"training the {ONE}", step, 2) for step in (1, 2)),
        *(("training the VAE", step, 3) for step in (1, 2, 3)),
    ]
    before, again = [(kept / f"{name}.safetensors").stat().st_mtime_ns for name in ("one_net", "vae")], []
    second = npgd_others.run(lambda *one: again.append(one), kept=str(kept), **SMALL)
    assert not any("training" in what for what, _, _ in again)
    assert [(kept / f"{name}.safetensors").stat().st_mtime_ns for name in ("one_net", "vae")] == before
    assert second.numbers["training"] == outcome.numbers["training"]
    for title, job in outcome.numbers["found"].items():
        for name, one in job.items():
            assert {**second.numbers["found"][title][name], "seconds": 0} == {**one, "seconds": 0}
    with pytest.raises(InvalidInput, match="settings"):
        npgd_others.run(kept=str(kept), **SMALL | {"seed": 1})


def test_sets_without_a_colour_alone() -> None:
    with pytest.raises(InvalidInput, match="'avatars'; expected one of digits, fashion"):
        npgd_others.run(pictures="avatars")


@pytest.mark.parametrize("name", ["count", "tuned_on", "vae_steps", "hidden", "iterations", "steps", "restarts"])
def test_what_comes_after_the_training_is_checked_before_it(
    name: str, shortened: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(npgd_others, "_one_net", lambda *about: pytest.fail("it trains"))
    with pytest.raises(InvalidInput, match=f"^{name} is 0"):
        npgd_others.run(**SMALL | {name: 0})


def test_the_page_follows_the_numbers(outcome: Outcome) -> None:
    numbers = copy.deepcopy(dict(outcome.numbers))
    for k, job in enumerate(numbers["found"].values()):
        for name in METHODS:
            job[name] |= {
                "error": 0.05 if name == (NPGD, ONE, VAE, GAN)[k] else 0.1,
                "seconds": 1.5 if name == NPGD else 6.0,
            }
    page = npgd_others.page(numbers)
    assert (
        "m = 20: NPGD; for Gaussian measurements, m = 100: one network in ADMM, "
        "in 4 times the time of NPGD; for inpainting" in page
    )
    assert "; for inpainting, 8 × 8 hidden: CSGM, VAE, in 4 times" in page
    numbers["found"]["super-resolution × 2"][VAE] |= {
        "psnr": [12.341, 0.678],
        "error": 0.0912,
        "median": 0.0834,
        "seconds": 1.5,
    }
    numbers["training"][ONE] = {"steps": 7, "seconds": 123.0, "weights": 1_680_000}
    page = npgd_others.page(numbers)
    assert "| super-resolution × 2 | CSGM, VAE | 12.34 ± 0.68 | 0.0912 | 0.0834 | 1.5 | weight" in page
    numbers["settings"] |= {"betas": [0.5, 2], "weights": [1e-5, 0.25]}
    page = npgd_others.page(numbers)
    assert "one network in ADMM: 1.68 million weights, 7 steps in 123 s" in page
    assert "its β the best of 0.5, 2 on 2 validation" in page and "likewise of 1e-05, 0.25." in page
