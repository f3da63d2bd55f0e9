"""What all tabs share: the entries, the loaded models, the browsers, and the times that were measured."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vidgan.data.sources.file_tree import VIDEO_SUFFIXES
from vidgan.errors import DataError
from vidgan.studio.actions.runs import Trainings
from vidgan.studio.catalogue import Catalogue, ModelShelf, VideoEntry
from vidgan.studio.jobs import Pace
from vidgan.studio.sessions import Session, Sessions

__all__ = ["Studio", "chosen_video", "open_studio"]


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
