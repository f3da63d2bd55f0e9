"""`vidgan invert`: find the codes of real clips in a trained MoCoGAN; `vidgan train-encoder`: a better start."""

import json
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from einops import rearrange

import vidgan
from vidgan.commands.forecast_files import reading_settings
from vidgan.commands.output import appearing_together, claim_files, output_rate
from vidgan.data.unprepared import list_clips, read_clip
from vidgan.errors import ConfigError, DataError, RunFailedError
from vidgan.files import check_overwrite, digest_of, read_json, write_json, write_text
from vidgan.hub import FACTS, ModelFacts
from vidgan.metrics.still_fits import MIN_CORRELATION, MIN_ENERGY_RATIO, Reconstruction, reconstruction_scores
from vidgan.own_code import own_code
from vidgan.runs import save_model
from vidgan.tasks.synthesis.codes import Codes, MotionKind, load_codes, model_hash, render_codes, save_codes
from vidgan.tasks.synthesis.inversion import InversionSettings, check_invertible, invert_clip
from vidgan.tasks.synthesis.inversion_encoder import EncoderSettings, InversionEncoder
from vidgan.tasks.synthesis.inversion_encoder import train_encoder as train_network
from vidgan.tasks.synthesis.mocogan import MoCoGAN
from vidgan.tasks.synthesis.tuning import TuningSettings, tune_generator
from vidgan.types import ByteClip
from vidgan.video.encode import contact_sheet, tile, write_mp4, write_png

__all__ = ["InvertedClip", "invert", "load_editable", "read_start", "read_windows", "train_encoder"]

MAX_SHOWN = 12  # clips in the video and on the sheet
DEFAULT_STARTS, DEFAULT_STARTS_ENCODED = 6, 2

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class InvertedClip:
    """One inverted clip, or one window of a longer clip.

    Attributes:
        name: of its codes in the file.
        codes: what was found.
        scores: of the reconstruction.
        start_psnr: PSNR of each start after screening, dB of the weighted error.
        seconds: that the inversion took; 0 if it was resumed.
        before_tuning: scores of the codes in the model as it was; None without tuning.
    """

    name: str
    codes: Codes
    scores: Reconstruction
    start_psnr: tuple[float, ...]
    seconds: float
    before_tuning: Reconstruction | None = None

    def line(self) -> str:
        """One line for a reader."""
        scores = self.scores
        text = (
            f"{self.name}: {scores.psnr:.1f} dB (best frame repeated {scores.best_frame_psnr:.1f}, mean frame"
            f" {scores.mean_frame_psnr:.1f}), motion energy {scores.energy_ratio:.2f} of the clip's, correlation"
            f" {scores.correlation:.2f}"
        )
        if self.before_tuning is not None:
            text += f", before tuning {self.before_tuning.psnr:.1f} dB"
        if len(self.start_psnr) > 1:
            text += f"; starts {min(self.start_psnr):.1f} to {max(self.start_psnr):.1f} dB"
        return text + (f". FROZEN: {_why_frozen(scores)}" if scores.is_frozen else "")


@dataclass(frozen=True)
class _Window:
    name: str
    clip: ByteClip  # (T, 3, H, W)


