"""Labels of single frames of test videos, normal or anomalous, as data sets publish them.

| data | file | content |
|---|---|---|
| UCSD Ped | ``Test/UCSDped1.m`` | Matlab text, ``TestVideoFile{end+1}.gt_frame = [60:152, 170:175];``, counted from 1 |
| Avenue | ``testing_label_mask/1_label.mat`` | ``volLabel``: a mask of each frame; anomalous if any pixel is set |
| ShanghaiTech | ``test_frame_mask/01_0014.npy`` | one number per frame |
| any | ``frame_labels/NAME.txt`` or ``.npy`` | one 0 or 1 per frame (per line); NAME is the video without suffix |
"""

import re
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np

from vidgan.data.sources.file_tree import is_clip_file
from vidgan.errors import DataError

__all__ = ["FrameLabels", "read_frame_labels"]

_RANGES: Final = re.compile(r"gt_frame\s*=\s*\[([^\]]*)\]")
_RANGE: Final = re.compile(r"(\d+)(?::(\d+))?")
_MAX_BYTES: Final = 1 << 28  # of a label file; Avenue's masks have a few megabytes
EXPECTED: Final = (
    "accepted: a folder with UCSDped1.m or UCSDped2.m, testing_label_mask/*_label.mat, test_frame_mask/*.npy, or"
    " frame_labels/NAME.txt with one 0 or 1 per line"
)


class FrameLabels:
    """The labels of the videos of a data set.

    Args:
        root: for messages.
        labels: path of a video without suffix -> (T,) bool, true: anomalous.
    """

    def __init__(self, root: Path, labels: dict[str, np.ndarray]) -> None:
        self.root, self.labels = root, labels

    def of(self, video: str) -> np.ndarray:
        """The labels of a video, named by its path below the source folder; the end of the path is enough.

        Raises:
            DataError: none or several videos of that name have labels.
        """
        path = PurePosixPath(video)
        parts = (*path.parent.parts, path.stem if is_clip_file(video) else path.name)
        for length in range(len(parts), 0, -1):
            end = parts[-length:]
            matches = [name for name in self.labels if PurePosixPath(name).parts[-length:] == end]
            if len(matches) == 1:
                return self.labels[matches[0]]
            if matches:
                raise DataError(f"{self.root}: {video} may be {matches[0]} or {matches[1]}; give one data set's folder")
        listed = ", ".join(sorted(self.labels)[:3])
        raise DataError(f"{self.root}: no labels of the video {video}; there are those of {listed}, ...")


def read_frame_labels(root: Path) -> FrameLabels:
    """Find and read the labels below a folder.

    Raises:
        DataError: no labels are there, or a file is damaged; the message names it.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder of labels; {EXPECTED}")
    labels: dict[str, np.ndarray] = {}
    for file in sorted(root.rglob("UCSDped*.m")):
        labels |= _read_ucsd(file, root)
    for file in sorted(root.rglob("*_label.mat")):
        name = f"testing_videos/{int(_digits(file)):02d}"
        labels[name] = _read_masks(file)
    for folder in ("test_frame_mask", "frame_labels"):
        for file in sorted(root.rglob(f"{folder}/**/*")) if root.name != folder else sorted(root.rglob("*")):
            if file.suffix in (".npy", ".txt"):
                base = next(parent for parent in file.parents if parent.name == folder)
                labels[file.relative_to(base).with_suffix("").as_posix()] = _read_numbers(file)
    if not labels:
        raise DataError(f"{root}: holds no labels of frames; {EXPECTED}")
    return FrameLabels(root, labels)


def _digits(file: Path) -> str:
    digits = file.name.removesuffix("_label.mat")
    if not digits.isdecimal():
        raise DataError(f"{file}: named otherwise than Avenue's labels, 1_label.mat to 21_label.mat")
    return digits


def _read_ucsd(file: Path, root: Path) -> dict[str, np.ndarray]:
    """The labels of all test videos; the number of their frames is that of the images beside the file."""
    text = _content(file).decode("latin-1")
    code = "\n".join(line.split("%", 1)[0] for line in text.splitlines())
    entries = _RANGES.findall(code)
    if not entries:
        raise DataError(f"{file}: holds no line like TestVideoFile{{end+1}}.gt_frame = [60:152];")
    labels = {}
    for number, entry in enumerate(entries, start=1):
        folder = file.parent / f"Test{number:03d}"
        frames = len(list(folder.glob("[0-9][0-9][0-9].tif")))
        if frames == 0:
            raise DataError(f"{file}: lists {len(entries)} videos, but {folder} has no frames 001.tif, ...")
        label = np.zeros(frames, dtype=bool)
        for match in _RANGE.finditer(entry):
            first, last = int(match[1]), int(match[2] or match[1])
            if not 1 <= first <= last <= frames:
                raise DataError(f"{file}: video {number}: frames {first}:{last}; accepted: within 1:{frames}")
            label[first - 1 : last] = True
        labels[folder.relative_to(root).as_posix()] = label
    return labels


def _read_masks(file: Path) -> np.ndarray:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        content = loadmat(_checked(file), variable_names=["volLabel"])
        masks = content["volLabel"].ravel()
        return np.array([bool(np.asarray(mask).any()) for mask in masks])
    except (MatReadError, KeyError, ValueError, TypeError, NotImplementedError, OSError) as error:
        raise DataError(f"{file}: no Matlab file with the masks volLabel ({error})") from error


def _read_numbers(file: Path) -> np.ndarray:
    try:
        if file.suffix == ".npy":
            values = np.load(_checked(file), allow_pickle=False).ravel()
        else:
            values = np.array([float(word) for word in _content(file).split()])
        if len(values) == 0 or not np.isin(values, (0, 1)).all():
            raise ValueError("there are other values, or none")
        return values.astype(bool)
    except (ValueError, TypeError, EOFError) as error:
        raise DataError(f"{file}: accepted is one 0 or 1 per frame ({error})") from error


def _checked(file: Path) -> Path:
    if not file.is_file() or file.stat().st_size > _MAX_BYTES:
        raise DataError(f"{file}: not a regular file of at most {_MAX_BYTES} bytes")
    return file


def _content(file: Path) -> bytes:
    return _checked(file).read_bytes()
