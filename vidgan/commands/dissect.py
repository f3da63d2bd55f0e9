"""`vidgan dissect`: what the units of a trained MoCoGAN's frame generator do."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vidgan.commands.output import folder_beside, report_full_disk
from vidgan.data.store.index import load_index
from vidgan.errors import ConfigError, DataError
from vidgan.evaluation.dissection.dissect import Dissection, GivenMasks, dissect_model
from vidgan.evaluation.dissection.observing import Rule, Subject
from vidgan.evaluation.models import TrainedModel, data_facts, find_model
from vidgan.evaluation.output import circumstances
from vidgan.files import check_overwrite, replace_folder, write_text
from vidgan.own_code import own_code
from vidgan.report import write_report
from vidgan.report.dissection import dissection_sections
from vidgan.tasks.synthesis.mocogan import MoCoGAN

RECORD, PAGE = "dissection.json", "dissection.html"
FEWEST_CLIPS = 8
REAL_CLIPS = 256


def dissect(
    run: Path | str,
    out: Path,
    *,
    data: Path | None = None,
    clips: int = 48,
    random_sets: int = 20,
    masks: Path | None = None,
    rules: Mapping[str, Rule] | None = None,
    seed: int = 0,
    overwrite: bool = False,
    allow_own_code: bool = False,
) -> Dissection:
    """Write `dissection.html` and `dissection.json` into the folder `out`; nothing is kept after an error.

    Args:
        run: a run or model folder of a MoCoGAN, or the name of shipped weights. The last two need `data`.
        data: prepared data with clips like those that the model was trained on; default: the data of the run.
        clips: generated clips of each set (threshold selection, scores, set distance).
        random_sets: sets of random units beside the artefact units; beside the units of a concept at most 5.
        masks: folder with a folder per concept, which holds masks `clip-0000.npy` etc. of clips that `vidgan generate`
            wrote with the same seed: (T, H, W), nonzero where the clip shows the concept. At least four clips.
        rules: concept -> function of clips (B, T, 3, H, W) uint8 that returns (B, T, H, W) bool. They are treated like
            the built-in concepts, and those of a layered model also score its masks.
        seed: of all codes and random units.
        overwrite: replace an earlier result of this command.
        allow_own_code: follow the import paths of own parts of the model; importing runs the module.

    Raises:
        ConfigError: not a MoCoGAN, too few clips, or unusable masks. PretrainedError, DataError: no model or no data.
        FileExistsError: `out` is not empty and may not be replaced.
    """
    check_overwrite(out, overwrite=overwrite, marker=RECORD)
    if clips < FEWEST_CLIPS:
        raise ConfigError(f"--clips {clips}: at least {FEWEST_CLIPS} are needed to choose and to score thresholds")
    with own_code(allowed=allow_own_code):
        trained = find_model(run, data=data)
        model = trained.model
        if not isinstance(model, MoCoGAN):
            raise ConfigError(f"{run}: holds a {type(model).__name__}; dissect reads the frame generator of a MoCoGAN")
        subject = Subject(model, trained.facts.frames, _real_clips(trained), seed, rules or {})
        given = None if masks is None else _read_masks(masks, subject)
        result = dissect_model(subject, clips=clips, random_sets=random_sets, given=given)
    result.settings.update(
        model=trained.name,
        step=trained.facts.step,
        weights=trained.weights,
        data=data_facts(trained.data),
        clips=clips,
        frames=subject.frames,
        random_sets=random_sets,
        real_clips=len(subject.real),
        **circumstances(seed=seed),
    )
    with folder_beside(out) as partial, report_full_disk(out, partial, 2):
        write_text(partial / RECORD, json.dumps(result.to_json(), indent=1) + "\n")
        write_report(
            partial / PAGE,
            title=f"Dissection of {trained.name}",
            subtitle=f"{sum(result.layers.values())} units in {len(result.layers)} layers, step {trained.facts.step}",
            sections=dissection_sections(subject, result),
        )
        replace_folder(partial, out)
    return result


def _real_clips(trained: TrainedModel) -> Tensor:
    """Held-out clips, (N, T, 3, H, W); training clips if nothing is held out."""
    size = load_index(trained.data).size if trained.crop is None else trained.crop
    if tuple(size) != tuple(trained.clip_model.image_size):
        raise ConfigError(
            f"{trained.data}: clips of {'x'.join(map(str, size))}; accepted is the model's size,"
            f" {'x'.join(map(str, trained.clip_model.image_size))}"
        )
    for split in ("test", "train"):
        try:
            windows = trained.windows(split=split, shifted=True)
        except DataError:
            if split == "train":
                raise
            continue
        real = windows.read_all(windows.spread(REAL_CLIPS))
        if len(real) >= FEWEST_CLIPS:
            break
    if len(real) < FEWEST_CLIPS:
        raise ConfigError(f"{trained.data}: {len(real)} clips; at least {FEWEST_CLIPS} are needed for a set distance")
    return real


def _read_masks(folder: Path, subject: Subject) -> GivenMasks:
    """Masks of generated clips by concept and number of the clip.

    Raises:
        ConfigError: no folder, or a file that is no mask of such a clip.
    """
    if not folder.is_dir():
        raise ConfigError(f"--masks {folder}: no such folder; it must hold CONCEPT/clip-0000.npy")
    given: dict[str, dict[int, Tensor]] = {}
    for path in sorted(folder.glob("*/*.npy")):
        number = path.stem.removeprefix("clip-")
        if not number.isdecimal():
            raise ConfigError(f"--masks {path}: accepted names are clip-NUMBER.npy, as `vidgan generate` numbers clips")
        given.setdefault(path.parent.name, {})[int(number)] = _read_mask(path, subject)
    if not given:
        raise ConfigError(f"--masks {folder}: holds no CONCEPT/clip-NUMBER.npy")
    return given


def _read_mask(path: Path, subject: Subject) -> Tensor:
    expected = (subject.frames, *subject.model.image_size)
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ConfigError(f"--masks {path}: not a readable npy file: {error}") from None
    if array.shape != expected or array.dtype.kind not in "biu":
        raise ConfigError(
            f"--masks {path}: {array.dtype} {array.shape}; accepted is a boolean or integer array {expected},"
            " (frames, height, width)"
        )
    return torch.from_numpy(array != 0)
