"""`vidgan evaluate --model`: functions, ONNX files and entry points that vidgan did not train."""

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vidgan.commands import evaluate as command
from vidgan.commands.evaluate import evaluate
from vidgan.commands.report import report
from vidgan.commands.table import table
from vidgan.data.preparing.prepare import prepare
from vidgan.data.synthetic.shapes import render_shapes
from vidgan.errors import ConfigError
from vidgan.evaluation.output import Output
from vidgan.evaluation.outside_models import OutsideForecaster, OutsideGenerator, load_outside
from vidgan.evaluation.results import ForecastScores, SynthesisScores
from vidgan.own_code import own_code

MODELS = """
import torch

from neighbour import repeat


def predict(context, horizon):
    assert context.shape[-2:] == (24, 20)  # no padding
    context[:] = context[:, -1:].clone()  # a model may write into what it is given
    return repeat(context[:, -1:], horizon)


def noisy(context, horizon, seed=None):
    random = torch.Generator().manual_seed(0 if seed is None else seed)
    noise = torch.randint(-9, 10, (len(context), horizon, *context.shape[2:]), generator=random)
    return (context[:, -1:].int() + noise).clamp(0, 255).to(torch.uint8)


def sample(clips, frames, seed):
    random = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (clips, frames, 3, 24, 20), generator=random, dtype=torch.uint8)


class Last:
    def __call__(self, context, horizon):
        return context[:, -1:].repeat(1, horizon, 1, 1, 1).numpy()


def other(frames):
    return frames
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("models")
    (folder / "my_models.py").write_text(MODELS)
    (folder / "neighbour.py").write_text("def repeat(last, n):\n    return last.repeat(1, n, 1, 1, 1)\n")
    return str(folder / "my_models.py")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips whose sides are no multiples of 16."""
    folder = tmp_path_factory.mktemp("odd")
    render_shapes(folder / "videos", clips=12, frames=12, size=32, seed=0)
    prepare(folder / "videos", folder / "data", size=(24, 20), holdout=0.4)
    return folder / "data"


OPTIONS: dict[str, Any] = {"context": 3, "horizon": 2, "metrics": ("mse", "psnr"), "allow_own_code": True}


def test_a_function_is_scored_beside_the_baselines(models: str, data: Path, tmp_path: Path) -> None:
    scores = evaluate(model=f"{models}:predict", data=data, **OPTIONS)
    assert isinstance(scores, ForecastScores)
    assert scores.protocol == "held-out-3to2" and scores.subject == "predict"
    assert scores.scores["predict"]["mse"] == scores.scores["copy-last"]["mse"]  # it is that baseline
    assert "constant-velocity warp" in scores.scores and scores.windows == 2 * scores.sources
    assert any("trained on is not known" in note for note in scores.notes)
    request = scores.provenance["request"]
    assert request["model"] == f"{models}:predict" and request["options"]["context"] == 3 and request["run"] is None
    assert len(scores.provenance["weights"]["my_models.py"]) == 64


def test_results_go_into_tables_and_reports(models: str, data: Path, tmp_path: Path) -> None:
    paths = []
    for name in ("predict", "noisy"):
        scores = evaluate(model=f"{models}:{name}", data=data, **OPTIONS)
        paths.append(tmp_path / f"{name}.json")
        Output(out=paths[-1]).show(scores)
    text = table(paths)
    assert "predict: predict" in text and "noisy: noisy" in text and "noisy - predict" in text
    with own_code(allowed=True):
        page = report(paths[0])
    assert page == tmp_path / "predict.html"
    content = page.read_text()
    assert content.count('class="vidgan-player"') == 3 and "constant-velocity warp" in content
    assert "--allow-own-code" in report(paths[0]).read_text()  # without it, the page says why it shows no animation


