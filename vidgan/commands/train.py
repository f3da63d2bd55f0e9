"""`vidgan train`: from a config and prepared data to a run directory; the same command again resumes."""

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Optimizer

from vidgan.build import build_algorithm, build_loader, build_networks, build_training_data
from vidgan.commands.tracking import open_trackers, require_trackers
from vidgan.commands.training_hooks import build_hooks
from vidgan.config import RunConfig, differences, dump_config, find_config, load_config, parse_config
from vidgan.data.dataset import ClipDataset
from vidgan.data.loader import ClipLoader
from vidgan.errors import ConfigError
from vidgan.files import write_text
from vidgan.own_code import own_code, path_of
from vidgan.precision import resolve_precision, with_precision
from vidgan.runs import Exporter, note_start, refresh_exports, with_absolute_paths
from vidgan.sections import OBJECT, Section, kind_of, nearest
from vidgan.tasks import TASKS
from vidgan.training.accelerator import Accelerator, build_accelerator
from vidgan.training.checkpoint import Checkpoint, load_latest
from vidgan.training.failures import explain_io_errors
from vidgan.training.journal import read_journal
from vidgan.training.launcher import exit_with_launcher
from vidgan.training.leftovers import remove_leftovers
from vidgan.training.lock import RunLock
from vidgan.training.loop import Periods, Protection, run_loop
from vidgan.training.recorder import Hooks
from vidgan.training.run_state import Algorithm
from vidgan.training.trackers import Trackers

logger = logging.getLogger(__name__)

# Settings that may change between resumes: they alter how long or how often, not what is computed at a step.
FREE = ("train.steps", "train.device", "every.", "guards.", "data.workers", "data.root", "out", "name", "track")
CONFIG_FILE = "config.yaml"
# What a kill before the first file of the run leaves in its folder.
LEFT_BEHIND = re.compile(r"\.lock|\.config\.yaml\.\d+\.tmp|tracking_id|tensorboard|wandb")


@dataclass(frozen=True)
class TrainResult:
    """What `train` did."""

    run_dir: Path
    steps: int
    signal: int | None = None

    @property
    def exit_code(self) -> int:
        """0, or 128 + the signal that stopped the run (after it was saved)."""
        return 0 if self.signal is None else 128 + self.signal


def train(
    config: str | Path | RunConfig,
    overrides: Sequence[str] = (),
    *,
    data: str | Path | None = None,
    networks: Mapping[str, nn.Module] | None = None,
    losses: Mapping[str, Any] | None = None,
    optimizers: Mapping[str, Callable[[Iterable[nn.Parameter]], Optimizer]] | None = None,
    turns: Sequence[str | tuple[str, int] | Mapping[str, Any]] | None = None,
    allow_own_code: bool = False,
    accept_changes: bool = False,
    quiet: bool = False,
) -> TrainResult:
    """Train the model of a config; the same call again resumes.

    Args:
        config: path of a YAML file, name of a shipped config, name of a task (its default config), or a `RunConfig`.
        overrides: `a.b=c` changes of a config read from YAML.
        data: folder that `vidgan prepare` wrote; default: `data.root` of the config.
        networks: own networks by the config key that they stand for: "model.motion", "model.frame", "model.estimator",
            "model.fusion" or "discriminators.NAME". The protocols are in docs/add_a_model.md.
        losses: "adversarial" -> an `AdversarialLoss`; any other name -> a further term of the generator, a function of
            (fake, real) or, for forecasts, (prediction, future), or a pair of the function and its weight.
        optimizers: network -> function from parameters to a torch optimizer.
        turns: sequence of a step: names, (name, repeats) or mappings with the keys of `objective.turns`.
        allow_own_code: follow import paths (`kind: my_module:MyClass`) of the config; importing runs the module.
        accept_changes: resume although settings differ from those that the run began with.
        quiet: no progress display.

    Raises:
        ConfigError, DataError, CheckpointError: a user error; nothing was changed.
        RunFailedError: the run failed (a non-finite value, a guard, a full disk); its last checkpoint is kept.
        RuntimeError: a process or a loader worker was lost; another attempt may succeed.
    """
    settings, objects = _with_own_parts(
        _read_config(config, overrides, data), networks or {}, losses or {}, optimizers or {}, turns
    )
    with own_code(allowed=allow_own_code, objects=objects):
        return _start(settings, accept_changes=accept_changes, quiet=quiet)


def train_first_steps(config: RunConfig, steps: int, *, quiet: bool = True) -> TrainResult:
    """Train the first steps of a config as a whole run does, with its learning rates; the last one is saved.

    Args:
        config: its `out` must hold no such run.
        steps: at most `train.steps`.
        quiet: no progress display.

    Raises:
        As `train`.
    """
    return _start(config, accept_changes=False, quiet=quiet, steps=min(steps, config.train.steps))


