"""The tab Synthesis: draw clips, combine and edit them through their codes, and find the codes of a real clip."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import gradio as gr

from vidgan.data.sources.file_tree import VIDEO_SUFFIXES
from vidgan.errors import ConfigError, DataError
from vidgan.report.clips import player_clip
from vidgan.studio.actions import synthesis as action
from vidgan.studio.context import Studio
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
    files_html,
    guarded,
    line_update,
    number_in,
    player,
    player_view,
    status_html,
)
from vidgan.studio.saving import save_result
from vidgan.studio.sessions import IMAGE_SUFFIXES, Session
from vidgan.tasks.synthesis.codes import load_codes, render_codes
from vidgan.tasks.synthesis.editing import EDITS

__all__ = ["build"]

TAB: Final = "synthesis"
ANY: Final = "drawn for each clip"
OPERATIONS: Final = [(f"{name}: {edit.summary}", name) for name, edit in EDITS.items() if name != "none"]


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
            with gr.Accordion("First frame, units", open=False):
                image = drop_zone(f"{TAB}-image", "First frame: drop an image (image-to-video models)", "image/*")
                units = gr.Textbox(
                    "",
                    label="Units set to 0",
                    placeholder="layers.2:5,9",
                    max_lines=1,
                    info="LAYER:UNIT,UNIT, separated by spaces; `vidgan dissect` lists them",
                )
            with gr.Row():
                go = gr.Button("Draw", variant="primary", elem_id="synthesis-go")
                cancel = gr.Button("Cancel", elem_id="synthesis-cancel")
            estimate = gr.HTML()
            status = gr.HTML(elem_id="synthesis-status")
        with gr.Column(scale=4, min_width=320):
            view = player(TAB)
            files = gr.HTML(elem_id="synthesis-files")
            line = code_line(TAB)
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=300):
            gr.Markdown("### 2. Choose clips and edit them")
            with gr.Row():
                first, second, third = (
                    gr.Dropdown([], label=label, elem_id=f"synthesis-{label.lower()}", min_width=90, info=info)
                    for label, info in (("A", "content-motion"), ("B", "content-motion"), ("C", "for add"))
                )
            operation = gr.Dropdown(OPERATIONS, value="morph", label="Edit", elem_id="synthesis-operation")
            with gr.Row():
                amount = gr.Slider(-2, 4, 0.5, step=0.05, label="Amount", min_width=160)
                part = gr.Radio(["both", "content", "motion"], value="both", label="Part", min_width=160)
                length = gr.Number(
                    16, label="Frames", precision=0, minimum=2, maximum=action.MAX_FRAMES, visible=False, min_width=80
                )
                level = gr.Number(1, label="From level", precision=0, minimum=1, visible=False, min_width=80)
                target = gr.Dropdown([], label="Category", visible=False, min_width=120)
            with gr.Row():
                apply = gr.Button("Edit", variant="primary", elem_id="synthesis-edit")
                compare = gr.Button("Nearest to A in training", elem_id="synthesis-nearest")
        with gr.Column(scale=4, min_width=320):
            edit_status = gr.HTML(elem_id="synthesis-edit-status")
            edit_view = player(f"{TAB}-edit")
            edit_files = gr.HTML(elem_id="synthesis-edit-files")
            edit_command = code_line(f"{TAB}-edit")
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=300):
            gr.Markdown("### 3. Find the codes of a real clip")
            clip = drop_zone(f"{TAB}-clip", "Drop a clip like the training data")
            steps = gr.Slider(10, action.MAX_STEPS, 300, step=10, label="Optimisation steps", elem_id="synthesis-steps")
            with gr.Row():
                find = gr.Button("Find codes", variant="primary", elem_id="synthesis-find")
                stop = gr.Button("Cancel", elem_id="synthesis-find-cancel")
            find_estimate = gr.HTML()
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
        count, number, start, kind, upload, removed, text = values
        options = action.draw_options(
            entry, count, number, start, None if kind == ANY else kind, removed or "", text or ""
        )
        given = chosen_file(session, upload, IMAGE_SUFFIXES)
        stored = session.new_folder()
        with studio.shelf.borrow(entry) as loaded:
            work = options.frames * (options.clips + options.clips**2)
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
            status: status_html("The command writes the clips of the diagonal, and so do the files."),
            estimate: estimate_text(studio.pace.estimate(TAB, entry.label, units=work)),
            library: {"id": stored.id, "model": entry.label, "names": held},
        }
        if held:
            update |= dict(zip((first, second, third), choices(held), strict=True))
        yield update

    def run_edit(session: Session, job: Job, state: Any, kind: Any, *values: Any) -> Iterator[Values]:
        *chosen, strength, which, last_level, count, wanted = values
        entry, folder = opened(session, state)
        options = action.edit_options(kind, strength, which, last_level, count, wanted)
        with studio.shelf.borrow(entry) as loaded:
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

    def opened(session: Session, state: Any) -> Any:
        """The model and folder of the drawn clips."""
        if not isinstance(state, dict) or not state.get("names"):
            raise DataError("there are no clips to edit yet; draw some, or find the codes of a clip")
        return studio.catalogue.model(state["model"], "clips"), session.find(state["id"])

    def run_nearest(session: Session, job: Job, state: Any, chosen: Any) -> Iterator[Values]:
        entry, folder = opened(session, state)
        if str(entry.path) not in studio.catalogue.runs:
            raise ConfigError(f"{entry.label}: its training data are not here; choose a model of a training run")
        with studio.shelf.borrow(entry) as loaded:
            held = load_codes(folder / action.CODES_FILE, loaded)
            if chosen not in held:
                raise DataError(f"{chosen}: no such clip; choose one from the list")
            drawn = render_codes(loaded, held[chosen])
        job.step(0.3, "comparing with the training clips")
        frames, text = action.nearest(entry, drawn)
        shown = [player_clip(f"drawn: {chosen}", drawn), player_clip("nearest training clip", frames)]
        yield {edit_view: player_view(shown, fps=8, title="Nearest training clip"), edit_status: status_html(text)}

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
            library: {"id": stored_id, "model": entry.label, "names": held},
            **dict(zip((first, second, third), fresh, strict=True)),
        }

    def for_model(name: Any) -> tuple[Any, Any, Any, Any, Any]:
        entry = studio.catalogue.model(name, "clips")
        kinds = action.categories(entry.facts)
        return (
            gr.Dropdown([ANY, *kinds], value=ANY, visible=bool(kinds)),
            entry.facts.frames,
            gr.Dropdown(kinds, value=next(iter(kinds), None)),
            entry.facts.frames,
            gr.Textbox(visible=action.reads_captions(entry.facts)),
        )

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
        entry = studio.catalogue.models[name] if name else None
        kinds = action.categories(entry.facts) if entry else []
        kind = query["category"] if query.get("category") in kinds else ANY
        return [
            gr.Dropdown(listed, value=name),
            number_in(query, "clips", 3, 1, action.MAX_CLIPS),
            number_in(query, "frames", entry.facts.frames if entry else 16, 3, action.MAX_FRAMES),
            number_in(query, "seed", 0, 0, action.MAX_SEED),
            gr.Dropdown([ANY, *kinds], value=kind, visible=bool(kinds)),
            query.get("units", "")[:200],
            gr.Dropdown(kinds, value=next(iter(kinds), None)),
            gr.Dropdown(visible=False),
            gr.Textbox(
                query.get("caption", "")[:200], visible=entry is not None and action.reads_captions(entry.facts)
            ),
        ]

    changed = model.input(for_model, model, [category, frames, target, length, caption], show_progress="hidden")
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
        },
        [changed.then],
    )
    restored[TAB] = Restored(restore, [model, clips, frames, seed, category, units, target, third, caption])
    operation.change(
        for_operation, operation, [amount, part, level, length, target, second, third], show_progress="hidden"
    )
    drawing = go.click(
        guarded(studio, TAB, status, run),
        [model, clips, frames, seed, category, image, units, caption],
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
        [edit_view, edit_status],
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
    cancel.click(canceller(studio, TAB, f"{TAB}-edit"), None, status, cancels=[drawing, editing, comparing])
    stop.click(canceller(studio, f"{TAB}-find"), None, find_status, cancels=[finding])


def default_model(studio: Studio) -> str | None:
    """The first model whose clips can be edited through their codes, or the first one."""
    names = studio.catalogue.models_of("clips")
    editable = [name for name in names if not action.reads_captions(studio.catalogue.models[name].facts)]
    return next(iter([*editable, *names]), None)
