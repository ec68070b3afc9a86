"""The demonstration on a small crop and with small networks: honest alignment, equal answers, a figure."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

import fastip
from cases.tasks import SCHEDULE, register
from fastip import figures, operators, psf, solvers, tasks
from fastip.cli import demo
from fastip.errors import InvalidInput


@pytest.mark.parametrize("factor", [1, 2, 3, 4])
def test_bicubic_keeps_the_samples_and_straight_lines(factor):
    generator = torch.Generator().manual_seed(factor)
    y = torch.rand(2, 3, 9, 13, generator=generator)
    torch.testing.assert_close(solvers.bicubic(y, factor)[..., ::factor, ::factor], y, atol=2e-6, rtol=0)
    rows, columns = torch.meshgrid(torch.arange(9.0), torch.arange(13.0), indexing="ij")
    up = solvers.bicubic((3 * rows + 2 * columns)[None, None], factor)[0, 0]
    rows, columns = torch.meshgrid(
        torch.arange(9.0 * factor) / factor, torch.arange(13.0 * factor) / factor, indexing="ij"
    )
    inner = slice(3 * factor, 6 * factor)
    torch.testing.assert_close(up[inner, inner], (3 * rows + 2 * columns)[inner, inner], atol=1e-4, rtol=0)


def test_bicubic_undoes_the_operator_without_a_shift():
    """A smooth blob that is blurred and decimated comes back where it was; a plain resize moves it by 1.5 pixels."""
    at = torch.arange(64.0)
    blob = torch.exp(-((at[:, None] - 30) ** 2 + (at[None] - 34) ** 2) / (2 * 6.0**2))[None, None]
    up = solvers.bicubic(operators.Blur(psf.gaussian(9, 1.6), stride=4)(blob), 4)[0, 0]
    centre = float((up.sum(1) * at).sum() / up.sum()), float((up.sum(0) * at).sum() / up.sum())
    assert centre == pytest.approx((30, 34), abs=0.05)


def test_psnr_is_that_of_the_clipped_image():
    truth = torch.full((1, 1, 4, 4), 1.0)
    assert demo.psnr(truth - 0.1, truth) == pytest.approx(20, abs=1e-4)
    assert demo.psnr(truth * 5, truth) == float("inf")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    pytest.importorskip("skimage")
    small = [dataclasses.replace(s, truth=s.truth[..., 80:176, 120:248].contiguous()) for s in demo.scenes()]
    with pytest.MonkeyPatch.context() as patch:
        register(patch, tmp_path_factory.mktemp("weights"))
        return [demo.restore(s, repeats=1) for s in small]


def test_the_scenes_show_learned_tasks():
    for scene in demo.scenes():
        task = tasks.learned(scene.task)
        assert (
            task.operator().output_shape(tuple(scene.truth.shape))[1] == 3
            and task.noise == 0.01
            and task.instead in tasks.names()
        )


def test_the_ways_are_what_they_say(results):
    assert [r.scene.task for r in results] == ["photo-sr4-wide", "photo-deblur-motion"]
    for result in results:
        plain, tv, cg, learned = result.runs
        wide = result.scene.task == "photo-sr4-wide"
        assert [run.method for run in result.runs] == ["bicubic" if wide else "Wiener", "TV", "CG-ADMM", "learned"]
        assert tv.psnr > plain.psnr + 0.5
        # the same iterates, so the times compare
        assert tv.psnr == pytest.approx(cg.psnr, abs=0.02) and tv.iterations == cg.iterations
        torch.testing.assert_close(tv.x, cg.x, atol=5e-3, rtol=0)
        assert learned.iterations == len(SCHEDULE) and learned.x.shape == result.scene.truth.shape
        assert min(run.seconds for run in result.runs) > 0
        assert all(run.psnr == demo.psnr(run.x, result.scene.truth) for run in result.runs)


def test_the_wiener_filter_is_the_best_of_its_kind(results):
    scene, y, best = results[1].scene, results[1].y, results[1].runs[0]
    op = tasks.learned(scene.task).operator()
    others = [
        demo.psnr(fastip.wiener(y, op, constant).x, scene.truth)
        for constant in (0.1, 10**-1.5, 0.01, 10**-2.5, 1e-3, 1e-4)
    ]
    assert best.psnr >= max(others) - 1e-4 and best.psnr < max(others) + 0.3
    assert demo.psnr(y, scene.truth) < best.psnr


def test_the_figure_is_drawn(results, tmp_path):
    demo.draw(tmp_path / "demo.png", results)
    with Image.open(tmp_path / "demo.png") as image:
        pixels = np.asarray(image.convert("RGB"))
    assert pixels.shape[1] > 1500 and pixels.shape[0] > 400
    assert pixels.std() > 20  # not an empty sheet
    assert [p.name for p in tmp_path.iterdir()] == ["demo.png"]
    figures.compare(
        tmp_path / "one.pdf",
        [figures.Row([figures.Panel(torch.rand(1, 1, 5, 90), "wide")], [], (0.1, 0.1, 0.5), "iterations")],
    )
    assert (tmp_path / "one.pdf").read_bytes().startswith(b"%PDF")
    panels = [figures.Panel(torch.rand(1, 3, 30, 40), "a"), figures.Panel(torch.rand(1, 3, 30, 40), "b")]
    curve = figures.Curve("residual", [1.0, 2.0], [1.0, 0.1])
    for name, curves in (("bare.png", []), ("curves.png", [curve])):
        figures.compare(tmp_path / name, [figures.Row(panels, curves, (0.1, 0.1, 0.5), "iterations")])
    assert Image.open(tmp_path / "curves.png").size[0] > Image.open(tmp_path / "bare.png").size[0] + 200


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
