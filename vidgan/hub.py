"""Saving and loading trained generators: safetensors, the architecture as JSON, and a generated card.

Nothing is pickled. A folder holds `model.safetensors`, `config.json` (the config section that the network is built
from, and the frame size), `vidgan.json` (what the weights were trained on and for how long) and `README.md` (the card).

Small trained weights ship inside the package, under names like the configs' (`mocogan/shapes`). Where the kind of model
is known, the last part is enough: `MoCoGAN.from_pretrained("shapes")`.
"""

import json
from collections.abc import Mapping
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any, ClassVar, Self

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from safetensors import SafetensorError
from safetensors.torch import load_model, save_model

from vidgan.errors import ConfigError, PretrainedError
from vidgan.files import temporary_folder
from vidgan.own_code import own_code

FACTS = "vidgan.json"
CONFIG = "config.json"
WEIGHTS = "model.safetensors"
CARD = "README.md"
TRAINED_ON = "trained_on"  # the fact that names the only kind of video that the weights have seen
SHIPPED = "weights"  # the package's folder of shipped weights, KIND/NAME below it


def model_folder(path: str | Path) -> Path:
    """The folder with the weights: `path` itself, or `path/model` for a training run.

    Raises:
        PretrainedError: there are none.
    """
    folder = Path(path)
    if (found := _weights_in(folder)) is not None:
        return found
    if not folder.exists():
        raise PretrainedError(
            f"{path}: no such folder; give a training run or a folder written by save_pretrained, or weights that come"
            f" with vidgan by name, --pretrained {', '.join(shipped_weights())}"
        )
    if (folder / "config.yaml").is_file():
        raise PretrainedError(f"{path}: this run has no saved model yet; it appears with the first checkpoint")
    raise PretrainedError(f"{path}: holds neither a training run nor a model (no {FACTS})")


def _weights_in(folder: Path) -> Path | None:
    """Where in a folder or run the weights lie; None where there are none."""
    return next((candidate for candidate in (folder, folder / "model") if (candidate / FACTS).is_file()), None)


def model_class_in(path: str | Path) -> str | None:
    """The class of the model in a run or model folder; None if `path` is no such folder."""
    folder = _weights_in(Path(path))
    return None if folder is None else str(read_facts(folder)["class"])


def read_facts(path: str | Path) -> dict[str, Any]:
    """What `vidgan.json` says of the weights: class, step, data, frames, categories, ..."""
    file = model_folder(path) / FACTS
    try:
        facts = json.loads(file.read_text())
    except ValueError as error:
        raise PretrainedError(f"{file}: not JSON ({error}); the model folder is damaged") from None
    if not isinstance(facts, dict) or "class" not in facts:
        raise PretrainedError(f"{file}: names no model class; the model folder is damaged")
    return facts


def shipped_weights() -> dict[str, Path]:
    """Name (`mocogan/shapes`) -> folder of the weights that come with the package."""
    root = Path(str(files("vidgan"))) / SHIPPED
    return {facts.parent.relative_to(root).as_posix(): facts.parent for facts in sorted(root.glob(f"*/*/{FACTS}"))}


def find_shipped(name: str, kind: str | None = None) -> Path | None:
    """The folder of shipped weights by full name, or by the last part of it.

    Args:
        kind: class of the model, such as "MoCoGAN"; None: any.

    Returns:
        None where no weights of that name and kind ship.

    Raises:
        PretrainedError: the last part alone means several.
    """
    shipped = shipped_weights()
    if name in shipped:
        return shipped[name]
    alike = [full for full in shipped if full.rpartition("/")[2] == name]
    fitting = [full for full in alike if kind is None or read_facts(shipped[full])["class"] == kind]
    if len(fitting) > 1:
        raise PretrainedError(f"{name}: means {' or '.join(fitting)}; give the whole name")
    return shipped[fitting[0]] if fitting else None


def shipped_folder(name: str, kind: str | None = None) -> Path:
    """As `find_shipped`, where nothing else can be meant.

    Raises:
        PretrainedError: no weights of that name and kind ship; the message lists those that do.
    """
    folder = find_shipped(name, kind)
    if folder is None:
        raise PretrainedError(f"{name}: no weights of that name ship with vidgan; {_accepted(name, kind)}")
    return folder


def _accepted(name: str, kind: str | None) -> str:
    """The names of shipped weights of a kind, the nearest first."""
    names = [full for full, at in shipped_weights().items() if kind is None or read_facts(at)["class"] == kind]
    near = get_close_matches(name, [*names, *(full.rpartition("/")[2] for full in names)], n=1)
    return f"accepted: {', '.join(names)}" + (f" (did you mean {near[0]}?)" if near else "")


class Pretrained:
    """Adds `save_pretrained`, `from_pretrained` and `push_to_hub` to a network.

    Attributes:
        architecture: JSON from which `from_architecture` builds the network again; saved as `config.json`.
        facts: JSON facts that travel with the weights (data, steps, frames, category names).
        usage: a line of Python for the model card.
    """

    architecture: dict[str, Any]
    facts: dict[str, Any]
    usage: ClassVar[str]

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
        facts = {"class": type(self).__name__} | getattr(self, "facts", {})
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
        facts = getattr(self, "facts", {})
        size = sum(parameter.numel() for parameter in self.parameters())  # type: ignore[attr-defined]
        rows = "\n".join(f"| {key} | {json.dumps(value)} |" for key, value in facts.items())
        name = type(self).__name__
        licence, trained_on = facts.get("licence"), facts.get(TRAINED_ON)
        terms = (
            f"Licence of the weights: {licence}." if licence else "The licence of the weights follows that of the data."
        )
        scope = (
            f"Trained only on {trained_on}" if trained_on else "Intended for research on video like the training data"
        )
        return (
            f"---\nlibrary_name: vidgan\ntags: [video, gan, {name.lower()}]\n---\n\n# {facts.get('name', name)}\n\n"
            f"Weights of a {name} ({size:,} parameters) trained with vidgan: the moving average of the generator.\n\n"
            f"```python\nfrom vidgan import {name}\n\n"
            f'model = {name}.from_pretrained("{facts.get("name", "FOLDER")}")\n{self.usage}\n```\n\n'
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
            architecture = json.loads((folder / CONFIG).read_text())
            with own_code(allowed=allow_own_code, objects=networks):
                model = cls.from_architecture(architecture)
            module: Any = model
            load_model(module, str(folder / WEIGHTS), strict=True)
        except ConfigError:
            raise
        except (SafetensorError, OSError, RuntimeError, TypeError, ValueError, AttributeError, LookupError) as error:
            raise PretrainedError(f"{path}: the model is damaged or of another version: {error}") from None
        model.facts = {key: value for key, value in facts.items() if key != "class"}
        module.eval()
        return model


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
