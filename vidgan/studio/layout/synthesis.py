"""The tab Synthesis: draw clips, combine and edit them through their codes, and find the codes of a real clip."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import gradio as gr

from vidgan.data.sources.file_tree import VIDEO_SUFFIXES
from vidgan.errors import ConfigError, DataError
from vidgan.hub import ModelFacts
from vidgan.report.clips import player_clip
from vidgan.studio.actions import synthesis as action
from vidgan.studio.catalogue import ModelEntry
from vidgan.studio.context import Studio, timed
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
    status_html,
)
from vidgan.studio.saving import save_result
from vidgan.studio.sessions import IMAGE_SUFFIXES, Session
from vidgan.tasks.synthesis.codes import load_codes, render_codes
from vidgan.tasks.synthesis.editing import EDITS

__all__ = ["build"]

TAB: Final = "synthesis"
ANY: Final = "drawn for each clip"
NO_CODES: Final = (
    "The clips of this model follow a caption or a given frame. They have no codes of their own that could be edited."
)
NO_RUN: Final = "its training data are not known; choose a model of a training run"


def build(studio: Studio, restored: dict[str, Restored]) -> None:
    """Lay out the tab.

    Args:
        studio: the studio.
        restored: receives what sets the controls from an address.
    """
    names = studio.catalogue.models_of("clips")
    default = default_model(studio)
    library = gr.State(None)  # {"id", "model", "names"}: the codes of the drawn and inverted clips
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=300):
            gr.Markdown("### 1. Draw")
            model = gr.Dropdown(names, value=default, label="Model", elem_id="synthesis-model")
            with gr.Row():
                clips = gr.Number(
                    3, label="Contents and motions", precision=0, minimum=1, maximum=action.MAX_CLIPS, min_width=80
                )
                frames = gr.Number(16, label="Frames", precision=0, minimum=3, maximum=action.MAX_FRAMES, min_width=80)
                seed = gr.Number(0, label="Seed", precision=0, minimum=0, min_width=80, elem_id="synthesis-seed")
            category = gr.Dropdown([ANY], value=ANY, label="Category", elem_id="synthesis-category")
            caption = gr.Textbox(
                "",
                label="Caption",
                max_lines=1,
                visible=False,
                elem_id="synthesis-caption",
                info="empty: captions of training clips",
            )
            with gr.Group(visible=False) as of_image:
                image = drop_zone(f"{TAB}-image", "First frame: drop an image that the clips continue", "image/*")
            truncation = gr.Slider(
                0,
                1,
                1,
                step=0.05,
                label="Truncation",
                info="1: all looks; towards 0: closer to the mean look",
                visible=False,
                elem_id="synthesis-truncation",
            )
            with gr.Accordion("Set units to 0", open=False, visible=False, elem_id="synthesis-units-box") as of_units:
                units = gr.Textbox(
                    "", label="Units", placeholder="LAYER:UNIT,UNIT ...", max_lines=1, elem_id="synthesis-units"
                )
            with gr.Row():
                go = gr.Button("Draw", variant="primary", min_width=90, elem_id="synthesis-go")
                cancel = gr.Button("Cancel", min_width=90, elem_id="synthesis-cancel")
            estimate = gr.HTML(elem_id="synthesis-estimate")
            status = gr.HTML(elem_id="synthesis-status")
        with gr.Column(scale=4, min_width=320):
            view = player(TAB)
            files = gr.HTML(elem_id="synthesis-files")
            line = code_line(TAB)
    no_codes = gr.Markdown(NO_CODES, visible=False, elem_id="synthesis-no-codes")
    with gr.Row(equal_height=False) as of_edits:
        with gr.Column(scale=2, min_width=300):
            gr.Markdown("### 2. Choose clips and edit them")
            with gr.Row():
                first, second, third = (
                    gr.Dropdown([], label=label, elem_id=f"synthesis-{label.lower()}", min_width=90, info=info)
                    for label, info in (("A", "content-motion"), ("B", "content-motion"), ("C", "for add"))
                )
            operation = gr.Dropdown(operations(list(EDITS)), value="morph", label="Edit", elem_id="synthesis-operation")
            with gr.Row():
                amount = gr.Slider(-2, 4, 0.5, step=0.05, label="Amount", min_width=160)
                part = gr.Radio(["both", "content", "motion"], value="both", label="Part", min_width=160)
                length = gr.Number(
                    16, label="Frames", precision=0, minimum=2, maximum=action.MAX_FRAMES, visible=False, min_width=80
                )
                level = gr.Number(1, label="From level", precision=0, minimum=1, visible=False, min_width=80)
                target = gr.Dropdown([], label="Category", visible=False, min_width=120)
            with gr.Row():
                apply = gr.Button("Edit", variant="primary", min_width=90, elem_id="synthesis-edit")
                between = gr.Button("A to B", min_width=90, elem_id="synthesis-between")
                edit_cancel = gr.Button("Cancel", min_width=90, elem_id="synthesis-edit-cancel")
            edit_estimate = gr.HTML(elem_id="synthesis-edit-estimate")
            compare = gr.Button("Nearest training clip of A", elem_id="synthesis-nearest")
            nearest_estimate = gr.HTML(elem_id="synthesis-nearest-estimate")
        with gr.Column(scale=4, min_width=320):
            edit_status = gr.HTML(elem_id="synthesis-edit-status")
            edit_view = player(f"{TAB}-edit")
            edit_files = gr.HTML(elem_id="synthesis-edit-files")
            edit_command = code_line(f"{TAB}-edit")
    with gr.Row(equal_height=False) as of_finding:
        with gr.Column(scale=2, min_width=300):
            gr.Markdown("### 3. Find the codes of a real clip")
            clip = drop_zone(f"{TAB}-clip", "Drop a clip like the training data")
            steps = gr.Slider(10, action.MAX_STEPS, 300, step=10, label="Optimisation steps", elem_id="synthesis-steps")
            with gr.Row():
                find = gr.Button("Find codes", variant="primary", min_width=90, elem_id="synthesis-find")
                stop = gr.Button("Cancel", min_width=90, elem_id="synthesis-find-cancel")
            find_estimate = gr.HTML(elem_id="synthesis-find-estimate")
        with gr.Column(scale=4, min_width=320):
            find_status = gr.HTML(elem_id="synthesis-find-status")
            find_view = player(f"{TAB}-find")
            find_command = code_line(f"{TAB}-find")

    def choices(held: list[str]) -> tuple[Any, Any, Any]:
        last = held[min(len(held) - 1, max(0, round(len(held) ** 0.5) ** 2 - 1))]
        return (
            gr.Dropdown(held, value=held[0]),
            gr.Dropdown(held, value=last),
            gr.Dropdown(held, value=held[len(held) // 2]),
        )

    def run(session: Session, job: Job, name: Any, *values: Any) -> Iterator[Values]:
        entry = studio.catalogue.model(name, "clips")
        count, number, start, kind, upload, removed, text, pulled = values
        options = action.draw_options(
            entry, count, number, start, None if kind == ANY else kind, removed or "", text or "", pulled
        )
        given = chosen_file(session, upload, IMAGE_SUFFIXES)
        stored = session.new_folder()
        with studio.shelf.borrow(entry) as loaded:
            work = draw_units(options)
            with studio.pace.measure(TAB, entry.label, units=work):
                made = action.draw(loaded, entry, options, job, given)
            held = action.keep_codes(stored.path, loaded, made.codes) if made.codes else []
        command = action.generate_line(entry, options, None if given is None else given.name)
        save_result(stored.path, made.result("clips", {"line": command}))
        numbers = range(1, options.clips + 1)
        update: dict[Any, Any] = {
            view: player_view(
                made.player_clips(),
                fps=made.fps,
                title=f"{entry.label}, seed {options.seed}",
                rows=[f"content {row}" for row in numbers],
                columns=[f"motion {column}" for column in numbers],
            ),
            files: files_html(stored.id, "clips", [action.CODES_FILE] if held else []),
            line: line_update(command),
            status: status_html("The command and the files hold the clips of the diagonal."),
            estimate: estimate_text(studio.pace.estimate(TAB, entry.label, units=work)),
            library: {"id": stored.id, "model": entry.label, "names": held, "frames": options.frames},
        }
        if held:
            update |= dict(zip((first, second, third), choices(held), strict=True))
        yield update

    def run_edit(session: Session, job: Job, state: Any, kind: Any, *values: Any) -> Iterator[Values]:
        *chosen, strength, which, last_level, count, wanted = values
        entry, folder = opened(session, state)
        options = action.edit_options(kind, strength, which, last_level, count, wanted)
        units = action.render_units(EDITS[kind].codes, state["frames"])
        with studio.shelf.borrow(entry) as loaded, studio.pace.measure(TAB, entry.label, units=units):
            made = action.edit(loaded, entry, folder, kind, chosen, options, job)
        command = action.edit_line(entry, kind, chosen, options)
        stored = session.new_folder()
        save_result(stored.path, made.result(kind, {"line": command}))
        yield {
            edit_view: player_view(made.player_clips(kind), fps=made.fps, title=EDITS[kind].summary),
            edit_files: files_html(stored.id, kind),
            edit_command: line_update(command),
            edit_status: status_html(f"The command reads {action.CODES_FILE}, which part 1 offers to save."),
        }

    def run_between(session: Session, job: Job, state: Any, a: Any, b: Any) -> Iterator[Values]:
        entry, folder = opened(session, state)
        with studio.shelf.borrow(entry) as loaded:
            clips, made = action.interpolate(loaded, entry, folder, a, b, job)
        command = action.interpolation_lines(entry, a, b)
        stored = session.new_folder()
        save_result(stored.path, made)
        shown = [player_clip(name, clip) for name, clip in clips.items()]
        yield {
            edit_view: player_view(shown, fps=made.fps, title=f"From {a} to {b}"),
            edit_files: files_html(stored.id, made.name),
            edit_command: line_update(command),
            edit_status: status_html(f"The commands read {action.CODES_FILE}, which part 1 offers to save."),
        }

    def opened(session: Session, state: Any) -> Any:
        """The model and folder of the drawn clips."""
        if not isinstance(state, dict) or not state.get("names"):
            raise DataError("there are no clips to edit yet; draw some, or find the codes of a clip")
        return studio.catalogue.model(state["model"], "clips"), session.find(state["id"])

    def run_nearest(session: Session, job: Job, state: Any, chosen: Any) -> Iterator[Values]:
        entry, folder = opened(session, state)
        if str(entry.path) not in studio.catalogue.runs:
            raise ConfigError(f"{entry.label}: {NO_RUN}")
        with studio.shelf.borrow(entry) as loaded:
            held = load_codes(folder / action.CODES_FILE, loaded)
            if chosen not in held:
                raise DataError(f"{chosen}: no such clip; choose one from the list")
            drawn = render_codes(loaded, held[chosen])

        def on_block(done: int, total: int) -> None:
            job.step(0.1 + 0.9 * done / total, f"comparing with training windows, part {done + 1} of {total}")

        with studio.pace.measure("nearest", entry.label, units=1):
            frames, text = action.nearest(entry, drawn, on_block)
        shown = [player_clip(f"drawn: {chosen}", drawn), player_clip("nearest training clip", frames)]
        yield {
            edit_view: player_view(shown, fps=8, title="Nearest training clip"),
            edit_status: status_html(text),
            edit_files: "",
            edit_command: gr.Code(visible=False),
        }

    def run_find(
        session: Session, job: Job, state: Any, name: Any, upload: Any, count: Any, start: Any
    ) -> Iterator[Values]:
        entry = studio.catalogue.model(name, "clips")
        video = chosen_file(session, upload, VIDEO_SUFFIXES)
        if video is None:
            raise DataError("no clip was dropped; drop a video like those that the model was trained on")
        total = action.inversion_steps(int(count))
        with studio.shelf.borrow(entry) as loaded:
            with studio.pace.measure("invert", entry.label, units=total):
                found = action.invert(loaded, video, int(count), int(start or 0), job)
            is_same = isinstance(state, dict) and state["model"] == entry.label
            stored_id = state["id"] if is_same else session.new_folder().id
            held = action.keep_codes(session.find(stored_id), loaded, {found.name: found.codes})
        shown = [player_clip("real clip", found.clip), player_clip("from its codes", found.reconstruction)]
        scores = found.scores
        text = (
            f"{scores.psnr:.1f} dB; repeating its best frame: {scores.best_frame_psnr:.1f} dB; motion correlation"
            f" {scores.correlation:.2f}. The clip is now in the lists A, B and C."
        )
        notes = f" {'; '.join(found.notes)}." if found.notes else ""
        fresh = (gr.Dropdown(held, value=found.name), gr.Dropdown(held), gr.Dropdown(held))
        yield {
            find_view: player_view(shown, fps=8, title=found.name),
            find_command: line_update(action.invert_line(entry, video.name, int(count), int(start or 0))),
            find_status: status_html(text + notes),
            find_estimate: estimate_text(studio.pace.estimate("invert", entry.label, units=total)),
            library: {"id": stored_id, "model": entry.label, "names": held, "frames": len(found.clip)},
            **dict(zip((first, second, third), fresh, strict=True)),
        }

    def draw_trial(entry: ModelEntry) -> Callable[[], float]:
        def few() -> float:
            with studio.shelf.borrow(entry) as loaded:
                return action.draw_few(loaded)

        return timed(few)

    def draw_seconds(session: Session, name: Any, count: Any, number: Any) -> float | None:
        entry = studio.catalogue.model(name, "clips")
        options = action.draw_options(entry, count, number, 0, None, "")
        return studio.estimate(TAB, entry.label, units=draw_units(options), trial=draw_trial(entry))

    def edit_seconds(session: Session, state: Any, kind: Any) -> float | None:
        entry, _ = opened(session, state)
        units = action.render_units(EDITS[kind].codes, state["frames"])
        return studio.estimate(TAB, entry.label, units=units, trial=draw_trial(entry))

    def nearest_seconds(session: Session, state: Any) -> float | None:
        entry, folder = opened(session, state)
        if str(entry.path) not in studio.catalogue.runs:
            raise ConfigError(f"{entry.label}: {NO_RUN}")

        def few() -> float:
            with studio.shelf.borrow(entry) as loaded:
                codes = load_codes(folder / action.CODES_FILE, loaded)
                return action.nearest_few(entry, render_codes(loaded, next(iter(codes.values()))))

        return studio.estimate("nearest", entry.label, units=1, trial=timed(few))

    def find_seconds(session: Session, name: Any, count: Any) -> float | None:
        entry = studio.catalogue.model(name, "clips")

        def trial() -> float:
            with studio.shelf.borrow(entry) as loaded:
                return action.step_seconds(loaded, studio.catalogue.example)

        return studio.estimate("invert", entry.label, units=action.inversion_steps(int(count)), trial=trial)

    def for_model(name: Any, query: Mapping[str, str] | None = None) -> list[Any]:
        """The controls that the model has, with the values of an address."""
        entry = studio.catalogue.models.get(name)
        loaded = studio.shelf.peek_if_sound(entry)
        if entry is None or loaded is None:
            return [gr.skip()] * len(of_model)
        asked = query or {}
        able, kinds = action.abilities(loaded), action.categories(entry.facts)
        chosen = asked["category"] if asked.get("category") in kinds else ANY
        offered = operations([one for one in able.operations if one != "category" or kinds])
        return [
            gr.Dropdown([ANY, *kinds], value=chosen, visible=bool(kinds)),
            number_in(asked, "frames", entry.facts.frames, 3, action.MAX_FRAMES),
            gr.Dropdown(kinds, value=next(iter(kinds), None)),
            entry.facts.frames,
            gr.Textbox(asked.get("caption", "")[:200], visible=able.captions, info=caption_info(entry.facts)),
            gr.Group(visible=able.first_frame),
            gr.Slider(value=share_in(asked, "truncation"), visible=able.truncation),
            gr.Accordion(visible=bool(able.units)),
            gr.Textbox(asked.get("units", "")[:200], info=units_info(able.units)),
            gr.Markdown(visible=not able.codes),
            gr.Row(visible=able.codes),
            gr.Row(visible=able.codes),
            gr.Dropdown(offered, value="morph"),
            gr.Number(maximum=max(1, able.levels - 1)),
            gr.Button(visible=str(entry.path) in studio.catalogue.runs),
        ]

    def for_operation(kind: Any) -> list[Any]:
        options = EDITS[kind].options if kind in EDITS else ()
        strength = {"slow": 2.0, "truncate": 0.7, "add": 1.0, "exaggerate": 1.5}.get(kind, 0.5)
        return [
            gr.Slider(visible="amount" in options, value=strength),
            gr.Radio(visible="part" in options),
            gr.Number(visible="level" in options),
            gr.Number(visible="frames" in options),
            gr.Dropdown(visible="category" in options),
            gr.Dropdown(visible=EDITS[kind].codes > 1 if kind in EDITS else True),
            gr.Dropdown(visible=EDITS[kind].codes > 2 if kind in EDITS else True),
        ]

    def restore(query: Mapping[str, str]) -> list[Any]:
        listed = studio.catalogue.models_of("clips")
        name = query["model"] if query.get("model") in listed else default_model(studio)
        return [
            gr.Dropdown(listed, value=name),
            number_in(query, "clips", 3, 1, action.MAX_CLIPS),
            number_in(query, "seed", 0, 0, action.MAX_SEED),
            gr.Dropdown(visible=False),
            *for_model(name, query),
        ]

    of_model = [category, frames, target, length, caption, of_image, truncation, of_units, units]
    of_model += [no_codes, of_edits, of_finding, operation, level, compare]
    changed = model.input(lambda name: for_model(name), model, of_model, show_progress="hidden")
    address(
        TAB,
        {
            "model": model,
            "clips": clips,
            "frames": frames,
            "seed": seed,
            "category": category,
            "units": units,
            "caption": caption,
            "truncation": truncation,
        },
        [changed.then],
    )
    takes = [
        renew_estimate(studio, Estimate(draw_seconds, [model, clips, frames], estimate), changed.then),
        renew_estimate(studio, Estimate(edit_seconds, [library, operation], edit_estimate)),
        renew_estimate(studio, Estimate(nearest_seconds, [library], nearest_estimate)),
        renew_estimate(studio, Estimate(find_seconds, [model, steps], find_estimate)),
    ]
    restored[TAB] = Restored(restore, [model, clips, seed, third, *of_model], estimates=takes)
    operation.change(
        for_operation, operation, [amount, part, level, length, target, second, third], show_progress="hidden"
    )
    drawing = go.click(
        guarded(studio, TAB, status, run),
        [model, clips, frames, seed, category, image, units, caption, truncation],
        [view, files, line, status, estimate, library, first, second, third],
        concurrency_id="models",
        concurrency_limit=1,
        show_progress_on=[view],
    )
    editing = apply.click(
        guarded(studio, f"{TAB}-edit", edit_status, run_edit),
        [library, operation, first, second, third, amount, part, level, length, target],
        [edit_view, edit_files, edit_command, edit_status],
        concurrency_id="models",
        concurrency_limit=1,
        show_progress_on=[edit_view],
    )
    comparing = compare.click(
        guarded(studio, f"{TAB}-edit", edit_status, run_nearest),
        [library, first],
        [edit_view, edit_status, edit_files, edit_command],
        concurrency_id="models",
        concurrency_limit=1,
        show_progress_on=[edit_view],
    )
    finding = find.click(
        guarded(studio, f"{TAB}-find", find_status, run_find),
        [library, model, clip, steps, seed],
        [find_view, find_command, find_status, find_estimate, library, first, second, third],
        concurrency_id="models",
        concurrency_limit=1,
        show_progress_on=[find_view],
    )
    leading = between.click(
        guarded(studio, f"{TAB}-edit", edit_status, run_between),
        [library, first, second],
        [edit_view, edit_files, edit_command, edit_status],
        concurrency_id="models",
        concurrency_limit=1,
        show_progress_on=[edit_view],
    )
    cancel.click(canceller(studio, TAB), None, status, cancels=[drawing])
    edit_cancel.click(canceller(studio, f"{TAB}-edit"), None, edit_status, cancels=[editing, comparing, leading])
    stop.click(canceller(studio, f"{TAB}-find"), None, find_status, cancels=[finding])


def default_model(studio: Studio) -> str | None:
    """The first model whose clips can be edited through their codes, or the first one."""
    names = studio.catalogue.models_of("clips")
    editable = [name for name in names if not studio.catalogue.models[name].facts.captions]
    return next(iter([*editable, *names]), None)


def draw_units(options: action.DrawOptions) -> int:
    """Frames that a drawing renders: those of the grid, and of the diagonal once more."""
    return options.frames * (options.clips + options.clips**2)


def operations(names: Sequence[str]) -> list[tuple[str, str]]:
    """Edits as choices of a list."""
    return [(f"{name}: {EDITS[name].summary}", name) for name in names if name != "none"]


def caption_info(facts: ModelFacts) -> str:
    """What a caption may say."""
    examples = [f"\u201c{text}\u201d" for text in (facts.captions or ())[:2]]
    return f"For example {' or '.join(examples)}. Empty: captions of training clips." if examples else ""


def units_info(units: Mapping[str, int | None]) -> str:
    """Which units there are."""
    layers = ", ".join(f"{name} (0 to {count - 1})" if count else name for name, count in units.items())
    return (
        f"LAYER:UNIT,UNIT, separated by spaces. Layers and their units: {layers}. `vidgan dissect` says what they draw."
    )


def share_in(query: Mapping[str, str], name: str) -> float:
    """A number from 0 to 1 of an address; 1 where it is missing or wrong."""
    text = query.get(name, "")
    return float(text) if re.fullmatch(r"0(\.\d{1,3})?|1", text) else 1.0
