"""The pictures of each task at a small size, and the sheets of random images.

The generator is linear where the answer is known.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import fastip
from cases.generators import Linear, Nearest, dcgan, encoder, pictures
from fastip import checkpoint, data, metrics, nets, operators, priors, tasks
from fastip.checkpoint import shipped
from fastip.errors import InvalidInput
from fastip.experiments import Outcome, published
from fastip.experiments.generative import lasso, npgd_pictures, npgd_samples, projector_tasks
from fastip.experiments.generative.npgd_pictures import BACK, CLASSICAL, DATA, KEPT, LEAST, METHODS, NPGD
from fastip.experiments.record import machine, place

LINEAR = Linear((1, 28, 28), latent=4)


@pytest.fixture(scope="module")
def shortened() -> Iterator[None]:
    """Small networks and pictures, and baselines that end early."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "Digits", lambda split: {"test": pictures(), "validation": pictures(seed=1)}[split])
        patch.setattr(shipped, "names", lambda kind: {"projectors": ["digits"]}[kind])
        patch.setattr(shipped, "projector", lambda name: priors.Projector(nets.Projector(dcgan(), encoder()).eval()))
        patch.setattr(shipped, "generator", lambda name: dcgan())
        patch.setattr(lasso, "ITERATIONS", 20)
        patch.setattr(projector_tasks, "TV_ITERATIONS", 30)
        yield


@pytest.fixture(scope="module")
def outcome(shortened: None) -> Outcome:
    return npgd_pictures.run(count=5, measurements=60, iterations=3, tuned=4, designed_from=80)


def test_the_tasks() -> None:
    grey, gaussian = LINEAR.sample(2), torch.rand(2, 3, 64, 64)
    jobs = projector_tasks.tasks(LINEAR, 0, 200)
    assert [tuple(job.op(grey).shape) for job in jobs] == [(2, 100), (2, 100), (2, 1, 28, 28), (2, 1, 14, 14)]
    rows = jobs[1].op.matrix  # type: ignore[attr-defined]
    torch.testing.assert_close(rows @ rows.T, torch.eye(100, dtype=rows.dtype), rtol=0, atol=1e-6)
    hidden = jobs[2].op(torch.ones(1, 1, 28, 28)) == 0
    assert int(hidden.sum()) == 64 and bool(hidden[0, 0, 10:18, 10:18].all())
    assert (
        bool((jobs[2].seen(jobs[2].op(grey))[..., 10:18, 10:18] == 0.5).all())
        and jobs[3].seen(jobs[3].op(grey)).shape == grey.shape
    )
    colour = projector_tasks.tasks(dcgan(size=64, colours=3, width=2), 30, 40)
    assert [tuple(job.op(gaussian).shape) for job in colour] == [
        (2, 30),
        (2, 30),
        (2, 3, 64, 64),
        (2, 3, 32, 32),
        (2, 3, 16, 16),
    ]
    assert int((colour[2].op(torch.ones(1, 1, 64, 64)) == 0).sum()) == 32**2
    with pytest.raises(InvalidInput, match="12 pixels a side"):
        projector_tasks.tasks(Linear(), 10, 20)


def test_the_classical_prior_is_the_best_that_was_tried(shortened: None) -> None:
    truth = pictures().batch(range(4))
    op = operators.Downsample(2)
    plain = projector_tasks.classical(op, truth)
    errors = {
        weight: float((projector_tasks.variation(op(truth), op, weight) - truth).square().mean())
        for weight in projector_tasks.TV_WEIGHTS
    }
    best = min(errors, key=errors.__getitem__)
    assert plain.words == f"TV, weight {best:g}"
    torch.testing.assert_close(plain.restore(op(truth)), projector_tasks.variation(op(truth), op, best))
    assert projector_tasks.classical(operators.GaussianMeasurements(200, (1, 28, 28)), truth).words.startswith("Lasso")


def test_an_image_of_the_range_is_found_and_the_data_are_put_back() -> None:
    """With the exact projector NPGD finds it.

    With one that strays only its own data are wrong, until they are put back.
    """
    truth = LINEAR.sample(3, seed=5)
    task = projector_tasks.Task("", operators.GaussianMeasurements(300, (1, 28, 28), seed=1), lambda y: y)
    plain = projector_tasks.Classical("", task.op.adjoint)
    found = npgd_pictures.restore(task, truth, priors.Projector(Nearest(LINEAR)), plain, 60)
    assert (
        set(found) == {DATA, *METHODS}
        and torch.equal(found[CLASSICAL], task.op.adjoint(task.op(truth)))
        and found[DATA].shape == (3, 300)
    )
    torch.testing.assert_close(found[NPGD], truth, rtol=0, atol=1e-3)
    matrix = task.op.matrix  # type: ignore[attr-defined]
    least = task.op(truth) @ torch.linalg.pinv(matrix).T
    torch.testing.assert_close(found[LEAST].flatten(1), least, rtol=0, atol=1e-3)
    strays = npgd_pictures.restore(task, truth, priors.Projector(Nearest(LINEAR, 0.5, truth)), plain, 20)
    wrong, right = ((task.op(strays[name]) - task.op(truth)).norm() for name in (NPGD, KEPT))
    assert wrong > 0.1 and right < 1e-3 * wrong


