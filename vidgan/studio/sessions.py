"""What belongs to one browser: its uploads and results in a folder of its own, and the jobs that it may cancel.

A browser is recognised by a random cookie. Files are named by random ids that are looked up in the session of the
cookie alone, so that nobody reaches the files of another one. A session and its folder go away some time after its last
page was closed, and all of them when the studio ends.
"""

import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from vidgan.data.preparing.worker_processes import run_jobs
from vidgan.data.sources.file_tree import VIDEO_SUFFIXES
from vidgan.data.sources.images import read_image
from vidgan.errors import DataError, SourceError, UserError, VideoError
from vidgan.files import escape_controls
from vidgan.studio.jobs import Job
from vidgan.video.decode import read_video

__all__ = ["IMAGE_SUFFIXES", "MAX_UPLOAD_BYTES", "Session", "Sessions", "StoredFile"]

MAX_UPLOAD_BYTES: Final = 50_000_000
"""Largest accepted upload."""

MAX_SESSION_BYTES: Final = 500_000_000
"""What the files of one browser may take together; the oldest results are removed first."""

IMAGE_SUFFIXES: Final = frozenset((".png", ".jpg", ".jpeg", ".webp"))
MAX_SESSIONS: Final = 200
GRACE_SECONDS: Final = 120.0  # that a session without an open page is kept, for a reload or a lost connection
MAX_NAME: Final = 60  # characters of the name of an upload

EXAMINED_FRAMES: Final = 64
EXAMINED_SIZE: Final = (48, 64)  # that the frames are scaled to
EXAMINE_SECONDS: Final = 15.0
EXAMINE_MEMORY: Final = 4 << 30

_examining = threading.Lock()  # the pool of worker processes serves one caller at a time


@dataclass(frozen=True)
class StoredFile:
    """A file of a session.

    Attributes:
        id: random name that the page knows it by.
        path: on this machine.
    """

    id: str
    path: Path


@dataclass
class Session:
    """One browser.

    Attributes:
        folder: of its files.
        jobs: running job of each tab.
        open_pages: number of pages that keep a connection open.
        last_seen: time of the last request, seconds of the monotonic clock.
        came_back: a request has brought the cookie, so it is a browser and not a program that only looks whether the
            studio answers.
    """

    folder: Path
    jobs: dict[str, Job] = field(default_factory=dict)
    open_pages: int = 0
    last_seen: float = field(default_factory=time.monotonic)
    came_back: bool = False
    _files: dict[str, Path] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, tab: str, **options: Any) -> Job:
        """A new job of a tab; a running one is cancelled."""
        with self._lock:
            if tab in self.jobs:
                self.jobs[tab].cancel()
            self.jobs[tab] = Job(**options)
            return self.jobs[tab]

    def cancel(self, tab: str) -> bool:
        """Ask the job of a tab to stop; False if there is none."""
        with self._lock:
            job = self.jobs.get(tab)
        if job is None or job.is_over:
            return False
        job.cancel()
        return True

    def new_folder(self) -> StoredFile:
        """An empty folder for one upload or result. The oldest ones go if the session holds too much."""
        self._make_room()
        stored = StoredFile(secrets.token_hex(16), self.folder / secrets.token_hex(16))
        stored.path.mkdir(parents=True)
        with self._lock:
            self._files[stored.id] = stored.path
        return stored

    def find(self, identifier: object) -> Path:
        """The path of a file or folder of this session.

        Raises:
            DataError: it is of another session, or was removed.
        """
        with self._lock:
            path = self._files.get(identifier) if isinstance(identifier, str) else None
        if path is None or not path.exists():
            raise DataError("this file is no longer here; upload it again, or repeat the action")
        return path

    def drop(self, identifier: str) -> None:
        """Delete a file or folder of this session."""
        with self._lock:
            path = self._files.pop(identifier, None)
        if path is not None:
            shutil.rmtree(path, ignore_errors=True)

    def _make_room(self) -> None:
        with self._lock:
            oldest = dict(self._files)
        sizes = {identifier: folder_bytes(path) for identifier, path in oldest.items()}
        for identifier in oldest:
            if sum(sizes.values()) <= MAX_SESSION_BYTES - MAX_UPLOAD_BYTES:
                return
            self.drop(identifier)
            del sizes[identifier]


