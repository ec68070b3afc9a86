"""Image files damaged at random: read, or refused by name, and in no case for long or with much memory.

The short form runs with the quick tests; the long one reads 20,000 files, as many of each format.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import slow
from cases import mutated
from cases.programs import PYTHON

COUNT = slow.count(1000, 20000)


def test_damaged_files_are_read_or_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        [*PYTHON, mutated.__file__, str(COUNT), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120 + COUNT,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\nthe last file is in {tmp_path}"
    *wrong, counts = map(json.loads, done.stdout.splitlines())
    assert not wrong, "\n".join(map(str, wrong))
    assert [found["cases"] for found in counts.values()] == [COUNT // len(mutated.SUFFIX)] * len(mutated.SUFFIX)
    # A fuzzer of which everything, or nothing, is refused looks at little.
    assert all(0.1 < found["refused"] / found["cases"] < 1 for found in counts.values()), counts
    print(json.dumps(counts, indent=1))


def test_a_case_is_drawn_from_its_number() -> None:
    files = mutated.whole("PNG")
    assert mutated.damaged("PNG", files, 7) == mutated.damaged("PNG", files, 7) != mutated.damaged("PNG", files, 17)
