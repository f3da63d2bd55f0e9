"""Folders of videos, as pairs and as sets. PredNet's own output is scored to the values measured on it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import second_process
from typer.testing import CliRunner

from vidgan.cli.app import app
from vidgan.commands.compare import compare
from vidgan.errors import ConfigError, DataError
from vidgan.evaluation import networks
from vidgan.evaluation.results import FolderScores, SynthesisScores
from vidgan.evaluation.settings import parse_frames, parse_weights

# Frames 2..9 of three Caltech sequences: (PSNR, SSIM) of PredNet's prediction and of the true frame before.
PREDNET = {"m1_0": (28.04, 0.870), "m1_1": (20.68, 0.629), "m1_2": (25.18, 0.825)}
COPIED = {"m1_0": (22.47, 0.700), "m1_1": (15.12, 0.315), "m1_2": (18.33, 0.573)}
COPIED_MSE = {"m1_0": 0.00595, "m1_1": 0.03111, "m1_2": 0.01485}


def pairs(predicted: Path, true: Path, **options: Any) -> FolderScores:
    scores = compare(predicted, true, **options)
    assert isinstance(scores, FolderScores)
    return scores


RANK_ONE = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[3:]
from test_folders import compare_by_stand_in
compare_by_stand_in(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def compare_by_stand_in(generated: Path, real: Path) -> tuple[SynthesisScores, int]:
    """The result with random weights in the place of fetched ones, and the number of frames that this process read."""
    frames = 0

    def load(network: Any, name: str, path: Path) -> Any:
        def count(module: Any, arguments: tuple[torch.Tensor, ...]) -> None:
            nonlocal frames
            frames += len(arguments[0])

        torch.manual_seed(0)
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
        network.register_forward_pre_hook(count)
        return network.eval().requires_grad_(False)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks, "load_network", load)
        scores = sets(generated, real, weights={"efficientnet-lite2": generated / "0.npy"})
    return scores, frames


def sets(generated: Path, real: Path, **options: Any) -> SynthesisScores:
    scores = compare(generated, real, unpaired=True, **options)
    assert isinstance(scores, SynthesisScores)
    return scores


def mean(scores: FolderScores, row: str, metric: str) -> np.ndarray:
    """(V,) means over frames."""
    return scores.rows.values[row][metric].mean(axis=1)


def test_a_real_peer_is_scored_as_it_was_measured(shared_data: Path) -> None:
    folder = shared_data / "driving" / "caltech_prednet"
    scores = pairs(
        folder / "m1_*_prednet.png",
        folder / "m1_*_actual.png",
        strip_frame=(128, 160),
        frames=(2, 10),
        metrics=("mse", "psnr", "ssim"),
    )
    assert scores.rows.windows == ["0", "1", "2"] and scores.frames == 24
    for row, wanted in (("prediction", PREDNET), ("copy-previous", COPIED)):
        for n, (psnr, ssim) in enumerate(wanted.values()):
            assert mean(scores, row, "psnr")[n] == pytest.approx(psnr, abs=0.05)
            assert mean(scores, row, "ssim")[n] == pytest.approx(ssim, abs=0.005)
    assert mean(scores, "copy-previous", "mse") == pytest.approx([*COPIED_MSE.values()], abs=1e-5)
    # Frame 1 repeated over 8 frames is increasingly wrong; repeated once it is the previous frame.
    copies = [scores.rows.values[row]["psnr"] for row in ("copy-last", "copy-previous")]
    assert (copies[0][:, 0] == copies[1][:, 0]).all() and (copies[0][:, 3:] < copies[1][:, 3:]).all()
    assert scores.by_video["0"]["psnr"] == pytest.approx(28.04, abs=0.05)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Six videos of 4 frames; the predictions are 51 levels off, which is an MSE of 0.04."""
    random = np.random.default_rng(0)
    for name in ("predicted", "true"):
        (tmp_path / name).mkdir()
    for n in range(6):
        clip = random.integers(0, 200, (4, 16, 16, 3), np.uint8)
        np.save(tmp_path / "true" / f"{n}.npy", clip)
        np.save(tmp_path / "predicted" / f"{n}.npy", clip + 51)
    return tmp_path / "predicted", tmp_path / "true"


def test_pairs(folders: tuple[Path, Path]) -> None:
    scores = pairs(*folders)
    assert scores.provenance["predicted"] == "predicted" and scores.provenance["seeds"] == [0]
    assert scores.scores["prediction"]["mse"].mean.mean == pytest.approx(0.04)
    assert set(scores.scores) == {"prediction"}  # no frame precedes the scored ones
    late = pairs(*folders, frames=(1, None), metrics=("mse",))
    assert late.frames == 18 and late.protocol == "folder-frames-1toend"
    assert {"copy-last", "copy-previous"} <= late.scores.keys()
    curve = late.scores["copy-last"]["mse"].horizon
    assert [step.mean for step in curve] == pytest.approx(late.rows.values["copy-last"]["mse"].mean(axis=0).tolist())


