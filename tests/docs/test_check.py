"""The check of the built pages finds what it is there for."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
spec = importlib.util.spec_from_file_location("docs_check", ROOT / "docs/check.py")
assert spec is not None and spec.loader is not None
check = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = check  # where its dataclass looks for itself
spec.loader.exec_module(check)

PAGE = """<html><body><dl class="py function"><dt id="fastip.f">f<em>(y, op)</em></dt><dd>
<dl class="field-list"><dt>Parameters:</dt><dd><ul>
<li><p><strong>y</strong> (<em>Any</em>) – The data.</p></li>
<li><p><strong>op</strong> (<em>Any</em>)</p></li>
<li><p><strong>like</strong> (<em>str</em>) – </p><p>The <strong>program</strong>.</p></li>
</ul></dd></dl>
<dl class="py method"><dt id="fastip.f.m">m</dt><dd><p><strong>late</strong> – Of a method.</p></dd></dl>
</dd></dl></body></html>"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "a.html").write_text(PAGE)
    return tmp_path


def broken(folder: Path, text: str) -> list[str]:
    """What is wrong with a page of this text, beside the other one."""
    (folder / "b.html").write_text(text)
    pages = {path: check.read(path) for path in folder.glob("*.html")}
    return list(check.broken(folder, pages))


def test_parameters_without_a_description_are_found(site: Path) -> None:
    page = check.read(site / "a.html")
    assert "fastip.f" in page.ids
    assert check.undescribed(page, "fastip.f", ["y", "op", "like", "late", "gone"]) == ["op", "late", "gone"]
    assert check.undescribed(page, "fastip.f.m", ["late", "y"]) == ["y"]
    assert page.signatures == {"fastip.f": "f(y, op)", "fastip.f.m": "m"}


@pytest.mark.parametrize("link", ["a.html", "a.html#fastip.f", "#here", "https://fastip.example/page", "mailto:a@b.c"])
def test_good_links(site: Path, link: str) -> None:
    assert broken(site, f'<p id="here"><a href="{link}">x</a></p>') == []


@pytest.mark.parametrize("link", ["c.html", "a.html#fastip.g", "#there", "../a.html"])
def test_links_that_lead_nowhere(site: Path, link: str) -> None:
    assert len(broken(site, f'<p id="here"><a href="{link}">x</a></p>')) == 1


@pytest.mark.parametrize(
    "tag",
    [
        '<script src="https://cdn.example/x.js"></script>',
        '<img src="//cdn.example/x.png">',
        '<link rel="stylesheet" href="http://fonts.example/x.css">',
    ],
)
def test_what_another_host_would_be_asked_for(site: Path, tag: str) -> None:
    (said,) = [line for line in broken(site, tag) if "no other host" in line]
    assert "b.html loads" in said


def test_styles_that_load_from_elsewhere(site: Path) -> None:
    (site / "x.css").write_text("@import 'https://fonts.example/a.css'; p { background: url(img/b.png) }")
    (said,) = check.foreign_styles(site)
    assert "fonts.example" in said
