"""fastip train prior | unrolled | task, as typed.

What is typed reaches the training, what lands on disk, and one clear line when it cannot.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from fastip import checkpoint, data, nets, operators, priors, psf, train
from fastip.checkpoint import shipped
from fastip.cli import app, train_prior
from fastip.train.engine import long_training, loop
from fastip.train.engine.course import Course
from fastip.train.engine.run import quick_precision
from fastip.train.recipes import photo_denoiser, photo_restorer, workshop

PRIOR = ["--pictures", "shades", "--noise", "0.02:0.2", "--steps", 4, "--batch", 2, "--size", 24]
UNROLLED = [
    "--pictures",
    "shades",
    "--psf",
    "gaussian:3:1",
    "--stride",
    2,
    "--beta",
    "0.01,0.1",
    "--levels",
    "0.1,0.05,0.02",
    "--steps",
    3,
    "--batch",
    2,
]


def shades(split: str, size: int) -> data.Stored:
    """Smooth colours that no set has to be fetched for."""
    generator = torch.Generator().manual_seed(len(split))
    coarse = torch.rand(9, 3, 4, 4, generator=generator)
    x = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic").clamp(0, 1)
    return data.Stored((255 * x).numpy().astype(np.uint8), np.zeros(len(x)))


@pytest.fixture(autouse=True)
def _sets(monkeypatch):
    monkeypatch.setitem(train_prior.PICTURES, "shades", (3, shades))
    monkeypatch.setitem(
        train_prior.NETS,
        "small",
        lambda c, d, s: nets.PixelShuffleAutoencoder(
            colours=c, factor=2, widths=(8,), blocks=(1,), data_colours=d, stride=s
        ),
    )


def fastip(*words):
    return CliRunner().invoke(app.app, ["train", *(str(w) for w in words)], env={"COLUMNS": "200"})


def test_a_denoiser_is_what_python_makes(tmp_path):
    path = tmp_path / "d.safetensors"
    result = fastip("prior", *PRIOR, "--net", "small", "--seed", 5, "--norm", 2, "--learning-rate", "2e-3", "-o", path)
    assert result.exit_code == 0 and "is written" in result.output and "0.02 to 0.2" in result.output, result.output
    torch.manual_seed(5)
    net = nets.PixelShuffleAutoencoder(factor=2, widths=(8,), blocks=(1,))
    told = {
        "noise": (0.02, 0.2),
        "steps": 4,
        "batch": 2,
        "seed": 5,
        "norm": 2,
        "learning_rate": 2e-3,
        "progress": False,
    }
    same = train.prior(net, shades("train", 24), **told)
    made = checkpoint.load_prior(path)
    assert made.trained == same.trained and all(
        torch.equal(a, b) for a, b in zip(made.net.state_dict().values(), same.net.state_dict().values(), strict=True)
    )
    assert sorted(os.listdir(tmp_path)) == ["d.json", "d.safetensors", "d.tensorboard"]
    scores = json.loads((tmp_path / "d.json").read_text())["training"]["scores"]["score"]
    assert f"PSNR {scores[-1]:.2f} dB" in result.output
    again = fastip("prior", *PRIOR, "--net", "small", "--seed", 5, "--norm", 2, "--learning-rate", "2e-3", "-o", path)
    assert again.exit_code == 0 and "was finished before" in again.output


def test_a_denoiser_is_tuned_through_the_solver_and_learns_to_see_the_data(tmp_path):
    start, path = tmp_path / "d.safetensors", tmp_path / "u.safetensors"
    assert fastip("prior", *PRIOR, "--net", "small", "-o", start).exit_code == 0
    result = fastip("unrolled", start, *UNROLLED, "--conditioned", "--data-noise", 0.01, "--size", 24, "-o", path)
    assert result.exit_code == 0 and "is written" in result.output, result.output
    made = checkpoint.load_prior(path)
    op = operators.Blur(psf.gaussian(3, sigma=1.0), stride=2)
    assert (
        made.trained.schedule == ((0.01, 0.1), (0.1, 0.05), (0.1, 0.02))
        and made.net.data_colours == 3
        and made.net.stride == 2
    )
    told = {
        "beta": (0.01, 0.1),
        "levels": (0.1, 0.05, 0.02),
        "iterations": 3,
        "steps": 3,
        "batch": 2,
        "data_noise": 0.01,
        "progress": False,
    }
    same = train.unrolled(
        checkpoint.load_prior(start).net.conditioned(data_colours=3, stride=2), shades("train", 24), op, **told
    )
    assert all(
        torch.equal(a, b) for a, b in zip(made.net.state_dict().values(), same.net.state_dict().values(), strict=True)
    )


def test_data_for_the_denoiser(tmp_path):
    result = fastip(
        "prior",
        *PRIOR,
        "--net",
        "small",
        "--psf",
        "gaussian:3:1",
        "--stride",
        2,
        "--data-noise",
        0.01,
        "-o",
        tmp_path / "d.safetensors",
    )
    assert result.exit_code == 0, result.output
    made = checkpoint.load_prior(tmp_path / "d.safetensors")
    assert made.net.conditional and made.net.stride == 2 and made.trained.data is not None


@pytest.mark.parametrize("kind", ["autoencoder", "paper", "nonexpansive"])
def test_every_net_can_be_chosen(tmp_path, kind):
    data_options = ["--psf", "gaussian:3:1", "--stride", 4] if kind == "paper" else []
    result = fastip(
        "prior", *PRIOR, "--net", kind, *data_options, "--size", 32, "--steps", 1, "-o", tmp_path / "d.safetensors"
    )
    assert result.exit_code == 0, result.output


BAD = {
    "pictures": (["--pictures", "photographs"], "--pictures is 'photographs'"),
    "net": (["--net", "resnet"], "--net is 'resnet'"),
    "noise": (["--noise", "small"], "--noise is 'small'"),
    "noise of three": (["--noise", "1:2:3"], "--noise is '1:2:3'"),
    "noise reversed": (["--noise", "0.2:0.1"], "levels are"),
    "steps": (["--steps", 0], "steps is 0"),
    "psf": (["--psf", "gausian:5:1"], "did you mean"),
    "weight": (["--comparator", -1], "comparator is -1"),
    "folder": (["-o", "no/c.safetensors"], "create it first"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_options_are_one_clear_line_before_any_work(tmp_path, monkeypatch, case):
    options, message = BAD[case]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(loop, "fit", lambda *arguments: pytest.fail("trained in vain"))
    result = fastip("prior", *PRIOR, "-o", "d.safetensors", *options)
    assert result.exit_code == 2 and message in result.output, result.output
    assert result.output.startswith("error: ") and result.output.count("\n") == 1
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--beta", "x"], "--beta is 'x'"),
        (["--levels", "0.1,0"], "levels is 0"),
        (["--boundary", "mirror"], "boundary is 'mirror'"),
    ],
)
def test_bad_schedules(tmp_path, options, message):
    start = tmp_path / "d.safetensors"
    assert fastip("prior", *PRIOR, "--net", "small", "--steps", 1, "-o", start).exit_code == 0
    result = fastip("unrolled", start, *UNROLLED, *options, "-o", tmp_path / "u.safetensors")
    assert result.exit_code == 2 and message in result.output and result.output.count("\n") == 1, result.output


def test_a_start_that_cannot_be_conditioned(tmp_path):
    start = tmp_path / "d.safetensors"
    assert fastip("prior", *PRIOR, "--net", "nonexpansive", "--steps", 1, "-o", start).exit_code == 0
    result = fastip("unrolled", start, *UNROLLED, "--conditioned", "-o", tmp_path / "u.safetensors")
    assert result.exit_code == 2 and "NonexpansiveDenoiser" in result.output


# ---- the recipes -----------------------------------------------------------------------------------------------------

WEIGHTS = Path(train_prior.__file__).parents[1] / "weights"
SHIPPED = {
    path.stem: path for folder in ("priors", "restorers", "tasks") for path in (WEIGHTS / folder).glob("*.safetensors")
}


START = "photo-denoiser-small"  # where the photo tasks start; its weights are not shipped


def test_there_is_a_recipe_for_every_shipped_network():
    assert set(train.RECIPES) == set(SHIPPED) | {START} | {f"{name}-projector" for name in shipped.names("projectors")}


@pytest.mark.parametrize("name", sorted(set(SHIPPED) - {photo_denoiser.NAME, photo_restorer.NAME}))
def test_the_recipe_is_what_made_the_weights(tmp_path, monkeypatch, name):
    """With the shipped files in the folder the recipe has nothing to do.

    It refuses them if its settings are not theirs.
    """
    for stem, path in SHIPPED.items():
        (tmp_path / f"{stem}.safetensors").write_bytes(path.read_bytes())
    seen = json.loads(SHIPPED[name].with_suffix(".json").read_text())["training"]["settings"]["images"]
    started = {
        stem: json.loads(path.with_suffix(".json").read_text())["training"]["settings"]["images"]
        for stem, path in SHIPPED.items()
    }

    def described(pictures):
        """The set as it was.

        Without the pictures themselves, which are not here, only its kind and the size of a patch can be compared.
        """
        size = pictures.size if isinstance(pictures, Recorded) else None
        return next(
            (
                images
                for images in (seen, *started.values())
                if images["set"] == pictures.kind and size in (None, images["shape"][-1])
            ),
            {},
        )

    class Recorded(data.Pictures):
        def __init__(self, kind, size):
            self.kind, self.size = kind, size

        def __len__(self):
            return 1

        def batch(self, indices):
            raise AssertionError("looked at in vain")

    for kind in ("Photographs", "Digits", "Fashion", "Avatars", "Faces"):
        monkeypatch.setattr(data, kind, lambda split, size=None, kind=kind, **rest: Recorded(kind, size))
    monkeypatch.setattr(sys.modules["fastip.train.prior"], "described", described)
    monkeypatch.setattr(loop, "fit", lambda *arguments: pytest.fail("the recipe is not that of the shipped weights"))
    solver, denoiser = workshop.Workshop.solver, workshop.Workshop.denoiser

    def small(shop, task, net, *arguments, **settings):
        """The start of the photo tasks is not shipped; it has the structure that it is given."""
        return (
            priors.PixelShuffleAutoencoder(net) if task == START else denoiser(shop, task, net, *arguments, **settings)
        )

    def known(shop, task, *arguments, output=None, **settings):
        """A training before the last is not shipped; its network has the structure of the last one's."""
        return checkpoint.load_prior(SHIPPED[task]) if output else solver(shop, task, *arguments, **settings)

    monkeypatch.setattr(workshop.Workshop, "solver", known)
    monkeypatch.setattr(workshop.Workshop, "denoiser", small)
    made = train.task(name, tmp_path, progress=False)
    there = checkpoint.load_prior(SHIPPED[name])
    assert made.trained == there.trained and type(made.net) is type(there.net)


