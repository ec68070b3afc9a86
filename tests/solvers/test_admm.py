"""admm against independent optima, against the six-variable method, against itself fused, and at its door."""

import functools
import threading

import numpy as np
import pytest
import torch

import fastip
from cases.problems import fista, gaussian, matrix, motion, objective, observe, spikes
from fastip import FastipError, Status, inverses, operators, priors
from fastip.errors import InvalidInput, UnknownKeyword
from fastip.operators import psf

L1 = 2e-2

# name, operator, data grid, beta, inverse: exact inverses, and stencils as crude as they come
PROBLEMS = [
    ("x4-circular-exact", gaussian(4, "circular"), (12, 13), 1e-2, inverses.Exact()),
    ("x4-circular-stencil1", gaussian(4, "circular"), (12, 13), 1e-2, inverses.Stencil(1)),
    ("x4-valid-exact", gaussian(4, "valid"), (11, 12), 1e-2, inverses.Exact()),
    ("x4-valid-stencil1", gaussian(4, "valid"), (11, 12), 1e-2, inverses.Stencil(1)),
    ("x3-zero-stencil2", gaussian(3, "zero"), (11, 12), 2e-2, inverses.Stencil(2)),
    ("motion-circular-exact", motion("circular"), (40, 37), 1e-1, inverses.Exact()),
    ("motion-circular-stencil6", motion("circular"), (40, 37), 1e-1, inverses.Stencil(6)),
    ("motion-valid-exact", motion("valid"), (30, 31), 1e-1, inverses.Exact()),
    ("motion-valid-stencil6", motion("valid"), (30, 31), 1e-1, inverses.Stencil(6)),
    ("motion-reflect-stencil6", motion("reflect"), (30, 31), 1e-1, inverses.Stencil(6)),
    ("motion-valid-cg", motion("valid"), (30, 31), 1e-1, inverses.ConjugateGradient(1e-6)),
    ("motion-valid-gradient", motion("valid"), (30, 31), 1e-1, inverses.GradientDescent(4)),
]


@functools.cache
def reference_optimum(psf_bytes, stride, boundary, grid):
    """y and the smallest objective of one problem, found once for all inverses."""
    op = next(
        p[1]
        for p in PROBLEMS
        if (p[1].psf.numpy().tobytes(), p[1].stride, p[1].boundary) == (psf_bytes, stride, boundary)
    )
    shape = op.input_shape((2, 1, *grid))
    y = observe(op, spikes(*shape))
    return y, objective(op, y, fista(op, y, L1, op.norm(shape)), L1)


@pytest.mark.parametrize("relaxation", [1.0, 1.6])
@pytest.mark.parametrize("name, op, grid, beta, inverse", PROBLEMS, ids=[p[0] for p in PROBLEMS])
def test_reaches_the_optimum_of_an_independent_solver(name, op, grid, beta, inverse, relaxation):
    y, best = reference_optimum(op.psf.numpy().tobytes(), op.stride, op.boundary, grid)
    solution = fastip.admm(
        y, op, priors.L1(weight=L1), beta=beta, inverse=inverse, iterations=4000, tolerance=1e-9, relaxation=relaxation
    )
    assert objective(op, y, solution.x, L1) - best <= 1e-6 * best
    assert solution.status in (Status.CONVERGED, Status.ITERATIONS)


def six_variable(y, op, l1, beta, iterations, relaxation):
    """The textbook method: x, z, u with a dense factor of A^T A + beta I.

    Starts at z = x0 + d, d = -u / 2 beta = 0, as admm does with q0 = 0.
    """
    a = matrix(op, op.input_shape((1, *y.shape[1:])))
    inverse = torch.linalg.inv(a.T @ a + beta * torch.eye(a.shape[1], dtype=torch.float64))
    aty = op.adjoint(y).flatten()
    x = op.adjoint(inverses.Exact().bind(op, y, beta).apply(y)).flatten()
    d = torch.zeros_like(x)
    w = x.clone()
    images = []
    for _ in range(iterations):
        z = inverse @ (aty + beta * w)  # argmin ||y - A z||^2 + beta ||z - w||^2
        d = w - z
        x = torch.sign(z - d) * ((z - d).abs() - l1 / (2 * beta)).clamp(min=0)
        images.append(x)
        w = w + relaxation * (x + d - w)
    return torch.stack(images)


