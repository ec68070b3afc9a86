"""Whole solves of the GPU kernels in emulation.

Swept through memory and kept on the chip, against the reference loop and against the kernels for CPUs.
"""

import pytest
import torch

from cases.solves import SHAPES, any_size, assert_judged_alike, assert_looks_agree, looped, problem, rule_for
from fastip.contracts import Pointwise, Status, StencilStep
from fastip.errors import FastipError
from fastip.kernels import whole_solve
from fastip.kernels.family import Implementations
from fastip.kernels.whole_solve import on_gpu
from fastip.stopping import StopRule

native = Implementations("native")

BOUND = {torch.float32: 2e-5, torch.float64: 1e-12, torch.float16: 6e-3, torch.bfloat16: 4e-2}
PROX = Pointwise(l1=0.02, l2=0.1, low=-0.4, high=1.0)
CHIP = (9, 9, 4, 3, 64, 64, (1, 1))  # large enough for a cluster of several blocks


def on_chip(*arguments):
    """The path through the chip for what fits, sweeps for what is refused."""
    try:
        return on_gpu(*arguments, path=2)
    except (RuntimeError, FastipError) as error:
        assert "do not fit on the chip" in str(error)
        return on_gpu(*arguments, path=1)


@pytest.fixture(params=["sweeps", "chip"])
def path(request, monkeypatch, emulated):
    """Both ways through a solve."""
    monkeypatch.setattr(
        whole_solve, "on_gpu", on_chip if request.param == "chip" else lambda *arguments: on_gpu(*arguments, path=1)
    )
    return request.param


@pytest.mark.parametrize("dtype", list(BOUND))
@pytest.mark.parametrize("boundary", ["circular", "valid", "zero"])
@pytest.mark.parametrize("kh, kw, stride, half, h, w, planes", [*SHAPES, CHIP])
def test_the_chip_takes_small_planes_in_float32_and_below(
    kh, kw, stride, half, h, w, planes, boundary, dtype, monkeypatch, emulated
):
    """Where the path is asked for, it is taken or refused; a benchmark of it cannot measure another."""
    step, x, q, y = (
        part if isinstance(part, StencilStep) else part.to(dtype)
        for part in problem(kh, kw, stride, half, h, w, planes, boundary)
    )
    monkeypatch.setattr(whole_solve, "on_gpu", lambda *arguments: on_gpu(*arguments, path=2))
    if boundary == "valid" or dtype == torch.float64 or stride > 4:
        with pytest.raises((RuntimeError, FastipError), match="do not fit on the chip"):
            native.solve(step, PROX, x, q, y, StopRule(0.0, 2), 1.0)
    else:
        native.solve(step, PROX, x, q, y, StopRule(0.0, 2), 1.0)


@pytest.mark.parametrize("dtype", list(BOUND))
@pytest.mark.parametrize("boundary", ["circular", "valid", "zero"])
@pytest.mark.parametrize("relaxation", [1.0, 1.6])
@pytest.mark.parametrize("kh, kw, stride, half, h, w, planes", [*SHAPES, CHIP])
def test_equals_the_reference_loop(kh, kw, stride, half, h, w, planes, relaxation, boundary, dtype, path):
    step, x, q, y = problem(kh, kw, stride, half, h, w, planes, boundary)
    x, q, y = x.to(dtype), q.to(dtype), y.to(dtype)
    expected = looped(step, PROX, x.double(), q.double(), y.double(), 7, relaxation)
    kept = q.clone(), y.clone()
    image, dual, done, status, residuals = native.solve(step, PROX, x, q, y, StopRule(0.0, 7), relaxation)
    assert (done, status, len(residuals)) == (7, Status.ITERATIONS, 0)
    assert image.dtype == dual.dtype == dtype and torch.equal(q, kept[0]) and torch.equal(y, kept[1])
    for found, truth in zip((image, dual), expected, strict=True):
        assert float((found.double() - truth).abs().max()) < BOUND[dtype] * float(truth.abs().max())


