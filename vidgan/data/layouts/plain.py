"""Plain files: videos, strips, folders of frames, arrays, and labelled samples of WebDataset shards.

``auto`` and ``plain`` classify each folder of images as strips (one image is a clip) or as the frames of one clip; an
image file with several pages is a clip of its own. Folders named train, test and so on define the split.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Final

import numpy as np

from vidgan.data.layouts.layout import by_folder
from vidgan.data.layouts.split_folders import SplitFolders
from vidgan.data.layouts.webdataset import labelled_sources
from vidgan.data.sources.file_tree import ARRAY_SUFFIXES, VIDEO_SUFFIXES, FileTree, parent_of, suffix_of
from vidgan.data.sources.images import image_size, num_pages, read_image, strip_frame_size
from vidgan.data.sources.source import Source
from vidgan.errors import DataError

PLAIN_LAYOUTS: Final = ("plain", "strips", "frames", "videos")
_SAMPLED_IMAGES: Final = 16  # images per folder whose header decides between strips and frames
_COMPARED_IMAGES: Final = 5  # images per folder whose pixels decide, where headers and names do not
_WIDE: Final = 4  # frames of a camera are at most this much wider than high
_CLOSER: Final = 0.8


@dataclass
class _Folder:
    """What a sample of the images of a folder looks like.

    Attributes:
        names: all its images.
        sizes: (H, W) of the sampled images.
        strips: for each sampled image, the (H, W) of one frame if it has the shape of a strip.
        has_pages: whether a sampled image has several pages.
    """

    names: list[str]
    sizes: list[tuple[int, int]] = field(default_factory=list)
    strips: list[tuple[int, int] | None] = field(default_factory=list)
    has_pages: bool = False

    @property
    def looks_like_strips(self) -> bool:
        """Whether most of the sampled images have the shape of a strip."""
        return bool(self.strips) and 2 * sum(strip is not None for strip in self.strips) >= len(self.strips)

    @property
    def is_numbered(self) -> bool:
        """Whether the names differ in numbers only."""
        return len(self.names) > 1 and len({re.sub(r"\d+", "0", name.rpartition("/")[2]) for name in self.names}) == 1


def plain_sources(
    tree: FileTree, layout: str, strip_frame: tuple[int, int] | None, size: tuple[int, int] | None = None
) -> tuple[list[Source], list[str]]:
    """Sources for the files of `tree`, and notices; images are interpreted folder by folder.

    Args:
        tree: the files.
        layout: ``"auto"`` or one of `PLAIN_LAYOUTS`.
        strip_frame: (H, W) of one frame of a strip, None for square frames.
        size: (H, W) of the prepared frames, if known: wide frames are not requested of strips of square ones.
    """
    media = [name for name in tree.names if suffix_of(name) in VIDEO_SUFFIXES | ARRAY_SUFFIXES]
    media += tree.videos_by_content()
    sources = [tree.seal(source) for source in labelled_sources(tree, media)]
    notices: list[str] = []
    if layout != "videos":
        images, notices = _image_sources(tree, layout, strip_frame, size)
        sources += [tree.seal(source) for source in images]
    split = SplitFolders.of((source.path for source in sources), (source.kind == "frames" for source in sources))
    if split is not None:
        sources = [replace(source, split=source.split or split.side(source.path)) for source in sources]
        notices.append(split.notice)
    return sources, notices


def _image_sources(
    tree: FileTree, layout: str, strip_frame: tuple[int, int] | None, size: tuple[int, int] | None
) -> tuple[list[Source], list[str]]:
    folders = {folder: _Folder(names) for folder, names in by_folder(tree.images).items()}
    if layout == "strips":
        return [Source(name, "strip", (name,)) for folder in folders.values() for name in folder.names], []
    _sample(tree, folders, strip_frame)
    sources: list[Source] = []
    strips: Counter[tuple[tuple[int, int], tuple[int, int]]] = Counter()
    doubtful: list[str] = []
    for path, folder in folders.items():
        names = folder.names
        if folder.has_pages:
            paged = _paged(tree, names)
            sources += [Source(name, "pages", (name,)) for name in names if name in paged]
            names = [name for name in names if name not in paged]
        if not names:
            continue
        if layout == "frames" or not folder.looks_like_strips:
            sources.append(Source(path, "frames", tuple(names)))
        elif strip_frame is None and _are_frames(tree, folder, size):
            sources.append(Source(path, "frames", tuple(names)))
            doubtful.append(path)
        else:
            sources += [Source(name, "strip", (name,)) for name in names]
            shapes = [(s, f) for s, f in zip(folder.sizes, folder.strips, strict=True) if f is not None]
            strips[Counter(shapes).most_common(1)[0][0]] += len(names)
    notices = [
        f"{count} images (such as {width}x{height}) are read as strips of frames of {frame_width}x{frame_height}; "
        "--layout frames makes each folder of images one clip"
        for ((height, width), (frame_height, frame_width)), count in strips.items()
    ]
    if doubtful:
        notices.append(
            f"{len(doubtful)} folders of numbered or wide images (such as {doubtful[0]}) are read as the frames of one "
            "clip each; --layout strips makes every image a clip"
        )
    return sources, notices


def _sample(tree: FileTree, folders: Mapping[str, _Folder], strip_frame: tuple[int, int] | None) -> None:
    """Fill in what the headers of a few images of every folder say. Unreadable ones are refused when they are read."""
    sample = [name for folder in folders.values() for name in folder.names[:: -(-len(folder.names) // _SAMPLED_IMAGES)]]
    for name, blob in tree.blobs(sample):
        try:
            size, pages = image_size(blob), num_pages(blob)
        except DataError:
            continue
        folder = folders[parent_of(name)]
        if pages > 1:
            folder.has_pages = True
        else:
            folder.sizes.append(size)
            folder.strips.append(strip_frame_size(size, strip_frame))


def _paged(tree: FileTree, names: Sequence[str]) -> set[str]:
    """The images that have several pages."""
    paged = set()
    for name, blob in tree.blobs(names):
        try:
            if num_pages(blob) > 1:
                paged.add(name)
        except DataError:
            continue
    return paged


def _are_frames(tree: FileTree, folder: _Folder, size: tuple[int, int] | None) -> bool:
    """Whether images in the shape of strips are the frames of one clip.

    Frames are wide where the requested size is wide. Otherwise they have one size and are numbered, no wider than a
    camera's, or else consecutive images are more alike than the parts of one image.
    """
    height, width = folder.sizes[0]
    if size is not None:
        long, requested = (width / height, size[1] / size[0]) if width > height else (height / width, size[0] / size[1])
        if 2 * requested >= long:
            return True
    if not folder.is_numbered or len(set(folder.sizes)) > 1:
        return False
    if max(height, width) <= _WIDE * min(height, width):
        return True
    images = []
    for _, blob in tree.blobs(folder.names[:_COMPARED_IMAGES]):
        try:
            images.append(read_image(blob))
        except DataError:
            continue
    return len(images) > 1 and _mean_step(images) < _CLOSER * _mean_tile_step(images)


def _mean_step(images: Sequence[np.ndarray]) -> float:
    """Mean difference between consecutive images of one size."""
    alike = [(a, b) for a, b in pairwise(images) if a.shape == b.shape]
    return float(np.mean([np.abs(a.astype(np.int16) - b).mean() for a, b in alike])) if alike else np.inf


def _mean_tile_step(images: Iterable[np.ndarray]) -> float:
    """Mean difference between the neighbouring square parts of an image."""
    steps = []
    for image in images:
        wide = image if image.shape[1] >= image.shape[0] else image.swapaxes(0, 1)  # (short, long, 3)
        side = wide.shape[0]
        steps.append(np.abs(wide[:, side:].astype(np.int16) - wide[:, :-side]).mean())
    return float(np.mean(steps))
