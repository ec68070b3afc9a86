"""Names, links and errors of files that appear whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from fastip import io
from fastip.errors import InvalidInput
from fastip.io import replace

X = torch.rand(1, 3, 5, 6, generator=torch.Generator().manual_seed(0))
LONG = ["x" * 251 + ".png", "ü" * 125 + ".jpeg", "x" * 251 + ".npy", "[*]" * 83 + ".tiff"]


@pytest.mark.parametrize("name", LONG)
def test_the_longest_names_can_be_written(tmp_path, name):
    io.write_image(tmp_path / name, X)
    io.write_image(tmp_path / name, X)
    assert os.listdir(tmp_path) == [name] and io.read_image(tmp_path / name)[0].shape == X.shape


@pytest.mark.parametrize("name", ["x" * 252 + ".png", "x" * 5000 + ".png"])
def test_longer_ones_are_refused(tmp_path, name):
    with pytest.raises(InvalidInput, match="File name too long"):
        io.write_image(tmp_path / name, X)
    assert os.listdir(tmp_path) == []


def test_an_unlink_that_fails_hides_nothing(tmp_path, monkeypatch):
    def refuse(self, missing_ok=False):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)

    def full(file):
        raise OSError(28, "No space left on device")

    with pytest.raises(InvalidInput, match="No space left on device"):
        replace.replace_file(tmp_path / "a.png", full)

    def stopped(file):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replace.replace_file(tmp_path / "a.png", stopped)


def test_links_are_replaced_and_not_followed(tmp_path):
    for name in ("target.png", "twin.png"):
        (tmp_path / name).write_bytes(b"old")
    (tmp_path / "link.png").symlink_to("target.png")
    (tmp_path / "dangling.png").symlink_to("nothing.png")
    os.link(tmp_path / "twin.png", tmp_path / "hard.png")
    for name in ("link.png", "dangling.png", "hard.png"):
        io.write_image(tmp_path / name, X)
        assert not (tmp_path / name).is_symlink() and io.read_image(tmp_path / name)[0].shape == X.shape
    assert (tmp_path / "target.png").read_bytes() == (tmp_path / "twin.png").read_bytes() == b"old"
    assert not (tmp_path / "nothing.png").exists()


@pytest.mark.parametrize("name", ["a[1].safetensors", "x" * 230 + ".safetensors", ".hidden"])
def test_what_a_killed_write_left_is_found(tmp_path, name):
    left: list[Path] = []

    def killed(file):
        left.append(Path(file.name))
        os.link(file.name, tmp_path / "kept")

    replace.replace_file(tmp_path / name, killed)
    os.rename(tmp_path / "kept", left[0])
    (tmp_path / "a.0123abcd.png").touch()
    assert list(replace.leftovers(tmp_path / name)) == left
    assert left[0].parent == tmp_path and left[0].name.startswith(".") and len(os.fsencode(left[0].name)) <= 255
