"""Photographs whose highlights the camera cut off, deblurred with the data step for them and without it.

    python -P bench/clipped.py        writes results/clipped.md; two minutes on one core

The seven everyday photographs of ``fastip.data.held_out_photographs``, decoded by sRGB and so bright that 15 % of the
blurred data exceed 1: a window of 160 x 160 behind a psf, noise of standard deviation 2.55/255, cut off at 0 and 1.
Each is restored by ``fastip.load_task("deblur", psf=...)`` with its natural border, the data taken at their word
(``clipped="off"``) and as "at least this" where they are 1 (``clipped="auto"``); noise and the weight of total
variation are the task's own. PSNR of the window, cut off at 1 as in a file.
"""

from __future__ import annotations

import pathlib

import torch
from torch import Tensor

import fastip
from fastip import data, io, metrics, operators

SIZE, NOISE, SHARE = 160, 2.55 / 255, 0.15
PSFS = {"disk:19:9": fastip.psf.disk(19, 9.0), "motion:25:30": fastip.psf.motion(25, 30.0)}
WAYS = [(prior, clipped) for prior in ("tv", "restorer") for clipped in ("off", "auto")]
HEADING = "| photograph | highlights up to | input | TV, off | TV, auto | restorer, off | restorer, auto |"
PAGE = pathlib.Path(__file__).parent / "results" / "clipped.md"


def scene(picture: Tensor, kernel: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """The window's light, which goes beyond 1, and what the camera made of it."""
    margin = len(kernel) - 1
    light = io.Transfer.srgb().decode(data.centre(picture, SIZE + margin).float())
    op = operators.Blur(kernel, boundary="valid")
    light = light / op(light).quantile(1 - SHARE)
    y = data.degrade(light, op, NOISE, generator=torch.Generator().manual_seed(seed)).clamp(0, 1)
    inside = slice(margin // 2, margin // 2 + SIZE)
    return light[..., inside, inside], y


def main() -> None:
    """Measures, and writes the page."""
    told = (__doc__ or "").partition("minutes on one core")[2].strip()
    versions = f"fastip {fastip.__version__}, torch {torch.__version__}, `python -P bench/clipped.py`"
    lines = [f"# Deblurring clipped highlights\n\n{versions}.\n\n{told}"]
    for text, kernel in PSFS.items():
        lines += [f"\n## {text}\n", HEADING]
        lines.append("|---|--:|--:|--:|--:|--:|--:|")
        rows = []
        for seed, (name, picture) in enumerate(data.held_out_photographs(data.EVERYDAY).items()):
            light, y = scene(picture, kernel, seed)
            truth, row = light.clamp(max=1), [float(light.max()), float(metrics.psnr(y, light.clamp(max=1)))]
            for prior, clipped in WAYS:
                chosen = {} if prior == "restorer" else {"prior": prior}
                x = fastip.load_task("deblur", psf=text, clipped=clipped, **chosen).solve(y).x
                row.append(float(metrics.psnr(x.clamp(0, 1), truth)))
            rows.append(row)
            lines.append(f"| {name} | {row[0]:.1f} | " + " | ".join(f"{value:.2f}" for value in row[1:]) + " |")
            print(lines[-1], flush=True)
        mean = torch.tensor(rows).mean(0).tolist()
        lines.append("| mean | | " + " | ".join(f"{value:.2f}" for value in mean[1:]) + " |")
        lines.append(f"\nGained: total variation {mean[3] - mean[2]:.2f} dB, restorer {mean[5] - mean[4]:.2f} dB.")
        print(lines[-1], flush=True)
    PAGE.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
