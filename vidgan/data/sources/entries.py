"""What a search of a source finds: things to read clips from, things that are refused, and the rest."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Refusal:
    """A file (or folder of frames) that is left out: a short reason to count by, and the details."""

    source: str
    reason: str
    detail: str


@dataclass(frozen=True)
class Source:
    """Something to read clips from.

    Attributes:
        name: posix path below the source folder; a folder of frames has the folder's. Told apart from others of the
            same file by a suffix.
        kind: how to read it, a key of `vidgan.data.sources.readers.READERS`.
        files: the files to read, relative to the source folder or, with `archive`, member names; frames in order.
        archive: path of the archive below the source folder, or None.
        stamp: changes when a file's name, size or time of change does, or what is asked of it.
        category: class of all its clips, where a manifest, a label beside it or the layout gives one.
        group: what its clips must not be parted from by the split, where that is known.
        split: ``"train"`` or ``"test"``, where the manifest or the benchmark fixes it.
        start, end: the frames to take, end exclusive; None for the first and for all.
        start_time, end_time: the same in seconds after the first frame, instead of frames.
        fps: frames a second of files without a clock (frames, arrays), where it is known.
        recipe: what its reader must know besides the files, as JSON.
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
    def is_stretch(self) -> bool:
        """Whether only a span of the frames is wanted."""
        return (self.start, self.end, self.start_time, self.end_time) != (None, None, None, None)


@dataclass
class Findings:
    """All that a source holds, in natural order, and the number of hidden and unrelated files.

    `notices` say what a person should know of the way in which the source was understood.
    """

    sources: list[Source] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    ignored: int = 0
    notices: list[str] = field(default_factory=list)
