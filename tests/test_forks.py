"""A child of fork solves what its parent does, on one thread, after the parent has worked on two."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SCRIPT = """
import faulthandler, multiprocessing, torch
import fastip
from fastip import inverses, operators, priors, psf
from torch.utils.data import DataLoader

torch.set_num_threads(2)
y = torch.rand(2, 1, 256, 256, generator=torch.Generator().manual_seed(1))
blur, motion = operators.Blur(psf.gaussian(5, sigma=1.1)), operators.Blur(psf.motion(5, 30), boundary="zero")
exact, steps = inverses.Exact(), inverses.ConjugateGradient(maximum=5)


def solve(op, prior, inverse):
    return fastip.admm(y, op, prior, inverse=inverse, beta=0.05, iterations=3, tolerance=0).x


def solves():
    return torch.stack([
        solve(blur, priors.L1(1e-3), inverses.Stencil(3)),
        solve(blur, priors.L1(1e-3), exact), solve(blur, priors.TV(1e-3), exact),
        solve(blur, priors.Wavelet(1e-3, "haar", levels=2), exact), solve(motion, priors.NonNegative(), steps),
    ])


class Solves(torch.utils.data.Dataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        return solves()


def child(pipe):
    faulthandler.dump_traceback_later(30, exit=True)
    pipe.send((torch.get_num_threads(), solves().numpy()))


if __name__ == "__main__":
    expected = solves()
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    process = context.Process(target=child, args=(there,), daemon=True)
    process.start()
    assert here.poll(40), "the child hangs"
    threads, found = here.recv()
    process.join()
    found = [torch.from_numpy(found)]
    found += [part[0] for part in DataLoader(Solves(), num_workers=2, multiprocessing_context="fork", timeout=30)]
    for one in found:
        assert ((one - expected).flatten(2).norm(dim=2) <= 1e-6 * expected.flatten(2).norm(dim=2)).all()
    assert threads == 1 and torch.get_num_threads() == 2
    print(len(found), "alike")
"""


@pytest.mark.skipif(not hasattr(os, "register_at_fork"), reason="there is no fork")
def test_a_child_solves_what_its_parent_does() -> None:
    """By itself, and as two workers of a DataLoader."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0 and done.stdout == "3 alike\n", done.stderr
