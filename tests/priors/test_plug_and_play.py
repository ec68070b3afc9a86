"""PlugAndPlay: any operator, grey and colour, in tiles, in bfloat16, with gradients, and each refusal."""

from __future__ import annotations

import pickle
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import fastip
from cases.checks import data_for, noise, relative
from cases.operators import Case, operator_cases
from cases.pretended import ours, pretended
from cases.programs import PYTHON
from cases.tasks import network
from fastip import inverses, nets, operators, priors, psf
from fastip.errors import InvalidInput, Unsupported
from fastip.priors import memory
from fastip.priors.plug_and_play import COPIES

PLAN = priors.schedule(0.02, steps=3)
BLUR = operators.Blur(psf.gaussian(5, sigma=1.0), stride=2)


def prior(net: nets.PriorNet | None = None, plan: priors.Schedule = PLAN, **options: Any) -> priors.PlugAndPlay:
    return priors.PlugAndPlay(network() if net is None else net, schedule=plan, **options)


def solve(y: Tensor, op: operators.Operator, used: priors.PlugAndPlay, **options: Any) -> Tensor:
    plan = used.schedule
    x: Tensor = fastip.admm(y, op, used, beta=plan.betas, iterations=len(plan), tolerance=0, **options).x
    return x


def data(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    return torch.rand(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [(3, 4), (17, 10)])
def test_it_is_the_network_with_the_level_of_each_iteration(dtype: torch.dtype, size: tuple[int, int]) -> None:
    net, y = network(), data(2, 3, *size, dtype=dtype)
    net.to(dtype)
    plain = priors.Denoiser(lambda v, level: net(v, None, level), sigma=PLAN.levels)
    expected = fastip.admm(y, BLUR, plain, beta=PLAN.betas, iterations=3, tolerance=0).x
    assert torch.equal(solve(y, BLUR, prior(net, dtype=dtype)), expected)
    assert float((net(expected, None, 0.1) - expected).abs().max()) > 1e-3  # the network does something


@pytest.mark.parametrize(
    "case",
    [case for case in operator_cases() if len(case.input_shape) == 4 and not case.make(torch.float64).complex_input],
    ids=lambda case: case.id,
)
def test_any_operator(case: Case) -> None:
    """Whatever its channels, size and border: an image of its shape comes back, and each image of a batch by itself."""
    op = case.make(torch.float64)
    y, used = data_for(op, case.input_shape), prior()
    x = solve(y, op, used, inverse=inverses.ConjugateGradient(1e-6))
    assert x.shape == op.input_shape(tuple(y.shape)) and x.dtype == torch.float64 and bool(torch.isfinite(x).all())


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_grey_is_equal_colours(channels: int) -> None:
    """Each channel is a picture of equal colours, in which noise is sqrt(3) times as strong along the grey axis."""
    net, v = network().double(), data(2, channels, 9, 11, dtype=torch.float64)
    bound = prior(net).bind(v, operators.Identity())
    for level in PLAN.levels:
        x = bound(v, 1.0)
        for k in range(channels):
            colour = net(v[:, k : k + 1].repeat(1, 3, 1, 1), None, 3**0.5 * level)
            torch.testing.assert_close(x[:, k : k + 1], colour.mean(dim=1, keepdim=True), rtol=0, atol=1e-12)


def test_precision() -> None:
    """bfloat16 rounds the estimate of the noise alone; data in double precision get a network in double precision."""
    net, y = network(), data(1, 3, 20, 24)
    half, single = (solve(y, BLUR, prior(net, dtype=dtype)) for dtype in (torch.bfloat16, torch.float32))
    assert half.dtype == single.dtype == torch.float32 and 0 < float((half - single).abs().max()) < 0.01
    exact = solve(y.double(), BLUR, prior(net))
    assert torch.equal(exact, solve(y.double(), BLUR, prior(net.double(), dtype=torch.float64)))
    assert exact.dtype == torch.float64
    torch.testing.assert_close(single.double(), exact, rtol=0, atol=1e-5)
    net.float()
    own = solve(y, BLUR, prior(net))
    assert torch.equal(own, half) or torch.equal(own, single)
    assert {p.dtype for p in net.parameters()} == {torch.float32}


@pytest.mark.parametrize(("dtype", "rounding"), [(torch.float32, 1e-5), (torch.bfloat16, 1e-2)])
@pytest.mark.parametrize("channels", [1, 3])
def test_tiled_equals_whole(dtype: torch.dtype, rounding: float, channels: int) -> None:
    net, y = network(), data(1, channels, 90, 71)
    tile = nets.Tiled.smallest(net) + 20
    images = COPIES * 4 * 180 * 142 * channels
    few = prior(net, dtype=dtype, memory=int(images + memory.features(net, dtype) * (tile + 0.5) ** 2))
    assert float((solve(y, BLUR, few) - solve(y, BLUR, prior(net, dtype=dtype))).abs().max()) < rounding
    (tiled,) = (made for made in few._networks._made.values() if isinstance(made, nets.Tiled))
    assert tiled.tile <= tile < 142


def test_the_advice_is_enough() -> None:
    y = data(1, 3, 60, 80)
    with pytest.raises(InvalidInput, match="at least") as refusal:
        solve(y, BLUR, prior(memory=1000, dtype=torch.float32))
    least = str(refusal.value).split("at least ")[1].split(" MB")[0]
    assert solve(y, BLUR, prior(memory=f"{least}MB", dtype=torch.float32)).shape == (1, 3, 120, 160)


MEASURE = """
import sys, torch
from pathlib import Path
sys.path.insert(0, {tests!r})
import fastip
from fastip import operators, priors
from cases.tasks import network
torch.set_num_threads(1)
status = Path("/proc/self/status")  # ru_maxrss would begin with that of the parent
lines = lambda: status.read_text().splitlines()
peak = lambda: next(int(line.split()[1]) * 1024 for line in lines() if line.startswith("VmHWM"))
plan = priors.Schedule((0.1, 0.05), (0.1, 0.4))
net, op = network(widths=(16, 32), blocks=(1, 1)), operators.Downsample(2)
solve = lambda n, used: fastip.admm(torch.rand(1, 3, n, n), op, used, beta=plan.betas, iterations=2, tolerance=0)
plugged = lambda bound: priors.PlugAndPlay(net, schedule=plan, memory=bound, dtype=torch.float32)
with torch.no_grad():
    solve(16, plugged(10**9))
    solve(300, priors.Denoiser(torch.clone, sigma=0.1))
    before = peak()
    for bound in ({bound}, 10**10):
        solve(300, plugged(bound))
        print(peak() - before)
"""


def test_the_bound_is_kept() -> None:
    """Peak resident memory beside the solve, in a process of its own: the untiled network would break the bound."""
    bound = 80_000_000
    script = MEASURE.format(tests=str(Path(__file__).parents[1]), bound=bound)
    done = subprocess.run([*PYTHON, "-c", script], capture_output=True, text=True, check=True)
    tiled, whole = map(int, done.stdout.split())
    assert 5_000_000 < tiled < bound < whole, (tiled, whole)


def test_gradients() -> None:
    y = data(1, 3, 3, 4, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: solve(z, BLUR, prior()), y)
    holes = operators.Mask((noise((6, 5), seed=2) > 0).double())
    masked = holes(data(1, 1, 6, 5, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: solve(z * holes.mask, holes, prior()), masked)
    single = data(1, 3, 5, 4).requires_grad_()
    (slope,) = torch.autograd.grad(solve(single, BLUR, prior(dtype=torch.bfloat16)).square().sum(), single)
    assert slope.dtype == torch.float32 and float(slope.abs().max()) > 0.1


def test_holes_are_filled_in_the_first_iteration_unless_init_has() -> None:
    """A network that changes nothing: the first image is the filled one."""
    net = network()
    torch.nn.init.zeros_(net.tail.weight)
    mask = (noise((16, 18), seed=5) > 0).double()
    op, x = operators.Mask(mask), 0.5 + 0.1 * noise((1, 3, 16, 18), seed=6)
    start, used = op(x), prior(net, dtype=torch.float64)
    one = fastip.admm(start, op, used, beta=PLAN.betas[0], iterations=1, tolerance=0).x
    assert float(one[(mask == 0).expand_as(one)].min()) > 0.2
    kept = fastip.admm(start, op, used, beta=PLAN.betas[0], iterations=1, tolerance=0, init=torch.full_like(x, 0.9)).x
    assert float((kept[(mask == 0).expand_as(kept)] - 0.9).abs().max()) < 1e-12
    bound = used.bind(start, op)
    bound(start, 1.0)
    torch.testing.assert_close(bound(start, 1.0), start, rtol=0, atol=1e-12)  # the second call fills nothing


def test_it_travels() -> None:
    used, y = prior(memory="1GB"), data(1, 3, 6, 7)
    again = pickle.loads(pickle.dumps(used))
    assert (again.schedule, again.memory, again.dtype) == (used.schedule, 10**9, None)
    assert torch.equal(solve(y, BLUR, again), solve(y, BLUR, used))


@pytest.mark.parametrize("channels", [1, 3])
def test_on_a_device(channels: int) -> None:
    """The weights are moved in the first solve; in later ones nothing waits but for what the data step asks."""
    v = noise((2, channels, 20, 17), torch.float32)
    expected = prior(dtype=torch.float32).bind(v, operators.Identity())(v, 1.0)
    with pretended() as gpu:
        used, far = prior(dtype=torch.float32), gpu.put(v)
        used.bind(far, operators.Identity())
        gpu.waits.clear()
        x = used.bind(far, operators.Identity())(far, 1.0)
        assert not ours(gpu.waits) and relative(gpu.get(x), expected) < 1e-5


def test_a_beta_is_asked_for() -> None:
    with pytest.raises(InvalidInput, match="this prior has 3 betas.*pass beta=prior.schedule.betas"):
        fastip.admm(data(1, 3, 4, 4), BLUR, prior())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"net": network(data_colours=3)}, "one that takes data belongs to one operator"),
        ({"net": torch.nn.Identity()}, "expected a network of fastip.nets"),
        ({"schedule": (0.2, 0.1)}, r"schedule is \(0.2, 0.1\); expected levels and betas"),
        ({"memory": "2 bananas"}, "2GB or 800MB"),
        ({"dtype": torch.int32}, "dtype is torch.int32"),
        ({"dtype": "float32"}, "dtype"),
    ],
    ids=str,
)
def test_what_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        priors.PlugAndPlay(**{"net": network(), "schedule": PLAN} | options)  # type: ignore[arg-type]


def test_images_without_a_grid_are_refused() -> None:
    op = operators.Dense(noise((5, 12)))
    with pytest.raises(InvalidInput, match=r"the image has shape \(2, 12\); a network takes b c h w"):
        prior().bind(noise((2, 5)), op)


def test_graphs_are_refused_with_what_they_can_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    used, y = prior(dtype=torch.float32), data(1, 3, 4, 4)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    with pytest.raises(Unsupported, match=r"placed, and cut into tiles.*priors.PixelShuffleAutoencoder\(prior.net"):
        used.bind(y, BLUR)
