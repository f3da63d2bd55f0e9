"""Folders whose names say which split their clips belong to: ``train/walk/a.mp4``, ``walk/test/b.mp4``, ``val.zip``."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from vidgan.data.sources.archives import archive_stem, is_archive

_EXTRA: Final = r"(?:[-_ ]?(?:set|split|data|videos?|clips?|frames?|images?))?"
_NUMBER: Final = r"(?:[-_.]?\d+)*"  # of shards
_TRAIN: Final = re.compile(rf"train(?:ing)?{_EXTRA}", re.IGNORECASE)
_HELD_OUT: Final = re.compile(rf"(?:test(?:ing)?|val(?:id(?:ation)?)?|eval(?:uation)?|dev){_EXTRA}", re.IGNORECASE)


def _side(part: str) -> str | None:
    """``"train"`` or ``"test"`` for the name of a folder or archive that says so."""
    stem = archive_stem(part)
    if is_archive(part):
        stem = re.sub(rf"{_NUMBER}$", "", stem)
    return "train" if _TRAIN.fullmatch(stem) else "test" if _HELD_OUT.fullmatch(stem) else None


@dataclass(frozen=True)
class SplitFolders:
    """The level of folders, counted from the source, whose names define the split.

    Attributes:
        level: 0 for the folders directly in the source.
        names: the names that define the split, in order.
        num_others: number of clips outside these folders.
    """

    level: int
    names: tuple[str, ...]
    num_others: int

    @staticmethod
    def of(paths: Iterable[str], are_folders: Iterable[bool]) -> "SplitFolders | None":
        """The first level with folders for training and for testing, None if there is none.

        Args:
            paths: posix path of every clip below the source.
            are_folders: whether the clip is a folder of frames.
        """
        clips = [
            list(PurePosixPath(path).parts) if is_folder else list(PurePosixPath(path).parts[:-1])
            for path, is_folder in zip(paths, are_folders, strict=True)
        ]
        for level in range(max(map(len, clips), default=0)):
            names = {folders[level] for folders in clips if len(folders) > level}
            sides = {_side(name) for name in names}
            if {"train", "test"} <= sides:
                inside = sum(len(folders) > level and _side(folders[level]) is not None for folders in clips)
                used = sorted(name for name in names if _side(name))
                return SplitFolders(level, tuple(used), len(clips) - inside)
        return None

    def side(self, path: str) -> str | None:
        """``"train"`` or ``"test"``, None for a clip outside these folders."""
        parts = PurePosixPath(path).parts
        return _side(parts[self.level]) if len(parts) > self.level else None

    def without_split(self, parts: list[str]) -> list[str]:
        """The parts of a path except the folder that defines the split."""
        if len(parts) > self.level and _side(parts[self.level]):
            return parts[: self.level] + parts[self.level + 1 :]
        return parts

    @property
    def notice(self) -> str:
        """How the folders were interpreted, for people."""
        sides = {side: [name for name in self.names if _side(name) == side] for side in ("train", "test")}
        listed = {side: ", ".join(names[:4]) + (", ..." if names[4:] else "") for side, names in sides.items()}
        return (
            f"folder names define the split ({listed['train']}: training; {listed['test']}: test) and are not "
            "categories; --holdout or --test-pattern replaces the split"
        )
