"""A solve by an installed wheel, in an environment that has nothing else: python tests/packaging/solve.py."""

import torch

import fastip

op = fastip.operators.Blur(fastip.psf.gaussian(9, sigma=1.6), stride=4, boundary="circular")
x = torch.zeros(1, 3, 64, 64)
x[..., ::7, ::5] = 1
solution = fastip.admm(op(x), op, fastip.priors.L1(weight=1e-4), beta=1e-2, iterations=200)
gap = float((op(solution.x) - op(x)).norm() / op(x).norm())
assert fastip.kernels.available()["compiled"] and gap < 0.05, (fastip.kernels.available(), gap)
print(solution.status, f"relative data residual {gap:.1e}")
