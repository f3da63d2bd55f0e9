"""`vidgan compare`: score a folder of videos against the true ones, or compare two sets of clips."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vidgan.commands.launch import run_processes
from vidgan.errors import ConfigError
from vidgan.evaluation.folders import evaluate_pairs, evaluate_sets
from vidgan.evaluation.networks import shares_features
from vidgan.evaluation.output import Output, circumstances
from vidgan.evaluation.requests import KEY, videos_hash
from vidgan.evaluation.results import FolderScores, SynthesisScores
from vidgan.evaluation.settings import SetSettings, settings_for_folders
from vidgan.evaluation.share import Share
from vidgan.training.launcher import num_launched

WITH_NETWORKS = "; with fetched networks (--unpaired --weights efficientnet-lite2) it has, without --protocol"


def compare(
    predicted: Path | str,
    true: Path | str,
    *,
    unpaired: bool = False,
    strip_frame: tuple[int, int] | None = None,
    frames: tuple[int, int | None] | None = None,
    metrics: Sequence[str] = (),
    protocol: str | None = None,
    allow_deviation: bool = False,
    clips: int | None = None,
    seeds: int = 1,
    flow_histograms: bool = False,
    weights: Mapping[str, Path] | None = None,
    seed: int = 0,
    device: str = "auto",
) -> FolderScores | SynthesisScores:
    """Score predicted videos against the true videos of the same name, or compare two sets of clips, without a model.

    Args:
        predicted, true: folders, files, or patterns with `*` in the last part, such as `out/*_forecast.png`. Videos are
            paired by path without suffix, or by the text that replaces the `*`. Two files are always a pair.
        unpaired: compare two sets of clips instead of pairs.
        strip_frame: (H, W) of one frame of strip images; default: square frames.
        frames: first frame scored and end (exclusive; None: to the last frame); default: all frames.
        metrics: names that replace the default metrics. Pairs only.
        protocol: name of a preset for sets of clips. Sets only.
        allow_deviation: compare clips that do not fit the protocol. The name of the result says so.
        clips: clips compared on each side; default 256, or the protocol's number. Sets only.
        seeds: number of evaluation seeds, for mean and interval. Sets only.
        flow_histograms: also compare how clips move. Sets only.
        weights: name of a metric network -> file of its weights.
        seed: of random draws and of the bootstrap.
        device: "auto", "cpu" or "cuda".

    Returns:
        `FolderScores` of pairs, `SynthesisScores` of sets.

    Raises:
        ConfigError: an option that does not apply, or videos that do not pair up by name.
        DataError: there are no clips, or too few. ValueError: videos of different lengths or frame sizes.
        WeightsError: weights of a metric are missing.
    """
    options: dict[str, Any] = {
        "strip_frame": strip_frame, "frames": frames, "metrics": tuple(metrics), "protocol": protocol,
        "allow_deviation": allow_deviation, "clips": clips, "seeds": seeds, "flow_histograms": flow_histograms,
        "weights": dict(weights or {}), "seed": seed, "device": device,
    }  # fmt: skip
    settings = settings_for_folders(options, unpaired=unpaired)
    predicted, true = Path(predicted), Path(true)
    scores: FolderScores | SynthesisScores
    if isinstance(settings, SetSettings):
        scores = evaluate_sets(predicted, true, settings, Share.of_launcher())
    else:
        scores = evaluate_pairs(predicted, true, settings)
    weight_files = {name: str(path.absolute()) for name, path in options["weights"].items()}
    request = {
        "command": "compare",
        "predicted": str(predicted.absolute()),
        "true": str(true.absolute()),
        "options": {**options, "metrics": list(metrics), "weights": weight_files},
    }
    provenance = {
        "predicted": predicted.name,
        "true": true.name,
        KEY: request,
        "weights": {"predicted": videos_hash(predicted)},
        **circumstances(seed=seed, seeds=seeds),
    }
    return replace(scores, provenance=provenance | scores.provenance)


def compare_command(
    predicted: Path, true: Path, options: Mapping[str, Any], output: Output, *, processes: int = 1
) -> str | int:
    """Run `compare` in one or several processes of this machine.

    Args:
        options: keyword arguments of `compare`.
        processes: number of processes that share the features of fetched networks.

    Returns:
        The text to print, or the exit code of the processes.
    """
    output.check(options["protocol"])
    if processes > 1 and num_launched() is None:
        chosen = {name: value for name, value in options.items() if name != "unpaired"}
        settings = settings_for_folders(chosen, unpaired=options["unpaired"])
        if not shares_features(settings):
            raise ConfigError(f"--processes has no effect on {settings.scored}{WITH_NETWORKS}")
        return run_processes(processes)
    scores = compare(predicted, true, **options)
    share = Share.of_launcher()
    share.leave()
    return 0 if share.rank > 0 else output.show(scores)
