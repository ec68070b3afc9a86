"""Measurements designed for the images of a generator."""

from __future__ import annotations

import torch
from torch import Tensor

from .. import nets
from ..arrays import check_count
from ..errors import InvalidInput, strict_keywords
from ..operators import Dense
from ..streams import stream
from .secants import Secants

# Directions beyond those asked for: more make these come out right in fewer passes, and take more memory and time.
OVERSAMPLED = 20


@strict_keywords
def measurements(
    generator: nets.Generator, count: int, *, pairs: int = 50_000, passes: int = 4, seed: int = 0
) -> Dense:
    """The matrix with orthonormal rows that sees most of how a generator's images differ.

    It maximises the mean of ::

        ||A s||^2,   s = (G(z1) - G(z2)) / ||G(z1) - G(z2)||,   A A^T = I

    Its rows are the first right singular vectors of the matrix of all s, found by subspace iteration (memory is
    n x (count + 20), never n x n). It maximises the mean, not the least ``||A s||``: ``fastip.rec`` estimates that.

    Args:
        generator: In eval mode.
        count: The number m of rows, at most the number n of pixels and that of pairs.
        pairs: How many s.
        passes: Of the subspace iteration over all s, each of which makes them anew.
        seed: Of the latent vectors and of the first directions.

    Returns:
        A, m rows on the generator's images.

    Raises:
        InvalidInput: For more rows than pixels or pairs, and for images that are NaN or do not differ.

    References:
        Raj, Li and Bresler, GAN-based projector for faster recovery, 2019; Halko, Martinsson and Tropp, Finding
        structure with randomness, 2011.
    """
    if not isinstance(generator, nets.Generator) or generator.training:
        raise InvalidInput(
            f"generator is {type(generator).__name__}; expected a network such as nets.DCGANGenerator, trained, "
            "after generator.eval()"
        )
    rows, n = check_count(count, "count", low=1), generator.shape[0] * generator.shape[1] * generator.shape[2]
    secants = Secants(generator, check_count(pairs, "pairs", low=1), check_count(seed, "seed", low=0))
    if rows > min(n, pairs):
        raise InvalidInput(f"count is {rows}; expected at most {min(n, pairs)}, the number of pixels or of pairs")
    weight = next(generator.parameters())
    width = min(rows + OVERSAMPLED, n)
    basis = torch.randn(n, width, generator=stream(seed, "directions")).to(weight)
    for _ in range(check_count(passes, "passes", low=1)):
        exact, _ = torch.linalg.qr(_spread(secants, basis).cpu().double())
        basis = exact.to(weight)
    _, turn = torch.linalg.eigh(exact.T @ _spread(secants, basis).cpu().double())
    return Dense((exact @ turn.flip(1)[:, :rows]).T, generator.shape)


def _spread(secants: Secants, basis: Tensor) -> Tensor:
    """S^T S basis / pairs, for the matrix S of all secants."""
    total = torch.zeros_like(basis)
    for s in secants:
        total.addmm_(s.T, s @ basis)
    if not bool(torch.isfinite(total).all()) or not bool(total.any()):
        raise InvalidInput("the images of this generator are NaN, or all the same: nothing can be designed for them")
    return total / secants.pairs