def recorded(monkeypatch, name, tmp_path):
    """The settings with which a recipe would train, and no training."""
    monkeypatch.setattr(data, "Photographs", lambda split, size: Shown(size))
    monkeypatch.setattr(photo_denoiser, "training_pictures", lambda: Shown(128))
    monkeypatch.setattr(data, "validation_photographs", lambda: [])
    monkeypatch.setattr(data, "ReducedPhotographs", lambda split, size, sets: Shown(size))
    monkeypatch.setattr(Course, "run", lambda course, work, make: course)
    return json.loads(json.dumps(train.task(name, tmp_path, progress=False).record))


class Shown(data.Pictures):
    def __init__(self, size):
        self.size = size

    def __len__(self):
        return 8

    def batch(self, indices):
        return torch.zeros(len(indices), 3, self.size, self.size)


@pytest.mark.parametrize("name", [photo_denoiser.NAME, photo_restorer.NAME])
def test_the_long_recipe_is_what_made_the_weights(monkeypatch, tmp_path, name):
    asked = recorded(monkeypatch, name, tmp_path)
    kept = json.loads(SHIPPED[name].with_suffix(".json").read_text())["training"]["settings"]
    assert kept.pop("images")["set"] == "ReducedPhotographs" and asked.pop("images")
    assert kept.pop("precision") in ("32-true", "bf16-mixed")  # that of the machine
    assert asked.pop("precision") == quick_precision()
    assert kept == asked