def test_two_files_are_a_pair_whatever_their_names(folders: tuple[Path, Path]) -> None:
    predicted, true = folders
    (predicted / "0.npy").rename(predicted / "ours.npy")
    scores = pairs(predicted / "ours.npy", true / "0.npy")
    assert scores.by_video == {"0": scores.by_video["0"]} and scores.by_video["0"]["mse"] == pytest.approx(0.04)


def test_strips_without_a_frame_size_are_refused(shared_data: Path) -> None:
    folder = shared_data / "driving" / "caltech_prednet"
    with pytest.raises(ConfigError, match="--strip-frame"):
        pairs(folder / "*_prednet.png", folder / "*_actual.png")


def test_folders_that_do_not_fit_are_named(folders: tuple[Path, Path]) -> None:
    predicted, true = folders
    with pytest.raises(ValueError, match=r"^0: .*4 frames.*2:10"):
        pairs(predicted, true, frames=(2, 10))
    with pytest.raises(ConfigError, match=r"\*_x\.npy: .*0\.npy"):
        pairs(predicted / "*_x.npy", true)
    with pytest.raises(ConfigError, match="--protocol, --clips"):
        pairs(predicted, true, clips=3, protocol="folder")
    with pytest.raises(ConfigError, match="--metrics"):
        sets(predicted, true, metrics=("psnr",))
    np.save(predicted / "0.npy", np.zeros((4, 8, 16, 3), np.uint8))
    with pytest.raises(ValueError, match=r"^0: .*\(4, 3, 8, 16\)"):
        pairs(*folders)
    (true / "5.npy").unlink()
    with pytest.raises(ValueError, match="true video named 5"):
        pairs(*folders)


