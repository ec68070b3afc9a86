"""Natural borders: a window of a larger scene, restored a little beyond and cut to the data."""

from __future__ import annotations

import math

import pytest
import torch

import fastip
from cases.tasks import small
from fastip import data, inverses, operators, priors, tasks
from fastip.errors import InvalidInput
from fastip.experiments.scores import psnr
from fastip.operators import psf
from fastip.tasks import borders


def scene(h, w, seed=0):
    """A photograph 1 3 h w."""
    pictures = pytest.importorskip("skimage.data")
    crop = pictures.astronaut()[20 : 20 + h, 100 + 7 * seed : 100 + 7 * seed + w]
    return torch.from_numpy(crop.copy()).movedim(-1, 0).float()[None] / 255


def test_it_is_what_tasks_for_photographs_choose():
    for name, chosen in (("sr2", {}), ("sr3", {}), ("sr4", {}), ("deblur", {"psf": "motion:9:45"})):
        problem = fastip.load_task(name, **chosen, prior="tv")
        assert problem.op.boundary == "valid" and problem.cut and isinstance(problem.inverse, inverses.Split)
        assert problem.inverse.data_beta is None
        usual = fastip.load_task(name, **chosen)
        assert usual.op.boundary == "valid" and usual.cut and not isinstance(usual.inverse, inverses.Split)
        circular = fastip.load_task(name, **chosen, prior="tv", boundary="circular")
        assert circular.op.boundary == "circular" and not circular.cut and circular.inverse == "auto"
        assert fastip.load_task(name, **chosen, boundary="valid").cut is False
        for prior in ("wavelet", "l1", "l2"):
            assert isinstance(fastip.load_task(name, **chosen, prior=prior).inverse, inverses.Split)


