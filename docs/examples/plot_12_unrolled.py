"""A prior trained through the solver
==================================

A denoiser can be tuned through the iterations of the solver that it will serve. The solver is differentiable, so three
iterations of it are a network whose layers know the operator.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

import fastip
from fastip import data, figures, metrics, nets, operators, psf, train

# %%
# Patches of two photographs to learn from, and a third to look at. This is far too little to learn photographs, and
# enough to see that something is learned.

photographs = data.held_out_photographs(["coffee", "motorcycle", "chelsea"])
rng = np.random.default_rng(0)
patches = []
for name in ("coffee", "motorcycle"):
    grey = photographs[name].mean(1)[0].numpy()
    for _ in range(200):
        top, left = rng.integers(grey.shape[0] - 32), rng.integers(grey.shape[1] - 32)
        patches.append(grey[None, top : top + 32, left : left + 32])
pictures = data.Stored((np.stack(patches) * 255).astype(np.uint8), np.zeros(len(patches), np.int64))

# %%
# First a denoiser, then the same network through three iterations for one operator.

op = operators.Blur(psf.gaussian(9, 1.6), stride=2, boundary="circular")
net = nets.PixelShuffleAutoencoder(colours=1, widths=(8, 16), blocks=(1, 1))
how = {"steps": 120, "batch": 6, "progress": False}
denoiser = train.prior(net, pictures, noise=(0.01, 0.2), **how)
settings = {"beta": (1e-3, 1e-2), "levels": (0.2, 0.1, 0.05), "iterations": 3, "data_noise": 0.01}
prior = train.unrolled(denoiser.net, pictures, op, **settings, **how)

# %%
# Solved with the betas that it was trained with.

truth = photographs["chelsea"].mean(1, keepdim=True)[..., 60:188, 120:248]
y = data.degrade(truth, op, 0.01)
x = fastip.admm(y, op, prior, beta=prior.trained.beta, iterations=3, tolerance=0).x.detach()
bicubic = fastip.solvers.bicubic(y, 2)
for name, picture in (("bicubic", bicubic), ("three iterations", x)):
    print(f"{name:>16}: {float(metrics.psnr(picture.clamp(0, 1), truth)):.2f} dB")

# %%

figures.draw_pictures(
    plt.figure(),
    {
        "data": torch.nn.functional.interpolate(y, scale_factor=2),
        "bicubic": bicubic,
        "three iterations": x,
        "truth": truth,
    },
)
