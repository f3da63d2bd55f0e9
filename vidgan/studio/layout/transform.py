"""The tab Transform: translate or enlarge a video."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import gradio as gr

from vidgan.data.sources.file_tree import VIDEO_SUFFIXES
from vidgan.errors import DataError
from vidgan.studio.actions import transform as action
from vidgan.studio.context import Studio, chosen_video
from vidgan.studio.jobs import Job
from vidgan.studio.layout.parts import (
    Restored,
    Values,
    address,
    canceller,
    chosen_file,
    code_line,
    drop_zone,
    estimate_text,
    guarded,
    line_update,
    links_html,
    number_in,
    player,
    player_view,
)
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
            with gr.Row():
                frames = gr.Number(32, label="Frames, at most", precision=0, minimum=2, maximum=action.MAX_FRAMES)
                own_size = gr.Checkbox(label="Keep the frame size", info="translation", min_width=120)
                reverse = gr.Checkbox(label="Reverse", info="unpaired models", min_width=120)
            with gr.Accordion("Mask, for models that fill holes", open=False):
                mask = drop_zone(f"{TAB}-mask", "Drop a mask: a video or an image; bright is a hole", "video/*,image/*")
            with gr.Row():
                go = gr.Button("Transform", variant="primary", elem_id="transform-go")
                cancel = gr.Button("Cancel", elem_id="transform-cancel")
            estimate = gr.HTML()
            status = gr.HTML(elem_id="transform-status")
        with gr.Column(scale=4, min_width=320):
            view = player(TAB)
            files = gr.HTML(elem_id="transform-files")
            line = code_line(TAB)

    def run(session: Session, job: Job, upload_value: Any, label: Any, name: Any, *values: Any) -> Iterator[Values]:
        if not studio.catalogue.models_of("mapping"):
            raise DataError(NO_MODEL)
        entry = studio.catalogue.model(name, "mapping")
        count, keeps_size, is_reversed, mask_value = values
        options = action.transform_options(entry, count, bool(is_reversed), bool(keeps_size))
        chosen = chosen_video(studio, session, upload_value, label)
        given_mask = chosen_file(session, mask_value, VIDEO_SUFFIXES | IMAGE_SUFFIXES)
        stored = session.new_folder()
        out = f"{chosen.path.stem}-{'upscaled' if entry.task == action.UPSCALING else 'translated'}.mp4"
        with studio.shelf.borrow(entry) as loaded, studio.pace.measure(TAB, entry.label, units=options.frames):
            made = action.transform(loaded, entry, chosen.path, stored.path / out, options, job, given_mask)
        shown = chosen.path.name if chosen.is_temporary else chosen.path
        mask_name = None if given_mask is None else given_mask.name
        yield {
            view: player_view(made.player_clips(), fps=made.video.fps, title=f"{chosen.path.name}, {entry.label}"),
            files: links_html(stored.id, [out, f"{made.path.stem}.json"]),
            line: line_update(action.transform_line(entry, shown, options, out, mask_name)),
            status: "",
            estimate: estimate_text(studio.pace.estimate(TAB, entry.label, units=options.frames)),
        }

    def restore(query: Mapping[str, str]) -> list[Any]:
        videos, listed = list(studio.catalogue.videos), studio.catalogue.models_of("mapping")
        return [
            gr.Markdown(visible=not listed),
            gr.Dropdown(videos, value=query["video"] if query.get("video") in videos else next(iter(videos), None)),
            gr.Dropdown(listed, value=query["model"] if query.get("model") in listed else next(iter(listed), None)),
            number_in(query, "frames", 32, 2, action.MAX_FRAMES),
            query.get("own_size") == "true",
            query.get("reverse") == "true",
        ]

    controls = {"video": video, "model": model, "frames": frames, "own_size": own_size, "reverse": reverse}
    address(TAB, controls)
    restored[TAB] = Restored(restore, [missing, *controls.values()])
    clicked = go.click(
        guarded(studio, TAB, status, run),
        [upload, video, model, frames, own_size, reverse, mask],
        [view, files, line, status, estimate],
        concurrency_id="models",
        concurrency_limit=1,
        show_progress_on=[view],
    )
    cancel.click(canceller(studio, TAB), None, status, cancels=[clicked])
