"""How strong a prior should be
============================

The weight of a prior says how much of the data is noise. ``fastip.select`` finds it from the data: by the misfit that
the noise leaves, or by an estimate of the error.
"""

import matplotlib.pyplot as plt

import fastip
from fastip import data, figures, metrics, operators, priors, psf

# %%
# A photograph out of focus, with noise of a known deviation.

truth = data.held_out_photographs(["coffee"])["coffee"][..., 60:220, 150:310]
op = operators.Blur(psf.disk(7, 2.5), boundary="valid")
y = data.degrade(truth, op, 0.03)


def prior(weight):
    """What the weights are of."""
    return priors.TV(weight) + priors.Box(0, 1)


# %%
# "discrepancy" smooths until the misfit is that of the noise; "sure" until the estimate of the error grows again.

found = fastip.select(y, op, prior, noise=0.03)
sure = fastip.select(y, op, prior, rule="sure", noise=0.03)

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
figures.draw_selection(left, found)
figures.draw_selection(right, sure)

# %%
# Beside a weight ten times smaller and one ten times larger.

inside = truth[..., 3:-3, 3:-3]
pictures = {
    "a tenth": fastip.admm(y, op, prior(0.1 * sure.weight)).x,
    "discrepancy": found.solution.x,
    "sure": sure.solution.x,
    "ten times": fastip.admm(y, op, prior(10 * sure.weight)).x,
}
for name, picture in pictures.items():
    print(f"{name:>11}: {float(metrics.psnr(picture[..., 3:-3, 3:-3], inside)):.2f} dB")

# %%

figures.draw_pictures(plt.figure(), {"data": y, **pictures, "truth": truth})
