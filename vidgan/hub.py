"""Saving and loading trained generators: safetensors, the architecture as JSON, and a generated card.

Nothing is pickled. A folder holds `model.safetensors`, `config.json` (the config section that the network is built
from, and the frame size), `vidgan.json` (what the weights were trained on and for how long) and `README.md` (the card).

Small trained weights ship inside the package, under names such as `mocogan/shapes`. The last part is enough where the
class is known: `MoCoGAN.from_pretrained("shapes")`.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from safetensors import SafetensorError
from safetensors.torch import load_model, save_model

from vidgan.errors import ConfigError, PretrainedError, UserError
from vidgan.files import open_regular, parse_json, read_json, temporary_folder
from vidgan.model_facts import FACTS, ModelFacts, is_count, shown
from vidgan.own_code import own_code
from vidgan.sections import LIMITS, OBJECT

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
CARD = "README.md"
_MOST_LISTED = 8  # entries of a list that the card shows
SHIPPED = "weights"  # folder of the package with the shipped weights, as KIND/NAME


def model_folder(path: str | Path) -> Path:
    """The folder with the weights: `path` itself, or `path/model` for a training run.

    Raises:
        PretrainedError: there are no weights.
    """
    folder = Path(path)
    if (weights := _weights_in(folder)) is not None:
        return weights
    if not folder.exists():
        raise PretrainedError(
            f"{path}: no such folder; accepted: a training run, a folder written by save_pretrained, or shipped weights"
            f" by name (--pretrained {', '.join(shipped_weights())})"
        )
    if (folder / "config.yaml").is_file():
        raise PretrainedError(f"{path}: this run has no saved model yet; the first checkpoint writes one")
    raise PretrainedError(f"{path}: holds neither a training run nor a model (no {FACTS})")


def _weights_in(folder: Path) -> Path | None:
    """The folder with the weights of a model folder or run; None if there are none."""
    return next((candidate for candidate in (folder, folder / "model") if (candidate / FACTS).is_file()), None)


def model_class_in(path: str | Path) -> str | None:
    """The class of the model in a run or model folder; None if `path` is no such folder."""
    folder = _weights_in(Path(path))
    return None if folder is None else str(read_facts(folder)["class"])


def read_facts(path: str | Path) -> dict[str, Any]:
    """The content of `vidgan.json`: class, step, data, frames, categories, ... (`ModelFacts.from_json` reads it).

    Raises:
        PretrainedError: there is no model, or the file is damaged.
    """
    file = model_folder(path) / FACTS
    facts = _read_object(file)
    if not isinstance(facts.get("class"), str):
        raise PretrainedError(f"{file}: names no model class; the model folder is damaged")
    try:
        ModelFacts.from_json(facts)
    except PretrainedError as error:
        raise PretrainedError(f"{file.parent}: {error}") from None
    return facts


def shipped_weights() -> dict[str, Path]:
    """Name (`mocogan/shapes`) -> folder of the weights that ship with the package."""
    root = Path(str(files("vidgan"))) / SHIPPED
    return {facts.parent.relative_to(root).as_posix(): facts.parent for facts in sorted(root.glob(f"*/*/{FACTS}"))}


def find_shipped(name: str, kind: str | None = None) -> Path | None:
    """The folder of shipped weights by full name (`mocogan/shapes`) or by its last part (`shapes`).

    Args:
        kind: class of the model, such as "MoCoGAN"; None: any.

    Returns:
        None if no weights of that name and kind ship.

    Raises:
        PretrainedError: the last part alone is ambiguous.
    """
    shipped = shipped_weights()
    if name in shipped:
        return shipped[name]
    same_name = [full for full in shipped if full.rpartition("/")[2] == name]
    matches = [full for full in same_name if kind is None or read_facts(shipped[full])["class"] == kind]
    if len(matches) > 1:
        raise PretrainedError(f"{name}: ambiguous, {' or '.join(matches)}; give the full name")
    return shipped[matches[0]] if matches else None


def shipped_folder(name: str, kind: str | None = None) -> Path:
    """The folder of shipped weights; see `find_shipped`.

    Raises:
        PretrainedError: no weights of that name and kind ship; the message lists those that do.
    """
    folder = find_shipped(name, kind)
    if folder is None:
        raise PretrainedError(f"{name}: no weights of that name ship with vidgan; {_accepted(name, kind)}")
    return folder


def _accepted(name: str, kind: str | None) -> str:
    """The accepted names of shipped weights of a kind, with a suggestion if one is similar."""
    names = [full for full, at in shipped_weights().items() if kind is None or read_facts(at)["class"] == kind]
    similar = get_close_matches(name, [*names, *(full.rpartition("/")[2] for full in names)], n=1)
    return f"accepted: {', '.join(names)}" + (f" (did you mean {similar[0]}?)" if similar else "")


def _cell(value: Any) -> str:
    """A fact in the card's table: JSON, long lists cut short."""
    if isinstance(value, list | tuple) and len(value) > _MOST_LISTED:
        return f"{json.dumps(value[:_MOST_LISTED])[:-1]}, ... {len(value)} in all]"
    return json.dumps(value)


