"""fastip: inner-loop-free solvers for linear inverse problems in imaging. Start with ``fastip.admm(y, op, prior)``."""

import torch as _torch  # noqa: F401  first of all: its OpenMP runtime then serves the compiled kernels too  # isort: skip

from . import inverses as inverses
from . import kernels as kernels
from . import metrics as metrics
from . import nets as nets
from . import operators as operators
from . import priors as priors
from . import rec as rec
from . import shipped as shipped
from . import solvers as solvers
from . import train as train
from ._version import __version__ as __version__
from .checkpoint import load_generator as load_generator
from .checkpoint import load_inverse as load_inverse
from .checkpoint import load_prior as load_prior
from .checkpoint import load_projector as load_projector
from .checkpoint import save_generator as save_generator
from .checkpoint import save_inverse as save_inverse
from .checkpoint import save_prior as save_prior
from .checkpoint import save_projector as save_projector
from .contracts import Solution as Solution
from .contracts import Status as Status
from .errors import FastipError as FastipError
from .operators import psf as psf
from .solvers import admm as admm
from .solvers import csgm as csgm
from .solvers import npgd as npgd
from .solvers import pgd as pgd
from .solvers import pgdgan as pgdgan
from .solvers import wiener as wiener
from .tasks import load_task as load_task