def test_the_start_of_the_photo_tasks_is_trained_as_it_was(monkeypatch, tmp_path):
    asked = recorded(monkeypatch, START, tmp_path)
    net = {"colours": 3, "factor": 1, "widths": [16, 32, 64], "blocks": [1, 1, 2], "data_colours": 0, "stride": 1}
    assert asked.pop("images")["shape"] == [3, 128, 128]
    assert asked == {
        "kind": "denoising",
        "net": {"name": "PixelShuffleAutoencoder", "config": net},
        "operator": None,
        "levels": [0.005, 0.25],
        "schedule": [],
        "data_noise": 0.0,
        "batch": 8,
        "steps": 2600,
        "norm": 1,
        "learning_rate": 0.001,
        "average": 0.999,
        "clip": 1.0,
        "seed": 0,
        "devices": 1,
        "precision": "bf16-mixed",
    }


def test_where_a_task_begins(monkeypatch, tmp_path):
    """--from reaches the long training or the recipe; what cannot be is refused."""
    called = []
    monkeypatch.setattr(train_prior, "_run", lambda output, work: (called.append(output), work()))
    monkeypatch.setattr(long_training, "go_on", lambda name, **told: called.append({"name": name} | told))
    monkeypatch.setattr(train, "task", lambda name, folder, **told: called.append((name, folder)))
    monkeypatch.setenv("FASTIP_CACHE", str(tmp_path))
    long = tmp_path / "training" / "photo-denoiser" / "photo-denoiser.safetensors"
    assert fastip("task", "photo-denoiser").exit_code == 0 and called == [
        long,
        {"name": "photo-denoiser", "accelerator": "auto"},
    ]
    assert fastip("task", "photo-denoiser", "--from", "shipped").exit_code == 0 and called[2] == long
    for words in (("--steps", 3), ("-o", tmp_path)):  # of a training of its own
        result = fastip("task", "photo-denoiser", *words)
        assert result.exit_code == 2 and "add --from nothing" in result.output and len(called) == 4
    called.clear()
    assert fastip("task", "photo-denoiser", "--from", "nothing", "-o", tmp_path).exit_code == 0
    assert called == [tmp_path / "photo-denoiser.safetensors", ("photo-denoiser", tmp_path)]
    assert fastip("task", "digits-sr4", "--from", "nothing", "-o", tmp_path).exit_code == 0
    for words in (("photo-denoiser", "--from", "elsewhere"), ("digits-sr4", "--from", "shipped")):
        result = fastip("task", *words)
        assert result.exit_code == 2 and f"--from is '{words[2]}'; expected nothing" in result.output


