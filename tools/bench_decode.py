"""Benchmark random access to video files: clips per second of vidgan and of other readers on the same clips.

    python tools/bench_decode.py [--videos FOLDER] [--quick] [--json FILE]

A clip has 16 frames, 2 apart, from a random start. It is returned as (16, S, S, 3) uint8 RGB, the whole frame scaled to
S x S, with S 64 and 128. Every method keeps the file open and decodes in one thread. Each round times all methods in
random order. Without --videos the benchmark encodes files of its own (some minutes; a tenth with --quick). Missing
readers are reported and excluded; ``pip install --group bench`` installs them.

- this reader: `vidgan.video.VideoReader`. The index is computed in advance; its time is printed.
- raw decode: lower bound. FFmpeg from the last key frame to the last required frame, without pixel conversion.
- raw + scale: the same, with the frames of the clip scaled. Both decode every frame, while this reader skips frames
  that no other frame depends on.
- pyav from start: decodes from the first frame and converts the required ones.
- torchcodec, decord (the maintained eva-decord), opencv: seek by frame number, scaling of their own.
- memmap: frames decoded once and stored as .npy.

Frames are compared with a decode from the start. A frame is wrong if another frame of the video is clearly closer in
luma. Methods that return wrong frames are marked.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, cast

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream
from benching import ratios, save, spread

from vidgan.video import VideoIndex, VideoReader, index_video, read_frames

FRAMES, STRIDE, SIZES = 16, 2, (64, 128)
LUMA: Final = np.array([0.299, 0.587, 0.114], np.float32)
SPAN: Final = (FRAMES - 1) * STRIDE + 1
Read = Callable[[int], np.ndarray]
"""Start of a clip -> (16, S, S, 3) uint8."""

# name -> codec, height, width, frames, options
OWN_FILES: Final = {
    "asp_320x240_g12.avi": ("mpeg4", 240, 320, 1000, {"g": "12", "bf": "2", "b": "800k"}),
    "h264_640x272_g12.mp4": ("libx264", 272, 640, 1500, {"g": "12", "preset": "veryfast"}),
    "h264_640x272_g50.mp4": ("libx264", 272, 640, 1500, {"g": "50", "preset": "veryfast"}),
    "h264_1280x720_g200.mp4": ("libx264", 720, 1280, 600, {"g": "200", "preset": "veryfast"}),
}


def make_files(folder: Path, share: float) -> list[Path]:
    """Encode moving textures, with `share` of the full lengths."""
    rng = np.random.default_rng(0)
    paths = []
    for name, (codec, height, width, count, options) in OWN_FILES.items():
        coarse = rng.integers(0, 256, (height // 8 + 64, width // 8 + 64, 3), dtype=np.uint8)
        ground = coarse.repeat(8, 0).repeat(8, 1)
        with av.open(str(folder / name), "w") as output:
            stream = cast(VideoStream, output.add_stream(codec, rate=25, options=options))
            stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
            for t in range(max(3 * SPAN, int(count * share))):
                y, x = int(200 + 200 * np.sin(t / 31)), int(200 + 200 * np.cos(t / 47))
                pixels = np.ascontiguousarray(ground[y : y + height, x : x + width])
                side = 3 * t % (width - 40)
                pixels[60:100, side : side + 40] = (t * 7 % 256, t % 256, 255 - t % 256)
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame.pts, frame.time_base = t, Fraction(1, 25)
                output.mux(stream.encode(frame))
            output.mux(stream.encode())
        paths.append(folder / name)
    return paths


@contextmanager
def this_reader(path: Path, size: int, index: VideoIndex) -> Iterator[Read]:
    """The reader of `vidgan.data`."""
    with VideoReader(path, size=(size, size), fit="squash", index=index) as reader:
        yield lambda start: reader.frames(range(start, start + SPAN, STRIDE))


@contextmanager
def raw_decode(path: Path, size: int, index: VideoIndex, scale: bool = False) -> Iterator[Read]:
    """Decode from the last key frame with FFmpeg; with `scale`, also convert the frames of the clip."""
    reformatter = VideoReformatter()
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"

        def read(start: int) -> np.ndarray:
            clip = []
            entry = [entry for entry in index.entries if entry.frame <= start][-1]
            container.seek(entry.seek, stream=stream)
            for place, frame in enumerate(container.decode(stream), entry.frame):
                if scale and place >= start and (place - start) % STRIDE == 0:
                    clip.append(scaled(frame, size, reformatter))
                if place == start + SPAN - 1:
                    break
            return np.stack(clip) if scale else np.empty((FRAMES, size, size, 3), np.uint8)

        yield read


def raw_decode_scale(path: Path, size: int, index: VideoIndex) -> AbstractContextManager[Read]:
    """Lower bound for a method that returns pixels."""
    return raw_decode(path, size, index, scale=True)


def scaled(frame: av.VideoFrame, size: int, reformatter: VideoReformatter) -> np.ndarray:
    """Scale to (S, S, 3) uint8 with FFmpeg's area filter."""
    small = reformatter.reformat(
        frame, width=size, height=size, format="rgb24", interpolation=Interpolation.AREA, threads=1
    )
    return small.to_ndarray()


