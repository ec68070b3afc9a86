"""The sets: sizes, values, splits that share nothing, and pictures that depend on their number alone."""

from __future__ import annotations

import inspect
import pathlib
import pickle

import numpy as np
import pytest
import torch

from cases import data as data_cases
from fastip import data
from fastip.data import avatars, cache, draws, photographs, sources
from fastip.errors import InvalidInput, UnknownKeyword


@pytest.mark.parametrize(("cls", "name"), [(data.Digits, "digits"), (data.Fashion, "fashion")])
def test_digits(registry, cls, name):
    with pytest.raises(data.MissingData, match=f"fastip data fetch {name}"):
        cls("train")
    data.fetch(name)
    train, validation, test = (cls(split) for split in ("train", "validation", "test"))
    assert (len(train), len(validation), len(test)) == (20, 5000, 30)
    assert (
        train[0].shape == (1, 28, 28)
        and train.batch([3, 1]).shape == (2, 1, 28, 28)
        and train[0].dtype == torch.float32
    )
    assert torch.equal(train[7], torch.full((1, 28, 28), 7 / 255)) and torch.equal(
        validation[0], torch.full((1, 28, 28), 20 / 255)
    )
    assert (
        train.labels.tolist() == [i % 10 for i in range(20)]
        and int(validation.labels[5]) == 5
        and test.labels[-1] == 9
        and torch.equal(test[-1], test[29])
    )
    assert len(list(test)) == 30 and isinstance(test, data.Pictures)
    with pytest.raises(IndexError):
        test[30]
    with pytest.raises(InvalidInput, match="'valid'; expected one of train, validation, test"):
        cls("valid")
    train.images[0] = 9  # a copy of its own, not the file
    assert cls("train").images[0].max() == 0


def test_faces_are_split_by_person(registry):
    data.fetch("faces")
    people = {split: data.Faces(split) for split in ("train", "validation", "test")}
    assert [len(f) for f in people.values()] == [320, 40, 40]
    seen = [set(f.labels.tolist()) for f in people.values()]
    assert set.union(*seen) == set(range(1, 41)) and sum(map(len, seen)) == 40
    face = people["test"].batch([13])[0]  # person 38, picture 4
    assert (
        face.shape == (1, 112, 92)
        and torch.equal((face * 255).round().unique(), torch.tensor([4.0, 38.0]))
        and people["test"].labels[13] == 38
    )


def test_avatars(registry):
    data.fetch("avatars")
    sets = {split: data.Avatars(split) for split in ("train", "validation", "test")}
    styles = [set(s.styles) for s in sets.values()]
    assert [len(s) for s in styles] == [4, 4, 4] and len(set.union(*styles)) == 12
    for split, s in sets.items():
        tops = [s.names[n] for n in s.choices[2]]
        assert (
            len(tops) == 8
            and {avatars.style(name) for name in tops} == set(s.styles)
            and [len(c) for c in s.choices] == [2, 2, 8]
        )
        batch = s.batch(range(5, 9))
        assert batch.shape == (4, 3, 64, 64) and 0 <= batch.min() and batch.max() <= 1 and len(s) == 10_000
        assert (
            torch.equal(batch[1], s[6])
            and torch.equal(batch[1], data.Avatars(split)[6])
            and not torch.equal(batch[1], data.Avatars(split, seed=1)[6])
        )
        assert not torch.equal(batch[0], batch[1])
    assert (
        avatars.style("006#Top/Hijab-Pastel-Red.png") == "006#Top/Hijab"
        and avatars.style("006#Top/Hat.png") == "006#Top/Hat"
    )


def test_an_avatar_is_its_layers_over_a_plain_ground(registry):
    """out = layer + (1 - alpha) out in floats, to a few roundings."""
    data.fetch("avatars")
    s = data.Avatars("train")
    head = s[3]
    ground = head[:, 63, 63]
    assert torch.equal(head[:, 0, 63], ground) and (ground * 255 >= 120).all()
    words = draws.words(0, "avatars train", 3, 6)
    expected = ground[:, None, None].expand(3, 64, 64)
    for word, choice in zip(words[3:], s.choices, strict=True):
        layer = torch.from_numpy(s.layers[choice[word % len(choice)]]).permute(2, 0, 1) / 255
        expected = layer[:3] + (1 - layer[3:]) * expected
    assert (head - expected).abs().max() < 2.5 / 255 and (head - ground[:, None, None]).abs().max() > 0.1


def whole(s: data.Photographs, i: int) -> np.ndarray:
    return np.asarray(s.photographs[i])


