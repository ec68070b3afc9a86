"""The stop rule.

The error of every image must pass, checks come every five iterations, and only a data residual that grows far above
where it began is unstable: the scripts of tests/cases/stop_rule.py, which the compiled kernels and Triton are held to
as well.
"""

import pytest
import torch

import fastip
from cases.stop_rule import BETA, NAN, assert_ends, every_script, every_solved_script, judged
from fastip import operators, priors
from fastip.contracts import Scales, Status
from fastip.solvers import spectral
from fastip.stopping import EVERY, Error, StopRule, per_image, ratio, relative_change


@every_script
def test_the_rule_judges_as_the_table_says(script):
    assert_ends(script, judged(StopRule(script.tolerance, script.iterations), script.played()))


@every_script
def test_the_ratios_of_norms_are_those_of_the_table(script):
    scales, unit, sums = script.squares()
    r, moved, pending, pulled = (sums.sqrt() / unit).unbind(1)
    error = Error(moved, scales.norm * pending, pulled, scales.floors).ratio(BETA, script.tolerance, 0.0)
    found = torch.stack([ratio(r, scales.sizes), error], 1)
    torch.testing.assert_close(found, script.played(), rtol=0, atol=0, equal_nan=True)


def test_checks_come_every_few_iterations_and_at_the_last():
    assert [k for k in range(1, 13) if StopRule(1e-4, 12).due(k)] == [EVERY, 2 * EVERY, 12]
    assert not any(StopRule(0.0, 12).due(k) for k in range(1, 13))


class Played:
    """An inverse, and the data step that it binds: nothing moves, the looks find what the script says.

    A callback wants the ratios of every iteration; between the looks they are what would turn the verdict.
    """

    beta = 1.0

    def __init__(self, script, watched):
        self.looks, self.y = iter(script.played()), None
        self.watched, self.rule, self.asked = watched, StopRule(script.tolerance, script.iterations), 0
        self.between = (torch.full((script.images,), 0.0 if script.status is Status.UNSTABLE else NAN).double(),) * 2

    def bind(self, op, y, beta, relaxation):
        self.y = y
        return self

    def watch(self, state):
        """A callback that wants to know, and never stops the solve."""
        assert len(state.residuals) == 2

    def start(self):
        return torch.zeros_like(self.y)

    guess = start

    def __call__(self, x, q):
        return q, self.y

    def pull(self, q):
        return q

    def ahead(self, q, new):
        return 2 * new - q

    def residual(self, x, q):
        return q

    def pending(self, r):
        self.asked += 1
        looked = not self.watched or self.rule.due(self.asked)
        self.data, error = next(self.looks) if looked else self.between
        return error

    @property
    def floor(self):
        return torch.zeros(len(self.y), dtype=torch.float64)

    def norm(self, r):
        return self.data

    def fused(self):
        return None

    def why_unfused(self):
        return "it is a script"

    def describe(self):
        return "a script"


@pytest.mark.parametrize("watched", [False, True], ids=["alone", "with a callback"])
@every_solved_script
def test_the_visible_loop_ends_as_the_table_says(script, watched):
    step = Played(script, watched)
    y, op = torch.zeros(script.images, 1, 2, 2, dtype=torch.float64), operators.Blur(torch.ones(1, 1))
    options = {"iterations": script.iterations, "tolerance": script.tolerance}
    callback = step.watch if watched else None
    found = fastip.admm(y, op, priors.L2(1.0), beta=1.0, inverse=step, callback=callback, **options)
    assert_ends(script, (found.iterations, found.status, found.residuals))


@every_solved_script
def test_the_loop_in_fourier_space_ends_as_the_table_says(script, monkeypatch):
    x = torch.zeros(script.images, 1, 2, 2, dtype=torch.float64)
    looks = iter(script.played())

    class Transforms:
        def __init__(self, *arguments, look):
            self.z = self.p = spectral.pack(x)

        def image(self, f):
            return torch.fft.ifft2(f)

        def advance(self):
            return self.z, self.z

        def rebalance(self):
            pass

        def ratios(self, *arguments):
            return next(looks)

    monkeypatch.setattr(spectral, "Spectral", Transforms)
    rule = StopRule(script.tolerance, script.iterations, Scales(1.0, *torch.ones(2, script.images)))
    *_, done, status = spectral.admm(None, None, x, x, rule, 1.0)
    assert_ends(script, (done, status, rule.residuals(script.images)))


def test_relative_change():
    x, new = torch.tensor([[3.0, 4.0], [0.0, 0.0], [0.0, 0.0]]), torch.tensor([[3.0, 4.0], [0.0, 2.0], [0.0, 0.0]])
    torch.testing.assert_close(relative_change(x, new), torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64])
def test_norms_of_large_images_are_those_of_the_whole(dtype):
    """In pieces, one after another: also of images that no square of float32 could hold."""
    x = torch.randn(2, 3, 307, 311, dtype=dtype) * torch.tensor([1e-30, 1e30]).view(2, 1, 1, 1)
    wide = x.to(torch.complex128 if dtype.is_complex else torch.float64)
    torch.testing.assert_close(per_image(x), torch.linalg.vector_norm(wide.flatten(1), dim=1), rtol=1e-12, atol=0)


def test_a_norm_copies_a_part_of_the_image_at_a_time():
    x = torch.randn(1, 3, 600, 600)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        per_image(x)
    taken = max(event.cpu_memory_usage for event in profile.events())
    assert 0 < taken < x.numel() * x.element_size() // 2
