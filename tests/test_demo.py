"""The demonstration on a small crop: honest alignment, equal answers, a figure."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from fastip import demo, figures, operators, psf
from fastip.errors import InvalidInput


@pytest.mark.parametrize("factor", [1, 2, 3, 4])
def test_bicubic_keeps_the_samples_and_straight_lines(factor):
    generator = torch.Generator().manual_seed(factor)
    y = torch.rand(2, 3, 9, 13, generator=generator)
    torch.testing.assert_close(demo.bicubic(y, factor)[..., ::factor, ::factor], y, atol=2e-6, rtol=0)
    rows, columns = torch.meshgrid(torch.arange(9.0), torch.arange(13.0), indexing="ij")
    up = demo.bicubic((3 * rows + 2 * columns)[None, None], factor)[0, 0]
    rows, columns = torch.meshgrid(torch.arange(9.0 * factor) / factor, torch.arange(13.0 * factor) / factor, indexing="ij")
    inner = slice(3 * factor, 6 * factor)
    torch.testing.assert_close(up[inner, inner], (3 * rows + 2 * columns)[inner, inner], atol=1e-4, rtol=0)


def test_bicubic_undoes_the_operator_without_a_shift():
    """A smooth blob that is blurred and decimated comes back where it was; a plain resize moves it by 1.5 pixels."""
    at = torch.arange(64.0)
    blob = torch.exp(-((at[:, None] - 30) ** 2 + (at[None] - 34) ** 2) / (2 * 6.0**2))[None, None]
    up = demo.bicubic(operators.Blur(psf.gaussian(9, 1.6), stride=4)(blob), 4)[0, 0]
    centre = float((up.sum(1) * at).sum() / up.sum()), float((up.sum(0) * at).sum() / up.sum())
    assert centre == pytest.approx((30, 34), abs=0.05)


def test_psnr_is_that_of_the_clipped_image():
    truth = torch.full((1, 1, 4, 4), 1.0)
    assert demo.psnr(truth - 0.1, truth) == pytest.approx(20, abs=1e-4)
    assert demo.psnr(truth * 5, truth) == float("inf")


@pytest.fixture(scope="module")
def results():
    pytest.importorskip("skimage")
    small = [dataclasses.replace(s, truth=s.truth[..., 80:176, 120:248].contiguous()) for s in demo.scenes()]
    return [demo.restore(s, repeats=1) for s in small]


def test_fastip_wins_and_agrees_with_the_baseline(results):
    assert [r.scene.task for r in results] == ["sr4", "deblur"]
    for result in results:
        plain, fast, slow = result.runs
        assert (plain.method, fast.method, slow.method) == ("bicubic" if result.scene.task == "sr4" else "input", "fastip", "CG-ADMM")
        assert fast.psnr > plain.psnr + 0.5
        assert fast.psnr == pytest.approx(slow.psnr, abs=0.02) and fast.iterations == slow.iterations  # the same iterates, so the times compare
        torch.testing.assert_close(fast.x, slow.x, atol=5e-3, rtol=0)
        assert min(fast.seconds, slow.seconds) > 0
        for run in (fast, slow):
            assert len(run.trace[0]) == len(run.trace[1]) == run.iterations and run.trace[0] == sorted(run.trace[0])


def test_the_figure_is_drawn(results, tmp_path):
    demo.draw(tmp_path / "demo.png", results)
    with Image.open(tmp_path / "demo.png") as image:
        pixels = np.asarray(image.convert("RGB"))
    assert pixels.shape[1] > 1200 and pixels.shape[0] > 400
    assert pixels.std() > 20  # not an empty sheet
    assert [p.name for p in tmp_path.iterdir()] == ["demo.png"]
    figures.compare(tmp_path / "one.pdf", [figures.Row([figures.Panel(torch.rand(1, 1, 5, 90), "wide")], [], (0.1, 0.1, 0.5), "iterations")])
    assert (tmp_path / "one.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("name", ["demo.gif", "demo", "missing/demo.png", "."])
def test_a_figure_that_cannot_be_written_is_refused(tmp_path, name):
    with pytest.raises(InvalidInput, match="figure"):
        figures.check_figure(tmp_path / name)


def test_the_short_benchmark_counts_every_way():
    rows = demo.benchmark(size=32, iterations=3, repeats=1)
    assert len(rows) == 3 and all(ms > 0 for _, ms in rows)
    for bad in ({"size": 8}, {"size": 30}, {"iterations": 0}, {"repeats": 0}):
        with pytest.raises(InvalidInput):
            demo.benchmark(**{"size": 32, "iterations": 1, "repeats": 1, **bad})
