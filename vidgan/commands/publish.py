"""`vidgan publish`: a complete repository of a trained model, and its upload to the Hugging Face hub."""

import logging
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange

import vidgan
from vidgan.commands.export import load_exportable
from vidgan.commands.forecast_files import DEFAULT_CONTEXT, read_around
from vidgan.commands.output import DEFAULT_FPS, folder_beside
from vidgan.errors import ConfigError
from vidgan.evaluation.results import AnyResult, read_result
from vidgan.evaluation.tables import as_markdown, result_tables
from vidgan.exporting.parity import moving_clips
from vidgan.files import check_overwrite, replace_folder, write_bytes, write_text
from vidgan.hub import CARD, CardScore, card_header, require_credentials, require_repository_name, upload_repository
from vidgan.model_facts import ModelFacts
from vidgan.own_code import own_code
from vidgan.pixels import to_byte
from vidgan.tasks.forecast_images import forecast_animation
from vidgan.tasks.synthesis.mocogan import MoCoGAN
from vidgan.video.encode import tile, webp_bytes

__all__ = ["Publication", "publish"]

logger = logging.getLogger(__name__)

SAMPLE, RESULTS, SPACE, DATA_LICENCE = "sample.webp", "results", "space", "DATA_LICENCE.md"
NUM_SAMPLES, HORIZON = 16, 10
TARGET_PIXELS = 128  # side to which small frames are enlarged by whole factors
UNKNOWN = "not recorded"


@dataclass(frozen=True)
class Publication:
    """What was written.

    Attributes:
        folder: the repository.
        files: name -> bytes of each file, the Space's under `space/`.
        addresses: of the uploads; empty for a dry run.
    """

    folder: Path
    files: dict[str, int]
    addresses: list[str]


def publish(
    run: Path | str,
    repository: str,
    *,
    out: Path | None = None,
    licence: str | None = None,
    data_licence: str | None = None,
    video: Path | None = None,
    space: bool = False,
    upload: bool = False,
    overwrite: bool = False,
    allow_own_code: bool = False,
    report: Callable[[str], None] = logger.info,
) -> Publication:
    """Write a model repository: weights, config, facts, card with scores, sample animation, results, data licence.

    Nothing leaves the machine without `upload`. Frames of the training data are not published: a forecaster's sample
    continues a rendered texture, or `video`.

    Args:
        run: a run or model folder of synthesis or forecasting, or the name of shipped weights. The results that
            `vidgan evaluate` kept in `scores/` of a run are published with it.
        repository: `owner/name` on the hub.
        out: the folder; default: NAME-repository here.
        licence: of the weights (SPDX); default: as recorded with the weights.
        data_licence: terms of the training data, in words; default: as recorded with the weights.
        video: a video that a forecaster's sample continues; it must be free to publish.
        space: also write (and upload) a Space that serves the studio with this model.
        upload: create the repository and upload; needs the credentials of `hf auth login` or HF_TOKEN.
        overwrite: replace an earlier result of this command.
        allow_own_code: follow the import paths of own parts of the model; importing runs the module.
        report: called with each line for the user: files and sizes.

    Raises:
        PretrainedError: no such model.
        ConfigError: a bad name; with `upload`: no credentials, or no licence of weights and data.
        FileExistsError: `out` is not empty and may not be replaced.
    """
    require_repository_name(repository)
    out = out or Path(f"{repository.rpartition('/')[2]}-repository")
    check_overwrite(out, overwrite=overwrite, marker=DATA_LICENCE)
    with own_code(allowed=allow_own_code):
        model = load_exportable(run)
    facts = ModelFacts.from_json(model.facts)
    licence, data_licence = licence or facts.licence, data_licence or _recorded_data_licence(facts)
    if upload:
        _require_licences(licence, data_licence)
        require_credentials()
    results = _results(Path(run)) if Path(run).is_dir() else {}
    model.facts = replace(facts, name=repository, licence=licence).to_json()
    with folder_beside(out) as scratch:
        folder = scratch / "repository"
        model.save_pretrained(folder)
        write_bytes(folder / SAMPLE, _sample(model, facts, video))
        for name, (source, _) in results.items():
            (folder / RESULTS).mkdir(exist_ok=True)
            shutil.copyfile(source, folder / RESULTS / name)
        write_text(folder / DATA_LICENCE, _data_licence_page(facts, data_licence))
        write_text(folder / CARD, _card(model, repository, [result for _, result in results.values()], video))
        if space:
            _write_space(folder / SPACE, repository)
        replace_folder(folder, out)
    files = {path.relative_to(out).as_posix(): path.stat().st_size for path in sorted(out.rglob("*")) if path.is_file()}
    for name, size in files.items():
        report(f"{size:>12,}  {name}")
    if not results:
        report("note: no scores are published; `vidgan evaluate RUN` keeps them in the run")
    for what, value in (("weights", licence), ("training data", data_licence)):
        if value is None:
            report(
                f"note: the licence of the {what} is {UNKNOWN}; give it with --{'data-' * (what != 'weights')}licence"
            )
    if not upload:
        report(f"dry run: {sum(files.values()):,} bytes for {repository}; --upload uploads them")
        return Publication(out, files, [])
    addresses = [upload_repository(repository, out, ignore=(f"{SPACE}/*",))]
    if space:
        addresses.append(upload_repository(f"{repository}-studio", out / SPACE, space=True))
    return Publication(out, files, addresses)


