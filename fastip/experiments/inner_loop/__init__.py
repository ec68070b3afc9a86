"""Experiments with ADMM without an inner loop (2017) and what grew out of it: inverses, priors, whole tasks."""
