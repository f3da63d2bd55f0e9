"""The training step of paired translation: what it optimises, and that runs are exact."""

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import small_config

from vidgan.build import build_algorithm, build_loader, build_networks, build_training_data
from vidgan.commands.evaluate import evaluate
from vidgan.commands.report import report
from vidgan.commands.train import train
from vidgan.data.preparing.conditions import prepare_pairs
from vidgan.data.preparing.prepare import prepare
from vidgan.errors import ConfigError, DataError
from vidgan.evaluation.results import MappingScores
from vidgan.pixels import to_float
from vidgan.seeding import Draws
from vidgan.tasks.translation.training import PairedTraining, flow_error, temporal_error, unrolled_frames
from vidgan.training.accelerator import build_accelerator


def algorithm(data: Path, out: Path, **changes: Any) -> tuple[PairedTraining, Any]:
    """The algorithm of a small run and its first micro-batches."""
    config = small_config("translation", data, out, **changes)
    dataset = build_training_data(config)
    accelerator = build_accelerator("cpu")
    made: Any = build_algorithm(config, build_networks(config, dataset), accelerator)
    loader = build_loader(config, dataset, accelerator)
    batch = next(loader.batches(0))[0]
    return made, [(batch, Draws(0, "step", 0, rows=range(len(batch.clip))))]


def test_the_number_of_frames_doubles() -> None:
    counts = [unrolled_frames(step, first=2, double_every=10, frames=7) for step in (0, 9, 10, 19, 20, 10**9)]
    assert counts == [2, 2, 4, 4, 7, 7]
    assert unrolled_frames(5, first=8, double_every=None, frames=5) == 5


def test_flow_and_temporal_errors_of_a_shift() -> None:
    """Exact flow explains a shifted texture; flow of zero does not. A clip like the true one has no temporal error."""
    coarse = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    texture = torch.nn.functional.interpolate(coarse, size=(32, 32), mode="bicubic") * 1.6 - 0.8
    real = torch.stack([texture.roll(time, dims=-1) for time in range(3)], dim=1)
    exact = torch.zeros(1, 2, 2, 32, 32)
    exact[:, :, 0] = -1
    still = flow_error(torch.zeros_like(exact), real)
    assert flow_error(exact, real) < 0.02 * still  # the border row wraps around, but its origin is outside
    frozen = real[:, :1].expand_as(real)
    assert temporal_error(real, real) < 0.2 * temporal_error(frozen, real)
    assert flow_error(None, real[:, :1]).item() == temporal_error(real[:, :1], real[:, :1]).item() == 0


def test_a_step_moves_every_network_and_draws_more_frames_later(shapes_data: Path, tmp_path: Path) -> None:
    made, micros = algorithm(shapes_data, tmp_path)
    before = {name: [p.detach().clone() for p in network.parameters()] for name, network in made.trainees.raw.items()}
    measured = made.step(0, micros)
    assert float(measured["unrolled_frames"]) == 4
    for name, network in made.trainees.raw.items():
        moved = [not torch.equal(old, new) for old, new in zip(before[name], network.parameters(), strict=True)]
        assert all(moved), name
    assert float(made.step(2, micros)["unrolled_frames"]) == 5
    for term in ("l1", "raw", "feature_matching", "flow", "temporal", "adversarial_frame", "adversarial_video"):
        assert measured[f"loss/generator/{term}"].isfinite(), term


def test_both_discriminators_see_the_condition(shapes_data: Path, tmp_path: Path) -> None:
    made, micros = algorithm(shapes_data, tmp_path)
    seen = {}
    for name in ("frame", "video"):
        network = made.trainees.raw[name]
        network.register_forward_pre_hook(lambda _, args, name=name: seen.setdefault(name, []).append(args[0].detach()))
    made.step(0, micros)
    frames, clips = seen["frame"], seen["video"]
    assert frames[0].shape == (16, 4, 32, 32) and clips[0].shape == (4, 4, 4, 32, 32)
    for real, fake in ((frames[0], frames[1]), (clips[0], clips[1])):
        axis = -3
        condition, other = (part.narrow(axis, 0, 1) for part in (real, fake))
        assert torch.equal(condition, other), "real and fake share the condition"
        assert not torch.equal(real.narrow(axis, 1, 3), fake.narrow(axis, 1, 3))