def _require_licences(licence: str | None, data_licence: str | None) -> None:
    if licence is None:
        raise ConfigError("--licence: required to upload, because the run does not record the licence of its weights")
    if data_licence is None:
        raise ConfigError("--data-licence: required to upload, because the run does not record that of its data")


def _recorded_data_licence(facts: ModelFacts) -> str | None:
    """The licences of the footage, or what rendered data are."""
    footage = facts.other.get("footage")
    if isinstance(footage, dict) and footage:
        return ", ".join(sorted({str(licence) for licence in footage.values()}))
    return None if facts.trained_on is None else f"{facts.trained_on} (no footage of others)"


def _data_licence_page(facts: ModelFacts, data_licence: str | None) -> str:
    footage = facts.other.get("footage")
    rows = (
        "".join(f"| {name} | {licence} |\n" for name, licence in footage.items()) if isinstance(footage, dict) else ""
    )
    table = f"\n| footage | licence |\n|---|---|\n{rows}" if rows else ""
    return f"# Licence of the training data\n\n{data_licence or UNKNOWN}\n{table}"


def _results(run: Path) -> dict[str, tuple[Path, AnyResult]]:
    """File name -> the file and its content, of the results kept with a run."""
    return {path.name: (path, read_result(path)) for path in sorted((run / "scores").glob("*.json"))}


