"""A camera shake
==============

The path of the camera is known, for example from a lamp in the picture that drew it. What lies beyond the border of the
photograph is not, and no border is assumed: the photograph is a window of a larger scene.
"""

import matplotlib.pyplot as plt

import fastip
from fastip import data, figures, metrics, operators, psf

# %%
# The data: a path on 21 x 21 pixels, a window of the scene, and noise of one grey level in a hundred.

path = psf.shake(21, seed=2)
scene = data.held_out_photographs(["chelsea"])["chelsea"][..., 20:256, 70:326]
y = data.degrade(scene, operators.Blur(path, boundary="valid"), 0.01)
truth = scene[..., 10:-10, 10:-10]

# %%
# The restorer, and total variation with the weight that suits the noise.

x = fastip.load_task("deblur", psf=path).solve(y).x
classical = fastip.load_task("deblur", psf=path, prior="tv").solve(y).x
for name, picture in (("input", y), ("total variation", classical), ("restorer", x)):
    print(f"{name:>16}: {float(metrics.psnr(picture.clamp(0, 1), truth)):.2f} dB")

# %%
# In a shell, with the path in a file: ``fastip restore moved.png --task deblur --psf shake.png -o sharp.png``.

# %%

figures.draw_pictures(plt.figure(), {"input": y, "total variation": classical, "restorer": x, "truth": truth})
