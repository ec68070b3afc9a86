"""How good a denoiser is: PSNR at three levels, with the same noise for whoever is scored."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from .. import metrics

SIGMAS = (15 / 255, 25 / 255, 50 / 255)  # the levels that papers on denoising report
SEED = 3  # any will do, but the scores on record are those of this one

Denoise = Callable[[Tensor, float], Tensor]


@torch.no_grad()
def denoising_psnr(denoise: Denoise, pictures: Sequence[Tensor], sigmas: Sequence[float] = SIGMAS) -> list[float]:
    """Mean PSNR in dB over the pictures 1 c h w of [0, 1] for each level.

    That of each clamped picture, then the mean; the noise is drawn from SEED on the CPU.
    """
    generator = torch.Generator().manual_seed(SEED)
    result = []
    for sigma in sigmas:
        ratios = []
        for x in pictures:
            v = x + sigma * torch.randn(x.shape, generator=generator).to(x)
            ratios.append(float(metrics.psnr(denoise(v, sigma).float().clamp(0, 1), x).mean()))
        result.append(sum(ratios) / len(ratios))
    return result
