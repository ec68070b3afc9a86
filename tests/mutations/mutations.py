"""Seeded bugs, one line each, of the kinds that happen: what the quick suite has to catch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutation:
    """One bug.

    Args:
        name: What the table calls it.
        file: Where it lies, from the root of the repository.
        old: Text that stands there exactly once.
        new: What it becomes.
        breaks: What goes wrong, in words.
        likely: Folders or files below tests/ that are most likely to catch it.
    """

    name: str
    file: str
    old: str
    new: str
    breaks: str
    likely: tuple[str, ...]

    @property
    def compiled(self) -> bool:
        """Whether the extension has to be built again."""
        return self.file.startswith("csrc/")


MUTATIONS = (
    # ---- solvers, stop rule, inverses ----
    Mutation(
        "dual-not-relaxed",
        "fastip/solvers/admm.py",
        "x, q = x + relaxation * (x_new - x), q + relaxation * (q_new - q)",
        "x, q = x + relaxation * (x_new - x), q_new",
        "over-relaxation moves the image and not the dual; the fixed point is still right",
        ("solvers/test_admm.py",),
    ),
    Mutation(
        "prox-step-doubled",
        "fastip/solvers/admm.py",
        "1 / (2 * step.beta))",
        "1 / step.beta)",
        "the prior counts twice in the visible loop",
        ("solvers/test_admm.py",),
    ),
    Mutation(
        "verdict-of-the-mean",
        "fastip/stopping.py",
        "bool((ratios[1] <= self.tolerance).all())",
        "bool(ratios[1].mean() <= self.tolerance)",
        "a batch stops when its mean has converged, not each of its images",
        ("test_stopping.py", "solvers/test_admm.py"),
    ),
    Mutation(
        "half-plane-counted-wrong",
        "fastip/inverses/steps.py",
        "twice[..., 1 : (w + 1) // 2] *= 2**0.5",
        "twice[..., 1 : w // 2] *= 2**0.5",
        "the residual in Fourier space is compared with the tolerance in another norm",
        ("inverses/test_exact.py", "solvers/test_admm.py"),
    ),
    Mutation(
        "margin-of-the-certificate-dropped",
        "fastip/inverses/certificate.py",
        "high = min(1.0, LIMIT / self.kappa)",
        "high = min(1.0, 1 / self.kappa)",
        "an inverse may be used at kappa = 1, where nothing is certified",
        ("inverses/test_certificate.py", "inverses/test_stencil.py"),
    ),
    Mutation(
        "prior-beside-the-picture",
        "fastip/kernels/split_reference.py",
        "torch.where(inside, p + F.pad(moved, beside), -image)",
        "p + F.pad(moved, beside)",
        "what lies beside the picture is not free, and pixels near the border suffer with it",
        ("kernels/test_split_step.py",),
    ),
    Mutation(
        "dual-of-a-schedule",
        "fastip/inverses/split.py",
        "(old / self.beta - 1)",
        "(self.beta / old - 1)",
        "a new beta scales the dual the wrong way: it starts far off",
        ("inverses/test_split.py",),
    ),
    Mutation(
        "one-gradient-step-too-many",
        "fastip/inverses/conjugate_gradient.py",
        "for _ in range(self.steps - 1):",
        "for _ in range(self.steps):",
        "GradientDescent(n) takes n + 1 steps",
        ("inverses/test_iterative.py",),
    ),
    # ---- operators ----
    Mutation(
        "spectrum-of-another-precision",
        "fastip/operators/base/fourier.py",
        "key = (grid, dtype, device)",
        "key = (grid, device)",
        "float64 data meet the float32 spectrum that an earlier call left in the cache",
        ("operators/test_blur.py",),
    ),
    Mutation(
        "adjoint-without-conj",
        "fastip/operators/base/fourier.py",
        "self._spectrum(grid, data).conj(), s=grid)",
        "self._spectrum(grid, data), s=grid)",
        "the adjoint through the FFT convolves where it should correlate",
        ("operators/test_blur.py",),
    ),
    Mutation(
        "width-taken-from-the-height",
        "fastip/operators/masked_fourier.py",
        "power.shape[1] // 2 + 1",
        "power.shape[0] // 2 + 1",
        "the spectrum of A^T A is cut at half the height: right on square images only",
        ("operators/test_mask.py", "inverses/test_exact.py"),
    ),
    Mutation(
        "motion-of-half-the-pixels",
        "fastip/operators/psf/forms.py",
        "(column + j).clamp_max(size - 1)",
        "column.clamp_max(size - 1)",
        "a motion is spread over the rows that it crosses, and not over the columns",
        ("operators/test_psf.py",),
    ),
    Mutation(
        "shake-that-forgets",
        "fastip/operators/psf/shake.py",
        "0.97 * w + 0.12 * right",
        "0.97 * v + 0.12 * right",
        "a camera shake takes its speed to the right from that downwards",
        ("operators/test_psf.py",),
    ),
    Mutation(
        "all-directions-alike",
        "fastip/operators/psf/spectrum.py",
        "parts += [*waves, log * waves[0], log * waves[1]]",
        "parts += []",
        "details along one direction draw an estimated motion towards them",
        ("operators/test_psf_estimate.py",),
    ),
    Mutation(
        "noise-of-another-unit",
        "fastip/operators/psf/estimated.py",
        "return grey[0, 0] / detail, level / detail",
        "return grey[0, 0] / detail, level",
        "the noise stays in the unit of the picture where the picture is brought to detail 1",
        ("operators/test_psf_estimate.py",),
    ),
    Mutation(
        "clipped-at-both-limits",
        "fastip/fidelities/clipped.py",
        "least > most, most > least",
        "least > most, most",
        "a datum at both limits may be anything below them",
        ("fidelities/test_fidelities.py",),
    ),
    Mutation(
        "white-is-no-limit",
        "fastip/noise.py",
        "finite & (values != 0) & (values != 1)",
        "finite & (values != 0)",
        "noise that is cut off at white counts, and the level is too low",
        ("test_noise_level.py",),
    ),
    Mutation(
        "frame-left-dark",
        "fastip/inverses/close.py",
        "return (pulled + faint * mean) / (reach + faint)",
        "return pulled / reach.amax()",
        "few iterations leave the frame of a valid border dark",
        ("tasks/test_trained.py", "test_restorer.py"),
    ),
    # ---- priors, networks, gradients ----
    Mutation(
        "noise-of-the-first-picture",
        "fastip/restorer.py",
        "self._admm(given[k : k + 1], op, level, callback)",
        "self._admm(given[k : k + 1], op, levels[0], callback)",
        "a restorer takes the noise of the first picture for that of all",
        ("test_restorer.py",),
    ),
    Mutation(
        "gradient-of-the-threshold-missing",
        "fastip/kernels/threshold.py",
        "if ctx.needs_input_grad[1] else None",
        "if ctx.needs_input_grad[0] else None",
        "the weight of a prior gets no gradient where the image needs none",
        ("kernels/test_library_gradients.py", "kernels/test_soft_threshold.py", "priors/test_separable.py"),
    ),
    Mutation(
        "level-too-small",
        "fastip/priors/levelled.py",
        "self.noise * math.sqrt(2 * step)",
        "self.noise * math.sqrt(step)",
        "a denoiser is told a level that is too small by sqrt(2)",
        ("priors/test_denoiser.py", "priors/test_plug_and_play.py"),
    ),
    Mutation(
        "ramp-of-the-tiles-not-mirrored",
        "fastip/nets/tiles.py",
        "*= ramp.flip(0)",
        "*= ramp",
        "the weights of two neighbours rise together where one should fall",
        ("nets/test_tiles.py",),
    ),
    # ---- files, data, command line ----
    Mutation(
        "digest-not-compared",
        "fastip/checkpoint/container.py",
        'if record.get("digest") != digest(record, tensors):',
        'if "digest" not in record:',
        "a damaged checkpoint is taken for a good one",
        ("checkpoint/test_checkpoint.py",),
    ),
    Mutation(
        "replaced-by-a-plain-write",
        "fastip/io/replace.py",
        "os.replace(temporary, path)",
        "path.write_bytes(temporary.read_bytes())",
        "a reader can see half of a file",
        ("checkpoint/test_checkpoint.py", "io/test_io.py"),
    ),
    Mutation(
        "eight-bits-for-floats",
        "fastip/io/formats.py",
        '_INTEGERS = {**_SAME, "float32": "uint16"}',
        '_INTEGERS = {**_SAME, "float32": "uint8"}',
        "a float image is written to PNG with 8 bits",
        ("io/test_io.py",),
    ),
    Mutation(
        "all-integers-of-eight-bits",
        "fastip/io/planes.py",
        "np.float32(found.top)",
        "np.float32(255 if found.top < 256 else 65535)",
        "images of 1 to 7 and 9 to 15 bits are nearly black",
        ("io/test_tiff.py",),
    ),
    Mutation(
        "alpha-left-in-colours",
        "fastip/io/alpha.py",
        "if premultiplied else colour * w",
        "if premultiplied and x.shape[1] > 3 else colour * w",
        "premultiplied colours are taken for straight ones, dark where alpha is small",
        ("io/test_tiff.py",),
    ),
    Mutation(
        "dark-values-fall",
        "fastip/io/tone_curves.py",
        "(at / size / 2)[run == 0]",
        "(at / size)[run == 0]",
        "the table of a profile that begins flat falls behind it: dark values come back as others",
        ("io/test_transfer.py", "io/test_icc.py"),
    ),
    Mutation(
        "noise-on-hidden-pixels",
        "fastip/data/degrade.py",
        " * e * _measured(x, op)",
        " * e",
        "pixels that a mask hides get noise",
        ("data/test_degrade.py",),
    ),
    Mutation(
        "failed-files-forgotten",
        "fastip/cli/restore.py",
        "raise typer.Exit(1)",
        "raise typer.Exit(0)",
        "a folder of which images failed is told to have been restored",
        ("cli/test_cli_restore.py",),
    ),
    # ---- training ----
    Mutation(
        "moments-lost-at-resume",
        "fastip/train/engine/state.py",
        'adam.load_state_dict({"state": moments,',
        'adam.load_state_dict({"state": {},',
        "a training goes on with its weights and a fresh Adam",
        ("train/test_resume.py",),
    ),
    Mutation(
        "one-noise-for-all-processes",
        "fastip/train/losses/restoration.py",
        "schedule.stream(self.seed, step, rank)",
        "schedule.stream(self.seed, step, 0)",
        "all processes of a training draw the same noise",
        ("train/test_prior.py",),
    ),
    Mutation(
        "eight-bits-are-no-noise",
        "fastip/train/degradation.py",
        "elif noise > 0:",
        "elif noise >= 0:",
        "a restorer in training is told that data without noise have none, not that of their rounding",
        ("train/test_restorer_training.py",),
    ),
    # ---- compiled ----
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
