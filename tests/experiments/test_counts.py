"""Every experiment with generators refuses a count of 0 by its name, before any work."""

from __future__ import annotations

import pytest

from fastip.errors import InvalidInput
from fastip.experiments import find

COUNTS = {
    "npgd_error": (
        "count",
        "searched",
        "iterations",
        "restarts",
        "projections",
        "inner",
        "starts",
        "validation",
        "tuned",
        "pairs",
    ),
    "npgd_others": ("count", "tuned_on", "vae_steps", "hidden", "iterations", "steps", "restarts"),
    "npgd_pictures": ("count", "iterations", "tuned", "designed_from"),
    "npgd_projector": ("count", "compared", "steps", "restarts"),
    "npgd_rec": ("pairs", "restarts", "iterations", "designed_from"),
    "npgd_samples": ("count",),
    "npgd_speed": ("count", "m", "repeats"),
    "npgd_theorem": ("measurements", "latent", "iterations", "count"),
}


@pytest.mark.parametrize(
    "experiment, name", [(experiment, name) for experiment, names in COUNTS.items() for name in names]
)
def test_none_of_something_is_refused(experiment: str, name: str) -> None:
    with pytest.raises(InvalidInput, match=f"^{name} is 0; expected"):
        find(experiment).run(**{name: 0})
