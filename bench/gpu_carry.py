"""What travels to a machine with a GPU, and how large it is: python bench/gpu_carry.py [--without PATH]... [PATH]...

Counted: the files that git knows or does not ignore and that are there, and the ignored PATHs that are named,
build/carry where none is. Fails above 60 MB. --without counts as if a folder
were left out of the checkout.

build/carry holds what a machine without a network cannot get: wheels/*.whl, and the extension for its Python, such as
_C.cpython-312-x86_64-linux-gnu.so.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import subprocess
import sys
from collections import Counter

ROOT = pathlib.Path(__file__).resolve().parent.parent
CARRIED = "build/carry"
MOST = 60_000_000  # bytes
DROPPABLE = 1_000_000  # bytes from which a folder gets a line
ADVICE = "TOO LARGE. In a clone or worktree of its own leave docs out: git sparse-checkout set --no-cone '/*' '!/docs/'"


def files_of(root: pathlib.Path) -> list[str]:
    """Names of the files that travel by themselves."""
    listed = []
    for options in (["--cached"], ["--others", "--exclude-standard"]):
        done = subprocess.run(["git", "ls-files", "-z", *options], cwd=root, capture_output=True, text=True, check=True)
        listed += [name for name in done.stdout.split("\0") if name]
    return sorted(set(listed))


def below(root: pathlib.Path, path: str) -> list[str]:
    """The file ``path``, or all files of that folder; empty where it is not there."""
    place = root / path
    if place.is_file():
        return [path]
    files = (file for file in sorted(place.rglob("*")) if file.is_file() and "__pycache__" not in file.parts)
    return [str(file.relative_to(root)) for file in files]


def sizes(root: pathlib.Path, names: list[str], without: list[str]) -> dict[str, int]:
    """Bytes of each file that is there; a sparse checkout lacks some that git knows."""
    dropped = tuple(path.rstrip("/") + "/" for path in without)
    there = {name: root / name for name in names if not f"{name}/".startswith(dropped)}
    return {name: path.lstat().st_size for name, path in there.items() if path.is_symlink() or path.exists()}


def folder_of(name: str) -> str:
    """The folder a file is counted in: two levels."""
    parts = name.split("/")
    return "/".join(parts[: min(2, len(parts) - 1)]) or "."


def report(root: pathlib.Path, carried: list[str], without: list[str]) -> tuple[list[str], int]:
    """Lines to print, and all bytes."""
    tree = sizes(root, files_of(root), without)
    added = {path: sum(sizes(root, below(root, path), without).values()) for path in carried}
    total = sum(tree.values()) + sum(added.values())
    folders: Counter[str] = Counter()
    for name, size in tree.items():
        folders[folder_of(name)] += size
    lines = [f"{size / 1e6:8.2f} MB  {name}" for name, size in folders.most_common() if size >= DROPPABLE]
    lines += [f"{sum(tree.values()) / 1e6:8.2f} MB  the checkout, {len(tree)} files"]
    absent = {path: "" if size else " IS NOT THERE" for path, size in added.items()}
    lines += [f"{size / 1e6:8.2f} MB  carried: {path}{absent[path]}" for path, size in added.items()]
    lines.append(f"{total / 1e6:8.2f} MB  in all, of {MOST / 1e6:g}")
    lines.append(f"carry: {json.dumps([path for path, size in added.items() if size])}")
    return lines + ([ADVICE] if total > MOST else []), total


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "carried",
        nargs="*",
        metavar="PATH",
        default=[CARRIED],
        help="ignored files or folders that are carried; build/carry by default",
    )
    parser.add_argument("--without", action="append", default=[], metavar="PATH", help="as if this were left out")
    parser.add_argument("--root", type=pathlib.Path, default=ROOT, help="the checkout")
    given = parser.parse_args()
    lines, total = report(given.root.resolve(), given.carried, given.without)
    print("\n".join(lines))
    return int(total > MOST)


if __name__ == "__main__":
    sys.exit(main())
