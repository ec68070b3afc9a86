"""Errors say what was given, what is expected and what to do; following them helps, and they are short."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import fastip
from cases.programs import PYTHON
from fastip import checkpoint, data, figures, inverses, nets, operators, priors, psf, solvers, tasks
from fastip.arrays import as_tensor, check_image, check_number, check_real
from fastip.errors import FastipError, InvalidInput, Unsupported, brief, closest
from fastip.solvers.pgd import pgd

BLUR = operators.Blur(psf.gaussian(5, sigma=1.0))
NET = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.ReLU())


def refusal(call: Callable[[], Any]) -> str:
    with pytest.raises(FastipError) as caught:
        call()
    return str(caught.value)


def test_deprecations_are_shown_by_default_in_libraries_too() -> None:
    warn = "import warnings, fastip; warnings.warn('goes in 2.0', fastip.FastipDeprecationWarning)"
    library = f"exec(compile({warn!r}, 'library.py', 'exec'), {{'__name__': 'library'}})"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"}
    said = subprocess.run([*PYTHON, "-c", library], capture_output=True, text=True, env=environment, check=True).stderr
    assert "library.py:1: FastipDeprecationWarning: goes in 2.0" in said
    assert "FastipDeprecationWarning" in fastip.__all__ and issubclass(fastip.FastipDeprecationWarning, FutureWarning)


# ---- advice that is followed -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dtype, code",
    [
        ("uint8", "y.astype('float32') / 255"),
        ("uint16", "y.astype('float32') / 65535"),
        ("int16", "y.astype('float32')"),
        ("bool", "y.astype('float32')"),
    ],
)
def test_whole_numbers_of_numpy_are_divided_by_their_largest(dtype: str, code: str) -> None:
    y = np.full((1, 1, 8, 8), np.iinfo(dtype).max if dtype.startswith("u") else 1, dtype=dtype)
    text = refusal(lambda: as_tensor(y, "y"))
    assert text.endswith(f"e.g. {code}") and f"dtype {dtype}" in text
    assert eval(code, {"y": y}).max() == 1.0


@pytest.mark.parametrize(
    "dtype, code",
    [
        (torch.uint8, "y.float() / 255"),
        (torch.uint16, "y.float() / 65535"),
        (torch.int64, "y.float()"),
        (torch.bool, "y.float()"),
        (torch.complex64, "take the real part, y.real"),
    ],
    ids=str,
)
def test_whole_numbers_of_torch_too(dtype: torch.dtype, code: str) -> None:
    y = torch.ones(1, 1, 8, 8, dtype=dtype)
    text = refusal(lambda: check_real(y, "y"))
    assert code in text and ("/" in text) == ("/" in code)
    check_real(eval(code.rpartition(", ")[2], {"y": y}), "y")
    if dtype is not torch.complex64:
        assert code in refusal(lambda: fastip.admm(y, BLUR, priors.L1(0.1)))


@pytest.mark.parametrize("shape", [(8,), (8, 8), (3, 8, 8), (2, 3, 4, 8, 8), (1, 2, 3, 4, 8, 8)], ids=str)
def test_dimensions_are_added_or_merged_as_is_said(shape: tuple[int, ...]) -> None:
    x = torch.rand(shape)
    text = refusal(lambda: check_image(x, "x"))
    advice = text.rpartition(": ")[2]
    code = f"x[{advice.partition('[')[2]}" if len(shape) < 4 else advice.partition("as ")[2].removesuffix(" does")
    check_image(eval(code, {"x": x}), "x")
    if len(shape) in (2, 3):
        assert refusal(lambda: fastip.admm(x, BLUR, priors.L1(0.1))).endswith(advice)


@pytest.mark.parametrize("shape", [(9, 8, 3), (9, 8, 1), (12, 8, 4)], ids=str)
def test_colours_that_come_last_are_put_first(shape: tuple[int, ...]) -> None:
    x = torch.rand(shape)
    text = refusal(lambda: fastip.admm(x, BLUR, priors.L1(0.1)))
    assert "as h w c it needs its colours first" in text and refusal(lambda: BLUR(x)).endswith(text.rpartition(": ")[2])
    torch_code, numpy_code = text.rpartition(": ")[2].split(", in NumPy ")
    for code, given in ((torch_code, x), (numpy_code, x.numpy())):
        made = eval(code, {"x": given})
        assert made.shape == (1, shape[2], *shape[:2]) and (np.asarray(made)[0, 0] == np.asarray(x)[..., 0]).all()


@pytest.mark.parametrize("shape", [(), (10,)], ids=str)
@pytest.mark.parametrize(
    "op", [operators.Dense(torch.rand(10, 4)), BLUR, operators.Identity()], ids=lambda op: repr(op)[:5]
)
def test_data_without_a_batch_get_the_advice_of_their_operator(op: Any, shape: tuple[int, ...]) -> None:
    """Of [None] a blur made 1 x m, which is refused again."""
    y = torch.rand(shape)
    text = refusal(lambda: fastip.admm(y, op, priors.L1(0.1)))
    made = eval(f"y{text[text.rindex('[') :]}", {"y": y})
    assert made.ndim == (2 if isinstance(op, operators.Dense) and shape else 4)
    assert f"y has shape {shape}" in text


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_nan_is_left_out_as_is_said(value: str) -> None:
    """operators.Mask alone does not help: data hold NaN still. Of Inf nan_to_num by itself makes 3e38."""
    truth = torch.rand(1, 1, 12, 12, dtype=torch.float64)
    y = BLUR(truth)
    y[..., 4, 5] = float(value)
    mask = torch.isfinite(y[0, 0]).double()
    masked = operators.Mask(mask) @ BLUR
    seen, dropped = (refusal(lambda op=op: fastip.admm(y, op, priors.L2(1e-6))) for op in (BLUR, masked))
    for text in (seen, dropped):
        assert "y holds 1 values that are NaN or Inf" in text
    assert "compose operators.Mask(mask) @ op, mask 0 there" in seen
    assert "the operator drops them" in dropped and "Mask" not in dropped
    filled = [text[text.index("torch.nan_to_num") :].partition(")")[0] + ")" for text in (seen, dropped)]
    assert filled[0] == filled[1] and "in NumPy numpy.nan_to_num" in seen
    clean = eval(filled[0], {"torch": torch, "y": y})
    assert np.array_equal(eval(filled[0].replace("torch", "np"), {"np": np, "y": y.numpy()}), clean)
    assert clean[0, 0, 4, 5] == 0
    one, other = (
        fastip.admm(torch.where(mask > 0, y, v), masked, priors.L2(1e-6), inverse=inverses.Exact()).x
        for v in (0.0, 7.0)
    )
    torch.testing.assert_close(one, other)
    assert torch.equal(fastip.admm(clean, masked, priors.L2(1e-6), inverse=inverses.Exact()).x, one)


def test_nan_that_the_operator_drops_in_fourier_space() -> None:
    mask = torch.ones(8, 8)
    mask[1, 2] = 0
    op = operators.MaskedFourier(mask)
    y = op(torch.rand(2, 1, 8, 8))
    y[1, 0, 1, 2] = complex(1.0, float("nan"))
    assert "the operator drops them" in refusal(lambda: fastip.admm(y, op, priors.L1(0.1)))
    y[0, 0, 0, 0] = float("inf")
    text = refusal(lambda: fastip.admm(y, op, priors.L1(0.1)))
    assert "y holds 2 values" in text and "replace them" in text and "operators.Mask" not in text


def test_a_masked_array_keeps_its_mask_or_is_refused() -> None:
    """Its masked values counted as data, without a word."""
    clean = BLUR(torch.rand(1, 1, 12, 12, dtype=torch.float64)).numpy()
    y = np.ma.masked_array(clean.copy(), np.zeros(clean.shape, bool))
    y[..., 4, 5] = 1000.0
    assert fastip.admm(y, BLUR, priors.L1(0.1), iterations=1).x.shape == clean.shape  # nothing is masked
    y[..., 4, 5] = np.ma.masked
    text = refusal(lambda: as_tensor(y, "y"))
    assert "1 values masked" in text and "give y.filled(0), and for data compose operators.Mask(~y.mask) @ op" in text
    masked = operators.Mask(~y.mask) @ BLUR
    how = {"inverse": inverses.Exact(), "iterations": 200, "tolerance": 0.0}
    x = fastip.admm(y.filled(0), masked, priors.L2(1e-3), **how).x
    assert abs(x).max() < 2
    again = fastip.admm(y, BLUR, priors.L2(1e-3), iterations=2000, tolerance=1e-6).x
    assert abs(again - x).max() < 1e-2
    assert "masked" in refusal(lambda: operators.Blur(np.ma.masked_array(np.ones((3, 3)), np.eye(3))))


def test_init_is_of_the_kind_of_the_image_not_of_the_data() -> None:
    """init.to(y) made it complex where y is."""
    op = operators.MaskedFourier(torch.ones(8, 8))
    y = op(torch.rand(1, 1, 8, 8))
    text = refusal(lambda: fastip.admm(y, op, priors.L1(0.1), init=torch.rand(1, 1, 8, 8).double()))
    assert text.endswith("expected torch.float32 on cpu, as y: convert it")
    solution = fastip.admm(torch.rand(1, 1, 8, 8), BLUR, priors.L1(0.1), inverse=inverses.Stencil(6), iterations=2)
    double = torch.rand(1, 1, 8, 8).double()
    text = refusal(lambda: fastip.admm(double, BLUR, priors.L1(0.1), inverse=inverses.Stencil(6), init=solution))
    assert "dual is (1, 1, 8, 8) torch.float32; this inverse keeps (1, 1, 8, 8) torch.float64" in text


# ---- what was given is named, in one line ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda: fastip.admm(torch.rand(1, 1, 8, 8), BLUR, NET),
        lambda: fastip.admm(torch.rand(1, 1, 8, 8), BLUR, priors.L1(0.1), inverse=NET),
        lambda: priors.PlugAndPlay(NET, schedule=priors.schedule(0.1)),
        lambda: priors.PixelShuffleAutoencoder(NET),
        lambda: nets.Grey(NET),
        lambda: priors.Denoiser(NET, sigma=0.1, level_keyword="level"),
        lambda: priors.Denoiser({n: n for n in range(100)}, sigma=0.1),
        lambda: check_number(torch.rand(100), "weight"),
        lambda: operators.Stack(list(range(100))),
    ],
    ids=range(9),
)
def test_no_message_holds_a_whole_network_or_array(call: Callable[[], Any]) -> None:
    text = refusal(call)
    assert "\n" not in text and len(text) < 300 and "expected" in text


def test_brief() -> None:
    assert brief("a") == "'a'" and brief([1, 2]) == "[1, 2]"
    assert brief(NET) == "a Sequential" and brief(torch.rand(100)) == "a Tensor" and brief("a" * 100) == "a str"


def test_a_number_is_no_misspelling() -> None:
    """sr5 is no task, and sr4 is not what was meant."""
    text = refusal(lambda: tasks.get("sr5"))
    assert "did you mean" not in text and "expected one of upscale, sr4, sr3, sr2, deblur" in text
    assert "did you mean 'photo-sr4'" in refusal(lambda: tasks.get("foto-sr4"))
    assert "did you mean 'sr4'" in refusal(lambda: closest("SR_4", ["sr4", "sr2"], "task"))
    assert "did you mean 'digits'" in refusal(lambda: fastip.shipped.projector("digit"))


# ---- one by one ------------------------------------------------------------------------------------------------------


class Sparse:
    """As SciPy's matrices show themselves."""

    def toarray(self) -> np.ndarray:
        return np.eye(3)