def invert(
    run: Path | str,
    clips: Sequence[Path],
    out: Path,
    *,
    encoder: Path | None = None,
    motion: MotionKind = "inputs",
    starts: int | None = None,
    steps: int = 300,
    tune: Path | None = None,
    seed: int = 0,
    strict: bool = False,
    overwrite: bool = False,
    allow_own_code: bool = False,
    on_start: Callable[[str], None] = logger.info,
    on_clip: Callable[[int, int, InvertedClip], None] = lambda done, total, clip: None,
) -> list[InvertedClip]:
    """Write the codes of clips as `out` (safetensors), and beside it a report (json), a sheet (png) and a video (mp4).

    Clips are read as the model's training clips were: scaled and cropped to its frame size, at their frame rate. Longer
    clips become consecutive windows of the training length, the last one at the end of the clip. Finished windows are
    kept in a hidden folder beside `out`, from which the same call resumes.

    Args:
        run: a run or model folder, the name of shipped weights, or one on the hub.
        clips: video files, folders of them, strips or arrays.
        encoder: folder that `train_encoder` wrote; it gives the first start.
        motion: "inputs" of the motion network (can be continued), or a free "path" (fits better, edits worse).
        starts: number of starts; default 6, with an encoder 2.
        steps: of the optimisation of the best start.
        tune: also tune the frame generator to the clips, and save it as this new model, to which the codes then belong.
        strict: raise RunFailedError, after everything is written, if a reconstruction is frozen.
        overwrite: replace existing files.
        allow_own_code: follow the import paths of own parts of the model; importing runs the module.
        on_start: called with a note on each clip that is converted or divided into windows.
        on_clip: called with the number of finished windows, of all windows, and the finished one.

    Returns:
        One entry for each window.

    Raises:
        PretrainedError: no such model. ConfigError: a model without inversion support, or another model's encoder.
        DataError: no clip can be read. FileExistsError: a result exists.
    """
    if out.suffix != ".safetensors":
        raise ConfigError(f"--out {out}: accepted is a file name that ends in .safetensors")
    results = [out, *(out.with_suffix(suffix) for suffix in (".json", ".png", ".mp4"))]
    claim_files(results, overwrite=overwrite)
    if tune is not None:
        check_overwrite(tune, overwrite=overwrite, marker=FACTS)
    model = load_editable(run, allow_own_code=allow_own_code)
    check_invertible(model, run)
    guide = None
    if encoder is not None:
        guide = InversionEncoder.from_pretrained(encoder)
        guide.check_for(model, encoder)
    default_starts = DEFAULT_STARTS if guide is None else DEFAULT_STARTS_ENCODED
    settings = InversionSettings(motion=motion, starts=starts or default_starts, steps=steps, seed=seed)
    windows, notes = read_windows(clips, model)
    for note in notes:
        on_start(note)
    partial = out.with_name(f".{out.name}.partial")
    finished: list[InvertedClip] = []
    for window in windows:
        one = _invert_window(model, window, settings, guide, partial)
        finished.append(one)
        on_clip(len(finished), len(windows), one)
    tuning = TuningSettings(seed=seed)
    if tune is not None:
        model, finished = _tune(model, windows, finished, tune, tuning)
    record = {
        "model": str(run if tune is None else tune),
        "model_hash": model_hash(model),
        "encoder": None if encoder is None else str(encoder),
        "settings": asdict(settings),
        "tuning": None if tune is None else {"from": str(run)} | asdict(tuning),
        "threads": torch.get_num_threads(),
        "notes": notes,
        "clips": [_entry(one) for one in finished],
        "vidgan": vidgan.__version__,
    }
    facts = ModelFacts.from_json(model.facts)
    fps, _ = output_rate(None, facts.frame_rate or facts.sampled_fps, "training clips")
    shown = [(w.clip, render_codes(model, one.codes)) for w, one in zip(windows[:MAX_SHOWN], finished, strict=False)]
    frames = min(len(clip) for clip, _ in shown)
    pairs = torch.stack([part[:frames] for pair in shown for part in pair])
    with appearing_together(out, results, overwrite=overwrite) as folder:
        save_codes(folder / out.name, {one.name: one.codes for one in finished})
        write_text(folder / results[1].name, json.dumps(record, indent=2) + "\n")
        write_png(folder / results[2].name, contact_sheet(pairs))
        write_mp4(folder / results[3].name, tile(pairs, columns=2), fps=fps)
    shutil.rmtree(partial, ignore_errors=True)
    frozen = [one.name for one in finished if one.scores.is_frozen]
    if strict and frozen:
        raise RunFailedError(
            f"{len(frozen)} of {len(finished)} reconstructions are frozen: {', '.join(frozen[:5])}; the codes are in"
            f" {out}. Try more --starts, --motion path, or an --encoder"
        )
    return finished


