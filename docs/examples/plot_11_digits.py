"""A digit from a hundred numbers
==============================

A hundred random measurements do not determine 784 pixels. If the picture is known to be a digit they do: x is held to
what a generator of digits makes. The projection on its range is a few passes of networks, so there is no search.
"""

import matplotlib.pyplot as plt
import torch

import fastip
from fastip import metrics, operators, priors, solvers

# %%
# Six pictures that the generator makes of random numbers, and their measurements.

generator = fastip.shipped.generator("digits")
z = torch.randn(6, generator.latent, generator=torch.Generator().manual_seed(4))
with torch.no_grad():
    truth = generator(z)
op = operators.GaussianMeasurements(100, (1, 28, 28))
y = op(truth)

# %%
# NPGD, whose step follows the range, and the classical way: few large coefficients in a wavelet basis.

x = fastip.npgd(y, op, fastip.shipped.projector("digits")).x
back = solvers.consistent(x, y, op)
lasso = fastip.admm(y, op, priors.Wavelet(weight=1e-2), iterations=200).x
pictures = {"wavelets": lasso, "NPGD": x, "NPGD, data put back": back}
for name, picture in pictures.items():
    print(f"{name:>20}: {float(metrics.psnr(picture.clamp(0, 1), truth).mean()):.1f} dB")

figure, axes = plt.subplots(4, 6, figsize=(7, 5), layout="constrained")
for row, (name, batch) in zip(axes, {"truth": truth, **pictures}.items(), strict=True):
    for axis, picture in zip(row, batch, strict=True):
        axis.imshow(picture[0].clamp(0, 1).numpy(), cmap="gray")
        axis.set(xticks=[], yticks=[])
    row[0].set_ylabel(name.replace(", ", "\n"), rotation=0, ha="right", va="center")
