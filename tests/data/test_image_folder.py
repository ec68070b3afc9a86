"""Pictures of a folder: which files belong to which split, what is cut out of them, and what is refused."""

from __future__ import annotations

import pytest
import torch

from fastip import data, io
from fastip.errors import InvalidInput


@pytest.fixture(name="folder")
def folder_fixture(tmp_path):
    (tmp_path / "deeper").mkdir()
    for k in range(80):
        io.write_image(tmp_path / ("deeper" if k % 2 else ".") / f"{k}.png", torch.full((1, 3, 20, 16), k / 255))
    (tmp_path / "notes.txt").write_text("no image")
    return tmp_path


def test_every_file_is_in_one_split_by_its_name_alone(folder):
    splits = {split: data.FolderPictures(folder, split, size=4) for split in ("train", "validation", "test")}
    names = {split: {file.name for file in pictures.files} for split, pictures in splits.items()}
    assert sum(map(len, names.values())) == len(set.union(*names.values())) == 80
    assert len(names["train"]) > 60 and names["validation"] and names["test"]
    for file in folder.rglob("*.png"):
        if file.name in sorted(names["train"])[::2]:
            file.unlink()
    for split, left in names.items():
        assert {file.name for file in data.FolderPictures(folder, split, size=4).files} <= left


def test_the_middle_is_cut_out_and_reduced_by_means(folder):
    x = torch.rand(1, 3, 21, 16)
    for file in folder.rglob("*.png"):
        io.write_image(file, x)
    x = (x * 255).round() / 255
    pictures = data.FolderPictures(folder, "train", size=4, crop=8)
    expected = x[:, :, 6:14, 4:12].unflatten(2, (4, 2)).unflatten(4, (4, 2)).mean(dim=(3, 5))
    torch.testing.assert_close(pictures.batch([3, 0]), expected.expand(2, -1, -1, -1))
    whole = data.FolderPictures(folder, "train", size=8)[0]
    torch.testing.assert_close(whole, x[0, :, 2:18].unflatten(1, (8, 2)).unflatten(3, (8, 2)).mean(dim=(2, 4)))
    grey = data.FolderPictures(folder, "train", size=4, crop=8, colours=1)
    torch.testing.assert_close(grey[1], expected[0].mean(dim=0, keepdim=True))


def test_grey_files_are_repeated(folder):
    for file in folder.rglob("*.png"):
        io.write_image(file, torch.rand(1, 1, 8, 8))
    picture = data.FolderPictures(folder, "train", size=4)[0]
    assert picture.shape == (3, 4, 4) and torch.equal(picture[0], picture[2])


def test_bad_inputs(folder, tmp_path):
    with pytest.raises(InvalidInput, match="is no folder"):
        data.FolderPictures(tmp_path / "none", "train")
    with pytest.raises(InvalidInput, match="split is 'all'"):
        data.FolderPictures(folder, "all")
    with pytest.raises(InvalidInput, match="colours is 2"):
        data.FolderPictures(folder, "train", colours=2)
    with pytest.raises(InvalidInput, match="crop is 4"):
        data.FolderPictures(folder, "train", size=8, crop=4)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InvalidInput, match="holds 0 images"):
        data.FolderPictures(empty, "train")
    with pytest.raises(InvalidInput, match="20 x 16; expected at least 64 pixels"):
        data.FolderPictures(folder, "train")[0]
