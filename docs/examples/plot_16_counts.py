"""Photons, and cosmic rays
========================

Squares take every difference for noise that is alike everywhere, and one wrong datum pulls its surroundings along. A
fidelity says what the data are: absolute differences pass over what does not fit.
"""

import matplotlib.pyplot as plt
import torch
from skimage.data import cell

import fastip
from fastip import fidelities, figures, metrics, operators, priors, psf

# %%
# A cell through a lens, in photons. One datum in fifty is hit by something else.

picture = torch.from_numpy(cell()[330:522, 330:522].copy()).float()[None, None]
truth = ((picture - picture.min()) / (picture.max() - picture.min())) ** 2
op = operators.Blur(psf.gaussian(9, sigma=1.5), boundary="reflect")
seed = torch.Generator().manual_seed(0)
counts = torch.poisson(60 * op(truth), generator=seed)
hit = torch.rand(counts.shape, generator=seed) < 0.02
y = torch.where(hit, torch.full_like(counts, 250.0), counts) / 60

# %%
# The same prior, with the best of six weights for each.


def best(fidelity, weights):
    """The solve that comes nearest to the truth."""
    found = [
        fastip.admm(y, op, priors.TV(float(w)) + priors.NonNegative(), fidelity=fidelity, iterations=200).x
        for w in weights
    ]
    return max(found, key=lambda x: float(metrics.psnr(x, truth)))


squares = best(None, torch.logspace(-2, 0.5, 6))
absolute = best(fidelities.Absolute(), torch.logspace(-2, 0.5, 6))
for name, x in (("squares", squares), ("absolute", absolute)):
    print(f"{name}: {float(metrics.psnr(x, truth)):.2f} dB")

# %%

pictures = {"data": y, "squares": squares, "absolute differences": absolute, "truth": truth}
figures.draw_pictures(plt.figure(), {title: image.clamp(0, 1) for title, image in pictures.items()})