def load_editable(run: Path | str, *, allow_own_code: bool = False) -> MoCoGAN:
    """The MoCoGAN of a run, model folder or name.

    Raises:
        PretrainedError: no model there, or one of another kind.
    """
    with own_code(allowed=allow_own_code):
        return MoCoGAN.from_pretrained(run, allow_own_code=allow_own_code)


def read_windows(paths: Sequence[Path], model: Any) -> tuple[list[_Window], list[str]]:
    """The clips at the given paths as a model's training clips were read, cut into windows; notes on what was changed.

    Raises:
        DataError: a given file cannot be read or is too short, or a folder holds no clip that can be used.
    """
    facts = ModelFacts.from_json(model.facts)
    stride = 1 if facts.sampled_fps else facts.stride
    settings = replace(reading_settings(facts), size=model.image_size)
    windows: list[_Window] = []
    notes: list[str] = []
    for path in paths:
        root, sources = list_clips(path, size=model.image_size)
        usable = len(windows)
        for source in sources:
            try:
                read = read_clip(root, source, settings)
                frames = rearrange(torch.from_numpy(read.frames), "t h w c -> t c h w").contiguous()[::stride]
                if len(frames) < 2:
                    raise DataError(
                        f"{root / source.name}: {len(frames)} frames at the model's rate; accepted: 2 or more"
                    )
            except DataError as error:
                if not path.is_dir() or len(sources) == 1:
                    raise
                logger.warning("%s; it is left out", error)
                continue
            starts = list(_window_starts(len(frames), facts.frames))
            known = {window.name for window in windows}
            name = source.name if source.name not in known else str(path / source.name)
            cut = (len(frames), len(starts), facts.frames)
            notes += _changes(name, read.video, read.fps, model.image_size, stride, cut)
            for start in starts:
                label = name if len(starts) == 1 else f"{name}@{start}"
                windows.append(_Window(label, frames[start : start + facts.frames]))
        if len(windows) == usable:
            raise DataError(f"{path}: contains no clip of 2 or more frames at the model's rate")
    return windows, notes


def read_start(path: Path, model: Any) -> ByteClip:
    """The first window of a video, (T, 3, H, W) uint8, read as a model's training clips were; errors as above."""
    return read_windows([path], model)[0][0].clip


def _window_starts(frames: int, length: int) -> Iterator[int]:
    """Starts of consecutive windows; the last one ends with the clip."""
    yield from range(0, max(1, frames - length + 1), length)
    if frames > length and frames % length:
        yield frames - length


def _changes(
    name: str, video: Any, fps: float | None, size: tuple[int, int], stride: int, cut: tuple[int, int, int]
) -> list[str]:
    """How a clip was converted, and cut from frames into windows of a length; nothing if it fits as it is."""
    parts = []
    frames, windows, length = cut
    height, width = size
    if video is not None and (video["height"], video["width"]) != (height, width):
        parts.append(f"{video['width']}x{video['height']} scaled and cropped to {width}x{height}")
    if fps is not None and video is not None and abs(video["fps"] - fps / stride) > 1e-6:
        parts.append(f"{video['fps']:g} fps read at {fps / stride:g}")
    elif stride > 1:
        parts.append(f"every {stride}. frame read, as in training")
    if windows > 1:
        parts.append(f"{frames} frames divided into {windows} windows of {length}")
    return [f"{name}: {', '.join(parts)}"] if parts else []


