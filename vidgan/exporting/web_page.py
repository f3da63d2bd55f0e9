"""A page that runs a model in the browser, offline: model, runtime and player in one file."""

import base64
import gzip
import json
from html import escape
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper

from vidgan.errors import ConfigError
from vidgan.exporting.metadata import ExportedModel
from vidgan.exporting.runner import OnnxForecaster, OnnxGenerator
from vidgan.exporting.web_runtime import SCRIPT, WASM, runtime_files
from vidgan.report.document import html_document, source_hash
from vidgan.report.player import player_sources

__all__ = ["halved", "model_page"]

SMALLEST: Final = 64  # values of a weight that is stored in half precision
HORIZON: Final = 10
DEFAULT_FPS: Final = 8.0


def halved(model: ModelProto) -> ModelProto:
    """The model with its weights stored in half precision, and computed in single precision as before."""
    copy = ModelProto()
    copy.CopyFrom(model)
    casts = []
    for tensor in copy.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < SMALLEST:
            continue
        name = tensor.name
        half = numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), f"{name}/half")
        tensor.CopyFrom(half)
        casts.append(helper.make_node("Cast", [half.name], [name], name=f"{name}/single", to=TensorProto.FLOAT))
    nodes = [*casts, *copy.graph.node]
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    onnx.checker.check_model(copy)
    return copy


def model_page(model: bytes, opened: OnnxGenerator | OnnxForecaster) -> str:
    """The page as text.

    Args:
        model: content of the ONNX file.
        opened: the same file.

    Raises:
        WeightsError: the runtime cannot be had. ConfigError: an image-to-video model, which a page cannot run.
    """
    exported = opened.exported
    facts = exported.training
    title = f"{facts.name or facts.run or exported.model}: {exported.model} in the browser"
    rate = facts.frame_rate or facts.sampled_fps or DEFAULT_FPS
    generates = isinstance(opened, OnnxGenerator)
    if isinstance(opened, OnnxGenerator) and opened.needs_first_frame:
        raise ConfigError("--to html: this model continues a given frame (image-to-video); accepted with --to onnx")
    form = _generator_form(exported, rate) if generates else _forecaster_form(exported, rate)
    runtime = runtime_files()
    stored = {"runtime-script": runtime[SCRIPT], "runtime-wasm": runtime[WASM], "model": model}
    player_css, player_script = player_sources()
    script = _source("page.js")
    css = _source("page.css") + player_css
    packed = {name: base64.b64encode(gzip.compress(content, 9, mtime=0)).decode() for name, content in stored.items()}
    data = "\n".join(f'<script type="text/plain" id="{name}">{text}</script>' for name, text in packed.items())
    description = json.dumps(exported.to_json() | opened.interface).replace("<", "\\u003c")
    sources = " ".join([source_hash(player_script), source_hash(script), "blob:", "'wasm-unsafe-eval'"])
    body = f"""<h1>{escape(title)}</h1>
<p>{escape(_about(exported))}</p>
<div id="form">{form}</div>
<p id="status" role="status">Loading</p>
<div id="results"></div>
<footer>{escape(_terms(exported))} Everything runs in this page; nothing is sent or loaded.
Runtime: ONNX Runtime (MIT).</footer>
{data}
<script type="application/json" id="exported">{description}</script>
<script>{player_script}</script>
<script>{script}</script>"""
    policy = f"script-src {sources}; style-src {source_hash(css)}; media-src blob:"
    return html_document(title=title, css=css, allowed=policy, body=body)


def _about(exported: ExportedModel) -> str:
    height, width = exported.image_size
    does = "draws clips" if exported.kind == "clips" else "continues a video"
    trained = exported.training.trained_on
    only = f", trained only on {trained}" if trained else ""
    return f"This model {does} of {width}x{height} pixels{only}."


def _terms(exported: ExportedModel) -> str:
    licence = exported.training.licence
    return f"Licence of the weights: {licence}." if licence else "The licence of the weights follows that of the data."


def _number(name: str, label: str, value: float, low: float, high: float, step: str = "1") -> str:
    return (
        f'<label>{label}<input type="number" id="{name}" value="{value:g}" min="{low:g}" max="{high:g}"'
        f' step="{step}"></label>'
    )


def _generator_form(exported: ExportedModel, rate: float) -> str:
    names = exported.training.categories or [str(number) for number in range(exported.categories)]
    options = "".join(f'<option value="{number}">{escape(str(name))}</option>' for number, name in enumerate(names))
    hidden = "" if exported.categories else " hidden"
    return (
        _number("seed", "Seed", 0, 0, 2**53 - 1)
        + _number("clips", "Clips", 4, 1, 16)
        + _number("frames", "Frames", exported.frames, 2, 256)
        + _number("rate", "Frames per second", rate, 0.1, 60, "any")
        + f'<label{hidden}>Category<select id="category"><option value="">random</option>{options}</select></label>'
        + '<button type="button" id="draw" disabled>Draw</button>'
    )


def _forecaster_form(exported: ExportedModel, rate: float) -> str:
    return (
        _number("context", "Context frames", exported.context or 2, 2, 64)
        + _number("horizon", "Frames to forecast", HORIZON, 1, 64)
        + _number("rate", "Frames per second", rate, 0.1, 60, "any")
        + '<label>Video (or drop one here)<input type="file" id="file" accept="video/*" disabled></label>'
    )


def _source(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
