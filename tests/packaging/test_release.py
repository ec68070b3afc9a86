"""What a release says of itself: one version everywhere, and the size of what is installed."""

from __future__ import annotations

import re
import subprocess
import zlib
from importlib.util import find_spec
from pathlib import Path

import pytest

import fastip

ROOT = Path(__file__).parents[2]
RELEASE = re.compile(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)$", re.MULTILINE)
WHEELS = ROOT / ".github" / "workflows" / "wheels.yml"
LARGEST = 45e6  # bytes of a wheel


def cited(key: str) -> str:
    """A value of CITATION.cff."""
    found = re.search(rf'^{key}: "?([^"\n]+)"?$', (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert found, f"CITATION.cff has no {key}"
    return found[1]


def test_the_version_is_the_same_everywhere() -> None:
    changes = (ROOT / "CHANGELOG.md").read_text()
    newest, day = RELEASE.findall(changes)[0]
    assert newest == fastip.__version__ == cited("version") and day == cited("date-released")
    # pyproject.toml has none of its own: the build reads fastip/_version.py
    project = (ROOT / "pyproject.toml").read_text()
    assert 'dynamic = ["version"]' in project and 'metadata.version.input = "fastip/_version.py"' in project
    assert not re.search(r"^version *=", project, re.MULTILINE)


def test_every_release_has_its_links() -> None:
    """Each heading is a link to its tag, and what is not released yet to all changes since."""
    changes = (ROOT / "CHANGELOG.md").read_text()
    releases = [version for version, _ in RELEASE.findall(changes)]
    assert changes.index("## [Unreleased]") < changes.index(f"## [{releases[0]}]")
    assert re.search(rf"^\[Unreleased\]: \S+/compare/v{re.escape(releases[0])}\.\.\.HEAD$", changes, re.MULTILINE)
    for version in releases:
        assert re.search(rf"^\[{re.escape(version)}\]: \S+/v{re.escape(version)}$", changes, re.MULTILINE), version


@pytest.mark.parametrize("page", ["README.md", "docs/citing.md"])
def test_every_paper_that_is_to_be_cited_is_named(page: str) -> None:
    papers = re.findall(r"^    title: (.+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    text = " ".join((ROOT / page).read_text().split()).replace("> ", "")
    assert len(papers) == 2 and not [paper for paper in papers if paper.lower() not in text.lower()]


def compiled() -> set[Path]:
    """The compiled module, wherever the build left it; none where there is none for this Python."""
    found = find_spec("fastip._C")
    return {Path(found.origin)} if found and found.origin else set()


def test_a_wheel_stays_small() -> None:
    """Weights hardly shrink, so they count as they are; all else as a wheel holds it."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "fastip"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    files = {ROOT / name for name in names if name} | compiled()
    size = 0
    for path in filter(Path.is_file, files):
        raw = path.suffix == ".safetensors"
        size += path.stat().st_size if raw else len(zlib.compress(path.read_bytes(), 1))
    assert size <= LARGEST, f"a wheel would take {size / 1e6:.1f} MB; expected at most {LARGEST / 1e6:.0f}"


@pytest.mark.skipif(not WHEELS.exists(), reason="a source distribution is without .github")
def test_every_wheel_that_is_built_is_weighed() -> None:
    for file, folder in ((ROOT / "Makefile", "dist"), (WHEELS, "wheelhouse")):
        limits = re.findall(rf"find {folder} -name '\*\.whl' -size \+(\d+)c", file.read_text())
        assert [int(limit) for limit in limits] == [LARGEST], file.name
