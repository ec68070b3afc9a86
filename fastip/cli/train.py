"""The command ``fastip train``: fit weights to an operator, or to pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import fastip

from ..errors import InvalidInput
from . import train_gan, train_prior
from .choices import BOUNDARY, PSF
from .console import err, out, plainly
from .psf_file import Background, Centre, read_psf

if TYPE_CHECKING:
    from rich.table import Table

Range = tuple[float, float]
_NETS: dict[str, Callable[[str, Range | None], Any]] = {
    "linear": lambda boundary, betas: fastip.nets.InverseNet(boundary=boundary, beta_range=betas),
    "dilated": lambda boundary, betas: fastip.nets.InverseNet.dilated(boundary=boundary, beta_range=betas),
    "paper": lambda boundary, betas: fastip.nets.PaperInverseNet(boundary=boundary, beta_range=betas),
}


app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Train the learned parts.")


@app.command()
@plainly
def inverse(
    psf: Annotated[str, typer.Option(help=PSF, show_default=False)],
    beta: Annotated[
        str, typer.Option(help="A number, or LOW:HIGH for one inverse that serves a range.", show_default=False)
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="The .safetensors file to write; its log goes beside it.", show_default=False
        ),
    ],
    psf_background: Background = None,
    psf_centre: Centre = False,
    stride: Annotated[int, typer.Option(help="The pixels 0::STRIDE are kept.")] = 1,
    boundary: Annotated[str, typer.Option(help=BOUNDARY)] = "circular",
    net: Annotated[str, typer.Option(help="linear (a 13 x 13 stencil), dilated (49 x 49) or paper (ReLU).")] = "linear",
    steps: Annotated[int | None, typer.Option(help="Steps of Adam.", show_default=False)] = None,
    size: Annotated[
        int | None, typer.Option(help="Side of the noise patches on the data grid.", show_default=False)
    ] = None,
    batch: Annotated[int | None, typer.Option(help="Patches a step in each process.", show_default=False)] = None,
    power: Annotated[
        int | None, typer.Option(help="Above 1: the last steps look at the worst mode.", show_default=False)
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Of the first step.", show_default=False)] = None,
    seed: Annotated[int, typer.Option(help="Of the first weights and of the noise.")] = 0,
    save_every: Annotated[
        int | None, typer.Option(help="Steps between two states on disk.", show_default=False)
    ] = None,
    accelerator: Annotated[str, typer.Option(help="auto, cpu or gpu.")] = "auto",
    devices: Annotated[int, typer.Option(help="Processes that share the work.")] = 1,
    precision: Annotated[str, typer.Option(help="32-true, 64-true or bf16-mixed.")] = "32-true",
) -> None:
    """Train C = (beta I + A A^T)^-1 from noise alone. Called again after a stop, it goes on where it was."""
    import torch

    betas = _betas(beta)
    if net not in _NETS:
        raise InvalidInput(f"there is no net {net!r}; expected one of {', '.join(_NETS)}")
    op = fastip.operators.Blur(read_psf(psf, psf_background, psf_centre), stride=stride, boundary=boundary)
    given = {
        "steps": steps,
        "size": size,
        "batch": batch,
        "power": power,
        "learning_rate": learning_rate,
        "save_every": save_every,
    }
    torch.manual_seed(seed % 2**63)
    chosen = _NETS[net](fastip.nets.boundary_of(op.boundary), None if betas[0] == betas[1] else betas)
    before = output.exists()
    try:
        learned = fastip.train.inverse(
            op,
            betas,
            net=chosen,
            seed=seed,
            output=output,
            accelerator=accelerator,
            devices=devices,
            precision=precision,
            **{name: value for name, value in given.items() if value is not None},  # type: ignore[arg-type]
        )
    except KeyboardInterrupt:
        err.print("stopped: the same command goes on where it was")
        raise typer.Exit(130) from None
    out.print(f"{output}  {'was finished before' if before else 'is written'}", soft_wrap=True)
    out.print(_table(learned))


def _betas(text: str) -> Range:
    try:
        numbers = [float(word) for word in text.split(":")]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 2):
        raise InvalidInput(f"--beta is {text!r}; expected a number such as 1e-2, or a range such as 1e-3:1e-1")
    if numbers[0] > numbers[-1]:
        raise InvalidInput(f"--beta is {text!r}; expected LOW:HIGH with LOW below HIGH: swap them")
    return numbers[0], numbers[-1]


def _table(learned: fastip.inverses.Learned) -> Table:
    from rich.table import Table

    trained = learned.trained
    assert trained is not None
    table = Table(show_header=False, box=None)
    table.add_row("relative residual on noise", f"{trained.accuracy:.2e}")
    for stored in trained.certificates:
        c = stored.certificate
        use = "used as it is" if c.scale() == 1 else f"scaled by {c.scale():.3f} in use"
        table.add_row(f"certificate, beta {stored.beta:g}", f"kappa {c.kappa:.3f}, rho {c.rho:.1e}: {use}")
    if trained.estimate is not None:
        table.add_row("worst error found", f"{trained.estimate:.2g} (an estimate; not linear, so not certified)")
    return table


COMMANDS: tuple[Callable[..., None], ...] = (
    *(train_prior.prior, train_prior.unrolled, train_prior.task, train_prior.export),
    *(train_gan.gan, train_gan.projector),
)
for command in COMMANDS:
    app.command(command.__name__)(plainly(command))
