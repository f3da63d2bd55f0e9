"""The LIST stage's result: the sources of clips below a root, the refused files and the count of ignored ones."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Refusal:
    """A file or folder of frames that is excluded.

    Attributes:
        source: posix path below the source folder.
        reason: short and stable, for counting (``"too-short"``).
        detail: what is wrong with it, for people.
    """

    source: str
    reason: str
    detail: str


@dataclass(frozen=True)
class Source:
    """One thing to read clips from: a video, a folder of frames, a strip, an array, or a segment of one of these.

    Attributes:
        name: posix path below the source folder (of the folder, for frames). Several sources of one file differ by a
            suffix.
        kind: how to read it, a key of `vidgan.data.sources.readers.READERS`.
        files: files to read, relative to the source folder or, with `archive`, member names; frames in order.
        archive: path of the archive below the source folder, or None.
        stamp: digest that changes with the name, size or modification time of a file, and with the requested frames.
        category: class of all its clips, where a manifest, a label file or the layout defines one.
        group: group that the split must keep together, where it is known.
        split: ``"train"`` or ``"test"``, where the manifest or the benchmark defines it.
        start, end: frames to read, end exclusive; None for the first and for all.
        start_time, end_time: the same in seconds after the first frame, instead of frames.
        fps: frames per second of files without a clock (frames, arrays), where it is known.
        recipe: what the reader needs besides the files, as JSON.
    """

    name: str
    kind: str
    files: tuple[str, ...]
    archive: str | None = None
    stamp: str = ""
    category: str | None = None
    group: str | None = None
    split: str | None = None
    start: int | None = None
    end: int | None = None
    start_time: float | None = None
    end_time: float | None = None
    fps: float | None = None
    recipe: str = ""

    @property
    def is_segment(self) -> bool:
        """Whether only a range of the frames is read."""
        return (self.start, self.end, self.start_time, self.end_time) != (None, None, None, None)

    @property
    def path(self) -> str:
        """Posix path, below the source folder, of the file or the folder of frames."""
        if len(self.files) != 1:
            return self.name
        return self.files[0] if self.archive is None else f"{self.archive}/{self.files[0]}"


@dataclass(frozen=True)
class Listed:
    """Everything below a root, in natural order.

    Attributes:
        root: folder that all names are relative to.
        sources: what clips can be read from.
        refusals: media files and archives that are excluded.
        ignored: number of hidden and unrelated files.
        notices: how the files were interpreted as a published data set, for people.
        remarks: how plain files were interpreted, and which files were left alone.
    """

    root: Path
    sources: tuple[Source, ...]
    refusals: tuple[Refusal, ...] = ()
    ignored: int = 0
    notices: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
