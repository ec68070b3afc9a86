"""The suggested weight beside others on one small photograph, and what the page says of it."""

import pytest
import torch

from fastip import operators, tasks
from fastip.errors import InvalidInput
from fastip.experiments import default_weights
from fastip.experiments.record import plain
from fastip.experiments.scores import fitted

pytest.importorskip("skimage")
KINDS = ("7 × 7 disk", "noise alone")


@pytest.fixture(scope="module")
def outcome():
    return default_weights.run(photos=("chelsea",), size=36, noises=(0.0, 10.0), kinds=KINDS)


def test_every_kind_has_every_weight(outcome):
    rows = outcome.numbers["rows"]
    assert [(row["kind"], row["noise"]) for row in rows] == [(kind, noise) for kind in KINDS for noise in (0.0, 10.0)]
    for row in rows:
        assert len(row["psnr"]) == 7 and len(row["assumed"]) == 2 and 10 < min(row["psnr"]) < max(row["psnr"]) < 80
    strong = rows[3]
    assert strong["weight"] == pytest.approx(tasks.suggested_weight("tv", 10 / 255, operators.Identity()), rel=1e-3)
    # 10 levels of noise are 28.1 dB; an eighth of the weight leaves them nearly as they are, and 0.01 does so
    assert 28 < strong["psnr"][0] < strong["assumed"][0] < strong["assumed"][1] < strong["psnr"][3] - 2
    assert default_weights.lost(strong) == max(strong["psnr"]) - strong["psnr"][3] < 1


def test_every_operator_takes_the_size():
    x = torch.rand(1, 1, 36, 36, generator=torch.Generator().manual_seed(0))
    for kind, make in default_weights.OPERATORS.items():
        assert make(36)(fitted(x, make(36))).numel() > 0, kind


def test_the_page_tells_what_is_lost(outcome):
    numbers = plain(outcome.numbers)
    page = default_weights.page(numbers)
    row = numbers["rows"][1]
    change = row["assumed"][0] - row["psnr"][3]
    assert f"{row['psnr'][3]:.2f} (− {default_weights.lost(row):.2f})" in page
    assert change < 0 and f"| − {-change:.2f} |" in page and "of 4 cases" in page and "0.01 (2.55 grey levels)" in page


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"prior": "l1"}, "no prior 'l1'"),
        ({"size": 50}, "size is 50; expected a multiple of 12"),
        ({"size": 0}, "size is 0"),
        ({"noises": ()}, "noises is"),
        ({"noises": (float("nan"),)}, "noises is"),
        ({"noises": (255.0,)}, "noises is"),
        ({"kinds": ("noise alon",)}, "did you mean 'noise alone'"),
    ],
)
def test_bad_settings_are_refused(wrong, message):
    with pytest.raises(InvalidInput, match=message):
        default_weights.run(photos=("chelsea",), **wrong)
