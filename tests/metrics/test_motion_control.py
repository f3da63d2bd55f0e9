"""MCS and its classifier, on squares whose category is their direction of motion."""

import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vidgan.evaluation.set_scores import score_synthesis
from vidgan.metrics.clip_statistics import describe
from vidgan.metrics.motion_control import (
    MIN_BATCHES,
    CategoryCheck,
    Classifier,
    _batches,
    category_scores,
    train_classifier,
)
from vidgan.seeding import generator

NAMES = ("right", "down")


def squares(number: int, seed: int) -> tuple[torch.Tensor, list[int]]:
    """Squares of random colour and position that move right or down by two pixels per frame: (N, 6, 3, 24, 24)."""
    random = np.random.default_rng(seed)
    clips = torch.zeros(number, 6, 3, 24, 24, dtype=torch.uint8)
    labels = [row % 2 for row in range(number)]
    for row, label in enumerate(labels):
        colour = torch.from_numpy(random.integers(90, 256, (3, 1, 1)).astype(np.uint8))
        side, along, aside = random.integers(5, 8), random.integers(0, 6), random.integers(0, 16)
        for frame in range(6):
            top, left = (aside, along + 2 * frame) if label == 0 else (along + 2 * frame, aside)
            clips[row, frame, :, top : top + side, left : left + side] = colour
    return clips, labels


@pytest.fixture(scope="module")
def trained() -> Classifier:
    clips, labels = squares(120, seed=0)
    return train_classifier(clips, labels, names=NAMES, epochs=6)


def test_accuracy_on_held_out_clips(trained: Classifier) -> None:
    assert trained.held_out == 30 and trained.accuracy > 0.95
    assert set(trained.by_category) == set(NAMES)
    assert f"held-out real accuracy {trained.accuracy:.3f} on 30 clips" in trained.definition
    rows = trained.probabilities(squares(10, seed=1)[0])
    assert rows.shape == (10, 2) and rows.sum(axis=1) == pytest.approx(1.0)


def test_category_scores(trained: Classifier) -> None:
    clips, labels = squares(40, seed=2)
    scores = category_scores(trained, clips, labels)
    assert scores.accuracy > 0.95 and scores.confusion.sum() == 40
    wrong = category_scores(trained, clips, [1 - label for label in labels])
    assert wrong.accuracy == pytest.approx(1 - scores.accuracy)
    np.testing.assert_array_equal(wrong.confusion, scores.confusion[::-1])
    # A model that ignores the request: chance on both, whatever it draws.
    one = category_scores(trained, clips[::2], [0, 1] * 10)
    assert one.by_category["right"] == pytest.approx(1 - one.by_category["down"], abs=0.11)
    assert category_scores(trained, clips[::2], [0] * 20).by_category.keys() == {"right"}


def test_motion_control_score_beside_real_clips_and_controls(trained: Classifier) -> None:
    (real, labels), (fake, requested) = squares(20, seed=3), squares(12, seed=4)
    requested[0] = 1 - requested[0]  # one clip shows another category than the requested one
    result = score_synthesis(real, fake, categories=CategoryCheck(trained, requested, labels), splits=1)
    score = {name: row["mcs"].mean.mean for name, row in result.scores.items()}
    assert score["real"] == 1 and score["generated"] == pytest.approx(11 / 12)
    assert score["frozen"] < 0.8 and score["reversed"] < 1  # no motion; an unknown direction of motion
    assert result.scores["generated"]["mcs_down"].mean.mean == pytest.approx(6 / 7)
    assert result.definitions["mcs"] == trained.definition and result.better["mcs_right"] == "higher"
    low = result.scores["generated"]["mcs"].mean.low
    assert low is not None and low < 11 / 12


