"""Experiments with generators as priors (2019): projected descent, its theorem, and what it is compared with."""