def _read_config(config: str | Path | RunConfig, overrides: Sequence[str], data: str | Path | None) -> RunConfig:
    if isinstance(config, RunConfig):
        if overrides:
            raise ConfigError("overrides have no effect on a RunConfig; give a file or a name")
        if data is None:
            return config
        return parse_config({**config.model_dump(), "data": {**config.data.model_dump(), "root": str(data)}}, "config")
    name = TASKS[config].default_config if isinstance(config, str) and config in TASKS else str(config)
    root = [] if data is None else [f"data.root={data}"]
    return load_config(find_config(name), [*overrides, *root])


def _with_own_parts(
    config: RunConfig,
    networks: Mapping[str, nn.Module],
    losses: Mapping[str, Any],
    optimizers: Mapping[str, Any],
    turns: Sequence[Any] | None,
) -> tuple[RunConfig, dict[str, Any]]:
    """The config with a record of what was passed from Python, and these objects by config key."""
    if not (networks or losses or optimizers or turns is not None):
        return config, {}
    values = config.model_dump()
    objects: dict[str, Any] = {}
    for key, network in networks.items():
        section, _, name = key.rpartition(".")
        if section not in ("model", "discriminators") or name not in values[section]:
            known = [f"{s}.{n}" for s in ("model", "discriminators") for n in _parts_of(getattr(config, s))]
            raise ConfigError(f"networks: {key!r} is not a part of this config{nearest(key, known)}")
        values[section][name] = {"kind": OBJECT, "class": path_of(network)}
        objects[key] = network
    for name, loss in losses.items():
        if name == "adversarial":
            values["objective"]["adversarial"] = OBJECT
            objects["objective.adversarial"] = loss
            continue
        term, weight = loss if isinstance(loss, tuple) and callable(loss[0]) else (loss, 1.0)
        values["objective"]["terms"][name] = OBJECT
        values["objective"]["weights"].setdefault(name, weight)
        objects[f"objective.terms.{name}"] = term
    for name, optimizer in optimizers.items():
        values["optimizers"][name] = {**values["optimizers"].get(name, {}), "name": "object", "betas": None}
        objects[f"optimizers.{name}"] = optimizer
    if turns is not None:
        values["objective"]["turns"] = list(turns)
    return parse_config(values, "train"), objects


def _parts_of(section: Section) -> list[str]:
    """Keys of a section that name a part which comes in kinds."""
    return [name for name in type(section).model_fields if kind_of(getattr(section, name)) is not None]


def _start(settings: RunConfig, *, accept_changes: bool, quiet: bool, steps: int | None = None) -> TrainResult:
    require_trackers(settings.track)
    exit_with_launcher()
    accelerator = build_accelerator(settings.train.device)
    if not accelerator.is_main_process:
        logging.getLogger("vidgan").setLevel(logging.ERROR)  # what every process notices is reported once
    dataset = build_training_data(settings)
    loader = build_loader(settings, dataset, accelerator)
    written = settings.run_dir / CONFIG_FILE
    recorded = load_config(written).train.precision if written.is_file() else None
    settings = with_precision(settings, resolve_precision(settings, dataset, accelerator, recorded=recorded))
    algorithm = build_algorithm(settings, build_networks(settings, dataset), accelerator, num_clips=len(dataset))
    start = _Start(settings, dataset, loader, accelerator, algorithm, steps or settings.train.steps)
    if accelerator.is_main_process:
        with RunLock(settings.run_dir, marker=CONFIG_FILE):
            return start.run(accept_changes=accept_changes, quiet=quiet)
    return start.run(accept_changes=accept_changes, quiet=True)


