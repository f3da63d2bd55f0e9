"""The tab Compare: two folders or two forecasters, blind votes, then names and metrics."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any, Final

import gradio as gr

from vidgan.errors import DataError
from vidgan.report.formatting import heading, short
from vidgan.studio.actions import compare as action
from vidgan.studio.actions import forecast
from vidgan.studio.context import Studio, chosen_video
from vidgan.studio.jobs import Job
from vidgan.studio.layout.parts import (
    Restored,
    Values,
    address,
    canceller,
    code_line,
    drop_zone,
    guarded,
    number_in,
    player,
    player_view,
    status_html,
)
from vidgan.studio.sessions import Session

__all__ = ["KEYS", "build"]

TAB: Final = "compare"
FORECASTERS, FOLDERS = "two forecasters", "two folders"
CHOICES: Final = (("left", "Left is better (1)"), ("tie", "About equal (0)"), ("right", "Right is better (2)"))

KEYS: Final = """<script>
document.addEventListener('keydown', event => {
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  const name = {1: 'left', 0: 'tie', 2: 'right'}[event.key];
  const button = name && document.getElementById(`compare-${name}`);
  if (button && button.offsetParent && !/^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) button.click();
});
</script>"""


def build(studio: Studio, restored: dict[str, Restored]) -> None:
    """Lay out the tab.

    Args:
        studio: the studio.
        restored: receives what sets the controls from an address.
    """
    models, videos = studio.catalogue.models_of("forecast"), list(studio.catalogue.videos)
    folders = list(studio.catalogue.video_folders)
    state = gr.State(None)
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=300):
            kind = gr.Radio([FORECASTERS, FOLDERS], value=FORECASTERS, label="Compare", elem_id="compare-kind")
            with gr.Row():
                first = gr.Dropdown(models, value=models[0] if models else None, label="A", min_width=140)
                second = gr.Dropdown(models, value=models[-1] if models else None, label="B", min_width=140)
            with gr.Group() as of_video:
                video = gr.Dropdown(videos, value=next(iter(videos), None), label="Video", elem_id="compare-video")
                upload = drop_zone(TAB)
                horizon = gr.Number(5, label="Horizon", precision=0, minimum=1, maximum=forecast.MAX_HORIZON)
            truth = gr.Dropdown(["none", *folders], value="none", label="True videos, for metrics", visible=False)
            with gr.Row():
                count = gr.Number(6, label="Pairs", precision=0, minimum=1, maximum=action.MAX_PAIRS, min_width=80)
                seed = gr.Number(0, label="Seed of the order", precision=0, minimum=0, min_width=80)
            show_truth = gr.Checkbox(True, label="Show the truth beside them")
            with gr.Row():
                go = gr.Button("Begin", variant="primary", elem_id="compare-go")
                cancel = gr.Button("Cancel", elem_id="compare-cancel")
            status = gr.HTML(elem_id="compare-status")
        with gr.Column(scale=4, min_width=320):
            progress = gr.HTML(elem_id="compare-progress")
            view = player(TAB)
            with gr.Row(visible=False) as ballot:
                buttons = {name: gr.Button(text, elem_id=f"compare-{name}") for name, text in CHOICES}
            reveal = gr.Button("Show names and metrics", visible=False, elem_id="compare-reveal")
            result = gr.HTML(elem_id="compare-result")
            line = code_line(TAB)

    def shown(made: action.Comparison, *, with_truth: bool) -> dict[Any, Any]:
        number = len(made.votes)
        if made.is_over:
            return revealed(made)
        pair = made.pairs[number]
        return {
            state: made,
            view: player_view(
                made.player_clips(with_truth=with_truth), fps=pair.fps, title=f"Pair {number + 1} of {len(made.pairs)}"
            ),
            progress: status_html("Which is better? Names and metrics stay hidden until you have voted."),
            ballot: gr.Row(visible=True),
            reveal: gr.Button(visible=True),
            result: "",
            status: "",
        }

    def revealed(made: action.Comparison) -> dict[Any, Any]:
        return {
            state: made,
            progress: status_html("Every pair has a vote." if made.is_over else "The remaining pairs have no vote."),
            ballot: gr.Row(visible=False),
            reveal: gr.Button(visible=False),
            result: result_html(made),
            view: "",
        }

    def run(
        session: Session, job: Job, which: Any, a: Any, b: Any, upload_value: Any, label: Any, *values: Any
    ) -> Iterator[Values]:
        ahead, true, pairs, start, with_truth = values
        if which == FOLDERS:
            known = studio.catalogue.video_folders
            if a not in known or b not in known or a == b:
                raise DataError("choose two different folders of videos; `vidgan studio FOLDER FOLDER` lists them")
            reference = known.get(true)
            made = action.compare_folders(
                (a, b), (known[a], known[b]), reference, int(pairs or 0), int(start or 0), job
            )
            command = action.compare_lines(known[a], known[b], reference)
        else:
            entries = studio.catalogue.model(a, "forecast"), studio.catalogue.model(b, "forecast")
            if a == b:
                raise DataError("choose two different models")
            chosen = chosen_video(studio, session, upload_value, label)
            made = action.compare_forecasters(
                studio.shelf, entries, chosen.path, int(ahead or 0), int(pairs or 0), int(start or 0), job
            )
            context = entries[0].facts.context or forecast.DEFAULT_CONTEXT
            options = forecast.ForecastOptions(context, int(ahead))
            shown_video = chosen.path.name if chosen.is_temporary else chosen.path
            command = "\n".join(
                forecast.predict_line(entry, shown_video, options, f"{side}.mp4")
                for side, entry in zip("ab", entries, strict=True)
            )
        yield shown(made, with_truth=bool(with_truth)) | {line: gr.Code(value=command, visible=False)}

    def vote(choice: action.Choice) -> Any:
        def cast(session: Session, job: Job, made: Any, with_truth: Any) -> Iterator[Values]:
            if not isinstance(made, action.Comparison):
                raise DataError("begin a comparison first")
            made.vote(choice)
            yield shown(made, with_truth=bool(with_truth)) | ({line: gr.Code(visible=True)} if made.is_over else {})

        return cast

    def end(session: Session, job: Job, made: Any) -> Iterator[Values]:
        if not isinstance(made, action.Comparison):
            raise DataError("begin a comparison first")
        yield revealed(made) | {line: gr.Code(visible=True)}

    def for_kind(which: Any) -> list[Any]:
        names = list(studio.catalogue.video_folders) if which == FOLDERS else studio.catalogue.models_of("forecast")
        true = ["none", *studio.catalogue.video_folders]
        return [
            gr.Dropdown(names, value=names[0] if names else None),
            gr.Dropdown(names, value=names[-1] if names else None),
            gr.Group(visible=which != FOLDERS),
            gr.Dropdown(true, value="none", visible=which == FOLDERS),
        ]

    def restore(query: Mapping[str, str]) -> list[Any]:
        which = FOLDERS if query.get("kind") == FOLDERS else FORECASTERS
        updates = for_kind(which)
        names = list(studio.catalogue.video_folders) if which == FOLDERS else studio.catalogue.models_of("forecast")
        for place, key in enumerate(("a", "b")):
            if query.get(key) in names:
                updates[place] = gr.Dropdown(names, value=query[key])
        listed = list(studio.catalogue.videos)
        label = query["video"] if query.get("video") in listed else next(iter(listed), None)
        return [
            which,
            *updates,
            gr.Dropdown(listed, value=label),
            number_in(query, "horizon", 5, 1, forecast.MAX_HORIZON),
            number_in(query, "pairs", 6, 1, action.MAX_PAIRS),
            number_in(query, "seed", 0, 0, 2**31 - 1),
        ]

    address(
        TAB,
        {"kind": kind, "a": first, "b": second, "video": video, "horizon": horizon, "pairs": count, "seed": seed},
    )
    restored[TAB] = Restored(restore, [kind, first, second, of_video, truth, video, horizon, count, seed])
    kind.input(for_kind, kind, [first, second, of_video, truth], show_progress="hidden")
    results = [state, view, progress, ballot, reveal, result, status, line]
    clicked = go.click(
        guarded(studio, TAB, status, run),
        [kind, first, second, upload, video, horizon, truth, count, seed, show_truth],
        results,
        concurrency_id="models",
        concurrency_limit=1,
        show_progress_on=[view],
    )
    for name, button in buttons.items():
        button.click(
            guarded(studio, f"{TAB}-vote", status, vote(name)),  # type: ignore[arg-type]
            [state, show_truth],
            results,
            show_progress="hidden",
        )
    reveal.click(guarded(studio, f"{TAB}-vote", status, end), state, results, show_progress="hidden")
    cancel.click(canceller(studio, TAB), None, status, cancels=[clicked])


def result_html(made: action.Comparison) -> str:
    """Votes and metrics of a comparison."""
    names: Sequence[str] = list(dict.fromkeys(name for row in made.metrics for name in row.values))
    head = "".join(f"<th>{escape(heading(name))}</th>" for name in names)
    rows = "".join(
        f"<tr><th>{escape(row.name)}</th>"
        + "".join(f"<td>{short(row.values[name]) if name in row.values else '&ndash;'}</td>" for name in names)
        + "</tr>"
        for row in made.metrics
    )
    table = f'<table class="vg-table"><tr><th></th>{head}</tr>{rows}</table>' if rows else ""
    note = f"<p>{escape(made.note)}</p>" if made.note else ""
    return f"<p><b>Votes.</b> {escape(made.preference())}</p>{table}{note}"