@contextmanager
def pyav_from_start(path: Path, size: int, _: VideoIndex) -> Iterator[Read]:
    """Decode the file from its start."""
    reformatter = VideoReformatter()

    def read(start: int) -> np.ndarray:
        clip = []
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "NONE"
            for place, frame in enumerate(container.decode(stream)):
                if place >= start and (place - start) % STRIDE == 0:
                    clip.append(scaled(frame, size, reformatter))
                    if len(clip) == FRAMES:
                        break
        return np.stack(clip)

    yield read


@contextmanager
def torchcodec(path: Path, size: int, _: VideoIndex) -> Iterator[Read]:
    """TorchCodec in exact seek mode, resized by its decoder."""
    from torchcodec.decoders import VideoDecoder
    from torchcodec.transforms import Resize

    decoder = VideoDecoder(
        str(path), dimension_order="NHWC", num_ffmpeg_threads=1, seek_mode="exact", transforms=[Resize((size, size))]
    )
    yield lambda start: decoder.get_frames_at(list(range(start, start + SPAN, STRIDE))).data.numpy()


@contextmanager
def decord(path: Path, size: int, _: VideoIndex) -> Iterator[Read]:
    """eva-decord, resized by its decoder."""
    import decord as library  # type: ignore[import-untyped]

    reader = library.VideoReader(str(path), ctx=library.cpu(0), width=size, height=size, num_threads=1)
    yield lambda start: reader.get_batch(list(range(start, start + SPAN, STRIDE))).asnumpy()


@contextmanager
def opencv(path: Path, size: int, _: VideoIndex) -> Iterator[Read]:
    """OpenCV, seeking by frame number; area filter."""
    import cv2

    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])

    def read(start: int) -> np.ndarray:
        capture.set(cv2.CAP_PROP_POS_FRAMES, start)
        clip = []
        for step in range(SPAN):
            capture.grab()
            if step % STRIDE == 0:
                has_frame, frame = capture.retrieve()
                if not has_frame:
                    raise RuntimeError("no frame was decoded")
                small = cv2.resize(frame, (size, size), interpolation=cv2.INTER_AREA)
                clip.append(cv2.cvtColor(small, cv2.COLOR_BGR2RGB))
        return np.stack(clip)

    yield read
    capture.release()


METHODS: Final[dict[str, Any]] = {
    "this reader": this_reader,
    "raw decode": raw_decode,
    "raw + scale": raw_decode_scale,
    "pyav from start": pyav_from_start,
    "torchcodec": torchcodec,
    "decord": decord,
    "opencv": opencv,
}


def wrong_frames(clip: np.ndarray, start: int, truth: np.ndarray) -> int:
    """Number of frames of a clip that are closer to another frame of the video than to the requested one."""
    wrong = 0
    first, last = max(0, start - 60), min(len(truth), start + SPAN + 60)
    near = truth[first:last] @ LUMA
    for step, frame in enumerate(clip):
        distances = np.abs(near - frame @ LUMA).mean((1, 2))
        # Each method scales differently, so that almost equal frames cannot be distinguished.
        wrong += bool(distances[start + step * STRIDE - first] > max(0.5, 1.5 * distances.min()))
    return wrong


