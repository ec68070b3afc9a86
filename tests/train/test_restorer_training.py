"""Training a restorer: the data that degradations make, the problems of photographs, the loss, parts and results."""

from __future__ import annotations

import io
import json
import math
import os
import signal
from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image

import fastip
from cases.photographs import Shades, shade, small
from fastip import checkpoint, operators, psf, train
from fastip.errors import InvalidInput, UnknownKeyword
from fastip.restorer import Distribution, Restorer
from fastip.train import degradation
from fastip.train.degradation import Degradation, Example, drawn, example
from fastip.train.losses.restoring import Restoring, examples, looked_at, score
from fastip.train.recipes import photo_restorer
from fastip.train.recipes.photo_degradations import NOISIEST, WIDEST, PhotoDegradations

BLUR = operators.Blur(psf.gaussian(3, 0.8), boundary="valid")
KNOWN = Distribution(0.06, 9, "shades")


def draw(generator: torch.Generator) -> tuple[operators.Operator, float]:
    return BLUR, 0.02 + 0.02 * float(torch.rand((), generator=generator))


def pictures(count=2, size=40):
    return torch.stack([shade(k, size) for k in range(count)])


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


# ---- data ------------------------------------------------------------------------------------------------------------


def test_noise_and_eight_bits():
    x = 0.2 + 0.6 * pictures()
    x_, y, op, told = example(x, Degradation(BLUR, 0.03), generator())
    assert op is BLUR and told == 0.03 and torch.equal(x_, x) and y.shape == (2, 3, 38, 38)
    assert torch.equal((255 * y).round() / 255, y)
    assert float((y - BLUR(x)).std()) == pytest.approx(0.03, rel=0.03)
    plain = example(x, Degradation(BLUR, 0.0), generator())
    assert float((plain.y - BLUR(x)).abs().max()) <= 0.5001 / 255
    assert plain.noise == pytest.approx(float(fastip.noise_level(plain.y).mean()))


@pytest.mark.parametrize("channels", [1, 3])
def test_coded_data_are_what_pillow_makes(channels):
    x = pictures(2)[:, :channels]
    _, y, _, told = example(x, Degradation(operators.Identity(), 0.0, 80), generator())
    for k in range(2):
        array = (255 * x[k]).round().byte().permute(1, 2, 0).numpy()
        file = io.BytesIO()
        Image.fromarray(array.squeeze()).save(file, "JPEG", quality=80)
        again = np.array(Image.open(file), dtype=np.float32).reshape(array.shape) / 255
        np.testing.assert_allclose(y[k].permute(1, 2, 0).numpy(), again, atol=1e-6)
    assert told == pytest.approx(float(fastip.noise_level(y).mean())) and float((y - x).abs().max()) > 1 / 255


@pytest.mark.parametrize(
    ("op", "shape", "expected"),
    [
        (operators.Resize(4), (41, 46), (40, 44)),
        (operators.Resize(1.5), (40, 43), (39, 42)),
        (operators.Blur(psf.box(3), stride=2, boundary="valid"), (40, 39), (39, 39)),
        (BLUR, (20, 31), (20, 31)),
    ],
)
def test_pictures_are_trimmed_to_what_an_operator_takes(op, shape, expected):
    x = torch.rand(1, 3, *shape)
    found, y, *_ = example(x, Degradation(op, 0.01), generator())
    assert torch.equal(found, x[..., : expected[0], : expected[1]])
    assert tuple(op.input_shape(tuple(y.shape))) == tuple(found.shape)


def test_pictures_that_no_trimming_helps():
    with pytest.raises(InvalidInput, match="takes no pictures of 9 x 9 pixels"):
        example(torch.rand(1, 3, 9, 9), Degradation(operators.Blur(psf.box(11), boundary="valid"), 0.0), generator())


@pytest.mark.parametrize("bad", [None, (BLUR,), (0.1, BLUR), (BLUR, -0.1), (BLUR, 0.1, 101), (BLUR, 0.1, 0)])
def test_what_a_draw_must_not_give(bad):
    with pytest.raises(InvalidInput):
        drawn(lambda generator: bad, generator())


# ---- the problems of photographs -------------------------------------------------------------------------------------


