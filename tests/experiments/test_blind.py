"""The blind chain at a small size: the photograph comes back as with the true kernel, and better than with a guess."""

from __future__ import annotations

import pytest

from fastip.experiments.inner_loop import blind
from fastip.experiments.record import plain

pytest.importorskip("skimage")
pytest.importorskip("lightning_fabric")


@pytest.fixture(scope="module", params=range(len(blind.CASES)), ids=[case.title for case in blind.CASES])
def outcome(request):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blind, "CASES", blind.CASES[request.param : request.param + 1])
        return blind.run(size=97, steps=30, noise=0.01, seed=2)


def test_the_chain_ends_where_the_true_kernel_does(outcome):
    (case,) = outcome.numbers["cases"].values()
    solves = case["solves"]
    reference, guess, chain = (solves[name]["PSNR"] for name in (blind.REFERENCE, blind.GUESS, blind.CHAIN))
    assert chain == pytest.approx(reference, abs=0.1) and guess < reference - 0.5
    assert all(s["status"] == "CONVERGED" for s in solves.values()) and solves[blind.REFERENCE]["distance"] == 0
    assert solves[blind.CHAIN]["distance"] < 0.5 * solves[blind.GUESS]["distance"]
    same = [solves[name]["PSNR"] for name in ("learned A, conjugate gradients", "learned A, stencil", blind.CHAIN)]
    assert max(same) - min(same) < 0.03  # C changes the speed, not the answer
    assert case["rms error of a tap"] == pytest.approx(case["rms error predicted by the fit"], rel=0.3)
    assert case["noise found by the fit"] == pytest.approx(0.01, rel=0.03)


def test_the_page_tells_it(outcome):
    numbers = plain(outcome.numbers)
    text = blind.page(numbers)
    ((title, case),) = numbers["cases"].items()
    assert f"## {title}" in text and f"trained for {case['training']['steps']} steps" in text
    for name, s in case["solves"].items():
        assert f"| {name} | {s['PSNR']:.2f} | {s['iterations']} | {s['status'].lower()} |" in text
    titles = [axes.get_title(loc="left") for axes in outcome.figure.axes]
    assert "blind chain" in titles and "learned kernel" in titles
