"""What the studio offers: trained models, videos, prepared data and training runs in the folders that it was given.

Pages name an entry by its label, which is looked up here: a path from a browser is never opened.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from vidgan.data.sources.file_tree import VIDEO_SUFFIXES
from vidgan.data.store.index import INDEX_NAME
from vidgan.data.synthetic.shapes import render_shapes
from vidgan.errors import DataError, PretrainedError
from vidgan.files import natural_key
from vidgan.hub import ModelFacts, model_class_in, read_facts, shipped_weights
from vidgan.tasks import load_model, task_of_model
from vidgan.tasks.base import EvaluationKind

__all__ = ["Catalogue", "ModelEntry", "ModelShelf", "VideoEntry"]

MAX_DEPTH: Final = 3  # folders below a given one that are searched
MAX_FOLDERS: Final = 2000
MAX_LISTED: Final = 200  # videos of one folder
MAX_LOADED: Final = 4  # models kept in memory
EXAMPLE_CLIPS, EXAMPLE_FRAMES, EXAMPLE_SIZE, EXAMPLE_SEED = 3, 40, 64, 7


@dataclass(frozen=True)
class ModelEntry:
    """A trained model.

    Attributes:
        label: unique name in the lists.
        path: of its run or model folder.
        kind: what it does: "forecast", "clips" or "mapping".
        task: name of its task.
        facts: of its training.
        words: of a command line that select it.
    """

    label: str
    path: Path
    kind: EvaluationKind
    task: str
    facts: ModelFacts
    words: tuple[str, ...]


@dataclass(frozen=True)
class VideoEntry:
    """A video that the studio offers.

    Attributes:
        label: unique name in the lists.
        path: of the file.
        is_temporary: whether the file belongs to the studio and goes with it.
    """

    label: str
    path: Path
    is_temporary: bool = False


class Catalogue:
    """All entries. `refresh` reads the folders again.

    Args:
        folders: given by the user: runs, model folders, prepared data, videos, or folders of these.
        scratch: folder for rendered example videos.
    """

    def __init__(self, folders: Sequence[Path], scratch: Path) -> None:
        self.folders = tuple(folders)
        self.scratch = scratch
        self.models: dict[str, ModelEntry] = {}
        self.videos: dict[str, VideoEntry] = {}
        self.data: dict[str, Path] = {}
        self.runs: dict[str, Path] = {}
        self.video_folders: dict[str, Path] = {}
        self._lock = threading.Lock()
        self._examples: list[VideoEntry] = []
        self.refresh()

    def refresh(self) -> None:
        """Search the folders again."""
        with self._lock:
            if not self._examples:
                self._examples = list(_examples(self.scratch))
            models = {name: _entry(name, path, ("--pretrained", name)) for name, path in shipped_weights().items()}
            videos: dict[str, VideoEntry] = {}
            data: dict[str, Path] = {}
            runs: dict[str, Path] = {}
            video_folders: dict[str, Path] = {}
            for folder in _walk(self.folders):
                label = str(folder)
                if (folder / "config.yaml").is_file():
                    runs[label] = folder
                if (folder / INDEX_NAME).is_file():
                    data[label] = folder
                try:
                    of_run = folder.name in ("model", "best") and (folder.parent / "config.yaml").is_file()
                    if model_class_in(folder) is not None and not of_run:
                        models[label] = _entry(label, folder, (label,))
                except PretrainedError:  # a damaged folder costs only itself
                    continue
                files = [file for file in _children(folder) if file.suffix.lower() in VIDEO_SUFFIXES and file.is_file()]
                if files and not (folder / INDEX_NAME).is_file():
                    video_folders[label] = folder
                    for file in files[:MAX_LISTED]:
                        videos[str(file)] = VideoEntry(str(file), file)
            for file in self.folders:
                if file.is_file():
                    videos[str(file)] = VideoEntry(str(file), file)
            videos |= {example.label: example for example in self._examples}
            self.models, self.videos, self.data = models, videos, data
            self.runs, self.video_folders = runs, video_folders

    @property
    def example(self) -> Path:
        """A rendered video of moving shapes, EXAMPLE_FRAMES frames of EXAMPLE_SIZE pixels."""
        return self._examples[0].path

    def first_pair(self, kind: EvaluationKind) -> tuple[str | None, str | None]:
        """Video and model that a page starts with: the user's own, otherwise an example and weights that fit it."""
        names = self.models_of(kind)
        own = [label for label, video in self.videos.items() if not video.is_temporary]
        if own:
            return own[0], next(iter(names), None)
        return next(iter(self.videos), None), next(reversed(names), None)

    def models_of(self, kind: EvaluationKind) -> list[str]:
        """Labels of the models of a kind: those of the user first, those of rendered shapes last."""
        entries = [entry for entry in self.models.values() if entry.kind == kind]
        order = {
            entry.label: (entry.words[0] == "--pretrained", entry.facts.trained_on is not None) for entry in entries
        }
        return sorted(order, key=lambda label: order[label])

    def model(self, label: object, kind: EvaluationKind) -> ModelEntry:
        """The model of a label.

        Raises:
            DataError: there is none of this kind.
        """
        entry = self.models.get(label) if isinstance(label, str) else None
        if entry is None or entry.kind != kind:
            raise DataError(
                f"model {label!r}: not in the list; accepted are {', '.join(self.models_of(kind)) or 'none'}"
            )
        return entry

    def video(self, label: object) -> VideoEntry:
        """The video of a label.

        Raises:
            DataError: there is none.
        """
        entry = self.videos.get(label) if isinstance(label, str) else None
        if entry is None:
            raise DataError(f"video {label!r}: not in the list; choose one from the list, or drop a file")
        return entry


