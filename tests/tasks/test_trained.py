"""Learned tasks: what they are, what they refuse, and that a solve is the plain loop with the network as its prior."""

from __future__ import annotations

import dataclasses
import json
from importlib import resources

import numpy as np
import pytest
import torch

import fastip
from cases.tasks import SCHEDULE, network, register, small
from fastip import inverses, operators, priors, save_prior, tasks
from fastip.errors import InvalidInput, UnknownKeyword
from fastip.inverses.close import Close
from fastip.operators import psf
from fastip.priors.fitted import native
from fastip.priors.trained import likeness

NAMES = ["photo-sr4", "photo-sr4-wide", "photo-deblur-motion", "digits-sr4", "colorize-sr2"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(scope="module", params=NAMES)
def task(request, folder):
    return small(request.param, folder)


def image(task, h=40, w=52, seed=0):
    """An image that the task's operator takes."""
    h, w = task.size or (h, w)
    return torch.rand(2, 1 if task.size else 3, h, w, generator=torch.Generator().manual_seed(seed))


def test_the_learned_tasks():
    assert [task.name for task in tasks.LEARNED] == NAMES and tasks.names()[7:-3] == NAMES
    table = {name: (tasks.learned(name).operator(), tasks.learned(name).noise) for name in NAMES}
    for name, taps, stride, noise in [
        ("photo-sr4", psf.gaussian(3, 1.0), 4, 0.0),
        ("photo-sr4-wide", psf.gaussian(9, 1.6), 4, 0.01),
        ("photo-deblur-motion", psf.motion(9, 45), 1, 0.01),
        ("digits-sr4", psf.gaussian(9, 1.6), 4, 0.0),
    ]:
        op, level = table[name]
        assert (
            torch.equal(op.psf, taps)
            and op.stride == stride == tasks.get(name).stride
            and op.boundary == "circular"
            and level == noise
        )
    grey, level = table["colorize-sr2"]
    x = torch.rand(2, 3, 6, 10, dtype=torch.float64)
    luma = (x * torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)[:, None, None]).sum(1, keepdim=True)
    assert torch.allclose(grey(x), torch.nn.functional.avg_pool2d(luma, 2)) and level == 0
    with pytest.raises(InvalidInput, match="did you mean 'photo-sr4'"):
        tasks.learned("foto-sr4")
    with pytest.raises(InvalidInput, match="learned task"):
        tasks.learned("sr4")


def shared_is_the_restorer(task):
    """It makes of data what the shipped restorer makes, told the noise of the task."""
    restorer, op = fastip.shipped.restorer(task.restorer, dtype=torch.float32), task.operator("valid")
    y = op(image(task)) + task.noise * torch.randn(op.output_shape(image(task).shape))
    found = task.problem(boundary="valid", dtype=torch.float32).solve(y)
    expected = restorer.solve(y, op, task.noise)
    assert found.iterations == restorer.iterations and float((found.x - expected.x).abs().max()) < 1e-5
    assert task.problem(boundary="natural").solve(y[:, :1]).x.shape == (2, 1, *y.shape[2:])


@pytest.mark.parametrize("name", NAMES)
def test_what_ships(name):
    """Every task comes with weights for its own operator, and the log of their training; a solve with them runs."""
    task = tasks.learned(name)
    problem = fastip.load_task(name)
    prior, op = problem.prior, task.operator()
    if task.restorer is not None:
        shared_is_the_restorer(task)
        return
    assert (
        prior.trained.data == likeness(op)
        and len(prior.trained.schedule) == problem.iterations == len(problem.beta)
        and problem.noise == task.noise
    )
    x = image(task, 24, 36)
    assert prior.net.conditional and (prior.net.colours, prior.net.data_colours, prior.net.stride) == (
        x.shape[1],
        op(x).shape[1],
        task.stride,
    )
    solution = problem.solve(op(x))
    assert solution.x.shape == x.shape and bool(torch.isfinite(solution.x).all())
    log = json.loads((resources.files("fastip") / "weights" / "tasks" / f"{name}.json").read_text())
    assert log


