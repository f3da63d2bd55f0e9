"""Exported files run without torch and give the model's own clips and forecasts."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from helpers import has_exporter, needs_exporter
from small_networks import small_dual_motion, small_mocogan, style_mocogan

from vidgan.commands.export import describe, export
from vidgan.commands.generate import generate
from vidgan.commands.predict import predict
from vidgan.errors import ConfigError, PretrainedError, RunFailedError
from vidgan.exporting.clip_renderer import ClipRenderer
from vidgan.exporting.draws import NumpyDraws
from vidgan.exporting.forecast_step import Forecasting, Observing, forecast_step
from vidgan.exporting.metadata import ExportedModel
from vidgan.exporting.parity import Parity, moving_clips
from vidgan.exporting.runner import OnnxForecaster, OnnxGenerator, open_onnx
from vidgan.seeding import Draws
from vidgan.tasks.forecasting.coarse_to_fine import CoarseToFineConfig, CoarseToFineDualMotion
from vidgan.tasks.synthesis.config import MoCoGANConfig
from vidgan.tasks.synthesis.mocogan import build_mocogan
from vidgan.types import Latents

pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

FACTS = {"frames": 5, "licence": "Apache-2.0", "frame_rate": 10.0}


def require_exporter() -> None:
    if not has_exporter:
        pytest.skip("vidgan export needs a newer torch")


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[str]]:
    """A model folder, the exported file, and what the export reported."""
    require_exporter()
    folder, lines = tmp_path_factory.mktemp("generator"), []
    model = small_mocogan(num_categories=3)
    model.facts = FACTS | {"categories": ["a", "b", "c"]}
    model.save_pretrained(folder / "run")
    export(folder / "run", folder / "model.onnx", report=lines.append)
    return folder / "run", folder / "model.onnx", lines


@pytest.fixture(scope="module")
def forecaster(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    require_exporter()
    folder = tmp_path_factory.mktemp("forecaster")
    model = small_dual_motion(estimator={"kind": "pyramid", "widths": (8,)})
    model.facts = FACTS | {"context": 3}
    model.save_pretrained(folder / "run")
    export(folder / "run", folder / "model.onnx")
    return folder / "run", folder / "model.onnx"


def difference(ours: np.ndarray, theirs: torch.Tensor) -> int:
    assert ours.shape == tuple(theirs.shape)
    return int(np.abs(ours.astype(int) - theirs.numpy()).max())


@pytest.mark.parametrize("seed", [0, 5, 2**62])
def test_numpy_draws_are_those_of_torch(seed: int) -> None:
    ours, theirs = NumpyDraws(seed, "sample", rows=range(3)), Draws(seed, "sample", rows=range(3))
    for shape in ((50,), (7,), (3,), (1, 16), (16, 16), (15,), (5, 1001)):
        np.testing.assert_allclose(ours.normal(*shape), theirs.normal(*shape).numpy(), atol=2e-6)
        assert ours.integers(6, 2).tolist() == theirs.integers(6, 2).tolist()


def test_a_generator_draws_the_same_clips_of_any_number_and_length(generator: tuple[Path, Path, list[str]]) -> None:
    from vidgan import MoCoGAN

    run, file, lines = generator
    model, exported = MoCoGAN.from_pretrained(run), open_onnx(file, "clips")
    assert isinstance(exported, OnnxGenerator)
    for clips, frames, seed in ((1, 2, 0), (3, 5, 1), (17, 33, 2)):
        assert (
            difference(exported.sample(clips, frames=frames, seed=seed), model.sample(clips, frames=frames, seed=seed))
            <= 1
        )
    assert difference(exported.sample(2, category="b"), model.sample(2, category="b")) <= 1
    assert exported.sample(2, category="b").tobytes() != exported.sample(2, category="c").tobytes()
    with pytest.raises(ConfigError, match="accepted: a, b, c"):
        exported.sample(1, category="d")
    assert len(lines) == 1 and "100 clips" in lines[0]
    metadata = exported.exported
    assert metadata.architecture == model.architecture and metadata.facts["licence"] == "Apache-2.0"
    assert metadata.image_size == (32, 32) and metadata.value_range == (0, 255) and metadata.frames == 5
    assert metadata.parity is not None and metadata.parity["levels"] <= 1 and metadata.parity["clips"] == 100


def test_a_forecaster_gives_the_same_forecasts_and_samples(forecaster: tuple[Path, Path]) -> None:
    from vidgan import DualMotionGAN

    run, file = forecaster
    model, exported = DualMotionGAN.from_pretrained(run), open_onnx(file, "forecast")
    assert isinstance(exported, OnnxForecaster)
    clips = moving_clips((32, 32), 2, 6, seed=1)
    for length, horizon in ((2, 1), (3, 4), (6, 2)):
        context = clips[:, :length]
        assert difference(exported.predict(context, horizon), model.predict(torch.from_numpy(context), horizon)) <= 1
    drawn = exported.predict(clips, 3, samples=2, seed=4)
    assert difference(drawn, model.predict(torch.from_numpy(clips), 3, samples=2, seed=4)) <= 1
    assert not np.array_equal(drawn[0], drawn[1])
    state = exported.observe(clips)
    assert np.array_equal(exported.continued(state, 2), exported.predict(clips, 2))  # the state is the caller's
    with pytest.raises(PretrainedError, match="which continues clips"):
        open_onnx(file, "clips")


WITHOUT_TORCH = """
import sys
class Blocked:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in ("torch", "torchvision", "accelerate", "onnx", "onnxscript"):
            raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Blocked())