class ModelShelf:
    """Loaded models, the most recently used ones. One action at a time computes with them."""

    def __init__(self) -> None:
        self._models: OrderedDict[tuple[Path, int], Any] = OrderedDict()
        self._lock = threading.Lock()  # of the dictionary
        self._busy = threading.Lock()  # held by the action that computes

    @contextmanager
    def borrow(self, entry: ModelEntry) -> Iterator[Any]:
        """The loaded model of an entry, loaded again after a new checkpoint, for one action alone.

        Raises:
            PretrainedError: the model cannot be loaded.
        """
        with self._busy:
            yield self._get(entry)

    @property
    def is_busy(self) -> bool:
        """Whether an action computes with a model."""
        return self._busy.locked()

    def peek(self, entry: ModelEntry) -> Any:
        """The loaded model of an entry, to look at its facts and size while another action computes with it.

        Raises:
            PretrainedError: the model cannot be loaded.
        """
        return self._get(entry)

    def peek_if_sound(self, entry: ModelEntry | None) -> Any | None:
        """As `peek`; None for no entry, or one that cannot be loaded, of which the action that uses it says why."""
        try:
            return None if entry is None else self.peek(entry)
        except PretrainedError:
            return None

    def _get(self, entry: ModelEntry) -> Any:
        with self._lock:
            key = (entry.path, _newest(entry.path))
            if key not in self._models:
                self._models[key] = load_model(entry.path, entry.kind, task=entry.task)
            self._models.move_to_end(key)
            while len(self._models) > MAX_LOADED:
                self._models.popitem(last=False)
            return self._models[key]


def _newest(path: Path) -> int:
    """Changes with the weights of a run or model folder."""
    files = [file for file in (path / "vidgan.json", path / "model" / "vidgan.json") if file.is_file()]
    return max((file.stat().st_mtime_ns for file in files), default=0)


def _entry(label: str, path: Path, words: tuple[str, ...]) -> ModelEntry:
    facts = read_facts(path)
    task = task_of_model(str(facts["class"]))
    if task is None:
        raise PretrainedError(f"{path}: holds a {facts['class']}, which no task of this vidgan trains")
    return ModelEntry(label, path, task.evaluation, task.name, ModelFacts.from_json(facts), words)


def _walk(folders: Iterable[Path]) -> Iterator[Path]:
    """The given folders and those below them, without hidden ones and without links."""
    pending = [(folder, 0) for folder in folders if folder.is_dir()]
    visited = 0
    while pending and visited < MAX_FOLDERS:
        folder, depth = pending.pop(0)
        visited += 1
        yield folder
        if depth < MAX_DEPTH and not (folder / INDEX_NAME).is_file():
            inner = [child for child in _children(folder) if child.is_dir() and not child.is_symlink()]
            pending += [(child, depth + 1) for child in inner]


def _children(folder: Path) -> list[Path]:
    try:
        names = [child for child in folder.iterdir() if not child.name.startswith(".")]
    except OSError:
        return []
    return sorted(names, key=lambda child: natural_key(child.name))


def _examples(folder: Path) -> Iterator[VideoEntry]:
    """Rendered videos of moving shapes, so that every model can be tried at once."""
    render_shapes(folder, clips=EXAMPLE_CLIPS, frames=EXAMPLE_FRAMES, size=EXAMPLE_SIZE, seed=EXAMPLE_SEED)
    for number, file in enumerate(sorted(folder.rglob("*.mp4")), start=1):
        named = file.with_name(f"shape-{number}.mp4")
        file.rename(named)
        yield VideoEntry(f"example {number}: moving shape ({file.parent.name})", named, is_temporary=True)
