"""A page that runs a model in the browser, offline: model, runtime and player in one file."""

import base64
import gzip
import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Final

from vidgan.errors import ConfigError
from vidgan.exporting.metadata import ExportedModel
from vidgan.exporting.runner import OnnxForecaster, OnnxGenerator
from vidgan.exporting.web_runtime import SCRIPT, WASM
from vidgan.report.document import html_document, source_hash
from vidgan.report.player import player_sources

__all__ = ["model_page"]

HORIZON: Final = 10
DEFAULT_FPS: Final = 8.0


def model_page(model: bytes, opened: OnnxGenerator | OnnxForecaster, runtime: Mapping[str, bytes]) -> str:
    """The page as text.

    Args:
        model: content of the ONNX file.
        opened: the same file.
        runtime: see `runtime_files`.

    Raises:
        ConfigError: an image-to-video model, which a page cannot run.
    """
    exported = opened.exported
    facts = exported.training
    name = facts.name or facts.run
    title = f"{name}: {exported.model} in the browser" if name else f"{exported.model} in the browser"
    generates = isinstance(opened, OnnxGenerator)
    if isinstance(opened, OnnxGenerator) and opened.needs_first_frame:
        raise ConfigError("--to html: this model continues a given frame (image-to-video); accepted with --to onnx")
    form = _generator_form(exported) if generates else _forecaster_form(exported)
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


def _number(
    name: str, label: str, value: float | None, low: float, high: float, step: str = "1", placeholder: str = ""
) -> str:
    number = "" if value is None else f"{value:g}"
    return (
        f'<label>{label}<input type="number" id="{name}" value="{number}" min="{low:g}" max="{high:g}"'
        f' step="{step}" placeholder="{placeholder}"></label>'
    )


def _generator_form(exported: ExportedModel) -> str:
    rate = exported.training.frame_rate or exported.training.sampled_fps or DEFAULT_FPS
    names = exported.training.categories or [str(number) for number in range(exported.categories)]
    options = "".join(f'<option value="{number}">{escape(str(name))}</option>' for number, name in enumerate(names))
    hidden = "" if exported.categories else " hidden"
    captions = exported.training.captions or exported.vocabulary[:1]
    choices = "".join(f'<option value="{escape(caption)}">' for caption in captions)
    return (
        _number("seed", "Seed", 0, 0, 2**53 - 1)
        + _number("clips", "Clips", 4, 1, 16)
        + _number("frames", "Frames", exported.frames, 2, 256)
        + _number("rate", "Frames per second", rate, 0.1, 60, "any")
        + f'<label{hidden}>Category<select id="category"><option value="">random</option>{options}</select></label>'
        + f'<label class="wide"{"" if exported.vocabulary else " hidden"}>Caption<input type="text" id="caption"'
        + ' list="captions" placeholder="a caption of the training"></label>'
        + f'<datalist id="captions">{choices}</datalist>'
        + '<button type="button" id="draw" disabled>Draw</button>'
    )


def _forecaster_form(exported: ExportedModel) -> str:
    rate = exported.training.sampled_fps or exported.training.fps
    return (
        _number("context", "Context frames", exported.context or 2, 2, 64)
        + _number("horizon", "Frames to forecast", HORIZON, 1, 64)
        + _number("rate", "Frames per second", rate, 0.1, 60, "any", placeholder="as the video")
        + '<label>Video (or drop one here)<input type="file" id="file" accept="video/*" disabled></label>'
    )


def _source(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
