"""The tab Data: what a prepared data set holds."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import gradio as gr

from vidgan.errors import DataError
from vidgan.studio.actions import data as action
from vidgan.studio.context import Studio, timed
from vidgan.studio.jobs import Job
from vidgan.studio.layout.parts import (
    Estimate,
    Restored,
    Values,
    address,
    canceller,
    code_line,
    estimate_text,
    guarded,
    line_update,
    number_in,
    page_view,
    player,
    renew_estimate,
    status_html,
)
from vidgan.studio.sessions import Session

__all__ = ["build"]

TAB: Final = "data"
SPLITS: Final = ["train", "test", "all"]
NO_DATA: Final = (
    "No prepared data were found. Prepare your videos with `vidgan prepare VIDEOS --out DATA`, and give the folder:"
    " `vidgan studio DATA`."
)


def build(studio: Studio, restored: dict[str, Restored]) -> None:
    """Lay out the tab.

    Args:
        studio: the studio.
        restored: receives what sets the controls from an address.
    """
    names = list(studio.catalogue.data)
    missing = gr.Markdown(NO_DATA, visible=not names, elem_id="data-missing")
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=280):
            root = gr.Dropdown(names, value=next(iter(names), None), label="Prepared data", elem_id="data-root")
            split = gr.Radio(SPLITS, value="train", label="Contact sheet of", elem_id="data-split")
            with gr.Row():
                count = gr.Number(8, label="Clips", precision=0, minimum=1, maximum=action.MAX_CLIPS, min_width=80)
                seed = gr.Number(0, label="Seed of the choice", precision=0, minimum=0, min_width=80)
            with gr.Row():
                go = gr.Button("Look", variant="primary", min_width=90, elem_id="data-go")
                cancel = gr.Button("Cancel", min_width=90, elem_id="data-cancel")
            estimate = gr.HTML(elem_id="data-estimate")
            status = gr.HTML(elem_id="data-status")
        with gr.Column(scale=5, min_width=320):
            view = player(TAB)
            line = code_line(TAB, "The command that prepared these data")

    def run(session: Session, job: Job, name: Any, which: Any, number: Any, start: Any) -> Iterator[Values]:
        folder = studio.catalogue.data.get(name)
        if folder is None:
            raise DataError(f"data {name!r}: not in the list" if studio.catalogue.data else NO_DATA)
        with studio.pace.measure(TAB, str(name), units=action.work_units(folder)):
            page = action.data_page(folder, str(which), int(number or 0), int(start or 0), job)
        yield {
            view: page_view(page, f"data {folder.name}"),
            line: line_update(action.prepare_line(folder)),
            status: "",
            estimate: estimate_text(studio.pace.estimate(TAB, str(name), units=action.work_units(folder))),
        }

    def seconds(session: Session, name: Any) -> float | None:
        folder = studio.catalogue.data.get(name)
        if folder is None:
            return None
        return studio.estimate(
            TAB, str(name), units=action.work_units(folder), trial=timed(lambda: action.compare_few(folder, Job()))
        )

    def restore(query: Mapping[str, str]) -> list[Any]:
        listed = list(studio.catalogue.data)
        return [
            gr.Markdown(visible=not listed),
            gr.Dropdown(listed, value=query["data"] if query.get("data") in listed else next(iter(listed), None)),
            query["split"] if query.get("split") in SPLITS else "train",
            number_in(query, "clips", 8, 1, action.MAX_CLIPS),
            number_in(query, "seed", 0, 0, 2**31 - 1),
        ]

    controls = {"data": root, "split": split, "clips": count, "seed": seed}
    address(TAB, controls)
    takes = renew_estimate(studio, Estimate(seconds, [root], estimate))
    restored[TAB] = Restored(restore, [missing, *controls.values()], estimates=[takes])
    clicked = go.click(
        guarded(studio, TAB, status, run),
        [root, split, count, seed],
        [view, line, status, estimate],
        show_progress_on=[view],
    )
    cancel.click(canceller(studio, TAB), None, status, cancels=[clicked])
    root.change(lambda: (status_html(""), ""), None, [status, view], show_progress="hidden")
