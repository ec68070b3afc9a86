"""Photographs out of focus in light, restored from the values of their files as they are, and in light.

    python -P bench/linear_light.py        writes results/linear-light.md; six minutes on one core

The seven everyday photographs of ``fastip.data.held_out_photographs``, middle 256 x 256 pixels, decoded by sRGB,
blurred circularly by ``disk:9:3.5``, noise of standard deviation 1/255 in light, encoded and rounded to 8 or 16 bits.
Total variation with the best of eight weights for each photograph and way; the learned restorer in light, told the
noise. PSNR of the values in the file after clipping.
"""

from __future__ import annotations

import pathlib

import torch
from torch import Tensor

import fastip
from fastip import data, io, metrics, operators, priors

SIZE, NOISE = 256, 1 / 255
WEIGHTS = [1e-4 * 2**k for k in range(8)]
HEADING = "| photograph | input | values (weight) | light (weight) | gain in dB | restorer |"
PAGE = pathlib.Path(__file__).parent / "results" / "linear-light.md"


def best(y: Tensor, op: operators.Blur, truth: Tensor, curve: io.Transfer) -> tuple[float, float]:
    """The highest PSNR over the weights, and its weight, where the solver is given what ``curve`` makes of y."""
    found = []
    for weight in WEIGHTS:
        x = curve.encode(fastip.admm(curve.decode(y), op, priors.TV(weight), tolerance=1e-2).x)
        found.append((float(metrics.psnr(x.clamp(0, 1), truth)), weight))
    return max(found)


def learned(y: Tensor, op: operators.Blur, truth: Tensor, curve: io.Transfer) -> float:
    """The PSNR of the restorer of photographs, where it is given what ``curve`` makes of y."""
    x = curve.encode(fastip.shipped.restorer("photo").solve(curve.decode(y), op, NOISE).x.clamp(0, 1))
    return float(metrics.psnr(x, truth))


def main() -> None:
    """Measures, and writes the page."""
    srgb, op = io.Transfer.srgb(), operators.Blur(fastip.psf.disk(9, 3.5))
    told = (__doc__ or "").partition("minutes on one core")[2].strip()
    lines = [f"# Deblurring in light and in file values\n\n{told}"]
    for bits in (8, 16):
        lines += [f"\n## {bits} bits\n", HEADING]
        lines.append("|---|--:|--:|--:|--:|--:|")
        rows, top = [], 2**bits - 1
        for number, (name, picture) in enumerate(data.held_out_photographs(data.EVERYDAY).items()):
            truth = data.centre(picture, SIZE).float()
            light = data.degrade(srgb.decode(truth), op, NOISE, generator=torch.Generator().manual_seed(number))
            y = srgb.encode(light).clamp(0, 1).mul(top).round() / top
            values, light_best = best(y, op, truth, io.Transfer.linear()), best(y, op, truth, srgb)
            rows.append((float(metrics.psnr(y, truth)), values[0], light_best[0], learned(y, op, truth, srgb)))
            weights = f"{values[0]:.2f} ({values[1]:.1g}) | {light_best[0]:.2f} ({light_best[1]:.1g})"
            gain, restored = light_best[0] - values[0], rows[-1][-1]
            lines.append(f"| {name} | {rows[-1][0]:.2f} | {weights} | {gain:.2f} | {restored:.2f} |")
            print(lines[-1], flush=True)
        mean = torch.tensor(rows).mean(0).tolist()
        values_mean, light_mean = mean[1], mean[2]
        gain = light_mean - values_mean
        lines.append(f"| mean | {mean[0]:.2f} | {values_mean:.2f} | {light_mean:.2f} | {gain:.2f} | {mean[3]:.2f} |")
    PAGE.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
