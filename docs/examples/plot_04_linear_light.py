"""Out of focus, in light
======================

A lens blurs light, and a file holds the values of a curve of it. Where the contrast is high it matters in which of both
the blur is undone.
"""

import matplotlib.pyplot as plt

import fastip
from fastip import data, figures, metrics, operators, psf

# %%
# The curve of sRGB, both ways.


def light(values):
    """Values of a file as light."""
    return ((values + 0.055) / 1.055).clamp_min(0) ** 2.4 * (values > 0.04045) + values / 12.92 * (values <= 0.04045)


def values(light):
    """Light as values of a file."""
    return (1.055 * light.clamp_min(0) ** (1 / 2.4) - 0.055) * (light > 0.0031308) + 12.92 * light * (
        light <= 0.0031308
    )


# %%
# A disk of radius 3.5 pixels, in light, with noise of one grey level.

disk = psf.disk(9, 3.5)
scene = data.held_out_photographs(["flower"])["flower"][..., 100:308, 200:408]
seen = data.degrade(light(scene), operators.Blur(disk, boundary="valid"), 1 / 255).clamp(0, 1)
y, truth = values(seen), scene[..., 4:-4, 4:-4]

# %%
# Once on the values as they are, where all that the operator does not explain is taken for detail, and once on light.
# ``fastip restore --linear`` does the second by the colour profile of
# the file.

task = fastip.load_task("deblur", psf=disk, noise=1 / 255)
as_values = task.solve(y).x
in_light = values(task.solve(light(y)).x.clamp(0, 1))
for name, picture in (("input", y), ("on values", as_values), ("in light", in_light)):
    print(f"{name:>10}: {float(metrics.psnr(picture.clamp(0, 1), truth)):.2f} dB")

# %%

figures.draw_pictures(plt.figure(), {"input": y, "on values": as_values, "in light": in_light, "truth": truth})
