"""A picture from some of its frequencies
======================================

Magnetic resonance measures single frequencies, and each takes time. From a fifth of them, along radial lines, total
variation brings back a picture that consists of areas.
"""

import matplotlib.pyplot as plt
import torch
from skimage.data import shepp_logan_phantom
from skimage.transform import resize

import fastip
from fastip import figures, metrics, operators, priors

# %%
# Frequencies on 32 lines through the middle, in the layout of ``torch.fft``: the constant one is the first.

truth = torch.from_numpy(resize(shepp_logan_phantom(), (192, 192), anti_aliasing=True)).float()[None, None]
rows, columns = torch.meshgrid(torch.fft.fftfreq(192), torch.fft.fftfreq(192), indexing="ij")
angles = torch.arange(32) * torch.pi / 32
distance = (rows[..., None] * angles.cos() - columns[..., None] * angles.sin()).abs().amin(-1)
mask = (distance < 0.6 / 192).float()
op = operators.MaskedFourier(mask)
y = op(truth)
print(f"{float(mask.mean()):.0%} of the frequencies")

# %%
# The data are complex and the image is real. What the missing frequencies leave, taken as zero, is the adjoint.

x = fastip.admm(y, op, priors.TV(weight=2e-3) + priors.NonNegative(), iterations=400).x
zero = op.adjoint(y)
for name, picture in (("zeros", zero), ("total variation", x)):
    print(f"{name:>16}: {float(metrics.psnr(picture, truth)):.2f} dB")

# %%

figures.draw_pictures(
    plt.figure(),
    {"frequencies": torch.fft.fftshift(mask)[None, None], "zeros": zero, "total variation": x, "truth": truth},
)
