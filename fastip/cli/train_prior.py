"""The commands ``fastip train prior | unrolled | task``: fit the network of a prior to pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import fastip

from ..errors import InvalidInput
from .choices import BOUNDARY, LONG, PSF, RECIPES
from .console import err, out
from .options import numbers
from .psf_file import Background, Centre, read_given, read_psf

if TYPE_CHECKING:
    from rich.table import Table

Pictures = Callable[[str, int], Any]  # data.Pictures
# Colours, and the set of a split with patches of this size where it has sizes.
PICTURES: dict[str, tuple[int, Pictures]] = {
    "photos": (3, lambda split, size: fastip.data.Photographs(split, size)),
    "avatars": (3, lambda split, size: fastip.data.Avatars(split)),
    "digits": (1, lambda split, size: fastip.data.Digits(split)),
    "fashion": (1, lambda split, size: fastip.data.Fashion(split)),
    "faces": (1, lambda split, size: fastip.data.Faces(split)),
}
# From colours, and channels and stride of the data that it takes, 0 for none.
NETS: dict[str, Callable[[int, int, int], Any]] = {
    "autoencoder": lambda c, d, s: fastip.nets.PixelShuffleAutoencoder(colours=c, data_colours=d, stride=s),
    "paper": lambda c, d, s: fastip.nets.PaperPixelShuffleAutoencoder(colours=c, data_colours=d, stride=s),
    "nonexpansive": lambda c, d, s: fastip.nets.NonexpansiveDenoiser(colours=c),
    "digits": lambda c, d, s: fastip.nets.DigitAutoencoder(),
}

Output = Annotated[
    Path,
    typer.Option("--output", "-o", help="The .safetensors file to write; its log goes beside it.", show_default=False),
]
Set = Annotated[str, typer.Option("--pictures", help=f"One of {', '.join(PICTURES)}; see 'fastip data list'.")]
Size = Annotated[int, typer.Option(help="Side of the patches of photographs.")]
Psf = Annotated[
    str | None,
    typer.Option(
        help="The network also takes data, blurred by it: gaussian:9:1.6, motion:9:45, ...", show_default=False
    ),
]
Stride = Annotated[int, typer.Option(help="The pixels 0::STRIDE of the data are kept.")]
DataNoise = Annotated[float, typer.Option(help="Standard deviation of the noise in the data.")]
Batch = Annotated[int | None, typer.Option(help="Pictures a step in each process.", show_default=False)]
Steps = Annotated[int | None, typer.Option(help="Steps of Adam.", show_default=False)]
Norm = Annotated[int, typer.Option(help="1: mean of absolute differences; 2: of squares.")]
Rate = Annotated[float | None, typer.Option(help="Of the first step.", show_default=False)]
Comparator = Annotated[float, typer.Option(help="Weight of the distance of SqueezeNet's features, beside the pixels'.")]
Adversarial = Annotated[float, typer.Option(help="Weight of a discriminator's doubt.")]
Seed = Annotated[int, typer.Option(help="Of the first weights, the order of the pictures and the noise.")]
SaveEvery = Annotated[int | None, typer.Option(help="Steps between two states on disk.", show_default=False)]
Accelerator = Annotated[str, typer.Option(help="auto, cpu or gpu.")]
Devices = Annotated[int, typer.Option(help="Processes that share the work.")]
Precision = Annotated[str, typer.Option(help="32-true, 64-true or bf16-mixed.")]


def prior(
    output: Output,
    pictures: Set = "photos",
    net: Annotated[str, typer.Option(help=f"One of {', '.join(NETS)}.")] = "autoencoder",
    noise: Annotated[
        str, typer.Option(help="LOW:HIGH, the levels that it learns to take away, in image units; or one.")
    ] = "0.01:0.2",
    size: Size = 96,
    psf: Psf = None,
    psf_background: Background = None,
    psf_centre: Centre = False,
    stride: Stride = 1,
    data_noise: DataNoise = 0.0,
    batch: Batch = None,
    steps: Steps = None,
    norm: Norm = 1,
    learning_rate: Rate = None,
    comparator: Comparator = 0.0,
    adversarial: Adversarial = 0.0,
    seed: Seed = 0,
    save_every: SaveEvery = None,
    accelerator: Accelerator = "auto",
    devices: Devices = 1,
    precision: Precision = "32-true",
) -> None:
    """Train a network to take noise away. Called again after a stop, it goes on where it was."""
    colours, _ = _known(pictures, PICTURES, "--pictures")
    import torch

    torch.manual_seed(seed % 2**63)
    chosen = _known(net, NETS, "--net")(colours, colours if psf else 0, stride if psf else 1)
    taps = read_given(psf or None, psf_background, psf_centre)
    op = None if taps is None else fastip.operators.Blur(taps, stride=stride)
    given = {"batch": batch, "steps": steps, "learning_rate": learning_rate, "save_every": save_every}
    told = {
        "data_noise": data_noise,
        "norm": norm,
        "seed": seed,
        "accelerator": accelerator,
        "devices": devices,
        "precision": precision,
    }
    levels = numbers(noise, "--noise", ":")
    if len(levels) > 2:
        raise InvalidInput(f"--noise is {noise!r}; expected a level such as 0.05, or a range such as 0.01:0.2")
    about: dict[str, Any] = (
        told
        | _given(given)
        | _judged(comparator, adversarial)
        | {"output": output, "validation": _pictures(pictures, "validation", size)}
    )
    _run(
        output,
        lambda: fastip.train.prior(
            chosen, _pictures(pictures, "train", size), op, noise=(levels[0], levels[-1]), **about
        ),
    )


def unrolled(
    start: Annotated[
        Path, typer.Argument(help="The prior to begin with, from 'fastip train prior'.", show_default=False)
    ],
    output: Output,
    psf: Annotated[str, typer.Option(help=PSF, show_default=False)],
    beta: Annotated[
        str, typer.Option(help="The penalty of each iteration, with commas; the last is repeated.", show_default=False)
    ],
    levels: Annotated[
        str,
        typer.Option(
            help="The noise level that the network is told in each iteration, with commas.", show_default=False
        ),
    ],
    psf_background: Background = None,
    psf_centre: Centre = False,
    iterations: Annotated[
        int, typer.Option(help="Of the solver; by default as many as there are levels.", show_default=False)
    ] = 0,
    stride: Stride = 1,
    boundary: Annotated[str, typer.Option(help=BOUNDARY)] = "circular",
    conditioned: Annotated[
        bool, typer.Option("--conditioned", help="Let a network that takes no data see them from now on.")
    ] = False,
    data_noise: DataNoise = 0.0,
    pictures: Set = "photos",
    size: Size = 96,
    batch: Batch = None,
    steps: Steps = None,
    norm: Norm = 1,
    learning_rate: Rate = None,
    comparator: Comparator = 0.0,
    adversarial: Adversarial = 0.0,
    seed: Seed = 0,
    save_every: SaveEvery = None,
    accelerator: Accelerator = "auto",
    devices: Devices = 1,
    precision: Precision = "32-true",
) -> None:
    """Fine-tune a network through the iterations of the solver. Called again after a stop, it goes on where it was."""
    _known(pictures, PICTURES, "--pictures")
    op = fastip.operators.Blur(read_psf(psf, psf_background, psf_centre), stride=stride, boundary=boundary)
    net, told_levels = fastip.checkpoint.load_prior(start).net, numbers(levels, "--levels", ",")
    if conditioned:
        net = _conditioned(net, stride)
    given = {"batch": batch, "steps": steps, "learning_rate": learning_rate, "save_every": save_every}
    told = {
        "data_noise": data_noise,
        "norm": norm,
        "seed": seed,
        "accelerator": accelerator,
        "devices": devices,
        "precision": precision,
    }
    about: dict[str, Any] = (
        told
        | _given(given)
        | _judged(comparator, adversarial)
        | {"output": output, "validation": _pictures(pictures, "validation", size)}
    )
    schedule: dict[str, Any] = {
        "beta": numbers(beta, "--beta", ","),
        "levels": told_levels,
        "iterations": iterations or len(told_levels),
    }
    _run(output, lambda: fastip.train.unrolled(net, _pictures(pictures, "train", size), op, **schedule, **about))


def task(
    name: Annotated[str, typer.Argument(help=f"One of {', '.join(RECIPES)}.", show_default=False)],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The folder for the networks, made if it is missing; by default trained/."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Instead of the recipe's, for a look at how it goes.", show_default=False)
    ] = None,
    accelerator: Accelerator = "auto",
    begin: Annotated[
        str | None,
        typer.Option(
            "--from",
            help=f"nothing: train it anew. shipped ({' and '.join(LONG)} only, their default): go on with the long "
            "training.",
        ),
    ] = None,
) -> None:
    """Train a shipped network again from nothing, as it was made. Called again after a stop, it goes on where it was.

    photo-denoiser and photo-restorer are trained for hours, in parts: their state is kept in fastip's cache folder, \
and where it is gone the training goes on from the shipped
    weights. 'fastip train export NAME' writes the weights.
    """
    long = name in LONG
    if begin not in (None, "nothing", "shipped") or (begin == "shipped" and not long):
        raise InvalidInput(
            f"--from is {begin!r}; expected nothing"
            + (", or shipped" if long else f"; only {' and '.join(LONG)} go on from what is shipped")
        )
    if not long or begin == "nothing":
        folder = Path("trained") if output is None else output
        _run(
            folder / f"{name}.safetensors",
            lambda: fastip.train.task(name, folder, steps=steps, accelerator=accelerator),
        )
        return
    from ..train.engine import long_training

    if output is not None or steps is not None:
        given = "--output" if output is not None else "--steps"
        raise InvalidInput(
            f"{given} is for a training of its own: add --from nothing; "
            f"the long one keeps its state in {long_training.folder(name)}"
        )
    try:
        _run(
            long_training.folder(name) / f"{name}.safetensors",
            lambda: long_training.go_on(name, accelerator=accelerator),
        )
    except long_training.Busy as busy:
        err.print(str(busy), soft_wrap=True)


def export(
    name: Annotated[str, typer.Argument(help=f"One of {', '.join(LONG)}.", show_default=False)],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The folder for the weights and their record; by default that of fastip/weights.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write the averaged weights of a long training, if they are better on validation photographs \
than those that are shipped.
    """  # noqa: D205 - one line of help
    if name not in LONG:
        raise InvalidInput(f"there is no long training {name!r}; expected one of {', '.join(LONG)}")
    from ..train.engine import long_training
    from ..train.recipes.long_recipes import recipe

    folder = Path("fastip/weights") / recipe(name).shelf if output is None else output
    if not folder.is_dir():
        raise InvalidInput(f"the folder {folder} does not exist; give the one for the weights: -o FOLDER")
    found = long_training.export(name, folder, say=lambda text: err.print(text))
    from rich.table import Table

    table = Table(f"PSNR of {', '.join(found.columns)}", "shipped", "trained", box=None)
    for pictures in found.trained:
        table.add_row(
            f"{pictures} photographs",
            *(
                " / ".join(f"{v:.2f}" for v in row)
                for row in (found.shipped.get(pictures, []), found.trained[pictures])
            ),
        )
    out.print(table)
    what = f"{found.written} is written" if found.written else "not better on validation: nothing is written"
    out.print(f"step {found.step}, {found.seconds / 3600:.2f} h: {what}", soft_wrap=True)


