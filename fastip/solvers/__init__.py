"""Solvers: plain functions with a visible loop each."""

from .admm import admm as admm
from .monitor import State as State