@pytest.mark.parametrize("boundary", ["circular", "reflect", "zero", "valid"])
def test_a_solve_is_the_plain_loop(task, boundary):
    """float32: the same numbers as admm with the network as its prior, whatever the boundary."""
    if boundary not in task.boundaries:
        with pytest.raises(InvalidInput, match="can have circular, reflect, zero"):
            task.problem(boundary=boundary)
        return
    problem = task.problem(boundary=boundary, dtype=torch.float32)
    y = torch.rand(task.operator().output_shape(tuple(image(task, 44, 52).shape)))
    plain = priors.PixelShuffleAutoencoder(
        problem.prior.net, sigma=[level for _, level in SCHEDULE], trained=problem.prior.trained
    )
    known = inverses.Exact().structure(problem.op, y) is not None
    assert known == (boundary == "circular" or task.name != "photo-deblur-motion")
    inverse = inverses.Exact() if known else inverses.ConjugateGradient(1e-6)
    init = problem.inverse.bind(problem.op, y, problem.beta[0]).guess() if boundary == "valid" else None
    expected = fastip.admm(
        y, problem.op, plain, beta=[b for b, _ in SCHEDULE], inverse=inverse, iterations=3, tolerance=0, init=init
    )
    solution = problem.solve(y)
    assert (
        solution.iterations == 3
        and solution.x.dtype == torch.float32
        and solution.x.shape == problem.op.input_shape(y.shape)
    )
    error = (solution.x - expected.x).norm() / expected.x.norm()
    assert float(error) < (1e-5 if known else 1e-2)
    again = fastip.admm(
        y,
        problem.op,
        problem.prior,
        beta=problem.beta,
        inverse=problem.inverse,
        iterations=problem.iterations,
        tolerance=0,
    )
    assert torch.equal(again.x, solution.x)


def test_reports_and_gradients(task):
    problem = task.problem(boundary="circular")
    y = problem.op(image(task)).requires_grad_(True)
    said: list[int] = []
    told = problem.solve(y, report=said.append)
    assert said == [1, 2, 3] and not told.x.requires_grad
    assert torch.equal(told.x, problem.solve(y).x)
    fewer = task.problem(boundary="circular", iterations=2)
    assert fewer.iterations == 2 and fewer.beta == tuple(b for b, _ in SCHEDULE[:2]) and fewer.solve(y).iterations == 2
    seen = []
    fastip.admm(
        y.detach(),
        problem.op,
        problem.prior,
        beta=problem.beta,
        inverse=problem.inverse,
        iterations=2,
        tolerance=0,
        callback=lambda s: seen.append(s.x),
    )
    assert torch.equal(seen[-1], fewer.solve(y).x)


def test_grey_images_and_other_channels(folder):
    """Grey photographs come back grey; channels that are no colours are grey images each."""
    problem = small("photo-sr4-wide", folder).problem(dtype=torch.float32)
    y = torch.rand(2, 4, 10, 13)
    four = problem.solve(y).x
    assert four.shape == (2, 4, 40, 52)
    for channel in range(4):
        alone = problem.solve(y[:, channel : channel + 1]).x
        torch.testing.assert_close(alone, four[:, channel : channel + 1], atol=1e-5, rtol=0)
    six = problem.solve(torch.cat([y[:, :3], y[:, 1:]], dim=1)).x
    torch.testing.assert_close(six[:, :3], problem.solve(y[:, :3]).x, atol=1e-5, rtol=0)
    colour = small("colorize-sr2", folder).problem()
    assert colour.solve(y[:, :1]).x.shape == (2, 3, 20, 26)
    with pytest.raises(InvalidInput, match="expected 1, a grey image"):
        colour.solve(y[:, :3])