import numpy as np
from pathlib import Path
from vidgan.cli.app import app
from vidgan.commands.onnx_models import generate_onnx, predict_onnx
generated, forecast, video = sys.argv[1:]
app(["generate", generated, "--clips", "2", "--seed", "3", "--out", "clips"], standalone_mode=False)
app(["predict", forecast, video, "--horizon", "2", "--samples", "2", "--out", "next.mp4"], standalone_mode=False)
np.save("clips.npy", generate_onnx(Path(generated), Path("again"), clips=2, seed=3))
np.save("next.npy", predict_onnx(Path(forecast), Path(video), Path("again.mp4"), horizon=2, samples=2))
assert "torch" not in sys.modules
"""


def test_files_run_without_torch(
    generator: tuple[Path, Path, list[str]], forecaster: tuple[Path, Path], tmp_path: Path
) -> None:
    video = tmp_path / "video.npy"
    np.save(video, np.moveaxis(moving_clips((32, 32), 1, 8, seed=2)[0], 1, -1))
    command = [sys.executable, "-c", WITHOUT_TORCH, str(generator[1]), str(forecaster[1]), str(video)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == ["clips", "next.mp4"]
    assert json.loads((tmp_path / "clips" / "generated.json").read_text())["fps"] == 10.0
    assert {path.name for path in tmp_path.glob("next*")} == {
        "next.mp4", "next.png", "next.json", "next.npy", "next-sample-0.mp4", "next-sample-1.mp4", "next-samples.mp4",
        "next-spread.png",
    }  # fmt: skip
    assert difference(np.load(tmp_path / "clips.npy"), generate(generator[0], tmp_path / "torch", clips=2, seed=3)) <= 1
    torch_forecast = predict(forecaster[0], video, tmp_path / "torch.mp4", horizon=2, samples=2)
    assert difference(np.load(tmp_path / "next.npy"), torch_forecast) <= 1


@pytest.mark.parametrize("kind", ["recurrent", "lucas_kanade", "published", "pyramid", "pyramid_spread"])
def test_steps_equal_the_forecaster(kind: str) -> None:
    """Before any export: the loop over the two halves of a step is the model's own loop."""
    model: Any
    if kind.startswith("pyramid"):
        torch.manual_seed(0)
        spread = 1.0 if kind == "pyramid_spread" else 0.0
        config = CoarseToFineConfig(
            widths=(8, 8, 8, 8), hidden=8, dim_latent=8, hindsight=True, hypotheses=2, motion_spread=spread
        )
        model = CoarseToFineDualMotion(config, image_size=(32, 48)).eval()
    else:
        options: dict[str, Any] = {
            "recurrent": {
                "motion_hints": True,
                "decoding": {"hindsight": True, "restore_detail": 0.5, "motion_spread": 1.0},
            },
            "lucas_kanade": {"estimator": {"kind": "lucas_kanade"}, "fusion": {"kind": "blend"}},
            "published": {
                "skip_connections": False, "extrapolate_flow": False, "residual_frame": False, "motion_hints": False,
                "probabilistic": False,
            },
        }[kind]  # fmt: skip
        model = small_dual_motion(**options).eval()
    step = forecast_step(model)
    observe, forecast = Observing(step), Forecasting(step)
    clips = torch.from_numpy(moving_clips(model.image_size, 2, 5, seed=0))
    for length, seed in ((2, None), (3, None), (5, 1 if model.can_sample else None)):
        draws = None if seed is None else Draws(seed, "forecast", rows=range(2))
        _, *silent_and_state = step.example(2)
        count = len(step.noise_shapes)
        silent, state = silent_and_state[:count], silent_and_state[count:]
        frames = []
        with torch.no_grad():
            for time in range(length):
                _, *state = observe(clips[:, time], *silent, *state)
            for _ in range(3):
                noises = silent
                if draws is not None:
                    noises = [draws.normal(*shape) for shape in step.noise_shapes.values()]
                frame, *state = forecast(clips[:, 0], *noises, *state)
                frames.append(frame)
        expected = model.predict(clips[:, :length], 3, seed=seed)
        assert (torch.stack(frames, dim=1).int() - expected.int()).abs().max() <= 1


