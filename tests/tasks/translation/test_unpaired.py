"""Unpaired translation: each term on networks whose values are known, the pool, and the test for hidden signals."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import small_config
from torch import Tensor, nn

from vidgan.build import build_algorithm, build_networks, build_training_data
from vidgan.commands.evaluate import evaluate
from vidgan.commands.train import train
from vidgan.data.preparing.prepare import prepare
from vidgan.data.unpaired import UnpairedDataset
from vidgan.errors import ConfigError, DataError
from vidgan.evaluation.results import MappingScores
from vidgan.seeding import Draws
from vidgan.tasks.translation.corruption import CORRUPTIONS, corrupt, jpeg
from vidgan.tasks.translation.fake_pool import FakePool
from vidgan.tasks.translation.synthetic_flow import inside_frame, synthetic_flow
from vidgan.tasks.translation.training import warp_clip
from vidgan.tasks.translation.unpaired_training import UnpairedTraining
from vidgan.tasks.translation.unpaired_translator import UnpairedTranslator
from vidgan.training.accelerator import build_accelerator
from vidgan.types import ClipBatch


def draws(rows: int = 2) -> Draws:
    return Draws("test", rows=range(rows))


class Pointwise(nn.Module):
    """An affine map of colours; commutes with every warp."""

    def forward(self, maps: Tensor) -> Tensor:
        return 0.5 * maps.flip(1) - 0.1


class RowNumber(nn.Module):
    """Adds the number of the row: notices vertical shifts alone."""

    def forward(self, maps: Tensor) -> Tensor:
        return torch.arange(maps.shape[-2], dtype=maps.dtype)[:, None].expand_as(maps) / 100


class Stop(nn.Module):
    """A correction of zero."""

    def forward(self, maps: Tensor) -> Tensor:
        return torch.zeros_like(maps[:, :3])


class ConstantVelocity(nn.Module):
    """The newer of two frames, moved on as it moved: exact for a shift by one pixel a frame."""

    def forward(self, maps: Tensor) -> Tensor:
        last = maps[:, 3:]
        return last.roll(1, dims=-1) - last


def model(
    there: nn.Module, back: nn.Module, predictor: nn.Module | None = None, *, residual: bool
) -> UnpairedTranslator:
    predictors = {} if predictor is None else {"a": predictor, "b": copy.deepcopy(predictor)}
    return UnpairedTranslator(there=there, back=back, predictors=predictors, image_size=(32, 32), residual=residual)


def clips(frames: int = 4) -> Tensor:
    """(2, T, 3, 32, 32) in [-1, 1]: textures that move right by one pixel a frame."""
    coarse = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    texture = nn.functional.interpolate(coarse, size=(32, 32), mode="bicubic") * 1.4 - 0.7
    return torch.stack([texture.roll(time, dims=-1) for time in range(frames)], dim=1)


class _Trainees:
    """The part of `Trainees` that the terms use."""

    def __init__(self, generator: nn.Module) -> None:
        self.raw = self.prepared = {"generator": generator}

    def autocast(self) -> Any:
        return torch.autocast("cpu", enabled=False)


class _Game:
    def __init__(self, generator: nn.Module, weights: dict[str, float]) -> None:
        self.trainees, self.ema, self.weights = _Trainees(generator), None, weights
        self.adversaries: dict[str, Any] = {}
        self.own_terms: dict[str, Any] = {}


def losses(generator: nn.Module, *terms: str, clip: Tensor | None = None) -> dict[str, float]:
    """The terms on a batch whose domains both show the same moving textures."""
    game: Any = _Game(generator, dict.fromkeys(terms, 1.0))
    shown = clips() if clip is None else clip
    byte = ((torch.cat([shown, shown.flip(0)], dim=2) + 1) * 127.5).round().to(torch.uint8)
    empty = torch.zeros(2)
    batch = ClipBatch(byte, empty, torch.zeros(2, 0, 2, 32, 32), empty)
    return {
        name: float(value) for name, value in UnpairedTraining(game).generator_losses(batch, draws()).losses.items()
    }


def test_identity_networks_have_no_cycle_error() -> None:
    generator = model(Stop(), Stop(), ConstantVelocity(), residual=True)
    found = losses(generator, "cycle", "cycle_l2", "identity", "predictor", "recycle", "motion_cycle", "equivariance")
    assert max(abs(value) for value in found.values()) < 1e-5, found


def test_errors_where_they_belong() -> None:
    """G adds .2, F nothing: cycle and identity are .2 in both directions; a frozen prediction misses the motion."""

    class Add(nn.Module):
        def forward(self, maps: Tensor) -> Tensor:
            return torch.full_like(maps, 0.2)

    found = losses(model(Add(), Stop(), Stop(), residual=True), "cycle", "cycle_l2", "identity", "predictor")
    assert found["cycle"] == pytest.approx(0.4, abs=1e-5) and found["cycle_l2"] == pytest.approx(0.08, abs=1e-5)
    assert found["identity"] == pytest.approx(0.2, abs=1e-5)
    moved = (clips()[:, 2:] - clips()[:, 1:-1]).abs().mean().item()
    assert found["predictor"] == pytest.approx(2 * moved, rel=0.05)


def test_equivariance_sees_what_does_not_move_along() -> None:
    assert losses(model(Pointwise(), Pointwise(), residual=True), "equivariance")["equivariance"] < 1e-5
    fixed = model(RowNumber(), RowNumber(), residual=True)
    assert losses(fixed, "equivariance")["equivariance"] > 1e-3
    for shift, expected in (((3.0, 0.0), 0.0), ((0.0, 3.0), 0.03)):
        flow = torch.tensor(shift).view(1, 1, 2, 1, 1).expand(2, 4, 2, 32, 32)
        first, last = fixed(warp_clip(clips(), flow), "b"), warp_clip(fixed(clips(), "b"), flow)
        inside = inside_frame(flow).expand_as(first).bool()
        assert (first - last)[inside].abs().mean().item() == pytest.approx(expected, abs=1e-4), shift


def test_synthetic_flow_works_below_100_pixels() -> None:
    flow = synthetic_flow(draws(64), (32, 48))
    assert flow.shape == (64, 2, 32, 48)
    steps = torch.cat([flow.diff(dim=-1).flatten(), flow.diff(dim=-2).flatten()]).abs()
    assert 0.5 < flow.std().item() < 4 and steps.mean() < 0.5, "a few pixels, and smooth"
    assert torch.equal(flow[5:6], synthetic_flow(Draws("test", rows=[5]), (32, 48)))


def test_the_pool() -> None:
    fakes = torch.arange(8.0).view(8, 1, 1, 1).expand(-1, 3, 2, 2)
    assert torch.equal(FakePool(0, (3, 2, 2))(fakes, draws(8)), fakes)
    pool = FakePool(4, (3, 2, 2))
    first = pool(fakes, draws(8))
    assert torch.equal(first[:4], fakes[:4]), "while it fills, each is given back"
    twin = FakePool(4, (3, 2, 2))
    twin.load_state_dict(pool.state_dict())
    later = fakes + 100
    given = pool(later, Draws("later", rows=range(8)))
    old = given[:, 0, 0, 0] < 100
    assert 0 < int(old.sum()) < 8, "some are old, some new"
    assert set(given[old][:, 0, 0, 0].tolist()) <= {0, 1, 2, 3, 4, 5, 6, 7}, "old ones are what was shown before"
    assert torch.equal(given, twin(later, Draws("later", rows=range(8)))), "its content is its state"


def test_corruptions() -> None:
    clip = clips()
    rounded = corrupt(clip.requires_grad_(), ("rounding",), draws())
    levels = (rounded + 1) * 127.5
    assert torch.allclose(levels, levels.round(), atol=1e-3)
    rounded.sum().backward()
    assert clip.grad is not None and torch.equal(clip.grad, torch.ones_like(clip))
    noisy = corrupt(clips(), ("noise",), draws()) - clips()
    assert noisy.std().item() * 127.5 == pytest.approx(2, rel=0.05)
    spike = torch.zeros(1, 1, 3, 5, 5)
    spike[..., 2, 2] = 9
    assert torch.allclose(corrupt(spike, ("blur",), draws(1))[0, 0, 0, 1:4, 1:4], torch.ones(3, 3))
    grey = ((clips()[:, :, :1] + 1) * 127.5).round().to(torch.uint8).expand(-1, -1, 3, -1, -1)
    assert 0 < (jpeg(grey).int() - grey.int()).abs().float().mean() < 4
    assert set(CORRUPTIONS) == {"noise", "rounding", "blur"}


class Hide(nn.Module):
    """A grey picture whose low bits hold the input."""

    def forward(self, maps: Tensor) -> Tensor:
        return torch.atanh((maps / 256).clamp(-0.99, 0.99))


class Find(nn.Module):
    def forward(self, maps: Tensor) -> Tensor:
        return torch.atanh((maps * 256).clamp(-0.999999, 0.999999))


def test_a_hidden_signal_is_found() -> None:
    """A constant translation from which all comes back: perfect until it is saved, then that of a constant."""
    hiding = model(Hide(), Find(), residual=False)
    given = ((clips() + 1) * 127.5).round().to(torch.uint8)
    output = hiding.map_clips(given)
    assert int(output.max()) - int(output.min()) <= 1, "nothing to see"
    values = {name: metric.function(given, output, None).mean() for name, metric in hiding.own_metrics().items()}
    assert list(values) == [
        "cycle_psnr",
        "cycle_psnr_rounded",
        "cycle_psnr_jpeg",
        "cycle_psnr_noise",
        "cycle_psnr_blur",
    ]
    assert values["cycle_psnr"] > 50
    assert max(value for name, value in values.items() if name != "cycle_psnr") < 15
    honest = model(Stop(), Stop(), residual=True)
    honest_values = {
        name: metric.function(given, honest.map_clips(given), None).min()
        for name, metric in honest.own_metrics().items()
    }
    assert honest_values["cycle_psnr_rounded"] > 100 and honest_values["cycle_psnr_jpeg"] > 25
    metric = hiding.own_metrics()["cycle_psnr"]
    assert np.isnan(metric.function(given, given, None)).all(), "of its own output only"


def test_streams_of_any_size_in_both_directions() -> None:
    made = model(Pointwise(), Stop(), residual=True)
    frames = torch.randint(0, 256, (3, 3, 33, 50), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    back = torch.stack(list(made.translate_frames(frames, to="a")))
    assert torch.equal(back, frames), "F changes nothing"
    there = torch.stack(list(made.translate_frames(frames, to="b")))
    assert there.shape == frames.shape and torch.equal(there, made.map_clips(frames[None])[0])


@pytest.fixture(scope="module")
def domains(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two data sets of noise clips: dark, and twice as many bright ones."""
    folder = tmp_path_factory.mktemp("domains")
    for name, low, number in (("a", 0, 4), ("b", 128, 8)):
        (folder / "in" / name).mkdir(parents=True)
        for clip in range(number):
            pixels = np.random.default_rng((low, clip)).integers(low, low + 100, (6, 32, 32, 3), dtype=np.uint8)
            np.save(folder / "in" / name / f"{clip}.npy", pixels)
        prepare(folder / "in" / name, folder / name, size=(32, 32), holdout=0.25)
    return folder / "a", folder / "b"