@pytest.mark.parametrize("dtype", list(BOUND))
@pytest.mark.parametrize("boundary", ["circular", "valid", "zero"])
@pytest.mark.parametrize("relaxation", [1.0, 1.6, 0.7])
@pytest.mark.parametrize("shape", [*SHAPES, CHIP])
def test_looks_find_what_those_of_the_reference_loop_find(shape, relaxation, boundary, dtype, path):
    assert_looks_agree(native.solve, shape, boundary, relaxation, dtype, BOUND[dtype])


@pytest.mark.parametrize("relaxation", [1.0, 1.6])
@any_size
def test_data_of_any_size_are_judged_alike(dtype, scale, relaxation, path):
    assert_judged_alike(native.solve, scale, relaxation, dtype, BOUND[dtype])


@pytest.mark.parametrize("relaxation", [1.0, 1.6])
@pytest.mark.parametrize("tolerance, iterations", [(1e-30, 13), (3e-2, 200), (1e-3, 200)])
def test_stops_as_the_kernels_for_cpus_do(tolerance, iterations, relaxation, path, monkeypatch):
    step, x, q, y = problem(9, 9, 4, 0, 11, 19, (3, 2), "circular")
    step = StencilStep(step.convolution, torch.full((1, 1), 0.7, dtype=torch.float64), 0.3)
    found = native.solve(
        step, PROX, x.float(), q.float(), y.float(), rule_for(step, y, tolerance, iterations), relaxation
    )
    monkeypatch.undo()
    expected = native.solve(
        step, PROX, x.float(), q.float(), y.float(), rule_for(step, y, tolerance, iterations), relaxation
    )
    assert found[2:4] == expected[2:4] and found[4].shape == expected[4].shape
    torch.testing.assert_close(found[4], expected[4], rtol=1e-3, atol=1e-7)
    torch.testing.assert_close(found[:2], expected[:2], rtol=1e-4, atol=1e-5)
    assert (found[3] is Status.CONVERGED) == (tolerance > 1e-20)


def test_unstable_is_said(path):
    step, x, q, y = problem(3, 3, 1, 0, 12, 12, (1, 2), "circular")
    wild = StencilStep(step.convolution, torch.full((1, 1), 40.0, dtype=torch.float64), 0.3)
    _, _, done, status, residuals = native.solve(
        wild, Pointwise(), x.float(), q.float(), y.float(), rule_for(wild, y, 1e-6, 400), 1.0
    )
    assert status is Status.UNSTABLE and done < 400 and len(residuals) == done // 5


def test_zero_data_divides_by_nothing(path):
    step, x, q, y = problem(3, 3, 2, 1, 8, 8, (2, 1), "zero")
    _, _, done, status, residuals = native.solve(
        step, PROX, 0 * x.float(), 0 * q.float(), 0 * y.float(), rule_for(step, 0 * y, 1e-6, 20), 1.0
    )
    assert (done, status) == (5, Status.CONVERGED) and bool((residuals == 0).all())


def chip_alone(monkeypatch, **way):
    """No other path than the one through the chip, in this way."""
    monkeypatch.setattr(whole_solve, "on_gpu", lambda *arguments: on_gpu(*arguments, path=2, **way))


@pytest.mark.parametrize("boundary", ["circular", "zero"])
@pytest.mark.parametrize("kh, kw, stride, half, h, w, planes", [shape for shape in (*SHAPES, CHIP) if shape[2] <= 4])
def test_margins_fetched_phase_by_phase_give_the_same_bits(
    kh, kw, stride, half, h, w, planes, boundary, monkeypatch, emulated
):
    step, x, q, y = problem(kh, kw, stride, half, h, w, planes, boundary)
    expected = looped(step, PROX, x, q, y, 7, 1.6)
    found = []
    for by_phase in (False, True):
        chip_alone(monkeypatch, by_phase=by_phase)
        for order in (0, 1, 2):
            emulated.set_order(order)
            found.append(native.solve(step, PROX, x.float(), q.float(), y.float(), StopRule(0.0, 7), 1.6))
    assert all(torch.equal(found[0][i], other[i]) for other in found[1:] for i in (0, 1))
    for a, b in zip(found[0][:2], expected, strict=True):
        assert float((a.double() - b).abs().max()) < 2e-5 * float(b.abs().max())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_margins_are_fetched_phase_by_phase_in_float32_alone(dtype, monkeypatch, emulated):
    step, *rest = problem(*CHIP, "circular")
    chip_alone(monkeypatch, by_phase=True)
    with pytest.raises((RuntimeError, FastipError), match="do not fit on the chip"):
        native.solve(step, PROX, *(t.to(dtype) for t in rest), StopRule(0.0, 2), 1.0)


