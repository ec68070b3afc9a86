"""What restorations are compared with, and how they are scored."""

import pytest
import torch

from fastip import data, inverses, metrics, operators, psf, wiener
from fastip.data import comparators
from fastip.errors import InvalidInput, Unsupported
from fastip.experiments import scores
from fastip.experiments.photographs import photographs

pytest.importorskip("skimage")


def problem(boundary, stride=4, size=53, seed=0):
    op = operators.Blur(psf.gaussian(9, 1.6), stride=stride, boundary=boundary)
    x = scores.fitted(
        photographs(size // stride * stride + (1 if boundary == "valid" else 0), ("chelsea", "coffee")), op
    )
    return op, x, data.degrade(x, op, 0.02, generator=seed)


@pytest.mark.parametrize("boundary", ["circular", "reflect", "valid"])
def test_the_best_wiener_filter_is_the_best_of_them_for_each_image(boundary):
    op, x, y = problem(boundary, stride=1, size=40, seed=3)
    best = scores.best_wiener(y, op, x)
    truth = scores.under_data(x, op, y)
    every = torch.stack(
        [
            metrics.psnr(
                scores.under_data(
                    wiener(y, op, c, inverse=inverses.ConjugateGradient(1e-6), iterations=2).x, op, y
                ).clamp(0, 1),
                truth,
            )
            for c in scores.CONSTANTS
        ]
    )
    found = metrics.psnr(scores.under_data(best, op, y).clamp(0, 1), truth)
    assert torch.allclose(found, every.amax(dim=0), atol=0.002) and bool((every.amin(dim=0) < found - 1).all())


@pytest.mark.parametrize("kernel", [3, 9])
@pytest.mark.parametrize("size", [53, 54, 61])
def test_valid_data_are_judged_by_what_lies_under_them(size, kernel):
    op = operators.Blur(psf.gaussian(kernel, 1.6), stride=4, boundary="valid")
    x = torch.rand(2, 3, size, size + 3)
    inner = scores.fitted(x, op)
    y = op(inner)
    assert max(a - b for a, b in zip(x.shape, inner.shape, strict=True)) < 4
    # a ramp goes through the blur unchanged, so where the data are samples of the part that is cut out,
    # it is the part under them
    ramp = (torch.arange(inner.shape[-2]) / 100.0).view(1, 1, -1, 1).expand(1, 1, *inner.shape[-2:])
    part = scores.under_data(ramp, op, op(ramp))
    assert torch.allclose(op(ramp), part[..., ::4, ::4], atol=1e-5)
    bigger = scores.bicubic(op(ramp), op)
    assert (
        all(0 <= a - b < 4 for a, b in zip(bigger.shape, part.shape, strict=True))
        and scores.under_data(inner, op, y).shape[-2:] == part.shape[-2:]
    )
    assert torch.allclose(
        bigger[..., 8:-12, :][..., : part.shape[-1]], part[..., 8 : bigger.shape[-2] - 12, :], atol=1e-5
    )


def test_other_boundaries_are_judged_whole():
    op, x, y = problem("reflect")
    assert scores.fitted(x, op) is x and scores.under_data(x, op, y).shape == x.shape == scores.bicubic(y, op).shape


def test_scores_are_of_what_would_be_written():
    x = photographs(40, ("chelsea",))
    found = scores.scores(2 * x, x)
    assert found["psnr"] == metrics.psnr((2 * x).clamp(0, 1), x).tolist() and set(found) == {"psnr", "ssim"}
    assert found["ssim"][0] < 1 and scores.scores(x, x)["ssim"][0] == pytest.approx(1)


def test_no_comparator_no_distance(monkeypatch):
    def absent():
        raise Unsupported("not installed")

    monkeypatch.setattr(comparators, "comparator", absent)
    assert scores.comparator() is None


def test_total_variation_is_that_of_the_weightless_task():
    op, x, y = problem("reflect", stride=1, size=64)
    solve = scores.total_variation(op)
    assert solve.op.fingerprint() == op.fingerprint()
    assert scores.mean(scores.scores(solve.solve(y).x, x)["psnr"]) > scores.mean(
        scores.scores(scores.bicubic(y, op), x)["psnr"]
    )
    with pytest.raises(InvalidInput, match="no convolution"):
        scores.total_variation(operators.Mask(torch.ones(1, 1, 8, 8)))