def _sample(model: Any, facts: ModelFacts, video: Path | None) -> bytes:
    """An animation of what the model does, as WebP."""
    height, width = model.image_size
    scale = max(1, TARGET_PIXELS // max(height, width))
    if isinstance(model, MoCoGAN):
        first = None
        if model.needs_first_frame:
            first = torch.from_numpy(moving_clips(model.image_size, 1, 1, seed=0)[0, 0])
        clips = model.sample(NUM_SAMPLES, frames=2 * facts.frames, first_frame=first)
        return webp_bytes(tile(clips), fps=facts.frame_rate or facts.sampled_fps or DEFAULT_FPS, scale=scale)
    context = facts.context or DEFAULT_CONTEXT
    if video is None:
        known, fps = torch.from_numpy(moving_clips(model.image_size, 1, context + HORIZON, seed=0)[0]), DEFAULT_FPS
        observed, truth = known[:context], known[context:]
    else:
        frames = read_around(video, facts, model.image_size, context=context, horizon=HORIZON, start=0)
        observed, fps = _as_tensor(frames.context), frames.fps or DEFAULT_FPS
        truth = observed[:0] if frames.truth is None else _as_tensor(frames.truth)
    forecast = model.forecast(observed[None], HORIZON)
    rows = {"context": observed, "forecast P": to_byte(forecast.frames[0])}
    if len(truth):
        rows = {"context": observed, "truth": truth, "forecast P": to_byte(forecast.frames[0])}
    return webp_bytes(forecast_animation(rows), fps=fps, scale=scale)


def _as_tensor(images: np.ndarray) -> torch.Tensor:
    return rearrange(torch.from_numpy(images), "t h w c -> t c h w").contiguous()


def _card(model: Any, repository: str, results: list[AnyResult], video: Path | None) -> str:
    """The model card: the hub's metadata with all scores of the model, then text for people."""
    scores = [*_card_scores(results)]
    body = model.model_card().split("---\n", 2)[2]
    title, _, text = body.lstrip().partition("\n")
    generates = isinstance(model, MoCoGAN)
    subject = "drawn at random" if generates else "beside the truth: " + ("a video" if video else "a rendered texture")
    tables = "\n\n".join(as_markdown(result_tables(result)[:1]) for result in results)
    scored = (
        f"## Scores\n\n{tables}\n\nThe files in `{RESULTS}/` hold the conditions of each number.\n" if results else ""
    )
    run_it = "generate --pretrained" if generates else "predict --pretrained"
    return (
        card_header(repository, ModelFacts.from_json(model.facts).licence, type(model).__name__.lower(), scores)
        + f"\n{title}\n\n![Samples of this model, {subject}]({SAMPLE})\n"
        + text
        + f"\n```sh\nvidgan {run_it} {repository}{'' if generates else ' video.mp4'}\n```\n\n{scored}\n"
        + f"Licence of the training data: see `{DATA_LICENCE}`. Written by vidgan {vidgan.__version__}.\n"
    )


def _card_scores(results: list[AnyResult]) -> Iterator[CardScore]:
    """The means of the model's own rows."""
    for result in results:
        subject = getattr(result, "subject", "generated")
        rows = [name for name in result.scores if name == subject or name.startswith(f"{subject}/")]
        for name in rows:
            for metric, score in result.scores[name].items():
                if score.mean.mean is not None:
                    yield CardScore(
                        task=result.kind,
                        dataset=result.protocol,
                        metric=metric,
                        value=score.mean.mean,
                        name=metric if name == subject else f"{metric} ({name.removeprefix(f'{subject}/')})",
                    )


def _space_address(repository: str) -> str:
    """The address at which the hub serves a Space outside its frame: names in small letters, joined by hyphens."""
    return f"https://{re.sub('[^a-z0-9]+', '-', f'{repository}-studio'.lower())}.hf.space"


def _write_space(folder: Path, repository: str) -> None:
    """A Space of the hub that serves the studio with this model, to whoever opens the page."""
    name = repository.rpartition("/")[2]
    files: dict[str, str] = {
        "app.py": (
            f'"""The studio of vidgan with the model {repository}."""\n\n'
            "import os\n"
            "from pathlib import Path\n\n"
            "from huggingface_hub import snapshot_download\n\n"
            "from vidgan.commands.studio import studio\n\n"
            f'model = Path("{name}")  # the name that the studio shows\n'
            "model.unlink(missing_ok=True)\n"
            f'model.symlink_to(snapshot_download("{repository}"))\n'
            'token = os.environ.get("VIDGAN_STUDIO_TOKEN")\n'
            'studio([model], host="0.0.0.0", port=7860, token=token)\n'
        ),
        "requirements.txt": f"vidgan[studio]=={vidgan.__version__}\n",
        "README.md": (
            f"---\ntitle: {name}\nsdk: gradio\napp_file: app.py\nmodels:\n- {repository}\n---\n\n"
            f"The studio of vidgan with [{repository}](https://huggingface.co/{repository}).\n\n"
            "Set VIDGAN_STUDIO_TOKEN, 16 characters or more, among the secrets of the Space, and open"
            f" {_space_address(repository)}/?token=TOKEN in a tab of its own: the page keeps a cookie, which browsers"
            " refuse inside the Space's frame. Without the secret, the log of the Space prints a random token.\n"
        ),
    }
    for file, text in files.items():
        write_text(folder / file, text)
