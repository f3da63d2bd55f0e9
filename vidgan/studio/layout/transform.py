"""The tab Transform: translate or enlarge a video."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

import gradio as gr

from vidgan.data.sources.file_tree import VIDEO_SUFFIXES
from vidgan.errors import DataError
from vidgan.files import temporary_folder
from vidgan.studio.actions import transform as action
from vidgan.studio.context import Studio, chosen_video, timed
from vidgan.studio.jobs import Job
from vidgan.studio.layout.parts import (
    Estimate,
    Restored,
    Values,
    address,
    canceller,
    chosen_file,
    code_line,
    drop_zone,
    estimate_text,
    files_html,
    guarded,
    line_update,
    number_in,
    player,
    player_view,
    renew_estimate,
)
from vidgan.studio.saving import save_result
from vidgan.studio.sessions import IMAGE_SUFFIXES, Session

__all__ = ["build"]

TAB: Final = "transform"
NO_MODEL: Final = (
    "No model that translates or enlarges was found. Train one, for example with"
    " `vidgan train upscaling/videos data.root=DATA`, and give its folder: `vidgan studio runs/NAME`."
)


def build(studio: Studio, restored: dict[str, Restored]) -> None:
    """Lay out the tab.

    Args:
        studio: the studio.
        restored: receives what sets the controls from an address.
    """
    names = studio.catalogue.models_of("mapping")
    missing = gr.Markdown(NO_MODEL, visible=not names, elem_id="transform-missing")
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=300):
            video = gr.Dropdown(
                list(studio.catalogue.videos),
                value=next(iter(studio.catalogue.videos), None),
                label="Video",
                elem_id="transform-video",
            )
            upload = drop_zone(TAB)
            model = gr.Dropdown(names, value=next(iter(names), None), label="Model", elem_id="transform-model")
            caption = gr.Textbox(label="Caption", max_lines=1, visible=False, elem_id="transform-caption")
            with gr.Row():
                frames = gr.Number(32, label="Frames, at most", precision=0, minimum=2, maximum=action.MAX_FRAMES)
                own_size = gr.Checkbox(label="Keep the frame size", visible=False, min_width=120)
                reverse = gr.Checkbox(label="Reverse: from the second domain", visible=False, min_width=120)
            with gr.Group(visible=False) as of_holes:
                mask = drop_zone(f"{TAB}-mask", "Drop a mask: a video or an image; bright is a hole", "video/*,image/*")
            with gr.Row():
                go = gr.Button("Transform", variant="primary", min_width=90, elem_id="transform-go")
                cancel = gr.Button("Cancel", min_width=90, elem_id="transform-cancel")
            estimate = gr.HTML(elem_id="transform-estimate")
            status = gr.HTML(elem_id="transform-status")
        with gr.Column(scale=4, min_width=320):
            view = player(TAB)
            files = gr.HTML(elem_id="transform-files")
            line = code_line(TAB)

    def run(session: Session, job: Job, upload_value: Any, label: Any, name: Any, *values: Any) -> Iterator[Values]:
        if not studio.catalogue.models_of("mapping"):
            raise DataError(NO_MODEL)
        entry = studio.catalogue.model(name, "mapping")
        count, keeps_size, is_reversed, text, mask_value = values
        options = action.transform_options(entry, count, bool(is_reversed), bool(keeps_size), text or "")
        chosen = chosen_video(studio, session, upload_value, label)
        given_mask = chosen_file(session, mask_value, VIDEO_SUFFIXES | IMAGE_SUFFIXES)
        stored = session.new_folder()
        out = f"{chosen.path.stem}-{'upscaled' if entry.task == action.UPSCALING else 'translated'}"
        unit, units = action.work_of(entry, chosen.path, options)
        with studio.shelf.borrow(entry) as loaded, studio.pace.measure(TAB, entry.label, unit, units=units):
            made = action.transform(loaded, entry, chosen.path, stored.path, options, job, given_mask)
        save_result(stored.path, made.result(out))
        shown = chosen.path.name if chosen.is_temporary else chosen.path
        mask_name = None if given_mask is None else given_mask.name
        yield {
            view: player_view(made.player_clips(), fps=made.video.fps, title=f"{chosen.path.name}, {entry.label}"),
            files: files_html(stored.id, out, [f"{out}.json"]),
            line: line_update(action.transform_line(entry, shown, options, f"{out}.mp4", mask_name)),
            status: "",
            estimate: estimate_text(studio.pace.estimate(TAB, entry.label, unit, units=units)),
        }

    def seconds(session: Session, upload_value: Any, label: Any, name: Any, *values: Any) -> float | None:
        entry = studio.catalogue.model(name, "mapping")
        example_text = next(iter(entry.facts.captions or ()), "")
        options = action.transform_options(entry, values[0], False, bool(values[1]), example_text)
        chosen = chosen_video(studio, session, upload_value, label)
        unit, units = action.work_of(entry, chosen.path, options)

        def few() -> float:
            example, short = studio.catalogue.example, replace(options, frames=action.TRIAL_FRAMES)
            with temporary_folder() as folder, studio.shelf.borrow(entry) as loaded:
                holes = example if action.fills_holes(loaded) else None
                action.transform(loaded, entry, example, folder, short, Job(), holes)
            return action.work_of(entry, example, short)[1]

        return studio.estimate(TAB, entry.label, unit, units=units, trial=timed(few))

    def for_model(name: Any, query: Mapping[str, str] | None = None) -> list[Any]:
        """The options that the model has, with the values of an address."""
        entry, asked = studio.catalogue.models.get(name), query or {}
        loaded = studio.shelf.peek_if_sound(entry)
        fills = loaded is not None and action.fills_holes(loaded)
        translates = entry is not None and entry.task != action.UPSCALING
        return [
            gr.Checkbox(asked.get("own_size") == "true", visible=translates),
            gr.Checkbox(asked.get("reverse") == "true", visible=entry is not None and entry.task == action.UNPAIRED),
            gr.Textbox(asked.get("caption", "")[:200], visible=entry is not None and bool(entry.facts.captions)),
            gr.Group(visible=fills),
        ]

    def restore(query: Mapping[str, str]) -> list[Any]:
        videos, listed = list(studio.catalogue.videos), studio.catalogue.models_of("mapping")
        name = query["model"] if query.get("model") in listed else next(iter(listed), None)
        return [
            gr.Markdown(visible=not listed),
            gr.Dropdown(videos, value=query["video"] if query.get("video") in videos else next(iter(videos), None)),
            gr.Dropdown(listed, value=name),
            number_in(query, "frames", 32, 2, action.MAX_FRAMES),
            *for_model(name, query),
        ]

    controls = {"video": video, "model": model, "frames": frames, "own_size": own_size, "reverse": reverse}
    controls["caption"] = caption
    address(TAB, controls)
    takes = renew_estimate(studio, Estimate(seconds, [upload, video, model, frames, own_size], estimate))
    restored[TAB] = Restored(restore, [missing, *controls.values(), of_holes], estimates=[takes])
    model.input(lambda name: for_model(name), model, [own_size, reverse, caption, of_holes], show_progress="hidden")
    clicked = go.click(
        guarded(studio, TAB, status, run),
        [upload, video, model, frames, own_size, reverse, caption, mask],
        [view, files, line, status, estimate],
        concurrency_id="models",
        concurrency_limit=1,
        show_progress_on=[view],
    )
    cancel.click(canceller(studio, TAB), None, status, cancels=[clicked])
