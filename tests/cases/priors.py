"""The table of priors that every property test walks.

A new public prior enters the tests by getting a line here, and a test fails until it has one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from cases.checks import noise
from fastip import nets, operators, priors


class Case(NamedTuple):
    """One prior made from one weight (a number, or a tensor 1 c 1 1, where channels have weights of their own).

    It says how many calls at the same point make its prox exact, and whether R(x) is a formula, exact and quick.
    """

    id: str
    make: Callable[[Any], priors.Prior]
    calls: int = 1
    convex: bool = True
    weighted: bool = True
    channels: bool = True
    formula: bool = True

    def __str__(self) -> str:
        return self.id


def smooth(v: Tensor) -> Tensor:
    """A differentiable denoiser for the tests."""
    return v - 0.2 * torch.tanh(v - v.mean(dim=(-2, -1), keepdim=True))


def network(data_colours: int = 1) -> nets.PriorNet:
    """A small network with random weights, for any number of channels; a y that it takes is as large as the image."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        net = nets.PixelShuffleAutoencoder(colours=1, widths=(4, 5), blocks=(1, 1), data_colours=data_colours).double()
        torch.nn.init.normal_(net.tail.weight, std=0.1)
    return net.requires_grad_(False)


def plugged() -> priors.PlugAndPlay:
    """A network without data, in float64 whatever v is."""
    plan = priors.Schedule((0.2, 0.1), (0.02, 0.05))
    return priors.PlugAndPlay(network(data_colours=0), schedule=plan, dtype=torch.float64)


class Pull(nn.Module):
    """A small network that projects images of any size, on nothing in particular."""

    def __init__(self) -> None:
        super().__init__()
        self.share = nn.Parameter(torch.tensor(0.3, dtype=torch.float64), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return x - self.share * torch.sin(x) + 0.1 * x.flip(-1)


CASES = (
    Case("L1", priors.L1),
    Case("L2", priors.L2),
    Case("ElasticNet", lambda w: priors.ElasticNet(w, w)),
    Case("NonNegative", lambda w: priors.NonNegative(), weighted=False),
    Case("Box", lambda w: priors.Box(-0.3, 0.5), weighted=False),
    Case("Separable", lambda w: priors.Separable(w, w, -0.2, 0.9)),
    Case("L1+Box", lambda w: priors.L1(w) + priors.Box(0, 0.7)),
    Case("L1+L2+NonNegative", lambda w: priors.L1(w) + priors.L2(w) + priors.NonNegative()),
    Case("TV", priors.TV, calls=600),
    Case("TV+Box", lambda w: priors.TV(w) + priors.Box(-0.3, 0.5), calls=600),
    Case("TV+L1+L2", lambda w: priors.L1(w) + priors.TV(w, steps=3) + priors.L2(w), calls=900),
    Case("AnisotropicTV", priors.AnisotropicTV, calls=600),
    Case("AnisotropicTV+NonNegative", lambda w: priors.NonNegative() + priors.AnisotropicTV(w), calls=600),
    Case("TV-circular", lambda w: priors.TV(w, boundary="circular"), calls=600),
    Case("AnisotropicTV-circular", lambda w: priors.AnisotropicTV(w, boundary="circular"), calls=600),
    Case("VectorTV", priors.VectorTV, calls=600, channels=False),
    Case(
        "VectorTV-circular+Box",
        lambda w: priors.VectorTV(w, boundary="circular") + priors.Box(-0.3, 0.5),
        calls=600,
        channels=False,
    ),
    Case("Huber", lambda w: priors.Huber(w, 0.1), calls=600),
    Case("Huber+L1+NonNegative", lambda w: priors.Huber(w, 0.1) + priors.L1(w) + priors.NonNegative(), calls=600),
    Case("TGV", priors.TGV, calls=600, formula=False),
    Case("TGV+Box", lambda w: priors.TGV(w, steps=3) + priors.Box(-0.3, 0.55), calls=900, formula=False),
    Case("Quadratic", priors.Quadratic),
    Case("Quadratic-circular", lambda w: priors.Quadratic(w, "gradient", boundary="circular")),
    Case("Quadratic-array", lambda w: priors.Quadratic(w, [[0.5, -1.0, 0.2, 0.3]], boundary="circular")),
    Case("Wavelet", lambda w: priors.Wavelet(w, levels=2)),
    Case("Wavelet-haar", lambda w: priors.Wavelet(w, "haar", levels=1)),
    Case("Denoiser", lambda w: priors.Denoiser(smooth, sigma=0.1), convex=False, weighted=False),
    Case(
        "PixelShuffleAutoencoder",
        lambda w: priors.PixelShuffleAutoencoder(network(), sigma=0.1),
        convex=False,
        weighted=False,
    ),
    Case("PlugAndPlay", lambda w: plugged(), convex=False, weighted=False),
    Case("Projector", lambda w: priors.Projector(Pull().eval()), convex=False, weighted=False),
)
CONVEX = tuple(case for case in CASES if case.convex)
SHAPE = (2, 3, 7, 10)


def prox(prior: priors.Prior, v: Tensor, step: float, calls: int = 1) -> Tensor:
    """prox_{step R}(v) in a solve of its own, called ``calls`` times at the same point."""
    bound = prior.bind(v, operators.Identity())
    for _ in range(calls):
        x = bound(v, step)
    return x


def box(prior: priors.Prior) -> tuple[float, float]:
    """The bounds on the pixels that the prior sets."""
    f = getattr(prior, "separable", prior)
    return getattr(f, "low", float("-inf")), getattr(f, "high", float("inf"))


def draw(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """A random image of ordinary size, edges and flat parts included."""
    x = 0.6 * noise(shape, dtype, seed=seed)
    x[..., : shape[-2] // 2, :] += 0.7
    return x
