"""`vidgan publish` writes a repository that `from_pretrained("owner/name")` reads back."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import run_vidgan
from small_networks import small_dual_motion, small_mocogan

import vidgan.hub as hub
from vidgan.commands.publish import publish
from vidgan.errors import ConfigError
from vidgan.evaluation.results import Score, SynthesisScores
from vidgan.metrics.statistics import Estimate


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with a saved model and a result."""
    model = small_mocogan()
    model.facts = {"frames": 4, "run": "mine", "licence": "MIT", "footage": {"a.mp4": "CC BY 4.0", "b.mp4": "MIT"}}
    model.save_pretrained(tmp_path / "run" / "model")
    number = Estimate(mean=0.25, low=0.2, high=0.3)
    score = Score(number, [])
    result = SynthesisScores(
        protocol="generation", definitions={"motion_energy": "mean square"}, better={}, fingerprint="f",
        frame_size=(32, 32), seed=0, scores={"generated": {"motion_energy": score}, "real": {"motion_energy": score}},
        clips=2, real_clips=2, generated_clips=2, frames=4, splits=1, resamples=1,
    )  # fmt: skip
    (tmp_path / "run" / "scores").mkdir()
    (tmp_path / "run" / "scores" / "test.json").write_text(result.to_json())
    return tmp_path / "run"


def test_a_repository_is_complete_and_nothing_is_uploaded(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "HfApi", None)  # any use fails
    lines: list[str] = []
    done = publish(run, "me/shapes-model", out=tmp_path / "out", space=True, report=lines.append)
    assert sorted(done.files) == [
        "DATA_LICENCE.md", "README.md", "config.json", "model.safetensors", "results/test.json", "sample.webp",
        "space/README.md", "space/app.py", "space/requirements.txt", "vidgan.json",
    ]  # fmt: skip
    assert not done.addresses and "dry run" in lines[-1]
    from huggingface_hub import ModelCard

    card = ModelCard.load(tmp_path / "out" / "README.md")
    assert card.data.license == "mit" and card.data.library_name == "vidgan"
    (entry,) = card.data.eval_results
    assert (entry.metric_type, entry.metric_value, entry.dataset_type) == ("motion_energy", 0.25, "generation")
    assert 'MoCoGAN.from_pretrained("me/shapes-model")' in card.text and "](sample.webp)" in card.text
    assert "| b.mp4 | MIT |" in (tmp_path / "out" / "DATA_LICENCE.md").read_text()
    assert json.loads((tmp_path / "out" / "vidgan.json").read_text())["name"] == "me/shapes-model"
    assert "https://me-shapes-model-studio.hf.space/?token=" in (tmp_path / "out" / "space" / "README.md").read_text()
    compile((tmp_path / "out" / "space" / "app.py").read_text(), "app.py", "exec")


def test_the_repository_is_read_back_from_the_cache_of_the_hub(run: Path, tmp_path: Path) -> None:
    """The hub's file layout: refs/main names a commit, whose files lie under snapshots/."""
    repository = tmp_path / "home" / "hub" / "models--me--shapes-model"
    commit = "0123456789abcdef0123456789abcdef01234567"
    publish(run, "me/shapes-model", out=repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    script = (
        "import numpy, vidgan; model = vidgan.MoCoGAN.from_pretrained('me/shapes-model');"
        "numpy.save('clips.npy', model.sample(2, seed=1).numpy())"
    )
    environment = os.environ | {"HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    expected = vidgan_model(run).sample(2, seed=1)
    assert torch.equal(torch.from_numpy(np.load(tmp_path / "clips.npy")), expected)


def vidgan_model(run: Path) -> Any:
    from vidgan import MoCoGAN

    return MoCoGAN.from_pretrained(run)


class Recorded:
    """Stands for `HfApi`."""

    calls: list[tuple[str, dict[str, Any]]]

    def __init__(self, token: str | None = None) -> None:
        pass

    def create_repo(self, name: str, **options: Any) -> None:
        self.calls.append((name, options))

    def upload_folder(self, **options: Any) -> str:
        self.calls.append((options["repo_id"], options))
        return f"https://hub/{options['repo_id']}"


def test_an_upload_needs_credentials_and_licences(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "HfApi", Recorded)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    Recorded.calls = []
    with pytest.raises(ConfigError, match="HF_TOKEN"):
        publish(run, "me/model", out=tmp_path / "out", upload=True)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "secret")
    done = publish(run, "me/model", out=tmp_path / "out", space=True, upload=True)
    assert done.addresses == ["https://hub/me/model", "https://hub/me/model-studio"]
    assert [(name, options["repo_type"]) for name, options in Recorded.calls] == [
        ("me/model", "model"), ("me/model", "model"), ("me/model-studio", "space"), ("me/model-studio", "space"),
    ]  # fmt: skip
    assert Recorded.calls[1][1]["ignore_patterns"] == ["space/*"]
    model = small_dual_motion()
    model.facts = {"frames": 4, "context": 2}
    model.save_pretrained(tmp_path / "unlicensed")
    with pytest.raises(ConfigError, match="--licence"):
        publish(tmp_path / "unlicensed", "me/model", out=tmp_path / "other", upload=True)
    with pytest.raises(ConfigError, match="--data-licence"):
        publish(tmp_path / "unlicensed", "me/model", out=tmp_path / "other", licence="MIT", upload=True)
    lines: list[str] = []
    done = publish(
        tmp_path / "unlicensed", "me/model", out=tmp_path / "other", licence="MIT", data_licence="my own",
        report=lines.append,
    )  # fmt: skip
    assert any("no scores are published" in line for line in lines)
    assert done.files["sample.webp"] > 0 and "my own" in (tmp_path / "other" / "DATA_LICENCE.md").read_text()


def test_bad_names_and_existing_folders(
    run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("model", "a/b/c", "me/..", "me/-model-"):
        with pytest.raises(ConfigError, match=r"owner/name"):
            publish(run, name, out=tmp_path / "out")
    (tmp_path / "full").mkdir()
    arguments = ("publish", run, "me/model", "--out", tmp_path / "full", "--overwrite")
    for name in ("mine.txt", "README.md"):  # a README does not make a folder a result of this command
        (tmp_path / "full" / name).write_text("mine")
        code, _, message = run_vidgan(capfd, monkeypatch, *arguments)
        assert code == 2 and "full" in message and (tmp_path / "full" / name).read_text() == "mine"
