"""Archives are read as they were written, whatever wraps them, and damage is named."""

from __future__ import annotations

import hashlib

import pytest

from cases import data as data_cases
from fastip.data import archives
from fastip.errors import InvalidInput

FILES = {"a/one.txt": b"1", "a/two.bin": bytes(range(256)) * 33, "b/three": b""}
WRITERS = {"whl": data_cases.wheel, "tgz": data_cases.tgz, "deb": data_cases.deb}


@pytest.mark.parametrize("kind", WRITERS)
def test_members(tmp_path, kind):
    path = WRITERS[kind](tmp_path / f"x.{kind}", FILES)
    assert dict(archives.members(path, lambda name: True)) == FILES
    assert dict(archives.members(path, lambda name: name.startswith("a/t"))) == {"a/two.bin": FILES["a/two.bin"]}


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("keep", [0, 5, 200, -100])
def test_damage(tmp_path, kind, keep):
    path = WRITERS[kind](tmp_path / f"x.{kind}", FILES)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InvalidInput, match="damaged"):
        list(archives.members(path, lambda name: True))


def test_unknown_suffix(tmp_path):
    with pytest.raises(InvalidInput, match="rar"):
        list(archives.members(tmp_path / "x.rar", lambda name: True))


@pytest.mark.parametrize("version", [1, 2, 3])
def test_resources(version):
    """A tree of folders; compressed entries are left out."""
    files = {
        "g/src/erase/a.webp": b"RIFF",
        "g/src/erase/b.webp": bytes(3000),
        "g/src/erase/z.svg": b"packed",
        "g/top": b"!",
        "ü": b"name",
    }
    blob = data_cases.rcc(files, version=version, flags={"z.svg": 1})
    assert dict(archives.resources(blob)) == {
        name: content for name, content in files.items() if name != "g/src/erase/z.svg"
    }


def test_resources_refuse():
    blob = data_cases.rcc({"a": b"1", "b": b"2"})
    with pytest.raises(InvalidInput, match="qres"):
        list(archives.resources(b"RIFF" + blob))
    with pytest.raises(InvalidInput, match="damaged"):
        list(archives.resources(blob[:-30]))


def test_digest_covers_names_and_contents(tmp_path):
    first = archives.files_digest(FILES)
    assert first == archives.files_digest(dict(reversed(FILES.items())))
    assert first != archives.files_digest(FILES | {"b/three": b"3"}) and first != archives.files_digest(
        {name.upper(): content for name, content in FILES.items()}
    )
    blob = bytes(range(256)) * 9000
    (tmp_path / "x").write_bytes(blob)
    assert archives.sha256(tmp_path / "x") == hashlib.sha256(blob).hexdigest()
