"""How much noise there is
=======================

Every prior needs to know the noise, and few pictures come with a number. ``noise_level`` reads it off the flattest
patches of the picture, one number for each picture of a batch.
"""

import matplotlib.pyplot as plt
import torch

import fastip
from fastip import data, figures, operators, priors, tasks

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

# %%

figures.draw_pictures(plt.figure(), {"noisy": y, "total variation": x, "truth": photograph})