def test_what_it_is_for_networks(tmp_path):
    kinds = {"photo-sr4": "reflect", "photo-sr4-wide": "valid", "photo-deblur-motion": "valid"}
    for name, boundary in kinds.items():
        task = small(name, tmp_path)
        problem = task.problem()
        assert problem.op.boundary == boundary and problem.cut
        assert task.operator().boundary == "circular" and task.operator("natural").boundary == boundary
        y = torch.rand(1, 1, 6, 7)
        x = problem.solve(y).x
        assert x.shape == (1, 1, 6 * task.stride, 7 * task.stride) and x.is_contiguous()
        whole = task.problem(crop=False).solve(y).x
        assert torch.equal(tasks.under_data(whole, problem.op, tuple(y.shape)), x)
    assert small("digits-sr4", tmp_path).problem().op.boundary == "circular"


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 8])
def test_every_pixel_under_the_data_exists(size, stride):
    """Datum i is the weighted mean around pixel ``stride i`` of the result, which has ``stride`` times its size."""
    taps = torch.rand(size, size, generator=torch.Generator().manual_seed(size), dtype=torch.float64)
    op = borders.blurred(taps, stride, "natural")
    y = torch.rand(1, 2, 9, 11, dtype=torch.float64)
    x = torch.rand(op.input_shape(tuple(y.shape)), dtype=torch.float64)
    cut = tasks.under_data(x, op, tuple(y.shape))
    assert cut.shape[2:] == (9 * stride, 11 * stride)
    # what a border of zeros makes of the result itself is the same wherever no border is near
    near = -(-size // stride)
    inside = operators.Blur(taps, stride=stride, boundary="zero")(cut)[..., near:-near, near:-near]
    torch.testing.assert_close(inside, op(x)[..., near:-near, near:-near])


def test_a_frame_of_zeros_around_the_psf_changes_nothing():
    taps = torch.rand(3, 5, dtype=torch.float64)
    wide = torch.nn.functional.pad(taps, (4, 4, 2, 2))
    shifted = torch.nn.functional.pad(taps, (6, 2, 2, 2))  # its centre is another pixel
    plain, framed, moved = (borders.blurred(k, 1, "natural") for k in (taps, wide, shifted))
    assert torch.equal(plain.psf, framed.psf) and moved.psf.shape == (3, 9)
    x = torch.rand(1, 1, 30, 40, dtype=torch.float64)
    full = operators.Blur(shifted, boundary="circular")(x)
    torch.testing.assert_close(moved(x), full[..., 1:-1, 4:-4])


@pytest.mark.parametrize(("name", "kernel", "gain"), [("deblur", "motion:15:30", 4.0), ("sr2", "gaussian:9:1.6", 1.0)])
def test_a_window_is_restored_up_to_its_border(name, kernel, gain):
    """In dB over what was given, the frame of 8 pixels alone; a border that wraps is far behind there."""
    problem = fastip.load_task(name, psf=kernel, noise=0.01)
    x = tasks.fitted(scene(120, 132), problem.op)
    y = data.degrade(x, problem.op, 0.01)
    truth = tasks.under_data(x, problem.op, tuple(y.shape))
    frame = torch.ones_like(truth, dtype=torch.bool)
    frame[..., 8:-8, 8:-8] = False
    wraps = fastip.load_task(name, psf=kernel, noise=0.01, boundary="circular")
    plain = fastip.solvers.bicubic(y, 2) if name == "sr2" else y
    x, wrapped = problem.solve(y).x, wraps.solve(y).x
    errors = [float((z - truth)[frame].square().mean()) for z in (x, wrapped, plain)]
    own, other, given = (-10 * math.log10(error) for error in errors)
    assert own > other + 1.5 and own > given + gain / 4, (own, other, given)
    assert psnr(x, truth) > psnr(plain, truth) + gain / 2


def test_it_is_the_optimum_of_the_valid_problem():
    y = torch.rand(1, 1, 8, 9, dtype=torch.float64)
    problem = fastip.load_task("deblur", psf="disk:5:2", weight=1e-2, boundary="natural")
    exact = tasks.get("deblur").problem(psf="disk:5:2", weight=1e-2, tolerance=1e-5, iterations=1000).solve(y).x
    prior = priors.TV(1e-2) + priors.Box(0, 1)
    op = operators.Blur(psf.disk(5, 2), boundary="valid")
    known = fastip.admm(y, op, prior, inverse=inverses.ConjugateGradient(1e-8), iterations=1000, tolerance=1e-5).x

    def objective(x):
        return float((y - op(x)).square().sum() + prior.value(x).sum())

    whole = tasks.get("deblur").problem(psf="disk:5:2", weight=1e-2, tolerance=1e-5, iterations=1000, crop=False)
    assert objective(whole.solve(y).x) == pytest.approx(objective(known), rel=1e-3)
    assert torch.equal(tasks.under_data(whole.solve(y).x, op, tuple(y.shape)), exact)
    assert psnr(problem.solve(y).x, exact) > 30


@pytest.mark.parametrize("prior", ["tv", "wavelet"])
def test_a_psf_wider_than_the_picture_and_one_pixel(prior):
    for shape in ((1, 1), (5, 4)):
        y = torch.full((2, 3, *shape), 0.6)
        for name, chosen in (("deblur", {"psf": "gaussian:31:4"}), ("sr4", {}), ("sr3", {"psf": "disk:21:9"})):
            x = fastip.load_task(name, **chosen, prior=prior).solve(y).x
            stride = tasks.get(name).stride
            assert x.shape == (2, 3, stride * shape[0], stride * shape[1])
            # the means of wavelets have no weight: the tolerance of the solve alone holds them
            assert float((x - 0.6).abs().max()) < (0.03 if prior == "tv" else 0.1), (name, shape)
    with pytest.raises(InvalidInput, match="psf"):
        fastip.load_task("deblur", psf="gaussian:31:4", boundary="circular").solve(torch.rand(1, 1, 5, 5))


def test_a_cut_result_is_not_cut_again():
    problem = fastip.load_task("sr2")
    y = torch.rand(1, 1, 12, 10)
    x = problem.solve(y).x
    assert tasks.crop_valid(x, problem.op, (24, 20)) is x and tasks.under_data(x, problem.op, tuple(y.shape)) is x


@pytest.mark.parametrize(
    ("boundary", "message"),
    [
        ("naturel", "did you mean 'natural'"),
        ("wrap", "did you mean 'circular'"),
        ("symmetric", "did you mean 'reflect'"),
        ("nothing of the kind", "expected one of natural, circular"),
    ],
)
def test_unknown_boundaries(boundary, message):
    for name in ("sr4", "photo-sr4"):
        with pytest.raises(InvalidInput, match=message):
            fastip.load_task(name, boundary=boundary)


def test_the_operator_alone_has_no_such_border():
    with pytest.raises(InvalidInput, match=r'boundary="valid" and inverses\.Split'):
        operators.Blur(psf.disk(5, 2), boundary="natural")
