"""What the cache keeps of a set: functions that write {name: bytes} into a folder in a form that is quick to read.

Each returns the names of the pictures in the order of the files or rows written.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from .unpack import Contents

AVATAR = 64  # pixels a side, what the generators of drawn heads are built for
Report = Callable[[int, int], None]  # pictures done, pictures in all


def files(contents: Contents, folder: Path, report: Report) -> list[str]:
    """The files as they are."""
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return list(contents)


def photographs(contents: Contents, folder: Path, report: Report) -> list[str]:
    """0000.npy, 0001.npy ... : each photograph decoded, h w 3 uint8.

    So a patch is read without decoding the rest.
    """
    from PIL import Image

    names = sorted(contents)
    for number, name in enumerate(names):
        with Image.open(io.BytesIO(contents[name])) as image:
            np.save(folder / f"{number:04d}.npy", np.asarray(image.convert("RGB")))
        report(number + 1, len(names))
    return names


def faces(contents: Contents, folder: Path, report: Report) -> list[str]:
    """faces.npy, 400 112 92 uint8: ten pictures of each person in turn."""
    from PIL import Image

    names = sorted(
        contents, key=lambda name: [int(word) for word in name.removesuffix(".pgm").removeprefix("s").split("/")]
    )
    np.save(folder / "faces.npy", np.stack([np.asarray(Image.open(io.BytesIO(contents[name]))) for name in names]))
    return names


def avatars(contents: Contents, folder: Path, report: Report) -> list[str]:
    """avatars.npy, n 64 64 4 uint8: the layers in the order of drawing.

    Box-averaged from 1024 x 1024, RGB premultiplied by alpha.
    """
    from PIL import Image

    names = sorted(contents)
    layers = np.empty((len(names), AVATAR, AVATAR, 4), np.uint8)
    for number, name in enumerate(names):
        with Image.open(io.BytesIO(contents[name])) as image:
            layers[number] = np.asarray(
                image.convert("RGBA").convert("RGBa").resize((AVATAR, AVATAR), Image.Resampling.BOX)
            )
        report(number + 1, len(names))
    np.save(folder / "avatars.npy", layers)
    return names


def write_manifest(folder: Path, digest: str, names: list[str]) -> None:
    """manifest.json: the digest of what was taken out of the archive, the names, and the size of every file there."""
    sizes = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
    (folder / "manifest.json").write_text(json.dumps({"digest": digest, "names": names, "sizes": sizes}, indent=1))


def read_manifest(folder: Path, digest: str) -> list[str] | None:
    """The names, or None where the folder is missing, incomplete or of another digest."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        whole = manifest["digest"] == digest and all(
            (folder / name).stat().st_size == size for name, size in manifest["sizes"].items()
        )
        return list(manifest["names"]) if whole else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
