"""The names that can be given on the command line, told without loading what they stand for.

A test compares the two.
"""

from __future__ import annotations

TASKS = (
    *("sr4", "sr2", "deblur"),
    *("photo-sr4", "photo-sr4-wide", "photo-deblur-motion", "digits-sr4", "colorize-sr2"),
    *("digits-cs100", "fashion-cs100", "avatars-cs1000"),
)
PRIORS = ("tv", "wavelet", "l1", "l2")
INVERSES = ("auto", "exact", "stencil", "cg")
BOUNDARIES = ("circular", "reflect", "zero", "valid")
COLLECTIONS = ("digits", "fashion", "photos", "photos-more", "avatars", "faces")
LONG = ("photo-denoiser", "photo-restorer")  # the recipes that are trained for hours, in parts
RECIPES = (
    *(*LONG, "photo-denoiser-small"),
    *("photo-sr4", "photo-sr4-wide", "photo-deblur-motion", "colorize-sr2", "digits-sr4"),
    *("digits-autoencoder", "digits-projector", "fashion-projector", "avatars-projector"),
)

PSF = "gaussian:9:1.6, motion:9:45, disk:7:3 or a file (image, NPY, NPZ, MAT, TXT, CSV)."
BOUNDARY = f"{', '.join(BOUNDARIES[:-1])} or {BOUNDARIES[-1]}."
