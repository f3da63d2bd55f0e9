"""Categories, groups, joining of copies, and the split."""

from collections import Counter
from dataclasses import replace

import pytest

from vidgan.data.preparing.grouping import (
    Groupable,
    assign_categories,
    assign_groups,
    join_twins,
    split_as_given,
    split_by_pattern,
    split_by_share,
    untrained_categories,
)
from vidgan.errors import DataError
from vidgan.files import clip_id, natural_key


def clips(*paths: str, is_folder: bool = False) -> list[Groupable]:
    return [Groupable(path, path, is_folder, path) for path in paths]


def test_natural_order() -> None:
    names = ["f10", "f9", "F1", "f01", "2", "10", "a"]
    assert sorted(names, key=natural_key) == ["2", "10", "a", "F1", "f01", "f9", "f10"]


def test_clip_ids_are_safe_and_distinct() -> None:
    names = ["a/b.mp4", "a-b.mp4", "../../x", "snow ☃.avi", "☃", "a" * 300, "A/b.mp4"]
    ids = [clip_id(name) for name in names]
    assert len(set(ids)) == len(names)
    assert all(set(i) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") for i in ids)
    assert max(map(len, ids)) < 64


def test_the_first_folder_names_the_category_in_natural_order() -> None:
    assert assign_categories(clips("10/x/1.mp4", "9/y/2.mp4", "10/3.mp4")) == (["9", "10"], [1, 0, 1])


def test_with_one_common_folder_the_innermost_folder_names_the_category() -> None:
    assert assign_categories(clips("set/walk/1.png", "set/run/2.png")) == (["run", "walk"], [1, 0])
    assert assign_categories(clips("s.tar.gz/s/0/1.png", "s.tar.gz/s/1/1.png")) == (["0", "1"], [0, 1])


def test_frame_folders_directly_below_the_source_are_their_own_category() -> None:
    assert assign_categories(clips("walk", "run", is_folder=True)) == (["run", "walk"], [1, 0])
    assert assign_categories(clips("walk/p1", "run/p1", is_folder=True)) == (["run", "walk"], [1, 0])


def test_categories_of_the_source_precede_folders() -> None:
    named = [replace(clip, category=c) for clip, c in zip(clips("a/1", "b/2", "3"), ["run", None, "10"], strict=True)]
    assert assign_categories(named) == (["10", "run"], [1, -1, 0])


def test_archives_name_categories_without_their_suffix() -> None:
    assert assign_categories(clips("walk.zip/1.png", "run.tar.gz/1.png"))[0] == ["run", "walk"]


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["walk/1.mp4", "walk/2.mp4"], "found: 'walk'"),
        (["walk/1.mp4", "2.mp4"], "^2.mp4: "),
        (["Walk/1.mp4", "walk/2.mp4"], "'Walk' and 'walk'"),
        (["caf\u00e9/1.mp4", "cafe\u0301/2.mp4"], "'caf.*' and 'caf.*'"),
    ],
)
def test_impossible_categories_are_refused(paths: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        assign_categories(clips(*paths))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (None, ["a/s1_07.mp4", "a/s1_08.mp4", "b/s2_15.mp4"]),
        ("folder", ["a", "a", "b"]),
        (r"(s\d)_", ["s1", "s1", "s2"]),
        (r"s\d_", ["s1_", "s1_", "s2_"]),
        (r"^[ab]", ["a", "a", "b"]),
    ],
)
def test_group_rules(rule: str | None, expected: list[str]) -> None:
    assert assign_groups(clips("a/s1_07.mp4", "a/s1_08.mp4", "b/s2_15.mp4"), rule) == expected


def test_groups_of_the_source_and_shots_of_one_recording() -> None:
    shots = [Groupable(f"a.mp4@{i}", "a.mp4", False, str(i), origin="a.mp4") for i in (0, 57)]
    given = [replace(clip, group="person 1") for clip in clips("x.mp4")]
    assert assign_groups([*shots, *given], None) == ["a.mp4", "a.mp4", "person 1"]
    assert assign_groups([*shots, *given], "^.") == ["a", "a", "x"]


def test_number_rule_divides_the_number_in_the_name() -> None:
    assert assign_groups(clips("0/7.png", "1/08.png", "x2/15.png", "9/16.png"), "number//8") == ["0", "1", "1", "2"]
    assert assign_groups(clips("v1/take12", is_folder=True), "number") == ["12"]


