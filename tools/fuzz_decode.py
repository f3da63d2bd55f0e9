"""Fuzz the video reader: randomly damaged files must be read correctly or refused with a known reason.

    python tools/fuzz_decode.py                      300 files, some seconds
    python tools/fuzz_decode.py --count 10000        for a nightly run
    python tools/fuzz_decode.py --videos FOLDER      damage copies of these videos instead of generated ones

Files are read in a child process with limits on time and memory, as in `vidgan prepare`. Exit code 1 means a crash, a
hang, an unclassified exception or an invalid result. Such files are stored in the folder --keep, and can be reproduced
with the same --seed and --count.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Final, NamedTuple, cast

import av
import numpy as np
from av.video.stream import VideoStream

from vidgan.data.preparing.worker_processes import run_jobs
from vidgan.errors import VideoError
from vidgan.video import VideoReader, index_video, read_video

# name -> codec, pixel format, encoder options
SEEDS: Final = {
    "closed.mp4": ("libx264", "yuv420p", {"g": "6", "bf": "2"}),
    "open_gop.ts": ("libx264", "yuv420p", {"x264-params": "open-gop=1:keyint=6"}),
    "hevc.mkv": ("libx265", "yuv420p10le", {"x265-params": "log-level=none:keyint=6"}),
    "vp9.webm": ("libvpx-vp9", "yuv420p", {"g": "6", "deadline": "realtime"}),
    "av1.mkv": ("libsvtav1", "yuv420p", {"preset": "12"}),
    "asp.avi": ("mpeg4", "yuv420p", {"g": "6", "bf": "2"}),
    "ms_mpeg4.avi": ("msmpeg4", "yuv420p", {"g": "6"}),
    "mpeg2.mpg": ("mpeg2video", "yuv420p", {"g": "6"}),
    "cinepak.mov": ("cinepak", "rgb24", {}),
    "motion_jpeg.mov": ("mjpeg", "yuvj420p", {}),
    "prores.mov": ("prores_ks", "yuv422p10le", {}),
    "lossless.mkv": ("ffv1", "bgr0", {}),
    "picture.gif": ("gif", "rgb8", {}),
}
SECONDS: Final = 30.0
MEMORY: Final = 1 << 30
FAULTS: Final = ("worker-died", "timed-out", "unsound", "unclassified")
EXTREMES: Final = (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\x80\0\0\0", b"\0\0\xff\xff", b"\x01")


class Case(NamedTuple):
    """The damaged file number `number`, derived from one of `files`."""

    files: tuple[Path, ...]
    seed: int
    number: int
    folder: Path

    def write(self) -> Path:
        """Write the file. The same case always gives the same bytes."""
        rng = np.random.default_rng([self.seed, self.number])
        source = self.files[self.number % len(self.files)]
        donor = self.files[int(rng.integers(len(self.files)))]
        path = self.folder / f"case{source.suffix}"
        path.write_bytes(damage(source.read_bytes(), donor.read_bytes(), rng))
        return path


def damage(data: bytes, donor: bytes, rng: np.random.Generator) -> bytes:
    """Apply one to three of: changed bytes, truncation, extreme numbers in the header, and removed, repeated or foreign
    chunks.
    """
    for _ in range(int(rng.integers(1, 4))):
        size = max(1, len(data))
        place, length = int(rng.integers(size)), int(rng.integers(1, max(2, min(size, 512))))
        kind = int(rng.integers(6))
        if kind == 0:
            changed = np.frombuffer(data, np.uint8).copy()
            places = rng.integers(0, size, rng.integers(1, 33))
            changed[places] ^= (1 << rng.integers(0, 8, len(places))).astype(np.uint8)
            data = changed.tobytes()
        elif kind == 1:
            data = data[:place]
        elif kind == 2:
            place = int(rng.integers(min(size, 800)))
            extreme = EXTREMES[int(rng.integers(len(EXTREMES)))]
            data = data[:place] + extreme + data[place + len(extreme) :]
        elif kind == 3:
            data = data[:place] + data[place + length :]
        elif kind == 4:
            target = int(rng.integers(size))
            data = data[:target] + data[place : place + length] + data[target:]
        else:
            start = int(rng.integers(max(1, len(donor))))
            data = data[:place] + donor[start : start + length] + data[place + length :]
        if not data:
            break
    return data


def examine(case: Case) -> tuple[Case, str]:
    """Read a damaged file, in every fourth case with random access too. The outcome is ``read`` or a reason."""
    try:
        path = case.write()
        video = read_video(path, size=(16, 16), fps=None if case.number % 2 else 10.0)
        if video.frames.shape[1:] != (16, 16, 3) or len(video.times) != len(video.frames):
            return case, "unsound: shapes"
        if not np.isfinite(video.times).all() or (np.diff(video.times) < 0).any():
            return case, "unsound: times"
        if case.number % 4 == 1:
            index = index_video(path)
            with VideoReader(path, size=(16, 16), index=index) as reader:
                wanted = [len(index) - 1, 0, len(index) // 2]
                # Pixels are not compared: where data are missing, they depend on the decoder's earlier memory content.
                if reader.frames(wanted).shape != (3, 16, 16, 3):
                    return case, "unsound: shapes of random access"
    except VideoError as error:
        return case, error.reason
    except Exception as error:
        return case, f"unclassified: {type(error).__name__}: {error}"
    return case, "read"


def make_seeds(folder: Path) -> tuple[Path, ...]:
    """Write twelve frames of 64x48 pixels in each kind of file."""
    os.environ.setdefault("SVT_LOG", "1")  # the AV1 encoder otherwise prints its settings
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:48, :64]
    texture = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
    for name, (codec, pix_fmt, options) in SEEDS.items():
        with av.open(str(folder / name), "w") as output:
            stream = cast(VideoStream, output.add_stream(codec, rate=25, options=options))
            stream.height, stream.width, stream.pix_fmt = 48, 64, pix_fmt
            for t in range(12):
                pixels = np.stack([columns * 3, rows * 4, rows + columns + t], -1).astype(np.uint8)
                pixels[8:24, 2 * t : 2 * t + 16] = texture
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame.pts, frame.time_base = t, Fraction(1, 25)
                output.mux(stream.encode(frame))
            output.mux(stream.encode())
    return tuple(folder / name for name in SEEDS)


def fuzz(count: int, seed: int, keep: Path, videos: Path | None = None) -> Iterator[str]:
    """Yield the outcome of every case; faulty files are copied to `keep`."""
    # Imported by module name, so that the child process can find the function when this file runs as a script.
    from fuzz_decode import Case as NamedCase
    from fuzz_decode import examine as named_examine

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        files = make_seeds(folder) if videos is None else tuple(sorted(p for p in videos.iterdir() if p.is_file()))
        if not files:
            raise SystemExit(f"{videos}: the folder has no files")
        cases = (NamedCase(files, seed, number, folder) for number in range(count))
        results = run_jobs(
            named_examine,
            cases,
            workers=1,
            time_limit=SECONDS,
            memory_limit=MEMORY,
            crashed=lambda case, why: (case, why),
        )
        for case, outcome in results:
            if outcome.startswith(FAULTS):
                keep.mkdir(parents=True, exist_ok=True)
                path = case.write()
                shutil.copy(path, keep / f"seed{seed}_case{case.number}{path.suffix}")
                print(f"case {case.number}: {outcome}", file=sys.stderr, flush=True)
            yield outcome


def main(arguments: list[str] | None = None) -> int:
    """Run the fuzzer from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--count", type=int, default=300, help="number of damaged files (default 300)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--videos", type=Path, help="folder of videos to copy and damage; default: generated videos")
    parser.add_argument("--keep", type=Path, default=Path("fuzz_failures"), help="output folder for faulty files")
    options = parser.parse_args(arguments)
    if options.count < 1:
        parser.error(f"--count must be at least 1, got {options.count}")
    started = time.monotonic()
    outcomes = Counter(fuzz(options.count, options.seed, options.keep, options.videos))
    for outcome, times in outcomes.most_common():
        print(f"{times:8d}  {outcome}")
    faults = sum(times for outcome, times in outcomes.items() if outcome.startswith(FAULTS))
    print(f"{options.count} files in {time.monotonic() - started:.1f} s, {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