class Pretrained:
    """Adds `save_pretrained`, `from_pretrained` and `push_to_hub` to a network.

    Attributes:
        architecture: JSON from which `from_architecture` builds the network again; saved as `config.json`.
        facts: JSON dictionary saved with the weights (`ModelFacts.from_json` reads it).
        usage: a line of Python for the model card.
        public_class: name that the weights are saved and loaded under, where it is not the class's own: of a class that
            several structures share.
    """

    architecture: dict[str, Any]
    facts: dict[str, Any]
    usage: str
    public_class: ClassVar[str | None] = None

    @classmethod
    def from_architecture(cls, architecture: dict[str, Any]) -> Self:
        """The network, with initial weights, that `architecture` describes."""
        raise TypeError(f"{cls.__name__} does not say how it is built from {CONFIG}")

    def save_pretrained(self, folder: str | Path) -> None:
        """Write weights, architecture, facts and card; a README.md in the folder is never replaced."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        module: Any = self
        save_model(module, str(folder / WEIGHTS))
        (folder / CONFIG).write_text(json.dumps(self.architecture, sort_keys=True, indent=2))
        facts = {"class": self.public_class or type(self).__name__} | getattr(self, "facts", {})
        (folder / FACTS).write_text(json.dumps(facts, indent=2) + "\n")
        if not (folder / CARD).exists():
            (folder / CARD).write_text(self.model_card())

    def push_to_hub(self, repo_id: str, *, private: bool = False, token: str | None = None) -> str:
        """Upload what `save_pretrained` writes to `owner/name` on the Hugging Face hub; returns the commit's URL."""
        api = HfApi(token=token)
        api.create_repo(repo_id, private=private, exist_ok=True)
        with temporary_folder() as folder:
            self.save_pretrained(folder)
            return str(api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message="Upload a vidgan model"))

    def model_card(self) -> str:
        """The text of README.md, made from `facts`."""
        content = getattr(self, "facts", {})
        facts = ModelFacts.from_json(content)
        size = sum(parameter.numel() for parameter in self.parameters())  # type: ignore[attr-defined]
        rows = "\n".join(f"| {key} | {_cell(value)} |" for key, value in content.items())
        name = self.public_class or type(self).__name__
        terms = (
            f"Licence of the weights: {facts.licence}."
            if facts.licence
            else "The licence of the weights follows that of the data."
        )
        scope = (
            f"Trained only on {facts.trained_on}"
            if facts.trained_on
            else "Intended for research on video like the training data"
        )
        return (
            f"---\nlibrary_name: vidgan\ntags: [video, gan, {name.lower()}]\n---\n\n# {facts.name or name}\n\n"
            f"Weights of a {name} ({size:,} parameters) trained with vidgan: the moving average of the generator.\n\n"
            f"```python\nfrom vidgan import {name}\n\n"
            f'model = {name}.from_pretrained("{facts.name or "FOLDER"}")\n{self.usage}\n```\n\n'
            f"| fact | value |\n|---|---|\n{rows}\n\n{scope}. {terms} Results outside that domain were not measured.\n"
        )

    @classmethod
    def from_pretrained(
        cls,
        path: str | Path,
        *,
        allow_own_code: bool = False,
        networks: Mapping[str, Any] | None = None,
        local_files_only: bool = False,
    ) -> Self:
        """Load trained weights, in evaluation mode.

        Args:
            path: a model folder or a training run (its newest saved model); as a str also the name of weights that ship
                with vidgan ("shapes", "mocogan/shapes"), or `owner/name` on the Hugging Face hub. A local folder comes
                before shipped weights, and these before the hub, which is not asked if a folder `owner` exists here.
            allow_own_code: follow the import paths of own parts (`kind: my_module:MyClass`); importing runs the module.
            networks: objects for parts that were passed from Python in training: `{"model.frame": my_generator}`.
            local_files_only: never ask the hub.

        Raises:
            PretrainedError: no such model, another model's weights, or damaged files.
            ConfigError: the model has own parts, and `allow_own_code` or `networks` is missing.
        """
        shipped = find_shipped(path, cls.__name__) if isinstance(path, str) and not _weights_in(Path(path)) else None
        hub_like = isinstance(path, str) and str(path).count("/") == 1 and not str(path).startswith((".", "/"))
        if shipped is None and hub_like and not Path(path).parent.is_dir():
            folder = _download(cls, str(path), local_files_only)
        else:
            folder = shipped or model_folder(path)
        facts = read_facts(folder)
        if facts["class"] != cls.__name__:
            raise PretrainedError(f"{folder}: holds a {facts['class']}, not a {cls.__name__}")
        if not (folder / WEIGHTS).is_file():
            raise PretrainedError(f"{folder}: holds no {WEIGHTS}, and pickled weights are not read")
        try:
            header = _read_header(folder / WEIGHTS)
            architecture = _read_object(folder / CONFIG)
            _check_sizes(folder / CONFIG, architecture)
            with own_code(allowed=allow_own_code, objects=networks):
                if not _has_own_parts(architecture):
                    _check_weights(folder, cls, architecture, header)
                model = cls.from_architecture(architecture)
            module: Any = model
            load_model(module, str(folder / WEIGHTS), strict=True)
            _check_finite(folder / WEIGHTS, module)
        except (ConfigError, PretrainedError):
            raise
        except (SafetensorError, OSError, RuntimeError, TypeError, ValueError, AttributeError, LookupError) as error:
            reason = " ".join(str(error).split())
            raise PretrainedError(f"{path}: the model is damaged or of another version: {reason}") from None
        model.facts = {key: value for key, value in facts.items() if key != "class"}
        module.eval()
        return model


