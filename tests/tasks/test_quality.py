"""The record of measured quality: what it says, and what becomes of a damaged or missing one."""

from __future__ import annotations

import json

import pytest

from fastip import tasks
from fastip.errors import InvalidInput


def test_a_record_is_read(tmp_path):
    entry = {
        "baseline": "bicubic",
        "baseline_psnr": 25,
        "psnr": 27.5,
        "ssim": 0.81,
        "pictures": ["astronaut", "coffee"],
    }
    source = {"machine": "2 cores", "command": "fastip experiment tasks"}
    record = {
        "tasks": {
            "photo-sr4": entry | source,
            "photo-sr4-wide": entry | source,
            "digits-cs100": source | {"command": "b"},
            "digits-sr4": {"psnr": 20.5},
        }
    }
    (tmp_path / "q.json").write_text(json.dumps(record))
    read = tasks.quality(tmp_path / "q.json")
    assert (read.machines, read.commands) == (["2 cores"], ["b", "fastip experiment tasks"])
    assert read.tasks["photo-sr4"] == tasks.Quality(27.5, 0.81, "bicubic", 25.0, "astronaut, coffee", *source.values())
    assert read.tasks["digits-sr4"] == tasks.Quality(20.5, None, None, None, None)


def test_no_record_is_an_empty_one(tmp_path):
    assert tasks.quality(tmp_path / "none.json").tasks == {}


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"tasks": 3}', '{"tasks": {"a": 3}}', '{"tasks": {"a": {"psnr": "much"}}}']
)
def test_a_damaged_record_is_refused(tmp_path, text):
    (tmp_path / "q.json").write_text(text)
    with pytest.raises(InvalidInput, match="no record of quality"):
        tasks.quality(tmp_path / "q.json")


def test_what_ships_names_tasks_only():
    assert set(tasks.quality().tasks) <= set(tasks.names())
