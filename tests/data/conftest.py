"""A cache of its own for each test, and the small sets with clients that copy them."""

from __future__ import annotations

import pytest

from cases import data as data_cases
from fastip.data import sources


@pytest.fixture(scope="session")
def small_sets(tmp_path_factory):
    """(folder with the archives, the small sets), built once."""
    root = tmp_path_factory.mktemp("registry")
    return root, data_cases.build(root)


@pytest.fixture
def registry(small_sets, tmp_path, monkeypatch):
    """The small sets in place of the real ones, an empty cache at FASTIP_CACHE, and fake clients on the PATH.

    The value is the folder of the clients.
    """
    root, sets = small_sets
    for name, collection in sets.items():
        monkeypatch.setitem(sources.COLLECTIONS, name, collection)
    fake = tmp_path / "fake"
    fake.mkdir()
    (fake / "store").symlink_to(root / "store")
    monkeypatch.setenv("FAKE", str(fake))
    monkeypatch.setenv("PATH", data_cases.install(fake))
    monkeypatch.setenv("FASTIP_CACHE", str(tmp_path / "cache"))
    return fake