def test_a_discriminator_learns_whether_the_condition_fits(shapes_data: Path, tmp_path: Path) -> None:
    """D alone on true pairs against pairs with another clip's condition: it must use the condition."""
    made, _ = algorithm(shapes_data, tmp_path, discriminators__frame={"kind": "patch", "layers": 2, "width": 16})
    network = made.trainees.raw["frame"]
    dataset = build_training_data(small_config("translation", shapes_data, tmp_path))
    clips = torch.stack([dataset[0, item].clip[0] for item in range(0, len(dataset), 4)])  # of different clips
    generator: Any = made.trainees.raw["generator"]
    condition, clip = map(to_float, generator.pair_of(clips[:, None], Draws(0, rows=range(len(clips)))))
    true = torch.cat([condition, clip], dim=2)[:, 0]
    false = torch.cat([condition.roll(1, dims=0), clip], dim=2)[:, 0]
    network.requires_grad_(True)
    optimizer = torch.optim.Adam(network.parameters(), lr=4e-3)
    for _ in range(120):
        logits = torch.cat([network(part).real.flatten(1).mean(dim=1) for part in (true, false)])
        labels = torch.cat([torch.ones(len(true)), torch.zeros(len(false))])
        optimizer.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(logits, labels).backward()
        optimizer.step()
    assert ((logits > 0) == (labels > 0)).float().mean() > 0.95


def test_resumed_equals_uninterrupted(shapes_data: Path, tmp_path: Path) -> None:
    whole = train(small_config("translation", shapes_data, tmp_path / "a"), quiet=True)
    train(small_config("translation", shapes_data, tmp_path / "b", train__steps=2), quiet=True)
    resumed = train(small_config("translation", shapes_data, tmp_path / "b"), quiet=True, accept_changes=True)
    one, other = ((result.run_dir / "model" / "model.safetensors").read_bytes() for result in (whole, resumed))
    assert one == other


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"model__generator": {"kind": "direct"}}, "objective.weights.flow"),
        ({"model__condition": {"kind": "edges"}, "model__residual": True}, "residual"),
        ({"model__condition": {"kind": "dropped"}, "data__frames": 6}, "data.frames=6"),
        ({"objective__unroll": 6}, "objective.unroll=6"),
        ({"objective__unroll": 2}, "discriminators.video.max_receptive_frames=4"),
        ({"objective__unroll_double": None}, "unroll and unroll_double"),
        ({"model__condition": {"kind": "stored"}, "data__augment": ["tone"]}, "data.augment"),
        ({"model__condition": {"kind": "canny"}}, "model.condition"),
        ({"objective__weights": {"temporal": 1.0, "adversarial_frame": None, "adversarial_video": None}}, "weights"),
    ],
)
def test_impossible_configs_are_refused(changes: dict[str, Any], key: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=key):
        small_config("translation", tmp_path, tmp_path, **changes)


def test_colours_cannot_be_learned_from_grey_clips(tmp_path: Path) -> None:
    import numpy as np

    (tmp_path / "in").mkdir()
    for number in range(6):
        grey = np.random.default_rng(number).integers(0, 256, (8, 32, 32, 1), dtype=np.uint8)
        np.save(tmp_path / "in" / f"{number}.npy", np.repeat(grey, 3, axis=-1))
    prepare(tmp_path / "in", tmp_path / "data", size=(32, 32), holdout=0.0)
    with pytest.raises(DataError, match=r"data\.root.*grey"):
        train(small_config("translation", tmp_path / "data", tmp_path), quiet=True)


def test_label_maps_train_and_preview(shapes_data: Path, tmp_path: Path) -> None:
    from vidgan.data.synthetic.shapes import render_shapes

    render_shapes(tmp_path / "videos", clips=6, frames=8, size=32, seed=1)
    prepare_pairs(tmp_path / "videos", tmp_path / "videos", tmp_path / "data", size=(32, 32), holdout=0.34)
    config = small_config(
        "translation", tmp_path / "data", tmp_path, train__steps=1, every__preview=1, every__evaluate=1,
        model__condition={"kind": "stored"}, train__batch_size=2,
    )  # fmt: skip
    result = train(config, quiet=True)
    assert list((result.run_dir / "previews").glob("*.png"))
    scores = evaluate(result.run_dir)
    assert isinstance(scores, MappingScores)
    assert scores.baselines == ["each frame alone", "median of 3 frames"] and scores.reference == "each frame alone"
    assert scores.scores["real"]["warp_error"].mean.mean is not None
    assert scores.differences["translated"]["psnr"].mean.mean is not None
    page = report(result.run_dir)
    assert "median of 3 frames" in page.read_text()