class Other:
    """An inverse that is bound to nothing known."""

    def bind(self, op: Any, y: Any, beta: float, relaxation: float = 1.0) -> Any:
        return self


IMAGE = inverses.ConjugateGradient(side="image")
ONE_BY_ONE: list[tuple[Callable[[], Any], str]] = [
    (lambda: as_tensor([[1.0]], "y"), "y is list; expected a torch tensor.*: numpy.asarray makes one of lists"),
    (lambda: operators.Dense(Sparse()), "matrix is a sparse Sparse; expected an array of numbers: give matrix.toarray"),
    (
        lambda: operators.Dense([[1.0], [1.0, 2.0]]),
        "matrix is no array of numbers .*; expected rows of the same length",
    ),
    (lambda: operators.Blur(np.ones(3)), "psf has shape .3,.; expected 2 or 3 or 4 axes: reshape it or take a part"),
    (lambda: operators.Blur([[float("nan")]]), "psf holds 1 values.*; expected finite numbers: replace them"),
    (lambda: operators.Stack(3), "operators is 3; expected a list of at least one operator"),
    (lambda: BLUR.T(torch.rand(8, 8)), "data has shape .8, 8.; expected four.*in front, with .None, None."),
    (lambda: pgd(torch.rand(1, 1, 8, 8), 0 * BLUR, priors.L1(0.1)), "operator is zero .Scaled.*check its psf, mask"),
    (lambda: inverses.woodbury(Other(), BLUR, 0.1)(torch.rand(1, 1, 8, 8)), "Other does not state.*such as inverses.E"),
    (lambda: inverses.offer(3), "learned is int; expected one with its training record"),
    (lambda: inverses.offer(inverses.Learned(nets.InverseNet())), "learned is Learned without a record; expected"),
    (
        lambda: inverses.Uncorrected(IMAGE).bind(BLUR, torch.rand(1, 1, 8, 8), 0.1),
        "ConjugateGradient works on the image side here: write e.g. inverses.Uncorrected.inverses.Exact.side='data'",
    ),
    (
        lambda: inverses.Exact(side="image").bind(operators.ToGray(), torch.rand(1, 1, 8, 8), 0.1),
        "no exact inverse is known for ToGray on data of shape .1, 1, 8, 8. with side='image': use",
    ),
    (
        lambda: inverses.Learned(nets.PaperInverseNet(colours=3)).bind(BLUR, torch.rand(1, 1, 8, 8), 0.1),
        "y has 1 channels; expected a multiple of 3.*: use one with colours=1, or inverse='auto'",
    ),
    (
        lambda: fastip.admm(torch.rand(0, 1, 8, 8), BLUR, priors.L1(0.1)),
        "y has shape .0, 1, 8, 8., which is empty; expected at least one number",
    ),
    (
        lambda: fastip.admm(torch.rand(1, 1, 8, 8), BLUR, priors.L1(0.1), relaxation=2),
        "relaxation is 2; expected 0 < relaxation < 2: 1 is none, which suits every prior",
    ),
    (
        lambda: priors.Wavelet(0.1).bind(torch.rand(1, 1, 8, 8).half(), operators.Identity())(
            torch.rand(1, 1, 16, 16).half(), 1.0
        ),
        "Wavelet takes float32 or float64; the data is torch.float16: convert with y.float",
    ),
    (lambda: figures.check_figure("no/such/a.png"), "no/such is no folder: create it first"),
    (lambda: data.Batches([], 1), "pictures holds no picture; expected at least one: give another set"),
    (
        lambda: fastip.metrics.frechet_distance(torch.rand(2, 1, 8, 8), torch.rand(2, 1, 9, 9)),
        "expected the same: convert or resize one of them",
    ),
]


@pytest.mark.parametrize("call, words", ONE_BY_ONE, ids=range(len(ONE_BY_ONE)))
def test_given_expected_and_what_to_do(call: Callable[[], Any], words: str) -> None:
    with pytest.raises((InvalidInput, Unsupported), match=words):
        call()


@pytest.mark.parametrize("kind", ["inverse", "prior", "projector", "generator"])
def test_a_file_of_another_program_is_told_from_what_is_expected(tmp_path: Any, kind: str) -> None:
    """All were said to be files of save_inverse."""
    path = tmp_path / "a.safetensors"
    save_file({"w": torch.zeros(1)}, path)
    text = refusal(lambda: getattr(checkpoint, f"load_{kind}")(path))
    assert text.endswith(f"without a record of fastip; expected a trained {kind} as fastip wrote it: give another file")


def test_complex_data_are_sent_to_a_solver_that_takes_them() -> None:
    op = operators.MaskedFourier(torch.ones(28, 28))
    generator = nets.DCGANGenerator(size=28).eval()
    y = op(torch.rand(1, 1, 28, 28))
    assert refusal(lambda: solvers.csgm(y, op, generator)).endswith("takes real data: use fastip.admm")
