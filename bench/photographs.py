"""What the restorer of photographs costs: seconds for a picture of 512 x 512, and the memory of a large one.

    OMP_WAIT_POLICY=PASSIVE python -P bench/photographs.py            the times, a minute on two cores
    OMP_WAIT_POLICY=PASSIVE python -P bench/photographs.py 4000 3000  peak memory of one of this size, made of a quarter
    OMP_WAIT_POLICY=PASSIVE python -P bench/photographs.py 4000 3000 deblur    the same behind a shake of 41 x 41

The picture is the astronaut of scikit-image, colour; the noise is told. Each time is the least of three after one.
"""

from __future__ import annotations

import resource
import sys
import time

import torch
from torch import Tensor

import fastip
from fastip import data, operators, psf

SIDE, NOISE = 512, 2.55 / 255


def picture(h: int, w: int) -> Tensor:
    """The photograph, repeated by reflection up to h x w."""
    (one,) = data.held_out_photographs(("astronaut",)).values()
    rows = one.repeat(1, 1, -(-h // one.shape[2]), -(-w // one.shape[3]))
    return rows[..., :h, :w].float()


def problems() -> dict[str, tuple[fastip.tasks.Problem, Tensor]]:
    """A problem of each task and its data."""
    found = {}
    for title, name, options in (
        ("denoise", "denoise", {}),
        ("inpaint, 20 % missing", "inpaint", {"mask": torch.rand(SIDE, SIDE, generator=_seed()) > 0.2}),
        ("upscale x 4", "upscale", {"factor": 4}),
        ("upscale x 2", "upscale", {"factor": 2}),
        ("deblur, disk 9 x 9", "deblur", {"psf": psf.disk(9, 3.5)}),
        ("deblur, shake 41 x 41", "deblur", {"psf": psf.shake(41, 1)}),
    ):
        problem = fastip.load_task(name, noise=NOISE, **options)
        op = problem.op
        side = SIDE
        if name == "deblur":
            side += op.convolution().psf.shape[0] - 1
        y = op(picture(side, side))
        found[title] = problem, y + NOISE * torch.randn(y.shape, generator=_seed())
    return found


def _seed() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def times() -> None:
    """Prints a row for each task."""
    print(f"| task, {SIDE} x {SIDE}, {torch.get_num_threads()} thread(s) | seconds |\n| --- | ---: |")
    for title, (problem, y) in problems().items():
        found = []
        for _ in range(4):
            began = time.perf_counter()
            problem.solve(y)
            found.append(time.perf_counter() - began)
        print(f"| {title} | {min(found[1:]):.2f} |", flush=True)


def memory(w: int, h: int, task: str = "upscale") -> None:
    """Prints the peak of the process for one large result; deblurring runs the first of its iterations, all alike."""
    if task == "deblur":
        psf_size, restorer = 41, fastip.shipped.restorer("photo")
        op = operators.Blur(psf.shake(psf_size, 1).float(), boundary="valid")
        y = op(picture(h + psf_size - 1, w + psf_size - 1))
        began = time.perf_counter()
        solution = restorer.solve(y, op, NOISE, callback=lambda state: False)
    else:
        problem, y = fastip.load_task("upscale", factor=4, noise=NOISE), picture(h // 4, w // 4)
        began = time.perf_counter()
        solution = problem.solve(y)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    seconds = time.perf_counter() - began
    print(f"{tuple(solution.x.shape)}, {solution.iterations} iterations: {seconds:.0f} s, peak {peak:.2f} GiB")


if __name__ == "__main__":
    memory(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]) if len(sys.argv) > 2 else times()