@pytest.mark.parametrize("relaxation", [1.0, 1.6])
def test_two_lines_equal_the_six_variable_method(relaxation):
    """Iterate by iterate, over 50 iterations, to 1e-10."""
    op, beta = gaussian(2, "valid"), 1e-2
    y = observe(op, spikes(1, 1, 23, 25))
    seen = []
    fastip.admm(
        y,
        op,
        priors.L1(weight=L1),
        beta=beta,
        inverse=inverses.Exact(),
        iterations=50,
        tolerance=0.0,
        relaxation=relaxation,
        callback=lambda s: seen.append(s.x.flatten()),
    )
    expected = six_variable(y, op, L1, beta, 50, relaxation)
    assert (torch.stack(seen) - expected).abs().max() < 1e-10


def test_the_printed_form_fails_where_the_correction_does_not():
    """x4 at beta = 1e-3 with a 3 x 3 stencil.

    Printed and uncorrected forms diverge, the corrected step reaches the optimum.
    """
    op, beta = gaussian(4, "circular"), 1e-3
    y = observe(op, spikes(1, 1, 128, 128))
    best = objective(op, y, fista(op, y, L1, op.norm((1, 1, 128, 128)), 3000), L1)

    def gap(inverse):
        return (
            objective(
                op,
                y,
                fastip.admm(y, op, priors.L1(weight=L1), beta=beta, inverse=inverse, iterations=300, tolerance=0.0).x,
                L1,
            )
            / best
            - 1
        )

    crude = inverses.Stencil(1)
    assert gap(crude) < 1e-4
    assert not gap(inverses.Printed(crude)) < 1
    assert not gap(inverses.Uncorrected(crude)) < 1e-3
    assert gap(inverses.Printed(inverses.Exact())) < 1e-4


# ---- the fused path is the visible loop ------------------------------------------------------------------------------


def visible(*args, **options):
    return fastip.admm(*args, callback=lambda state: None, **options)


PRIORS = [
    priors.L1(weight=L1),
    priors.L2(weight=0.1),
    priors.ElasticNet(l1=L1, l2=0.05),
    priors.NonNegative(),
    priors.Box(-0.2, 0.6),
    priors.L1(weight=L1) + priors.NonNegative(),
]
FUSED = [
    (gaussian(4, "circular"), (2, 3, 9, 7), inverses.Stencil(2)),
    (gaussian(4, "valid"), (3, 1, 7, 9), inverses.Stencil(2)),
    (gaussian(3, "zero"), (1, 2, 8, 11), inverses.Stencil(1)),
    (operators.Blur(psf.gaussian(3, 1.0), stride=4), (2, 1, 5, 6), inverses.Exact()),
    (operators.Blur(torch.rand(4, 3), stride=2, boundary="valid"), (1, 3, 9, 8), inverses.Stencil(2)),
    (motion("circular"), (2, 3, 19, 21), inverses.Exact()),
    (motion("circular"), (1, 1, 20, 16), inverses.Stencil(6)),
    (motion("valid"), (5, 1, 19, 14), inverses.Stencil(6)),
]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("relaxation", [1.0, 1.6])
@pytest.mark.parametrize(
    "op, grid, inverse",
    FUSED,
    ids=[f"{f[0].boundary}-s{f[0].stride}-{type(f[2]).__name__}-b{f[1][0]}c{f[1][1]}" for f in FUSED],
)
@pytest.mark.parametrize("prior", PRIORS, ids=[type(p).__name__ + str(i) for i, p in enumerate(PRIORS)])
def test_fused_equals_visible(prior, op, grid, inverse, relaxation, dtype):
    y = observe(op, spikes(*op.input_shape(grid))).to(dtype)
    options = {"beta": 0.05, "inverse": inverse, "iterations": 33, "relaxation": relaxation}
    explained = fastip.explain(op, prior, y, inverse=inverse, beta=0.05)
    assert "fused" in explained and "visible" not in explained
    for tolerance in (0.0, 1e-3):
        a, b = (
            fastip.admm(y, op, prior, tolerance=tolerance, **options),
            visible(y, op, prior, tolerance=tolerance, **options),
        )
        close = 1e-11 if dtype is torch.float64 else 2e-5
        assert (a.x - b.x).abs().max() <= close * max(1.0, b.x.abs().max().item())
        assert torch.allclose(a.q, b.q, rtol=0, atol=close * max(1.0, b.q.abs().max().item()))
        assert (a.iterations, a.status) == (b.iterations, b.status)
        assert a.residuals.shape == b.residuals.shape
        torch.testing.assert_close(
            a.residuals,
            b.residuals.double(),
            # in float32 the error is a difference of numbers that nearly cancel, rounding where a box fits the data:
            # there 1.2e-3 apart on a processor without AVX-512
            rtol=1e-6 if dtype is torch.float64 else 2e-2,
            atol=1e-9 if dtype is torch.float64 else 2e-3,
        )


