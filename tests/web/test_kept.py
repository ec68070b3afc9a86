"""The files of sessions: what is removed, and when."""

from __future__ import annotations

import os
import time

from fastip.web.kept import Kept


def upload(folder, name):
    path = folder / name / "photo.png"
    path.parent.mkdir(exist_ok=True)
    path.write_text(name)
    return path


def test_what_a_session_had_before_is_removed(tmp_path):
    kept = Kept(tmp_path)
    one, two, mask = (upload(tmp_path, name) for name in ("one", "two", "mask"))
    first = kept.fresh("a", one)
    (first / "after.png").write_text("x")
    second = kept.fresh("a", one, mask)
    assert not first.exists() and second.is_dir() and one.exists() and mask.exists()
    third = kept.fresh("a", two, None)
    assert not one.parent.exists() and not mask.parent.exists() and two.exists()
    kept.end("a")
    kept.end("a")
    assert not third.exists() and not list(tmp_path.iterdir())


def test_a_file_that_another_session_uploaded_too_stays(tmp_path):
    kept, same = Kept(tmp_path), upload(tmp_path, "same")
    kept.fresh("a", same)
    kept.fresh("b", same)
    kept.end("a")
    assert same.exists()
    kept.end("b")
    assert not list(tmp_path.iterdir())


def test_a_made_file_is_as_if_it_was_uploaded(tmp_path):
    kept = Kept(tmp_path)
    example = kept.apart() / "cat.png"
    example.write_text("cat")
    kept.fresh("a", example)
    kept.fresh("a", example)
    assert example.exists()
    kept.end("a")
    assert not list(tmp_path.iterdir())


def test_empty_files_of_the_framework_go_and_others_stay(tmp_path):
    for name, content, age in (("tmpold", "", 100), ("tmpnew", "", 0), ("tmpfull", "x", 100)):
        (tmp_path / name).write_text(content)
        os.utime(tmp_path / name, times=(time.time() - age,) * 2)
    Kept(tmp_path).end("nobody")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tmpfull", "tmpnew"]
