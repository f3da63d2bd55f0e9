"""`vidgan evaluate` of a model that generates: longer than trained, and beside the training clips."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import small_config
from PIL import Image

from vidgan.commands.evaluate import evaluate, evaluate_command
from vidgan.commands.report import report
from vidgan.commands.table import compare_results
from vidgan.commands.train import train
from vidgan.errors import ConfigError
from vidgan.evaluation.folder_scoring import FolderSettings
from vidgan.evaluation.nearest_clips import nearest_windows
from vidgan.evaluation.places import Places
from vidgan.evaluation.results import LongerScores, SynthesisScores
from vidgan.evaluation.settings import Settings
from vidgan.evaluation.subjects import find_subject
from vidgan.evaluation.tables import text_table
from vidgan.report.cases import Cases

SHORT = {
    "data__frames": 5,
    "discriminators__video": {"name": "video", "width": 4, "norm": "none", "max_receptive_frames": 4},
    "train__steps": 1,
}


@pytest.fixture(scope="module")
def run(shapes_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(small_config("mocogan", shapes_data, tmp_path_factory.mktemp("runs"), **SHORT), quiet=True).run_dir


@pytest.fixture(scope="module")
def longer(run: Path) -> LongerScores:
    scores = evaluate(run, frames=25, clips=4)
    assert isinstance(scores, LongerScores)
    return scores


def test_a_line_a_stretch_and_real_clips_as_far_as_they_reach(longer: LongerScores, run: Path) -> None:
    assert longer.protocol == "held-out-25-frames-by-5"
    assert (longer.frames, longer.real_frames, longer.stretch) == (25, 20, 5)  # the clips of the data have 20 frames
    lines = text_table(longer).splitlines()
    names = [line.split("  ")[0] for line in lines if line.startswith(("generated", "real"))]
    assert names[0] == "generated, frames 1-5" and names[4:6] == ["generated, frames 21-25", "real, frames 1-5"]
    assert len(names) == 9
    assert any("no 4 real clips are longer than 20 frames" in note for note in longer.notes)
    written = json.loads((run / "scores" / "held-out-25-frames-by-5-clips-4.json").read_text())
    assert [len(written["curves"]["motion_energy"][row]) for row in ("generated", "real")] == [5, 4]
    assert written["curves"]["recurrence"]["generated"][0] is None
    assert "motion_energy" in compare_results(
        [run / "scores" / "held-out-25-frames-by-5-clips-4.json"], protocol=None, published=False, form="csv"
    )


def test_the_first_stretch_is_what_a_short_clip_shows(longer: LongerScores, run: Path) -> None:
    made = find_subject(run).model.sample(4, frames=5, seed=0)  # type: ignore[union-attr]
    moved = float(made.float().diff(dim=1).abs().mean() / 255)
    first = longer.scores["generated"]["motion_energy"].horizon[0].mean
    assert first == pytest.approx(moved, rel=1e-3)


@pytest.mark.parametrize("frames", [5, 8, 12])
def test_only_whole_stretches_are_measured(run: Path, frames: int) -> None:
    with pytest.raises(ConfigError, match=f"--frames {frames}: .* trained on clips of 5 frames.*multiple, 10 or more"):
        evaluate(run, frames=frames)


def test_frames_of_the_other_form_are_told_apart(run: Path) -> None:
    options = {"table": False, "published": False, "form": None, "processes": 1, "out": None}
    with pytest.raises(ConfigError, match="FIRST:END is for two folders"):
        evaluate_command([run], Settings(), FolderSettings(frames=(2, 10)), **options)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="--frames 64: of two folders write FIRST:END"):
        evaluate_command([run, run], Settings(frames=64), FolderSettings(), **options)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="--mcs has no effect on clips longer than trained"):
        evaluate(run, frames=25, mcs=True)


def test_pictures_of_real_clips_are_continued(shapes_data: Path, tmp_path: Path) -> None:
    """As long as trained and longer, by a model that draws them anew and by one that moves them."""
    moving = {"generator": "style", "norm": None, "move_picture": True}
    for name, model in {"drawn": {}, "moved": moving}.items():
        changes = SHORT | {"model__image_to_video": True} | {f"model__{key}": value for key, value in model.items()}
        config = small_config("mocogan", shapes_data, tmp_path / name, **changes)
        run = train(config, quiet=True).run_dir
        scores = evaluate(run, clips=4)
        assert isinstance(scores, SynthesisScores)
        assert any("goes on from the first frame of a real one" in note for note in scores.notes)
        assert scores.generated_clips == scores.real_clips == 8 and "copy_ratio" not in scores.scores["generated"]
        longer = evaluate(run, frames=10, clips=4)
        assert isinstance(longer, LongerScores) and len(longer.scores["generated"]["content_drift"].horizon) == 2
        with pytest.raises(ConfigError, match="--mcs has no effect on an image-to-video model"):
            evaluate(run, mcs=True)
        model = find_subject(run).model
        pictures = torch.randint(0, 256, (3, 3, *model.image_size), dtype=torch.uint8)  # type: ignore[union-attr]
        made = model.sample(3, frames=4, seed=1, first_frame=pictures, batch_size=2)  # type: ignore[union-attr]
        assert torch.equal(made[2:], model.sample(3, frames=4, seed=1, first_frame=pictures[2])[2:])  # type: ignore[union-attr]
        assert (made[:, 0] == pictures).all() == (name == "moved")
        with pytest.raises(ValueError, match=r"first_frame must be \(C, H, W\) = .*, or 3 of them, got \(2, "):
            model.sample(3, first_frame=pictures[:2])  # type: ignore[union-attr]


def test_the_nearest_training_windows_are_found_shown_and_kept(run: Path, longer: LongerScores) -> None:
    scores = evaluate(run, clips=4)
    assert isinstance(scores, SynthesisScores)
    made, real = (scores.scores[row]["nearest_training"].mean.mean for row in ("generated", "real"))
    ratio = scores.scores["generated"]["copy_ratio"].mean.mean
    assert made is not None and real is not None and ratio == pytest.approx(made / real)
    assert made > real  # one step of training: noise is farther from the clips than other clips are
    pairs = scores.provenance["nearest"]["pairs"]
    distances = [pair["distance"] for pair in pairs]
    assert len(pairs) == 8 and distances == sorted(distances)
    sheet = np.asarray(Image.open(run / "scores" / "held-out-5-frames-clips-4.nearest.png"))
    blocks = Cases(run).pictures()["held-out-5-frames-clips-4.json"]
    assert len(blocks) == 1 + 8 and f"distance {distances[0]:.4f}" in blocks[1].caption  # type: ignore[union-attr]
    # The pictures are of the very pair: the right half of the first row is the training window that is named.
    places = Places(find_subject(run).data, 5, split="train")
    entry = next(place.entry for place in places.found if place.entry.id == pairs[0]["video"])
    window = places.store.frames(entry, pairs[0]["frames"])[0]
    window = window[:, ::-1] if pairs[0]["mirrored"] else window
    columns = [x for x in range(sheet.shape[1] - 31) if (sheet[2:34, x : x + 32] == window).all()]
    assert len(columns) >= 1 and columns[0] > sheet.shape[1] // 2
    page = report(run).read_text()
    assert "nearest training clip" in page and "Is it copied?" in page
    assert longer.stretch == 5 and "Motion energy over the clip" in page and "stretch of 5 frames" in page


def test_a_copied_clip_shows_as_a_copy(run: Path) -> None:
    subject = find_subject(run)
    places = Places(subject.data, 5, split="train")
    stolen = places.store.frames(places.found[-1].entry, range(3, 8)).transpose(0, 3, 1, 2)  # no window of the grid
    found, compared, there = nearest_windows(subject, torch.from_numpy(stolen.copy())[None])
    assert found[0].distance < 1e-6 and found[0].frames == (3, 4, 5, 6, 7) and not found[0].mirrored
    assert compared == there == 16 * len({place.entry.id for place in places.found})
