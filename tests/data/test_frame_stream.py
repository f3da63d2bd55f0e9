"""Reading a clip frame by frame."""

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from vidgan.data.frame_stream import open_stream
from vidgan.errors import DataError
from vidgan.video.decode import read_frames
from vidgan.video.encode import write_mp4, write_mp4_frames


def clip(frames: int = 7, size: tuple[int, int] = (18, 20)) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (frames, *size, 3), np.uint8)


def add_audio(path: Path, out: Path) -> None:
    with av.open(str(path)) as source, av.open(str(out), "w") as target:
        video = target.add_stream_from_template(source.streams.video[0])
        sound = target.add_stream("aac", rate=16000)
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = video
                target.mux(packet)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        silence.rate, silence.pts = 16000, 0
        target.mux([*sound.encode(silence), *sound.encode(None)])  # type: ignore[attr-defined]


def test_a_video_streams_as_it_reads(tmp_path: Path) -> None:
    path = write_mp4(tmp_path / "a.mp4", clip(), fps=12.5)
    stream = open_stream(path)
    assert (stream.frames, stream.size, stream.notes) == (7, (18, 20), ())
    assert stream.fps == pytest.approx(12.5)
    np.testing.assert_array_equal(np.stack(list(stream)), read_frames(path))
    assert len(list(stream)) == 7, "a stream can be read again"
    short = open_stream(path, frames=3)
    assert short.frames == 3 and len(list(short)) == 3


def test_audio_is_reported(tmp_path: Path) -> None:
    write_mp4(tmp_path / "a.mp4", clip())
    add_audio(tmp_path / "a.mp4", tmp_path / "b.mp4")
    stream = open_stream(tmp_path / "b.mp4")
    assert any("audio" in note for note in stream.notes)
    np.testing.assert_array_equal(np.stack(list(stream)), read_frames(tmp_path / "a.mp4"))


def test_frames_and_arrays(tmp_path: Path) -> None:
    pixels = clip(4)
    np.save(tmp_path / "clip.npy", pixels)
    np.testing.assert_array_equal(np.stack(list(open_stream(tmp_path / "clip.npy"))), pixels)
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"{number:03d}.png")
    stream = open_stream(folder)
    assert (stream.frames, stream.size, stream.fps) == (4, (18, 20), None)
    np.testing.assert_array_equal(np.stack(list(stream)), pixels)
    assert open_stream(folder, frames=2).frames == 2
    Image.fromarray(pixels[0, :9]).save(folder / "009.png")
    with pytest.raises(DataError, match=r"009\.png"):
        list(open_stream(folder))
    with pytest.raises(DataError):
        open_stream(tmp_path / "missing.mp4")


def test_streamed_writing_equals_writing_a_clip(tmp_path: Path) -> None:
    pixels = clip(5, (17, 20))  # an odd side is padded
    whole = write_mp4(tmp_path / "whole.mp4", pixels, fps=10)
    streamed = write_mp4_frames(tmp_path / "streamed.mp4", iter(pixels), fps=10)
    assert whole.read_bytes() == streamed.read_bytes()
    with pytest.raises(ValueError, match="no frame"):
        write_mp4_frames(tmp_path / "none.mp4", iter([]))
    with pytest.raises(ValueError, match="frame 1 is"):
        write_mp4_frames(tmp_path / "mixed.mp4", iter([pixels[0], pixels[1, :8]]))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["streamed.mp4", "whole.mp4"]
