"""The names that can be given on the command line, told without loading what they stand for.

A test compares the two.
"""

from __future__ import annotations

TASKS = (
    *("upscale", "sr4", "sr3", "sr2", "deblur", "denoise", "inpaint"),
    *("photo-sr4", "photo-sr4-wide", "photo-deblur-motion", "digits-sr4", "colorize-sr2"),
    *("digits-cs100", "fashion-cs100", "avatars-cs1000"),
)
PRIORS = ("photo", "tv", "wavelet", "l1", "l2")
INVERSES = ("auto", "exact", "split", "stencil", "cg")
BOUNDARIES = ("natural", "circular", "reflect", "zero", "valid")
PROGRAMS = ("pillow", "opencv", "torch", "torch-antialias", "matlab")
METHODS = ("area", "bilinear", "bicubic", "lanczos")
COLLECTIONS = ("digits", "fashion", "photos", "photos-more", "avatars", "faces")
LONG = ("photo-denoiser", "photo-restorer")  # the recipes that are trained for hours, in parts
RECIPES = (
    *(*LONG, "photo-denoiser-small"),
    *("photo-sr4", "photo-sr4-wide", "colorize-sr2", "digits-sr4"),
    *("digits-autoencoder", "digits-projector", "fashion-projector", "avatars-projector"),
)

PSF = "gaussian:9:1.6, motion:9:45, disk:7:3 or a file (image, NPY, NPZ, MAT, TXT, CSV)."
BOUNDARY = f"{BOUNDARIES[0]} (by default: the picture is a window of a larger scene), "
BOUNDARY += f"{', '.join(BOUNDARIES[1:-1])} or {BOUNDARIES[-1]}."
METHOD = "bicubic (by default), area, bilinear or lanczos"
PROGRAM = "pillow (by default), opencv, torch, torch-antialias or matlab"
