"""``inverses.Split``: the minimiser of the problem on its own image, and the iterates of the textbook method."""

from __future__ import annotations

import os
from typing import Any

import pytest
import torch
from torch import Tensor

import fastip
from cases import optima
from cases.checks import noise, relative
from cases.problems import matrix
from fastip import inverses, operators, priors, psf
from fastip.contracts import Status
from fastip.errors import InvalidInput, Unsupported
from fastip.inverses import split
from fastip.operators.base.fourier import fast_length
from fastip.solvers import BackProjection

Blur, Mask, Split = operators.Blur, operators.Mask, inverses.Split
COUNT = int(os.environ.get("FASTIP_CONVERGED", "20"))  # random problems; the short form looks at three of each kind
WEIGHTS = noise((8, 9), seed=4).abs()
HOLES = noise((8, 9), seed=5) > -0.7


def uniform(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def taps(kh: int, kw: int, seed: int = 7) -> Tensor:
    """Of both signs, no symmetry."""
    values = noise((kh, kw), seed=seed) + 0.5
    return values / values.abs().sum()


def observed(op: Any, shape: tuple[int, ...], seed: int = 1) -> Tensor:
    y: Tensor = op(uniform(*shape, seed=seed))
    return y + 0.02 * noise(y.shape, seed=seed + 1)


# ---- the minimiser ---------------------------------------------------------------------------------------------------

ELASTIC = priors.ElasticNet(0.02, 0.1) + priors.Box(0.1, 0.8)
PROBLEMS: dict[str, tuple[Any, tuple[int, ...], priors.Prior]] = {  # operator, image, prior
    "valid": (Blur(taps(5, 4), boundary="valid"), (2, 2, 12, 11), ELASTIC),
    "valid, stride 2": (Blur(taps(4, 5), 2, "valid"), (1, 1, 14, 13), priors.L2(0.1)),
    "valid, stride 3": (Blur(taps(3, 6), 3, "valid"), (1, 2, 12, 18), ELASTIC),
    "psf smaller than the stride": (Blur(taps(2, 3), 4, "valid"), (1, 1, 10, 15), ELASTIC),
    "holes": (Mask(HOLES) @ Blur(taps(4, 3), boundary="valid"), (1, 2, 11, 11), ELASTIC),
    "weights": (Mask(WEIGHTS) @ Blur(taps(3, 4), boundary="valid"), (1, 1, 10, 12), ELASTIC),
    "weights, circular": (Mask(WEIGHTS) @ Blur(taps(5, 4)), (2, 1, 8, 9), ELASTIC),
    "circular, stride 2": (Blur(taps(5, 4), 2), (1, 1, 12, 14), ELASTIC),
    "mask": (Mask(WEIGHTS), (1, 1, 8, 9), ELASTIC),
    "boxes": (operators.Downsample(3), (1, 2, 12, 9), ELASTIC),
    "psf wider than the picture": (Blur(taps(13, 17), boundary="valid"), (1, 1, 15, 19), ELASTIC),
    "one datum": (Blur(taps(3, 2), boundary="valid"), (1, 1, 3, 2), ELASTIC),
    "scaled": (-3.0 * Mask(WEIGHTS) @ Blur(0.5 * taps(3, 4), boundary="valid"), (1, 1, 10, 12), ELASTIC),
}


@pytest.mark.parametrize("name, data_beta", [*((name, None) for name in PROBLEMS), ("valid", 0.7), ("holes", 0.02)])
def test_it_ends_where_the_dense_inverse_ends(name: str, data_beta: float | None) -> None:
    """R acts on the image alone: where it would act beside it, too, pixels move by far more than this."""
    op, shape, prior = PROBLEMS[name]
    y = observed(op, shape)
    known = fastip.admm(y, op, prior, beta=0.1, inverse=inverses.Exact(), iterations=500, tolerance=0).x
    found = fastip.admm(y, op, prior, beta=0.1, inverse=Split(data_beta), iterations=500, tolerance=0).x
    assert found.shape == shape and (found - known).abs().max() < 1e-5


@pytest.mark.parametrize("total_variation", [False, True], ids=["pointwise", "total variation"])
def test_converged_is_close_to_the_minimum_of_cvxpy(total_variation: bool) -> None:
    count = 0
    for seed in range(COUNT):
        known = optima.problem(seed, total_variation)
        window = known.op.window()
        if window is None or window.convolution.psf.numel() == 1:
            continue
        count += 1
        for tolerance in (1e-3, 1e-6):
            found = fastip.admm(known.y, known.op, known.prior, inverse=Split(), iterations=3000, tolerance=tolerance)
            assert found.status is not Status.UNSTABLE
            if found.status is Status.CONVERGED:
                assert known.gap(found.x) <= 10 * tolerance, known.name
        if COUNT == 20:
            assert known.gap(found.x) <= 1e-5, known.name
            if count == 3:
                break


def test_what_a_mask_hides_does_not_matter() -> None:
    op, shape, prior = PROBLEMS["holes"]
    y = observed(op, shape)
    other = torch.where(HOLES, y, 100 * noise(y.shape, seed=3))
    one, two = (fastip.admm(v, op, prior, inverse=Split(), beta=0.1, iterations=50, tolerance=0).x for v in (y, other))
    assert torch.equal(one, two)


# ---- the iterates ----------------------------------------------------------------------------------------------------


def textbook(
    op: Any, y: Tensor, prior: priors.Prior, betas: list[float], e: float, x0: Tensor, warm: int = 0
) -> Tensor:
    """z of ADMM with z = x and u = H x split off, two scaled duals, on the whole grid; dense matrices.

    Of H only the rows that data can be of: every stride-th one.

    First ``warm`` steps in which z stays on the picture, and is x beside it.
    """
    window, (height, width) = op.window(), x0.shape[-2:]
    a = window.convolution
    size = [a.stride * fast_length(-(-n // a.stride)) for n in (height, width)]
    grid = (1, 1, *size)
    h = matrix(Blur(a.psf), grid)  # its rows are those of the pixels k // 2 on: turned until data begin at 0
    rows = torch.arange(size[0] * size[1]).reshape(size)
    turn = [o - k // 2 for o, k in zip(window.offset, a.psf.shape, strict=True)]
    h = h[rows.roll((-turn[0], -turn[1]), (0, 1)).flatten()]
    h = torch.where((rows[:: a.stride, :: a.stride].reshape(1, -1) == rows.reshape(-1, 1)).any(1)[:, None], h, 0.0)
    m = torch.zeros(size, dtype=torch.float64)
    m[: a.stride * y.shape[2] : a.stride, : a.stride * y.shape[3] : a.stride] = (
        1.0 if window.weights is None else window.weights[0, 0]
    )
    data = torch.zeros(size, dtype=torch.float64)
    data[: a.stride * y.shape[2] : a.stride, : a.stride * y.shape[3] : a.stride] = y[0, 0]
    m, data = m.flatten(), data.flatten()
    prox = prior.bind(y, op)
    inside = torch.zeros(size, dtype=torch.bool)
    inside[:height, :width] = True
    inside = inside.flatten()
    z = torch.nn.functional.pad(x0, (0, size[1] - width, 0, size[0] - height), mode="replicate").flatten()
    u, d1, d2, before = h @ z, torch.zeros_like(z), torch.zeros_like(z), betas[0]
    for _ in range(warm):
        normal = betas[0] * torch.eye(len(z), dtype=torch.float64) + e * h.T @ h
        x = torch.linalg.solve(normal, betas[0] * z + e * h.T @ (u - d2))
        d2, z = d2 + h @ x - u, torch.where(inside, z, x)
        u = (m * data + e * (h @ x + d2)) / (m * m + e)
    for beta in betas:
        d1, before = torch.where(inside, d1 * before / beta, d1), beta  # beside the picture w = z - d stays
        x = torch.linalg.solve(
            beta * torch.eye(len(z), dtype=torch.float64) + e * h.T @ h, beta * (z - d1) + e * h.T @ (u - d2)
        )
        d1, d2 = d1 + x - z, d2 + h @ x - u
        v = (x + d1).reshape(grid).clone()
        v[..., :height, :width] = prox(v[..., :height, :width].clone(), 1 / (2 * beta))
        z, u = v.flatten(), (m * data + e * (h @ x + d2)) / (m * m + e)
    return z.reshape(grid)[..., :height, :width]


@pytest.mark.parametrize(
    "name", ["valid, stride 2", "valid, stride 3", "holes", "weights", "psf wider than the picture"]
)
def test_the_iterates_are_those_of_six_variables(name: str) -> None:
    """With a beta that changes, too: the dual of the first split is rescaled, that of the second is not."""
    op, shape, _ = PROBLEMS[name]
    shape = (1, 1, *shape[2:])
    y, x0 = observed(op, shape), uniform(*shape, seed=8)
    betas = [0.3, 0.3, 0.05, 0.05, 0.8, 0.02, 0.02, 0.5]
    for prior in (ELASTIC, priors.TV(0.02) + priors.Box(0, 1)):
        for n in (1, 3, 8):
            found = fastip.admm(y, op, prior, beta=betas[:n], inverse=Split(0.2), init=x0, iterations=n, tolerance=0).x
            assert relative(found, textbook(op, y, prior, betas[:n], 0.2, x0)) < 1e-11


@pytest.mark.parametrize(
    "name", ["valid, stride 2", "valid, stride 3", "holes", "weights", "psf wider than the picture"]
)
def test_a_warm_start_is_the_second_split_alone(name: str) -> None:
    """The iterates after it, and the same minimum in the end; gradients in y come through it."""
    op, shape, _ = PROBLEMS[name]
    shape = (1, 1, *shape[2:])
    y, x0 = observed(op, shape), uniform(*shape, seed=8)
    for warm, n in ((1, 1), (4, 1), (3, 5)):
        inverse = Split(0.2, warm=warm)
        found = fastip.admm(y, op, ELASTIC, beta=0.1, inverse=inverse, init=x0, iterations=n, tolerance=0).x
        assert relative(found, textbook(op, y, ELASTIC, [0.1] * n, 0.2, x0, warm)) < 1e-11
    rest = [
        fastip.admm(y, op, ELASTIC, beta=0.1, inverse=Split(0.2, warm=warm), iterations=2000, tolerance=0).x
        for warm in (0, 7)
    ]
    assert relative(rest[1], rest[0]) < 1e-8
    leaf, along = y.clone().requires_grad_(), uniform(*y.shape, seed=9)

    def value(y: Tensor) -> Tensor:
        how: dict[str, Any] = {"beta": 0.1, "inverse": Split(0.2, warm=3), "iterations": 2, "tolerance": 0}
        return fastip.admm(y, op, priors.L2(0.05), **how).x.square().sum()

    value(leaf).backward()
    assert leaf.grad is not None
    slope = float(value(y + 1e-5 * along) - value(y - 1e-5 * along)) / 2e-5
    assert float((leaf.grad * along).sum()) == pytest.approx(slope, rel=1e-6)


def test_a_schedule_ends_at_the_minimum() -> None:
    op, shape, prior = PROBLEMS["holes"]
    y = observed(op, shape)
    known = fastip.admm(y, op, prior, beta=0.1, inverse=inverses.Exact(), iterations=500, tolerance=0).x
    betas = [5.0] * 10 + [0.01] * 10 + [0.1]
    found = fastip.admm(y, op, prior, beta=betas, inverse=Split(), iterations=500, tolerance=0).x
    assert (found - known).abs().max() < 1e-5


@pytest.mark.parametrize("relaxation", [0.5, 1.6, 1.95])
def test_relaxed(relaxation: float) -> None:
    op, shape, prior = PROBLEMS["weights"]
    y = observed(op, shape)
    known = fastip.admm(y, op, prior, beta=0.1, inverse=inverses.Exact(), iterations=500, tolerance=0).x
    given: dict[str, Any] = {"inverse": Split(), "iterations": 700, "tolerance": 0, "relaxation": relaxation}
    assert (fastip.admm(y, op, prior, beta=0.1, **given).x - known).abs().max() < 1e-5
    with pytest.raises(InvalidInput, match="over-relaxation"):
        fastip.admm(y, op, priors.TV(0.01), beta=0.1, inverse=Split(), relaxation=1.5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("prior", [ELASTIC, priors.TV(0.02) + priors.Box(0, 1)], ids=["pointwise", "tv"])
def test_a_solution_is_resumed_exactly(prior: priors.Prior, dtype: torch.dtype) -> None:
    op, shape, _ = PROBLEMS["holes"]
    y = observed(op, shape).to(dtype)
    given: dict[str, Any] = {"beta": 0.1, "inverse": Split(), "tolerance": 0}
    whole = fastip.admm(y, op, prior, iterations=12, **given)
    part = fastip.admm(y, op, prior, iterations=5, **given)
    more = fastip.admm(y, op, prior, iterations=7, init=part, **given)
    assert torch.equal(more.x, whole.x) and torch.equal(more.q, whole.q)
    # and with another beta, as a schedule does
    given = {"inverse": Split(), "tolerance": 0}
    whole = fastip.admm(y, op, prior, beta=[0.1] * 5 + [0.02], iterations=12, **given)
    more = fastip.admm(y, op, prior, beta=0.02, iterations=7, init=part, **given)
    assert torch.equal(more.x, whole.x)
    with pytest.raises(InvalidInput, match="resume with the same inverse"):
        fastip.admm(y, op, prior, inverse=inverses.Exact(), init=part)


def test_the_dual_is_that_of_the_problem() -> None:
    """At rest beta p = A^T (y - A x), the mean of what other inverses keep on the image grid."""
    op, shape, prior = PROBLEMS["weights"]
    y = observed(op, shape)
    found = fastip.admm(y, op, prior, beta=0.1, inverse=Split(), iterations=500, tolerance=0)
    step = Split().bind(op, y, 0.1)
    assert relative(0.1 * step.pull(found.q), op.adjoint(y - op(found.x))) < 1e-5
    assert float(step.norm(step.residual(found.x, found.q))) < 1e-6


# ---- the start -------------------------------------------------------------------------------------------------------


def test_it_starts_from_averages_of_the_data() -> None:
    op = Blur(psf.gaussian(5, sigma=1.0), boundary="valid")
    step = Split().bind(op, torch.full((1, 2, 7, 8), 0.4, dtype=torch.float64), 0.1)
    torch.testing.assert_close(step.guess(), torch.full((1, 2, 11, 12), 0.4, dtype=torch.float64))
    x = uniform(1, 2, 11, 12, seed=3)
    moved, _ = step(x, step.start(x))
    assert float(step.pull(moved).abs().max()) < 1e-14  # nothing moves before the data have spoken


@pytest.mark.parametrize(
    "op, shape",
    [
        (Blur(torch.tensor([[1.0, -1.0]]), boundary="valid"), (1, 1, 6, 8)),
        (Mask(torch.stack([torch.ones(5, 6), torch.zeros(5, 6)])) @ Blur(taps(3, 3), boundary="valid"), (1, 2, 7, 8)),
        (Blur(taps(1, 1), 3, "valid"), (1, 1, 7, 10)),
    ],
    ids=["sum zero", "a hidden channel", "hardly anything seen"],
)
def test_the_start_is_finite_where_little_is_seen(op: Any, shape: tuple[int, ...]) -> None:
    y = observed(op, shape)
    step = Split().bind(op, y, 0.1)
    assert torch.isfinite(step.guess()).all() and step.guess().abs().max() < 100
    assert fastip.admm(y, op, ELASTIC, inverse=Split(), iterations=2000).status is Status.CONVERGED


# ---- batches, sizes, gradients ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1e-25, 1e20])
def test_data_of_any_size(scale: float) -> None:
    op, shape, _ = PROBLEMS["weights"]
    y = observed(op, shape).float()
    given: dict[str, Any] = {"beta": 0.1, "inverse": Split(), "iterations": 400}
    one = fastip.admm(y, op, priors.L2(0.05), **given)
    found = fastip.admm(y * scale, op, priors.L2(0.05), **given)
    assert one.status is found.status is Status.CONVERGED and one.iterations == found.iterations
    assert relative(found.x / scale, one.x) < 1e-5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_planes_one_by_one_are_those_of_all_at_once(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """As large grids are transformed on a CPU, where no gradient is asked for."""
    op = Mask(WEIGHTS) @ Blur(taps(3, 4), boundary="valid")
    y = observed(op, (2, 3, 10, 12)).to(dtype)
    given: dict[str, Any] = {"beta": 0.1, "inverse": Split(), "iterations": 9, "tolerance": 0}
    known = fastip.admm(y, op, ELASTIC, **given)
    asked: list[Any] = []
    whole = split.SplitStep._plane_by_plane
    monkeypatch.setattr(split, "LONE", 0)
    monkeypatch.setattr(split.SplitStep, "_plane_by_plane", lambda self, *p: (asked.append(p), whole(self, *p))[1])
    found = fastip.admm(y, op, ELASTIC, **given)
    assert len(asked) == (9 if fastip.kernels.why_reference((y,)) is None else 0)
    close = 1e-13 if dtype == torch.float64 else 1e-5
    assert relative(found.x, known.x) < close and relative(found.q, known.q) < close
    fastip.admm(y.requires_grad_(), op, ELASTIC, **given).x.sum().backward()
    assert y.grad is not None and len(asked) in (0, 9)


def test_gradients() -> None:
    op = Mask(noise((3, 4), seed=3).abs()) @ Blur(taps(2, 3), boundary="valid")
    y, weight = observed(op, (2, 1, 4, 6)), torch.tensor(0.05, dtype=torch.float64)

    def solve(y: Tensor, weight: Tensor) -> Tensor:
        return fastip.admm(
            y, op, priors.L2(weight), beta=[0.2, 0.1], inverse=Split(), iterations=4, tolerance=0, relaxation=1.2
        ).x

    assert torch.autograd.gradcheck(solve, (y.requires_grad_(), weight.requires_grad_()))


def test_a_callback_sees_and_stops() -> None:
    op, shape, prior = PROBLEMS["holes"]
    seen: list[Tensor] = []
    found = fastip.admm(
        observed(op, shape), op, prior, inverse=Split(), callback=lambda s: (seen.append(s.residuals), len(seen) < 4)[1]
    )
    assert found.status is Status.STOPPED and found.iterations == 4 and seen[0].shape == (2, shape[0])


# ---- the automatic choice --------------------------------------------------------------------------------------------

WIDE = Blur(psf.disk(31, 13), boundary="valid")  # more than 500 taps, so that no stencil is tried; not separable
HOLED = Mask(uniform(81, 81, seed=2) > 0.2)


@pytest.mark.parametrize(
    "op, size",
    [
        (WIDE, 231),
    ],
    ids=["wide psf"],
)
def test_total_variation_gets_it_where_no_inverse_is_known(op: Any, size: int) -> None:
    y, tv = observed(op, (1, 1, size, size)), priors.TV(0.01)
    found = fastip.admm(y, op, tv, iterations=3, tolerance=0)
    assert torch.equal(found.x, fastip.admm(y, op, tv, inverse=Split(), iterations=3, tolerance=0).x)
    assert "second split" in fastip.explain(op, tv, y)
    assert "considered" in fastip.explain(op, tv, y) and "conjugate" not in fastip.explain(op, priors.L1(0.01), y)
    assert type(inverses.choose(op, y, 0.1, pointwise=False, iterated=False)) is inverses.ConjugateGradient
    assert type(inverses.choose(op, y, 0.1, pointwise=False, exact=False)) is Split


def test_it_is_not_chosen_where_more_is_known() -> None:
    for op, size, kind in (
        (Blur(psf.motion(5, 30), boundary="valid"), 85, inverses.Stencil),
        (WIDE, 60, inverses.Scalar),  # small: the calls count most
        (Blur(psf.motion(9, 30)), 81, inverses.Exact),
    ):
        y = observed(op, (1, 1, size, size))
        assert type(inverses.choose(op, y, 0.1, pointwise=False, exact=False)) is kind
    op = Blur(taps(5, 5), boundary="zero")  # of both signs: no window
    y = observed(op, (1, 1, 90, 90))
    assert type(inverses.choose(op, y, 1e-4, pointwise=False, exact=False)) is not Split


# ---- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "op, shape",
    [
        (Blur(taps(3, 3), boundary="zero"), (1, 1, 8, 9)),
        (Blur(taps(3, 3), boundary="reflect"), (1, 1, 8, 9)),
        (operators.Dense(noise((4, 9))), (1, 9)),
        (Blur(taps(3, 3)) @ Mask(WEIGHTS), (1, 1, 8, 9)),
        (operators.MaskedFourier(HOLES), (1, 1, 8, 9)),
    ],
)
def test_what_is_no_window_is_refused(op: Any, shape: tuple[int, ...]) -> None:
    with pytest.raises(Unsupported, match='boundary="valid"'):
        fastip.admm(op(uniform(*shape, seed=1)), op, priors.L1(0.1), inverse=Split())


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), "much"])
def test_a_bad_penalty_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInput, match="data_beta"):
        Split(value)


@pytest.mark.parametrize("value", [-1, 0.5, "much"])
def test_a_bad_number_of_first_steps_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInput, match="warm"):
        Split(warm=value)


def test_one_that_vanishes_in_the_precision_of_the_data_is_refused() -> None:
    op, shape, prior = PROBLEMS["holes"]
    with pytest.raises(InvalidInput, match="data_beta"):
        fastip.admm(observed(op, shape).float(), op, prior, inverse=Split(1e-60))


def test_solvers_that_apply_an_inverse_alone_refuse_it() -> None:
    op, shape, _ = PROBLEMS["holes"]
    y = observed(op, shape)
    with pytest.raises(Unsupported, match="wiener needs an inverse"):
        fastip.wiener(y, op, 0.1, inverse=Split())
    with pytest.raises(Unsupported, match="BackProjection needs an inverse"):
        fastip.pgd(y, op, priors.L1(0.1), step=BackProjection(Split()))
    with pytest.raises(Unsupported, match="does not state how"):
        inverses.woodbury(Split(), op, 0.1)(uniform(*shape, seed=1))
    with pytest.raises(Unsupported, match="data side"):
        fastip.admm(y, op, priors.L1(0.1), inverse=inverses.Uncorrected(Split()))


def test_a_natural_border_is_refused_with_advice() -> None:
    with pytest.raises(InvalidInput, match=r'boundary="valid" and inverses\.Split\(\)'):
        Blur(taps(3, 3), boundary="natural")
