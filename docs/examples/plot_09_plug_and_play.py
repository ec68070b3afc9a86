"""Any denoiser as a prior
=======================

Plug and play puts a denoiser where the prox of a prior stands. A function will do; here it is that of non-local means
from scikit-image.
"""

import matplotlib.pyplot as plt
import torch
from skimage.restoration import denoise_nl_means

import fastip
from fastip import data, figures, metrics, operators, priors, psf

# %%
# The function gets the image and the level of the noise in it.


def nonlocal_means(v, level):
    """Non-local means of grey pictures."""
    how = {"patch_size": 5, "patch_distance": 6, "h": 0.8 * level, "sigma": level, "fast_mode": True}
    return torch.stack([torch.from_numpy(denoise_nl_means(one[0].numpy(), **how))[None] for one in v]).to(v)


# %%
# A schedule lets the level fall from iteration to iteration down to the noise of the data, and gives the betas.

truth = data.held_out_photographs(["coffee"])["coffee"].mean(1, keepdim=True)[..., 60:200, 150:290]
op = operators.Blur(psf.motion(9, 45), boundary="circular")
y = data.degrade(truth, op, 0.01)
plan = priors.schedule(0.01, steps=8)
prior = priors.Denoiser(nonlocal_means, sigma=plan.levels)
x = fastip.admm(y, op, prior, beta=plan.betas, iterations=len(plan), tolerance=0).x

# %%
# The learned denoiser that comes with fastip, in the same place.

learned = fastip.shipped.prior("photo", noise=0.01)
plan = learned.schedule
best = fastip.admm(y, op, learned, beta=plan.betas, iterations=len(plan), tolerance=0).x
for name, picture in (("input", y), ("non-local means", x), ("learned denoiser", best)):
    print(f"{name:>16}: {float(metrics.psnr(picture.clamp(0, 1), truth)):.2f} dB")

# %%

figures.draw_pictures(plt.figure(), {"input": y, "nonlocal means": x, "learned denoiser": best, "truth": truth})