def test_python_functions_classes_and_samples(models: str, data: Path) -> None:
    def still(context: torch.Tensor, horizon: int) -> np.ndarray:
        return context[:, -1:].repeat(1, horizon, 1, 1, 1).numpy()

    from_function = evaluate(model=still, data=data, **OPTIONS)
    from_class = evaluate(model=f"{models}:Last", data=data, **OPTIONS)
    assert from_function.scores["still"]["mse"] == from_class.scores["Last"]["mse"]
    drawn = evaluate(model=f"{models}:noisy", data=data, samples=3, split="all", **OPTIONS)
    assert isinstance(drawn, ForecastScores) and drawn.samples == {"sampled noisy": 3}
    mean, best = (drawn.scores[f"sampled noisy/{name}"]["mse"].mean.mean for name in ("mean", "best"))
    assert mean is not None and best is not None and mean > best
    diversity = drawn.scores["sampled noisy/mean"]["diversity"].mean.mean
    assert diversity == pytest.approx(2 * 30 / 255**2, rel=0.1)  # uniform on -9..9: variance 30, partly clipped
    with pytest.raises(ConfigError, match="--samples 3: this model gives one forecast"):
        evaluate(model=f"{models}:predict", data=data, samples=3, **OPTIONS)


def test_generators_of_clips(models: str, data: Path) -> None:
    options: dict[str, Any] = {"model": f"{models}:sample", "data": data, "allow_own_code": True}
    scores = evaluate(frames=4, clips=8, **options)
    assert isinstance(scores, SynthesisScores) and scores.frames == 4 and scores.frame_size == (24, 20)
    noise, floor = (scores.scores[name]["frechet_inhouse"].mean.mean for name in ("generated", "real"))
    assert noise is not None and floor is not None and noise > 5 * floor
    assert evaluate(frames=4, clips=8, **options).scores == scores.scores


def onnx_file(
    path: Path, module: torch.nn.Module, example: torch.Tensor, *, fixed: bool = False, **metadata: str
) -> str:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    shapes = None if fixed else {"x": {0: torch.export.Dim("batch")}}
    program = torch.onnx.export(module.eval(), (example,), dynamo=True, dynamic_shapes=shapes, verbose=False)
    assert program is not None
    program.save(str(path))
    model = onnx.load(path)
    for key, value in metadata.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    onnx.save(model, path)
    return str(path)


class Halved(torch.nn.Module):
    """Next frame: the last one, halved in [0, 1]."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, -1:] / 2


class Wide(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, -1:] * 100


class FromCode(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(x)[:, :, None, None, None].expand(-1, 8, 3, 24, 20)


def test_onnx_files(data: Path, tmp_path: Path) -> None:
    """A next-frame model is applied to its own output again; its range is in the metadata."""
    frames = torch.zeros(1, 3, 3, 24, 20)
    path = onnx_file(tmp_path / "halved.onnx", Halved(), frames, fixed=True, value_range="0,1")
    model, hashes = load_outside(path)
    assert isinstance(model, OutsideForecaster) and [*hashes] == ["halved.onnx"]
    context = torch.full((1, 4, 3, 24, 20), 200, dtype=torch.uint8)
    assert model.predict(context, 3)[0, :, 0, 0, 0].tolist() == [100, 50, 25]
    scores = evaluate(model=path, data=data, **{**OPTIONS, "allow_own_code": False})
    assert isinstance(scores, ForecastScores) and scores.subject == "halved"
    with pytest.raises(ConfigError, match="halved.onnx needs 3 context frames"):
        evaluate(model=path, data=data, context=2, horizon=1)
    wide = onnx_file(tmp_path / "wide.onnx", Wide(), frames)
    with pytest.raises(ConfigError, match=r"wide.onnx returns values.*\[-1, 1\]"):
        evaluate(model=wide, data=data, context=3, horizon=1)
    generator = onnx_file(tmp_path / "codes.onnx", FromCode(), torch.zeros(2, 1))
    clips, _ = load_outside(generator)
    assert isinstance(clips, OutsideGenerator)
    clips.image_size = (24, 20)
    drawn = clips.sample(3, frames=5, seed=1)
    assert drawn.shape == (3, 5, 3, 24, 20) and len({int(clip[0, 0, 0, 0]) for clip in drawn}) == 3
    assert torch.equal(drawn, clips.sample(3, frames=5, seed=1))
    (tmp_path / "broken.onnx").write_text("no")
    for name, message in {"broken.onnx": "no readable ONNX", "missing.onnx": "there is no file"}.items():
        with pytest.raises(ConfigError, match=message):
            load_outside(str(tmp_path / name))


BAD: dict[str, tuple[Callable[..., Any], str]] = {
    "shape": (lambda context, horizon: context[:, :1], r"uint8 of shape \(1, 1, 3, 24, 20\).*\(1, 2, 3, 24, 20\)"),
    "type": (lambda context, horizon: context[:, :2].float(), "returned float32.*uint8"),
    "range": (lambda context, horizon: (context[:, :2] / 255).to(torch.uint8), "multiplying by 255"),
    "fails": (lambda context, horizon: 1 / 0, "ZeroDivisionError"),
    "nothing": (lambda context, horizon: None, "returned NoneType"),
    "parameters": (lambda frames: frames, "has other parameters.*predict.context, horizon"),
}


@pytest.mark.parametrize("name", BAD)
def test_wrong_functions_are_refused_before_anything_is_scored(
    name: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("scoring began")

    monkeypatch.setattr("vidgan.evaluation.forecasts.measure_forecasts", never)
    function, message = BAD[name]
    with pytest.raises(ConfigError, match=message):
        evaluate(model=function, data=data, **OPTIONS)


def test_clip_length_of_a_generator_in_several_processes(
    models: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--frames` is the clip length there too, and what cannot work is refused before any process starts."""
    options = {"model": f"{models}:sample", "data": data, "best": False, "allow_own_code": True, "frames": 4}
    defaults = {
        "split": "test", "protocol": None, "allow_deviation": False, "context": None, "horizon": None,
        "growing": False, "metrics": (), "samples": None, "best_by": None, "clips": 8, "labels": None, "seeds": 1,
        "mcs": False, "flow_histograms": False, "weights": {}, "seed": 0, "device": "cpu",
    }  # fmt: skip
    monkeypatch.setattr(command, "run_processes", lambda processes: 10 + processes)
    with pytest.raises(ConfigError, match="--processes has no effect on a model that generates clips"):
        command.evaluate_command(None, defaults | options, Output(), processes=2)
    shared = defaults | options | {"weights": {"rife": Path("rife.safetensors")}}
    assert command.evaluate_command(None, shared, Output(), processes=2) == 12
    with pytest.raises(ConfigError, match="--frames is fixed by --protocol gen-fvd2048-16"):
        command.evaluate_command(None, shared | {"protocol": "gen-fvd2048-16"}, Output(), processes=2)


