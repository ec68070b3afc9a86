"""Photographs that are reduced once.

What is kept, what is drawn, who is in which split, and that the folder appears whole.
"""

from __future__ import annotations

import os
import pickle

import numpy as np
import pytest
import torch

from fastip import data
from fastip.data import cache, draws, reduced, sources
from fastip.errors import InvalidInput


@pytest.fixture
def photos(registry, monkeypatch):
    """The small photographs, fetched; reductions of 24 pixels a side are kept."""
    monkeypatch.setattr(reduced, "SMALLEST", 24)
    data.fetch("photos")
    return registry


def folders():
    return sorted(path.name for path in cache.folder().iterdir() if path.is_dir() and path.name.startswith("reduced-"))


@pytest.mark.parametrize("r", [1, 2, 3, 4])
def test_whole_reductions_are_rounded_means(r):
    picture = np.random.default_rng().integers(0, 256, (4 * 7 + 3, 4 * 5 + 2, 3), dtype=np.uint8)
    h, w = picture.shape[0] // r, picture.shape[1] // r
    means = picture[: h * r, : w * r].astype(float).reshape(h, r, w, r, 3).mean(axis=(1, 3))
    found = reduced.reduced(picture, r)
    # Pillow divides in fixed point
    assert found.shape == (h, w, 3) and found.dtype == np.uint8 and np.abs(found - means).max() < 0.6