def test_collapse_within_a_category_is_seen_beside_real_clips(trained: Classifier) -> None:
    (real, labels), (fake, requested) = squares(20, seed=3), squares(12, seed=4)
    collapsed = NAMES[1]
    rows = [row for row, category in enumerate(requested) if category == 1]
    fake[rows] = fake[rows[0]].clone()  # one clip, again and again
    result = score_synthesis(real, fake, categories=CategoryCheck(trained, requested, labels), splits=1)
    made, truth = result.scores["generated"], result.scores["real"]
    assert made[f"diversity_{collapsed}"].mean.mean == pytest.approx(0, abs=1e-12)
    whole = describe(real).pooled[[row for row, category in enumerate(labels) if category == 1]]
    differences = [((a - b) ** 2).mean() for i, a in enumerate(whole) for b in whole[:i]]
    assert truth[f"diversity_{collapsed}"].mean.mean == pytest.approx(np.mean(differences))
    (note,) = [note for note in result.notes if "collapse" in note]
    assert f"category {collapsed}" in note and "0.00 times" in note
    assert f"diversity_{collapsed}" in result.definitions and f"diversity_{collapsed}" not in result.better


def test_the_same_arguments_give_the_same_classifier() -> None:
    clips, labels = squares(24, seed=0)
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = train_classifier(clips, labels, names=NAMES, epochs=2, seed=3)
    assert torch.equal(torch.random.get_rng_state(), before)  # the global random state is unchanged
    torch.manual_seed(2)
    second = train_classifier(clips, labels, names=NAMES, epochs=2, seed=3)
    for name, tensor in first.net.state_dict().items():
        assert torch.equal(tensor, second.net.state_dict()[name]), name
    assert first.accuracy == second.accuracy


def test_an_epoch_of_few_clips_repeats_them() -> None:
    few = torch.cat(list(_batches(np.arange(20), generator("few"))))
    assert len(few) == 20 * 12 and (few.bincount() == 12).all()  # two batches a round: 12 rounds are 24 batches
    many = list(_batches(np.arange(20 * 24), generator("many")))
    assert len(many) == 30 > MIN_BATCHES and len(torch.cat(many).unique()) == 20 * 24  # each once


def test_sources_stay_on_one_side() -> None:
    """Eight people show both categories; the number of held-out clips reveals a person on both sides."""
    clips, labels = squares(32, seed=0)
    people = [f"person{row // 4}" for row in range(32)]
    assert train_classifier(clips, labels, names=NAMES, sources=people, epochs=1).held_out == 8  # two of eight people


@pytest.mark.shared_data
def test_real_clips_of_two_directions(shared_data: Path) -> None:
    """MoCoGAN's shapes move up (category 0) or left (1): every second frame of 32, at half size."""
    clips: dict[int, list[torch.Tensor]] = {0: [], 1: []}
    with tarfile.open(shared_data / "mocogan" / "shapes.tar.gz") as archive:
        for member in archive:
            category = int(member.name.split("/")[1]) if member.name.endswith(".png") else -1
            if category < 0 or len(clips[category]) == 120:
                continue
            strip = Image.open(archive.extractfile(member)).convert("RGB").resize((1024, 32), Image.Resampling.BOX)  # type: ignore[arg-type]
            frames = torch.from_numpy(np.array(strip)).reshape(32, 32, 32, 3)  # (H, T, W, C)
            clips[category].append(frames.permute(1, 3, 0, 2)[::2])
            if len(clips[0]) == len(clips[1]) == 120:
                break
    labels = [0] * 120 + [1] * 120
    trained = train_classifier(torch.stack(clips[0] + clips[1]), labels, names=("up", "left"), epochs=5)
    assert trained.held_out == 60 and trained.accuracy > 0.95
    backwards = category_scores(trained, torch.stack(clips[0] + clips[1]).flip(1), labels)
    assert backwards.accuracy < 0.5  # it recognises the motion, not the shapes


def test_invalid_labels_and_sources_are_rejected() -> None:
    clips, labels = squares(8, seed=0)
    with pytest.raises(ValueError, match="as many labels"):
        train_classifier(clips, labels[:-1], names=NAMES)
    with pytest.raises(ValueError, match=r"0\.\.K-1 for K >= 2"):
        train_classifier(clips, [2] * 8, names=NAMES)
    with pytest.raises(ValueError, match="'down' has 1 source videos, 2 are needed"):
        train_classifier(
            clips, labels, names=NAMES, sources=["a" if label else str(i) for i, label in enumerate(labels)]
        )
