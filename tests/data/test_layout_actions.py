"""KTH, Weizmann, UCF-101 and Human3.6M, as small files."""

from pathlib import Path

import numpy as np
import pytest
from clipfiles import noise
from layoutfiles import found, labels, list_layout, put, put_avi, put_images, read

from vidgan.errors import DataError, SourceError

# ---------------------------------------------------------------- KTH


def test_kth_videos_have_action_person_and_the_usual_split(tmp_path: Path) -> None:
    levels = [40, 80, 120, 160, 200]
    put_avi(tmp_path / "walking" / "person16_walking_d1_uncomp.avi", levels)
    put_avi(tmp_path / "person17_handwaving_d4_uncomp.avi", levels)
    put_avi(tmp_path / "person20_boxing_d2_uncomp.avi", levels)
    put(tmp_path / "00sequences.txt", "person01_boxing_d1 frames 1-95, 96-185\n")
    sources = found(tmp_path)
    assert labels(sources) == {
        "person17_handwaving_d4_uncomp.avi": ("handwaving", "person17", "test"),
        "person20_boxing_d2_uncomp.avi": ("boxing", "person20", "test"),
        "walking/person16_walking_d1_uncomp.avi": ("walking", "person16", "train"),
    }
    (clip,) = read(tmp_path, sources["person20_boxing_d2_uncomp.avi"])
    assert clip.frames.shape == (5, 120, 160, 3)
    assert np.abs(clip.frames.mean(axis=(1, 2, 3)) - levels).max() < 3
    assert clip.video is not None and clip.video["codec"] == "mpeg4" and len(clip.video["pts"]) == 5
    stochastic = labels(found(tmp_path, "kth:test=21-25"))
    assert {split for _, _, split in stochastic.values()} == {"train"}


def test_kth_lists_of_mcnet_define_segments(tmp_path: Path) -> None:
    levels = list(range(20, 220, 10))
    put_avi(tmp_path / "person17_boxing_d1_uncomp.avi", levels)
    put_avi(tmp_path / "person18_running_d3_uncomp.avi", levels)  # not listed
    put_avi(tmp_path / "person01_boxing_d1_uncomp.avi", levels)
    put(tmp_path / "test_data_list.txt", "person17_boxing_d1 1 8\nperson17_boxing_d1 11 20\nperson25_boxing_d1 1 9\n")
    sources = found(tmp_path)
    assert set(sources) == {
        "person01_boxing_d1_uncomp.avi",
        "person17_boxing_d1_uncomp.avi:0-8",
        "person17_boxing_d1_uncomp.avi:10-20",
    }
    (clip,) = read(tmp_path, sources["person17_boxing_d1_uncomp.avi:10-20"])
    assert np.abs(clip.frames.mean(axis=(1, 2, 3)) - levels[10:20]).max() < 3
    assert sources["person17_boxing_d1_uncomp.avi:0-8"].split == "test"
    assert len(found(tmp_path, "kth:lists=off")) == 3
    put(tmp_path / "test_data_list.txt", "person17_boxing_d1 1-8\n")
    with pytest.raises(DataError, match=r"test_data_list.txt: line 1 is 'person17_boxing_d1 1-8'; expected: person17"):
        found(tmp_path)


def test_kth_as_frame_folders_of_predrnn(tmp_path: Path) -> None:
    clip = noise(0, 11, 6, 8)
    put_images(tmp_path / "walking" / "person03_walking_d2", [f"image_{t:04d}.jpg" for t in range(1, 12)], clip)
    sources = found(tmp_path)
    assert labels(sources) == {"walking/person03_walking_d2": ("walking", "person03", "train")}
    (read_back,) = read(tmp_path, sources["walking/person03_walking_d2"])
    np.testing.assert_array_equal(read_back.frames, clip)
    assert read_back.fps == 25.0


# ---------------------------------------------------------------- Weizmann


def test_weizmann_actions_keep_their_numbers_but_not_those_of_lena(tmp_path: Path) -> None:
    for name in ("daria_wave2.avi", "lena_walk1.avi", "lena_walk2.avi", "shahar_pjump.avi", "ido_wave1.avi"):
        put(tmp_path / name)
    assert labels(found(tmp_path)) == {
        "daria_wave2.avi": ("wave2", "daria", None),
        "ido_wave1.avi": ("wave1", "ido", None),
        "lena_walk1.avi": ("walk", "lena", None),
        "lena_walk2.avi": ("walk", "lena", None),
        "shahar_pjump.avi": ("pjump", "shahar", None),
    }
    put(tmp_path / "someone_else.avi")
    assert {source.category for source in found(tmp_path).values()} == {None}  # no longer unmistakable
    assert len(found(tmp_path, "weizmann")) == 5


