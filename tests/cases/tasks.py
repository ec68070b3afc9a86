"""Learned tasks with small random networks in place of the trained ones.

Quick, and near the identity, so that a solve stays tame.
"""

from __future__ import annotations

import dataclasses

import torch

from fastip import nets, priors, save_prior, tasks
from fastip.priors.trained import likeness

SCHEDULE = ((0.02, 0.2), (0.05, 0.08), (0.2, 0.03))


def network(colours=3, data_colours=0, stride=1, seed=0, **structure):
    """A PixelShuffleAutoencoder whose estimate of the noise is small but depends on all that it sees."""
    torch.manual_seed(seed)
    structure = {"widths": (6, 8), "blocks": (1, 1)} | structure
    net = nets.PixelShuffleAutoencoder(colours=colours, data_colours=data_colours, stride=stride, **structure)
    with torch.no_grad():
        net.tail.weight.normal_(std=0.01)
    return net.eval().requires_grad_(False)


def small(name, folder, **structure):
    """The task of that name with weights of its own in ``folder``."""
    task = tasks.learned(name)
    op = task.operator()
    colours = 1 if task.size else 3
    net = network(colours, op.output_shape((1, colours, 28, 28))[1], task.stride, **structure)
    trained = priors.Trained((0.01, 0.3), likeness(op), SCHEDULE)
    save_prior(folder / f"{name}.safetensors", priors.PixelShuffleAutoencoder(net, trained=trained), op=op)
    return dataclasses.replace(task, weights=folder / f"{name}.safetensors")


def register(monkeypatch, folder, names=None, **structure):
    """Put small tasks in the place of those that ship."""
    for task in tasks.LEARNED:
        if names is None or task.name in names:
            monkeypatch.setitem(tasks._TASKS, task.name, small(task.name, folder, **structure))