def test_a_training_that_runs_already_is_said_and_left_alone(monkeypatch, tmp_path):
    def busy(name, **told):
        raise long_training.Busy("process 7 is at this training already; stop that one first, or leave it at work")

    monkeypatch.setenv("FASTIP_CACHE", str(tmp_path))
    monkeypatch.setattr(long_training, "go_on", busy)
    result = fastip("task", "photo-denoiser")
    assert result.exit_code == 0 and "process 7 is at this training already" in result.output


def test_export_says_what_it_found(monkeypatch, tmp_path):
    scores = {
        "columns": ("noise 15", "noise 25", "noise 50"),
        "shipped": {"validation": [32.0, 29.0, 26.0], "test": [32.5, 30.0, 27.0]},
        "trained": {"validation": [33.0, 30.0, 27.0], "test": [34.0, 31.0, 28.0]},
    }
    monkeypatch.setattr(
        long_training,
        "export",
        lambda name, output, say: long_training.Exported(
            9, 7200.0, **scores, written=output / "photo-denoiser.safetensors"
        ),
    )
    result = fastip("export", "photo-denoiser", "-o", tmp_path)
    assert (
        result.exit_code == 0
        and "33.00 / 30.00 / 27.00" in result.output
        and "step 9, 2.00 h" in result.output
        and "is written" in result.output
    )
    monkeypatch.setattr(
        long_training, "export", lambda name, output, say: long_training.Exported(9, 7200.0, **scores, written=None)
    )
    assert "nothing is written" in fastip("export", "photo-denoiser", "-o", tmp_path).output
    result = fastip("export", "photo-denoiser", "-o", tmp_path / "none")
    assert result.exit_code == 2 and "give the one for the weights: -o FOLDER" in result.output
    result = fastip("export", "digits-sr4")
    assert result.exit_code == 2 and "no long training 'digits-sr4'" in result.output