def _run(output: Path, work: Callable[[], Any]) -> None:
    before = output.exists()
    try:
        made = work()
    except KeyboardInterrupt:
        err.print("stopped: the same command goes on where it was")
        raise typer.Exit(130) from None
    out.print(f"{output}  {'was finished before' if before else 'is written'}", soft_wrap=True)
    out.print(_table(output, made))


def _table(output: Path, made: Any) -> Table:
    kinds = {fastip.priors.Projector: "projector", fastip.restorer.Restorer: "restorer"}
    training = fastip.checkpoint.read_record(output, kinds.get(type(made), "prior"))["training"]
    from rich.table import Table

    table = Table(show_header=False, box=None)
    table.add_row("weights", f"{sum(p.numel() for p in made.net.parameters()):,}")
    table.add_row("training", f"{training['settings']['steps']} steps, {training['seconds']:.0f} s")
    if "scores" in training:
        table.add_row("validation", f"PSNR {training['scores']['score'][-1]:.2f} dB")
    if not isinstance(made, fastip.priors.PixelShuffleAutoencoder) or made.trained is None:
        return table
    if made.trained.schedule:
        table.add_row("beta, level", ", ".join(f"{beta:.3g}, {level:.3g}" for beta, level in made.trained.schedule))
    else:
        table.add_row("levels", f"{made.trained.levels[0]:g} to {made.trained.levels[1]:g}")
    return table


def _pictures(name: str, split: str, size: int) -> fastip.data.Pictures:
    return PICTURES[name][1](split, size)


def _known(name: str, table: dict[str, Any], option: str) -> Any:
    if name not in table:
        raise InvalidInput(f"{option} is {name!r}; expected one of {', '.join(table)}")
    return table[name]


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _judged(comparator: float, adversarial: float) -> dict[str, Any]:
    """The losses beside the pixels', where they are asked for."""
    return (
        {"perceptual": fastip.train.Perceptual(comparator=comparator, adversarial=adversarial)}
        if comparator or adversarial
        else {}
    )


def _conditioned(net: fastip.nets.PriorNet, stride: int) -> fastip.nets.PriorNet:
    if not isinstance(net, fastip.nets.PixelShuffleAutoencoder):
        raise InvalidInput(
            f"--conditioned is for a PixelShuffleAutoencoder, and the start holds a {type(net).__name__}: leave it out"
        )
    return net.conditioned(data_colours=net.colours, stride=stride)
