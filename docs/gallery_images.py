"""What the gallery shows of an example: the images that the script has written, in alphabetical order."""

import shutil
from pathlib import Path
from typing import Any

from sphinx_gallery.scrapers import figure_rst

SUFFIXES = {".png", ".gif", ".webp"}
_shown: set[Path] = set()


def scrape(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Copy the images that appeared since the last block to the gallery; the reStructuredText that shows them."""
    folder = Path(block_vars["src_file"]).parent
    new = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES and path not in _shown)
    _shown.update(new)
    targets = []
    for path, numbered in zip(new, block_vars["image_path_iterator"], strict=False):
        target = Path(numbered).with_suffix(path.suffix)
        shutil.copy(path, target)
        targets.append(str(target))
    return figure_rst(targets, gallery_conf["src_dir"]) if targets else ""