def _invert_window(
    model: Any, window: _Window, settings: InversionSettings, encoder: InversionEncoder | None, partial: Path
) -> InvertedClip:
    """Invert one window, or take it from an earlier call with the same inputs."""
    key = digest_of(
        model_hash(model),
        asdict(settings),
        None if encoder is None else model_hash(encoder),
        window.name,
        digest_of(window.clip.numpy().tobytes().hex()),
    )
    codes_file, facts_file = partial / f"{key}.safetensors", partial / f"{key}.json"
    if codes_file.is_file() and facts_file.is_file():
        (codes,) = load_codes(codes_file, model).values()
        scores = reconstruction_scores(render_codes(model, codes), window.clip)
        return InvertedClip(window.name, codes, scores, tuple(read_json(facts_file)), 0.0)
    started = time.monotonic()
    found = invert_clip(model, window.clip, settings, encoder=encoder)
    partial.mkdir(parents=True, exist_ok=True)
    write_json(facts_file, list(found.start_psnr))
    save_codes(codes_file, {window.name: found.codes})
    return InvertedClip(window.name, found.codes, found.scores, found.start_psnr, time.monotonic() - started)


def _tune(
    model: Any, windows: Sequence[_Window], finished: Sequence[InvertedClip], folder: Path, settings: TuningSettings
) -> tuple[Any, list[InvertedClip]]:
    """The tuned model, saved, and the clips with its scores."""
    tuned = tune_generator(model, [one.codes for one in finished], [window.clip for window in windows], settings)
    facts = ModelFacts.from_json(model.facts)
    origin = {"tuned_from": model_hash(model), "tuned_on": len(windows)}
    save_model(tuned, folder, replace(facts, name=None, other=dict(facts.other) | origin))
    name = model_hash(tuned)
    made = []
    for one, window in zip(finished, windows, strict=True):
        codes = replace(one.codes, model=name)
        scores = reconstruction_scores(render_codes(tuned, codes), window.clip)
        made.append(replace(one, codes=codes, scores=scores, before_tuning=one.scores))
    return tuned, made


def _entry(one: InvertedClip) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": one.name,
        "category": one.codes.category,
        "frames": len(one.codes.motion),
        "seconds": round(one.seconds, 2),
        "start_psnr": [round(value, 2) for value in one.start_psnr],
        "scores": one.scores.to_json(),
    }
    if one.before_tuning is not None:
        entry["before_tuning"] = one.before_tuning.to_json()
    return entry


def _why_frozen(scores: Reconstruction) -> str:
    reasons = []
    if scores.energy_ratio < MIN_ENERGY_RATIO:
        reasons.append(f"motion energy below {MIN_ENERGY_RATIO} of the clip's")
    if scores.correlation < MIN_CORRELATION:
        reasons.append(f"motion is not the clip's (correlation below {MIN_CORRELATION})")
    if scores.psnr <= scores.best_frame_psnr:
        reasons.append("a repeated frame is closer")
    return " and ".join(reasons)


def train_encoder(
    run: Path | str,
    out: Path,
    *,
    steps: int = 1000,
    batch_size: int = 8,
    seed: int = 0,
    overwrite: bool = False,
    allow_own_code: bool = False,
    on_step: Callable[[dict[str, float]], None] = lambda losses: None,
) -> InversionEncoder:
    """Train an encoder for `invert` on clips that the model draws itself, and write it as the folder `out`.

    Args:
        run: a run or model folder, the name of shipped weights, or one on the hub.
        steps: training steps.
        batch_size: clips of a step.
        on_step: called after each step with the losses by name.

    Raises:
        PretrainedError: no such model. ConfigError: a model without inversion support.
        FileExistsError: `out` is not empty and may not be replaced.
    """
    check_overwrite(out, overwrite=overwrite, marker=FACTS)
    model = load_editable(run, allow_own_code=allow_own_code)
    check_invertible(model, run)
    facts = ModelFacts.from_json(model.facts)
    settings = EncoderSettings(steps=steps, batch_size=batch_size, frames=facts.frames, seed=seed)
    encoder = train_network(model, settings, on_step=on_step)
    save_model(encoder, out, ModelFacts.from_json(encoder.facts))
    return encoder
