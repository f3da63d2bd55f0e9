"""The tab Forecast: a video, its context and horizon on a film strip, a model, and what comes next."""

import html
from collections.abc import Iterator, Mapping
from typing import Any, Final

import gradio as gr
import numpy as np
import torch

from vidgan.studio.actions import forecast as action
from vidgan.studio.context import Studio, chosen_video, timed
from vidgan.studio.jobs import Job
from vidgan.studio.layout.parts import (
    Estimate,
    Restored,
    Values,
    address,
    canceller,
    code_line,
    data_image,
    drop_zone,
    estimate_text,
    files_html,
    guarded,
    line_update,
    number_in,
    player,
    player_view,
    renew_estimate,
    status_html,
)
from vidgan.studio.saving import save_result
from vidgan.studio.sessions import Session
from vidgan.types import ByteClip

__all__ = ["build"]

TAB: Final = "forecast"
THUMBNAILS: Final = 16
THUMBNAIL_HEIGHT: Final = 64

_FILM_SCRIPT: Final = """
const at = event => {
  const box = element.querySelector('.vg-film').getBoundingClientRect();
  const total = Number(element.querySelector('.vg-film').dataset.frames);
  return Math.max(0, Math.min(total, Math.round((event.clientX - box.left) / box.width * total)));
};
const read = () => { const d = element.querySelector('.vg-film').dataset;
  return {start: Number(d.start), context: Number(d.context), horizon: Number(d.horizon)}; };
const show = w => {
  const film = element.querySelector('.vg-film'), total = Number(film.dataset.frames);
  Object.assign(film.dataset, w);
  const place = (name, from, count) => { const part = film.querySelector(name);
    part.style.left = `${from / total * 100}%`; part.style.width = `${count / total * 100}%`; };
  place('.vg-context', w.start, w.context); place('.vg-horizon', w.start + w.context, w.horizon);
};
let dragged = null, before = null, grip = 0;
element.addEventListener('pointerdown', event => {
  if (!event.target.closest('.vg-film')) return;
  const f = at(event), w = read(), ends = {start: w.start, boundary: w.start + w.context,
    end: w.start + w.context + w.horizon};
  dragged = Object.keys(ends).sort((a, b) => Math.abs(ends[a] - f) - Math.abs(ends[b] - f))[0];
  if (f > ends.start + 1 && f < ends.boundary - 1 && dragged !== 'boundary') dragged = 'start';
  before = w; event.target.setPointerCapture(event.pointerId); event.preventDefault();
});
element.addEventListener('pointermove', event => {
  if (!dragged) return;
  const f = at(event), w = {...before}, end = before.start + before.context + before.horizon;
  if (dragged === 'start') w.start = f;
  if (dragged === 'boundary') { w.context = Math.max(2, f - before.start);
    w.horizon = Math.max(1, end - before.start - w.context); }
  if (dragged === 'end') w.horizon = Math.max(1, f - before.start - before.context);
  show(w);
});
element.addEventListener('pointerup', () => { if (dragged) { dragged = null; trigger('select', read()); } });
"""