def test_precision(folder):
    """None is bfloat16 where it is native, and the solve keeps the data's precision.

    The network that was loaded is left as it was.
    """
    task = small("photo-deblur-motion", folder)
    y = torch.rand(1, 3, 24, 31)
    single, half = (task.problem(dtype=dtype).solve(y).x for dtype in (torch.float32, torch.bfloat16))
    assert 0 < float((single - half).abs().max()) < 0.02 and single.dtype == half.dtype == torch.float32
    own = task.problem()
    assert torch.equal(own.solve(y).x, half if native(y.device) == torch.bfloat16 else single)
    assert own.prior.net.head.weight.dtype == torch.float32
    assert task.problem(dtype=torch.float64).solve(y.double()).x.dtype == torch.float64
    numbers = own.solve(y.numpy())
    assert isinstance(numbers.x, np.ndarray) and np.array_equal(numbers.x, own.solve(y).x.numpy())


def test_other_levels_keep_the_rest(folder):
    prior = small("digits-sr4", folder).problem(memory="1GB", dtype=torch.float64).prior
    other = prior.at(sigma=0.05)
    assert (other.sigma, other.memory, other.dtype, other.size, other.net) == (
        0.05,
        10**9,
        torch.float64,
        (28, 28),
        prior.net,
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"psf": "gaussian:3:1"}, "trained for one psf alone.*'sr4', which takes any"),
        ({"psf": torch.ones(3, 3)}, "psf is given"),
        ({"prior": "tv"}, "one prior alone"),
        ({"weight": 0.1}, "one weight alone"),
        ({"beta": 0.1}, "one beta alone"),
        ({"tolerance": 0.0}, "one tolerance alone"),
        ({"iterations": 4}, "trained through 3: give at most 3"),
        ({"iterations": 0}, "iterations"),
        ({"boundary": "wrap"}, "did you mean 'circular'"),
        ({"inverse": "fft"}, "no inverse 'fft'"),
        ({"memory": "2 bananas"}, "2GB or 800MB"),
        ({"memory": 0}, "2GB or 800MB"),
        ({"dtype": torch.int32}, "dtype"),
        ({"dtype": "float32"}, "dtype"),
    ],
)
def test_what_the_training_fixed_is_refused(folder, options, message):
    with pytest.raises(InvalidInput, match=message):
        small("photo-sr4-wide", folder).problem(**options)
    if "psf" in options:
        with pytest.raises(InvalidInput, match=r"build the solve with fastip\.admm"):
            small("colorize-sr2", folder).problem(**options)


def test_an_inverse_can_be_chosen(folder):
    task = small("photo-deblur-motion", folder)
    assert isinstance(task.problem().inverse, Close) and task.problem(inverse="auto").inverse == "auto"
    assert isinstance(task.problem(inverse="cg").inverse, inverses.ConjugateGradient)


def test_sizes_that_a_network_does_not_know(folder):
    problem = small("digits-sr4", folder).problem()
    with pytest.raises(InvalidInput, match="expected 28 x 28"):
        problem.solve(torch.rand(1, 1, 8, 7))


def test_weights_that_do_not_serve(folder, tmp_path):
    task = small("photo-sr4", tmp_path)
    with pytest.raises(InvalidInput, match="no.safetensors does not exist"):
        dataclasses.replace(task, weights=tmp_path / "no.safetensors").problem()
    # what needs no weights works without
    assert dataclasses.replace(task, weights=tmp_path / "no.safetensors").operator().stride == 4
    wrong = dataclasses.replace(task, weights=small("photo-sr4-wide", tmp_path).weights).problem()
    with pytest.raises(InvalidInput, match="another operator"):
        wrong.solve(torch.rand(1, 3, 8, 8))
    save_prior(
        tmp_path / "bare.safetensors", priors.PixelShuffleAutoencoder(network(), trained=priors.Trained((0.1, 0.2)))
    )
    with pytest.raises(InvalidInput, match="without a schedule"):
        dataclasses.replace(task, weights=tmp_path / "bare.safetensors").problem()