def test_the_problems_of_photographs_are_within_their_bounds():
    """250 of them: all kinds come, each can be made and repeated, none is outside what the restorer says it knows."""
    own, kinds, boundaries = PhotoDegradations(48), Counter(), Counter()
    for seed in range(250):
        op, noise, quality = drawn(own, generator(seed))
        again = drawn(own, generator(seed))
        assert again.op.fingerprint() == op.fingerprint() and again[1:] == (noise, quality)
        assert photo_restorer.known().outside(op, noise) is None
        assert noise == 0 or 0.4 / 255 < noise <= NOISIEST
        assert quality is None or (75 <= quality <= 100 and noise < 1.5 / 255)
        kinds[type(op).__name__] += 1
        convolution = op.convolution()
        if isinstance(op, operators.Blur):
            assert convolution is not None
            assert max(convolution.psf.shape) <= WIDEST and float(convolution.psf.sum()) == pytest.approx(1)
            boundaries[convolution.boundary, convolution.stride > 1] += 1
        kinds["coded"] += quality is not None
    shares = {"Blur": 0.55, "Resize": 0.25, "Identity": 0.1, "Mask": 0.1}
    assert all(abs(kinds[name] / 250 - share) < 0.1 for name, share in shares.items()) and kinds["coded"] > 15
    assert len(boundaries) == 4 and min(boundaries.values()) > 5


def test_every_psf_that_can_be_drawn_exists():
    """The narrowest camera shakes of every stride: 300 blurs, none refused."""
    from fastip.train.recipes.photo_degradations import _blurred, _Dice

    for seed in range(300):
        assert min(_blurred(_Dice(generator(seed)), 2 + seed % 2).convolution().psf.shape) >= 4


def test_round_psfs_have_the_widths_that_were_drawn():
    """Second moments of Gaussians: both between the bounds, their ratio up to nine, any direction."""
    seen = []
    from fastip.train.recipes.photo_degradations import _Dice, _round

    for seed in range(40):
        taps = _round(_Dice(generator(seed)), 41, 1.0, 3.0)
        r = torch.arange(len(taps), dtype=torch.float64) - len(taps) // 2
        moments = torch.tensor(
            [[(taps * r[:, None] ** 2).sum(), (taps * r[:, None] * r).sum()], [0, (taps * r**2).sum()]]
        )
        moments[1, 0] = moments[0, 1]
        seen.append(torch.linalg.eigvalsh(moments.double()).sqrt())
    widths = torch.stack(seen)
    assert 0.9 < float(widths.min()) and float(widths.max()) < 3.1 and float((widths[:, 1] / widths[:, 0]).max()) > 1.5


# ---- what is minimised -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("boundary", ["valid", "circular"])
def test_the_loss_is_that_of_the_restorer(boundary):
    """Where there are data alone: the frame that a valid border restores beside them does not count."""
    op = operators.Blur(psf.shake(7, 1), boundary=boundary)
    x, y, _, noise = example(pictures(2, 24), Degradation(op, 0.02), generator())
    found = Restorer(small(), iterations=3, dtype=torch.float32).solve(y, op, noise).x
    inside = (..., slice(3, 21), slice(3, 21)) if boundary == "valid" else ...
    loss = Restoring(small(), 3, 0.9)(x, y, op, noise)
    ratios = [fastip.metrics.psnr(found[k : k + 1][inside], x[k : k + 1][inside]).item() for k in range(2)]
    assert min(ratios) < 40 and -10 / math.log(10) * loss.item() == pytest.approx(sum(ratios) / 2, abs=0.1)
    squares = (found - x)[inside].square().mean(dim=(1, 2, 3)) + 1e-5
    assert loss.item() == pytest.approx(float(squares.log().mean()), rel=1e-5)
    loss.backward()
    assert torch.equal(looked_at(x, y, op), x[inside])


def test_the_gradient_by_differences():
    x, y, op, noise = example(pictures(1, 16).double(), Degradation(BLUR, 0.05), generator())
    objective = Restoring(small().double(), 2, 0.9)
    objective(x, y, op, noise).backward()
    for parameter in list(objective.net.parameters())[:4]:
        index = int(parameter.grad.abs().argmax())
        slope = float(parameter.grad.view(-1)[index])
        values = []
        for step in (1e-6, -2e-6):
            with torch.no_grad():
                parameter.view(-1)[index] += step
                values.append(float(objective(x, y, op, noise)))
        assert slope == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-3, abs=1e-8)


def test_the_score_is_the_psnr_of_the_average():
    seen = examples([pictures(1, 24), pictures(1, 31)], draw, 3)
    objective = Restoring(small(), 2, 0.9)
    with torch.no_grad():
        for parameter in objective.net.parameters():
            parameter.fill_(7.0)  # the average alone is scored
    restorer = Restorer(small(), iterations=2, dtype=torch.float32)
    ratios = []
    for x, y, op, noise in seen:
        found = looked_at(restorer.solve(y, op, noise).x.clamp(0, 1), y, op)
        ratios.append(float(fastip.metrics.psnr(found, looked_at(x, y, op))))
    assert score(objective, seen)[0] == pytest.approx(sum(ratios) / 2, abs=1e-3)
    again = examples([pictures(1, 24), pictures(1, 31)], draw, 3)
    assert all(torch.equal(one.y, two.y) for one, two in zip(seen, again, strict=True))


