"""fastip train gan | projector: what is typed reaches the training, and one clear line when it cannot."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from fastip import checkpoint, data, io, train
from fastip.cli import app, train_gan

GAN = ["--pictures", "shades", "--width", 2, "--latent", 5, "--steps", 3, "--batch", 4]


def shades(split: str) -> data.Stored:
    """Grey noise that no set has to be fetched for."""
    x = np.random.default_rng(len(split)).integers(0, 255, (9, 1, 28, 28), np.uint8)
    return data.Stored(x, np.zeros(9))


@pytest.fixture(autouse=True)
def _sets(monkeypatch):
    monkeypatch.setitem(train_gan.SETS, "shades", (1, 28, shades))


def fastip(*words):
    return CliRunner().invoke(app.app, ["train", *(str(w) for w in words)], env={"COLUMNS": "200"})


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_a_generator_and_its_projector_are_what_python_makes(tmp_path):
    path, projected = tmp_path / "g.safetensors", tmp_path / "p.safetensors"
    result = fastip("gan", *GAN, "--seed", 5, "--learning-rate", "1e-3", "--loss", "hinge", "-o", path)
    assert result.exit_code == 0 and "is written" in result.output and "Fréchet" in result.output, result.output
    networks = train.networks("dcgan", width=2, latent=5, seed=5)
    made = train.gan(
        *networks, shades("train"), loss="hinge", steps=3, batch=4, learning_rate=1e-3, seed=5, progress=False
    )
    assert same(checkpoint.load_generator(path), made)
    told = [
        "--steps",
        3,
        "--batch",
        4,
        "--noise",
        "0.1:0.6",
        "--latent",
        0.2,
        "--idempotence",
        0.1,
        "--pictures",
        "shades",
    ]
    told += ["--corrector", 3, "--corrections", 2]
    result = fastip("projector", path, *told, "-o", projected)
    assert result.exit_code == 0 and "PSNR" in result.output, result.output
    about = {
        "noise": (0.1, 0.6),
        "latent": 0.2,
        "idempotence": 0.1,
        "images": shades("train"),
        "validation": shades("validation"),
    }
    about |= {"corrector": train.encoder(made, images=2, width=3), "corrections": 2}
    assert same(
        checkpoint.load_projector(projected).net, train.projector(made, steps=3, batch=4, progress=False, **about).net
    )
    assert sorted(os.listdir(tmp_path)) == [
        f"{name}.{kind}" for name in "gp" for kind in ("json", "safetensors", "tensorboard")
    ]
    again = fastip("projector", path, *told, "-o", projected)
    assert again.exit_code == 0 and "was finished before" in again.output
    alone = fastip("projector", path, "--corrections", 2, "-o", tmp_path / "alone.safetensors")
    assert alone.exit_code == 2 and "corrections is 2, and there is no corrector" in alone.output


def test_a_folder_of_images_is_a_set(tmp_path):
    folder = tmp_path / "faces"
    folder.mkdir()
    for k in range(60):
        io.write_image(folder / f"{k}.png", torch.rand(1, 3, 80, 70))
    path = tmp_path / "g.safetensors"
    result = fastip(
        "gan", "--pictures", folder, "--crop", 66, "--width", 1, "--latent", 3, "--steps", 4, "--batch", 2, "-o", path
    )
    assert result.exit_code == 0, result.output
    middle = (
        train.networks("dcgan", colours=3, size=64, width=1, latent=3),
        data.FolderPictures(folder, "train", crop=66),
    )
    made = train.gan(*middle[0], middle[1], steps=4, batch=2, progress=False)
    assert same(checkpoint.load_generator(path), made) and made.shape == (3, 64, 64)


def test_a_sagan_is_trained_as_published_unless_told(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(train, "gan", lambda *networks, **told: seen.append(told))
    monkeypatch.setitem(train_gan.SETS, "colours", (3, 64, lambda split: None))
    monkeypatch.setattr(train_gan, "_run", lambda output, kind, work: work())
    for more in (
        [],
        [
            "--loss",
            "wasserstein",
            "--betas",
            "0.1,0.8",
            "--discriminator-rate",
            "1e-3",
            "--learning-rate",
            "2e-3",
            "--penalty",
            5,
        ],
    ):
        assert (
            fastip(
                "gan", "--pictures", "colours", "--net", "sagan", "--width", 2, *more, "-o", tmp_path / "g.safetensors"
            ).exit_code
            == 0
        )
    names = ("loss", "learning_rate", "discriminator_rate", "betas")
    assert [tuple(told[name] for name in names) for told in seen] == [
        ("hinge", 1e-4, 4e-4, (0.0, 0.9)),
        ("wasserstein", 2e-3, 1e-3, (0.1, 0.8)),
    ]
    assert "penalty" not in seen[0] and seen[1]["penalty"] == 5


@pytest.mark.parametrize(
    "words, message",
    [
        (
            ["gan", "--pictures", "faces"],
            "expected one of digits, fashion, avatars, photos, shades, or a folder of images",
        ),
        (["gan", *GAN, "--net", "stylegan"], "--net is 'stylegan'; expected one of dcgan, sagan"),
        (["gan", *GAN, "--net", "sagan"], "--net sagan makes images of 64 x 64"),
        (["gan", *GAN, "--loss", "wasserstein"], "needs a discriminator with spectral normalisation"),
        (["gan", *GAN, "--betas", "0.5"], "expected two numbers"),
        (["gan", *GAN, "--crop", 20], "--crop is for a folder of images"),
        (["gan", *GAN, "--loss", "least-squares"], "expected one of bce, hinge, wasserstein"),
        (["projector", "none.safetensors", "--crop", 20], "--crop is for the images of --pictures, which is not given"),
        (["projector", "none.safetensors"], "none.safetensors does not exist"),
    ],
)
def test_what_cannot_be(words, message, tmp_path):
    result = fastip(*words, "-o", tmp_path / "x.safetensors")
    assert result.exit_code == 2 and message in " ".join(result.output.split()), result.output
    assert not os.listdir(tmp_path)