def test_load_task(monkeypatch, tmp_path):
    register(monkeypatch, tmp_path)
    for name in NAMES:
        assert fastip.load_task(name, memory=10**9).prior.memory == 10**9
    assert fastip.load_task("photo-sr4", boundary="reflect").op.boundary == "reflect"
    classical = fastip.load_task("sr2", boundary="zero")
    assert classical.op.boundary == "zero" and classical.op.stride == 2
    for options in ({"memory": "1GB"}, {"dtype": torch.float32}):
        with pytest.raises(InvalidInput, match="has no network"):
            fastip.load_task("sr2", prior="tv", **options)
    with pytest.raises(InvalidInput, match="needs the psf"):
        fastip.load_task("deblur")
    with pytest.raises(UnknownKeyword, match="boundary"):
        fastip.load_task("sr2", bondary="zero")  # type: ignore[call-arg]


def test_boundaries_are_one_operator_for_colours():
    task, x = tasks.learned("colorize-sr2"), torch.rand(1, 3, 8, 6)
    assert len({task.operator(b).fingerprint() for b in operators.blur.BOUNDARIES}) == 1
    for boundary in operators.blur.BOUNDARIES:
        own = operators.Blur(psf.box(2), stride=2, boundary=boundary) @ operators.ToGray()
        assert torch.equal(own(x), task.operator()(x))
    with pytest.raises(InvalidInput, match="boundary"):
        task.operator("wrapped")


# ---- the data step ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("size", [(16, 20), (1, 1), (1, 9)])
def test_a_constant_image_starts_as_it_is(stride, size):
    """x0 = A^T y / |A|^T |A| 1, near the mean where hardly any datum looks.

    A^T C y itself is dark at a valid frame.
    """
    op = operators.Blur(psf.gaussian(9, sigma=1.6), stride=stride, boundary="valid")
    y = op(torch.full(op.input_shape((2, 3, *size)), 0.7, dtype=torch.float64))
    torch.testing.assert_close(Close().bind(op, y, 1e-3).guess(), torch.full(op.input_shape(y.shape), 0.7).double())
    plain = inverses.Exact().bind(op, y, 1e-3).guess()
    assert float(plain.min()) < 0.2


@pytest.mark.parametrize("stride", [2, 4])
def test_where_pixels_are_left_out_images_that_wrap_start_even_too(stride):
    """But not for networks that were trained from A^T C y."""
    op = operators.Blur(psf.gaussian(9, sigma=1.6), stride=stride)
    y = op(torch.full((2, 3, 12, 20), 0.7, dtype=torch.float64))
    torch.testing.assert_close(Close().bind(op, y, 1e-3).guess(), torch.full((2, 3, 12, 20), 0.7).double())
    plain = inverses.Exact().bind(op, y, 1e-3).guess()
    assert torch.equal(Close(even=False).bind(op, y, 1e-3).guess(), plain)
    assert float((plain - 0.7).abs().max()) > 1e-3


def test_the_restorer_keeps_a_flat_picture_flat():
    """Up to the last row, and where the window is wider than the picture."""
    for name, chosen, size in (
        ("sr4", {}, (12, 9)),
        ("sr3", {}, (1, 1)),
        ("deblur", {"psf": "gaussian:31:4"}, (1, 1)),
        ("deblur", {"psf": "motion:21:30"}, (5, 4)),
    ):
        x = fastip.load_task(name, noise=1 / 255, **chosen).solve(torch.full((1, 3, *size), 0.6)).x
        assert float((x - 0.6).abs().max()) < 0.02, (name, size)


@pytest.mark.parametrize("boundary", ["reflect", "zero", "valid"])
def test_the_start_is_even_at_a_valid_frame_alone(boundary):
    """Elsewhere it is A^T C y, and the iterations are always those of conjugate gradients."""
    op = operators.Blur(psf.motion(5, 45), boundary=boundary)
    y = op(torch.rand(1, 1, 40, 44, dtype=torch.float64))
    kind = "circulant" if boundary == "valid" else None
    chosen = Close().bind(op, y, 1e-3)
    plain = inverses.ConjugateGradient(3e-3, preconditioner=kind).bind(op, y, 1e-3)
    assert torch.equal(chosen.guess(), plain.guess()) == (boundary != "valid")
    x, q = torch.rand(1, 1, 40, 44, dtype=torch.float64), torch.rand_like(y)
    assert all(torch.equal(a, b) for a, b in zip(chosen(x, q), plain(x, q), strict=True))