@pytest.mark.parametrize("kind", [pytest.param("style", marks=needs_exporter), "layers", "first_frame"])
def test_renderers_equal_the_generator(kind: str) -> None:
    options: dict[str, Any] = {
        "style": {"motion": {"hidden": 6, "linear": True, "warm_up": 4}},
        "layers": {"layers": {"width": 4, "max_width": 8, "camera": 0.2}},
        "first_frame": {"encoder": {"width": 4, "max_width": 8}, "warp_first_frame": True},
    }[kind]
    model = (small_mocogan if kind == "layers" else style_mocogan)(**options).eval()
    renderer = ClipRenderer(model)
    program = torch.export.export(renderer, renderer.example(2, 3)) if kind == "style" else None
    latents = model.latents(2, 3, seed=1)
    frame = torch.from_numpy(moving_clips((32, 32), 1, 1, seed=0)[0, 0]) if kind == "first_frame" else None
    given = {**latents._asdict(), "first_frame": None if frame is None else frame.expand(2, -1, -1, -1)}
    inputs = [given[name].contiguous() for name in renderer.input_names]
    expected = model.render(Latents(*latents), first_frame=frame)
    with torch.no_grad():
        assert torch.equal(renderer(*inputs), expected)
        if program is not None:
            assert (program.module()(*inputs).int() - expected.int()).abs().max() <= 1


