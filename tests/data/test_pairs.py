"""Real pairs: clips with stored conditions of the same names."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vidgan.data.dataset import ClipDataset
from vidgan.data.preparing.conditions import prepare_pairs
from vidgan.data.preparing.prepare import prepare
from vidgan.errors import ConfigError, DataError

SIZE = (16, 16)


def pixels(seed: int, time: int, side: int = 16) -> np.ndarray:
    """A frame that tells its clip and its time."""
    return np.random.default_rng((seed, time)).integers(0, 12, (side, side), dtype=np.uint8) + 20 * seed


def write(folder: Path, name: str, frames: int, seed: int, side: int = 16) -> None:
    """A folder of PNG frames."""
    (folder / name).mkdir(parents=True)
    for time in range(frames):
        Image.fromarray(pixels(seed, time, side)).save(folder / name / f"{time:03d}.png")


@pytest.fixture
def pairs(tmp_path: Path) -> tuple[Path, Path]:
    """Two folders with clips of 6 and 8 frames each."""
    for kind, shift in (("frames", 0), ("labels", 5)):
        for number, name in enumerate(("walk/a", "walk/b")):
            write(tmp_path / kind, name, 6 + 2 * number, number + shift)
    return tmp_path / "frames", tmp_path / "labels"


def test_frames_come_with_their_conditions(pairs: tuple[Path, Path], tmp_path: Path) -> None:
    frames, labels = pairs
    prepare_pairs(frames, labels, tmp_path / "data", size=SIZE, holdout=0.0, cuts="off")
    dataset = ClipDataset(tmp_path / "data", frames=4, conditions=True, flip=True)
    places: list[tuple[int, int]] = []
    for epoch in range(3):
        for item in range(len(dataset)):
            clip = dataset[epoch, item].clip
            assert clip.shape == (4, 6, 16, 16)
            number = int(clip[:, :3].min()) // 20
            assert int(clip[:, 3:].min()) // 20 == number + 5, "the condition is of the same clip"
            for seed, planes in ((number, clip[:, :3]), (number + 5, clip[:, 3:])):
                drawn = [pixels(seed, time) for time in range(8)]
                views = {(time, step): frame[:, ::step] for time, frame in enumerate(drawn) for step in (1, -1)}
                shown = planes[0, 0].numpy()
                places.append(next(place for place, view in views.items() if np.array_equal(view, shown)))
            assert places[-1] == places[-2], "the same frame, mirrored alike"
    windows = list(dataset.windows(3, 3))
    assert windows[0].clip.shape == (3, 6, 16, 16)
    plain = ClipDataset(tmp_path / "data", frames=4)
    assert plain[0, 0].clip.shape == (4, 3, 16, 16)


def test_labels_are_not_mixed_by_scaling(tmp_path: Path) -> None:
    for folder in ("frames", "labels"):
        write(tmp_path / folder, "a", 3, 0, side=40)
    prepare_pairs(tmp_path / "frames", tmp_path / "labels", tmp_path / "data", size=SIZE, holdout=0.0, cuts="off")
    clip = ClipDataset(tmp_path / "data", frames=3, conditions=True)[0, 0].clip
    taken = clip[0, 3].flatten().tolist()
    mixed = clip[0, 0].flatten().tolist()
    assert np.std(taken) > 1.5 * np.std(mixed), "averaging frames narrows their values, taking single pixels does not"


def test_shots_are_paired_by_their_frames(tmp_path: Path) -> None:
    """A source that is cut into shots has one uncut condition."""
    (tmp_path / "frames" / "a").mkdir(parents=True)
    for time in range(24):
        level = 20 if time < 12 else 220
        noise = np.random.default_rng(time).integers(0, 9, (32, 32, 3))
        Image.fromarray((noise + level).astype(np.uint8)).save(tmp_path / "frames" / "a" / f"{time:03d}.png")
    (tmp_path / "labels" / "a").mkdir(parents=True)
    for time in range(24):
        Image.fromarray(np.full((32, 32), time, np.uint8)).save(tmp_path / "labels" / "a" / f"{time:03d}.png")
    prepare_pairs(tmp_path / "frames", tmp_path / "labels", tmp_path / "data", size=SIZE, holdout=0.0)
    dataset = ClipDataset(tmp_path / "data", frames=4, conditions=True)
    assert [entry.start for entry in dataset.entries] == [0, 12]
    for item in range(len(dataset)):
        clip = dataset[0, item].clip
        times = clip[:, 3, 0, 0].tolist()
        assert times == list(range(times[0], times[0] + 4))
        assert (times[0] >= 12) == bool(clip[:, 0].float().mean() > 128)


def test_an_at_sign_in_a_name_is_no_shot(tmp_path: Path) -> None:
    for kind, shift in (("frames", 0), ("labels", 5)):
        for number, name in enumerate(("take@12", "take@24")):
            write(tmp_path / kind, name, 6, number + shift)
    prepare_pairs(tmp_path / "frames", tmp_path / "labels", tmp_path / "data", size=SIZE, holdout=0.0, cuts="off")
    dataset = ClipDataset(tmp_path / "data", frames=4, conditions=True)
    assert {entry.source for entry in dataset.entries} == {"take@12", "take@24"}
    Image.fromarray(pixels(6, 6)).save(tmp_path / "labels" / "take@24" / "006.png")
    with pytest.raises(DataError, match="take@24 ends at frame 6.*7 frames"):
        prepare_pairs(tmp_path / "frames", tmp_path / "labels", tmp_path / "longer", size=SIZE, holdout=0.0, cuts="off")


def shorter(frames: Path, labels: Path) -> None:
    (labels / "walk/b" / "007.png").unlink()


def renamed(frames: Path, labels: Path) -> None:
    (labels / "walk/b").rename(labels / "walk/c")


@pytest.mark.parametrize(
    ("damage", "message"),
    [(shorter, "walk/b ends at frame 8.*7 frames"), (renamed, r"1 of 2 clips have no condition.*walk/b")],
)
def test_pairs_that_do_not_fit_are_refused(
    pairs: tuple[Path, Path], damage: Callable[[Path, Path], None], message: str, tmp_path: Path
) -> None:
    damage(*pairs)
    with pytest.raises(DataError, match=message):
        prepare_pairs(*pairs, tmp_path / "data", size=SIZE, holdout=0.0, cuts="off")


def test_data_without_conditions_are_refused(pairs: tuple[Path, Path], tmp_path: Path) -> None:
    prepare(pairs[0], tmp_path / "data", size=SIZE, holdout=0.0, cuts="off")
    with pytest.raises(DataError, match="--conditions"):
        ClipDataset(tmp_path / "data", frames=4, conditions=True)
    prepare(pairs[1], tmp_path / "data" / "conditions", size=(8, 8), holdout=0.0, cuts="off")
    with pytest.raises(DataError, match="8x8.*16x16"):
        ClipDataset(tmp_path / "data", frames=4, conditions=True)


def test_options_of_the_command(tmp_path: Path) -> None:
    from vidgan.commands.prepare import prepare_options

    explicit = {"videos": Path("v"), "out": Path("o")}
    with pytest.raises(ConfigError, match="--condition-resample has no effect"):
        prepare_options(explicit | {"condition_resample": "area"})
    with pytest.raises(ConfigError, match="--part"):
        prepare_options(explicit | {"conditions": Path("c"), "part": "1/2"})
    assert "conditions" not in prepare_options(explicit | {"conditions": Path("c")})
