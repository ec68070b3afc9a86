"""The record of the tasks at a small size.

Every task that is shipped, each boundary, and the file that ``fastip tasks`` reads.
"""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from fastip import data
from fastip import tasks as registry
from fastip.errors import InvalidInput
from fastip.experiments import tasks
from fastip.experiments.inner_loop import photo_tasks, small_tasks
from fastip.experiments.record import plain

pytest.importorskip("skimage")
SETTINGS = {"photos": ("chelsea", "coffee"), "others": ("ihc",), "size": 64, "digits": 10, "large": 64, "repeats": 1}


class Drawn:
    """The 8 x 8 digits of scikit-learn as MNIST has them: 20 x 20 in a frame of 4."""

    def __init__(self, split):
        assert split == "test"
        # importing scikit-learn brings another OpenMP
        table = Path(importlib.util.find_spec("sklearn").origin).parent / "datasets" / "data" / "digits.csv.gz"
        small = torch.tensor(np.loadtxt(table, delimiter=",", max_rows=20)[:, :64] / 16, dtype=torch.float32).view(
            -1, 1, 8, 8
        )
        self.images = torch.nn.functional.pad(
            torch.nn.functional.interpolate(small, size=20, mode="bicubic").clamp(0, 1), (4, 4, 4, 4)
        )

    def batch(self, indices):
        return self.images[list(indices)]


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    return tmp_path_factory.mktemp("record") / "quality.json"


@pytest.fixture(scope="module")
def outcome(published):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "Digits", Drawn)
        return tasks.run(**SETTINGS, quality=str(published))


def test_every_learned_task_is_measured(outcome):
    numbers = outcome.numbers
    measured = {*numbers["photographs"], small_tasks.DIGITS, small_tasks.COLOUR}
    assert measured == {name for name in registry.names() if isinstance(registry.get(name), registry.LearnedTask)}
    for name, entry in numbers["photographs"].items():
        assert set(entry["boundaries"]) == {"circular", "reflect", "valid"} and entry["baseline"] == (
            "bicubic" if "sr4" in name else "best Wiener"
        )
        for methods in entry["boundaries"].values():
            assert list(methods) == [entry["baseline"], photo_tasks.VARIATION, photo_tasks.LEARNED]
            assert all(len(values) == 2 for found in methods.values() for values in found.values())


def test_networks_beat_their_baselines(outcome):
    for name, entry in outcome.numbers["photographs"].items():
        methods = entry["boundaries"]["circular"]
        ours, simple = (np.mean(methods[method]["psnr"]) for method in (photo_tasks.LEARNED, entry["baseline"]))
        assert ours > simple + 0.3, name
    digits, colour = outcome.numbers["digits"], outcome.numbers["colour"]
    assert digits[small_tasks.LEARNED]["nmse"] < 0.85 * min(
        digits[small_tasks.BICUBIC]["nmse"], digits[small_tasks.ADJOINT]["nmse"]
    )
    assert colour[small_tasks.LEARNED]["psnr"] > max(
        colour[small_tasks.GREY]["psnr"], colour[small_tasks.CHROMA]["psnr"]
    )


def test_time_is_that_of_the_whole_batch():
    found = photo_tasks.timed("photo-sr4-wide", 64, 1, torch.device("cpu"), batch=3)
    assert found["images per second"] == pytest.approx(3 / found["seconds"][photo_tasks.LEARNED])


def test_the_record_is_what_the_registry_reads(outcome, published):
    record = registry.quality(published)
    assert set(record.tasks) == {
        name for name in registry.names() if isinstance(registry.get(name), registry.LearnedTask)
    }
    told = json.loads(published.read_text())
    for name, entry in outcome.numbers["photographs"].items():
        ours = entry["boundaries"]["circular"][photo_tasks.LEARNED]
        assert record.tasks[name].psnr == pytest.approx(np.mean(ours["psnr"]), abs=6e-3)
        assert record.tasks[name].ssim == pytest.approx(np.mean(ours["ssim"]), abs=6e-5)
        assert (
            record.tasks[name].baseline == entry["baseline"]
            and record.tasks[name].baseline_psnr < record.tasks[name].psnr
        )
    assert told["tasks"][small_tasks.DIGITS]["nmse"] == pytest.approx(
        outcome.numbers["digits"][small_tasks.LEARNED]["nmse"], rel=1e-3
    )
    (command,) = {entry["command"] for entry in told["tasks"].values()}
    assert command.startswith("fastip experiment tasks --set photos=chelsea,coffee") and "/" not in command


def test_the_page_tells_the_numbers(outcome):
    numbers = plain(outcome.numbers)
    page = tasks.page(numbers)
    for name, entry in numbers["photographs"].items():
        for boundary, methods in entry["boundaries"].items():
            ours = methods[photo_tasks.LEARNED]
            assert (
                f"`{name}`, {boundary}" in page
                and f"{np.mean(ours['psnr']):.2f}" in page
                and f"{np.mean(ours['ssim']):.4f}" in page
            )
    assert f"| {numbers['colour'][small_tasks.LEARNED]['psnr']:.2f} |" in page and "first 10 digits" in page
    titles = [axes.get_title(loc="left") for axes in outcome.figure.axes]
    assert (
        titles.count("learned") == 3
        and titles.count("truth") == 3
        and "best Wiener" in titles
        and f"{small_tasks.DIGITS}: learned" in titles
    )


def test_missing_digits_are_missed_before_the_long_part(monkeypatch):
    def missing(split):
        raise data.MissingData("the set 'digits' is not there")

    told = []
    monkeypatch.setattr(data, "Digits", missing)
    with pytest.raises(data.MissingData):
        tasks.run(lambda what, done, total: told.append((what, done)), **SETTINGS)
    assert told == [(small_tasks.DIGITS, 0)]


def test_the_figure_of_photographs_alone():
    x = torch.rand(1, 3, 24, 24)
    images = dict.fromkeys(("bicubic", photo_tasks.VARIATION, photo_tasks.LEARNED), x)
    figure = tasks._draw({"photo-sr4": photo_tasks.Compared(x, x, images, {})}, ("coffee",), {})
    assert [axes.get_title(loc="left") for axes in figure.axes if axes.get_title(loc="left")] == [*images, "truth"]


@pytest.mark.parametrize(
    "wrong", [{"names": ("sr4",)}, {"names": ()}, {"boundaries": ()}, {"quality": "missing/folder/quality.json"}]
)
def test_refused_before_any_work(wrong):
    with pytest.raises(InvalidInput):
        tasks.run(**SETTINGS | wrong)