@dataclass(frozen=True)
class CardScore:
    """One number of a model card's metadata.

    Attributes:
        task: what was evaluated, such as "forecast".
        dataset: protocol of the evaluation.
        metric: name.
        value: the mean.
        name: as it is displayed.
    """

    task: str
    dataset: str
    metric: str
    value: float
    name: str


def card_header(repository: str, licence: str | None, kind: str, scores: Sequence[CardScore]) -> str:
    """The metadata of a model card, with all scores as `model-index`: YAML between two lines of dashes.

    Args:
        repository: `owner/name`.
        licence: of the weights (SPDX); None: left out.
        kind: of the model, a tag.
        scores: of the model.
    """
    from huggingface_hub import EvalResult, ModelCardData

    results = [
        EvalResult(
            task_type=score.task,
            dataset_type=score.dataset,
            dataset_name=score.dataset,
            metric_type=score.metric,
            metric_value=score.value,
            metric_name=score.name,
        )
        for score in scores
    ]
    data = ModelCardData(
        library_name="vidgan",
        license=None if licence is None else licence.lower(),
        tags=["video", "gan", kind],
        model_name=repository.rpartition("/")[2] if results else None,
        eval_results=results or None,
    )
    return f"---\n{data.to_yaml()}\n---\n"


def require_repository_name(name: str) -> None:
    """Raise ConfigError unless `name` is a valid `owner/name` of the hub."""
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise ConfigError(f"{name}: no name of a repository; accepted is owner/name ({error})") from None
    if "/" not in name:
        raise ConfigError(f"{name}: no name of a repository; accepted is owner/name")


def require_credentials() -> None:
    """Raise ConfigError unless this machine has credentials of the hub."""
    from huggingface_hub import get_token

    if get_token() is None:
        raise ConfigError("--upload: no credentials of the Hugging Face hub; run `hf auth login`, or set HF_TOKEN")


def upload_repository(name: str, folder: Path, *, ignore: Sequence[str] = (), space: bool = False) -> str:
    """Create the repository `owner/name` if it is missing, upload a folder, and return the address of the commit.

    Args:
        name: of the repository.
        folder: its files.
        ignore: patterns of files that stay here.
        space: a Space instead of a model.

    Raises:
        PretrainedError: the hub refuses, or cannot be reached.
    """
    api, kind = HfApi(), "space" if space else "model"
    try:
        api.create_repo(name, repo_type=kind, space_sdk="gradio" if space else None, exist_ok=True)
        commit = api.upload_folder(
            repo_id=name,
            repo_type=kind,
            folder_path=folder,
            ignore_patterns=[*ignore],
            commit_message="Upload a vidgan model",
        )
    except (HfHubHTTPError, OSError) as error:
        raise PretrainedError(f"{name}: not uploaded ({type(error).__name__}: {error})") from None
    return str(commit)


def _download(cls: type[Pretrained], name: str, local_files_only: bool) -> Path:
    """The local copy of `owner/name` on the hub."""
    try:
        return Path(
            snapshot_download(name, allow_patterns=[WEIGHTS, CONFIG, FACTS, CARD], local_files_only=local_files_only)
        )
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise PretrainedError(
            f"{name}: no such folder, and it could not be had from the Hugging Face hub"
            f" ({type(error).__name__}); give a local path, check the name and the connection, or take weights that"
            f" ship with vidgan, {_accepted(name, cls.__name__)}"
        ) from None


# What follows reads the files of a model folder, which may come from a stranger: nothing is built, allocated or waited
# for because a file says so.

