"""Every format of `write_clip` holds the frames it was given; the lossless ones, exactly."""

from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from vidgan.data.sources.readers import ReadSettings
from vidgan.data.unprepared import read_one
from vidgan.video import encode
from vidgan.video.encode import FORMATS, write_clip

LOSSLESS = ("ffv1", "npz", "png")


@pytest.fixture
def clip() -> torch.Tensor:
    """Seven frames of noise with an odd height, 27x34."""
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (7, 3, 27, 34), dtype=np.uint8))


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_formats_return_every_pixel(clip: torch.Tensor, name: str, tmp_path: Path) -> None:
    path = write_clip(tmp_path / f"clip{FORMATS[name]}", clip, 12.5, name)
    read = read_one(path, ReadSettings(size=(27, 34)))
    assert np.array_equal(read.frames, clip.permute(0, 2, 3, 1).numpy())
    assert read.fps == (12.5 if name == "ffv1" else None)


def test_an_mp4_of_odd_size_is_made_for_browsers(clip: torch.Tensor, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", clip, 25)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.height, stream.width, stream.average_rate) == (28, 34, 25)
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # playing begins before the file is complete


@pytest.mark.parametrize("name", ["webp", "gif"])
def test_animated_images_have_all_frames_and_their_rate(clip: torch.Tensor, name: str, tmp_path: Path) -> None:
    with Image.open(write_clip(tmp_path / f"clip.{name}", clip, 20, name)) as image:
        assert (image.n_frames, image.size, image.info["loop"]) == (7, (34, 27), 0)
        durations = []
        for index in range(image.n_frames):
            image.seek(index)
            image.load()
            durations.append(image.info["duration"])
        assert durations == [50] * 7


@pytest.mark.parametrize("name", FORMATS)
def test_a_stream_of_frames_gives_the_bytes_of_the_clip(clip: torch.Tensor, name: str, tmp_path: Path) -> None:
    whole = write_clip(tmp_path / f"whole{FORMATS[name]}", clip, 10, name)
    streamed = write_clip(tmp_path / f"streamed{FORMATS[name]}", iter(clip), 10, name)
    files = [sorted(path.iterdir()) if path.is_dir() else [path] for path in (whole, streamed)]
    assert len(files[0]) == len(files[1]) == (7 if name == "png" else 1)
    if name != "npz":  # a zip file holds the time
        assert all(one.read_bytes() == other.read_bytes() for one, other in zip(*files, strict=True))


@pytest.mark.parametrize("name", FORMATS)
def test_nothing_is_left_of_a_clip_that_cannot_be_written(clip: torch.Tensor, name: str, tmp_path: Path) -> None:
    target = tmp_path / f"clip{FORMATS[name]}"
    with pytest.raises(ValueError, match="frame 1 is 34x26, the first is 34x27"):
        write_clip(target, [clip[0], clip[1, :, 1:]], 10, name)
    with pytest.raises(ValueError, match="no frame"):
        write_clip(target, [], 10, name)
    assert list(tmp_path.iterdir()) == []
    write_clip(target, clip, 10, name)
    with pytest.raises(FileExistsError):
        write_clip(target, clip, 10, name)


def test_an_unknown_format_is_refused(clip: torch.Tensor, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="format avi: accepted are mp4, webp"):
        write_clip(tmp_path / "clip.avi", clip, 10, "avi")


def test_formats_that_are_written_at_once_have_a_limit(
    clip: torch.Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encode, "MAX_HELD_BYTES", 3 * clip[0].numel())
    write_clip(tmp_path / "clip.mkv", clip, 10, "ffv1")
    with pytest.raises(ValueError, match="use mp4 or ffv1"):
        write_clip(tmp_path / "clip.gif", clip, 10, "gif")
