"""Row and column labels of strips and grids, stored inside the image file as its EXIF description."""

import json
from dataclasses import asdict, dataclass, replace
from typing import Final

from PIL import Image

__all__ = ["Labels", "read_labels"]

_DESCRIPTION: Final = 0x010E  # EXIF tag ImageDescription


@dataclass(frozen=True)
class Labels:
    """What the rows and columns of an image show.

    Attributes:
        rows: from top to bottom, equally high.
        columns: from left to right, equally wide.
        scale: integer magnification of the pixels.
    """

    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    scale: int = 1

    def below(self, other: "Labels") -> "Labels":
        """These rows, with those of `other` below them in the columns of `other`."""
        return replace(other, rows=self.rows + other.rows)

    def exif(self) -> Image.Exif:
        """The labels as metadata of a PNG or WebP image."""
        exif = Image.Exif()
        exif[_DESCRIPTION] = json.dumps(asdict(self))
        return exif


def read_labels(image: Image.Image) -> Labels:
    """The labels of an open image; empty ones if it has none, or none that can be read."""
    try:
        content = json.loads(image.getexif()[_DESCRIPTION])
        rows, columns = (tuple(map(str, content[name])) for name in ("rows", "columns"))
        return Labels(rows, columns, max(1, int(content["scale"])))
    except (KeyError, TypeError, ValueError, SyntaxError):
        return Labels()
