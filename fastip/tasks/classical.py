"""Tasks with classical priors: super-resolution and deblurring for any psf, no training needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from .. import inverses, operators, priors
from ..arrays import check_count, check_number
from ..contracts import Inverse, Prior
from ..errors import InvalidInput, closest, strict_keywords
from ..operators import psf as point_spread
from .choice import Choice
from .problem import AdmmProblem
from .task import Task

PRIORS: dict[str, Callable[[float], Prior]] = {
    "tv": priors.TV,
    "wavelet": priors.Wavelet,
    "l1": priors.L1,
    "l2": priors.L2,
}
BOXED = ("tv", "l1", "l2")  # priors that keep an exact prox when a box is added
INVERSES: dict[str, Callable[[], str | Inverse]] = {
    "auto": lambda: "auto",
    "exact": inverses.Exact,
    "stencil": inverses.Stencil,
    "cg": inverses.ConjugateGradient,
}


@dataclass(frozen=True)
class ClassicalTask(Task[AdmmProblem]):
    """``y = (psf * x)`` kept at ``0::stride``, plus noise, and settings that suit photographs in [0, 1].

    Attributes:
        name: By which :func:`fastip.tasks.get` finds it.
        summary: What it does, in a few words.
        stride: How many times smaller the data's grid is than the image's.
        psf: The default, a text as for :func:`read_psf`; None where only the user can know it.
        weights: The default weight of each prior.
        beta: The penalty of the splitting.
        boundary: "circular", "reflect", "zero" or "valid".
        prior: A name of ``PRIORS``.
        inverse: A name of ``INVERSES``.
        iterations: At most.
        tolerance: As for ``admm``.
    """

    weights: Mapping[str, float] = field(hash=False)
    beta: float
    boundary: str = "circular"
    prior: str = "tv"
    inverse: str = "auto"
    iterations: int = 100  # a bound alone: the tolerance is met after 10 to 55, see TASKS
    tolerance: float = 3e-2

    @property
    def prior_text(self) -> str:
        return f"{self.prior} {self.weights[self.prior]:g}"

    def chosen(self, choice: Choice) -> AdmmProblem:
        """The problem for this choice.

        Args:
            choice: Its ``bounded`` is for all priors but wavelet, which cannot hold 0 <= x <= 1.

        Returns:
            The problem.

        Raises:
            InvalidInput: For unknown names, bad numbers, a missing psf, and for memory and dtype, which are for tasks
                with a network.
        """
        for option, value in choice.given("memory", "dtype").items():
            without = f"task {self.name!r} has no network whose {option} could be chosen"
            raise InvalidInput(f"{option} is {value!r}, and {without}; leave it out")
        psf = self.psf if choice.psf is None else choice.psf
        if psf is None:
            advice = "give one, e.g. motion:9:45, gaussian:9:1.6 or an image file"
            raise InvalidInput(f"task {self.name!r} needs the psf that blurred the image; {advice}")
        taps = read_psf(psf) if isinstance(psf, str) else psf
        return AdmmProblem(
            op=operators.Blur(taps, stride=self.stride, boundary=choice.boundary or self.boundary),
            prior=self._prior(choice),
            inverse=INVERSES[closest(choice.inverse or self.inverse, INVERSES, "inverse")](),
            beta=check_number(self.beta if choice.beta is None else choice.beta, "beta", low=0.0, strict=True),
            iterations=check_count(
                self.iterations if choice.iterations is None else choice.iterations, "iterations", low=1
            ),
            tolerance=check_number(
                self.tolerance if choice.tolerance is None else choice.tolerance, "tolerance", low=0.0
            ),
        )

    def _prior(self, choice: Choice) -> Prior:
        name = closest(choice.prior or self.prior, PRIORS, "prior")
        regulariser = PRIORS[name](
            check_number(self.weights[name] if choice.weight is None else choice.weight, "weight", low=0.0)
        )
        if choice.bounded and name in BOXED:
            regulariser = regulariser + priors.Box(0.0, 1.0)  # type: ignore[operator]
        return regulariser


@strict_keywords
def read_psf(text: str, *, background: float | str | None = None, centre: bool = False) -> Tensor:
    """The psf in a text form or in a file.

    Args:
        text: gaussian:9:1.6, motion:9:45, ..., or the path of a file for :func:`fastip.psf.read`.
        background: Of a file, as there.
        centre: Of a file, as there.

    Returns:
        The psf, float64, kh x kw, sum 1.

    Raises:
        InvalidInput: For anything else, for a file that :func:`fastip.psf.read` refuses, and for a background or centre
            of a text form.
        Unsupported: For a .mat file without the package that reads it.
    """
    suffix = Path(text).suffix.lower()
    if suffix in point_spread.SUFFIXES or (suffix[1:].isalpha() and ":" not in text):
        return point_spread.read(text, background=background, centre=centre)
    if background is not None or centre:
        raise InvalidInput(
            f"the psf is {text!r}, which has no background and its place by definition; "
            "expected the path of a file beside background and centre: leave them out"
        )
    return point_spread.parse(text)


# The weights and beta were chosen by PSNR on five photographs (scikit-image: chelsea, astronaut, coffee; scikit-learn:
# china, flower; crops of about 256 x 256), degraded by the task's own operator; super-resolution as a compromise
# between no noise and noise of 0.01, deblurring (motion:9:45) for noise of 0.01. Mean PSNR in dB, bicubic (deblurring:
# the input) -> tv: sr4 24.1 -> 25.5 without and 24.0 -> 25.1 with noise, sr2 25.1 -> 28.1 and 25.0 -> 27.0, deblur
# 24.4 -> 29.3. On the middles of nine test photographs, noise 0.01, a tolerance of 0.03 is met after 10 to 55
# iterations; one of 0.003 takes two to four times as many and changes the mean PSNR by - 0.15 to - 0.01 dB, because
# the picture is best before the minimum. The l1 weights suit sparse images (2 % bright points).
TASKS = (
    ClassicalTask(
        "sr4", "super-resolution × 4", 4, "gaussian:9:1.6", {"tv": 5e-4, "wavelet": 1e-3, "l1": 1e-4, "l2": 1e-4}, 1e-2
    ),
    ClassicalTask(
        "sr2", "super-resolution × 2", 2, "gaussian:9:1.6", {"tv": 6e-4, "wavelet": 2e-3, "l1": 2e-3, "l2": 1e-2}, 3e-2
    ),
    ClassicalTask(
        "deblur", "remove a known blur", 1, None, {"tv": 1.5e-3, "wavelet": 4e-3, "l1": 5e-3, "l2": 2e-2}, 3e-2
    ),
)
