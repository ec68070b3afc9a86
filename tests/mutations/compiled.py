"""Bugs of the C++ sources."""

from __future__ import annotations

from .mutation import Mutation

COMPILED = (
    Mutation(
        "psf-not-flipped",
        "csrc/include/fastip/convolution.hpp",
        "full[i] = g.psf[kh * kw - 1 - i];",
        "full[i] = g.psf[i];",
        "a correlation in place of a convolution: right for symmetric psfs only",
        ("kernels/test_convolutions.py",),
    ),
    Mutation(
        "margin-one-column-short",
        "csrc/cpu/strided_conv_adjoint.cpp",
        "x < g.width + g.kw - 1 - before; ++x)",
        "x < g.width + g.kw - 2 - before; ++x)",
        "the adjoint forgets the last column of the margin",
        ("kernels/test_convolutions.py",),
    ),
    Mutation(
        "box-of-one-side-ignored",
        "csrc/cpu/solve/rows.hpp",
        "args.low > -HUGE_VAL || args.high < HUGE_VAL",
        "args.low > -HUGE_VAL && args.high < HUGE_VAL",
        "the whole solve ignores NonNegative, as it has one bound",
        ("kernels/test_admm.py", "solvers/test_admm.py"),
    ),
    Mutation(
        "patience-in-looks",
        "csrc/include/fastip/stop_rule.hpp",
        "growing * every >= patience",
        "growing >= patience",
        "a diverging solve runs on for five times as long",
        ("kernels/test_admm.py",),
    ),
    Mutation(
        "gain-of-the-first-block",
        "csrc/cpu/spectral_step.cpp",
        "gain + first, count",
        "gain, count",
        "every block of a plane is multiplied by the gains of the first: right on small planes only",
        ("kernels/test_admm.py",),
    ),
    Mutation(
        "divergence-of-the-first-column",
        "csrc/cpu/tv_prox.cpp",
        "(above[0] - down[0] - right[0])",
        "(above[0] - down[0] + right[0])",
        "the divergence of total variation has a wrong sign in the first column",
        ("kernels/test_tv_prox.py",),
    ),
)
