"""wiener: the regularised least-squares image, whatever inverse it is computed with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from skimage import data, restoration

import fastip
from cases.checks import data_for, operator_matrix, real_vector, relative
from cases.devices import waits_of
from cases.operators import operator_cases
from cases.pretended import pretended
from cases.problems import gaussian, motion, observe, spikes
from fastip import inverses, metrics, operators, priors, psf
from fastip.contracts import Status
from fastip.errors import InvalidInput, UnknownKeyword, Unsupported
from fastip.solvers.wiener import wiener

SMALL = [
    case
    for case in operator_cases()
    if torch.Size(case.input_shape).numel() <= 400 and not case.make(torch.float64).complex_input
]


@pytest.mark.parametrize("case", SMALL, ids=lambda case: case.id)
def test_equals_the_dense_solution(case) -> None:  # type: ignore[no-untyped-def]
    """(A^T A + constant I)^-1 A^T y for every operator of the registry."""
    op, constant = case.make(torch.float64), 0.05
    y = data_for(op, case.input_shape)
    a = operator_matrix(op, case.input_shape)
    expected = torch.linalg.solve(
        a.T @ a + constant * torch.eye(a.shape[1], dtype=torch.float64), a.T @ real_vector(y)
    ).reshape(case.input_shape)
    known = type(inverses.choose(op, y, constant, pointwise=False, iterated=False)) is inverses.Exact
    inverse = "auto" if known else inverses.ConjugateGradient(1e-12)  # "auto" takes these to 1e-5
    solution = wiener(y, op, constant, inverse=inverse, tolerance=1e-11)
    assert solution.status is Status.CONVERGED, case.id
    assert relative(solution.x, expected) < 1e-8


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_exact_inverses_take_one_step_and_a_look(dtype: torch.dtype) -> None:
    op = gaussian(4, "circular")
    y = observe(op, spikes(2, 3, 32, 24)).to(dtype)
    solution = wiener(y, op, 1e-2)
    assert solution.status is Status.CONVERGED and solution.iterations == 2 and solution.x.dtype == dtype
    assert solution.residuals.shape == (2, 2, 2) and (solution.residuals[-1] < 1e-5).all()
    once = inverses.Exact().bind(op, y, 1e-2).guess()
    torch.testing.assert_close(solution.x, once)


@pytest.mark.parametrize("boundary", ["circular", "valid", "reflect", "zero"])
def test_any_certified_inverse_gives_the_same_image(boundary: str) -> None:
    op = gaussian(4, boundary)
    y = observe(op, spikes(1, 1, *(33, 41) if boundary == "valid" else (32, 40)))
    expected = wiener(y, op, 1e-2, inverse=inverses.ConjugateGradient(1e-12), tolerance=1e-11).x
    for inverse in (inverses.Stencil(1), inverses.Stencil(3), inverses.GradientDescent(20)):
        solution = wiener(y, op, 1e-2, inverse=inverse, tolerance=1e-11, iterations=20_000)
        assert solution.status is Status.CONVERGED and solution.iterations > 2
        assert relative(solution.x, expected) < 1e-8


def test_is_what_admm_finds_and_resumes() -> None:
    op = operators.Blur(psf.motion(9, 45).double())
    y, constant = observe(op, spikes(1, 1, 24, 20)), 0.02
    solution = wiener(y, op, constant)
    torch.testing.assert_close(
        solution.x,
        fastip.admm(y, op, priors.L2(constant), beta=0.05, iterations=3000, tolerance=0).x,
        rtol=0,
        atol=1e-6,
    )
    resumed = fastip.admm(y, op, priors.L2(constant), beta=0.05, inverse=inverses.Exact(), init=solution, iterations=20)
    assert resumed.status is Status.CONVERGED


def test_iterations_used_up() -> None:
    op = gaussian(4, "reflect")
    y = observe(op, spikes(1, 1, 32, 32))
    solution = wiener(y, op, 1e-2, inverse=inverses.GradientDescent(1), iterations=3, tolerance=1e-9)
    assert solution.status is Status.ITERATIONS and solution.iterations == 3 and solution.residuals.shape[0] == 3
    assert wiener(y, op, 1e-2, iterations=3, tolerance=0).residuals.shape[0] == 0


def test_numpy_in_numpy_out_and_gradient() -> None:
    op = gaussian(2, "circular")
    y = observe(op, spikes(1, 1, 12, 12))
    x = wiener(y.numpy(), op, 0.1).x
    assert isinstance(x, np.ndarray)
    np.testing.assert_allclose(x, wiener(y, op, 0.1).x.numpy())
    assert torch.autograd.gradcheck(lambda v: wiener(v, op, 0.1, tolerance=0, iterations=2).x, y.requires_grad_())


@pytest.mark.parametrize("constant", [0, -1, float("nan"), float("inf"), "much", None])
def test_bad_constants_are_refused(constant: object) -> None:
    with pytest.raises(InvalidInput, match="constant"):
        wiener(torch.ones(1, 1, 4, 4), gaussian(4, "circular"), constant)  # type: ignore[arg-type]


def test_other_bad_inputs_are_refused() -> None:
    y, op = torch.ones(1, 1, 4, 4), gaussian(4, "circular")
    for bad in ({"inverse": "exact"}, {"inverse": inverses.Exact}, {"iterations": 0}, {"tolerance": -1}):
        with pytest.raises(InvalidInput):
            wiener(y, op, 0.1, **bad)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput):
        wiener(torch.full((1, 1, 4, 4), float("nan")), op, 0.1)
    with pytest.raises(UnknownKeyword, match="did you mean 'constant'"):
        wiener(y, op, constent=0.1)  # type: ignore[call-arg]


# ---- spectra that are not white --------------------------------------------------------------------------------------

MIRRORED = operators.Blur(psf.gaussian(5, sigma=1.1), boundary="reflect")


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee", "rocket"])
def test_is_the_filter_of_scikit_image_and_better_than_the_white_one(name: str) -> None:
    """The task of the README, 9 x 9 motion and noise of 0.01: 0.9 dB and more, each at its best constant."""
    picture = getattr(data, name)() / 255
    top, left = (n // 2 - 128 for n in picture.shape[:2])
    truth = torch.from_numpy(picture[top : top + 256, left : left + 256].mean(axis=-1))[None, None]
    op = motion("circular")
    y = observe(op, truth)
    theirs = restoration.wiener(y[0, 0].numpy(), op.psf.numpy(), 0.01, clip=False)
    np.testing.assert_allclose(fastip.wiener(y, op, 0.01, spectrum="laplacian").x[0, 0].numpy(), theirs, atol=1e-12)

    def best(spectrum: str) -> float:
        constants = np.logspace(-3.5, -1, 9)
        found = (fastip.wiener(y, op, c, spectrum=spectrum).x.clamp(0, 1) for c in constants)
        return max(float(metrics.psnr(x, truth)) for x in found)

    scores = {spectrum: best(spectrum) for spectrum in ("white", "laplacian", "gradient", "power")}
    assert min(scores[other] for other in ("laplacian", "gradient", "power")) > scores["white"] + 0.9, scores


def angles(n: int) -> np.ndarray:
    return 2 * np.pi * np.fft.fftfreq(n)


@pytest.mark.parametrize("shape", [(1, 1, 9, 7), (2, 3, 8, 10)], ids=str)
@pytest.mark.parametrize("spectrum", ["laplacian", "gradient", "power"])
def test_a_spectrum_against_the_formula_in_numpy(spectrum: str, shape: tuple[int, ...]) -> None:
    """On the grid that wraps, and on mirrored images, which are the half of a grid that wraps."""
    for op in (operators.Blur(psf.motion(5, 30)), MIRRORED, operators.Identity()):
        y, constant = data_for(op, shape), 0.03
        wide = y.numpy()
        if op is not MIRRORED and not isinstance(op, operators.Identity):
            taps = np.pad(op.psf.numpy(), [(0, n - k) for n, k in zip(shape[2:], op.psf.shape, strict=True)])
            taps = np.roll(taps, [-(k // 2) for k in op.psf.shape], (0, 1))
        else:
            wide = np.concatenate([wide, wide[:, :, ::-1]], axis=2)
            wide = np.concatenate([wide, wide[..., ::-1]], axis=3)
            given = op.psf.numpy() if op is MIRRORED else np.ones((1, 1))
            taps = np.pad(given, [(0, max(0, n - k)) for n, k in zip(wide.shape[2:], given.shape, strict=True)])
            taps = np.roll(taps, [-(k // 2) for k in given.shape], (0, 1))
        h = np.fft.fft2(taps)
        w1, w2 = (angles(n) for n in wide.shape[2:])
        s = 4 * np.sin(w1 / 2)[:, None] ** 2 + 4 * np.sin(w2 / 2) ** 2
        penalty = {"laplacian": s**2, "gradient": s, "power": (w1[:, None] ** 2 + w2**2) ** 0.75}[spectrum]
        expected = np.fft.ifft2(np.conj(h) * np.fft.fft2(wide) / (np.abs(h) ** 2 + constant * penalty)).real
        solution = wiener(y, op, constant, spectrum=spectrum, exponent=1.5)
        np.testing.assert_allclose(solution.x.numpy(), expected[..., : shape[2], : shape[3]], atol=1e-12)
        assert solution.status is Status.CONVERGED and (solution.iterations, solution.q) == (1, None)


def test_a_spectrum_of_ones_is_white() -> None:
    for op in (operators.Blur(psf.motion(5, 30)), MIRRORED, 2.0 * operators.Identity()):
        y = data_for(op, (2, 1, 9, 8))
        white = wiener(y, op, 0.02, tolerance=1e-12).x
        assert relative(wiener(y, op, 0.02, spectrum=torch.ones(9, 8)).x, white) < 1e-10
    masked = operators.MaskedFourier(torch.rand(9, 8, generator=torch.Generator().manual_seed(0)) > 0.4)
    y = data_for(masked, (1, 2, 9, 8))
    x = wiener(y, masked, 0.02, spectrum=np.ones((9, 5))).x
    assert x.dtype == torch.float64 and relative(x, wiener(y, masked, 0.02, tolerance=1e-12).x) < 1e-10


def test_a_whole_and_a_half_spectrum_are_one() -> None:
    op, y = operators.Blur(psf.motion(5, 30)), data_for(motion("circular"), (1, 1, 11, 10))
    whole = np.random.default_rng(0).random((11, 10)) + 0.1
    whole = whole + np.roll(whole[::-1, ::-1], (1, 1), (0, 1))
    assert torch.equal(wiener(y, op, 0.1, spectrum=whole).x, wiener(y, op, 0.1, spectrum=whole[:, :6]).x)
    skew = whole + np.triu(np.ones((11, 10)))
    with pytest.raises(InvalidInput, match=r"S\[f\] = S\[-f\]"):
        wiener(y, op, 0.1, spectrum=skew)
    with pytest.raises(InvalidInput, match=r"expected \(11, 10\) or \(11, 6\)"):
        wiener(y, op, 0.1, spectrum=whole[:, :5])


def test_what_nobody_says_is_nothing() -> None:
    """A psf without a mean, and a spectrum that lets the mean be: the image has none."""
    op = operators.Blur([[0.5, -1.0, 0.5]])
    x = wiener(3 + data_for(op, (1, 1, 8, 9)), op, 0.1, spectrum="laplacian").x
    assert torch.isfinite(x).all() and abs(x.mean()) < 1e-12


def test_a_spectrum_in_every_precision_and_kind() -> None:
    y = data_for(MIRRORED, (1, 2, 12, 11), torch.float32)
    expected = wiener(y.double(), MIRRORED, 0.05, spectrum="power").x
    assert relative(wiener(y, MIRRORED, 0.05, spectrum="power").x.double(), expected) < 1e-5
    assert isinstance(wiener(y.numpy(), MIRRORED, 0.05, spectrum="power").x, np.ndarray)
    with pretended() as gpu:
        for dtype, tolerance in ((torch.float16, 5e-3), (torch.bfloat16, 3e-2)):
            x = gpu.get(wiener(gpu.put(y.to(dtype)), MIRRORED, 0.05, spectrum="power").x)
            assert x.dtype == dtype and relative(x.double(), expected) < tolerance
    small = data_for(MIRRORED, (1, 1, 6, 7)).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: wiener(v, MIRRORED, 0.1, spectrum="laplacian").x, small)


@pytest.mark.parametrize("op", [operators.Blur(psf.motion(5, 30)), MIRRORED], ids=["circular", "reflect"])
def test_a_second_solve_with_a_spectrum_waits_at_the_door_and_at_the_end(op: operators.Operator) -> None:
    y = data_for(op, (1, 3, 13, 15), torch.float32)

    def solve(far: torch.Tensor) -> Any:
        return wiener(far, op, 0.1, spectrum="laplacian")

    waits_of(y, solve)
    waits, _, x = waits_of(y, solve)
    assert [event.place.split()[-1] for event in waits] == ["not_finite"] * 2
    assert relative(x, solve(y).x) < 1e-5
    compiled = torch.compile(lambda v: solve(v).x, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(y), solve(y).x)


@pytest.mark.parametrize(
    "options, told",
    [
        ({"spectrum": "pink"}, "there is no spectrum 'pink'"),
        ({"spectrum": "laplacien"}, "did you mean 'laplacian'"),
        ({"spectrum": np.zeros((4, 4))}, "expected power > 0"),
        ({"spectrum": np.ones(4)}, "expected 2 or 3 axes"),
        ({"spectrum": "power", "exponent": 0}, "exponent"),
        ({"spectrum": "power", "inverse": inverses.Exact()}, "expected inverse='auto'"),
        ({"spectrum": "power", "tolerance": -1}, "tolerance"),
    ],
)
def test_bad_spectra_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        wiener(torch.ones(1, 1, 4, 4), operators.Identity(), 0.1, **options)


@pytest.mark.parametrize("op", [operators.Mask(torch.eye(8)), gaussian(2, "circular"), motion("zero")], ids=str)
def test_no_closed_form_is_refused(op: operators.Operator) -> None:
    with pytest.raises(Unsupported, match=r"use fastip.admm with priors.Quadratic"):
        wiener(
            data_for(op, (1, 1, 8, 8) if isinstance(op, operators.Mask) else (1, 1, 12, 12)), op, 0.1, spectrum="power"
        )
