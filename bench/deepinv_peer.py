"""deepinv's own ADMM with its own closed form for blur and stride, called as its documentation says.

Optional: see README.md for the installation.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.machinery
import sys
import types

import torch
from torch import Tensor

from workloads import Problem

VERSION = "0.5.0"
_TORCHVISION = (
    "",
    ".utils",
    ".datasets",
    ".datasets.folder",
    ".datasets.utils",
    ".transforms",
    ".transforms.v2",
    ".transforms.functional",
)


class _Absent(types.ModuleType):
    """A module whose names exist but do nothing.

    deepinv imports torchvision for transforms and data sets that ADMM never calls.
    """

    __path__: list[str] = []

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def why_absent() -> str | None:
    """None where deepinv can be imported, else the reason.

    There is no torchvision for every torch, so an empty one is put in its place; before that torchmetrics, which does
    without torchvision but not with an empty one, is imported.
    """
    if "torchvision" not in sys.modules and importlib.util.find_spec("torchvision") is None:
        with contextlib.suppress(ImportError):
            importlib.import_module("torchmetrics.functional.image")
        for suffix in _TORCHVISION:
            module = _Absent("torchvision" + suffix)
            module.__spec__ = importlib.machinery.ModuleSpec(module.__name__, None)
            sys.modules[module.__name__] = module
            parent, _, child = module.__name__.rpartition(".")
            if parent:
                setattr(sys.modules[parent], child, module)
    try:
        deepinv = importlib.import_module("deepinv")
    except ImportError as error:
        return f"deepinv {VERSION} is not installed ({error}): see bench/README.md"
    return (
        None
        if deepinv.__version__ == VERSION
        else f"deepinv is {deepinv.__version__}, the comparison is with {VERSION}"
    )


def deepinv_admm(y: Tensor, problem: Problem, iterations: int) -> Tensor:
    """deepinv.optim.ADMM on Downsampling (circular, its FFT closed form) and L1Prior.

    It minimises 1/2 ||A x - y||^2 + weight / 2 ||x||_1 with step size 1 / beta. ``g_first`` puts its steps in the
    order of the other programs, whose z it returns; the start is chosen so that its first prior step gives A^T B y.
    """
    deepinv = importlib.import_module("deepinv")
    physics = deepinv.physics.Downsampling(
        img_size=problem.shape[1:],
        filter=problem.psf.to(y)[None, None],
        factor=problem.stride,
        padding="circular",
        device=y.device,
    )
    start = physics.prox_l2(torch.zeros(problem.shape, dtype=y.dtype, device=y.device), y, gamma=1 / problem.beta)
    start = start + problem.weight / (2 * problem.beta) * start.sign()
    solver = deepinv.optim.ADMM(
        data_fidelity=deepinv.optim.L2(),
        prior=deepinv.optim.L1Prior(),
        stepsize=1 / problem.beta,
        lambda_reg=problem.weight / 2,
        max_iter=iterations,
        g_first=True,
    )
    return solver(y, physics, init=(start, torch.zeros_like(start)))
