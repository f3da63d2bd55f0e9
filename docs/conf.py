"""The documentation site: `make docs` builds it into build/docs, offline, with warnings as errors.

The pages are the Markdown files of this folder. Some contain marks for what `tools/site_pages.py` generates from the
code. The gallery runs the scripts in docs/examples, in build/examples, and shows the images that they write.
"""

import os
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tools"), str(ROOT / "docs")]

import site_pages  # noqa: E402

import vidgan  # noqa: E402

# The examples run where their files may stay, and without a network.
EXAMPLES = ROOT / "build" / "examples"
shutil.rmtree(EXAMPLES, ignore_errors=True)
shutil.copytree(ROOT / "docs" / "examples", EXAMPLES)
os.environ["HF_HUB_OFFLINE"] = "1"

project = "vidgan"
author = "the vidgan authors"
copyright = "the vidgan authors, Apache-2.0"
version = release = vidgan.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_gallery.gen_gallery"]
root_doc = "index"
exclude_patterns = ["README.md", "examples", "results", "performance"]
nitpicky = False
smartquotes_action = "qe"  # two hyphens begin an option; they are no dash
default_role = "code"  # docstrings put code into single backticks

myst_enable_extensions = ["attrs_inline", "dollarmath"]
myst_heading_anchors = 4
suppress_warnings = ["myst.header"]  # a page may skip a heading level

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = f"vidgan {release}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
templates_path: list[str] = []

sphinx_gallery_conf = {
    "examples_dirs": [str(EXAMPLES)],
    "gallery_dirs": ["gallery"],
    "filename_pattern": r"\.py$",
    "image_scrapers": ("gallery_images.scrape",),
    "reset_modules": (),
    "capture_repr": (),
    "within_subsection_order": "FileNameSortKey",
    "show_memory": False,
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_signature": False,
    "only_warn_on_example_error": False,
    "abort_on_example_error": True,
}


def fill_marks(app, docname: str, source: list[str]) -> None:
    """Replace the marks of a page."""
    source[0] = site_pages.filled(source[0])


def setup(app) -> dict[str, bool]:
    """Register what this site adds to Sphinx."""
    app.connect("source-read", fill_marks)
    return {"parallel_read_safe": True}