def build(studio: Studio, restored: dict[str, Restored]) -> None:
    """Lay out the tab.

    Args:
        studio: the studio.
        restored: receives what sets the controls from an address.
    """
    models = studio.catalogue.models_of("forecast")
    first_video, first_model = studio.catalogue.first_pair("forecast")
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=300):
            video = gr.Dropdown(
                list(studio.catalogue.videos),
                value=first_video,
                label="Video",
                elem_id="forecast-video",
            )
            upload = drop_zone(TAB)
            model = gr.Dropdown(models, value=first_model, label="Model", elem_id="forecast-model")
            film = gr.HTML(label="Context and horizon", elem_id="forecast-film", js_on_load=_FILM_SCRIPT)
            with gr.Row():
                start = gr.Number(0, label="Start", precision=0, minimum=0, maximum=action.MAX_START, min_width=80)
                context = gr.Number(
                    3, label="Context", precision=0, minimum=2, maximum=action.MAX_CONTEXT, min_width=80
                )
                horizon = gr.Number(
                    10, label="Horizon", precision=0, minimum=1, maximum=action.MAX_HORIZON, min_width=80
                )
            with gr.Row():
                samples = gr.Slider(
                    1,
                    action.MAX_SAMPLES,
                    1,
                    step=1,
                    label="Samples",
                    info="More than 1 shows their spread",
                    min_width=220,
                    elem_id="forecast-samples",
                )
                seed = gr.Number(0, label="Seed", precision=0, minimum=0, min_width=80)
            with gr.Row():
                go = gr.Button("Forecast", variant="primary", min_width=90, elem_id="forecast-go")
                cancel = gr.Button("Cancel", min_width=90, elem_id="forecast-cancel")
            estimate = gr.HTML(elem_id="forecast-estimate")
            status = gr.HTML(elem_id="forecast-status")
        with gr.Column(scale=4, min_width=320):
            view = player(TAB)
            trust = gr.HTML(elem_id="forecast-trust")
            files = gr.HTML(elem_id="forecast-files")
            line = code_line(TAB)
            chart = gr.LinePlot(
                x="frames ahead",
                y="PSNR (dB)",
                color="forecast of",
                title="Closeness to the truth, frame by frame",
                height=260,
                visible=False,
                elem_id="forecast-chart",
            )

    window = [start, context, horizon]
    controls = [upload, video, model, start, context, horizon, samples, seed]

    def show_film(
        session: Session, job: Job, upload_value: Any, label: Any, name: Any, *numbers: Any
    ) -> Iterator[Values]:
        entry = studio.catalogue.model(name, "forecast")
        chosen = chosen_video(studio, session, upload_value, label)
        frames = action.film(studio.shelf.peek(entry), chosen.path)
        # A later choice may have been answered already.
        shown = {film: film_html(frames, *numbers), status: ""}
        yield dict.fromkeys(shown, gr.skip()) if job.is_cancelled else shown

    def set_context(name: Any) -> Any:
        entry = studio.catalogue.model(name, "forecast")
        return entry.facts.context or action.DEFAULT_CONTEXT

    def dragged(event: gr.EventData) -> tuple[int, int, int]:
        chosen = event._data or {}
        return chosen.get("start", 0), chosen.get("context", 2), chosen.get("horizon", 1)

    def seconds(session: Session, name: Any, *numbers: Any) -> float | None:
        entry = studio.catalogue.model(name, "forecast")
        options = action.options_of(entry, numbers[1], numbers[2], numbers[0], numbers[3], 0)

        def short() -> float:
            few = action.trial_options(options)
            with studio.shelf.borrow(entry) as loaded:
                action.forecast(loaded, studio.catalogue.example, few, Job())
            return action.work_units(few)

        return studio.estimate(TAB, entry.label, units=action.work_units(options), trial=timed(short))

    def run(session: Session, job: Job, upload_value: Any, label: Any, name: Any, *numbers: Any) -> Iterator[Values]:
        entry = studio.catalogue.model(name, "forecast")
        first, context_value, horizon_value, samples_value, seed_value = numbers
        options = action.options_of(entry, context_value, horizon_value, first, samples_value, seed_value)
        chosen = chosen_video(studio, session, upload_value, label)
        with studio.shelf.borrow(entry) as loaded:
            units = action.work_units(options)
            with studio.pace.measure(TAB, entry.label, units=units):
                made = action.forecast(loaded, chosen.path, options, job)
        stored = session.new_folder()
        out = f"{chosen.path.stem}-future"
        shown = chosen.path.name if chosen.is_temporary else chosen.path
        command = action.predict_line(entry, shown, options, f"{out}.mp4")
        save_result(stored.path, made.result(out, {"line": command}))
        yield {
            view: player_view(made.player_clips(), fps=made.fps, title=f"{chosen.path.name}, {entry.label}"),
            line: line_update(command),
            files: files_html(stored.id, out),
            chart: psnr_chart(made.psnr),
            trust: status_html("Measuring how far to trust this ..."),
            status: "",
            estimate: estimate_text(studio.pace.estimate(TAB, entry.label, units=units)),
        }
        with studio.shelf.borrow(entry) as loaded:  # not held while the page waits to be asked for more
            job.step(0.9, "trust")
            measured = action.measure(loaded, made)
        yield {trust: trust_html(action.trust_text(measured))}

    def restore(query: Mapping[str, str]) -> list[Any]:
        videos, names = list(studio.catalogue.videos), studio.catalogue.models_of("forecast")
        first_video, first_model = studio.catalogue.first_pair("forecast")
        label = query["video"] if query.get("video") in videos else first_video
        name = query["model"] if query.get("model") in names else first_model
        trained = studio.catalogue.models[name].facts.context if name else None
        return [
            gr.Dropdown(videos, value=label),
            gr.Dropdown(names, value=name),
            number_in(query, "start", 0, 0, action.MAX_START),
            number_in(query, "context", trained or action.DEFAULT_CONTEXT, 2, action.MAX_CONTEXT),
            number_in(query, "horizon", 10, 1, action.MAX_HORIZON),
            number_in(query, "samples", 1, 1, action.MAX_SAMPLES),
            number_in(query, "seed", 0, 0, 2**31 - 1),
        ]

    changed = model.input(set_context, model, context, show_progress="hidden")
    moved = film.select(dragged, None, window, show_progress="hidden")
    address(
        TAB,
        {
            "video": video,
            "model": model,
            "start": start,
            "context": context,
            "horizon": horizon,
            "samples": samples,
            "seed": seed,
        },
        [changed.then, moved.then],
    )
    showing = guarded(studio, f"{TAB}-film", status, show_film)
    shown = [upload, video, model, *window]
    gr.on(
        [upload.change, video.change, model.change, *(number.change for number in window)],
        showing,
        shown,
        [film, status],
        show_progress="hidden",
        trigger_mode="always_last",
    )
    takes = renew_estimate(
        studio, Estimate(seconds, [model, *window, samples], estimate), context.change, horizon.change
    )
    restored[TAB] = Restored(
        restore, [video, model, start, context, horizon, samples, seed], (showing, shown, [film, status]), [takes]
    )
    clicked = go.click(
        guarded(studio, TAB, status, run),
        controls,
        [view, line, files, chart, trust, status, estimate],
        concurrency_id="models",
        concurrency_limit=1,
        show_progress_on=[view],
    )
    cancel.click(canceller(studio, TAB), None, status, cancels=[clicked])