# ---------------------------------------------------------------- UCF-101


def put_ucf(root: Path) -> list[str]:
    names = [f"v_{action}_g{g:02d}_c01.avi" for action in ("Archery", "YoYo") for g in range(1, 15)]
    for name in names:
        put(root / "UCF-101" / name.split("_")[1] / name)
    tests = [f"{name.split('_')[1]}/{name}" for name in names if int(name.split("_g")[1][:2]) <= 7]
    trains = [f"{name.split('_')[1]}/{name} 1" for name in names if int(name.split("_g")[1][:2]) > 8]
    put(root / "ucfTrainTestlist" / "testlist01.txt", "\n".join(tests) + "\n")
    put(root / "ucfTrainTestlist" / "trainlist01.txt", "\r\n".join(trains) + "\r\n")
    put(root / "ucfTrainTestlist" / "classInd.txt", "1 Archery\n2 YoYo\n")
    return tests


def test_ucf101_lists_define_the_split_and_groups_belong_to_a_class(tmp_path: Path) -> None:
    put_ucf(tmp_path)
    result = list_layout(tmp_path)
    sources = {source.name: source for source in result.sources}
    assert len(sources) == 26  # g08 of both classes is in neither list
    assert any("2 of 28 clips" in notice for notice in result.notices)
    assert labels(sources)["UCF-101/Archery/v_Archery_g07_c01.avi"] == ("Archery", "Archery_g07", "test")
    assert labels(sources)["UCF-101/YoYo/v_YoYo_g09_c01.avi"] == ("YoYo", "YoYo_g09", "train")
    assert result.ignored == 1  # classInd.txt; the lists were read
    with pytest.raises(DataError, match="trainlist02.txt or testlist02.txt"):
        found(tmp_path, "ucf101:list=2")


def test_ucf101_every_tenth_test_line_is_mathieus_set(tmp_path: Path) -> None:
    tests = put_ucf(tmp_path)
    sources = found(tmp_path, "ucf101:every=10")
    chosen = [name.partition("/")[2] for name, source in sources.items() if source.split == "test"]
    assert chosen == [tests[0], tests[10]]
    assert sum(source.split == "train" for source in sources.values()) == 12


def test_ucf101_without_lists_has_groups_and_no_split(tmp_path: Path) -> None:
    put(tmp_path / "v_SoccerJuggling_g23_c01.avi")
    assert labels(found(tmp_path)) == {"v_SoccerJuggling_g23_c01.avi": ("SoccerJuggling", "SoccerJuggling_g23", None)}


def test_the_real_ucf101_file(shared_data: Path) -> None:
    source = shared_data / "clips" / "ucf101" / "v_SoccerJuggling_g23_c01.avi"
    (clip,) = read(source.parent, found(source)[source.name], size=(12, 16))
    assert clip.frames.shape == (240, 12, 16, 3)
    assert found(source)[source.name].group == "SoccerJuggling_g23"


# ---------------------------------------------------------------- Human3.6M


def test_human36m_one_folder_of_images_is_many_clips(tmp_path: Path) -> None:
    clips = {
        "S1_Directions.54138969": noise(0, 3),
        "S1_Directions_1.54138969": noise(1, 3),
        "S11_WalkTogether 1.60457274": noise(2, 12),
    }
    for title, clip in clips.items():
        put_images(tmp_path / "images", [f"{title}_{t + 1:06d}.jpg" for t in range(len(clip))], clip)
    sources = found(tmp_path)
    assert labels(sources) == {
        "images/S1_Directions.54138969": ("Directions", "S1", "train"),
        "images/S1_Directions_1.54138969": ("Directions", "S1", "train"),
        "images/S11_WalkTogether 1.60457274": ("WalkTogether", "S11", "test"),
    }
    for title, clip in clips.items():
        np.testing.assert_array_equal(read(tmp_path, sources[f"images/{title}"])[0].frames, clip)
    (fifth,) = read(tmp_path, sources["images/S11_WalkTogether 1.60457274"], every=5)
    np.testing.assert_array_equal(fifth.frames, clips["S11_WalkTogether 1.60457274"][::5])
    assert fifth.fps == 10.0


def test_frames_of_two_sizes_are_refused(tmp_path: Path) -> None:
    put_images(tmp_path, ["S1_Eating.54138969_000001.jpg"], noise(0, 1, 6, 8))
    put_images(tmp_path, ["S1_Eating.54138969_000002.jpg"], noise(0, 1, 6, 9))
    with pytest.raises(SourceError, match="frames-differ: .*000002.jpg is 9x6, .*8x6"):
        read(tmp_path, found(tmp_path)["S1_Eating.54138969"])