def test_two_processes_share_the_features_of_sets(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIDGAN_CACHE", str(tmp_path / "alone"))
    alone, all_frames = compare_by_stand_in(*folders)
    monkeypatch.setenv("VIDGAN_CACHE", str(tmp_path / "together"))
    with second_process(RANK_ONE, *folders, *Path(__file__).parents[:2]):
        together, own_frames = compare_by_stand_in(*folders)
    assert together.scores == alone.scores and "appearance_frechet" in together.scores["generated"]
    assert own_frames < 0.6 * all_frames
    assert (alone.provenance["hardware"]["processes"], together.provenance["hardware"]["processes"]) == (1, 2)
    result = CliRunner().invoke(app, ["compare", *map(str, folders), "--unpaired", "--processes", "2"])
    assert isinstance(result.exception, ConfigError) and "--processes has no effect" in str(result.exception)


def test_sets_need_no_pairs(folders: tuple[Path, Path]) -> None:
    predicted, true = folders
    (predicted / "5.npy").rename(predicted / "other.npy")
    scores = sets(predicted, true, seeds=2)
    assert (scores.protocol, scores.frames, scores.seeds) == ("sets-4-frames", 4, [0, 1])
    assert {"generated", "real", "frozen", "shuffled", "reversed", "blurred"} <= scores.scores.keys()
    distance = {row: scores.scores[row]["frechet_inhouse"].mean.mean for row in ("generated", "real")}
    assert distance["real"] < distance["generated"]  # type: ignore[operator]
    assert any("3 clips per set" in note and "frechet_inhouse" in note for note in scores.notes)
    with pytest.raises(ConfigError, match="--protocol davis"):
        sets(predicted, true, protocol="davis")
    np.save(true / "0.npy", np.zeros((4, 8, 16, 3), np.uint8))
    with pytest.raises(ValueError, match=r"\(3, 8, 16\)"):
        sets(predicted, true)


def test_fewer_clips_than_there_are_are_drawn_at_random(tmp_path: Path) -> None:
    """Sixteen real clips sorted by class, dark and bright."""
    for name, count in (("made", 8), ("true", 16)):
        (tmp_path / name).mkdir()
        for n in range(count):
            level = 40 if n < count // 2 else 200
            np.save(tmp_path / name / f"{n:02}.npy", np.full((4, 16, 16, 3), level + n, np.uint8))
    folders = (tmp_path / "made", tmp_path / "true")
    scores = sets(*folders, clips=4)
    assert (scores.clips, scores.real_clips) == (4, 8)
    # The classes are 160 levels apart; the diversity within one class is much smaller.
    assert scores.scores["real"]["diversity"].mean.mean > 0.05  # type: ignore[operator]
    whole = [sets(*folders, clips=8, seed=seed).fingerprint for seed in (0, 1)]
    assert whole[0] == whole[1] != scores.fingerprint


class Classes(torch.nn.Module):
    """Replaces C3D: two classes, dark and bright clips."""

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        bright = clips.mean(dim=(1, 2, 3, 4)) > 100
        return torch.stack([bright, ~bright], dim=1).float()


@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")
def test_the_inception_score_by_a_protocol(tmp_path: Path) -> None:
    """Half of the clips are bright: a score of 2 in one split. In ten splits of one clip each it is 1."""
    torch.jit.script(Classes()).save(str(tmp_path / "c3d.pt"))
    np.savez(tmp_path / "mean2.npz", mean=np.zeros((3, 1, 16, 128, 171), np.float32))
    for name in ("made", "true"):
        (tmp_path / name).mkdir()
        for n in range(10):
            np.save(tmp_path / name / f"{n}.npy", np.full((16, 64, 64, 3), 40 if n < 5 else 200, np.uint8))
    weights: dict[str, Path] = {"c3d": tmp_path / "c3d.pt", "c3d-mean": tmp_path / "mean2.npz"}
    folders = (tmp_path / "made", tmp_path / "true")
    options: dict[str, Any] = {"protocol": "gen-ucf-is", "weights": weights, "clips": 10, "allow_deviation": True}
    one = sets(*folders, **options)
    assert one.scores["generated"].keys() == {"inception_score"}
    assert one.scores["generated"]["inception_score"].mean.mean == pytest.approx(2, abs=1e-4)
    ten = sets(*folders, **options | {"protocol": "gen-ucf-is-10split"})
    assert ten.scores["generated"]["inception_score_10"].mean.mean == pytest.approx(1, abs=1e-4)
    assert [*ten.provenance["metric_weights"]] == ["c3d.pt", "mean2.npz"]
    with pytest.raises(DataError, match="9984 clips.* 10 generated.*--clips 10"):
        sets(*folders, **options | {"clips": None})
    with pytest.raises(ConfigError, match="--weights face"):
        sets(*folders, weights={"face": tmp_path / "c3d.pt"})


class Stub(torch.nn.Module):
    """Replaces the I3D file: 400 numbers per clip, with the same signature."""

    def forward(self, x: torch.Tensor, rescale: bool, resize: bool, return_features: bool) -> torch.Tensor:
        return x.float().flatten(1)[:, :400] / 255.0


def test_sets_by_a_protocol(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    torch.jit.script(Stub()).save(str(tmp_path / "i3d.pt"))
    for name, count in (("made", 6), ("true", 12)):
        (tmp_path / name).mkdir()
        for n in range(count):
            np.save(tmp_path / name / f"{n}.npy", random.integers(0, 256, (18, 16, 16, 3), np.uint8))
    options: dict[str, Any] = {"protocol": "gen-fvd2048-16", "weights": {"i3d": tmp_path / "i3d.pt"}}
    folders = (tmp_path / "made", tmp_path / "true")
    with pytest.raises(ConfigError, match=r"16x16.*--allow-deviation"):
        sets(*folders, **options)
    with pytest.raises(DataError, match="2048 clips of 16 frames.* 6 generated"):
        sets(*folders, **options, allow_deviation=True)
    scores = sets(*folders, **options, allow_deviation=True, clips=6)
    assert (scores.clips, scores.real_clips, scores.frames) == (6, 12, 16)
    made, floor = (scores.scores[row]["fvd"].mean.mean for row in ("generated", "real"))
    assert made is not None and floor is not None and made == pytest.approx(floor, rel=0.2)  # noise against noise


def test_options_are_read() -> None:
    assert [parse_frames(text) for text in ("2:10", "2:", ":3")] == [(2, 10), (2, None), (0, 3)]
    for text in ("4:4", "-1:3", "a:b", "64"):
        with pytest.raises(ConfigError, match="--frames"):
            parse_frames(text)
    assert parse_weights(["i3d=a/b.pt", "c3d=x=y"]) == {"i3d": Path("a/b.pt"), "c3d": Path("x=y")}
    for wrong in (["i3d"], ["=x"], ["i3d="], ["i3d=a", "i3d=b"]):
        with pytest.raises(ConfigError, match="--weights"):
            parse_weights(wrong)


def test_the_commands_write_results_and_compare_them(folders: tuple[Path, Path], tmp_path: Path) -> None:
    predicted, true = folders
    better = tmp_path / "better"
    better.mkdir()
    for file in predicted.iterdir():
        np.save(better / file.name, np.load(true / file.name) + 5)

    def run(*arguments: object) -> str:
        done = CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False)
        assert done.exit_code == 0
        return done.stdout

    for name, folder in (("ours", predicted), ("theirs", better)):
        text = run("compare", folder, true, "--metrics", "mse,psnr", "--out", tmp_path / f"{name}.json")
        assert "folder: 6 videos, 24 frames at 16x16" in text and "video by video" in text
    results = [tmp_path / "ours.json", tmp_path / "theirs.json"]
    rows = run("table", *results, "--format", "csv", "--out", tmp_path / "table.csv").splitlines()
    assert (tmp_path / "table.csv").read_text().splitlines() == rows
    difference = next(row for row in rows if "theirs - ours,mse" in row).split(",")
    assert float(difference[4]) == pytest.approx((5**2 - 51**2) / 255**2)
    with pytest.raises(ConfigError, match=r"--format html: .*text, markdown, latex, csv, json"):
        run("compare", predicted, true, "--format", "html")
    with pytest.raises(ConfigError, match=r"--format json: .*text, markdown, latex, csv$"):
        run("table", *results, "--format", "json")
    for command in (("compare", predicted, true), ("table", *results)):
        with pytest.raises(FileExistsError, match=r"ours\.json"):
            run(*command, "--out", tmp_path / "ours.json")
    with pytest.raises(ConfigError, match="--published"):
        run("compare", predicted, true, "--published")