def test_items_of_both_domains(domains: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    dataset = UnpairedDataset(domains[0], other=domains[1], frames=4, flip=True)
    items = [dataset[epoch, item].clip for epoch in range(12) for item in range(len(dataset))]
    assert all(clip.shape == (4, 6, 32, 32) for clip in items)
    assert all(clip[:, :3].max() < 100 and clip[:, 3:].min() >= 128 for clip in items)
    assert torch.equal(items[0], dataset[0, 0].clip)
    shown = {clip[:, 3:].float().mean().item() for clip in items}
    assert len(shown) > len(dataset.other), "every clip of the other domain, from several starts"
    np.save(tmp_path / "x.npy", np.zeros((6, 16, 16, 3), np.uint8))
    prepare(tmp_path / "x.npy", tmp_path / "small", size=(16, 16), holdout=0.0)
    with pytest.raises(DataError, match="16x16.*32x32"):
        UnpairedDataset(domains[0], other=tmp_path / "small", frames=4)
    (tmp_path / "many").mkdir()
    for number in range(30):
        np.save(
            tmp_path / "many" / f"{number}.npy",
            np.random.default_rng(number).integers(0, 9, (4, 32, 32, 3)).astype(np.uint8),
        )
    prepare(tmp_path / "many", tmp_path / "much", size=(32, 32), holdout=0.0)
    UnpairedDataset(domains[0], other=tmp_path / "much", frames=4)
    assert "may memorise" in caplog.text and str(domains[0]) in caplog.text


def config(domains: tuple[Path, Path], out: Path, **changes: Any) -> Any:
    return small_config("unpaired", domains[0], out, data__other=str(domains[1]), train__batch_size=2, **changes)


def test_a_term_without_a_weight_changes_no_gradient(domains: tuple[Path, Path], tmp_path: Path) -> None:
    """Taking a term out leaves the other gradients as they were, bit for bit."""
    gradients = []
    for extra in ({}, {"objective__weights__identity": None, "objective__weights__equivariance": None}):
        settings = config(domains, tmp_path, **extra)
        dataset = build_training_data(settings)
        made: Any = build_algorithm(settings, build_networks(settings, dataset), build_accelerator("cpu"))
        rows = [dataset[0, item] for item in range(2)]
        batch = ClipBatch(*(torch.stack(parts) for parts in zip(*rows, strict=True)))
        found = made.generator_losses(batch, draws()).losses
        made.trainees.raw["generator"].requires_grad_(True)
        found["cycle"].backward()
        gradients.append([p.grad.clone() for p in made.trainees.raw["generator"].there.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))


def test_resumed_equals_uninterrupted_with_a_pool(domains: tuple[Path, Path], tmp_path: Path) -> None:
    whole = train(config(domains, tmp_path / "a"), quiet=True)
    train(config(domains, tmp_path / "b", train__steps=2), quiet=True)
    resumed = train(config(domains, tmp_path / "b"), quiet=True, accept_changes=True)
    for name in ("model/model.safetensors", "checkpoints/step-00000004/frame_a.safetensors"):
        assert (whole.run_dir / name).read_bytes() == (resumed.run_dir / name).read_bytes(), name
    scores = evaluate(whole.run_dir)
    assert isinstance(scores, MappingScores)
    rows = scores.scores
    assert {"cycle_psnr", "cycle_psnr_rounded", "cycle_psnr_jpeg", "cycle_psnr_noise"} <= rows["translated"].keys()
    assert rows["input"]["cycle_psnr"].mean.mean is None and "psnr" not in rows["translated"]
    assert rows["translated"]["warp_ratio"].mean.mean is not None


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"model__predictor": None}, "model.predictor"),
        ({"objective__corruption": ["fog"]}, "objective.corruption"),
        ({"discriminators__frame_b": None, "discriminators__video_b": None}, "adversarial_frame_b"),
        ({"data__frames": 2, "discriminators__video_a": None}, "data.frames=2"),
    ],
)
def test_impossible_configs_are_refused(changes: dict[str, Any], key: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=key):
        small_config("unpaired", tmp_path, tmp_path, **changes)


def test_the_other_folder_must_exist(domains: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.other"):
        build_training_data(small_config("unpaired", domains[0], tmp_path, data__other=str(tmp_path / "none")))
