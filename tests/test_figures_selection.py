"""figures.selection: the scores or the L-curve, and the weight that was chosen."""

import numpy as np
import pytest
import torch
from PIL import Image

from fastip import Selection, Solution, Status, figures
from fastip.errors import InvalidInput

figure = pytest.importorskip("matplotlib.figure")

SOLUTION = Solution(torch.zeros(1, 1, 2, 2), None, Status.CONVERGED, 5, torch.zeros(0, 2, 1))
WEIGHTS, MISFITS = (1e-3, 1e-2, 1e-2, 1e-1), (0.5, 1.2, 1.0, 3.0)
SCORED = Selection(1e-2, SOLUTION, WEIGHTS, MISFITS, "discrepancy", MISFITS, None, 0.1)
BENT = Selection(1e-2, SOLUTION, WEIGHTS, (0.1, 0.2, 0.3, 0.4), "lcurve", MISFITS, (9.0, 4.0, 3.0, 2.0))


def drawn(selection):
    axes = figure.Figure().add_subplot()
    figures.draw_selection(axes, selection)
    return axes


def test_scores_against_weights():
    axes = drawn(SCORED)
    curve, chosen, right = axes.lines
    np.testing.assert_array_equal(curve.get_xydata(), [[1e-3, 0.5], [1e-2, 1.0], [1e-1, 3.0]])
    assert set(chosen.get_xdata()) == {1e-2} and set(right.get_ydata()) == {1}
    assert axes.get_xscale() == axes.get_yscale() == "log" and axes.get_xlabel() == "weight"


def test_a_score_below_zero_is_shown():
    assert drawn(Selection(1e-2, SOLUTION, (1e-3, 1e-2), (1.0, -0.1), "sure", (1.0, 2.0))).get_yscale() == "linear"


def test_the_l_curve_has_a_ring():
    axes = drawn(BENT)
    curve, ring = axes.lines
    np.testing.assert_array_equal(curve.get_xydata(), [[0.5, 9.0], [1.0, 3.0], [3.0, 2.0]])
    assert ring.get_xydata().tolist() == [[1.0, 3.0]] and "misfit" in axes.get_xlabel()


@pytest.mark.parametrize("selection", [SCORED, BENT])
def test_the_file_is_written(tmp_path, selection):
    figures.selection(tmp_path / "how.png", selection)
    assert np.asarray(Image.open(tmp_path / "how.png")).std() > 5
    with pytest.raises(InvalidInput, match="suffix"):
        figures.selection(tmp_path / "how.bmp", selection)
