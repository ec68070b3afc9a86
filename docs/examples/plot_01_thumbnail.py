"""A thumbnail
===========

A program made a photograph four times smaller. The task ``upscale`` knows the operator of that program, to the pixel,
and undoes it.
"""

import matplotlib.pyplot as plt
from torch.nn.functional import interpolate

import fastip
from fastip import data, figures, metrics, operators

# %%
# The data: a photograph that no training saw, reduced by the linear map of Pillow's bicubic filter and rounded to 8
# bits, as a file would hold it.

truth = data.held_out_photographs(["astronaut"])["astronaut"][..., 0:256, 100:356]
y = (operators.Resize(4)(truth) * 255).round().clamp(0, 255) / 255

# %%
# One call. The noise, here that of the rounding, is estimated; the prior is the learned restorer.

x = fastip.load_task("upscale", factor=4).solve(y).x
classical = fastip.load_task("upscale", factor=4, prior="tv").solve(y).x
bicubic = interpolate(y, scale_factor=4, mode="bicubic")
for name, picture in (("bicubic", bicubic), ("total variation", classical), ("restorer", x)):
    print(f"{name:>16}: {float(metrics.psnr(picture.clamp(0, 1), truth)):.2f} dB")

# %%
# The same in a shell: ``fastip restore small.png --task upscale --factor 4 -o large.png``.

# %%

figures.draw_pictures(plt.figure(), {"bicubic": bicubic, "total variation": classical, "restorer": x, "truth": truth})
