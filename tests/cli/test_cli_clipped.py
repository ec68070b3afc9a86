"""--clipped: pixels that a file cut off, which say only "at least this", looked for where a picture is deblurred."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from torch import Tensor

from cases import icc
from cases.cli import fastip
from fastip import io, operators, psf, tasks

PSF = ["--psf", "disk:7:3"]
DEBLUR = ["--task", "deblur", *PSF]


def dark(h: int = 30, w: int = 33, channels: int = 3) -> Tensor:
    """A wall with lamps beyond white, blurred as data with a natural border: 1 c h w, not cut off."""
    x = torch.full((1, channels, h + 6, w + 6), 0.15)
    x[..., 5:9, 8:12], x[..., 20:24, 20:30], x[..., 15:30, 3:8] = 4.0, 2.5, 0.5
    y: Tensor = operators.Blur(psf.disk(7, 3), boundary="valid")(x)
    return y + 0.003 * torch.randn(y.shape, generator=torch.Generator().manual_seed(0))


def write(path: Path, y: Tensor, like: io.Kind | None = None) -> tuple[Tensor, io.Kind]:
    io.write_image(path, y.clamp(0, 1), like=like or io.Kind())
    return io.read_image(path)


def ran(tmp_path: Path, name: str, *words: Any) -> tuple[Tensor, str]:
    result = fastip("restore", tmp_path / name, *words, "-o", tmp_path / f"out-{name}")
    assert result.exit_code == 0, result.output
    value_range = (0, 1) if name.endswith(".npy") else None
    found = io.read_image(tmp_path / f"out-{name}", value_range=value_range)[0]
    return found, " ".join(result.output.split())


def expected(problem: Any, y: Tensor) -> Tensor:
    x: Tensor = problem.solve(y).x
    return (255 * x.clamp(0, 1)).round() / 255


@pytest.mark.parametrize("prior", [[], ["--prior", "tv"]])
@pytest.mark.parametrize("channels", [1, 3])
def test_deblur_looks_for_them(tmp_path: Path, prior: list[str], channels: int) -> None:
    y = write(tmp_path / "in.png", dark(channels=channels))[0]
    name = prior[-1] if prior else None
    on, off = (tasks.get("deblur").problem(psf=psf.disk(7, 3), prior=name, clipped=told) for told in ("auto", "off"))
    share = on.fitted(y).clipped_share
    assert 0.05 < share < 0.3
    found, line = ran(tmp_path, "in.png", *DEBLUR, *prior)
    assert f"estimated, {100 * share:.2g} % clipped, " in line
    torch.testing.assert_close(found, expected(on, y), rtol=0, atol=1.01 / 255)
    same, line = ran(tmp_path, "in.png", *DEBLUR, *prior, "--clipped", "auto")
    assert torch.equal(same, found) and "% clipped" in line
    plain, line = ran(tmp_path, "in.png", *DEBLUR, *prior, "--clipped", "off")
    assert "clipped" not in line and (plain - found).abs().max() > 0.2
    torch.testing.assert_close(plain, expected(off, y), rtol=0, atol=1.01 / 255)


def test_a_value_is_a_limit(tmp_path: Path) -> None:
    """Of a file that was made darker after it was cut off, grey level 200 and those above it."""
    y = write(tmp_path / "in.tif", 200 / 255 * dark().clamp(0, 1))[0]
    auto, line = ran(tmp_path, "in.tif", *DEBLUR, "--prior", "tv")
    assert "clipped" not in line
    found, line = ran(tmp_path, "in.tif", *DEBLUR, "--prior", "tv", "--clipped", "200/255")
    share = float((y * 255 > 199.5).float().mean())
    assert share > 0.05 and f"{100 * share:.2g} % clipped" in line and not torch.equal(found, auto)


def test_where_none_are_found_nothing_changes(tmp_path: Path) -> None:
    write(tmp_path / "in.png", 0.3 * dark())
    found, line = ran(tmp_path, "in.png", *DEBLUR)
    plain, other = ran(tmp_path, "in.png", *DEBLUR, "--clipped", "off")
    assert torch.equal(found, plain) and "clipped" not in line and "clipped" not in other


def test_in_light_they_are_those_of_the_file(tmp_path: Path) -> None:
    """Its curve may end below 1, as this table does."""
    table = icc.curv(*(round(65535 * 0.98 * (k / 255) ** 2.2) for k in range(256)))
    kind = io.Kind(profile=icc.profile([table] * 3))
    curve = kind.transfer()
    y, kind = write(tmp_path / "in.png", curve.encode(0.98 * dark().clamp(0, 1)), kind)
    assert curve.decode(y).max() < 0.99
    problem = tasks.get("deblur").problem(psf=psf.disk(7, 3), prior="tv", clipped="auto")
    fitted = problem.fitted(curve.decode(y), values=y)
    assert fitted.clipped_share > 0.05 and problem.fitted(curve.decode(y)).clipped_share == 0
    found, line = ran(tmp_path, "in.png", *DEBLUR, "--prior", "tv", "--linear")
    assert "linear light by the ICC profile" in line and f"{100 * fitted.clipped_share:.2g} % clipped" in line
    x = curve.encode(fitted.solve(curve.decode(y)).x).clamp(0, 1)
    torch.testing.assert_close(found, x, rtol=0, atol=1.01 / 255)


def test_alpha_and_floats_come_along(tmp_path: Path) -> None:
    alpha = np.full((30, 33), 255, np.uint8)
    alpha[10:20] = 90
    y, _ = write(tmp_path / "in.png", dark(), io.Kind("uint8", alpha))
    found, line = ran(tmp_path, "in.png", *DEBLUR)
    assert "% clipped" in line and np.array_equal(io.read_image(tmp_path / "out-in.png")[1].alpha, alpha)
    # floats hold what is beyond white, and where they go beyond it 1 is no limit
    write(tmp_path / "in.npy", dark(), io.Kind("float32"))
    found, line = ran(tmp_path, "in.npy", *DEBLUR, "--prior", "tv")
    assert "% clipped" in line and found.max() > 3
    np.save(tmp_path / "hdr.npy", dark()[0].movedim(0, -1).numpy())
    found, line = ran(tmp_path, "hdr.npy", *DEBLUR, "--prior", "tv", "--range", "0,1")
    assert "clipped" not in line


def test_each_page_has_its_own(tmp_path: Path) -> None:
    pages = [
        (255 * (scale * dark()).clamp(0, 1)[0].movedim(0, -1)).round().to(torch.uint8).numpy() for scale in (1, 0.3)
    ]
    tifffile.imwrite(tmp_path / "in.tif", np.stack(pages), photometric="rgb")
    result = fastip("restore", tmp_path / "in.tif", *DEBLUR, "--prior", "tv", "-o", tmp_path / "out.tif")
    line = " ".join(result.output.split())
    assert "2 pages" in line and ", up to " in line and "% clipped" in line


def test_other_tasks_do_where_it_is_said(tmp_path: Path) -> None:
    y, _ = write(tmp_path / "in.png", dark())
    for task in ("denoise", "sr2"):
        assert "clipped" not in ran(tmp_path, "in.png", "--task", task, "--prior", "tv")[1]
        assert "% clipped" in ran(tmp_path, "in.png", "--task", task, "--prior", "tv", "--clipped", "auto")[1]
    for boundary in ("reflect", "zero"):
        assert "clipped" not in ran(tmp_path, "in.png", *DEBLUR, "--prior", "tv", "--boundary", boundary)[1]
    assert "clipped" not in ran(tmp_path, "in.png", *DEBLUR, "--boundary", "circular", "--inverse", "exact")[1]
    hidden = write(tmp_path / "mask.png", (torch.rand(1, 1, 30, 33) > 0.2).float())[0]
    said = ran(tmp_path, "in.png", "--task", "inpaint", "--mask", tmp_path / "mask.png", "--clipped", "1")[1]
    assert hidden.min() == 0 and "% clipped" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([*DEBLUR, "--clipped", "255"], "--clipped is '255'; expected auto, off, or a value above 0 and at most 1"),
        ([*DEBLUR, "--clipped", "0"], "--clipped is '0'; expected auto"),
        ([*DEBLUR, "--clipped", "250/0"], "--clipped is '250/0'; expected auto"),
        ([*DEBLUR, "--clipped", "on"], "--clipped is 'on'; expected auto"),
        ([*DEBLUR, "--clipped", "nan"], "--clipped is 'nan'; expected auto"),
        ([*DEBLUR, "--clipped", "auto", "--boundary", "reflect"], "boundary is 'reflect'; expected natural, circular"),
        ([*DEBLUR, "--clipped", "0.9", "--inverse", "cg"], "inverse is 'cg'"),
        (["--task", "upscale", "--factor", "2", "--clipped", "auto"], "task 'upscale' cannot use it"),
        (["--task", "photo-sr4", "--clipped", "0.9"], "task 'photo-sr4' has none"),
        (["--task", "digits-cs100", "--clipped", "auto"], "clipped is given"),
    ],
)
def test_refusals(tmp_path: Path, words: list[str], message: str) -> None:
    write(tmp_path / "in.png", dark())
    result = fastip("restore", tmp_path / "in.png", *words, "-o", tmp_path / "out.png")
    assert result.exit_code == 2 and message in " ".join(result.output.split()), result.output
    assert not (tmp_path / "out.png").exists() and "Traceback" not in result.output


def test_the_help_says_that_upscale_takes_none():
    words = " ".join(fastip("restore", "--help").output.replace("│", " ").split())
    assert "upscale takes all pixels as they are" in words
