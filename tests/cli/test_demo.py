"""The demonstration on a small crop and with small networks: honest alignment, equal answers, a figure."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import fastip
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
def results():
    pytest.importorskip("skimage")
    astronaut, chelsea, coffee = (scene.truth for scene in demo.scenes())
    small = [
        demo.thumbnail(astronaut[..., 80:176, 120:248], "astronaut", (0.1, 0.1, 0.4)),
        demo.shaken(chelsea[..., 60:180, 60:200], "chelsea", (0.1, 0.1, 0.4)),
        demo.torn(coffee[..., 100:200, 100:220], "coffee", (0.1, 0.1, 0.4)),
    ]
    return [demo.restore(scene, repeats=1) for scene in small]


def test_the_scenes_are_what_happens_to_photographs():
    pytest.importorskip("skimage")
    thumbnail, shaken, torn = demo.scenes()
    assert thumbnail.y.shape == (1, 3, 96, 128) and thumbnail.truth.shape == (1, 3, 384, 512)
    assert shaken.y.shape == shaken.truth.shape == (1, 3, 270, 360) and torn.y.shape == torn.truth.shape
    for scene in (thumbnail, shaken):
        assert torch.equal((255 * scene.y).round() / 255, scene.y)
    resized = operators.Resize(4)(thumbnail.truth).clamp(0, 1)
    off = (resized - thumbnail.y).abs()  # Pillow rounds and clips after each axis
    assert float(off.mean()) < 0.5 / 255 and float(off.max()) < 4 / 255
    mask = torn.options["mask"]
    assert set(mask.unique().tolist()) == {0.0, 1.0} and 0.8 < float(mask.mean()) < 0.95
    assert torch.equal(torn.y, torn.truth * mask)
    assert float((mask[90:120, 120:168] == 0).float().mean()) == 1  # the hole


def test_the_ways_are_what_they_say(results):
    for result, (name, task) in zip(
        results, (("bicubic", "upscale"), ("Wiener", "deblur"), ("interpolated", "inpaint")), strict=True
    ):
        plain, tv, learned = result.runs
        assert [run.method for run in result.runs] == [name, "TV", "learned"] and result.scene.task == task
        assert tv.psnr > plain.psnr and learned.psnr > plain.psnr
        assert learned.iterations == 6 and min(run.seconds for run in result.runs) > 0
        problem = tasks.get(task).problem(**result.scene.options)
        torch.testing.assert_close(learned.x, problem.solve(result.scene.y).x, atol=1e-5, rtol=0)
        for run in result.runs:
            assert run.x.shape == result.scene.truth.shape and run.psnr == demo.psnr(run.x, result.scene.truth)


def test_the_wiener_filter_is_the_best_of_its_kind(results):
    scene, best = results[1].scene, results[1].runs[0]
    op = operators.Blur(scene.options["psf"])
    others = [
        demo.psnr(fastip.wiener(scene.y, op, constant).x, scene.truth)
        for constant in (0.1, 10**-1.5, 0.01, 10**-2.5, 1e-3, 1e-4)
    ]
    assert best.psnr >= max(others) - 1e-4 and best.psnr < max(others) + 0.3
    assert demo.psnr(scene.y, scene.truth) < best.psnr


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