MAX_OBJECT_BYTES = 1_000_000  # of config.json and vidgan.json; real ones have a few thousand
MAX_HEADER_BYTES = 10_000_000  # of a safetensors file
MAX_ITEMS = 64  # of a list in config.json, such as one width per level
MAX_WORDS = 100_000  # of a vocabulary
_FLOATS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}  # name in safetensors -> bytes
_KINDS = {torch.float64, torch.float32, torch.float16, torch.bfloat16}


def _read_object(path: Path) -> dict[str, Any]:
    """The mapping in a small JSON file."""
    try:
        content = read_json(path, max_bytes=MAX_OBJECT_BYTES)
    except (UserError, OSError) as error:
        reason = f"{path}: {error.strerror}" if isinstance(error, OSError) else str(error)
        raise PretrainedError(f"{reason}; the model folder is damaged") from None
    if not isinstance(content, dict):
        raise PretrainedError(f"{path}: holds no mapping; the model folder is damaged")
    return content


def _read_header(path: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Name -> (dtype, shape) of the tensors of a safetensors file. The library checks their place in the file."""
    try:
        with open_regular(path) as file:
            size = int.from_bytes(file.read(8), "little")
            if size > MAX_HEADER_BYTES:
                raise PretrainedError(f"{path}: damaged: its header has {size} bytes (at most {MAX_HEADER_BYTES})")
            header = parse_json(file.read(size), path)
        return {
            name: (str(entry["dtype"]), tuple(int(side) for side in entry["shape"]))
            for name, entry in header.items()
            if name != "__metadata__"
        }
    except PretrainedError:
        raise
    except (UserError, OSError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise PretrainedError(f"{path}: damaged: no safetensors header ({error})") from None


def _check_sizes(path: Path, architecture: Mapping[str, Any]) -> None:
    """Raise PretrainedError for sizes and lists that no model has. (The config sections check their own keys.)"""
    for key, value in _lists_in(architecture):
        most = MAX_WORDS if key == "vocabulary" else MAX_ITEMS
        if len(value) > most:
            raise PretrainedError(f"{path}: {key} has {len(value)} items; accepted: at most {most}")
    number = architecture.get("num_categories", 0)
    if not is_count(0, LIMITS["channels"])(number):
        raise PretrainedError(f"{path}: num_categories is {shown(number)}; accepted: 0 to {LIMITS['channels']:.0f}")
    size = architecture.get("image_size", [1, 1])
    if not (isinstance(size, list) and len(size) == 2 and all(map(is_count(1, LIMITS["pixels"]), size))):
        raise PretrainedError(f"{path}: image_size is {shown(size)}; accepted: [height, width] in pixels")


def _lists_in(value: Any, key: str = "") -> Iterator[tuple[str, list[Any]]]:
    """All lists, with the keys that lead to them."""
    if isinstance(value, list):
        yield key, value
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in members:
        yield from _lists_in(member, f"{key}.{name}" if key else str(name))


def _has_own_parts(architecture: Any) -> bool:
    """Whether a part is not vidgan's: what its class builds cannot be checked without running it."""
    if isinstance(architecture, dict):
        kind = architecture.get("kind")
        is_own = isinstance(kind, str) and (":" in kind or kind == OBJECT)
        return is_own or any(map(_has_own_parts, architecture.values()))
    return False


def _check_weights(
    folder: Path,
    cls: type[Pretrained],
    architecture: dict[str, Any],
    header: Mapping[str, tuple[str, tuple[int, ...]]],
) -> None:
    """Compare config.json and the header of the weights, before memory is taken for a network of that size."""
    with torch.device("meta"):  # shapes without memory
        model: Any = cls.from_architecture(architecture)
    if unknown := sorted(architecture.keys() - model.architecture.keys()):
        raise PretrainedError(f"{folder / CONFIG}: unknown keys {', '.join(map(shown, unknown))}")
    expected: dict[str, torch.Tensor] = model.state_dict()
    for name, (dtype, shape) in header.items():
        where = f"{folder / WEIGHTS}: {shown(name)}"
        if name not in expected:
            raise PretrainedError(f"{where} is no tensor of this {cls.__name__}")
        if tuple(expected[name].shape) != shape:
            raise PretrainedError(f"{where} has the shape {shape}, but {CONFIG} asks for {tuple(expected[name].shape)}")
        if (expected[name].dtype in _KINDS) != (dtype in _FLOATS):
            raise PretrainedError(f"{where} has the type {shown(dtype)}; accepted: {expected[name].dtype}")


def _check_finite(path: Path, module: Any) -> None:
    """Raise PretrainedError for NaN and infinity, which would only show as black or broken frames."""
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise PretrainedError(f"{path}: {name} holds NaN or infinity; the weights are damaged")