def test_a_reduction_by_one_and_a_half_is_that_of_the_hamming_filter():
    picture = np.random.default_rng().integers(0, 256, (9, 12, 3), dtype=np.uint8)

    def weights(n):
        """Each result from its neighbours within 1.5 pixels: sinc times a Hamming window, summing to 1."""
        distance = ((np.arange(n)[None] + 0.5) - 1.5 * (np.arange(n * 2 // 3)[:, None] + 0.5)) / 1.5
        value = np.where(np.abs(distance) < 1, np.sinc(distance) * (0.54 + 0.46 * np.cos(np.pi * distance)), 0)
        return value / value.sum(axis=1, keepdims=True)

    expected = np.einsum("ih,hwc,jw->ijc", weights(9), picture.astype(float), weights(12))
    # rows and columns are rounded in turn
    assert np.abs(reduced.reduced(picture, 1.5) - expected.clip(0, 255)).max() <= 1.01


def test_what_is_kept_is_made_once_and_mapped_later(photos):
    told = []
    first = data.ReducedPhotographs("train", 16, reductions=(1, 2), report=lambda *what: told.append(what))
    assert told[-1][1] == told[-1][2] == 23 + 2 - len(data.Photographs("validation", 1).names)
    (folder,) = folders()
    before = {path: path.stat().st_mtime_ns for path in (cache.folder() / folder).iterdir()}
    again = data.ReducedPhotographs("train", 16, reductions=(2, 1), report=lambda *what: pytest.fail("made again"))
    assert before == {path: path.stat().st_mtime_ns for path in (cache.folder() / folder).iterdir()}
    assert torch.equal(first.batch(range(9)), again.batch(range(9))) and len(first) == len(again)
    before = len(os.listdir("/dev/fd"))
    held = [first.sized(size) for size in (8, 9, 10)], data.ReducedPhotographs("train", 16, reductions=(1, 2))
    # one map for all photographs, and none for other sizes
    assert len(os.listdir("/dev/fd")) - before <= 1 and held
    data.ReducedPhotographs("train", 16, reductions=(2,))
    assert len(folders()) == 2  # other reductions are kept beside them


def test_a_folder_that_was_damaged_or_left_unfinished_is_made_again(photos):
    first = data.ReducedPhotographs("train", 16, reductions=(2,)).batch([5])
    (folder,) = folders()
    victim = cache.folder() / folder / "pixels.bin"
    victim.write_bytes(victim.read_bytes()[:-1])
    (cache.folder() / f"{folder}.partial").mkdir()
    assert torch.equal(data.ReducedPhotographs("train", 16, reductions=(2,)).batch([5]), first)
    assert not (cache.folder() / f"{folder}.partial").exists()


def test_nothing_is_left_by_a_reduction_that_fails(photos, monkeypatch):
    def fail(photograph, r):
        raise OSError("the disk is full")

    monkeypatch.setattr(reduced, "reduced", fail)
    with pytest.raises(data.DownloadFailed, match="disk is full; free some space"):
        data.ReducedPhotographs("train", 16)
    assert folders() == [] and not [name for name in os.listdir(cache.folder()) if name.endswith(".partial")]


def test_patches_are_turned_parts_of_one_picture(photos):
    s = data.ReducedPhotographs("train", 12, reductions=(1, 2))
    seen = set()
    for i in range(30):
        patch = np.rint(255 * s[i].permute(1, 2, 0).numpy()).astype(np.uint8)
        hits = [
            (k, turn)
            for k, picture in enumerate(s.photographs)
            for turn in range(8)
            if inside(np.asarray(picture), reduced._turned(patch, turn))
        ]
        assert hits, i
        seen.add(hits[0])
    assert len({k for k, _ in seen}) > 5 and len({turn for _, turn in seen}) > 4


def inside(picture: np.ndarray, patch: np.ndarray) -> bool:
    h, w = (n - m + 1 for n, m in zip(picture.shape[:2], patch.shape[:2], strict=True))
    if h < 1 or w < 1:
        return False
    places = np.argwhere((picture[:h, :w] == patch[0, 0]).all(axis=2))
    return any(np.array_equal(picture[i : i + patch.shape[0], j : j + patch.shape[1]], patch) for i, j in places)


def test_half_of_the_patches_lie_anywhere(photos, monkeypatch):
    """Of a picture that is flat but for one corner the corner is drawn more often than by chance.

    Flat places are still drawn.
    """
    s = data.ReducedPhotographs("train", 16, reductions=(1,))
    flat = np.zeros((128, 128, 3), np.uint8)
    flat[:64, :64] = np.random.default_rng(0).integers(0, 256, (64, 64, 3))
    s.photographs, s._upto = [flat], np.ones(1)
    share = float((s.batch(range(600)).amax(dim=(1, 2, 3)) > 0).float().mean())
    chance = (64 / 113) ** 2  # of a corner among 113 x 113 whose patch meets the detail
    best = 1 - (1 - chance) ** 2
    assert abs(share - (chance + best) / 2) < 0.08


def test_patches_depend_on_seed_and_number_alone(photos):
    s, other = data.ReducedPhotographs("train", 9, seed=5), data.ReducedPhotographs("train", 9, seed=6)
    batch = s.batch([3, 10**7, 0])
    assert batch.shape == (3, 3, 9, 9) and batch.dtype == torch.float32 and 0 <= batch.min() and batch.max() <= 1
    assert torch.equal(batch[1], s[10**7]) and torch.equal(batch[2], s[0]) and not torch.equal(batch[2], other[0])
    sent = pickle.dumps(s)
    assert len(sent) < 1000 and torch.equal(pickle.loads(sent)[4], s[4])
    assert (
        torch.equal(s.sized(13)[4], data.ReducedPhotographs("train", 13, seed=5)[4])
        and s.sized(13).size == 13
        and s.size == 9
    )


def test_another_size_reads_nothing_again(photos, monkeypatch):
    s = data.ReducedPhotographs("train", 9, seed=5)
    monkeypatch.setattr(reduced, "_kept", lambda *what: pytest.fail("mapped again"))
    assert s.sized(8)[3].shape == (3, 8, 8)


def test_splits_and_further_sets(photos, monkeypatch):
    """Validation stays what it is when a set is added, and no picture of it comes from there."""
    train, validation = (data.ReducedPhotographs(split, 24, reductions=(1,)) for split in ("train", "validation"))
    names = {split: data.Photographs(split, 24).names for split in ("train", "validation")}
    assert (len(train.photographs), len(validation.photographs)) == tuple(map(len, names.values()))
    more = sources.COLLECTIONS["photos"]
    monkeypatch.setitem(sources.COLLECTIONS, "more", more)
    both = [
        data.ReducedPhotographs(split, 24, reductions=(1,), sets=("photos", "more"))
        for split in ("train", "validation")
    ]
    assert len(both[0].photographs) == len(train.photographs) + sum(map(len, names.values())) and len(
        both[1].photographs
    ) == len(validation.photographs)
    assert all(draws.fraction(name) < 0.1 for name in names["validation"])


def test_validation_photographs(photos):
    found = data.validation_photographs(40)
    assert found and all(x.shape[0] == 1 and x.shape[1] == 3 and max(x.shape[2:]) <= 40 and x.max() <= 1 for x in found)
    (folder,) = folders()
    names = data.Photographs("validation", 1).names
    wholes = [data.Photographs("validation", 1).whole(k)[0] for k in range(len(names))]
    means = [torch.nn.functional.avg_pool2d(x, r) for x in wholes for r in (2, 3, 4) if min(x.shape[1:]) / r >= 24]
    assert len(found) == len(means) and folder.startswith("reduced-validation-")
    for x, mean in zip(found, means, strict=True):
        top, left = ((n - 40) // 2 if n > 40 else 0 for n in mean.shape[1:])
        assert (x[0] - mean[:, top : top + 40, left : left + 40]).abs().max() < 0.6 / 255


def test_refusals(registry, monkeypatch):
    with pytest.raises(data.MissingData, match="fastip data fetch photos"):
        data.ReducedPhotographs("train")
    with pytest.raises(data.MissingData, match="fastip data fetch photos"):
        data.validation_photographs()
    monkeypatch.setattr(reduced, "SMALLEST", 24)
    data.fetch("photos")
    with pytest.raises(InvalidInput, match="'test'; expected one of train, validation"):
        data.ReducedPhotographs("test")
    with pytest.raises(InvalidInput, match="patch of 5000 x 5000"):
        data.ReducedPhotographs("train", 5000)
    with pytest.raises(InvalidInput, match="patch of 5000 x 5000"):
        data.ReducedPhotographs("train", 9).sized(5000)
    for wrong in ((), (0.5,), ("two",), (float("nan"),), (float("inf"),)):
        with pytest.raises(InvalidInput, match="reductions is"):
            data.ReducedPhotographs("train", 9, reductions=wrong)
    with pytest.raises(InvalidInput, match="sets is empty"):
        data.ReducedPhotographs("train", 9, sets=())
    with pytest.raises(InvalidInput, match="of the set 'photos' alone"):
        data.ReducedPhotographs("validation", 9, sets=("photos-more",))
    with pytest.raises(InvalidInput, match="there is no set 'pictures'"):
        data.ReducedPhotographs("train", 9, sets=("pictures",))


def test_a_lock_that_cannot_be_made_is_told(photos, monkeypatch):
    def refuse(*given):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(reduced.cache, "alone", refuse)
    with pytest.raises(data.DownloadFailed, match="cannot be written"):
        data.ReducedPhotographs("train", reductions=(1.5,))
