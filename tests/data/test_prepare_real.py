"""`prepare` on real data: action strips, a drive as a folder of frames, gestures as videos."""

import shutil
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vidgan.data.dataset import ClipDataset
from vidgan.data.preparing.prepare import prepare

pytestmark = pytest.mark.shared_data


def test_persons_and_mirror_pairs_of_action_strips_are_not_separated(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "mocogan" / "actions"
    prepared = prepare(
        source, tmp_path / "out", size=(32, 32), categories=True, group_by="number//8", holdout=0.2, min_frames=32
    )
    index = prepared.index
    assert len(index.clips) == 48 and index.categories == ["0", "1", "3", "4"]
    assert index.quarantined == {} and index.ignored == 0
    assert [clip.category for clip in index.clips] == [index.categories.index(c.source[0]) for c in index.clips]
    assert min(clip.frames for clip in index.clips) == 51 and max(clip.frames for clip in index.clips) == 146
    sides = defaultdict(set)
    for clip in index.clips:
        assert clip.group == str(int(Path(clip.source).stem) // 8)
        sides[clip.group].add(clip.split)
    assert sorted(sides) == ["0", "1", "3", "4", "5", "6"]
    assert all(len(side) == 1 for side in sides.values())
    assert len(index.of_split("test")) == 8  # one person of six, the closest to a fifth of the clips
    assert index.notices[0].startswith("24 clips are exact copies or mirror images")
    # Without group_by, only mirror pairs share a split.
    pairs = prepare(source, tmp_path / "pairs", size=(32, 32), categories=True, holdout=0.2).index
    side = {int(Path(clip.source).stem): clip.split for clip in pairs.clips}
    assert all(side[number] == side[number ^ 1] for number in side)
    dataset = ClipDataset(tmp_path / "out", frames=16)
    assert dataset[0, 0].clip.shape == (16, 3, 32, 32) and dataset.num_categories == 4


def test_a_drive_is_one_training_clip(shared_data: Path, tmp_path: Path) -> None:
    names = sorted((shared_data / "driving" / "kitti" / "street268").glob("*.jpg"))[:6]
    folder = tmp_path / "kitti" / "street"
    folder.mkdir(parents=True)
    for name in names:
        shutil.copy(name, folder)
    prepared = prepare(tmp_path / "kitti", tmp_path / "out", size=(64, 80))
    (clip,) = prepared.index.clips
    assert (clip.source, clip.frames, clip.split, clip.fps) == ("street", 6, "train", None)
    assert "one group" in prepared.index.notices[0]
    stored = np.load(tmp_path / "out" / "clips" / f"{clip.id}.npy")
    with Image.open(names[3]) as image:
        width = round(image.height * 80 / 64)
        left = (image.width - width) // 2
        box = image.crop((left, 0, left + width, image.height)).resize((80, 64), Image.Resampling.BOX)
    assert np.abs(stored[3].astype(int) - np.asarray(box)).mean() < 1


def test_gesture_videos_have_their_documented_frames(shared_data: Path, tmp_path: Path) -> None:
    source = tmp_path / "gestures"
    source.mkdir()
    for name in ("eat", "student", "help"):
        shutil.copy(shared_data / "clips" / "gestures" / f"{name}.mkv", source)
    prepared = prepare(source, tmp_path / "out", size=(32, 32), test_pattern="eat")
    assert {(c.source, c.frames, c.split) for c in prepared.index.clips} == {
        ("eat.mkv", 47, "test"),
        ("help.mkv", 58, "train"),
        ("student.mkv", 52, "train"),
    }
    assert all(clip.fps == pytest.approx(30, rel=0.01) for clip in prepared.index.clips)
