"""Scores of models that map clips to clips, on clips whose values are known."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from vidgan.evaluation.comparison import Entry, compare_results
from vidgan.evaluation.mapping import mapping_scores
from vidgan.evaluation.measure import WindowBatch
from vidgan.evaluation.results import MappingScores
from vidgan.evaluation.tables import as_text, result_tables, score_document
from vidgan.metrics.temporal import ClipMetric
from vidgan.report.scores import score_blocks
from vidgan.tasks.base import ClipFunction, ClipMapper, ClipPair
from vidgan.types import ByteClip


class Brighten:
    """Adds grey levels to its input; the target is the input itself."""

    image_size = (24, 24)
    scale = 1
    mapping_name: ClassVar[str] = "brightened"
    facts: ClassVar[dict[str, Any]] = {}

    def __init__(self, levels: int = 10, *, border: int = 0, has_target: bool = True) -> None:
        self.levels, self.border, self.has_target = levels, border, has_target

    def pair(self, clips: ByteClip, *, seed: int = 0, rows: Sequence[int] | None = None) -> ClipPair:
        return ClipPair(clips, clips if self.has_target else None)

    def map_clips(self, clips: ByteClip) -> ByteClip:
        return clips + self.levels

    def map_frames(self, frames: Iterable[Tensor]) -> Iterator[Tensor]:
        return (frame + self.levels for frame in frames)

    def baselines(self) -> Mapping[str, ClipFunction]:
        return {"input": lambda clips: clips, "frozen": lambda clips: clips[:, :1].expand_as(clips)}

    def own_metrics(self) -> Mapping[str, ClipMetric]:
        def shift(given: ByteClip, output: ByteClip, target: ByteClip | None) -> np.ndarray:
            return (output.double() - given.double()).mean(dim=(2, 3, 4)).numpy()

        return {"shift": ClipMetric(shift, "mean change in grey levels", None)}


def moving(count: int = 4, frames: int = 4) -> ByteClip:
    """Smooth textures that move right by one pixel a frame."""
    draw = torch.Generator().manual_seed(0)
    coarse = torch.randint(40, 200, (count, 3, 8, 8), generator=draw).float()
    texture = torch.nn.functional.interpolate(coarse, size=(24, 24), mode="bicubic").clamp(20, 220)
    return torch.stack([texture.roll(t, dims=-1) for t in range(frames)], dim=1).round().to(torch.uint8)


def windows(clips: ByteClip) -> list[WindowBatch]:
    rows = range(len(clips))
    return [WindowBatch(clips, [f"video {n}" for n in rows], [f"video {n}:0" for n in rows], rows)]


@pytest.fixture(scope="module")
def scores() -> MappingScores:
    return mapping_scores(Brighten(), windows(moving()))


def mean(scores: MappingScores, row: str, metric: str) -> float:
    value = scores.scores[row][metric].mean.mean
    assert value is not None
    return value


def test_the_toy_keeps_the_protocol() -> None:
    assert isinstance(Brighten(), ClipMapper)


def test_fidelity_and_own_metrics(scores: MappingScores) -> None:
    assert mean(scores, "brightened", "psnr") == pytest.approx(28.1308, abs=1e-4)
    assert mean(scores, "brightened", "psnr_y") == pytest.approx(29.4528, abs=1e-4)
    assert scores.scores["input"]["psnr"].mean.mean is None and scores.scores["input"]["psnr"].exact == 16
    assert mean(scores, "brightened", "shift") == 10
    assert "shift" not in scores.better and scores.better["tof"] == "lower"


def test_time_is_measured_beside_the_real_clip(scores: MappingScores) -> None:
    for ratio in ("warp_ratio", "motion_ratio", "sharpness_ratio"):
        assert mean(scores, "brightened", ratio) == pytest.approx(1)
    assert mean(scores, "brightened", "tof") == pytest.approx(0, abs=1e-5)
    assert mean(scores, "brightened", "warp_error") == pytest.approx(mean(scores, "real", "warp_error"))
    # A frozen clip: no motion, and flow that is off by the true one.
    assert mean(scores, "frozen", "motion_ratio") == 0
    assert mean(scores, "frozen", "tof") == pytest.approx(1, abs=0.35)
    assert mean(scores, "frozen", "warp_error") > 3 * mean(scores, "real", "warp_error")
    assert set(scores.scores["real"]) == {"warp_error"}


def test_the_border_is_left_out_and_stated() -> None:
    clips = moving(1)

    class Frame(Brighten):
        def map_clips(self, clips: ByteClip) -> ByteClip:
            framed = clips + 10
            framed[..., :4, :] = 0
            return framed

    bordered = mapping_scores(Frame(border=4), windows(clips))
    assert mean(bordered, "brightened", "psnr") == pytest.approx(28.1308, abs=1e-4)
    assert "4 border pixels" in bordered.definitions["psnr"] and bordered.border == 4
    assert mean(mapping_scores(Frame(), windows(clips)), "brightened", "psnr") < 20


def test_without_a_target_the_input_is_the_reference() -> None:
    scores = mapping_scores(Brighten(has_target=False), windows(moving(2)))
    assert set(scores.scores) == {"brightened", "input", "frozen", "real"}
    assert "psnr" not in scores.definitions and "tof" not in scores.definitions
    assert mean(scores, "brightened", "warp_ratio") == pytest.approx(1)
    assert "the input" in scores.definitions["warp_ratio"]


def test_a_wrong_output_is_named() -> None:
    class Cropped(Brighten):
        def map_clips(self, clips: ByteClip) -> ByteClip:
            return clips[..., :8]

    with pytest.raises(ValueError, match="brightened: returned"):
        mapping_scores(Cropped(), windows(moving(1)))


def test_results_survive_json_tables_and_comparison(scores: MappingScores) -> None:
    restored = MappingScores.from_json(scores.to_json())
    assert restored == scores
    text = as_text(result_tables(scores))
    assert "brightened" in text and "warp_ratio" in text and "4 windows of 4 frames" in text
    document = score_document(scores)
    assert document["curves"]["psnr"]["brightened"] == pytest.approx([28.1308] * 4, abs=1e-4)
    assert score_blocks(document)
    other = mapping_scores(Brighten(5), windows(moving()))
    compared = compare_results([Entry("ten", scores), Entry("five", other)])
    difference = compared.differences[0].values["psnr"].mean
    assert difference == pytest.approx(20 * np.log10(2), abs=1e-6)
    assert [line.name for line in compared.lines if line.name in ("input", "frozen", "real")]
