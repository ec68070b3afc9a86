"""Digests of weights.

No change escapes the whole one, and what a training starts from is the same on every processor.
"""

from __future__ import annotations

import copy
import os
import subprocess
import sys

import pytest
import torch

from fastip import nets, train
from fastip.nets.weights import net_digest, start_digest

SCRIPT = """
from fastip import train
from fastip.nets.weights import start_digest
print([start_digest(net) for net in train.networks("sagan", colours=3, size=64, width=16)])
"""


@pytest.mark.parametrize(
    "net",
    [
        nets.SAGANGenerator(width=2, latent=3),
        nets.SAGANDiscriminator(width=2),
        nets.DCGANEncoder(colours=1, size=28, width=2, outputs=3),
    ],
)
def test_every_weight_and_buffer_counts_but_for_singular_vectors(net):
    derived = set()
    for name, tensor in net.state_dict().items():
        changed = copy.deepcopy(net)
        with torch.no_grad():
            changed.state_dict()[name].add_(torch.ones((), dtype=tensor.dtype))
        assert net_digest(changed) != net_digest(net), name
        if start_digest(changed) == start_digest(net):
            derived.add(name)
    normalised = [name for name, module in net.named_modules() if type(module).__name__ == "_SpectralNorm"]
    assert derived == {f"{name}.{vector}" for name in normalised for vector in ("_u", "_v")}


def test_the_start_is_the_same_where_sums_are_rounded_otherwise():
    other = os.environ | {"MKL_CBWR": "COMPATIBLE", "PYTHONPATH": ":".join(sys.path)}
    output = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT], capture_output=True, text=True, check=True, env=other
    ).stdout
    assert output.strip() == str([start_digest(net) for net in train.networks("sagan", colours=3, size=64, width=16)])