def test_photographs(registry):
    with pytest.raises(data.MissingData, match="fastip data fetch photos"):
        data.Photographs("train")
    data.fetch("photos")
    train, validation = (data.Photographs(split, 16) for split in ("train", "validation"))
    assert (
        not set(train.names) & set(validation.names)
        and len(train.names) + len(validation.names) == 3 + 20 + 2
        and validation.names
    )
    assert all((draws.fraction(name) < 0.1) == (name in validation.names) for name in train.names + validation.names)
    assert len(train) == sum((p.shape[0] // 16) * (p.shape[1] // 16) for p in train.photographs)
    i = train.names.index("gcompris/erase/pika.webp")
    assert torch.equal(train.whole(i)[0], torch.from_numpy(data_cases.noise(265, 300, 1)).permute(2, 0, 1) / 255)
    with pytest.raises(InvalidInput, match="'test'; expected one of train, validation"):
        data.Photographs("test")
    with pytest.raises(InvalidInput, match="5000 x 5000"):
        data.Photographs("train", 5000)
    with pytest.raises(InvalidInput, match="reductions is empty"):
        data.Photographs("train", reductions=())
    with pytest.raises(UnknownKeyword, match="did you mean 'places'"):
        data.Photographs("train", place=1)


SPLIT = {  # the parts that are split by photograph, and the start of the digest of each
    "gcompris": "e181a00375cd",
    "mate": "cd54a345087e",
    "lomiri": "bd0777e81fae",
}


def test_the_further_photographs_leave_the_split_alone(registry):
    """Figures were measured on the validation pictures: the set they come from must hold what it held."""
    data.fetch("photos")
    before = [(split, data.Photographs(split, 16).names) for split in ("train", "validation")]
    data.fetch("photos-more")
    assert before == [(split, data.Photographs(split, 16).names) for split in ("train", "validation")]
    assert {part.name: part.digest[:12] for part in sources.PHOTOS.parts} == SPLIT
    assert not set(SPLIT) & {part.name for part in sources.PHOTOS_MORE.parts}


def test_the_further_photographs_are_kept_as_the_others(registry):
    """Colour, whole, one file each; a layer of opacity is dropped."""
    data.fetch("photos-more")
    kept = {}
    for folder, names in cache.opened("photos-more"):
        kept |= {name: np.load(folder / f"{number:04d}.npy") for number, name in enumerate(names)}
    assert len(kept) == 11 and all(array.dtype == np.uint8 and array.shape[2] == 3 for array in kept.values())
    assert np.array_equal(kept["lxqt/flowers.png"], data_cases.noise(80, 90, 9, 4)[..., :3])


def found(s: data.Photographs, patch: torch.Tensor, r: int) -> list[tuple[int, int]]:
    """(photograph, turn) of which the patch is a part, reduced r times.

    Looked for everywhere, by its first pixel and then whole.
    """
    size, hits = patch.shape[-1], []
    turned = [photographs._turned(patch, t) for t in range(8)]
    for number, photograph in enumerate(s.photographs):
        h, w = photograph.shape[:2]
        if min(h, w) < r * size:
            continue
        mean = torch.nn.functional.avg_pool2d(
            torch.from_numpy(np.array(photograph)).permute(2, 0, 1).double() / 255, r, stride=1
        )
        for turn, piece in enumerate(turned):
            places = (
                (mean[:, : h - r * size + 1, : w - r * size + 1] - piece[:, :1, :1]).abs().amax(0) < 1e-6
            ).nonzero()
            hits += [
                (number, turn)
                for top, left in places.tolist()
                if torch.allclose(mean[:, top::r, left::r][:, :size, :size], piece.double(), atol=1e-6)
            ]
    return hits


@pytest.mark.parametrize("r", [1, 2, 3])
def test_a_patch_is_a_reduced_turned_part_of_one_photograph(registry, r):
    data.fetch("photos")
    s = data.Photographs("train", 11, reductions=(r,))
    hits = [found(s, s[i], r) for i in range(12)]
    assert all(len(hit) == 1 for hit in hits), hits  # one photograph, one turn (the pictures are noise)
    assert len({hit[0][0] for hit in hits}) > 4 and len({hit[0][1] for hit in hits}) > 3


def test_patches_depend_on_seed_and_number_alone(registry):
    data.fetch("photos")
    s, again, other = (
        data.Photographs("train", 9, seed=5),
        data.Photographs("train", 9, seed=5),
        data.Photographs("train", 9, seed=6),
    )
    batch = s.batch([3, 10**7, 0])
    assert batch.shape == (3, 3, 9, 9) and batch.dtype == torch.float32 and batch.is_contiguous()
    assert (
        torch.equal(batch[1], again[10**7]) and torch.equal(batch[2], again[0]) and not torch.equal(batch[2], other[0])
    )
    assert not torch.equal(s[0], s[1]) and not torch.equal(s[0], data.Photographs("validation", 9, seed=5)[0])
    sent = pickle.dumps(data.Photographs("train", 9, reductions=(2,), places=2, seed=5))
    assert len(sent) < 1000 and torch.equal(
        pickle.loads(sent)[4], data.Photographs("train", 9, reductions=(2,), places=2, seed=5)[4]
    )


def test_sizes_that_only_some_photographs_hold(registry):
    """Reductions are chosen among those that leave room; a photograph that holds no patch is left out."""
    data.fetch("photos")
    s = data.Photographs("train", 90, reductions=(1, 2, 3))
    assert all(name.startswith("gcompris") for name in s.names) and s.batch(range(20)).shape == (20, 3, 90, 90)
    assert data.Photographs("train", 88, reductions=(3, 1)).reductions == (1, 3)


def test_more_places_more_detail(registry, tmp_path):
    """The chosen place has the most detail of those drawn: patches of a photograph that is plain but for a corner."""
    data.fetch("photos")
    one, many = (data.Photographs("train", 16, reductions=(2,), places=places) for places in (1, 6))
    plain = np.full((400, 400, 3), 128, np.uint8)
    plain[:160] = data_cases.noise(160, 400, 1)
    for s in (one, many):
        s.photographs = [plain] * len(s.photographs)
    detail = [sum(float(s[i].std()) > 0.01 for i in range(60)) for s in (one, many)]
    assert 15 < detail[0] < 40 and detail[1] > 52


def test_reduction_is_exact():
    pixels = data_cases.noise(60, 45, 3)
    for r in (1, 3, 5, 15):
        expected = torch.nn.functional.avg_pool2d(torch.from_numpy(pixels).permute(2, 0, 1).double() / 255, r)
        assert (photographs._reduced(pixels, r) - expected).abs().max() < 1e-7
    assert photographs._reduced(np.full((34, 34, 3), 255, np.uint8), 17).min() == 1  # beyond 16 bits


def test_turns_are_the_eight_symmetries():
    x = torch.arange(9.0).reshape(1, 3, 3)
    assert len({tuple(photographs._turned(x, t).flatten().tolist()) for t in range(8)}) == 8 and torch.equal(
        photographs._turned(x, 0), x
    )


def test_held_out_photographs(registry, tmp_path, monkeypatch):
    """The nine pictures by their names; in no training, because the sets of training do not hold them."""
    for package, file in photographs.TEST.values():
        path = tmp_path / package / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data_cases.encoded(data_cases.noise(20, 31, len(str(path))), "PNG"))
    monkeypatch.setattr(photographs, "_installed", lambda package: tmp_path / package)
    pictures = data.held_out_photographs()
    assert list(pictures)[:7] == list(data.EVERYDAY) and list(pictures)[7:] == ["retina", "ihc"]
    assert all(x.shape == (1, 3, 20, 31) and x.dtype == torch.float32 for x in pictures.values())
    assert list(data.held_out_photographs(["ihc"])) == ["ihc"]
    with pytest.raises(InvalidInput, match="'lena'"):
        data.held_out_photographs(["lena"])
    (tmp_path / "skimage/data/ihc.png").unlink()
    with pytest.raises(data.MissingData, match=r"fastip\[data\]"):
        data.held_out_photographs(["ihc"])
    monkeypatch.undo()
    with pytest.raises(data.MissingData, match=r"no_such_package.*fastip\[data\]"):
        photographs._installed("no_such_package")
    # scikit-image itself is among the packages that tests need
    astronaut = data.held_out_photographs(["astronaut"])["astronaut"]
    assert astronaut.shape == (1, 3, 512, 512)


def test_centre():
    x = torch.arange(35.0).reshape(1, 1, 5, 7)
    assert torch.equal(data.centre(x, 3), x[..., 1:4, 2:5]) and torch.equal(data.centre(x, 4), x[..., 0:4, 1:5])
    with pytest.raises(InvalidInput, match="6 x 6"):
        data.centre(x, 6)


WORDS = [10344952440415034180, 2687263065975037191, 6037593334467209499, 13133427056729429375, 269675179326687115]
ORDER = [0, 4, 5, 3, 1, 7, 2, 6, 8]
FRACTION = 0.22707395399252306


def test_draws_never_change():
    """The numbers of this version, which a resumed training relies on.

    They may not depend on NumPy's version or on the machine.
    """
    assert draws.words(3, "photographs train", 10**6, 5) == WORDS
    assert draws.permutation(7, 2, 9).tolist() == ORDER
    assert draws.fraction("mate/Dune.jpg") == FRACTION
    assert (
        draws.words(3, "a", 0, 8)[4:] != draws.words(3, "a", 1, 4)
        and draws.words(3, "a", 0, 3) == draws.words(3, "a", 0, 8)[:3]
    )


def test_words_are_uniform():
    words = np.array([draws.words(1, "u", i, 4) for i in range(500)]) / 2**64
    assert abs(words.mean() - 0.5) < 0.03 and np.abs(np.corrcoef(words.T) - np.eye(4)).max() < 0.2


def test_public_names_have_a_line_of_help():
    assert all(inspect.getdoc(getattr(data, name)) for name in data.__all__)


def test_the_page_names_every_package():
    page = (pathlib.Path(__file__).resolve().parents[2] / "docs" / "data.md").read_text()
    for collection in sources.COLLECTIONS.values():
        for source in (source for part in collection.parts for source in part.sources):
            row = (
                f"| `{collection.name}` | {source.package} {source.version} | {source.client} "
                f"| {source.holds} | {source.licence} | {source.credit} |"
            )
            assert row in page, row
