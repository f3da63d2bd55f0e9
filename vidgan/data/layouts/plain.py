"""Plain files: videos, strips, folders of frames, arrays, and labelled samples of WebDataset shards.

``auto`` and ``plain`` classify each folder of images as strips (one image is a clip) or as the frames of one clip.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from vidgan.data.layouts.layout import by_folder
from vidgan.data.layouts.webdataset import labelled_sources
from vidgan.data.sources.file_tree import ARRAY_SUFFIXES, VIDEO_SUFFIXES, FileTree, parent_of, suffix_of
from vidgan.data.sources.images import image_size, strip_frame_size
from vidgan.data.sources.source import Source
from vidgan.errors import DataError

PLAIN_LAYOUTS: Final = ("plain", "strips", "frames", "videos")
_SAMPLED_IMAGES: Final = 16  # images per folder whose size decides between strips and frames


def plain_sources(tree: FileTree, layout: str, strip_frame: tuple[int, int] | None) -> list[Source]:
    """Sources for the files of `tree`; images are interpreted folder by folder.

    Args:
        tree: the files.
        layout: ``"auto"`` or one of `PLAIN_LAYOUTS`.
        strip_frame: (H, W) of one frame of a strip, None for square frames.
    """
    media = [name for name in tree.names if suffix_of(name) in VIDEO_SUFFIXES | ARRAY_SUFFIXES]
    sources = [tree.seal(source) for source in labelled_sources(tree, media)]
    if layout == "videos":
        return sources
    folders = by_folder(tree.images)
    votes = _strip_votes(tree, folders, strip_frame) if layout in ("auto", "plain") else {}
    for folder, names in folders.items():
        if layout == "strips" or (votes.get(folder) and 2 * sum(votes[folder]) >= len(votes[folder])):
            sources += [tree.seal(Source(name, "strip", (name,))) for name in names]
        else:
            sources.append(tree.seal(Source(folder, "frames", tuple(names))))
    return sources


def _strip_votes(
    tree: FileTree, folders: Mapping[str, list[str]], strip_frame: tuple[int, int] | None
) -> dict[str, list[bool]]:
    """For each folder: whether each readable image of a sample has the shape of a strip."""
    sample = [name for names in folders.values() for name in names[:: -(-len(names) // _SAMPLED_IMAGES)]]
    votes: dict[str, list[bool]] = defaultdict(list)
    for name, blob in tree.blobs(sample):
        try:
            is_strip = strip_frame_size(image_size(blob), strip_frame) is not None
        except DataError:
            continue  # refused by name when it is read
        votes[parent_of(name)].append(is_strip)
    return votes
