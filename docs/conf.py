"""Sphinx settings of the documentation; ``make docs`` builds and checks it. Nothing is asked of another host."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext")]
os.environ["OMP_NUM_THREADS"] = "1"

import fastip  # noqa: E402

project = "fastip"
author = "the authors of fastip"
copyright = author
version = release = fastip.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.doctest",
    "sphinx_gallery.gen_gallery",
    "commands",
    "mathml",
    "members",
    "reference",
]
exclude_patterns = ["_build", "_ext", "examples", "**/sg_execution_times.rst", "sg_execution_times.rst"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

autoclass_content = "class"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
python_display_short_literal_types = True
python_maximum_signature_line_length = 90
highlight_language = "text"
add_module_names = False
doctest_global_setup = "import torch, fastip\nfrom fastip import operators, priors, psf"

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "write_computation_times": False,
    "remove_config_comments": True,
    "min_reported_time": 1e9,  # the time on whatever machine built the page says nothing to its reader
}

html_theme = "furo"
html_title = f"fastip {version}"
html_math_renderer = "mathml"
html_static_path = ["_static"]
html_css_files = ["style.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}


def security(app: Any, page: str, text: list[str]) -> None:
    """Shows SECURITY.md, where there is one, in the place of the few words that stand in for it."""
    policy = HERE.parent / "SECURITY.md"
    if page == "security" and policy.exists():
        text[0] = policy.read_text()


def setup(app: Any) -> None:
    """As Sphinx asks for it."""
    app.connect("source-read", security)
