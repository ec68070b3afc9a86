"""The problem that a network was trained for, and how well it solves it: the record that travels with the weights."""

from __future__ import annotations

from dataclasses import dataclass

from .certificate import Certificate

ROUNDING = 1e-6  # relative: a beta that was written and read again is the same, in single precision too


@dataclass(frozen=True)
class Stored:
    """The certificate of a linear network at one beta, for data of any size above the settled one.

    Attributes:
        beta: The penalty it holds for.
        certificate: kappa, the extreme eigenvalues and the relaxation, before scaling.
    """

    beta: float
    certificate: Certificate


@dataclass(frozen=True)
class Trained:
    """The problem that a network was trained for, and how well it solves it; it travels with the weights.

    Attributes:
        fingerprint: That of the operator, ``op.fingerprint()``.
        beta: (low, high), equal for a single one.
        accuracy: ``||(I - C B^-1) e|| / ||e||`` on fresh noise, at the geometric mean of the range.
        certificates: Of a linear network, one for each beta that was examined; none for another. They tell what was
            found: a network is certified anew when it is bound, whatever its file says.
        estimate: For a non-linear network the largest ``||e - C B^-1 e|| / ||e||`` found, in the norm of B^-1; an
            estimate from below. None for a linear one.
    """

    fingerprint: str
    beta: tuple[float, float]
    accuracy: float
    certificates: tuple[Stored, ...] = ()
    estimate: float | None = None
