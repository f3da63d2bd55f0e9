"""`vidgan evaluate` of a model that generates clips: longer than trained, and compared with the training clips."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import small_config
from PIL import Image

from vidgan.commands.evaluate import evaluate
from vidgan.commands.report import report
from vidgan.commands.table import table
from vidgan.commands.train import train
from vidgan.errors import ConfigError
from vidgan.evaluation import long_clips
from vidgan.evaluation.models import load_model
from vidgan.evaluation.nearest_clips import nearest_windows
from vidgan.evaluation.results import LongClipScores, SynthesisScores
from vidgan.evaluation.tables import render
from vidgan.evaluation.windows import WindowSet
from vidgan.metrics.features import FeatureNet
from vidgan.report.cases import Cases

SHORT = {
    "data__frames": 5,
    "discriminators__video": {"width": 4, "norm": "none", "max_receptive_frames": 4},
    "train__steps": 1,
}


@pytest.fixture(scope="module")
def run(shapes_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(small_config("mocogan", shapes_data, tmp_path_factory.mktemp("runs"), **SHORT), quiet=True).run_dir


@pytest.fixture(scope="module")
def longer(run: Path) -> LongClipScores:
    scores = evaluate(run, frames=25, clips=4)
    assert isinstance(scores, LongClipScores)
    return scores


def test_one_line_per_segment_and_real_clips_up_to_their_length(longer: LongClipScores, run: Path) -> None:
    assert longer.protocol == "held-out-25-frames-by-5"
    assert (longer.frames, longer.real_frames, longer.stretch) == (25, 20, 5)  # the clips of the data have 20 frames
    lines = render(longer, "text").splitlines()
    names = [line.split("  ")[0] for line in lines if line.startswith(("generated", "real"))]
    assert names[0] == "generated, frames 1-5" and names[4:6] == ["generated, frames 21-25", "real, frames 1-5"]
    assert len(names) == 9
    assert any("4 real clips" in note and "20 frames" in note for note in longer.notes)
    written = json.loads((run / "scores" / "held-out-25-frames-by-5-clips-4.json").read_text())
    assert [len(written["curves"]["motion_energy"][row]) for row in ("generated", "real")] == [5, 4]
    assert written["curves"]["recurrence"]["generated"][0] is None
    assert "motion_energy" in table([run / "scores" / "held-out-25-frames-by-5-clips-4.json"], format="csv")


def test_the_first_segment_is_that_of_a_short_clip(longer: LongClipScores, run: Path) -> None:
    made = load_model(run).clip_model.sample(4, frames=5, seed=0)
    motion_energy = float(made.float().diff(dim=1).abs().mean() / 255)
    first = longer.scores["generated"]["motion_energy"].horizon[0].mean
    assert first == pytest.approx(motion_energy, rel=1e-3)


def test_networks_that_compare_no_frames_are_refused(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_clips, "set_networks", lambda *_, **__: {"rife": FeatureNet(lambda clips: clips, "none")})
    with pytest.raises(ConfigError, match="--weights rife has no effect on clips longer than trained; accepted"):
        evaluate(run, frames=25, weights={"rife": Path("rife.safetensors")})


@pytest.mark.parametrize("frames", [5, 8, 12])
def test_only_whole_segments_are_measured(run: Path, frames: int) -> None:
    with pytest.raises(ConfigError, match=f"--frames {frames}: .* 5 frames.* 10 "):
        evaluate(run, frames=frames)


def test_first_frames_of_real_clips_are_continued(shapes_data: Path, tmp_path: Path) -> None:
    """At the training length and longer, by a model that synthesises frames and by one that moves pixels."""
    encoder = {"width": 4, "max_width": 8}
    warping = {"frame": {"kind": "style", "width": 4, "max_width": 8}, "warp_first_frame": True}
    for name, model in {"drawn": {}, "moved": warping}.items():
        changes = SHORT | {f"model__{key}": value for key, value in ({"encoder": encoder} | model).items()}
        config = small_config("mocogan", shapes_data, tmp_path / name, **changes)
        run = train(config, quiet=True).run_dir
        scores = evaluate(run, clips=4)
        assert isinstance(scores, SynthesisScores)
        assert any("continues the first frame of a real clip" in note for note in scores.notes)
        assert scores.generated_clips == scores.real_clips == 8 and "copy_ratio" not in scores.scores["generated"]
        longer = evaluate(run, frames=10, clips=4)
        assert isinstance(longer, LongClipScores) and len(longer.scores["generated"]["content_drift"].horizon) == 2
        with pytest.raises(ConfigError, match="--mcs.*image-to-video"):
            evaluate(run, mcs=True)
        generator = load_model(run).clip_model
        drawn = torch.Generator().manual_seed(0)
        first_frames = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8, generator=drawn)
        clips = generator.sample(3, frames=4, seed=1, first_frame=first_frames, batch_size=2)
        again = generator.sample(3, frames=4, seed=1, first_frame=first_frames[2])
        # Sums of a convolution differ in their last bits between batch sizes, which may change a rounded level.
        assert (clips[2:].int() - again[2:].int()).abs().max() <= 1
        assert (clips[:, 0] == first_frames).all() == (name == "moved")
        with pytest.raises(ValueError, match=r"first_frame.*\(2, "):
            generator.sample(3, first_frame=first_frames[:2])


def test_the_nearest_training_windows_are_saved_and_displayed(run: Path, longer: LongClipScores) -> None:
    scores = evaluate(run, clips=4)
    assert isinstance(scores, SynthesisScores)
    generated, real = (scores.scores[row]["nearest_training"].mean.mean for row in ("generated", "real"))
    ratio = scores.scores["generated"]["copy_ratio"].mean.mean
    assert generated is not None and real is not None and ratio == pytest.approx(generated / real)
    assert generated > real  # after one training step: noise is farther from the training clips than held-out clips
    pairs = scores.provenance["nearest"]["pairs"]
    distances = [pair["distance"] for pair in pairs]
    assert len(pairs) == 8 and distances == sorted(distances)
    sheet = np.asarray(Image.open(run / "scores" / "held-out-5-frames-clips-4.nearest.png"))
    blocks = Cases(run).animations()["held-out-5-frames-clips-4.json"]
    assert len(blocks) == 1 + 8 and f"distance {distances[0]:.4f}" in blocks[1].caption  # type: ignore[union-attr]
    # The right half of the first row is the training window of the first pair.
    windows = WindowSet(load_model(run).data, 5, split="train")
    entry = next(window.entry for window in windows.windows if window.entry.id == pairs[0]["video"])
    frame = windows.store.frames(entry, pairs[0]["frames"])[0]
    frame = frame[:, ::-1] if pairs[0]["mirrored"] else frame
    columns = [x for x in range(sheet.shape[1] - 31) if (sheet[2:34, x : x + 32] == frame).all()]
    assert len(columns) >= 1 and columns[0] > sheet.shape[1] // 2
    page = report(run).read_text()
    assert "nearest training clip" in page and "copy its training clips" in page
    assert longer.stretch == 5 and "Motion energy over the clip" in page and "segment of 5 frames" in page


def test_a_copied_clip_is_recognised(run: Path) -> None:
    trained = load_model(run)
    windows = WindowSet(trained.data, 5, split="train")
    copy = windows.store.frames(windows.windows[-1].entry, range(3, 8)).transpose(0, 3, 1, 2)  # between two windows
    nearest, num_compared, num_windows = nearest_windows(trained, torch.from_numpy(copy.copy())[None])
    assert nearest[0].distance < 1e-6 and nearest[0].frames == (3, 4, 5, 6, 7) and not nearest[0].mirrored
    assert num_compared == num_windows == 16 * len({window.entry.id for window in windows.windows})
