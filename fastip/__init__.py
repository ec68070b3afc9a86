"""fastip: inner-loop-free solvers for linear inverse problems in imaging. Start with ``fastip.admm(y, op, prior)``."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._version import __version__ as __version__

if TYPE_CHECKING:
    from . import checkpoint as checkpoint
    from . import data as data
    from . import experiments as experiments
    from . import fidelities as fidelities
    from . import figures as figures
    from . import interop as interop
    from . import inverses as inverses
    from . import io as io
    from . import kernels as kernels
    from . import metrics as metrics
    from . import nets as nets
    from . import operators as operators
    from . import priors as priors
    from . import rec as rec
    from . import restorer as restorer
    from . import solvers as solvers
    from . import tasks as tasks
    from . import train as train
    from .checkpoint import load_generator as load_generator
    from .checkpoint import load_inverse as load_inverse
    from .checkpoint import load_prior as load_prior
    from .checkpoint import load_projector as load_projector
    from .checkpoint import load_restorer as load_restorer
    from .checkpoint import save_generator as save_generator
    from .checkpoint import save_inverse as save_inverse
    from .checkpoint import save_prior as save_prior
    from .checkpoint import save_projector as save_projector
    from .checkpoint import save_restorer as save_restorer
    from .checkpoint import shipped as shipped
    from .errors import FastipDeprecationWarning as FastipDeprecationWarning
    from .errors import FastipError as FastipError
    from .explanation import explain as explain
    from .noise import noise_level as noise_level
    from .operators import psf as psf
    from .solution import Selection as Selection
    from .solution import Solution as Solution
    from .solution import Status as Status
    from .solvers import csgm as csgm
    from .solvers import pgdgan as pgdgan
    from .solvers.admm import admm as admm
    from .solvers.npgd import npgd as npgd
    from .solvers.pgd import pgd as pgd
    from .solvers.selection.select import select as select
    from .solvers.wiener import wiener as wiener
    from .tasks import load_task as load_task

# What is loaded at first use, by where it lives; "" for modules. The block above tells type checkers the same, and a
# test compares the two.
_PUBLIC = {
    "": (
        *(
            "checkpoint",
            "checkpoint.shipped",
            "data",
            "experiments",
            "fidelities",
            "figures",
            "interop",
            "inverses",
            "io",
        ),
        *("kernels", "metrics", "nets", "operators", "operators.psf", "priors", "rec", "restorer"),
        *("solvers", "tasks", "train"),
    ),
    "checkpoint": (
        *("load_generator", "load_inverse", "load_prior", "load_projector", "load_restorer"),
        *("save_generator", "save_inverse", "save_prior", "save_projector", "save_restorer"),
    ),
    "errors": ("FastipDeprecationWarning", "FastipError"),
    "explanation": ("explain",),
    "noise": ("noise_level",),
    "solution": ("Selection", "Solution", "Status"),
    "solvers": ("admm", "csgm", "npgd", "pgd", "pgdgan", "wiener"),
    "solvers.selection": ("select",),
    "tasks": ("load_task",),
}
_HOME = {name.rpartition(".")[2]: (module, name) for module, names in _PUBLIC.items() for name in names}
__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import_module("torch")  # first of all: its OpenMP runtime then serves the compiled kernels too
    import_module(".solution", __name__)  # torch.load(path) of a Solution works from here on
    module, path = _HOME[name]
    found = getattr(import_module(f".{module}", __name__), path) if module else import_module(f".{path}", __name__)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)


if "torch" in sys.modules:  # nothing is loaded for it, so torch.load(path) of a Solution works without a first use
    import_module(".solution", __name__)
