"""The tab Compare: two models or two folders, blind votes, then names and metrics."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final, TypeAlias

import gradio as gr

from vidgan.errors import ConfigError, DataError
from vidgan.report.formatting import short
from vidgan.runs import run_data
from vidgan.studio.actions import compare as action
from vidgan.studio.actions import forecast
from vidgan.studio.catalogue import ModelEntry
from vidgan.studio.context import Studio, chosen_video, timed
from vidgan.studio.jobs import Job
from vidgan.studio.layout.parts import (
    Estimate,
    Restored,
    Values,
    address,
    canceller,
    code_line,
    drop_zone,
    estimate_text,
    guarded,
    number_in,
    player,
    player_view,
    renew_estimate,
    status_html,
)
from vidgan.studio.sessions import Session
from vidgan.tasks.base import EvaluationKind

__all__ = ["KEYS", "build"]

Work: TypeAlias = tuple[tuple[str, ...], float, Callable[[], float]]

TAB: Final = "compare"
FORECASTERS, GENERATORS, FOLDERS = "two forecasters", "two generators", "two folders"
KINDS: Final = (FORECASTERS, GENERATORS, FOLDERS)
NONE, OWN_DATA = "none", "training data of A, held-out part"
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
    folders, data_sets = list(studio.catalogue.video_folders), list(studio.catalogue.data)
    state = gr.State(None)
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=300):
            kind = gr.Radio(list(KINDS), value=FORECASTERS, label="Compare", elem_id="compare-kind")
            with gr.Row():
                first = gr.Dropdown(
                    models, value=models[0] if models else None, label="A", min_width=140, elem_id="compare-a"
                )
                second = gr.Dropdown(
                    models, value=models[-1] if models else None, label="B", min_width=140, elem_id="compare-b"
                )
            with gr.Group() as of_video:
                video = gr.Dropdown(videos, value=next(iter(videos), None), label="Video", elem_id="compare-video")
                upload = drop_zone(TAB)
                horizon = gr.Number(5, label="Horizon", precision=0, minimum=1, maximum=forecast.MAX_HORIZON)
            truth = gr.Dropdown(
                [NONE, *folders], value=NONE, label="True videos, for metrics", visible=False, elem_id="compare-truth"
            )
            with gr.Row(visible=False) as of_real:
                real = gr.Dropdown(
                    [NONE, OWN_DATA, *data_sets], value=NONE, label="Real clips, for metrics", elem_id="compare-real"
                )
                scored = gr.Number(
                    32,
                    label="Clips for metrics",
                    precision=0,
                    minimum=action.TRIAL_SCORED,
                    maximum=action.MAX_SCORED,
                    min_width=80,
                )
            with gr.Row():
                count = gr.Number(6, label="Pairs", precision=0, minimum=1, maximum=action.MAX_PAIRS, min_width=80)
                seed = gr.Number(0, label="Seed of the order", precision=0, minimum=0, min_width=80)
            show_truth = gr.Checkbox(True, label="Show the truth beside them", elem_id="compare-show-truth")
            with gr.Row():
                go = gr.Button("Begin", variant="primary", min_width=90, elem_id="compare-go")
                cancel = gr.Button("Cancel", min_width=90, elem_id="compare-cancel")
            estimate = gr.HTML(elem_id="compare-estimate")
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

    def two_folders(a: Any, b: Any) -> tuple[tuple[str, str], tuple[Path, Path]]:
        known = studio.catalogue.video_folders
        if a not in known or b not in known or a == b:
            raise DataError("choose two different folders of videos; `vidgan studio FOLDER FOLDER` lists them")
        return (a, b), (known[a], known[b])

    def two_models(a: Any, b: Any, wanted: EvaluationKind) -> tuple[ModelEntry, ModelEntry]:
        if a == b:
            raise DataError("choose two different models")
        return studio.catalogue.model(a, wanted), studio.catalogue.model(b, wanted)

    def real_clips(name: Any, entry: ModelEntry) -> Path | None:
        if name == OWN_DATA:
            if str(entry.path) not in studio.catalogue.runs:
                raise ConfigError(f"{entry.label}: is no training run, so its data are not known; choose prepared data")
            return run_data(entry.path)
        return studio.catalogue.data.get(name)

    def work(which: Any, a: Any, b: Any, ahead: Any, real_name: Any, number: Any, pairs: Any) -> Work:
        """What is measured, how much of it there is to do, and a small part of it."""
        if which == FOLDERS:
            names, paths = two_folders(a, b)
            units = max(1, action.count_shared(paths))
            return (TAB, *names), units, lambda: action.read_few(paths, Job())
        if which == GENERATORS:
            entries = two_models(a, b, "clips")
            data = real_clips(real_name, entries[0])

            def few() -> float:
                if data is None:
                    return float(sum(draw_few(entry) for entry in entries))
                return float(sum(action.score_few(entry, data) for entry in entries))

            if data is None:
                return (TAB, "draw", a, b), 2.0 * int(pairs or 1), few
            return (TAB, "score", a, b, str(data)), 2.0 * int(number or 1), few
        entries = two_models(a, b, "forecast")
        context = entries[0].facts.context or forecast.DEFAULT_CONTEXT

        def short() -> float:
            done = 0
            for entry in entries:
                with studio.shelf.borrow(entry) as model:
                    done += action.forecast_few(model, studio.catalogue.example, context)
            return done

        return (TAB, a, b), 2.0 * int(pairs or 1) * (context + int(ahead or 1)), short

    def draw_few(entry: ModelEntry) -> int:
        with studio.shelf.borrow(entry) as model:
            model.sample(1, frames=entry.facts.frames)
        return 1

    def seconds(session: Session, *values: Any) -> float | None:
        key, units, few = work(*values)
        return studio.estimate(*key, units=units, trial=timed(few))

    def run(
        session: Session, job: Job, which: Any, a: Any, b: Any, upload_value: Any, label: Any, *values: Any
    ) -> Iterator[Values]:
        ahead, true, real_name, number, pairs, start, with_truth = values
        pairs, start = int(pairs or 0), int(start or 0)
        key, units, _ = work(which, a, b, ahead, real_name, number, pairs)
        if which == FOLDERS:
            names, paths = two_folders(a, b)
            reference = studio.catalogue.video_folders.get(true)
            with studio.pace.measure(*key, units=units):
                made = action.compare_folders(names, paths, reference, pairs, start, job)
            command = action.folder_lines(*paths, reference)
        elif which == GENERATORS:
            entries = two_models(a, b, "clips")
            data = real_clips(real_name, entries[0])
            with studio.pace.measure(*key, units=units):
                made = action.compare_generators(studio.shelf, entries, data, int(number or 0), pairs, start, job)
            command = action.generator_lines(entries, data, int(number or 0), pairs, start)
        else:
            entries = two_models(a, b, "forecast")
            chosen = chosen_video(studio, session, upload_value, label)
            with studio.pace.measure(*key, units=units):
                made = action.compare_forecasters(
                    studio.shelf, entries, chosen.path, int(ahead or 0), pairs, start, job
                )
            context = entries[0].facts.context or forecast.DEFAULT_CONTEXT
            options = forecast.ForecastOptions(context, int(ahead))
            shown_video = chosen.path.name if chosen.is_temporary else chosen.path
            command = "\n".join(
                forecast.predict_line(entry, shown_video, options, f"{side}.mp4")
                for side, entry in zip("ab", entries, strict=True)
            )
        yield shown(made, with_truth=bool(with_truth)) | {
            line: gr.Code(value=command, visible=False),
            estimate: estimate_text(studio.pace.estimate(*key, units=units)),
        }

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

    def sides(which: Any) -> list[str]:
        if which == FOLDERS:
            return list(studio.catalogue.video_folders)
        return studio.catalogue.models_of("clips" if which == GENERATORS else "forecast")

    def for_kind(which: Any, query: Mapping[str, str] | None = None) -> list[Any]:
        asked, names = query or {}, sides(which)
        true = [NONE, *studio.catalogue.video_folders]
        sets = [NONE, OWN_DATA, *studio.catalogue.data]
        chosen = [asked[key] if asked.get(key) in names else None for key in ("a", "b")]
        return [
            gr.Dropdown(names, value=chosen[0] or (names[0] if names else None)),
            gr.Dropdown(names, value=chosen[1] or (names[-1] if names else None)),
            gr.Group(visible=which == FORECASTERS),
            gr.Dropdown(true, value=asked["truth"] if asked.get("truth") in true else NONE, visible=which == FOLDERS),
            gr.Row(visible=which == GENERATORS),
            gr.Dropdown(sets, value=asked["real"] if asked.get("real") in sets else NONE),
            gr.Checkbox(asked.get("show_truth") != "false", visible=which != GENERATORS),
        ]

    def restore(query: Mapping[str, str]) -> list[Any]:
        which = query["kind"] if query.get("kind") in KINDS else FORECASTERS
        updates = for_kind(which, query)
        listed = list(studio.catalogue.videos)
        label = query["video"] if query.get("video") in listed else next(iter(listed), None)
        return [
            which,
            *updates,
            gr.Dropdown(listed, value=label),
            number_in(query, "horizon", 5, 1, forecast.MAX_HORIZON),
            number_in(query, "pairs", 6, 1, action.MAX_PAIRS),
            number_in(query, "seed", 0, 0, 2**31 - 1),
            number_in(query, "scored", 32, action.TRIAL_SCORED, action.MAX_SCORED),
        ]

    by_kind = [first, second, of_video, truth, of_real, real, show_truth]
    chosen_kind = kind.input(lambda which: for_kind(which), kind, by_kind, show_progress="hidden")
    address(
        TAB,
        {
            "kind": kind,
            "a": first,
            "b": second,
            "video": video,
            "horizon": horizon,
            "truth": truth,
            "real": real,
            "scored": scored,
            "pairs": count,
            "seed": seed,
            "show_truth": show_truth,
        },
        [chosen_kind.then],
    )
    takes = renew_estimate(
        studio, Estimate(seconds, [kind, first, second, horizon, real, scored, count], estimate), chosen_kind.then
    )
    restored[TAB] = Restored(restore, [kind, *by_kind, video, horizon, count, seed, scored], estimates=[takes])
    results = [state, view, progress, ballot, reveal, result, status, line, estimate]
    clicked = go.click(
        guarded(studio, TAB, status, run),
        [kind, first, second, upload, video, horizon, truth, real, scored, count, seed, show_truth],
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
    known = {name: made.meaning.get(name) or action.metric_of(name, "", "") for name in names}
    head = "".join(
        f'<th title="{escape(metric.definition)}">{escape(metric.name)}'
        + (f"<small>{metric.better} is better</small></th>" if metric.better else "</th>")
        for metric in known.values()
    )
    rows = "".join(
        f"<tr><th>{escape(row.name)}</th>"
        + "".join(f"<td>{short(row.values[name]) if name in row.values else '&ndash;'}</td>" for name in names)
        + "</tr>"
        for row in made.metrics
    )
    table = f'<div class="vg-wide"><table class="vg-table"><tr><th></th>{head}</tr>{rows}</table></div>' if rows else ""
    terms = "".join(
        f"<dt>{escape(metric.name)}</dt><dd>{escape(metric.definition)}</dd>"
        for metric in known.values()
        if metric.definition
    )
    meaning = f"<details><summary>What the metrics measure</summary><dl>{terms}</dl></details>" if terms else ""
    note = f"<p>{escape(made.note)}</p>" if made.note else ""
    return f"<p><b>Votes.</b> {escape(made.preference())}</p>{table}{meaning}{note}"