def test_scores_by_hand() -> None:
    truth = torch.full((2, 1, 4, 4), 0.5)
    offsets = {LEAST: (0.1, 0.1), CLASSICAL: (0.2, 0.2), NPGD: (0.1, 0.01), BACK: (0.01, 0.01), KEPT: (0.1, 0.1)}
    images = {name: truth + torch.tensor(values).reshape(2, 1, 1, 1) for name, values in offsets.items()}
    one = npgd_pictures.scores(images, truth)
    assert one["psnr"][NPGD] == pytest.approx(30, abs=1e-3) and one["psnr"][LEAST] == pytest.approx(20, abs=1e-3)
    assert one["apart"]["steps"] == [pytest.approx(10, abs=1e-3), pytest.approx(1.96 * 10, rel=1e-3)]
    assert one["better"] == [NPGD, LEAST] and one["apart"]["plain"][0] == pytest.approx(10, abs=1e-3)
    high = npgd_pictures.scores({name: image + 9 for name, image in images.items()}, truth)
    assert high["psnr"][NPGD] == pytest.approx(6.0206, abs=1e-3), "clipped to [0, 1] first"


def test_the_numbers_of_every_task(outcome: Outcome) -> None:
    jobs = outcome.numbers["found"]["digits"]["tasks"]
    assert len(jobs) == 4 and all(set(job["psnr"]) == set(METHODS) for job in jobs.values())
    truth = pictures().batch(range(5))
    net = nets.Projector(dcgan(), encoder()).eval()
    assert outcome.numbers["found"]["digits"]["projected"] == pytest.approx(
        float(metrics.psnr(net(truth), truth).mean()), rel=1e-5
    )
    hole = jobs["inpainting, 8 × 8 hidden"]
    masked = projector_tasks.hole(28, 8).op(truth)
    assert hole["psnr"][LEAST] == pytest.approx(float(metrics.psnr(masked, truth).mean()), abs=1e-2)
    assert hole["psnr"][KEPT] > hole["psnr"][NPGD]


def test_a_projector_of_a_file(shortened: None, outcome: Outcome, tmp_path: Path) -> None:
    """It takes the place of the shipped one; the same network gives the same numbers."""
    about = {"pictures": "digits", "count": 5, "measurements": 60, "iterations": 3, "tuned": 4, "designed_from": 80}
    path = tmp_path / "own.safetensors"
    checkpoint.save_projector(path, priors.Projector(nets.Projector(dcgan(), encoder()).eval()))
    same = npgd_pictures.run(checkpoint=str(path), **about)
    assert same.numbers["found"] == outcome.numbers[
        "found"
    ] and "the projector of own.safetensors (DCGANGenerator)" in npgd_pictures.page(same.numbers)
    assert "with the shipped projector" in npgd_pictures.page(outcome.numbers)
    checkpoint.save_projector(path, priors.Projector(nets.Projector(dcgan(seed=8), encoder(seed=8)).eval()))
    assert npgd_pictures.run(checkpoint=str(path), **about).numbers["found"] != outcome.numbers["found"]
    with pytest.raises(InvalidInput, match="expected the set that it was trained on"):
        npgd_pictures.run(checkpoint=str(path))
    checkpoint.save_projector(
        path,
        priors.Projector(
            nets.Projector(dcgan(size=64, colours=3, width=2), encoder(size=64, colours=3, width=2)).eval()
        ),
    )
    with pytest.raises(InvalidInput, match=r"for images \(3, 64, 64\), those of digits are \(1, 28, 28\)"):
        npgd_pictures.run(checkpoint=str(path), **about)