def test_calls_that_cannot_work_are_refused(models: str, data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="would import and run.*--allow-own-code"):
        evaluate(model=f"{models}:predict", data=data, context=3, horizon=2)
    with own_code(allowed=True):
        for spec, message in {
            f"{models}:absent": "cannot be imported.*absent",
            f"{tmp_path}/none.py:predict": "there is no file",
            f"{models}:other": "has other parameters",
            f"{models}:repeat": "has other parameters",
            "no-such-model": "no installed package registers",
            "not a path:": "not of the form",
        }.items():
            with pytest.raises(ConfigError, match=message):
                load_outside(spec)
    (tmp_path / "broken.py").write_text("raise KeyError('x')\n")
    with pytest.raises(ConfigError, match="broken.py:f cannot be imported: KeyError"):
        evaluate(model=f"{tmp_path}/broken.py:f", data=data, **OPTIONS)
    for changes, message in (
        ({"data": None}, "--data"),
        ({"horizon": None}, "--context and --horizon"),
        ({"best": True}, "--best"),
        ({"clips": 8}, "--clips has no effect"),
        ({"run": tmp_path}, "one of them"),
    ):
        with pytest.raises(ConfigError, match=message):
            evaluate(**{"model": f"{models}:predict", "data": data, **OPTIONS, **changes})


def test_entry_points_of_packages(models: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "judged-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: judged\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[vidgan.models]\nstill = judged_model:predict\n")
    (tmp_path / "judged_model.py").write_text(
        textwrap.dedent("""
        def predict(context, horizon):
            return context[:, -1:].repeat(1, horizon, 1, 1, 1)
        """)
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError, match="judged_model.*--allow-own-code"):
        load_outside("still")
    scores = evaluate(model="still", data=data, **OPTIONS)
    assert scores.scores["still"]["mse"] == scores.scores["copy-last"]["mse"]
    assert [*scores.provenance["weights"]] == ["judged_model.py"]
