"""Draw clips of contents by motions, edit them through their codes, and find the codes of a real clip.

The files equal those of `vidgan generate` and `vidgan edit`; codes are kept in a file as `vidgan invert` writes them.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from vidgan.commands.edit import side_by_side
from vidgan.commands.generate import read_image
from vidgan.commands.invert import DEFAULT_STARTS, read_windows
from vidgan.commands.output import output_rate, require_memory
from vidgan.commands.unit_options import rendering_without
from vidgan.errors import ConfigError, DataError
from vidgan.evaluation.models import load_model as load_trained
from vidgan.evaluation.nearest_clips import nearest_windows
from vidgan.evaluation.windows import Window
from vidgan.hub import ModelFacts
from vidgan.metrics.still_fits import Reconstruction
from vidgan.report.clips import player_clip
from vidgan.report.player import PlayerClip
from vidgan.studio.catalogue import ModelEntry
from vidgan.studio.jobs import CancelledError, Job
from vidgan.studio.lines import command_line
from vidgan.studio.saving import Result
from vidgan.tasks.synthesis.codes import Codes, load_codes, render_codes, save_codes
from vidgan.tasks.synthesis.editing import EDITS
from vidgan.tasks.synthesis.inversion import SCREENING, InversionSettings, check_invertible, invert_clip
from vidgan.tasks.synthesis.mocogan import MoCoGAN
from vidgan.tasks.synthesis.units import unit_layers
from vidgan.types import ByteClip, Latents
from vidgan.video.encode import contact_sheet, tile

__all__ = [
    "CODES_FILE",
    "Abilities",
    "DrawOptions",
    "Drawing",
    "Edited",
    "Inverted",
    "abilities",
    "draw",
    "edit",
    "edit_line",
    "edit_options",
    "generate_line",
    "interpolate",
    "invert",
    "invert_line",
    "nearest",
]

CODES_FILE: Final = "codes.safetensors"
MAX_CLIPS: Final = 6
MAX_FRAMES: Final = 128
MAX_SEED: Final = 2**31 - 1
MAX_STEPS: Final = 1000
MAX_SHEET_CLIPS: Final = 32
BETWEEN: Final = (0.25, 0.5, 0.75)  # amounts of the clips that lead from one to another
TRIAL_CLIPS, TRIAL_FRAMES = 2, 8  # drawn to estimate the time of more
TRIAL_STEPS: Final = 10  # of an inversion
TRIAL_BLOCKS: Final = 2  # blocks of training windows


@dataclass(frozen=True)
class Abilities:
    """What a model that generates clips can be asked for.

    Attributes:
        first_frame: it continues a given frame.
        captions: it reads text.
        truncation: its look can be pulled toward the mean one.
        levels: levels of its frame generator at which styles can be mixed; 0 if they cannot.
        units: layer -> number of units that can be set to 0, None where it is not known.
        codes: its clips can be edited through their codes.
    """

    first_frame: bool
    captions: bool
    truncation: bool
    levels: int
    units: dict[str, int | None]
    codes: bool

    @property
    def operations(self) -> list[str]:
        """Edits that the model supports, whatever its categories."""
        return [name for name in EDITS if name != "none" and (name != "mix" or self.levels > 1)]


def abilities(model: Any) -> Abilities:
    """What a loaded model can be asked for."""
    frame = getattr(model, "frame", None)
    first_frame, captions = bool(model.needs_first_frame), bool(getattr(model, "reads_captions", False))
    return Abilities(
        first_frame=first_frame,
        captions=captions,
        truncation=hasattr(frame, "styles"),
        levels=int(frame.num_levels) if frame is not None and getattr(frame, "mixes_content", False) else 0,
        units=_units(model) if isinstance(model, MoCoGAN) else {},
        codes=isinstance(model, MoCoGAN) and not first_frame and not captions,
    )


@dataclass(frozen=True)
class DrawOptions:
    """What is drawn.

    Attributes:
        clips: N contents and N motions.
        frames: of each clip.
        seed: of all codes.
        category: name for all clips; None: drawn for each motion.
        without_units: units of the frame generator that are set to 0, as `LAYER:UNIT,UNIT`.
        text: caption of all clips; None: captions of training clips, for a model that reads them.
        truncation: 0 to 1, how far each clip's look may differ from the mean one; None: not limited.
    """

    clips: int = 3
    frames: int = 16
    seed: int = 0
    category: str | None = None
    without_units: tuple[str, ...] = ()
    text: str | None = None
    truncation: float | None = None


@dataclass(frozen=True)
class Drawing:
    """A grid of clips.

    Attributes:
        options: what was drawn.
        grid: (N * N, T, 3, H, W) uint8, row by row: a row shares one content, a column one motion.
        samples: (N, T, 3, H, W), the clips that `vidgan generate` writes: the diagonal.
        codes: of the grid by name, `content-motion` counted from 1; empty for a model that continues a frame or reads
            captions.
        fps: frames per second of the files.
    """

    options: DrawOptions
    grid: ByteClip
    samples: ByteClip
    codes: dict[str, Codes]
    fps: float

    def player_clips(self) -> list[PlayerClip]:
        """The grid row by row, the diagonal as `vidgan generate` rendered it."""
        count = len(self.samples)
        return [
            player_clip(
                f"content {row + 1}, motion {column + 1}",
                self.samples[row] if row == column else self.grid[row * count + column],
            )
            for row in range(count)
            for column in range(count)
        ]

    def result(self, name: str, record: dict[str, Any]) -> Result:
        """The files: the drawn clips side by side, and with npz the whole grid."""
        sheet = contact_sheet(self.samples[:MAX_SHEET_CLIPS])
        return Result(name, tile(self.samples), sheet, self.fps, {"clips": self.samples, "grid": self.grid}, record)


@dataclass(frozen=True)
class Edited:
    """An edit: the clips of its codes, and what was made of them.

    Attributes:
        sources: (T, 3, H, W) uint8 by name.
        clip: the result.
        codes: of the result.
        fps: frames per second of the files.
    """

    sources: dict[str, ByteClip]
    clip: ByteClip
    codes: Codes
    fps: float

    def player_clips(self, operation: str) -> list[PlayerClip]:
        """Sources and result."""
        return [*(player_clip(name, clip) for name, clip in self.sources.items()), player_clip(operation, self.clip)]

    def result(self, name: str, record: dict[str, Any]) -> Result:
        """The files, as `vidgan edit` writes them."""
        row = side_by_side([*self.sources.values(), self.clip])
        return Result(name, self.clip, contact_sheet(row), self.fps, {}, record)


@dataclass(frozen=True)
class Inverted:
    """The codes of a real clip.

    Attributes:
        name: of the codes.
        clip: (T, 3, H, W) uint8, as the model reads it.
        reconstruction: what the model draws from the codes.
        codes: that were found.
        scores: of the reconstruction.
        notes: what was done to the clip.
    """

    name: str
    clip: ByteClip
    reconstruction: ByteClip
    codes: Codes
    scores: Reconstruction
    notes: tuple[str, ...]


def _units(model: MoCoGAN) -> dict[str, int | None]:
    """Layer -> number of its units, None where its module does not say."""
    try:
        layers = unit_layers(model)
    except ValueError:
        return {}
    sizes = ("out_channels", "num_features", "num_channels")
    return {
        name: next((int(getattr(layer, size)) for size in sizes if hasattr(layer, size)), None)
        for name, layer in layers.items()
    }


def draw_options(
    entry: ModelEntry,
    clips: float,
    frames: float | None,
    seed: float,
    category: str | None,
    units: str,
    text: str = "",
    truncation: float | None = None,
) -> DrawOptions:
    """Checked options from the controls of a page.

    Raises:
        ConfigError: a value outside its limits.
    """
    values = {
        "clips": (clips, 1, MAX_CLIPS),
        "frames": (frames or entry.facts.frames, 3, MAX_FRAMES),
        "seed": (seed, 0, MAX_SEED),
    }
    for name, (value, least, most) in values.items():
        if not (isinstance(value, int | float) and float(value).is_integer() and least <= value <= most):
            raise ConfigError(f"{name} is {value}; accepted are whole numbers from {least} to {most}")
    count, length, number = (int(value) for value, _, _ in values.values())
    pulled = None if truncation is None or truncation == 1 else float(truncation)
    if pulled is not None and not 0 <= pulled <= 1:
        raise ConfigError(f"truncation is {truncation}; accepted are 0 to 1")
    return DrawOptions(count, length, number, category or None, tuple(units.split()), text.strip() or None, pulled)


def draw(model: Any, entry: ModelEntry, options: DrawOptions, job: Job, first_frame: Path | None = None) -> Drawing:
    """Draw N contents with N motions.

    Raises:
        ConfigError, ValueError: an option that the model does not support. CancelledError: the job was cancelled.
    """
    count = options.clips
    require_memory(
        (count * count + count) * options.frames * math.prod(model.image_size) * 3 * 5,
        f"clips {count}, frames {options.frames}",
    )
    if model.needs_first_frame and first_frame is None:
        raise ConfigError("first frame: this model continues a given frame; drop an image")
    image = None
    if first_frame is not None:
        if not model.needs_first_frame:
            raise ConfigError("first frame: this model draws clips from noise; remove the image")
        image = read_image(first_frame, model.image_size, fit=entry.facts.fit)
    job.step(0.0, "drawing")
    fps, _ = output_rate(None, entry.facts.frame_rate or entry.facts.sampled_fps, "training clips")
    if options.text is not None and not model.reads_captions:
        raise ConfigError("caption: this model reads none; leave it empty, or choose a model of captions")
    chosen: dict[str, Any] = {"seed": options.seed, "category": options.category}
    if options.text is not None:
        chosen["text"] = options.text
    pulled: dict[str, Any] = {} if options.truncation is None else {"truncation": options.truncation}
    with rendering_without(model, options.without_units):
        samples = model.sample(count, frames=options.frames, first_frame=image, **chosen, **pulled)
        latents = model.latents(count, options.frames, **chosen)
        rows = []
        for row in range(count):
            job.step(0.3 + 0.7 * row / count, f"content {row + 1} of {count}")
            content = latents.content[row].expand_as(latents.content)
            rows.append(model.render(latents._replace(content=content), first_frame=image, **pulled))
    codes = {}
    if not model.needs_first_frame and not model.reads_captions:
        codes = {
            f"{row + 1}-{column + 1}": _cell(latents, row, column, model)
            for row in range(count)
            for column in range(count)
        }
    return Drawing(options, torch.cat(rows), samples, codes, fps)


def _cell(latents: Latents, row: int, column: int, model: Any) -> Codes:
    """The codes of one content with the motion and category of another clip."""
    content = latents.content[row].expand_as(latents.content)
    return Codes.from_latents(latents._replace(content=content), column, model)


def keep_codes(folder: Path, model: Any, codes: dict[str, Codes]) -> list[str]:
    """Add codes to the file of a folder, where later ones replace those of the same name; returns all names."""
    file = folder / CODES_FILE
    held = load_codes(file, model) if file.is_file() else {}
    held |= codes
    save_codes(file, held)
    return list(held)


def edit_options(
    operation: str, amount: float | None, part: str, level: float | None, frames: float | None, category: str | None
) -> dict[str, Any]:
    """The options that an operation takes, from the controls of a page.

    Raises:
        ConfigError: an unknown operation, or one of its options is no number.
    """
    if operation not in EDITS:
        raise ConfigError(f"operation {operation!r}: accepted are {', '.join(EDITS)}")
    values: dict[str, Any] = {"amount": amount, "part": part, "level": level, "frames": frames, "category": category}
    options = {name: values[name] for name in EDITS[operation].options if name in values}
    for name, convert in (("amount", float), ("level", int), ("frames", int)):
        if name in options:
            try:
                options[name] = convert(options[name])
            except (TypeError, ValueError):
                raise ConfigError(f"{name} is {options[name]!r}; accepted is a number") from None
    return {name: value for name, value in options.items() if value is not None}


def edit(
    model: Any, entry: ModelEntry, folder: Path, operation: str, names: Sequence[str], options: dict[str, Any], job: Job
) -> Edited:
    """Edit clips through their codes.

    Args:
        folder: with the codes file.
        operation: a key of `EDITS`.
        names: of the codes, in the order of the operation; further ones are ignored.
        options: as from `edit_options`.

    Raises:
        ConfigError, ValueError: the model or codes do not support the operation. DataError: no such codes.
    """
    held = load_codes(folder / CODES_FILE, model)
    chosen = list(names)[: EDITS[operation].codes]
    if missing := [name for name in chosen if name not in held]:
        raise DataError(f"{', '.join(map(str, missing))}: no such clip; choose one from the list")
    if options.get("frames", 0) > MAX_FRAMES:
        raise ConfigError(f"frames is {options['frames']}; accepted are at most {MAX_FRAMES}")
    sources = [held[name] for name in chosen]
    job.step(0.2, "rendering")
    edited = EDITS[operation].function(model, *sources, **options)
    if len(edited.motion) > 2 * MAX_FRAMES:
        raise ConfigError(f"the result has {len(edited.motion)} frames; accepted are at most {2 * MAX_FRAMES}")
    shown = {name: render_codes(model, codes) for name, codes in zip(_letters(chosen), sources, strict=True)}
    job.step(0.6, "rendering")
    fps, _ = output_rate(None, entry.facts.frame_rate or entry.facts.sampled_fps, "training clips")
    return Edited(shown, render_codes(model, edited), edited, fps)


def interpolate(
    model: Any, entry: ModelEntry, folder: Path, first: str, second: str, job: Job
) -> tuple[dict[str, ByteClip], Result]:
    """Clips that lead from one to another in equal steps of content and motion, and their files.

    Raises:
        DataError: no such codes. CancelledError: the job was cancelled.
    """
    held = load_codes(folder / CODES_FILE, model)
    if missing := [name for name in (first, second) if name not in held]:
        raise DataError(f"{', '.join(map(str, missing))}: no such clip; choose one from the list")
    ends = held[first], held[second]
    clips = {f"A: {first}": render_codes(model, ends[0])}
    for number, amount in enumerate(BETWEEN):
        job.step((number + 1) / (len(BETWEEN) + 2), f"clip {number + 2} of {len(BETWEEN) + 2}")
        middle = EDITS["morph"].function(model, *ends, amount=amount)
        clips[f"{amount:.0%}"] = render_codes(model, middle)
    clips[f"B: {second}"] = render_codes(model, ends[1])
    length = min(len(clip) for clip in clips.values())
    row = torch.stack([clip[:length] for clip in clips.values()])
    fps, _ = output_rate(None, entry.facts.frame_rate or entry.facts.sampled_fps, "training clips")
    record = {"line": interpolation_lines(entry, first, second)}
    return clips, Result("a-to-b", tile(row, columns=len(row)), contact_sheet(row), fps, {"clips": row}, record)


def interpolation_lines(entry: ModelEntry, first: str, second: str) -> str:
    """The commands that write the clips between two."""
    options = [{"amount": amount, "part": "both"} for amount in BETWEEN]
    codes = [f"{CODES_FILE}#{name}" for name in (first, second)]
    return "\n".join(
        command_line("edit", [*entry.words, "morph", *codes], **option, out=f"morph-{option['amount']}")
        for option in options
    )


def _letters(names: Sequence[str]) -> list[str]:
    return [f"{letter}: {name}" for letter, name in zip("ABC", names, strict=False)]


def invert(model: Any, video: Path, steps: int, seed: int, job: Job) -> Inverted:
    """Find the codes of the first frames of a video, as many as a training clip has.

    Raises:
        ConfigError: a model that continues a given frame. DataError: the video cannot be read.
        CancelledError: the job was cancelled.
    """
    if not 1 <= steps <= MAX_STEPS:
        raise ConfigError(f"steps is {steps}; accepted are 1 to {MAX_STEPS}")
    check_invertible(model, "model")
    windows, notes = read_windows([video], model)
    window = windows[0]
    settings = InversionSettings(starts=DEFAULT_STARTS, steps=steps, seed=seed)
    done = 0

    def on_step() -> None:
        nonlocal done
        done += 1
        job.step(min(1.0, done / inversion_steps(steps)), f"step {done}")

    found = invert_clip(model, window.clip, settings, on_step=on_step)
    return Inverted(window.name, window.clip, found.reconstruction, found.codes, found.scores, tuple(notes))


def inversion_steps(steps: int) -> int:
    """Optimisation steps of an inversion, screening included."""
    return steps + round(SCREENING * steps)


def draw_few(model: Any) -> int:
    """Draw short clips; returns the number of their frames."""
    image = None
    if model.needs_first_frame:
        image = torch.zeros(3, *model.image_size, dtype=torch.uint8)
    model.sample(TRIAL_CLIPS, frames=TRIAL_FRAMES, first_frame=image)
    return TRIAL_CLIPS * TRIAL_FRAMES


def step_seconds(model: Any, video: Path) -> float:
    """Mean seconds of an optimisation step, from the first steps of an inversion.

    Raises:
        ConfigError, DataError: as in `invert`.
    """
    times: list[float] = []
    invert(model, video, TRIAL_STEPS, 0, Job(lambda share, text: times.append(time.monotonic())))
    return (times[-1] - times[0]) / (len(times) - 1)


def nearest_few(entry: ModelEntry, clip: ByteClip) -> float:
    """Compare a clip with a part of the training windows; returns that part, 0 to 1.

    Raises:
        ConfigError, DataError: as in `nearest`.
    """
    part = 1.0

    def on_block(done: int, total: int) -> None:
        nonlocal part
        part = done / total
        if done == TRIAL_BLOCKS:
            raise CancelledError("measured")

    try:
        nearest(entry, clip, on_block)
    except CancelledError:
        return part
    return 1.0


def nearest(entry: ModelEntry, clip: ByteClip, on_block: Callable[[int, int], None]) -> tuple[ByteClip, str]:
    """The training clip that is closest to a drawn one, and a line about it.

    Args:
        on_block: called with the number of finished blocks of training windows and of all; may raise to stop.

    Raises:
        ConfigError: the training data are not here. DataError: they cannot be read.
    """
    trained = load_trained(entry.path)
    length = trained.facts.frames
    if len(clip) < length:
        raise ConfigError(f"the clip has {len(clip)} frames; {length} are compared, as in training; draw longer clips")
    neighbours, _, count = nearest_windows(trained, clip[None, :length], on_block)
    windows = trained.windows(split="train")
    entries = {window.entry.id: window.entry for window in windows.windows}
    found = neighbours[0]
    frames = windows.read(Window(entries[found.video], found.frames))
    text = f"nearest of {count} training windows: {entries[found.video].source}, distance {found.distance:.3f}"
    return (frames.flip(-1) if found.mirrored else frames), text


def generate_line(entry: ModelEntry, options: DrawOptions, first_frame: str | None = None) -> str:
    """The command that writes the diagonal of the grid."""
    return command_line(
        "generate",
        entry.words,
        clips=options.clips,
        frames=options.frames,
        category=options.category,
        text=options.text,
        first_frame=first_frame,
        without_units=list(options.without_units),
        truncation=options.truncation,
        seed=options.seed,
        out="clips",
    )


def edit_line(entry: ModelEntry, operation: str, names: Sequence[str], options: dict[str, Any]) -> str:
    """The command that makes the same edit from the downloaded codes file."""
    codes = [f"{CODES_FILE}#{name}" for name in list(names)[: EDITS[operation].codes]]
    return command_line("edit", [*entry.words, operation, *codes], **options, out=operation)


def invert_line(entry: ModelEntry, video: Path | str, steps: int, seed: int) -> str:
    """The command that finds the same codes."""
    return command_line("invert", [*entry.words, video], steps=steps, seed=seed, out=CODES_FILE)


def categories(facts: ModelFacts) -> list[str]:
    """Names of a model's categories."""
    return list(facts.categories or ())


def render_units(codes: int, frames: int) -> int:
    """Frames that an edit renders: those of its clips and of the result."""
    return (codes + 1) * frames