def film_html(frames: ByteClip, start: Any, context: Any, horizon: Any) -> str:
    """A strip of frames with the context and the horizon marked."""
    count = len(frames)
    chosen = np.linspace(0, count - 1, min(count, THUMBNAILS)).round().astype(int)
    height = frames.shape[-2]
    step = max(1, height // THUMBNAIL_HEIGHT)
    strip = torch.cat([frames[index, :, ::step, ::step] for index in chosen], dim=2).permute(1, 2, 0)
    first, given, ahead = (max(0, int(value or 0)) for value in (start, context, horizon))
    total = max(count, first + given + ahead)

    def part(name: str, begin: int, length: int) -> str:
        return f'<div class="{name}" style="left:{begin / total:.4%};width:{length / total:.4%}"></div>'

    ends = f"frames {first} to {first + given - 1}", f"{first + given} to {first + given + ahead - 1}"
    known = f"{count} or more" if count >= action.FILM_FRAMES else str(count)
    note = (
        ""
        if first + given + ahead <= count or count >= action.FILM_FRAMES
        else (f" The video ends after frame {count - 1}, so part of the truth is unknown.")
    )
    return (
        f'<div class="vg-film" data-frames="{total}" data-start="{first}" data-context="{given}"'
        f' data-horizon="{ahead}" title="drag the edges">'
        f'<img src="{data_image(strip.contiguous().numpy())}" alt="frames of the video" draggable="false"'
        f' style="width:{count / total:.4%}">{part("vg-context", first, given)}'
        f"{part('vg-horizon', first + given, ahead)}</div>"
        f'<p class="vg-note"><b class="vg-key-context"></b> context: {ends[0]} &nbsp; <b class="vg-key-horizon"></b>'
        f" horizon: {ends[1]} of {html.escape(known)}. Drag the edges.{note}</p>"
    )


def psnr_chart(scores: Mapping[str, list[float]]) -> Any:
    """The PSNR of each frame as rows of a chart; hidden without the truth."""
    import pandas

    rows = [(number, value, name) for name, values in scores.items() for number, value in enumerate(values, start=1)]
    table = pandas.DataFrame(rows, columns=["frames ahead", "PSNR (dB)", "forecast of"])
    return gr.LinePlot(table, visible=bool(rows))


def trust_html(text: str) -> str:
    """How far to trust the forecast."""
    return f'<p class="vg-trust"><b>How far to trust this.</b> {html.escape(text)}</p>'
