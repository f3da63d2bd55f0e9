"""What all tabs share: the entries, the loaded models, the browsers, and the times that were measured."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from vidgan.data.sources.file_tree import VIDEO_SUFFIXES
from vidgan.errors import DataError, UserError
from vidgan.studio.actions.runs import Trainings
from vidgan.studio.catalogue import Catalogue, ModelShelf, VideoEntry
from vidgan.studio.jobs import Pace
from vidgan.studio.sessions import Session, Sessions

__all__ = ["Studio", "chosen_video", "open_studio", "timed"]

PATIENCE: Final = 5.0  # seconds that an estimate waits for another action


@dataclass
class Studio:
    """The state of a running studio.

    Attributes:
        catalogue: models, videos, data and runs.
        sessions: of the browsers.
        port: that it listens on.
        shelf: loaded models.
        pace: measured times.
        trainings: that pages started.
    """

    catalogue: Catalogue
    sessions: Sessions
    port: int
    trainings: Trainings
    shelf: ModelShelf = field(default_factory=ModelShelf)
    pace: Pace = field(default_factory=Pace)

    def estimate(self, *key: str, units: float, trial: Callable[[], float]) -> float | None:
        """Seconds that an action will take, from a small part of its work if none like it was measured yet.

        Args:
            key: action and model, as in `Pace.measure`.
            units: units of work.
            trial: does a small part of the work and returns the seconds of one unit.

        Returns:
            None if the trial fails, or would have to wait for long because another action computes.
        """
        if not self.pace.is_known(*key):
            end = time.monotonic() + PATIENCE
            while self.shelf.is_busy and time.monotonic() < end:
                time.sleep(0.1)
            if self.shelf.is_busy:
                return None
            try:
                self.pace.note(*key, seconds=trial(), units=1)
            except (UserError, ValueError, OSError, RuntimeError, MemoryError):  # the action itself says what is wrong
                return None
        return self.pace.estimate(*key, units=units)


def timed(work: Callable[[], float]) -> Callable[[], float]:
    """A trial of some work: runs it twice, since the first time warms up, and returns the seconds of one unit.

    Args:
        work: does a small part of an action and returns the number of its units.
    """

    def trial() -> float:
        work()
        started = time.monotonic()
        units = work()
        return (time.monotonic() - started) / units

    return trial


def open_studio(folders: Sequence[Path], scratch: Path, port: int) -> Studio:
    """The state of a studio with these folders.

    Args:
        folders: that are searched for models, videos, data and runs.
        scratch: folder for temporary files.
        port: that it listens on.
    """
    return Studio(
        Catalogue(folders, scratch / "examples"), Sessions(scratch / "sessions"), port, Trainings(scratch / "trainings")
    )


def chosen_video(studio: Studio, session: Session, upload: object, label: object) -> VideoEntry:
    """The video that a page asks for: the uploaded file if there is one, otherwise an entry of the list.

    Raises:
        DataError: no such file of this browser, no video, or no such entry.
    """
    if isinstance(upload, dict):
        folder = session.find(upload.get("id"))
        files = [file for file in folder.iterdir() if file.suffix in VIDEO_SUFFIXES]
        if len(files) != 1:
            raise DataError(f"{upload.get('name')}: is no video; drop a video file")
        return VideoEntry(files[0].name, files[0], is_temporary=True)
    return studio.catalogue.video(label)
