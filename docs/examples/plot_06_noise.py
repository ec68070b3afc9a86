"""How much noise there is
=======================

Every prior needs to know the noise, and few pictures come with a number. ``noise_level`` reads it off the flattest
patches of the picture, one number for each picture of a batch.
"""

import matplotlib.pyplot as plt
import torch

import fastip
from fastip import data, operators, priors, tasks

# %%
# The estimate against the truth, on one photograph.

photograph = data.held_out_photographs(["astronaut"])["astronaut"][..., 0:256, 100:356]
levels = torch.tensor([0.005, 0.01, 0.02, 0.04, 0.08])
noisy = photograph + levels[:, None, None, None] * torch.randn(
    5, 3, 256, 256, generator=torch.Generator().manual_seed(0)
)
found = fastip.noise_level(noisy)

figure, axis = plt.subplots(figsize=(4.5, 4), layout="constrained")
axis.plot(levels, found, "o", label="estimated")
axis.plot(levels, levels, color="0.6", label="true")
axis.set_xlabel("standard deviation of the noise")
axis.set_ylabel("noise_level")
axis.legend()

# %%
# A weight follows from it: that which suits photographs with this noise under this operator.

y, op = noisy[3:4], operators.Identity()
weight = tasks.suggested_weight("tv", float(found[3]), op)
x = fastip.admm(y, op, priors.TV(weight=weight)).x
print(f"noise {float(found[3]):.4f}, weight {weight:.4f}")


def show(**pictures):
    """Draw pictures beside each other."""
    figure, axes = plt.subplots(1, len(pictures), figsize=(3.2 * len(pictures), 3.6), layout="constrained")
    for axis, (title, picture) in zip(axes, pictures.items(), strict=True):
        axis.imshow(picture[0].clamp(0, 1).permute(1, 2, 0).numpy(), cmap="gray", interpolation="nearest")
        axis.set_title(title.replace("_", " "))
        axis.axis("off")


show(noisy=y, total_variation=x, truth=photograph)
