"""What lies in a source: which files are clips, which folders are clips, what is refused and what is ignored.

A source is a folder, or one file. Recognised below it, nested and mixed freely: video files; strips (one image that
holds a whole clip); folders of frames (a folder whose images are not strips is one clip, in natural order); .npy and
.npz arrays; all of these inside .tar and .zip archives, labelled there as WebDataset samples. A CSV or JSONL manifest
lists clips by name (`vidgan.data.sources.manifest`); benchmarks as they are downloaded are told by their structure, or by name
(`vidgan.data.layouts`). Nothing is decoded here beyond the headers of a few images.
"""

from pathlib import Path
from typing import Final

from vidgan.data.layouts import BENCHMARKS, OUT, Layout
from vidgan.data.layouts.plain import PLAIN_LAYOUTS, Size, arrange
from vidgan.data.sources.entries import Findings, Refusal, Source
from vidgan.data.sources.listing import Listing
from vidgan.data.sources.manifest import MANIFEST_SUFFIXES, read_manifest
from vidgan.errors import DataError
from vidgan.files import natural_key

__all__ = ["LAYOUTS", "Findings", "Refusal", "Source", "check_layout", "discover"]

LAYOUTS: Final = ("auto", *PLAIN_LAYOUTS, "manifest", *BENCHMARKS)
"""All layouts. ``auto`` recognises benchmarks by their structure, ``plain`` is ``auto`` without that."""


def check_layout(layout: str) -> None:
    """DataError unless `layout` is a name of `LAYOUTS`, for some with options: ``mnist-idx:clips=500,seed=3``."""
    _parse_layout(layout)


def _parse_layout(layout: str) -> tuple[str, Layout | None, dict[str, str]]:
    name, colon, options = layout.partition(":")
    if name not in LAYOUTS:
        raise DataError(f"layout is {name!r}; accepted: {', '.join(LAYOUTS)}")
    benchmark = BENCHMARKS.get(name)
    if benchmark is None:
        if colon:
            raise DataError(f"layout is {layout!r}: {name} takes no options")
        return name, None, {}
    return name, benchmark, benchmark.settings(options)


def discover(source: Path, *, layout: str = "auto", strip_frame: Size | None = None) -> tuple[Path, Findings]:
    """The root that names are relative to, and what lies in the folder or file `source`.

    Raises DataError when `source` does not exist, is neither file nor folder, holds no file at all, or is not of the
    layout that was named.
    """
    name, benchmark, options = _parse_layout(layout)
    if name == "manifest" or (name == "auto" and source.suffix.lower() in MANIFEST_SUFFIXES and source.is_file()):
        return read_manifest(source)
    listing = Listing(source)
    findings = Findings()
    if name == "auto":
        benchmark = next((known for known in BENCHMARKS.values() if known.fits and known.fits(listing)), None)
        if benchmark is not None:
            options = benchmark.settings("")
            findings.notices.append(
                f"taken for the layout {benchmark.name}, with its groups and split; say layout plain if it is not"
            )
    if benchmark is not None:
        _arrange_benchmark(source, listing, benchmark, options, findings)
    else:
        arrange(listing, name, strip_frame, findings)
    findings.refusals = sorted(listing.refusals, key=lambda refusal: natural_key(refusal.source))
    findings.sources.sort(key=lambda found: natural_key(found.name))
    findings.ignored = listing.unused()
    return listing.root, findings


def _arrange_benchmark(
    source: Path, listing: Listing, layout: Layout, options: dict[str, str], findings: Findings
) -> None:
    found = [listing.seal(clip) for clip in layout.find(listing, options)]
    if not found:
        first = ", ".join(listing.names[:3]) or "no readable file"
        raise DataError(f"{source}: not of the layout {layout.name}; expected {layout.expected}; it holds {first}")
    findings.sources = [clip for clip in found if clip.split != OUT]
    left_out = len(found) - len(findings.sources)
    if left_out:
        findings.notices.append(
            f"{left_out} of {len(found)} clips of the layout {layout.name} are left out: its split keeps them apart"
        )
    if not findings.sources:
        raise DataError(f"{source}: all clips of the layout {layout.name} are kept apart by its split; see its options")