class Sessions:
    """All browsers.

    Args:
        root: folder for their folders.
        clock: seconds, for tests.
    """

    def __init__(self, root: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.root = root
        self.clock = clock
        self._by_cookie: dict[str, Session] = {}
        self._lock = threading.Lock()

    def create(self) -> str:
        """A new session; returns its cookie. If there are too many, it replaces the oldest one that never came back.

        Raises:
            UserError: there are too many, and all of them are in use.
        """
        self.sweep()
        with self._lock:
            if len(self._by_cookie) >= MAX_SESSIONS:
                unused = (cookie for cookie, session in self._by_cookie.items() if not session.came_back)
                self._by_cookie.pop(next(unused, ""), None)
            if len(self._by_cookie) >= MAX_SESSIONS:
                raise UserError(f"{MAX_SESSIONS} browsers use this studio; try again later")
            cookie = secrets.token_hex(16)
            self._by_cookie[cookie] = Session(self.root / secrets.token_hex(16), last_seen=self.clock())
        return cookie

    def get(self, cookie: str | None) -> Session | None:
        """The session of a cookie, None for an unknown one."""
        with self._lock:
            session = self._by_cookie.get(cookie) if cookie is not None else None
        if session is not None:
            session.last_seen = self.clock()
            session.came_back = True
        return session

    def sweep(self) -> None:
        """End the sessions whose pages were closed a while ago, and delete their files."""
        now = self.clock()
        with self._lock:
            over = [
                cookie
                for cookie, session in self._by_cookie.items()
                if session.open_pages == 0 and now - session.last_seen > GRACE_SECONDS
            ]
            ended = [self._by_cookie.pop(cookie) for cookie in over]
        for session in ended:
            for job in session.jobs.values():
                job.cancel()
            shutil.rmtree(session.folder, ignore_errors=True)


def safe_name(name: str) -> str:
    """The name under which an upload is kept: its own, without folders and odd characters."""
    last = escape_controls(re.split(r"[/\\]", name)[-1])
    stem, _, suffix = last.rpartition(".")
    kept = re.sub(r"[^\w .()+-]", "_", stem or last, flags=re.ASCII)[:MAX_NAME].strip(" .-_") or "video"
    return f"{kept}.{suffix.lower()}" if stem else kept


def check_suffix(name: str, accepted: Iterable[str]) -> None:
    """Raise DataError for the name of a file that is no video, or no image where one is expected."""
    if Path(name).suffix.lower() not in accepted:
        raise DataError(f"{name}: not accepted; accepted are {', '.join(sorted(accepted))}")


def examine_upload(path: Path) -> str:
    """Check a new file with vidgan's own readers, in a process under limits of time and memory.

    Returns:
        One line that describes it.

    Raises:
        DataError, VideoError: it is no readable video or image; the message says why.
    """
    check_suffix(path.name, VIDEO_SUFFIXES | IMAGE_SUFFIXES)
    with _examining:
        results = run_jobs(
            _examine,
            [path],
            workers=1,
            time_limit=EXAMINE_SECONDS,
            memory_limit=EXAMINE_MEMORY,
            crashed=lambda _, reason: (False, f"the file could not be decoded ({reason})"),
        )
        (is_good, text) = next(iter(results))
        results.close()  # type: ignore[attr-defined]
    if not is_good:
        raise DataError(f"{path.name}: {text}")
    return text


def _examine(path: Path) -> tuple[bool, str]:
    """Whether a file can be read, and its description or what is wrong."""
    try:
        if path.suffix.lower() in IMAGE_SUFFIXES:
            height, width = read_image(path).shape[:2]
            return True, f"{width}x{height} pixels"
        video = read_video(path, size=EXAMINED_SIZE, max_frames=EXAMINED_FRAMES)
    except VideoError as error:
        return False, error.detail
    except SourceError as error:
        return False, error.detail
    except Exception as error:  # libraries raise undocumented exceptions on damaged files
        return False, f"cannot be read ({type(error).__name__})"
    count = len(video.frames)
    number = f"{EXAMINED_FRAMES} or more" if count == EXAMINED_FRAMES else str(count)
    return True, f"{video.info.width}x{video.info.height} pixels, {number} frames, {video.fps:.4g} frames/s"


def folder_bytes(folder: Path) -> int:
    """Bytes of all files in a folder, without those that are removed meanwhile."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += Path(parent, name).stat().st_size
    return total
