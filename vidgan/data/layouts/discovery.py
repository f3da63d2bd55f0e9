"""Find the sources of clips in a folder or file: which files and folders are clips, what is refused, what is ignored.

Recognised below a folder, nested and mixed freely: video files; strips (one image that contains a clip); folders of
frames (a folder whose images are not strips is one clip, in natural order); .npy and .npz arrays; and all of these in
.tar and .zip archives, labelled there as WebDataset samples. A CSV or JSONL manifest lists clips by name
(`vidgan.data.sources.manifest`). Published data sets are recognised by their folder structure, or selected by name
(`vidgan.data.layouts.benchmarks`). Nothing is decoded here except the headers of a few images.
"""

from pathlib import Path
from typing import Final

from vidgan.data.layouts.benchmarks import BENCHMARKS
from vidgan.data.layouts.layout import OUT, Layout
from vidgan.data.layouts.plain import PLAIN_LAYOUTS, plain_sources
from vidgan.data.sources.file_tree import FileTree
from vidgan.data.sources.manifest import is_manifest, read_manifest
from vidgan.data.sources.source import Listed, Source
from vidgan.errors import DataError
from vidgan.files import natural_key

LAYOUTS: Final = ("auto", *PLAIN_LAYOUTS, "manifest", *BENCHMARKS)
"""All layouts. ``auto`` recognises data sets by their structure; ``plain`` is ``auto`` without that."""


def check_layout(layout: str) -> None:
    """Raise DataError unless `layout` is one of `LAYOUTS`, optionally with options: ``mnist-idx:clips=500,seed=3``."""
    _parse_layout(layout)


def discover(
    source: Path,
    *,
    layout: str = "auto",
    strip_frame: tuple[int, int] | None = None,
    size: tuple[int, int] | None = None,
    follow_links: bool = False,
) -> Listed:
    """List the sources of clips in the folder or file `source`.

    Args:
        source: a folder, one file, or a manifest.
        layout: a name of `LAYOUTS`, optionally with options.
        strip_frame: (H, W) of one frame of a strip, None for square frames.
        size: (H, W) of the prepared frames, where it is known: distinguishes wide frames from strips.
        follow_links: follow links that lead out of `source`.

    Raises:
        DataError: `source` does not exist, contains no file, or does not have the requested layout.
    """
    name, benchmark, options = _parse_layout(layout)
    if name == "manifest" or (name == "auto" and is_manifest(source)):
        return read_manifest(source, follow_links=follow_links)
    tree = FileTree(source, follow_links=follow_links)
    notices: list[str] = []
    remarks: list[str] = []
    if name == "auto":
        benchmark = next((known for known in BENCHMARKS.values() if known.matches and known.matches(tree)), None)
        if benchmark is not None:
            options = benchmark.parse_options("")
            notices.append(
                f"recognised layout {benchmark.name}: its groups and split are used; --layout plain ignores them"
            )
    if benchmark is None:
        sources, remarks = plain_sources(tree, name, strip_frame, size)
    else:
        sources, left_out = _benchmark_sources(source, tree, benchmark, options)
        notices += left_out
    if tree.num_outside_links:
        notices.append(
            f"{tree.num_outside_links} links lead out of the source and are not followed (see quarantine.jsonl)"
        )
    if others := tree.left_alone():
        remarks.append(others)
    return Listed(
        root=tree.root,
        sources=tuple(sorted(sources, key=lambda found: natural_key(found.name))),
        refusals=tuple(sorted(tree.refusals, key=lambda refusal: natural_key(refusal.source))),
        ignored=tree.num_unused(),
        notices=tuple(notices),
        remarks=tuple(remarks),
    )


def _parse_layout(layout: str) -> tuple[str, Layout | None, dict[str, str]]:
    name, colon, options = layout.partition(":")
    if name not in LAYOUTS:
        raise DataError(f"layout is {name!r}; accepted: {', '.join(LAYOUTS)}")
    benchmark = BENCHMARKS.get(name)
    if benchmark is None:
        if colon:
            raise DataError(f"layout is {layout!r}; accepted: {name} without options")
        return name, None, {}
    return name, benchmark, benchmark.parse_options(options)


def _benchmark_sources(
    source: Path, tree: FileTree, layout: Layout, options: dict[str, str]
) -> tuple[list[Source], list[str]]:
    """The sources of a data set that are in its split, and a notice about the others."""
    found = [tree.seal(clip) for clip in layout.find(tree, options)]
    if not found:
        first = ", ".join(tree.names[:3]) or "no readable file"
        raise DataError(f"{source}: does not have layout {layout.name}; expected {layout.expected}; found {first}")
    used = [clip for clip in found if clip.split != OUT]
    if not used:
        raise DataError(f"{source}: the split of layout {layout.name} excludes every clip; change the layout's options")
    if len(used) == len(found):
        return used, []
    num_out = len(found) - len(used)
    return used, [f"{num_out} of {len(found)} clips of layout {layout.name} are excluded by its split"]