def test_the_tasks_of_random_measurements_are_published(
    shortened: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside what another experiment wrote, which stays; the same experiment again replaces its own."""
    path = tmp_path / "quality.json"
    published.publish(
        str(path), "tasks", {}, {"photo-sr4": published.summary("bicubic", 20.123456, 30.0, 0.9, "2 photographs")}
    )
    about = {"pictures": "digits", "tuned": 2, "designed_from": 110, "quality": str(path)}
    for count in (4, 5):
        found = npgd_pictures.run(count=count, **about).numbers["found"]["digits"]["tasks"][
            "Gaussian measurements, m = 100"
        ]
    record = tasks.quality(path)
    assert set(record.tasks) == {"photo-sr4", "digits-cs100"} and record.tasks["photo-sr4"].baseline_psnr == 20.12
    one = record.tasks["digits-cs100"]
    assert one.psnr == pytest.approx(found["psnr"][NPGD], rel=1e-3) and one.baseline_psnr == pytest.approx(
        found["psnr"][CLASSICAL], rel=1e-3
    )
    assert one.baseline == found["classical"] and one.pictures == "5 pictures"
    truth, op = pictures().batch(range(5)), operators.GaussianMeasurements(100, (1, 28, 28))
    x = fastip.npgd(op(truth), op, shipped.projector("digits")).x
    assert one.ssim == pytest.approx(float(metrics.ssim(x, truth).mean()), rel=1e-3)
    assert record.commands[1] == "fastip experiment tasks --set quality=quality.json" and record.machines == [
        place(machine() | {"load": None})
    ]
    assert one.command == (
        "fastip experiment npgd_pictures --set pictures=digits --set count=5 --set tuned=2 "
        "--set designed_from=110 --set quality=quality.json"
    )
    for wrong in ({"checkpoint": "p.safetensors"}, {"seed": 1}, {"iterations": 2}):
        with pytest.raises(InvalidInput, match="quality is of the tasks as they come"):
            npgd_pictures.run(count=4, **about, **wrong)
    path.write_text("{}")
    with pytest.raises(InvalidInput, match="no record of quality"):
        npgd_pictures.run(count=4, **about)


def test_the_page_follows_the_numbers(outcome: Outcome) -> None:
    numbers = copy.deepcopy(dict(outcome.numbers))
    for (title, job), mean in zip(numbers["found"]["digits"]["tasks"].items(), (3.0, -3.0, 0.5, 0.5), strict=True):
        job["apart"] = {"steps": [mean, 1.0], "plain": [-mean, 1.0]}
        assert f"{job['psnr'][NPGD]:.2f} ±" in npgd_pictures.page(numbers) and title in npgd_pictures.page(numbers)
    page = npgd_pictures.page(numbers)
    assert (
        "The step A⁺ is better than the default for digits, Gaussian measurements, m = 60 (by 3.00 ± 1.00 dB)." in page
    )
    assert "The default step is better than A⁺ for digits, designed measurements, m = 60 (by 3.00 ± 1.00 dB)." in page
    assert (
        "The two steps are not told apart (A⁺ less the default) for digits, inpainting" in page
        and "(+0.50 ± 1.00 dB)" in page
    )
    assert (
        "is below the better of A⁺y and the classical prior for digits, Gaussian" in page and "Drawn heads" not in page
    )


def test_random_images(shortened: None) -> None:
    outcome = npgd_samples.run(count=20)
    one = outcome.numbers["found"]["digits"]
    real, others = pictures().batch(range(20)), pictures(seed=1).batch(range(20))
    with torch.no_grad():
        made = dcgan().sample(20, seed=0)
    assert one["made"] == pytest.approx(metrics.frechet_distance(made, real), rel=1e-4)
    assert one["others"] == pytest.approx(metrics.frechet_distance(others, real), rel=1e-6)
    assert one["mean"] == pytest.approx(
        float((real - real.mean(0)).flatten(1).double().square().sum() / 19), rel=1e-3
    ), "all variance is missing"
    page = npgd_samples.page(
        {"settings": outcome.numbers["settings"], "found": {"avatars": one | {"made": 3.0, "others": 1.0, "mean": 9.0}}}
    )
    assert "| 75 % |" in page and "wear hair and hats" in page


def test_random_images_of_a_generator_of_ones_own(shortened: None, tmp_path: Path) -> None:
    """It takes the place of the shipped one; the same network gives the same numbers."""
    path, about = tmp_path / "own.safetensors", {"pictures": "digits", "count": 20}
    shipped_one = npgd_samples.run(**about).numbers
    checkpoint.save_generator(path, dcgan())
    same = npgd_samples.run(checkpoint=str(path), **about).numbers
    assert same["found"] == shipped_one["found"]
    assert "the generator of own.safetensors (DCGANGenerator)" in npgd_samples.page(
        same
    ) and "the shipped generators" in npgd_samples.page(shipped_one)
    checkpoint.save_generator(path, dcgan(seed=8))
    assert (
        npgd_samples.run(checkpoint=str(path), **about).numbers["found"]["digits"]["made"]
        != shipped_one["found"]["digits"]["made"]
    )
    with pytest.raises(InvalidInput, match="expected the set that it was trained on"):
        npgd_samples.run(checkpoint=str(path))
    checkpoint.save_generator(path, dcgan(size=64, colours=3, width=2))
    with pytest.raises(InvalidInput, match=r"makes images \(3, 64, 64\), those of digits are \(1, 28, 28\)"):
        npgd_samples.run(checkpoint=str(path), **about)
