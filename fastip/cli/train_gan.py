"""The commands ``fastip train gan | projector``: a generator of pictures, and the projector on its images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

import fastip

from ..errors import InvalidInput
from .console import err, out
from .options import numbers
from .train_prior import Accelerator, Devices, Output, Precision, Rate, SaveEvery, Seed, Steps

Pictures = Callable[[str], Any]  # data.Pictures
SETS: dict[str, tuple[int, int, Pictures]] = {  # colours, size, and the pictures of a split
    "digits": (1, 28, lambda split: fastip.data.Digits(split)),
    "fashion": (1, 28, lambda split: fastip.data.Fashion(split)),
    "avatars": (3, 64, lambda split: fastip.data.Avatars(split)),
    "photos": (3, 64, lambda split: fastip.data.Photographs(split, 64, reductions=(2, 3, 4, 6))),
}
# With the settings that each was published with, as far as they differ from those of fastip.train.gan.
NETS: dict[str, dict[str, Any]] = {
    "dcgan": {"loss": "bce"},
    "sagan": {"loss": "hinge", "learning_rate": 1e-4, "discriminator_rate": 4e-4, "betas": (0.0, 0.9)},
}
Crop = Annotated[
    int | None,
    typer.Option(help="Of a folder's images: the middle so many pixels; 108 for CelebA.", show_default=False),
]
Batch = Annotated[int | None, typer.Option(help="Pictures a step in each process.", show_default=False)]


def gan(
    output: Output,
    pictures: Annotated[
        str, typer.Option("--pictures", help=f"One of {', '.join(SETS)}, or a folder of images.")
    ] = "digits",
    net: Annotated[str, typer.Option(help=f"One of {', '.join(NETS)}; sagan for 64 x 64.")] = "dcgan",
    width: Annotated[int, typer.Option(help="Base width; 128 for the published DCGAN.")] = 64,
    latent: Annotated[int, typer.Option(help="Length of the latent vector.")] = 100,
    loss: Annotated[
        str | None,
        typer.Option(help="bce (for dcgan), hinge (for sagan), or wasserstein for sagan.", show_default=False),
    ] = None,
    crop: Crop = None,
    batch: Batch = None,
    steps: Steps = None,
    learning_rate: Rate = None,
    discriminator_rate: Annotated[
        float | None, typer.Option(help="The discriminator's learning rate.", show_default=False)
    ] = None,
    penalty: Annotated[
        float | None,
        typer.Option(help="Weight of |grad D(x)|^2 / 2 for real pictures, such as 10.", show_default=False),
    ] = None,
    betas: Annotated[str | None, typer.Option(help="Of the two Adams, such as 0.5,0.999.", show_default=False)] = None,
    seed: Seed = 0,
    save_every: SaveEvery = None,
    accelerator: Accelerator = "auto",
    devices: Devices = 1,
    precision: Precision = "32-true",
) -> None:
    """Train a generator of pictures against a discriminator. Called again after a stop, it goes on where it was."""
    colours, size, made = _set(pictures, crop)
    if net not in NETS:
        raise InvalidInput(f"--net is {net!r}; expected one of {', '.join(NETS)}")
    if net == "sagan" and size != 64:
        raise InvalidInput(f"--net sagan makes images of 64 x 64, and {pictures} are {size} x {size}; use --net dcgan")
    if net != "sagan" and loss == "wasserstein":
        raise InvalidInput(
            "--loss wasserstein needs a discriminator with spectral normalisation; use --net sagan, or --loss bce"
        )
    generator, discriminator = fastip.train.networks(
        net, colours=colours, size=size, width=width, latent=latent, seed=seed
    )
    given: dict[str, Any] = {
        "batch": batch,
        "steps": steps,
        "learning_rate": learning_rate,
        "save_every": save_every,
        "loss": loss,
        "discriminator_rate": discriminator_rate,
        "penalty": penalty,
    }
    given |= {"betas": None if betas is None else numbers(betas, "--betas", ",")}
    told: dict[str, Any] = {
        "seed": seed,
        "accelerator": accelerator,
        "devices": devices,
        "precision": precision,
        "output": output,
    } | NETS[net]
    about = told | {name: value for name, value in given.items() if value is not None}
    _run(
        output,
        "generator",
        lambda: fastip.train.gan(generator, discriminator, made("train"), validation=made("validation"), **about),
    )


def projector(
    generator: Annotated[Path, typer.Argument(help="The generator, from 'fastip train gan'.", show_default=False)],
    output: Output,
    pictures: Annotated[
        str | None,
        typer.Option("--pictures", help="Real pictures that it learns from too, as for gan.", show_default=False),
    ] = None,
    crop: Crop = None,
    corrector: Annotated[
        int | None,
        typer.Option(help="Width of a second network that corrects what the first made.", show_default=False),
    ] = None,
    corrections: Annotated[int, typer.Option(help="How often it corrects.")] = 1,
    noise: Annotated[
        str | None,
        typer.Option(help="LOW:HIGH, the levels of the noise that it projects from, in image units; or one."),
    ] = None,
    latent: Annotated[
        float | None, typer.Option(help="Weight of the distance of latent vectors.", show_default=False)
    ] = None,
    idempotence: Annotated[float, typer.Option(help="Weight of |P(P(w)) - P(w)|^2.")] = 0.0,
    orthogonality: Annotated[float, typer.Option(help="Weight of |J^T (w - P(w))|^2.")] = 0.0,
    batch: Batch = None,
    steps: Steps = None,
    learning_rate: Rate = None,
    seed: Seed = 0,
    save_every: SaveEvery = None,
    accelerator: Accelerator = "auto",
    devices: Devices = 1,
    precision: Precision = "32-true",
) -> None:
    """Train the projector on the images of a generator. Called again after a stop, it goes on where it was."""
    if pictures is None and crop is not None:
        raise InvalidInput(
            "--crop is for the images of --pictures, which is not given; the generator's own images have their size"
        )
    net = fastip.checkpoint.load_generator(generator)
    given = {
        "noise": _levels(noise),
        "latent": latent,
        "batch": batch,
        "steps": steps,
        "learning_rate": learning_rate,
        "save_every": save_every,
    }
    told: dict[str, Any] = {
        "seed": seed,
        "accelerator": accelerator,
        "devices": devices,
        "precision": precision,
        "output": output,
    }
    about = told | {"corrections": corrections} | {name: value for name, value in given.items() if value is not None}
    if corrector is not None:
        about["corrector"] = fastip.train.encoder(net, images=2, width=corrector, seed=seed)
    if pictures is not None:
        _, _, made = _set(pictures, crop)
        about |= {"images": made("train"), "validation": made("validation")}
    _run(
        output,
        "projector",
        lambda: fastip.train.projector(net, idempotence=idempotence, orthogonality=orthogonality, **about),
    )


def _levels(text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    levels = numbers(text, "--noise", ":")
    if len(levels) > 2:
        raise InvalidInput(f"--noise is {text!r}; expected a level such as 0.5, or a range such as 0:1")
    return levels[0], levels[-1]


def _set(name: str, crop: int | None) -> tuple[int, int, Pictures]:
    if name in SETS:
        if crop is not None:
            raise InvalidInput(f"--crop is for a folder of images, and {name} have their size; leave it out")
        return SETS[name]
    if not Path(name).is_dir():
        raise InvalidInput(f"--pictures is {name!r}; expected one of {', '.join(SETS)}, or a folder of images")
    return 3, 64, lambda split: fastip.data.FolderPictures(name, split, crop=crop)


def _run(output: Path, kind: str, work: Callable[[], Any]) -> None:
    before = output.exists()
    try:
        work()
    except KeyboardInterrupt:
        err.print("stopped: the same command goes on where it was")
        raise typer.Exit(130) from None
    out.print(f"{output}  {'was finished before' if before else 'is written'}", soft_wrap=True)
    training = fastip.checkpoint.read_record(output, kind)["training"]
    from rich.table import Table

    table = Table(show_header=False, box=None)
    table.add_row("training", f"{training['settings']['steps']} steps, {training['seconds']:.0f} s")
    if "scores" in training:
        what = (
            "Fréchet distance to the validation set" if kind == "generator" else "PSNR in dB of projected noisy images"
        )
        table.add_row(what, f"{training['scores']['score'][-1]:.2f}")
    out.print(table)
