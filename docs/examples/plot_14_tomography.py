"""Tomography, from functions to a matrix
======================================

The programs of other libraries come as pairs of functions: one projects, the other projects back. ``operators.check``
tells whether such a pair can be solved with, and here it can not. A sparse matrix of SciPy can.
"""

import matplotlib.pyplot as plt
import numpy as np
import scipy.sparse
import torch
from skimage.data import shepp_logan_phantom
from skimage.transform import iradon, radon, resize

import fastip
from fastip import figures, metrics, operators, priors
from fastip.errors import InvalidInput

size = 96
angles = np.linspace(0, 180, 24, endpoint=False)
truth = torch.from_numpy(resize(shepp_logan_phantom(), (size, size), anti_aliasing=True)).float()[None, None]

# %%
# The Radon transform of scikit-image takes one picture; ``operators.each`` makes functions of batches. Its unfiltered
# way back interpolates between other points than the way there: near the adjoint, and not the adjoint.


def project(x):
    """Each column of the data is the sums along one direction."""
    return torch.from_numpy(radon(x[0].double().numpy(), angles, circle=False)).to(x)[None]


def project_back(y):
    """Every sum is spread along its direction again."""
    back = iradon(y[0].double().numpy(), angles, size, filter_name=None, circle=False)  # pi / 2 of the mean
    return torch.from_numpy(back * 2 * len(angles) / np.pi).to(y)[None]


pair = operators.Function(
    operators.each(project),
    operators.each(project_back),
    image_shape=(1, size, size),
    data_shape=tuple(project(truth[0]).shape),
)
report = operators.check(pair, (1, size, size))

# %%
# A solve refuses it, since what it would find is the solution of no problem that anybody stated.

try:
    fastip.admm(pair(truth), pair, priors.TV(weight=1e-2))
except InvalidInput as error:
    print(error)

# %%
# The same geometry as a matrix: each pixel is shared by the two cells of the detector that its centre falls between.

across = np.arange(size) - size // 2
rows, columns, values = [], [], []
for number, angle in enumerate(np.deg2rad(angles)):
    place = (across[None, :] * np.cos(angle) - across[:, None] * np.sin(angle) + size // 2).ravel()
    for cell in (np.floor(place), np.floor(place) + 1):
        inside = (cell >= 0) & (cell < size)
        rows.append(cell[inside].astype(int) * len(angles) + number)
        columns.append(np.flatnonzero(inside))
        values.append(1 - np.abs(place - cell)[inside])
entries = np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))
matrix = scipy.sparse.coo_array(entries, shape=(size * len(angles), size * size))
op = operators.Sparse(matrix, (1, size, size), (1, size, len(angles)))
report = operators.check(op, (1, size, size))

# %%
# 24 directions are few: the filtered way back (``iradon``) brings the noise and lines, total variation areas.

y = op(truth)
y = y + 0.5 * torch.randn(y.shape, generator=torch.Generator().manual_seed(0))
x = fastip.admm(y, op, priors.TV(weight=1.5) + priors.NonNegative(), iterations=300).x
filtered = torch.from_numpy(iradon(y[0, 0].double().numpy(), angles)).float()[None, None]
for name, picture in (("filtered, back", filtered), ("total variation", x)):
    print(f"{name:>16}: {float(metrics.psnr(picture.clamp(0, 1), truth)):.2f} dB")

# %%

figures.draw_pictures(
    plt.figure(),
    {"data": y / y.max(), "filtered, back": filtered.clamp(0, 1), "total variation": x, "truth": truth},
)
