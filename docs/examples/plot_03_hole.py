"""A torn picture
==============

A mask says which pixels are known. The others are filled in so that the whole is a picture the prior believes in.
"""

import matplotlib.pyplot as plt
import torch

import fastip
from fastip import data, figures, metrics, operators, priors

# %%
# Scratches of three pixels, and a fifth of the rest lost at random.

truth = data.held_out_photographs(["coffee"])["coffee"][..., 60:252, 150:342]
mask = (torch.rand(1, 1, 192, 192, generator=torch.Generator().manual_seed(0)) > 0.2).float()
rows, columns = torch.meshgrid(torch.arange(192), torch.arange(192), indexing="ij")
for slope in (-2, 1, 3):
    mask[..., (rows * 2 + slope * columns) % 101 < 4] = 0
y = mask * truth

# %%
# The task, and the same by its parts with a prior that you choose. ``Box`` keeps the values between black and white.

x = fastip.load_task("inpaint", mask=mask).solve(y).x
prior = priors.TV(weight=2e-3) + priors.Box(0, 1)
classical = fastip.admm(y, operators.Mask(mask), prior, iterations=300).x
for name, picture in (("total variation", classical), ("restorer", x)):
    print(f"{name:>16}: {float(metrics.psnr(picture.clamp(0, 1), truth)):.2f} dB")

# %%

figures.draw_pictures(plt.figure(), {"known": y, "total variation": classical, "restorer": x, "truth": truth})