def test_data_and_start_are_kept():
    op = gaussian(4, "circular")
    y, x0 = torch.randn(1, 1, 6, 6), torch.randn(1, 1, 24, 24)
    kept = y.clone(), x0.clone()
    solution = fastip.admm(y, op, priors.L1(weight=L1), beta=0.05, init=x0)
    assert torch.equal(y, kept[0]) and torch.equal(x0, kept[1])
    q = solution.q.clone()
    fastip.admm(y, op, priors.L1(weight=L1), beta=0.05, init=solution)
    assert torch.equal(solution.q, q)


def test_calls_from_several_python_threads():
    op = gaussian(4, "circular")
    data = [torch.rand(2, 3, 24, 24, generator=torch.Generator().manual_seed(i)) for i in range(6)]
    expected = [fastip.admm(y, op, priors.L1(weight=L1), beta=0.05).x for y in data]
    found = [None] * len(data)

    def solve(i):
        for _ in range(5):
            found[i] = fastip.admm(data[i], op, priors.L1(weight=L1), beta=0.05).x

    workers = [threading.Thread(target=solve, args=(i,)) for i in range(len(data))]
    [w.start() for w in workers]
    [w.join() for w in workers]
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


# ---- stopping, starting, schedules -----------------------------------------------------------------------------------


def test_the_stop_rule_holds_at_the_end_for_every_image():
    op = gaussian(4, "circular")
    y = observe(op, spikes(3, 1, 64, 64))
    y[1] = 0  # its denominators are zero: absolute there
    solution = fastip.admm(y, op, priors.L1(weight=L1), beta=1e-2, tolerance=1e-5, iterations=1000)
    assert solution.status is Status.CONVERGED and "tolerance" in str(solution.status)
    assert (solution.residuals[-1, 1] <= 1e-5).all() and not (solution.residuals[-2, 1] <= 1e-5).all()
    r = y - op(solution.x) - 1e-2 * solution.q
    assert r.flatten(1).norm(dim=1).max() < 1e-4 * y.flatten(1).norm(dim=1).max()
    assert solution.x[1].abs().max() == 0


def test_iterations_used_up_is_said():
    op = motion("circular")
    solution = fastip.admm(
        observe(op, spikes(1, 1, 20, 20)), op, priors.L1(weight=L1), beta=0.1, iterations=7, tolerance=1e-12
    )
    assert solution.status is Status.ITERATIONS and solution.iterations == 7
    assert solution.residuals.shape == (2, 2, 1)  # after iterations 5 and 7


def test_tolerance_zero_looks_at_nothing():
    op = motion("circular")
    solution = fastip.admm(torch.zeros(1, 1, 20, 20), op, priors.L1(weight=L1), beta=0.1, iterations=9, tolerance=0.0)
    assert solution.iterations == 9 and solution.residuals.shape == (0, 2, 1)


def test_callback_sees_each_iteration_and_stops():
    op = gaussian(4, "circular")
    y, seen = torch.rand(2, 1, 8, 8), []

    def stop(state):
        seen.append(state)
        return state.iteration < 4

    solution = fastip.admm(y, op, priors.L1(weight=L1), beta=0.05, callback=stop)
    assert [s.iteration for s in seen] == [1, 2, 3, 4]
    assert solution.status is Status.STOPPED and solution.iterations == 4
    assert torch.equal(solution.x, seen[-1].x) and seen[0].residuals.shape == (2, 2)


