"""Make videos with inserted anomalies and labels of each frame, to score forecasters as detectors.

    python pipelines/anomalies.py shapes --out made/shapes
    python pipelines/anomalies.py cuts my_videos --out made/cuts

`shapes`: one shape moves smoothly; in a part of each test video a second, small square jumps about. `cuts`: the middle
of each test video is replaced by frames of another one; the first frame after each of the two cuts is anomalous. Both
write `train/`, `test/` and `frame_labels/test/NAME.txt` (one 0 or 1 per line). Then:

    vidgan prepare made/shapes --out data/shapes-anomalies --size 32 --cuts off
    vidgan train dual_motion/videos data.root=data/shapes-anomalies name=detector
    vidgan evaluate runs/detector --protocol anomaly --labels made/shapes
"""

import argparse
from pathlib import Path

import numpy as np

from vidgan.data.sources.readers import ReadSettings
from vidgan.data.synthetic.shapes import render_moving_shape
from vidgan.data.unprepared import list_clips, read_clip
from vidgan.files import check_overwrite, clip_id, write_text
from vidgan.video.encode import write_mp4

FPS = 12.0
INTRUDER = 6  # the side of the jumping square is a sixth of the frame


def make_shapes(out: Path, *, train: int, test: int, frames: int, size: int, seed: int) -> None:
    """Write videos of moving shapes; a square jumps about in a quarter of the frames of each test video."""
    for index in range(train):
        write_video(
            out / "train" / f"{index:03d}.mp4", render_moving_shape(seed, index, frames=frames, size=size).frames
        )
    for index in range(test):
        rng = np.random.default_rng((seed, index))
        clip = render_moving_shape(seed, train + index, frames=frames, size=size).frames.copy()
        length, side = frames // 4, size // INTRUDER
        start = int(rng.integers(frames // 4, frames - length))
        colour = rng.integers(128, 256, 3)
        for frame in clip[start : start + length]:
            y, x = rng.integers(0, size - side, 2)
            frame[y : y + side, x : x + side] = colour
        label = np.zeros(frames, dtype=int)
        label[start : start + length] = 1
        write_test(out, f"{index:03d}", clip, label)


def make_cuts(videos: Path, out: Path, *, share: float, size: int, frames: int, seed: int) -> None:
    """Write the videos of a folder; the middle of each test video is replaced by frames of the next one.

    Raises:
        ValueError: fewer than four videos of `frames` frames.
    """
    root, sources = list_clips(videos)
    reading = ReadSettings(size=(size, size), max_frames=frames)
    clips = {source.name: read_clip(root, source, reading).frames for source in sources}
    long = {name: clip for name, clip in clips.items() if len(clip) >= frames}
    if len(long) < 4:
        raise ValueError(f"{videos}: {len(long)} videos of {frames} frames; four are needed, two of them for testing")
    rng = np.random.default_rng(seed)
    names = [sorted(long)[i] for i in rng.permutation(len(long))]
    held_out = names[: max(2, round(share * len(names)))]
    for name in names[len(held_out) :]:
        write_video(out / "train" / f"{clip_id(name)}.mp4", long[name])
    for name, other in zip(held_out, held_out[1:] + held_out[:1], strict=True):
        clip = long[name].copy()
        start = int(rng.integers(frames // 4, frames // 2))
        end = start + frames // 4
        clip[start:end] = long[other][start:end]
        label = np.zeros(frames, dtype=int)
        label[[start, end]] = 1
        write_test(out, clip_id(name), clip, label)


def write_test(out: Path, name: str, clip: np.ndarray, label: np.ndarray) -> None:
    """Write a test video (T, H, W, 3) and its labels (T,)."""
    write_video(out / "test" / f"{name}.mp4", clip)
    write_text(out / "frame_labels" / "test" / f"{name}.txt", "".join(f"{value}\n" for value in label))


def write_video(path: Path, clip: np.ndarray) -> None:
    """Write (T, H, W, 3) uint8 frames; the folder is created."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_mp4(path, clip, fps=FPS)


def main() -> None:
    """Make the set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    shapes, cuts = kinds.add_parser("shapes"), kinds.add_parser("cuts")
    cuts.add_argument("videos", type=Path)
    for one in (shapes, cuts):
        one.add_argument("--out", type=Path, required=True)
        one.add_argument("--frames", type=int, default=60, help="of a video")
        one.add_argument("--size", type=int, default=64, help="of a frame, pixels")
        one.add_argument("--seed", type=int, default=0)
    shapes.add_argument("--train", type=int, default=60, help="videos")
    shapes.add_argument("--test", type=int, default=20, help="videos")
    cuts.add_argument("--share", type=float, default=0.3, help="of the videos that are used for testing")
    options = parser.parse_args()
    check_overwrite(options.out, overwrite=False)
    common = {"frames": options.frames, "size": options.size, "seed": options.seed}
    if options.kind == "shapes":
        make_shapes(options.out, train=options.train, test=options.test, **common)
    else:
        make_cuts(options.videos, options.out, share=options.share, **common)
    print(options.out)


if __name__ == "__main__":
    main()