@pytest.mark.parametrize("ranks, least, most", [(1, 200, 201), (2, 107, 108), (4, 60, 61), (8, 36, 37)])
def test_as_many_blocks_a_plane_as_asked_for(ranks, least, most, monkeypatch, emulated):
    """The same bits from any number of blocks.

    One of them needs between ``least`` and ``most`` KiB, by which another number would be seen.
    """
    step, x, q, y = problem(9, 9, 4, 3, 48, 48, (1, 2), "circular")

    def solved():
        return native.solve(step, PROX, x.float(), q.float(), y.float(), StopRule(0.0, 5), 1.0)

    chip_alone(monkeypatch)
    expected = solved()
    chip_alone(monkeypatch, ranks=ranks)
    emulated.set_limits(most * 1024, 8, 132)
    found = solved()
    assert torch.equal(found[0], expected[0]) and torch.equal(found[1], expected[1])
    emulated.set_limits(least * 1024, 8, 132)
    with pytest.raises((RuntimeError, FastipError), match="do not fit on the chip"):
        solved()


@pytest.mark.parametrize(
    "limits, fits",
    [
        ((227 * 1024, 8, 132), True),
        ((140 * 1024, 1, 80), True),
        ((40 * 1024, 8, 132), True),
        ((12 * 1024, 8, 4), False),
    ],
)
def test_chip_takes_what_fits(limits, fits, emulated, monkeypatch):
    """One block, several blocks, or none at all: the same result, and no block asks for more memory than there is."""
    emulated.set_limits(*limits)
    step, x, q, y = problem(9, 9, 4, 3, 37, 40, (1, 2), "circular")
    if not fits:
        monkeypatch.setattr(whole_solve, "on_gpu", lambda *arguments: on_gpu(*arguments, path=2))
        with pytest.raises((RuntimeError, FastipError), match="do not fit on the chip"):
            native.solve(step, PROX, x.float(), q.float(), y.float(), StopRule(0.0, 6), 1.0)
    monkeypatch.setattr(whole_solve, "on_gpu", lambda *arguments: on_gpu(*arguments, path=2 if fits else 0))
    found = native.solve(step, PROX, x.float(), q.float(), y.float(), StopRule(0.0, 6), 1.0)
    expected = looped(step, PROX, x, q, y, 6, 1.0)
    for a, b in zip(found[:2], expected, strict=True):
        assert float((a.double() - b).abs().max()) < 2e-5 * float(b.abs().max())


def test_any_order_of_threads_and_blocks_gives_the_same_bits(path, emulated):
    step, x, q, y = problem(9, 9, 4, 2, 21, 35, (2, 2), "circular")
    results = []
    for order in (0, 1, 2):  # of threads, of blocks, and of the blocks of a cluster between two of its barriers
        emulated.set_order(order)
        results.append(native.solve(step, PROX, x.float(), q.float(), y.float(), rule_for(step, y, 1e-30, 12), 1.6))
    for other in results[1:]:
        assert all(torch.equal(results[0][i], other[i]) for i in (0, 1, 4))


def test_misaligned_images(path):
    """A view one element into its storage: rows are then not read four pixels at a time."""
    step, x, q, y = problem(9, 9, 4, 2, 11, 12, (1, 2), "circular")
    plain = native.solve(step, PROX, x.float(), q.float(), y.float(), StopRule(0.0, 4), 1.0)
    shifted = []
    for tensor in (x, q, y):
        storage = torch.empty(tensor.numel() + 1)
        shifted.append(storage[1:].view(tensor.shape).copy_(tensor))
    found = native.solve(step, PROX, *shifted, StopRule(0.0, 4), 1.0)
    assert torch.equal(found[0], plain[0]) and torch.equal(found[1], plain[1])