@dataclass(frozen=True)
class _Start:
    """One start of a run: all that was built for it before the run directory is touched."""

    settings: RunConfig
    dataset: ClipDataset
    loader: ClipLoader
    accelerator: Accelerator
    algorithm: Algorithm
    steps: int  # to train; the settings have those of the whole run, which the learning rates follow

    def run(self, *, accept_changes: bool, quiet: bool) -> TrainResult:
        """Train from the newest checkpoint, or the start, to the end."""
        settings, run_dir = self.settings, self.settings.run_dir
        resume = _resumable(settings, self.dataset, accept_changes)
        finished = resume is not None and _is_finished(settings, resume)
        self.accelerator.wait_for_everyone()  # all have read the run directory before the first writes into it
        with explain_io_errors(run_dir):
            if resume is not None and finished:
                if self.accelerator.is_main_process:
                    remove_leftovers(run_dir, resumed=resume.path)
                    refresh_exports(settings, self.dataset, resume)
                logger.warning("%s is finished: %d of %d steps", run_dir, resume.step, settings.train.steps)
                return TrainResult(run_dir, resume.step)
            outcome = run_loop(
                self.algorithm,
                self.loader,
                accelerator=self.accelerator,
                run_dir=run_dir,
                steps=self.steps,
                seed=settings.seed,
                every=Periods(**settings.every.model_dump()),
                hooks=self._hooks(resume) if self.accelerator.is_main_process else Hooks(),
                state={
                    "task": settings.task,
                    "data": self.dataset.index.fingerprint,
                    "split": self.dataset.index.split_hash,
                    "precision": settings.train.precision,
                },
                resume=resume,
                protection=_protection(settings),
                quiet=quiet,
            )
        return TrainResult(run_dir, outcome.steps, outcome.signal)

    def _hooks(self, resume: Checkpoint | None) -> Hooks:
        """What the main process does beside training."""
        settings = self.settings
        trackers = Trackers()

        def note_beginning(step: int) -> None:
            trackers.add(open_trackers(settings))  # a service may refuse the start
            remove_leftovers(settings.run_dir, resumed=None if resume is None else resume.path)
            write_text(settings.run_dir / CONFIG_FILE, dump_config(with_absolute_paths(settings)))
            note_start(settings.run_dir, step, self.accelerator.num_processes, str(self.accelerator.device))
            if resume is not None:
                refresh_exports(settings, self.dataset, resume)

        export = Exporter(settings, self.dataset, self.algorithm.ema.module)
        hooks = build_hooks(settings, self.dataset, self.algorithm, export=export, trackers=trackers)
        return replace(hooks, start=note_beginning)


def _protection(settings: RunConfig) -> Protection:
    """The reaction to faults that the config asks for."""
    guards = settings.guards
    rollbacks = (guards.rollbacks or 3) if guards.on_nonfinite == "rollback" else 0
    return Protection(stop=guards.stop, rollbacks=rollbacks)


def _is_finished(settings: RunConfig, latest: Checkpoint) -> bool:
    """Whether the last step has been saved, previewed and evaluated, and saved again as the best if it is that."""
    if latest.step < settings.train.steps:
        return False
    last = [r for r in read_journal(settings.run_dir) if "observed" in r and r["step"] == latest.step]
    if settings.every.evaluate is not None:
        best = latest.state.get("best")
        scores = [record.get("evaluation/score") for record in last]
        if any(best is None or score > best for score in scores if isinstance(score, int | float)):
            return False
    return bool(last)


def _resumable(settings: RunConfig, dataset: ClipDataset, accept_changes: bool) -> Checkpoint | None:
    """The newest whole checkpoint of this run, after making sure that it is this run."""
    run_dir = settings.run_dir
    written = run_dir / CONFIG_FILE
    if written.is_file():
        recorded = with_absolute_paths(load_config(written))
        found = differences(recorded, with_absolute_paths(settings))
        changed = [difference for difference in found if not difference.startswith(FREE)]
        if settings.train.lr_schedule != "constant":
            changed += [difference for difference in found if difference.startswith("train.steps")]
        if changed and not accept_changes:
            raise ConfigError(
                f"{run_dir} was made with another config ({'; '.join(changed)}); choose another name=..., restore these"
                " settings, or resume all the same with --accept-changes"
            )
    elif run_dir.exists() and not all(LEFT_BEHIND.fullmatch(p.name) for p in run_dir.iterdir()):
        raise FileExistsError(f"{run_dir} exists and is no training run; choose another name=... or out=...")
    resume = load_latest(run_dir / "checkpoints")
    if resume is None:
        return None
    if resume.state.get("task") != settings.task:
        raise ConfigError(f"{resume.path}: is of the task {resume.state.get('task')}, the config of {settings.task}")
    if resume.state.get("data") != dataset.index.fingerprint and not accept_changes:
        raise ConfigError(
            f"{run_dir} was trained on other data than {settings.data.root} now holds; choose another name=...,"
            " or resume all the same with --accept-changes"
        )
    for key, now in (("split", dataset.index.split_hash), ("precision", settings.train.precision)):
        if resume.state.get(key) != now and not accept_changes:
            raise ConfigError(
                f"{run_dir} was trained with another {key} ({resume.state.get(key)}, now {now}); restore it, choose"
                " another name=..., or resume all the same with --accept-changes"
            )
    logger.info("resuming %s at step %d", run_dir, resume.step)
    return resume