# ---- trainings -------------------------------------------------------------------------------------------------------

ABOUT = {"iterations": 2, "batch": 2, "steps": 8, "progress": False, "trained": KNOWN}


def weights(restorer):
    return restorer.net.state_dict()


def same(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def test_it_learns_and_is_kept(tmp_path):
    path, net = tmp_path / "r.safetensors", small()
    losses, longer = [], {"steps": 60, "learning_rate": 3e-3, "average": 0.9}
    made = train.restorer(
        net,
        Shades(24),
        draw,
        output=path,
        validation=Shades(20),
        report=lambda step, loss: losses.append(loss),
        **ABOUT | longer,
    )
    assert sum(losses[-10:]) < 0.9 * sum(losses[:10]) and same(net.state_dict(), small().state_dict())
    kept = fastip.load_restorer(path)
    assert same(weights(kept), weights(made)) and kept.iterations == 2 and kept.trained == KNOWN
    log = json.loads((tmp_path / "r.json").read_text())["training"]
    assert log["settings"]["draw"] == "draw" and log["settings"]["iterations"] == 2
    assert log["scores"]["score"][-1] > log["scores"]["score"][0]
    again = train.restorer(small(), Shades(24), draw, output=path, **ABOUT | longer)
    assert same(weights(again), weights(made))  # finished: nothing is trained
    with pytest.raises(InvalidInput, match="learning_rate|other settings|settings"):
        train.restorer(small(), Shades(24), draw, output=path, **ABOUT)


def test_stopped_and_resumed_to_the_same_bits(tmp_path):
    whole = train.restorer(small(), Shades(16), draw, **ABOUT)

    def stop(done, loss):
        if done == 4:
            os.kill(os.getpid(), signal.SIGINT)

    path = tmp_path / "r.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train.restorer(small(), Shades(16), draw, output=path, report=stop, **ABOUT)
    assert not path.exists()
    assert same(weights(train.restorer(small(), Shades(16), draw, output=path, **ABOUT)), weights(whole))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"net": torch.nn.Identity()}, "expected a network of fastip.nets"),
        ({"images": [1]}, "expected pictures of fastip.data"),
        ({"draw": lambda generator: None}, "expected \\(operator, noise\\)"),
        ({"iterations": 0}, "iterations"),
        ({"average": 1.0}, "average"),
        ({"trained": "shades"}, "Distribution"),
    ],
)
def test_what_is_refused(changed, message):
    given = {"net": small(), "images": Shades(16), "draw": draw} | ABOUT | changed
    with pytest.raises(InvalidInput, match=message):
        train.restorer(given.pop("net"), given.pop("images"), given.pop("draw"), **given)
    with pytest.raises(UnknownKeyword):
        train.restorer(small(), Shades(16), draw, levels=(1,))


def test_the_recipe_of_photographs(tmp_path, monkeypatch):
    """Begun with the denoiser, on problems of the size of the pictures, kept in float16, scored by kind."""
    monkeypatch.setattr(photo_restorer, "denoiser", small)
    path = tmp_path / "p.safetensors"
    validation = [shade(-k, 48)[None, :, : 44 + k] for k in range(1, 9)]
    made = photo_restorer.train_photo_restorer(
        path, pictures=Shades(48), validation=validation, steps=3, batch=1, iterations=2, look_every=2, progress=False
    )
    assert made.trained == photo_restorer.known() and made.iterations == 2
    settings = checkpoint.read_record(path, "restorer")["training"]["settings"]
    assert settings["kind"] == "photo-restorer" and settings["draw"] == "PhotoDegradations(size=48)"
    problems = photo_restorer.problems(validation)
    scores = photo_restorer.psnr(made, problems)
    assert len(scores) == len(photo_restorer.KINDS) and all(isinstance(one, Example) for one in problems)
    assert [type(p.op).__name__ for p in problems[4:6]] == ["Identity", "Mask"]
    kinds = {photo_restorer.KINDS["Blur Resize Identity Mask".split().index(type(p.op).__name__)] for p in problems}
    assert {kind for kind, value in zip(photo_restorer.KINDS, scores, strict=True) if value == value} == kinds
    assert degradation.TRIMMED >= 16
