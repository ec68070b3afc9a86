"""The constants of the plug-and-play schedule, on a small grid and without the set of photographs."""

import itertools

import pytest
import torch

from fastip import data, priors
from fastip.errors import InvalidInput
from fastip.experiments.inner_loop import photo_prior
from fastip.experiments.record import plain

pytest.importorskip("skimage")
SMALL = {
    "count": 2,
    "size": 48,
    "steps": 3,
    "noises": (2.55,),
    "shares": (0.4, 1.0),
    "firsts": (0.2,),
    "lasts": (1.0, 2.0),
    "floors": (0.012, 0.02),
}


class Middles:
    """The middles of test pictures in place of the validation set."""

    def __init__(self, split, size):
        assert split == "validation"
        self.pictures = [data.centre(x, size)[0] for x in data.held_out_photographs(("chelsea", "coffee")).values()]

    def batch(self, indices):
        return torch.stack([self.pictures[i] for i in indices])


@pytest.fixture(scope="module")
def outcome():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "Photographs", Middles)
        patch.setattr(photo_prior, "OTHER_STEPS", (2, 3))
        return photo_prior.run(**SMALL)


def test_every_setting_is_solved_with_every_schedule(outcome):
    numbers = outcome.numbers
    assert [row["problem"] for row in numbers["rows"]] == list(photo_prior.problems(48)) and len(numbers["rows"]) == 7
    expected = itertools.product((0.2,), (1, 2), (0.012, 0.02), (0.4, 1))
    assert sorted(row[:4] for row in numbers["grid"]) == sorted(map(list, expected))
    best = min(numbers["grid"], key=lambda row: row[4])
    lost = [row["chosen loss"] for row in numbers["rows"]]
    assert numbers["chosen"] == best[:4] and best[4:] == pytest.approx([sum(lost) / 7, max(lost)], rel=1e-3)
    for row in numbers["rows"]:
        assert row["chosen loss"] >= 0 and 10 < row["best"] < 50 and row["noise"] == pytest.approx(2.55)
    assert set(numbers["steps"]) == {"2", "3"} and numbers["steps"]["3"] == 0


def test_the_loss_of_the_schedule_is_that_of_a_solve(outcome):
    """The grid holds the schedule as it is only if its constants are among those tried."""
    numbers = outcome.numbers
    op, plan = photo_prior.problems(48)["× 2"], priors.schedule(0.01, steps=3)
    x = Middles("validation", 48).batch((0, 1))
    setting = photo_prior.Setting("× 2", op, 0.01, data.degrade(x, op, 0.01), x, {})
    row = next(row for row in numbers["rows"] if row["problem"] == "× 2")
    assert row["best"] - row["loss"] == pytest.approx(setting.psnr(photo_prior.read("photo-denoiser"), plan), abs=1e-6)
    assert setting.known == {plan: setting.psnr(None, plan)}


def test_the_page_tells_the_numbers(outcome):
    numbers = plain(outcome.numbers)
    page = photo_prior.page(numbers)
    first, last, floor, share = numbers["chosen"]
    assert f"first {first:g}, last {last:g},\nfloor {floor:g}, share {share:g}**" in page and "3 iterations" in page
    assert all(f"| {row['problem']} | 2.55 | {row['best']:.2f} |" in page for row in numbers["rows"])
    assert len(outcome.figure.axes) == 5


def test_scratches():
    mask = photo_prior.scratches(96, 4)
    assert set(mask.unique().tolist()) == {0.0, 1.0} and 0.1 < float((mask == 0).float().mean()) < 0.35


def test_denoisers(tmp_path):
    """By the name of shipped weights, or a checkpoint."""
    net = photo_prior.read("photo-denoiser")
    assert net.colours == 3 and not net.conditional
    with pytest.raises(InvalidInput, match="does not exist"):
        photo_prior.read(str(tmp_path / "p.safetensors"))
    for name in ("count", "size", "steps"):
        with pytest.raises(InvalidInput, match=f"{name} is 0"):
            photo_prior.run(**{name: 0})