@pytest.mark.parametrize(
    ("path", "rule", "message"),
    [
        ("a/clip.mp4", "number//8", "a/clip.mp4.*found 0"),
        ("a/s1_07.mp4", "number//8", "a/s1_07.mp4.*found 2"),
        ("a/1.mp4", "number//0", "accepted: number//N"),
        ("a/1.mp4", "number//x", "accepted: number//N"),
        ("a/1.mp4", r"person(\d)", "a/1.mp4: group_by 'person"),
        ("a/1.mp4", r"a(x?)", "a/1.mp4.*empty"),
        ("a/1.mp4", r"(", r"group_by is '\('"),
    ],
)
def test_errors_of_group_rules_name_the_file(path: str, rule: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        assign_groups(clips(path), rule)


def test_twins_join_groups_across_a_chain() -> None:
    groups, num_copies = join_twins(["g10", "g2", "g2", "g3", "g4"], ["x", "x", "y", "y", "z"])
    assert groups == ["g2", "g2", "g2", "g2", "g4"]
    assert num_copies == 2


def test_the_split_keeps_groups_whole_and_comes_close_to_the_share() -> None:
    groups = [f"g{i // 3}" for i in range(300)]
    split = split_by_share(groups, [-1] * 300, holdout=0.1, seed=0)
    assert Counter(split.of_clip) == {"train": 270, "test": 30}
    assert len(set(zip(groups, split.of_clip, strict=True))) == 100
    assert split.notices == []


def test_the_split_depends_only_on_the_seed() -> None:
    groups = [f"g{i}" for i in range(40)]

    def held(order: list[str], seed: int) -> set[str]:
        split = split_by_share(order, [-1] * 40, holdout=0.25, seed=seed)
        return {group for group, side in zip(order, split.of_clip, strict=True) if side == "test"}

    assert held(groups, 1) == held(groups[::-1], 1)
    assert held(groups, 1) != held(groups, 2)


@pytest.mark.parametrize("holdout", [0.01, 0.5, 0.99])
def test_both_splits_get_a_group_for_any_share(holdout: float) -> None:
    for seed in range(5):
        split = split_by_share(["a"] * 9 + ["b"], [-1] * 10, holdout=holdout, seed=seed)
        assert set(split.of_clip) == {"train", "test"}


def test_one_group_yields_a_notice_and_zero_holdout_does_not() -> None:
    one = split_by_share(["a", "a"], [-1, -1], holdout=0.1, seed=0)
    assert one.of_clip == ["train", "train"] and "no test split" in one.notices[0]
    assert split_by_share(["a", "b"], [-1, -1], holdout=0, seed=0) == (["train", "train"], [])


def test_every_category_keeps_a_training_clip() -> None:
    groups = [f"g{i}" for i in range(12)]
    categories = [0] * 10 + [1, 2]  # g10 and g11 are the only groups of their categories
    for seed in range(20):
        split = split_by_share(groups, categories, holdout=0.5, seed=seed)
        assert untrained_categories(["a", "b", "c"], categories, split.of_clip) == []
        assert Counter(split.of_clip)["test"] == 6


def test_a_category_without_training_clips_is_detected() -> None:
    split = split_by_share(["a", "b"], [0, 1], holdout=0.5, seed=0)
    assert sorted(split.of_clip) == ["test", "train"]
    assert len(untrained_categories(["x", "y"], [0, 1], split.of_clip)) == 1


def test_a_test_pattern_is_searched_for_in_paths() -> None:
    named = clips("drive1/a.mp4", "drive2/b.mp4", "drive1/c.mp4")
    assert split_by_pattern(named, ["a", "b", "c"], "drive2").of_clip == ["train", "test", "train"]


@pytest.mark.parametrize(
    ("pattern", "groups", "message"),
    [
        ("nothing", ["a", "b"], "'nothing' .*no clip"),
        ("mp4", ["a", "b"], "'mp4' .*every clip"),
        ("x/", ["g", "g"], r"x/1.mp4 \(test\) and y/1.mp4 \(train\).*group 'g'"),
    ],
)
def test_impossible_test_patterns_are_refused(pattern: str, groups: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        split_by_pattern(clips("x/1.mp4", "y/1.mp4"), groups, pattern)


def given(name: str, split: str | None, twin: str = "") -> Groupable:
    return Groupable(name, name, False, twin or name, split=split)


def test_the_split_of_the_source_is_kept() -> None:
    named = [given("a", "train"), given("b", "test"), given("c", "train")]
    assert split_as_given(named, ["a", "b", "c"]) == (["train", "test", "train"], [])


def test_defects_of_a_given_split_are_reported_and_kept() -> None:
    named = [given("a", "train", "x"), given("b", "test", "x"), given("c", None), given("d", "test", "y")]
    split = split_as_given(named, ["g", "h", "i", "i"])
    assert split.of_clip == ["train", "test", "train", "test"]
    unassigned, divided, copies = split.notices
    assert unassigned.startswith("1 clips ")
    assert "1 groups, such as 'i'" in divided
    assert copies.startswith("1 test clips ")
    assert "(b of a)" in copies
