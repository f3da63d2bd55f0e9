"""`vidgan reproduce`: check what a result was made from, make it again, and say whether it is equal.

A result is the file of an evaluation or comparison, or a training run, whose first steps are trained again.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vidgan.commands.compare import compare
from vidgan.commands.evaluate import evaluate_model
from vidgan.commands.train import train_first_steps
from vidgan.config import RunConfig
from vidgan.data.preparing.cutting import frames_digest
from vidgan.data.store.index import Index, load_index
from vidgan.data.store.storage import open_store
from vidgan.errors import CheckpointError, ConfigError, DataError
from vidgan.evaluation.output import circumstances, hardware
from vidgan.evaluation.requests import EvaluationRequest, read_request, videos_hash
from vidgan.evaluation.results import AnyResult, library_versions, read_result
from vidgan.evaluation.rows import Rows, load_rows, rows_path
from vidgan.files import file_hash, temporary_folder
from vidgan.hub import WEIGHTS
from vidgan.own_code import own_code
from vidgan.runs import STARTS, exported_step, run_config
from vidgan.training.checkpoint import Checkpoint, load_checkpoint, load_latest
from vidgan.training.journal import JOURNAL, read_journal, read_records
from vidgan.training.run_comparison import journal_differences, tensor_differences

EQUAL, OTHER_DATA, OTHER_WEIGHTS, OTHER_CIRCUMSTANCES, OTHER_NUMBERS = 0, 3, 4, 5, 6
NOT_COMPARED = ("provenance", "versions", "notes", "kind")  # of a result: circumstances, and words about them
ROUNDING = 1e-5  # relative difference that rounding on other hardware explains
FIRST_STEPS = 20


@dataclass(frozen=True)
class Reproduction:
    """What `reproduce` found.

    Attributes:
        code: 0 equal; 3 other data; 4 other weights or model file; 5 the numbers differ, and so do versions or
            hardware; 6 the numbers differ, although everything that was recorded is equal.
        lines: the checks in words; the last line is the conclusion.
    """

    code: int
    lines: list[str]

    @property
    def text(self) -> str:
        """The lines as one text."""
        return "\n".join(self.lines)


@dataclass
class _Findings:
    """Checks in the order in which they were made."""

    lines: list[str] = field(default_factory=list)
    circumstances: list[str] = field(default_factory=list)  # differences of versions and hardware

    def add(self, subject: str, text: str) -> None:
        self.lines.append(f"{subject:<10}{text}")

    def compare_circumstances(self, recorded: Mapping[str, Any], now: Mapping[str, Any], subject: str) -> None:
        """Note the entries that differ; entries that were not recorded are unknown."""
        differing = [
            f"{key} {recorded[key]} then, {now.get(key)} now" for key in recorded if recorded[key] != now.get(key)
        ]
        self.circumstances += differing
        self.add(subject, "; ".join(differing) or ("equal" if recorded else "not recorded"))

    def conclude(self, code: int, text: str) -> Reproduction:
        return Reproduction(code, [*self.lines, text])

    def conclude_numbers(self, first: str, *, size: float | None = None, cause: str | None = None) -> Reproduction:
        """The conclusion if numbers differ.

        Args:
            first: the first difference.
            size: the largest relative difference.
            cause: a cause that is known.
        """
        small = size is not None and size <= ROUNDING
        extent = f"; all differences are below {ROUNDING:g} of the value, as rounding makes them" if small else ""
        if cause is not None:
            reason, code = cause, OTHER_NUMBERS
        elif self.circumstances:
            reason, code = "; ".join(self.circumstances), OTHER_CIRCUMSTANCES
        else:
            code = OTHER_NUMBERS
            reason = (
                "nothing that was recorded differs: the source code of vidgan or of the model was changed without a new"
                " version, or the computation is not deterministic"
            )
        return self.conclude(code, f"different: {first}{extent}\nlikely cause: {reason}")


def reproduce(
    result: Path,
    *,
    steps: int | None = None,
    run: Path | None = None,
    model: str | None = None,
    data: Path | None = None,
    predicted: Path | None = None,
    true: Path | None = None,
    allow_own_code: bool = False,
) -> Reproduction:
    """Check data, split, weights and versions of a result, make it again, and compare. Nothing of it is changed.

    Args:
        result: the file of a result of `vidgan evaluate` or `vidgan compare`; or a training run.
        steps: of a training run, the number of steps to train again from its beginning; default: up to its first
            checkpoint if that is among the first 100 steps, else 20.
        run, model, data: of an evaluation (`data` also of a training), where these are now, if they were moved.
        predicted, true: the same of a comparison.
        allow_own_code: follow import paths of own parts and models; importing runs the module.

    Returns:
        The exit code and the findings.

    Raises:
        ConfigError: no result, or one of an earlier version, which does not record enough; something that it needs is
            missing; an option without effect.
    """
    moved = {"--run": run, "--model": model, "--data": data, "--predicted": predicted, "--true": true, "--steps": steps}
    with own_code(allowed=allow_own_code):
        if result.is_dir():
            _refuse(moved, ("--data", "--steps"), "on a training run")
            return _reproduce_training(result, steps, data)
        if not result.is_file():
            raise ConfigError(f"{result}: no such file; give a result file or a training run")
        scores = read_result(result)
        if read_request(scores, result)["command"] == "compare":
            _refuse(moved, ("--predicted", "--true"), "on a comparison of folders")
            return _reproduce_comparison(result, scores, predicted, true)
        _refuse(moved, ("--run", "--model", "--data"), "on an evaluation")
        request = EvaluationRequest.of_result(scores, result).moved(run=run, model=model, data=data)
        return _reproduce_evaluation(result, scores, request)


def _refuse(options: Mapping[str, Any], accepted: Sequence[str], reason: str) -> None:
    if unused := [name for name, value in options.items() if value is not None and name not in accepted]:
        raise ConfigError(f"{', '.join(unused)} has no effect {reason}; accepted are {', '.join(accepted)}")


def _reproduce_evaluation(file: Path, recorded: AnyResult, request: EvaluationRequest) -> Reproduction:
    findings = _Findings()
    provenance = recorded.provenance
    trained = request.load()
    split = str(request.options.get("split", "test"))
    if (fault := _other_data(trained.data, provenance["data"], split)) is not None:
        findings.add("data", fault)
        return findings.conclude(OTHER_DATA, f"not repeated, because the data are others: {fault}")
    findings.add("data", f"equal: fingerprint, split and pixels of {trained.data.name}")
    if trained.weights != provenance["weights"]:
        step = provenance.get("step")
        further = trained.facts.step is not None and step is not None and trained.facts.step != step
        names = [name for name in sorted(trained.weights.keys() | provenance["weights"].keys())
                 if trained.weights.get(name) != provenance["weights"].get(name)]  # fmt: skip
        cause = f"those of step {step} were scored, these are of step {trained.facts.step}" if further else "changed"
        text = f"{', '.join(names)}: sha256 differs ({cause})"
        findings.add("weights", text)
        return findings.conclude(OTHER_WEIGHTS, f"not repeated, because the weights are others: {text}")
    findings.add("weights", f"equal: sha256 of {', '.join(trained.weights) or 'no file'}")
    _compare_surroundings(findings, recorded)
    options = {key: value for key, value in request.arguments.items() if key != "allow_own_code"}
    again, _ = evaluate_model(trained, options)
    return _compare_results(findings, file, recorded, again)


def _reproduce_comparison(file: Path, recorded: AnyResult, predicted: Path | None, true: Path | None) -> Reproduction:
    findings = _Findings()
    request = read_request(recorded, file)
    sides = {"predicted": predicted or Path(request["predicted"]), "true": true or Path(request["true"])}
    for name, path in sides.items():
        if not path.exists() and "*" not in path.name:
            raise ConfigError(f"{path} was moved or deleted since the result was made; give it with --{name}")
    if {"predicted": videos_hash(sides["predicted"])} != recorded.provenance["weights"]:
        text = f"the files of {sides['predicted']} differ from those that were scored"
        findings.add("predicted", text)
        return findings.conclude(OTHER_WEIGHTS, f"not repeated: {text}")
    findings.add("predicted", "equal: names and contents of the files")
    _compare_surroundings(findings, recorded)
    options = request["options"]
    frames, strip = options["frames"], options["strip_frame"]
    again = compare(
        sides["predicted"],
        sides["true"],
        **options
        | {
            "weights": {name: Path(path) for name, path in options["weights"].items()},
            "frames": None if frames is None else tuple(frames),
            "strip_frame": None if strip is None else tuple(strip),
        },
    )
    if again.fingerprint != recorded.fingerprint:
        text = f"the frames of {sides['true']} differ from those that were scored"
        findings.add("true", text)
        return findings.conclude(OTHER_DATA, f"different data: {text}")
    findings.add("true", "equal: fingerprint of the frames")
    return _compare_results(findings, file, recorded, again)


def _compare_surroundings(findings: _Findings, recorded: AnyResult) -> None:
    """Versions, hardware and number of processes of a result and of this process."""
    findings.compare_circumstances(recorded.versions, library_versions(), "versions")
    here = circumstances(seed=recorded.seed)["hardware"]
    findings.compare_circumstances(recorded.provenance.get("hardware", {}), here, "hardware")


def _other_data(root: Path, recorded: Mapping[str, Any], split: str) -> str | None:
    """How the data differ from the recorded ones; None if they are equal, pixels included.

    Args:
        split: whose pixels are read and compared with their digests.
    """
    try:
        index = load_index(root)
    except DataError as error:
        return str(error)
    for key, name, now in (
        ("fingerprint", "clips", index.fingerprint),
        ("split_hash", "division into training and test clips", index.split_hash),
    ):
        if recorded.get(key) not in (None, now):
            return f"{root}: its {name} differ from the recorded ones ({key} {recorded[key][:12]} then, {now[:12]} now)"
    return next(_altered_clips(root, index, split), None)


def _altered_clips(root: Path, index: Index, split: str) -> Iterator[str]:
    """Clips whose stored pixels do not have the digest of the index."""
    store = open_store(root, index)
    for entry in index.clips if split == "all" else index.of_split(split):
        try:
            digest = frames_digest(store.frames(entry, range(entry.frames)))
        except DataError as error:
            yield str(error)
            continue
        if digest != entry.digest:
            yield f"{root}: the pixels of clip {entry.source} were altered after `vidgan prepare`"


def _compare_results(findings: _Findings, file: Path, recorded: AnyResult, again: AnyResult) -> Reproduction:
    """Compare all numbers: first the single measurements, which say where, then the summary."""
    weights = [result.provenance.get("metric_weights", {}) for result in (recorded, again)]
    cause = None
    if weights[0] != weights[1]:
        names = ", ".join(sorted(key for key in weights[0] if weights[0][key] != weights[1].get(key)))
        cause = f"the weights of a metric network differ: {names}"
    first, size = None, 0.0
    rows = getattr(again, "rows", None)  # sets of clips have no windows
    if rows is not None and rows_path(file).is_file():
        first, size = _first_measurement(load_rows(rows_path(file)), rows)
    then, now = (json.loads(result.to_json()) for result in (recorded, again))
    differences = [
        difference
        for key in then
        if key not in NOT_COMPARED
        for difference in _differences(then[key], now.get(key), key)
    ]
    if not differences and first is None:
        count = sum(len(table) for table in recorded.scores.values())
        findings.add("numbers", f"equal: {count} scores and all that belongs to them")
        return findings.conclude(EQUAL, "equal")
    findings.add("numbers", f"{len(differences)} entries of the result differ")
    sizes = [size, *(one.size for one in differences)]
    return findings.conclude_numbers(first or str(differences[0]), size=max(sizes), cause=cause)


@dataclass(frozen=True)
class _Difference:
    path: str
    then: Any
    now: Any

    @property
    def size(self) -> float:
        """Relative to the value; infinite if it is no number."""
        numbers = [value for value in (self.then, self.now) if type(value) in (int, float)]
        if len(numbers) < 2:
            return math.inf
        return abs(numbers[0] - numbers[1]) / max(abs(numbers[0]), abs(numbers[1]))

    def __str__(self) -> str:
        return f"{self.path}: {self.then!r:.60} recorded, {self.now!r:.60} now"


def _differences(then: Any, now: Any, path: str) -> Iterator[_Difference]:
    """All leaves that differ."""
    if isinstance(then, dict) and isinstance(now, dict):
        for key in [*then, *(key for key in now if key not in then)]:
            yield from _differences(then.get(key), now.get(key), f"{path}, {key}")
    elif isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        for number, pair in enumerate(zip(then, now, strict=True)):
            yield from _differences(*pair, f"{path} {number}")
    elif then != now:
        yield _Difference(path, then, now)


def _first_measurement(then: Rows, now: Rows) -> tuple[str | None, float]:
    """The first single measurement that differs, and the largest relative difference of all."""
    if then.windows != now.windows:
        return f"the windows: {len(then.windows)} recorded, {len(now.windows)} now, or others", math.inf
    first, largest = None, 0.0
    for name, metrics in then.values.items():
        for metric, table in metrics.items():
            other = now.values.get(name, {}).get(metric)
            if other is None or other.shape != table.shape:
                return f"{metric} of {name} was not measured again", math.inf
            unequal = ~((table == other) | (np.isnan(table) & np.isnan(other)))
            if not unequal.any():
                continue
            window, step = map(int, np.argwhere(unequal)[0])
            if first is None:
                first = (
                    f"{metric} of {name}, window {then.windows[window]}, frame {step + 1}:"
                    f" {table[window, step]:.9g} recorded, {other[window, step]:.9g} now"
                )
            with np.errstate(invalid="ignore", divide="ignore"):
                relative = np.abs(table - other) / np.maximum(np.abs(table), np.abs(other))
            largest = max(largest, float(np.nan_to_num(relative[unequal], nan=np.inf).max()))
    return first, largest


def _reproduce_training(run: Path, steps: int | None, data: Path | None) -> Reproduction:
    config = run_config(run)
    if data is not None:
        config = config.model_copy(update={"data": config.data.model_copy(update={"root": str(data)})})
    if not (run / JOURNAL).is_file():
        raise ConfigError(f"{run} has no {JOURNAL}: nothing was trained yet")
    journal = read_journal(run)
    latest = load_latest(run / "checkpoints")
    if latest is None or not journal:
        raise ConfigError(f"{run} has no checkpoint: train it until the first one")
    steps = steps or _first_steps(run, journal)
    if not 0 < steps <= journal[-1]["step"]:
        raise ConfigError(f"--steps {steps}: the run has {journal[-1]['step']} steps; accepted are 1 to that")
    logged = next((record["step"] for record in journal if "seconds" in record), journal[0]["step"])
    if steps < logged:
        raise ConfigError(f"--steps {steps}: the journal begins with step {logged}; give at least that")
    findings = _Findings()
    recorded = {"fingerprint": latest.state.get("data"), "split_hash": latest.state.get("split")}
    if (fault := _other_data(Path(config.data.root), recorded, "train")) is not None:
        findings.add("data", fault)
        return findings.conclude(OTHER_DATA, f"not repeated, because the data are others: {fault}")
    findings.add("data", f"equal: fingerprint, split and pixels of {Path(config.data.root).name}")
    starts = [start for start in read_records(run / STARTS, skip_invalid=True) if start["step"] < steps]
    start = starts[0] if starts else {}
    findings.compare_circumstances(start.get("versions", {}), library_versions(), "versions")
    findings.compare_circumstances(start.get("hardware", {}), hardware(), "hardware")
    changes = {key: start[key] for key in ("processes",) if start.get(key, 1) != 1}
    if changes:
        findings.add("processes", f"{start['processes']} then, 1 now: equal batches, other order of sums")
    with temporary_folder() as folder:
        again = train_first_steps(_apart(config, folder), steps).run_dir
        differences = journal_differences(run, again, cut_short=True)
        trained = load_checkpoint(again / "checkpoints" / f"step-{steps:08d}")
        weights, compared = _weight_differences(run, steps, trained, again)
    findings.add("journal", f"{steps} steps: " + (f"{len(differences)} differences" if differences else "equal"))
    findings.add("weights", compared)
    if differences or weights:
        return findings.conclude_numbers((differences or weights)[0])
    return findings.conclude(EQUAL, "equal")


def _first_steps(run: Path, journal: Sequence[Mapping[str, Any]]) -> int:
    saved = sorted(int(path.name.removeprefix("step-")) for path in (run / "checkpoints").glob("step-*"))
    early = [step for step in saved if 0 < step <= 100]
    logged = next((record["step"] for record in journal if "seconds" in record), 1)
    return early[0] if early else min(max(FIRST_STEPS, logged), journal[-1]["step"])


def _apart(config: RunConfig, folder: Path) -> RunConfig:
    """The config of a run, in another folder and without tracking services."""
    return config.model_copy(update={"out": str(folder), "track": type(config.track)()})


def _weight_differences(run: Path, steps: int, trained: Checkpoint, again: Path) -> tuple[list[str], str]:
    """The tensors that differ after `steps` steps, and what was compared, in words."""
    saved = run / "checkpoints" / trained.path.name
    if saved.is_dir():
        try:
            differences = tensor_differences(load_checkpoint(saved).tensors, trained.tensors)
        except CheckpointError as error:
            return [str(error)], str(error)
        return differences, f"at step {steps}: " + (f"{len(differences)} tensors differ" if differences else "equal")
    for name in ("model", "best"):
        if exported_step(run / name) == steps:
            if file_hash(run / name / WEIGHTS) == file_hash(again / "model" / WEIGHTS):
                return [], f"{name}/ at step {steps}: equal"
            return [f"{name}/{WEIGHTS}: sha256"], f"{name}/ at step {steps}: differ"
    return [], f"no checkpoint of step {steps} is kept: the journal alone was compared"
