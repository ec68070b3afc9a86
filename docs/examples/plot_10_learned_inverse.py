"""An inverse learned from noise
=============================

On a border that does not wrap, no closed form knows (beta I + A A^T)^-1. A small network learns it from noise alone. It
is linear, symmetric and positive definite by construction, so the limit of the solve is the exact minimiser whatever
was learned, and a certificate says so before the first iteration.
"""

import matplotlib.pyplot as plt

import fastip
from fastip import data, inverses, operators, priors, psf

# %%
# This one was trained for the blur and comes with fastip; ``fastip.train.inverse(op, beta=1e-2)`` trains another.

op = operators.Blur(psf.motion(9, 45), boundary="valid")
with fastip.shipped.weights("inverses", "motion-valid") as path:
    learned = fastip.load_inverse(path)

# %%
# The objective of the solve with it, with the best stencil of the same width, and with conjugate gradients to 1e-5 in
# each iteration, which stand for the exact inverse, over that of a long solve.

truth = data.held_out_photographs(["chelsea"])["chelsea"].mean(1, keepdim=True)[..., 60:188, 120:248]
y = data.degrade(truth, op, 0.01)
prior = priors.L1(weight=1e-3)


def objective(x):
    """What is minimised."""
    return float((op(x) - y).square().sum() + prior.value(x).sum())


lowest = objective(fastip.admm(y, op, prior, beta=1e-2, inverse=learned, iterations=200, tolerance=0).x)
steps = {"stencil": inverses.Stencil(6), "learned": learned, "conjugate gradients": inverses.ConjugateGradient()}
figure, axis = plt.subplots(figsize=(6, 4), layout="constrained")
for (name, inverse), line in zip(steps.items(), ("-", "-", "--"), strict=True):
    curve = []

    def watch(state, curve=curve):
        """Keep the objective."""
        curve.append(objective(state.x))

    fastip.admm(y, op, prior, beta=1e-2, inverse=inverse, iterations=60, tolerance=0, callback=watch)
    axis.semilogy([value / lowest - 1 for value in curve], line, label=name)
axis.set_xlabel("iteration")
axis.set_ylabel("objective over its lowest, minus 1")
axis.legend()