def bench(path: Path, size: int, *, rounds: int, clips: int, seed: int) -> dict[str, Any]:
    """Measure all methods on one file."""
    begun = time.perf_counter()
    index = index_video(path)
    indexing = time.perf_counter() - begun
    truth = read_frames(path, size=(size, size), fit="squash")  # (T, S, S, 3)
    rng = np.random.default_rng(seed)
    starts = [rng.integers(0, len(truth) - SPAN + 1, clips).tolist() for _ in range(rounds)]
    rates: dict[str, list[float]] = {}
    wrong: dict[str, int] = {}
    skipped: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as scratch:
        np.save(Path(scratch) / "frames.npy", truth)
        cached = np.load(Path(scratch) / "frames.npy", mmap_mode="r")

        @contextmanager
        def memmap(*_: object) -> Iterator[Read]:
            yield lambda start: np.array(cached[start : start + SPAN : STRIDE])

        methods = {**METHODS, "memmap": memmap}
        for chosen in starts:
            for name in rng.permutation(sorted(methods)).tolist():
                if name in skipped:
                    continue
                try:
                    with methods[name](path, size, index) as read:
                        first = read(chosen[0])  # completes lazy initialisation
                        begun = time.perf_counter()
                        for start in chosen:
                            read(start)
                        rates.setdefault(name, []).append(len(chosen) / (time.perf_counter() - begun))
                        if not name.startswith("raw"):  # these do not verify the result of a seek
                            clips_read = [(chosen[0], first), *((start, read(start)) for start in chosen[-2:])]
                            num_wrong = sum(wrong_frames(clip, start, truth) for start, clip in clips_read)
                            wrong[name] = wrong.get(name, 0) + num_wrong
                except Exception as error:  # a reader may not be installed, or may fail on this file
                    skipped[name] = (str(error).strip() or type(error).__name__).splitlines()[0][:120]
                    rates.pop(name, None)
    ours = rates["this reader"]
    table: dict[str, dict[str, Any]] = {
        name: {
            "clips_per_second": round(spread(values)["median"], 1),
            "low": round(spread(values)["low"], 1),
            "high": round(spread(values)["high"], 1),
            "this_reader_is_faster_by": round(ratios(ours, values)["median"], 2),
            "wrong_frames": wrong.get(name),
        }
        for name, values in rates.items()
    }
    return {
        "file": path.name,
        "frames": len(truth),
        "size": size,
        "entry_points": len(index.entries),
        "index_seconds": round(indexing, 2),
        "methods": dict(sorted(table.items(), key=lambda item: -float(item[1]["clips_per_second"]))),
        "skipped": skipped,
    }


def show(result: dict[str, Any]) -> None:
    """Print the table of one file."""
    print(
        f"\n{result['file']}  {result['frames']} frames to {result['size']}x{result['size']}, "
        f"{result['entry_points']} entry points, indexed in {result['index_seconds']} s"
    )
    print(f"  {'method':18s}{'clips/s':>10s}{'low':>10s}{'high':>10s}{'this reader / it':>18s}  frames")
    for name, row in result["methods"].items():
        exact = {None: "not checked", 0: "exact"}.get(row["wrong_frames"], f"{row['wrong_frames']} WRONG")
        print(
            f"  {name:18s}{row['clips_per_second']:10.1f}{row['low']:10.1f}{row['high']:10.1f}"
            f"{row['this_reader_is_faster_by']:18.2f}  {exact}"
        )
    for name, why in result["skipped"].items():
        print(f"  {name:18s} excluded: {why}")


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--videos", type=Path, help="folder of videos of at least 31 frames; default: generated")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds, shorter generated files")
    parser.add_argument("--json", type=Path, help="output file for the results")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    rounds, clips = (3, 4) if options.quick else (7, 12)
    results = []
    with tempfile.TemporaryDirectory() as scratch:
        if options.videos is None:
            paths = make_files(Path(scratch), 0.1 if options.quick else 1.0)
        else:
            paths = sorted(path for path in options.videos.iterdir() if path.is_file())
        for path in paths:
            for size in SIZES:
                results.append(bench(path, size, rounds=rounds, clips=clips, seed=options.seed))
                show(results[-1])
    save(options.json, results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
