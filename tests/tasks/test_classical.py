"""Tasks with classical priors: names, defaults, advice, and the promise that the settings restore photographs."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

import fastip
from fastip import data, inverses, operators, priors, solvers, tasks
from fastip.cli import demo
from fastip.errors import InvalidInput, UnknownKeyword
from fastip.operators import psf


def photograph(size=96):
    pictures = pytest.importorskip("skimage.data")
    crop = pictures.coffee()[120 : 120 + size, 180 : 180 + size + 4]
    return torch.from_numpy(np.moveaxis(crop, -1, 0).copy()).float()[None] / 255


def test_every_task_is_complete():
    names = ["upscale", "sr4", "sr3", "sr2", "deblur", "denoise", "inpaint"]
    assert tasks.names()[:7] == names == [task.name for task in tasks.CLASSICAL]
    given = {"upscale": {"factor": 3}, "deblur": {"psf": "motion:5:20"}, "inpaint": {"mask": torch.eye(48)}}
    for task in tasks.CLASSICAL:
        assert tasks.get(task.name) is task is tasks.classical(task.name)
        for prior in tasks.PRIORS[: 2 if task.name == "inpaint" else None]:
            problem = task.problem(prior=prior, **given.get(task.name, {}))
            scale = 3 if task.name == "upscale" else task.stride
            y = torch.rand(1, 3, 48, 48)
            assert problem.solve(y).x.shape == (1, 3, 48 * scale, 48 * scale)
    assert torch.equal(tasks.get("sr4").problem().op.psf, psf.gaussian(9, 1.6))


def test_choices_reach_the_problem():
    problem = tasks.get("sr2").problem(
        psf=psf.disk(5),
        boundary="reflect",
        prior="l1",
        weight=0.25,
        beta=0.5,
        inverse="cg",
        iterations=7,
        tolerance=0.125,
        bounded=False,
    )
    assert problem.op.boundary == "reflect" and problem.op.stride == 2 and torch.equal(problem.op.psf, psf.disk(5))
    pointwise = problem.prior.bind(torch.zeros(1, 1, 8, 8), problem.op).pointwise()
    assert pointwise.l1 == 0.25 and pointwise.low == float("-inf")
    assert isinstance(problem.inverse, inverses.ConjugateGradient)
    assert (problem.beta, problem.iterations, problem.tolerance) == (0.5, 7, 0.125)
    bounded = tasks.get("sr2").problem(prior="l2").prior.bind(torch.zeros(1, 1, 8, 8), problem.op).pointwise()
    assert (bounded.l2, bounded.low, bounded.high) == (1e-2, 0.0, 1.0)
    assert isinstance(tasks.get("sr2").problem(prior="wavelet").prior, priors.Wavelet)


@pytest.mark.parametrize(
    ("name", "choices", "message"),
    [
        ("sr5", {}, "expected one of upscale, sr4, sr3, sr2, deblur, denoise, inpaint, photo-sr4"),
        ("denoise everything", {}, "expected one of upscale, sr4, sr3, sr2, deblur, denoise, inpaint, photo-sr4"),
        ("deblur", {}, "needs the psf"),
        ("sr4", {"prior": "wavlet"}, "did you mean 'wavelet'"),
        ("sr4", {"inverse": "fft"}, "expected one of auto, exact"),
        ("sr4", {"boundary": "wrap"}, "did you mean 'circular'"),
        ("sr4", {"psf": "gaussian"}, "gaussian:SIZE:SIGMA"),
        ("sr4", {"psf": "nothing.png"}, "does not exist"),
        ("sr4", {"weight": -1.0}, "weight"),
        ("sr4", {"weight": float("nan")}, "weight"),
        ("sr4", {"beta": 0.0}, "beta"),
        ("sr4", {"iterations": 0}, "iterations"),
        ("sr4", {"tolerance": -1e-3}, "tolerance"),
        ("sr4", {"memory": "1GB"}, "has no network whose memory"),
        ("sr4", {"dtype": torch.float32}, "has no network whose dtype"),
    ],
)
def test_bad_choices_get_advice(name, choices, message):
    with pytest.raises(InvalidInput, match=message):
        tasks.get(name).problem(**choices)


def test_a_misspelt_choice_is_refused():
    with pytest.raises(UnknownKeyword, match="iterations"):
        tasks.get("sr4").problem(iteration=3)  # type: ignore[call-arg]


def test_psf_files_are_averaged_and_scaled(tmp_path):
    taps = np.random.default_rng(3).random((5, 6, 3)).astype("float32")
    np.save(tmp_path / "k.npy", taps)
    read = tasks.read_psf(str(tmp_path / "k.npy"))
    assert read.dtype == torch.float64
    np.testing.assert_allclose(read, taps.mean(2) / taps.mean(2).sum(), rtol=1e-6)
    Image.fromarray((taps[..., 0] * 255).astype("uint8")).save(tmp_path / "k.png")
    assert float(tasks.read_psf(str(tmp_path / "k.png")).sum()) == pytest.approx(1, abs=1e-12)
    for name, bad in (("zero.npy", np.zeros((3, 3), "float32")), ("balanced.npy", np.array([[1.0, -1.0]], "float32"))):
        np.save(tmp_path / name, bad)
        with pytest.raises(InvalidInput, match="sums to"):
            tasks.read_psf(str(tmp_path / name))


@pytest.mark.parametrize(
    ("prior", "boundary", "calls"),
    [("l1", "circular", [50, 100, 123]), ("tv", "circular", list(range(1, 124))), ("l1", "reflect", [50, 100, 123])],
)
def test_reporting_changes_nothing_but_the_reports(prior, boundary, calls):
    problem = tasks.get("sr2").problem(prior=prior, boundary=boundary, iterations=123, tolerance=1e-30)
    y = torch.rand(1, 2, 19, 22, generator=torch.Generator().manual_seed(5))
    said: list[int] = []
    plain, told = problem.solve(y), problem.solve(y, report=said.append)
    assert said == calls and told.iterations == plain.iterations == 123 and told.status == plain.status
    torch.testing.assert_close(told.x, plain.x, atol=2e-6, rtol=0)
    torch.testing.assert_close(told.q, plain.q, atol=1e-4, rtol=1e-4)
    assert told.residuals.shape == plain.residuals.shape


def test_a_reported_solve_stops_where_the_plain_one_stops():
    problem = tasks.get("sr4").problem(prior="l1", iterations=2000, tolerance=1e-3)
    y = torch.rand(1, 1, 24, 24, generator=torch.Generator().manual_seed(1))
    plain, told = problem.solve(y), problem.solve(y, report=lambda done: None)
    assert (
        plain.status is fastip.Status.CONVERGED
        and told.status is plain.status
        and told.iterations == plain.iterations > tasks.CHUNK
    )


@pytest.mark.parametrize(("k", "stride"), [(9, 4), (9, 2), (5, 1), (4, 2), (7, 3)])
def test_a_valid_result_is_cut_to_the_pixels_under_the_data(k, stride):
    op = operators.Blur(psf.delta(k), stride=stride, boundary="valid")
    x = torch.rand(1, 2, (6 - 1) * stride + k, (8 - 1) * stride + k)
    part = tasks.crop_valid(x, op, (6 * stride, 8 * stride))
    # pixel i of the data is pixel stride i of the cropped image
    assert torch.equal(part[..., ::stride, ::stride], op(x))
    assert part.shape[2:] == (6 * stride, 8 * stride)
    same = operators.Blur(psf.delta(k), stride=stride)
    assert tasks.crop_valid(x, same, (1, 1)) is x


@pytest.mark.parametrize(
    ("name", "kernel", "noise", "gain"),
    [("sr4", None, 0.0, 1.2), ("sr4", None, 0.01, 1.0), ("sr2", None, 0.01, 2.0), ("deblur", "motion:9:45", 0.01, 1.7)],
)
def test_the_defaults_restore_a_photograph(name, kernel, noise, gain):
    truth = photograph()
    task = tasks.get(name)
    problem = task.problem(psf=kernel)
    scene = tasks.fitted(truth, problem.op)
    y = data.degrade(scene, problem.op, noise)
    truth = tasks.under_data(scene, problem.op, tuple(y.shape))
    solution = problem.solve(y)
    simple = solvers.bicubic(y, task.stride) if task.stride > 1 else y
    assert solution.status is fastip.Status.CONVERGED
    assert demo.psnr(solution.x, truth) > demo.psnr(simple, truth) + gain
    finer = dataclasses.replace(problem, tolerance=1e-5, iterations=400).solve(y)
    assert demo.psnr(finer.x, truth) < demo.psnr(solution.x, truth) + 0.1  # the default tolerance stops late enough
