"""What the commands that write clips share: format, layout and frame rate of the files, memory, full disks, folders."""

import glob
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from vidgan.errors import ConfigError, RunFailedError
from vidgan.files import DISK_FULL_ERRNOS, check_overwrite, replace_folder
from vidgan.memory import available_memory
from vidgan.training.leftovers import is_alive
from vidgan.video.encode import FORMATS

__all__ = [
    "DEFAULT_FPS",
    "appearing_together",
    "check_layout",
    "claim_files",
    "clip_format",
    "file_suffix",
    "folder_beside",
    "output_rate",
    "report_full_disk",
    "require_memory",
    "result_name",
]

DEFAULT_FPS = 8.0  # of frames without a clock
FRAME_NAME = re.compile(r"frame-\d+\.png")
MIN_FPS, MAX_FPS = 0.01, 1000.0  # that an MP4 file can hold


def output_rate(requested: float | None, source: float | None, source_name: str) -> tuple[float, str]:
    """Frames per second of the output, and where the number comes from: "option", `source_name` or "default".

    Args:
        requested: the option `--fps`.
        source: rate of the frames that the output continues or resembles; None without a clock.
        source_name: of `source`.
    """
    if requested is not None:
        return requested, "option"
    if source is not None and MIN_FPS <= source <= MAX_FPS:
        return source, source_name
    return DEFAULT_FPS, "default"


def file_suffix(format: str | None) -> str:
    """Suffix of a file in a format, `.mp4` for None.

    Raises:
        ConfigError: no such format.
    """
    if format is not None and format not in FORMATS:
        raise ConfigError(f"--format {format}: accepted are {', '.join(FORMATS)}")
    return FORMATS[format or "mp4"]


def clip_format(out: Path, requested: str | None) -> str:
    """The format of `out`: that of its suffix, which `--format` must agree with. A folder of frames needs `--format`.

    Raises:
        ConfigError: an unknown format or suffix, or a suffix of another format.
    """
    by_suffix = {suffix: name for name, suffix in FORMATS.items() if suffix}
    suffix = out.suffix.lower()
    if requested is None:
        if suffix not in by_suffix:
            accepted = ", ".join(by_suffix)
            raise ConfigError(f"--out {out}: accepted is a name that ends in {accepted}; or any, with --format png")
        return by_suffix[suffix]
    expected = file_suffix(requested)
    if suffix != expected and (expected or suffix in by_suffix):
        wanted = f"ends in {expected}" if expected else "is that of a folder"
        raise ConfigError(f"--out {out}: accepted with --format {requested} is a name that {wanted}")
    return requested


def result_name(out: Path, format: str, ending: str) -> Path:
    """The name of a further result beside `out`: its name without the format's suffix, then `ending`."""
    suffix = FORMATS[format]
    return out.with_name(out.name[: len(out.name) - len(suffix)] + ending)


def check_layout(layout: str, accepted: Sequence[str]) -> None:
    """Raise ConfigError for a layout that a command does not have."""
    if layout not in accepted:
        raise ConfigError(f"--layout {layout}: accepted are {', '.join(accepted)}")


def require_memory(num_bytes: int, options: str) -> None:
    """Check that a result of this size can be held.

    Args:
        num_bytes: needed at least.
        options: those that the size follows from, for the message.

    Raises:
        ConfigError: more than this machine has free.
    """
    available = available_memory()
    if num_bytes > available:
        raise ConfigError(
            f"{options}: needs {num_bytes / 1e9:,.1f} GB of memory, but {available / 1e9:,.1f} GB are free; choose less"
        )


@contextmanager
def report_full_disk(out: Path, partial: Path, num_files: int) -> Iterator[None]:
    """Name the result and the space that it needs if the disk is full inside.

    Args:
        out: the result.
        partial: the folder in which it is made; the caller deletes it.
        num_files: that the complete result has; from those already written follows its size.

    Raises:
        RunFailedError: the disk is full.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_FULL_ERRNOS:
            raise
        sizes = [path.stat().st_size for path in partial.glob("*") if path.is_file()]
        needed = round(sum(sizes) / max(1, len(sizes)) * max(num_files, len(sizes)))
        free = shutil.disk_usage(partial.parent).free
        raise RunFailedError(
            f"{out}: {error}; about {needed:,} bytes are needed in all, and {sum(sizes):,} were written with {free:,}"
            " left. Free disk space or choose another --out; nothing was kept"
        ) from error


@contextmanager
def folder_beside(path: Path) -> Iterator[Path]:
    """A hidden temporary folder next to `path`, removed afterwards; those of killed processes are removed first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for other in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        pid = re.fullmatch(r"\.(\d+)\.tmp", other.name.removeprefix(f".{path.name}"))
        if pid and not is_alive(int(pid[1])):
            shutil.rmtree(other, ignore_errors=True)
    folder = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def claim_files(paths: Sequence[Path], *, overwrite: bool, folder: Path | None = None) -> None:
    """Make sure that results can be written under these names.

    Args:
        paths: the results.
        overwrite: replace existing ones.
        folder: the one of `paths` that is a folder of frames (--format png).

    Raises:
        FileExistsError: a result exists and `overwrite` is off, or the folder holds something else than frames.
        IsADirectoryError: a folder has the name of a file.
    """
    for path in paths:
        if path.is_dir():
            if path != folder:
                raise IsADirectoryError(f"{path}: is a folder; choose another --out")
            if any(FRAME_NAME.fullmatch(entry.name) is None for entry in path.iterdir()):
                raise FileExistsError(
                    f"{path}: holds other files than frames and is not replaced; choose another --out"
                )
            if overwrite:
                continue
        check_overwrite(path, overwrite=overwrite)


@contextmanager
def appearing_together(
    out: Path, paths: Sequence[Path], *, overwrite: bool, frame_folder: Path | None = None
) -> Iterator[Path]:
    """A temporary folder beside `paths`; after the block, its files move to them. After an error, none does."""
    with folder_beside(out) as folder:
        with report_full_disk(out, folder, len(paths)):
            yield folder
        claim_files(paths, overwrite=overwrite, folder=frame_folder)
        for path in paths:
            made = folder / path.name
            if made.is_dir():
                replace_folder(made, path)
            else:
                made.replace(path)
