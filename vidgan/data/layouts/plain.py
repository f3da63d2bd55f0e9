"""Files as they lie: videos, strips, folders of frames, arrays, and labelled samples of WebDataset shards.

``auto`` and ``plain`` look at each folder of images: it holds strips (one image is a whole clip) or is one clip.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from vidgan.data.layouts.layout import by_folder
from vidgan.data.layouts.webdataset import labelled_sources
from vidgan.data.sources.entries import Findings, Source
from vidgan.data.sources.images import image_size, strip_frame_size
from vidgan.data.sources.listing import ARRAY_SUFFIXES, VIDEO_SUFFIXES, Listing, parent_of, suffix_of
from vidgan.errors import DataError

PLAIN_LAYOUTS: Final = ("plain", "strips", "frames", "videos")
_PEEKS: Final = 16  # images looked at to tell a folder of strips from a folder of frames

Size = tuple[int, int]


def arrange(listing: Listing, layout: str, strip_frame: Size | None, findings: Findings) -> None:
    """Turn file names into sources; images are taken folder by folder."""
    media = [name for name in listing.names if suffix_of(name) in VIDEO_SUFFIXES | ARRAY_SUFFIXES]
    findings.sources += [listing.seal(source) for source in labelled_sources(listing, media)]
    if layout == "videos":
        return
    folders = by_folder(listing.images)
    votes = _vote(listing, folders, strip_frame) if layout in ("auto", "plain") else {}
    for folder, names in folders.items():
        if layout == "strips" or (votes.get(folder) and 2 * sum(votes[folder]) >= len(votes[folder])):
            findings.sources += [listing.seal(Source(name, "strip", (name,))) for name in names]
        else:
            findings.sources.append(listing.seal(Source(folder, "frames", tuple(names))))


def _vote(listing: Listing, folders: Mapping[str, list[str]], strip_frame: Size | None) -> dict[str, list[bool]]:
    """For each folder: which of a sample of its readable images have a strip's shape."""
    sample = [name for names in folders.values() for name in names[:: -(-len(names) // _PEEKS)]]
    votes: dict[str, list[bool]] = defaultdict(list)
    for name, blob in listing.blobs(sample):
        try:
            is_strip = strip_frame_size(image_size(blob), strip_frame) is not None
        except DataError:
            continue  # refused by name when its turn to be read comes
        votes[parent_of(name)].append(is_strip)
    return votes