class RendererSession:
    """A renderer with what the reader uses of a session."""

    def __init__(self, renderer: ClipRenderer) -> None:
        self.renderer = renderer

    def get_inputs(self) -> list[SimpleNamespace]:
        values = self.renderer.example(1, 2)
        return [
            SimpleNamespace(name=n, shape=tuple(v.shape))
            for n, v in zip(self.renderer.input_names, values, strict=True)
        ]

    def run(self, _: None, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        with torch.no_grad():
            return [self.renderer(*(torch.from_numpy(inputs[name]) for name in self.renderer.input_names)).numpy()]


WORDS = ("a", "ball", "red", "rises", "slowly")


@pytest.mark.parametrize("kind", ["captions", "codes", "noise"])
def test_the_reader_draws_what_the_generator_draws(kind: str) -> None:
    """Before any export: words and their noise, information codes, and noise of the frame generator."""
    options: dict[str, Any] = {
        "captions": {"text": {"kind": "gru", "embedding": 4, "hidden": 6, "dim": 5}},
        "codes": {
            "codes": {
                "speed": {"kind": "uniform", "enters": "motion"},
                "shape": {"kind": "categorical", "size": 3, "enters": "content"},
                "way": {"kind": "categorical", "size": 4, "enters": "motion"},
            }
        },
        "noise": {"frame": {"kind": "modulated", "noise_levels": 2}},
    }[kind]
    config = {"dim_content": 5, "dim_motion": 4, "frame": {"kind": "style", "width": 4, "max_width": 8}} | options
    torch.manual_seed(0)
    vocabulary = WORDS if kind == "captions" else ()
    model = build_mocogan(MoCoGANConfig(**config), image_size=(32, 32), num_categories=3, vocabulary=vocabulary).eval()
    model.facts = FACTS | {"captions": ["a red ball rises", "slowly"], "categories": ["x", "y", "z"]}
    metadata = ExportedModel.from_text(json.dumps(describe(model).to_json()), "test")
    reader = OnnxGenerator(RendererSession(ClipRenderer(model)), metadata)
    assert difference(reader.sample(5, seed=3), model.sample(5, seed=3)) <= 1
    assert difference(reader.sample(2, frames=20, category="y"), model.sample(2, frames=20, category="y")) <= 1
    if kind != "captions":
        with pytest.raises(ConfigError, match="--text"):
            reader.sample(1, text="a")
        return
    texts = ["a red ball rises slowly", "ball", "Rises, a ball!"]
    assert difference(reader.sample(2, text=texts), model.sample(2, text=texts)) <= 1
    assert reader.sample(1, text="red").tobytes() != reader.sample(1, text="slowly").tobytes()
    with pytest.raises(ConfigError, match="'green'.*red"):
        reader.sample(1, text="a green ball")


@needs_exporter
def test_a_model_of_captions_is_exported(tmp_path: Path) -> None:
    from vidgan import MoCoGAN

    export("captions", tmp_path / "captions.onnx")
    model, exported = MoCoGAN.from_pretrained("captions"), open_onnx(tmp_path / "captions.onnx", "clips")
    assert isinstance(exported, OnnxGenerator) and exported.exported.vocabulary == model.tokeniser.words
    texts = ["a small green square goes up", "red"]
    assert difference(exported.sample(2, text=texts, seed=5), model.sample(2, text=texts, seed=5)) <= 1


def test_an_old_torch_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "__version__", torch.torch_version.TorchVersion("2.9.1+cpu"))
    with pytest.raises(ConfigError, match=r"torch 2\.10 .*2\.9\.1"):
        export("mocogan/shapes", tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def exported_already(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the graph of an exported file instead of exporting again."""
    from vidgan.exporting.onnx_file import read_onnx

    monkeypatch.setattr("vidgan.exporting.onnx_file.onnx_graph", lambda _: read_onnx(file))


def test_a_failed_comparison_leaves_nothing(
    generator: tuple[Path, Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported_already(generator[1], monkeypatch)
    monkeypatch.setattr("vidgan.commands.export.compare", lambda *_: Parity(clips=100, levels=7, share=0.25, rms=1.0))
    with pytest.raises(RunFailedError, match=r"broken.onnx: not written.*up to 7 of 255 levels"):
        export(generator[0], tmp_path / "broken.onnx")
    assert not list(tmp_path.iterdir())


def test_quantised_weights_are_smaller_and_their_loss_is_reported(
    generator: tuple[Path, Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported_already(generator[1], monkeypatch)
    lines: list[str] = []
    metadata = export(generator[0], tmp_path / "small.onnx", int8=True, report=lines.append)
    assert metadata.precision == "int8" and [line.partition(",")[0] for line in lines] == ["float32", "int8"]
    exported = open_onnx(tmp_path / "small.onnx")
    assert exported.exported.parity == metadata.parity


def test_a_forecaster_in_8_bits_keeps_its_activations(
    forecaster: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported_already(forecaster[1], monkeypatch)
    lines: list[str] = []
    small = tmp_path / "small.onnx"
    metadata = export(forecaster[0], small, int8=True, report=lines.append)
    assert metadata.precision == "int8" and metadata.parity is not None
    assert small.stat().st_size < 0.7 * forecaster[1].stat().st_size
    assert 1 <= metadata.parity["levels"] <= 8  # the weights are rounded, the frames are not
    assert abs(metadata.parity["file_psnr"] - metadata.parity["model_psnr"]) < 0.2
    assert all("PSNR of the forecasts" in line for line in lines)


def test_programs_of_torch(generator: tuple[Path, Path, list[str]], tmp_path: Path) -> None:
    from vidgan import MoCoGAN
    from vidgan.exporting.program_file import open_programs

    export(generator[0], tmp_path / "model.pt2", to="pt2")
    exported = open_programs(tmp_path / "model.pt2")
    assert isinstance(exported, OnnxGenerator) and exported.exported.facts["categories"] == ["a", "b", "c"]
    clips = MoCoGAN.from_pretrained(generator[0]).sample(3, frames=7, seed=6)
    assert difference(exported.sample(3, frames=7, seed=6), clips) <= 1


def test_refused_files_and_options(generator: tuple[Path, Path, list[str]], tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_text("no")
    for path, message in ((tmp_path / "broken.onnx", "no readable ONNX"), (tmp_path / "missing.onnx", "no such file")):
        with pytest.raises(PretrainedError, match=message):
            open_onnx(path)
    with pytest.raises(PretrainedError, match="damaged"):
        ExportedModel.from_text('{"format": 1, "image_size": [1, 1], "value_range": [0, 255], "kind": "clips"}', "x")
    with pytest.raises(ConfigError, match=r"model\.bin.*\.onnx"):
        export(generator[0], tmp_path / "model.bin")
    with pytest.raises(ConfigError, match="--int8"):
        export(generator[0], tmp_path / "model.pt2", to="pt2", int8=True)
    with pytest.raises(FileExistsError):
        export(generator[0], generator[1])
