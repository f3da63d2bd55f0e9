"""The tab Runs: the report of a run while it trains, and start, stop and resume."""

from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any, Final

import gradio as gr

from vidgan.config import shipped_configs
from vidgan.errors import DataError
from vidgan.studio.actions import runs as action
from vidgan.studio.context import Studio
from vidgan.studio.jobs import Job
from vidgan.studio.layout.parts import (
    Restored,
    Values,
    address,
    code_line,
    guarded,
    line_update,
    page_view,
    player,
    status_html,
)
from vidgan.studio.lines import command_line
from vidgan.studio.sessions import Session

__all__ = ["build"]

TAB: Final = "runs"
REFRESH_SECONDS: Final = 15
DEFAULT_CONFIG: Final = "mocogan/vidgan"


def build(studio: Studio, restored: dict[str, Restored]) -> None:
    """Lay out the tab.

    Args:
        studio: the studio.
        restored: receives what sets the controls from an address.
    """
    names, data = list(studio.catalogue.runs), list(studio.catalogue.data)
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=300):
            run = gr.Dropdown(names, value=next(iter(names), None), label="Run", elem_id="runs-run")
            with gr.Row():
                look = gr.Button("Look", variant="primary", min_width=90, elem_id="runs-go")
                resume = gr.Button("Resume", min_width=80, elem_id="runs-resume")
                stop = gr.Button("Stop", min_width=80, elem_id="runs-stop")
            live = gr.Checkbox(label=f"Refresh every {REFRESH_SECONDS} seconds", elem_id="runs-live")
            status = gr.HTML(elem_id="runs-status")
            with gr.Accordion("Start a training", open=not names, elem_id="runs-training"):
                config = gr.Dropdown(
                    list(shipped_configs()), value=DEFAULT_CONFIG, label="Config", elem_id="runs-config"
                )
                root = gr.Dropdown(data, value=next(iter(data), None), label="Prepared data", elem_id="runs-data")
                name = gr.Textbox("studio", label="Name of the run", max_lines=1, elem_id="runs-name")
                with gr.Row():
                    steps = gr.Number(None, label="Steps", precision=0, minimum=0, min_width=80, elem_id="runs-steps")
                    batch = gr.Number(None, label="Batch size", precision=0, minimum=0, min_width=80)
                start = gr.Button("Start", variant="primary", elem_id="runs-start")
            output = gr.HTML(elem_id="runs-output")
        with gr.Column(scale=5, min_width=320):
            line = code_line(TAB)
            view = player(TAB)
    timer = gr.Timer(REFRESH_SECONDS, active=False)

    def chosen(label: Any) -> Path:
        folder = studio.catalogue.runs.get(label)
        if folder is None:
            raise DataError(f"run {label!r}: not in the list" if studio.catalogue.runs else "there is no run yet")
        return folder

    def printed(folder: Path) -> str:
        training = studio.trainings.find(folder)
        return "" if training is None else output_html(training.output())

    def show(session: Session, job: Job, label: Any) -> Iterator[Values]:
        folder = chosen(label)
        yield {
            view: page_view(action.run_page(folder), f"run {folder.name}"),
            status: status_html(action.run_status(folder)),
            line: line_update(command_line("report", [folder])),
            output: printed(folder),
        }

    def begin(
        session: Session, job: Job, kind: Any, where: Any, called: Any, number: Any, size: Any
    ) -> Iterator[Values]:
        folder = studio.catalogue.data.get(where)
        if folder is None:
            raise DataError("prepared data: none chosen; prepare videos with `vidgan prepare VIDEOS --out DATA` first")
        # The page sends 0 for an empty field: as in the config.
        path, command = action.train_line(str(kind), folder, str(called or ""), number or None, size or None)
        studio.trainings.start(path, command)
        yield {
            status: status_html(f"{path}: started; it appears in the list with its first files"),
            line: line_update(command),
        }

    def resume_run(session: Session, job: Job, label: Any) -> Iterator[Values]:
        folder = chosen(label)
        command = action.resume_line(folder)
        studio.trainings.start(folder, command)
        yield {status: status_html(f"{folder}: resumed"), line: line_update(command)}

    def end(session: Session, job: Job, label: Any) -> Iterator[Values]:
        folder = chosen(label)
        studio.trainings.stop(folder)
        yield {status: status_html(f"{folder}: saves a checkpoint and stops"), output: printed(folder)}

    def refresh_list(label: Any) -> Any:
        studio.catalogue.refresh()
        listed = list(studio.catalogue.runs)
        return gr.Dropdown(listed, value=label if label in listed else next(iter(listed), None))

    def restore(query: Mapping[str, str]) -> list[Any]:
        listed, sets, configs = list(studio.catalogue.runs), list(studio.catalogue.data), list(shipped_configs())
        return [
            gr.Dropdown(listed, value=query["run"] if query.get("run") in listed else next(iter(listed), None)),
            gr.Dropdown(sets, value=query["data"] if query.get("data") in sets else next(iter(sets), None)),
            query["config"] if query.get("config") in configs else DEFAULT_CONFIG,
        ]

    controls = {"run": run, "data": root, "config": config}
    address(TAB, controls)
    restored[TAB] = Restored(restore, list(controls.values()))
    shown = [view, status, line, output]
    look.click(refresh_list, run, run, show_progress="hidden").then(
        guarded(studio, TAB, status, show), run, shown, show_progress_on=[view]
    )
    start.click(guarded(studio, TAB, status, begin), [config, root, name, steps, batch], [status, line])
    resume.click(guarded(studio, TAB, status, resume_run), run, [status, line])
    stop.click(guarded(studio, TAB, status, end), run, [status, output])
    live.change(lambda is_live: gr.Timer(active=bool(is_live)), live, timer, show_progress="hidden")
    timer.tick(refresh_list, run, run, show_progress="hidden").then(
        guarded(studio, TAB, status, show), run, shown, show_progress="hidden"
    )


def output_html(text: str) -> str:
    """What a training printed."""
    return f'<details class="vg-output"><summary>Output of the training</summary><pre>{escape(text)}</pre></details>'
