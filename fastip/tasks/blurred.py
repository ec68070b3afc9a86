"""Deblurring and super-resolution for any psf, no training needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from ..contracts import LinearOperator
from ..errors import InvalidInput, strict_keywords
from ..operators import psf as point_spread
from .borders import NATURAL, blurred
from .choice import Choice
from .classical import ClassicalTask
from .clipped import AUTO
from .settings import CLIPPED, Usual


@dataclass(frozen=True)
class BlurTask(ClassicalTask):
    """``y = (psf * x)`` kept at ``0::stride``, plus noise.

    Attributes:
        name: By which :func:`fastip.tasks.get` finds it.
        summary: What it does, in a few words.
        stride: How many times smaller the data's grid is than the image's.
        psf: The default, a text as for :func:`read_psf`; None where only the user can know it.
        boundary: "natural", "circular", "reflect", "zero" or "valid".
    """

    takes: ClassVar[tuple[str, ...]] = ("psf", "boundary")

    boundary: str = NATURAL

    @property
    def data_text(self) -> str:
        return super().data_text + (", highlights may be cut off" if self.stride == 1 else "")

    def words(self, choice: Choice, psf: str | None = None) -> str:
        return f"{self.name}, psf {psf or self.psf}, {choice.boundary or self.boundary} boundary"

    def operator(self, choice: Choice) -> LinearOperator:
        psf = self.psf if choice.psf is None else choice.psf
        if psf is None:
            advice = "give one, e.g. motion:9:45, gaussian:9:1.6 or an image file"
            raise InvalidInput(f"task {self.name!r} needs the psf that blurred the image; {advice}")
        taps = read_psf(psf) if isinstance(psf, str) else psf
        return blurred(taps, self.stride, choice.boundary or self.boundary)

    def _natural(self, choice: Choice) -> bool:
        return (choice.boundary or self.boundary) == NATURAL

    def usual(self, choice: Choice) -> Usual:
        return Usual(inverse="split" if self._natural(choice) else "auto")

    # Photographs and a page of print as they are, 0.02 to 16 % white, lose 0.25 dB at most by it and gain 0.3; with
    # 15 % clipped in light they gain 5.3, each 0.1 to 13 (x 2: 0.6 to 1, x 4: 0). Where nothing is blurred a clipped
    # pixel has nobody else to tell how bright it is: denoise gains 0.05 dB, and the second split costs inpaint 1.8 dB.
    def usual_clipped(self, choice: Choice) -> str | None:
        served = self.stride == 1 and choice.inverse in CLIPPED and self.operator(choice).window() is not None
        return AUTO if served else None

    def beside(self, choice: Choice, op: LinearOperator) -> dict[str, Any]:
        return {"cut": choice.crop and self._natural(choice)}


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


# On the middles of nine test photographs, noise 0.01, circular, a tolerance of 0.03 is met after 10 to 55 iterations;
# one of 0.003 takes two to four times as many and changes the mean PSNR by - 0.15 to - 0.01 dB, because the picture is
# best before the minimum. Natural borders, four validation photographs, noise 0.01, PSNR and iterations with
# inverses.Split and with "auto": 9 x 9 motion 30.66 dB after 42 and after 76, sr2 29.09 after 40 and 29.08 after 40.
TASKS = (
    BlurTask("sr4", "super-resolution × 4", 4, "gaussian:9:1.6"),
    BlurTask("sr3", "super-resolution × 3", 3, "gaussian:9:1.6"),
    BlurTask("sr2", "super-resolution × 2", 2, "gaussian:9:1.6"),
    BlurTask("deblur", "remove a known blur", 1, None),
)
