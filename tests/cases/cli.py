"""What the tests of the command line share."""

from __future__ import annotations

import torch
from typer.testing import CliRunner

from fastip import io, solvers
from fastip.cli import app


def fastip(*words):
    return CliRunner().invoke(app.app, [str(w) for w in words])


def picture(path, h=14, w=17, seed=0, grey=False):
    """A smooth random photograph in the format of the suffix."""
    x = solvers.bicubic(
        torch.rand(1, 1 if grey else 3, -(-h // 4), -(-w // 4), generator=torch.Generator().manual_seed(seed)), 4
    )[..., :h, :w]
    io.write_image(path, x)
    return io.read_image(path)[0]
