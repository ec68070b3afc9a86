"""Solvers: plain functions with a visible loop each."""

from .admm import admm as admm
from .bicubic import bicubic as bicubic
from .consistent import consistent as consistent
from .latent import csgm as csgm
from .latent import pgdgan as pgdgan
from .monitor import State as State
from .npgd import npgd as npgd
from .pgd import BackProjection as BackProjection
from .pgd import GradientStep as GradientStep
from .pgd import Nesterov as Nesterov
from .pgd import pgd as pgd
from .wiener import wiener as wiener