@pytest.mark.parametrize("op", [gaussian(4, "circular"), motion("circular"), motion("valid")])
@pytest.mark.parametrize("prior", [priors.L1(weight=L1), priors.Wavelet(weight=L1, wavelet="haar", levels=1)])
def test_a_resumed_solve_equals_an_uninterrupted_one(op, prior):
    y = observe(op, spikes(*op.input_shape((1, 2, 16, 16))))
    options = {"beta": 0.05, "tolerance": 0.0, "inverse": inverses.Stencil(2) if op.boundary == "valid" else "auto"}
    whole = fastip.admm(y, op, prior, iterations=30, **options)
    half = fastip.admm(y, op, prior, iterations=12, **options)
    rest = fastip.admm(y, op, prior, iterations=18, init=half, **options)
    torch.testing.assert_close(rest.x, whole.x, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(rest.q, whole.q, rtol=1e-10, atol=1e-12)


def test_a_schedule_ends_at_the_same_optimum_and_rescales_the_dual():
    op = gaussian(4, "circular")
    y = observe(op, spikes(1, 1, 48, 48))
    fixed = fastip.admm(y, op, priors.L1(weight=L1), beta=1e-2, iterations=2000, tolerance=1e-10)
    scheduled = fastip.admm(
        y, op, priors.L1(weight=L1), beta=[1e-1, 5e-2, 2e-2, 1e-2], iterations=2000, tolerance=1e-10
    )
    torch.testing.assert_close(scheduled.x, fixed.x, atol=1e-7, rtol=0)
    assert scheduled.beta == 1e-2
    # Resuming at another beta keeps beta q: at the solution it is y - A x.
    moved = fastip.admm(y, op, priors.L1(weight=L1), beta=3e-2, iterations=1, tolerance=0.0, init=fixed)
    torch.testing.assert_close(moved.x, fixed.x, atol=1e-7, rtol=0)


def test_a_change_of_beta_within_a_run_equals_a_resumed_run():
    op, prior = gaussian(4, "circular"), priors.L1(weight=L1)
    y = observe(op, spikes(1, 2, 32, 32))
    whole = fastip.admm(y, op, prior, beta=[0.2] * 6 + [0.02], inverse=inverses.Exact(), iterations=11, tolerance=0.0)
    first = fastip.admm(y, op, prior, beta=0.2, inverse=inverses.Exact(), iterations=6, tolerance=0.0)
    rest = fastip.admm(y, op, prior, beta=0.02, inverse=inverses.Exact(), iterations=5, tolerance=0.0, init=first)
    torch.testing.assert_close(whole.x, rest.x, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(whole.q, rest.q, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("beta", [1e-6, 1e-9])
def test_a_tiny_beta_in_float32_is_sound(beta):
    """beta -> 0 tends to exact data consistency: finite, and the same fused and visible."""
    op = motion("circular")
    y = observe(op, spikes(1, 1, 32, 32)).float()
    options = {"beta": beta, "inverse": inverses.Exact(), "iterations": 20, "tolerance": 1e-9}
    fused, loop = (
        fastip.admm(y, op, priors.L1(weight=1e-6), **options),
        visible(y, op, priors.L1(weight=1e-6), **options),
    )
    assert fused.status is loop.status is Status.ITERATIONS
    assert torch.isfinite(fused.residuals).all()
    torch.testing.assert_close(fused.residuals[-1, 0], loop.residuals[-1, 0], rtol=0.05, atol=1e-4)


@pytest.mark.parametrize("kind", [list, tuple, np.array, torch.tensor])
def test_schedules_of_any_kind(kind):
    op = gaussian(4, "circular")
    y = observe(op, spikes(1, 1, 24, 24))
    assert fastip.admm(y, op, priors.L1(weight=L1), beta=kind([0.2, 0.1]), iterations=5).beta == pytest.approx(0.1)


def test_without_a_suggestion_beta_is_a_multiple_of_the_largest_eigenvalue():
    op = motion("circular")
    y = observe(op, spikes(1, 1, 20, 20))
    assert fastip.admm(y, op, priors.NonNegative(), iterations=2).beta == pytest.approx(
        0.02 * op.norm((1, 1, 20, 20)) ** 2
    )


class Suggesting(priors.L1):
    """A user's prior whose suggestion is of another signature, or fails by itself."""

    def __init__(self, suggest):
        super().__init__(weight=L1)
        self.suggested_beta = suggest


@pytest.mark.parametrize("suggest", [lambda: 0.1, lambda op: 0.1, lambda op, *, shape: 0.1], ids=["none", "op", "name"])
def test_a_suggestion_of_another_signature_is_refused_in_words(suggest):
    op = motion("circular")
    y = observe(op, spikes(1, 1, 20, 20))
    with pytest.raises(InvalidInput, match=r"Suggesting\.suggested_beta does not take \(op, shape\).*or give beta"):
        fastip.admm(y, op, Suggesting(suggest), iterations=2)
    assert fastip.admm(y, op, Suggesting(suggest), beta=0.1, iterations=2).beta == pytest.approx(0.1)
    assert fastip.admm(y, op, Suggesting(lambda op, shape: 0.3), iterations=2).beta == pytest.approx(0.3)
    with pytest.raises(TypeError, match="unsupported operand"):
        fastip.admm(y, op, Suggesting(lambda op, shape: op + "more"), iterations=2)


def test_other_operators_and_arrays():
    """Masks, colour, dense matrices, masked Fourier and stacks.

    NumPy in, NumPy out, read-only and strided memory accepted.
    """
    torch.manual_seed(0)
    image = torch.rand(2, 3, 16, 12, dtype=torch.float64)
    mask = torch.rand(16, 12) < 0.6
    for op, x in [
        (operators.Mask(mask), image),
        (gaussian(4, "circular") @ operators.ToGray(), image),
        (operators.MaskedFourier(mask), image),
        (operators.Stack([operators.Blur(psf.motion(5, 0)), operators.Blur(psf.motion(5, 90))]), image),
        (operators.Dense(torch.randn(20, 48, dtype=torch.float64)), torch.rand(3, 48, dtype=torch.float64)),
        (2.0 * operators.Downsample(2), image),
    ]:
        y = op(x)
        solution = fastip.admm(y, op, priors.L2(weight=1e-3), beta=0.1, iterations=3000, tolerance=1e-12)
        gradient = op.adjoint(op(solution.x) - y) + 1e-3 * solution.x
        assert gradient.abs().max() < 1e-7, type(op).__name__
    frozen = np.ascontiguousarray(image.numpy()[:, :, ::-1])
    frozen.flags.writeable = False
    op = operators.Blur(psf.motion(5, 0))
    from_numpy = fastip.admm(frozen, op, priors.L1(weight=L1), beta=0.1)
    assert isinstance(from_numpy.x, np.ndarray) and from_numpy.x.dtype == np.float64
    strided = fastip.admm(
        torch.from_numpy(frozen.copy()).transpose(2, 3).contiguous().transpose(2, 3), op, priors.L1(weight=L1), beta=0.1
    )
    np.testing.assert_allclose(from_numpy.x, strided.x.numpy(), atol=1e-12)


# ---- gradients -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "op, grid, inverse",
    [
        (gaussian(2, "circular"), (5, 6), inverses.Exact()),
        (gaussian(2, "valid"), (3, 3), inverses.Stencil(1)),
        (motion("circular"), (9, 10), inverses.Exact()),
        (motion("reflect"), (9, 9), inverses.ConjugateGradient(1e-9)),
    ],
)
def test_gradients_in_data_and_weight(op, grid, inverse):
    y = torch.rand(1, 1, *grid, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    weight = torch.tensor(0.05, dtype=torch.float64, requires_grad=True)

    def run(y, weight):
        return fastip.admm(y, op, priors.L1(weight=weight), beta=0.3, inverse=inverse, iterations=4, tolerance=0.0).x

    assert torch.autograd.gradcheck(run, (y, weight), atol=1e-5)


@pytest.mark.parametrize("op", [gaussian(4, "circular"), motion("circular")])
def test_gradients_in_the_data_survive_a_given_start(op):
    y = torch.rand(1, 1, *op.output_shape((1, 1, 16, 16))[2:], requires_grad=True)
    solution = fastip.admm(y, op, priors.L1(weight=L1), beta=0.1, iterations=3, init=torch.zeros(1, 1, 16, 16))
    assert torch.autograd.grad(solution.x.sum(), y)[0].abs().sum() > 0


def test_gradients_reach_a_network():
    net = torch.nn.Conv2d(1, 1, 3, padding=1, bias=False).double()
    op = gaussian(2, "circular")
    y = torch.rand(1, 1, 6, 6, dtype=torch.float64)

    def loss():
        return (
            fastip.admm(y, op, priors.Denoiser(net, sigma=0.1, noise=0.05), iterations=3, tolerance=0.0)
            .x.square()
            .sum()
        )

    loss().backward()
    step = 1e-6
    with torch.no_grad():
        before = loss()
        net.weight[0, 0, 1, 1] += step
        numeric = (loss() - before) / step
    assert net.weight.grad[0, 0, 1, 1].item() == pytest.approx(numeric.item(), rel=1e-3)


# ---- the door --------------------------------------------------------------------------------------------------------

OP = gaussian(4, "circular")
Y = torch.rand(1, 1, 8, 8)
PRIOR = priors.L1(weight=L1)
BAD = {
    "y is a list": (([[1.0]], OP, PRIOR), {}),
    "y is an integer tensor": ((torch.ones(1, 1, 8, 8, dtype=torch.int32), OP, PRIOR), {}),
    "y is uint8 numpy": ((np.ones((1, 1, 8, 8), np.uint8), OP, PRIOR), {}),
    "y is float16": ((Y.half(), OP, PRIOR), {}),
    "y is complex": ((Y.cfloat(), OP, PRIOR), {}),
    "y has three dimensions": ((Y[0], OP, PRIOR), {}),
    "y is empty": ((torch.zeros(1, 0, 8, 8), OP, PRIOR), {}),
    "y holds NaN": ((Y.clone().index_put_((torch.tensor(0),), torch.tensor(float("nan"))), OP, PRIOR), {}),
    "y holds Inf": ((Y / 0, OP, PRIOR), {}),
    "y is real for masked Fourier": ((Y, operators.MaskedFourier(torch.ones(8, 8)), PRIOR), {}),
    "the psf is larger than the image": ((torch.rand(1, 1, 2, 2), OP, PRIOR), {}),
    "a mask of another size": ((Y, operators.Mask(torch.ones(5, 5)), PRIOR), {}),
    "a matrix of another size": ((torch.rand(1, 7), operators.Dense(torch.rand(5, 9)), PRIOR), {}),
    "op is a function": ((Y, lambda x: x, PRIOR), {}),
    "prior is a class": ((Y, OP, priors.L1), {}),
    "prior is a number": ((Y, OP, 0.1), {}),
    "beta is zero": ((Y, OP, PRIOR), {"beta": 0.0}),
    "beta is negative": ((Y, OP, PRIOR), {"beta": -1.0}),
    "beta is NaN": ((Y, OP, PRIOR), {"beta": float("nan")}),
    "beta is a word": ((Y, OP, PRIOR), {"beta": "auto"}),
    "beta is empty": ((Y, OP, PRIOR), {"beta": []}),
    "beta has a bad entry": ((Y, OP, PRIOR), {"beta": [1.0, -1.0]}),
    "inverse is a word": ((Y, OP, PRIOR), {"inverse": "exact"}),
    "inverse is a class": ((Y, OP, PRIOR), {"inverse": inverses.Exact}),
    "iterations is zero": ((Y, OP, PRIOR), {"iterations": 0}),
    "iterations is fractional": ((Y, OP, PRIOR), {"iterations": 2.5}),
    "tolerance is negative": ((Y, OP, PRIOR), {"tolerance": -1e-3}),
    "relaxation is two": ((Y, OP, PRIOR), {"relaxation": 2.0}),
    "relaxation is zero": ((Y, OP, PRIOR), {"relaxation": 0.0}),
    "init of another shape": ((Y, OP, PRIOR), {"init": torch.rand(1, 1, 8, 8)}),
    "init of another dtype": ((Y, OP, PRIOR), {"init": torch.rand(1, 1, 32, 32, dtype=torch.float64)}),
    "init holds NaN": ((Y, OP, PRIOR), {"init": torch.full((1, 1, 32, 32), float("nan"))}),
    "init is a word": ((Y, OP, PRIOR), {"init": "zeros"}),
    "a misspelt keyword": ((Y, OP, PRIOR), {"iteration": 5}),
    "a stencil for a mask": ((Y, operators.Mask(torch.ones(8, 8)), PRIOR), {"inverse": inverses.Stencil(2)}),
    "y on another device": ((Y.to("meta"), OP, PRIOR), {}),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_in_words(case):
    args, options = BAD[case]
    with pytest.raises(FastipError) as caught:
        fastip.admm(*args, **options)
    assert len(str(caught.value)) > 30


def test_messages_help():
    with pytest.raises(UnknownKeyword, match="iterations"):
        fastip.admm(Y, OP, PRIOR, iteration=5)
    with pytest.raises(InvalidInput, match="nan_to_num"):
        fastip.admm(Y / 0, OP, PRIOR)
    with pytest.raises(ValueError, match="float32"):
        fastip.admm(Y.half(), OP, PRIOR)


def test_a_solution_of_another_inverse_is_not_resumed():
    op = motion("circular")
    y = torch.rand(1, 1, 20, 20)
    solution = fastip.admm(y, op, PRIOR, beta=0.1, inverse=inverses.Stencil(2))
    with pytest.raises(InvalidInput, match="solution.x"):
        fastip.admm(y, op, PRIOR, beta=0.1, inverse=inverses.Exact(), init=solution)