@pytest.mark.parametrize("name", shipped.names("projectors"))
def test_the_recipe_is_what_made_the_projector(tmp_path, monkeypatch, name):
    """Its trainings have the settings of the logs beside the weights.

    That is all settings but what came out of a training before, which is kept in half precision.
    """
    logs = {
        stem: json.loads((WEIGHTS / "projectors" / f"{stem}.json").read_text())["training"]["settings"]
        for stem in (f"{name}-generator", name)
    }
    settings = {}

    def take(course, work, make):
        settings[course.output.stem] = course.record
        return shipped.generator(name) if course.kind == "generator" else shipped.projector(name)

    class Recorded(data.Pictures):
        def __init__(self, split):
            self.split = split

        def __len__(self):
            return 2  # as many as a score compares

        def batch(self, indices):
            return torch.zeros(len(indices), *shipped.projector(name).net.shape)

    for kind in ("Digits", "Fashion", "Avatars"):
        monkeypatch.setattr(data, kind, Recorded)
    monkeypatch.setattr(Course, "run", take)
    train.task(f"{name}-projector", tmp_path, progress=False)
    for stem, output in ((f"{name}-generator", f"{name}-generator"), (name, f"{name}-projector")):
        kept, asked = (dict(record) for record in (logs[stem], json.loads(json.dumps(settings[output]))))
        assert kept.pop("images")["set"].lower() == name and asked.pop("images")
        for part in ("generator", "encoder", "corrector") if stem == name else ():
            assert kept[part].pop("start") and asked[part].pop("start")
        assert kept == asked


def test_a_projector_is_trained_by_its_recipe(tmp_path, monkeypatch):
    """The generator, the encoder alone, then both encoders, twice: each beside its file."""
    noise = np.random.default_rng(0).integers(0, 255, (40, 1, 28, 28), np.uint8)
    monkeypatch.setattr(data, "Digits", lambda split: data.Stored(noise, np.zeros(40)))
    result = fastip("task", "digits-projector", "--steps", 1, "-o", tmp_path)
    assert result.exit_code == 0 and "1 steps" in result.output and "PSNR" in result.output, result.output
    assert {path.stem for path in tmp_path.glob("*.safetensors")} == {
        "digits-generator",
        "digits-encoder",
        "digits-corrected",
        "digits-projector",
    }
    made = checkpoint.load_projector(tmp_path / "digits-projector.safetensors").net
    assert made.corrector.width == 32 and made.corrections == 3 and made.generator.width == made.encoder.width == 64
    again = fastip("task", "digits-projector", "--steps", 1, "-o", tmp_path)
    assert again.exit_code == 0 and "was finished before" in again.output


def test_an_unknown_recipe(tmp_path):
    result = fastip("task", "photo-sr5", "-o", tmp_path)
    assert result.exit_code == 2 and "there is no recipe 'photo-sr5'" in result.output
