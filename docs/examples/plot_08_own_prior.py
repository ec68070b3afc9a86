"""A prior of your own
===================

A subclass of ``Prior`` gives its prox. Here an older, sharp picture z of the same place is known, and the new one is
blurred: the restored image should differ from the old one in few pixels, ::

    R(x) = weight ||x - z||_1        prox_{step R}(v) = z + shrink(v - z, step weight)
"""

import matplotlib.pyplot as plt

import fastip
from fastip import data, figures, metrics, operators, priors, psf
from fastip.priors.prior import BoundWithout

# %%
# ``bind`` is called once for a solve, and returns the prox. What changes during a solve lives in the bound object, so
# one prior can serve many solves.


class Near(priors.Prior):
    """R(x) = weight ||x - z||_1."""

    def __init__(self, z, weight):
        self.z, self.weight = z, weight

    def bind(self, y, op):
        return _BoundNear(self)

    def value(self, x):
        return self.weight * (x - self.z).abs().sum((1, 2, 3))


class _BoundNear(BoundWithout):
    def __init__(self, prior):
        self.prior = prior

    def __call__(self, v, step):
        change = v - self.prior.z
        return self.prior.z + change.sign() * (change.abs() - step * self.prior.weight).clamp_min(0)


# %%
# Three rectangles are new, and the new picture is blurred and noisy. Where nothing changed the old one stays; in the
# rectangles each pixel has only the data to go by, so their noise stays too.

old = data.held_out_photographs(["rocket"])["rocket"][..., 100:260, 200:360]
new = old.clone()
new[..., 20:34, 100:124], new[..., 90:96, 30:60], new[..., 120:150, 120:126] = 0.9, 0.1, 0.6
op = operators.Blur(psf.gaussian(13, 2.5), boundary="valid")
y = data.degrade(new, op, 0.01)

near = fastip.admm(y, op, Near(old, weight=2e-3), iterations=300).x
alone = fastip.admm(y, op, priors.TV(weight=1e-3), iterations=300).x
for name, picture in (("total variation", alone), ("near the old one", near)):
    print(f"{name:>16}: {float(metrics.psnr(picture.clamp(0, 1), new)):.2f} dB")

# %%

figures.draw_pictures(
    plt.figure(), {"old": old, "input": y, "total variation": alone, "near the old one": near, "truth": new}
)
