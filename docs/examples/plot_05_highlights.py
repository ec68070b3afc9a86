"""Lamps that were cut off at white
================================

A datum of 1 may have been any light of 1 and more: it says only "at least this". Taken at its word it contradicts the
data around it, and ripples run over the picture. The fidelity ``Clipped`` says what is known.
"""

import matplotlib.pyplot as plt
import torch

import fastip
from fastip import data, fidelities, figures, operators, priors, psf

# %%
# A dim scene with five lamps, out of focus, cut off at 1.

scene = data.held_out_photographs(["coffee"])["coffee"][..., 60:220, 150:310] * 0.6
for row, column in ((30, 40), (50, 110), (90, 70), (120, 25), (125, 130)):
    scene[..., row - 3 : row + 3, column - 3 : column + 3] = 8.0
op = operators.Blur(psf.disk(11, 4.5), boundary="valid")
y = data.degrade(scene, op, 0.004).clamp(max=1.0)
truth = scene[..., 5:-5, 5:-5]
print(f"{float(fidelities.saturated(y).float().mean()):.1%} of the data are cut off")

# %%
# The same operator and prior with both fidelities.

prior = priors.TV(weight=5e-4) + priors.NonNegative()
plain = fastip.admm(y, op, prior, iterations=200).x[..., 5:-5, 5:-5]
clipped = fastip.admm(y, op, prior, fidelity=fidelities.Clipped(high=1.0), iterations=200).x[..., 5:-5, 5:-5]
inside = truth.clamp(0, 1)
for name, picture in (("squares", plain), ("clipped", clipped)):
    print(f"{name}: {float(fastip.metrics.psnr(picture.clamp(0, 1), inside)):.2f} dB")

# %%

figures.draw_pictures(plt.figure(), {"input": y, "squares": plain, "clipped": clipped, "truth": inside})

# %%
# The lamps themselves are above white, and come back brighter than white.

lamps = torch.stack([plain.amax(), clipped.amax(), truth.amax()])
print("the brightest value: squares {:.2f}, clipped {:.2f}, truth {:.2f}".format(*lamps.tolist()))
