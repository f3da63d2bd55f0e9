"""Save and load trained generators: safetensors, the constructor's arguments as JSON, and a generated model card.

Built on huggingface_hub's mixin, which records the constructor's arguments; nothing is pickled. A folder holds
`model.safetensors`, `config.json` (arguments), `vidgan.json` (`ModelFacts`: training data, steps, frame rate, ...) and
`README.md` (the card).

Small trained weights ship inside the package, under names such as `mocogan/shapes`. The last part is enough where the
class is known: `MoCoGAN.from_pretrained("shapes")`.
"""

import contextlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, Self

from huggingface_hub import PyTorchModelHubMixin, hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from safetensors import SafetensorError

from vidgan.errors import PretrainedError

FACTS = "vidgan.json"
SHIPPED = "weights"  # folder of the package with the shipped weights, as KIND/NAME


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """How the weights of a model were trained: the content of `vidgan.json`.

    Attributes:
        run: name of the training run.
        step: training step of the weights.
        frames: frames of a training clip.
        stride: every `stride`-th stored frame was used. Ignored where `sampled_fps` is set.
        sampled_fps: frames per second at which training clips were sampled; None: by `stride`.
        fps, every, fit, resample: how `vidgan prepare` read the videos.
        batch_size: clips of a training batch.
        seed: of the training.
        fingerprint: of the training data.
        split: hash of the division into training and test clips.
        vidgan: version that trained the model.
        categories: names of the categories; None for a model without.
        context: frames that a forecaster was given; None for a model that does not forecast.
        name: of published weights.
        trained_on: the only kind of video in the training data.
        licence: of the weights.
        other: further entries, kept as they are.
    """

    run: str | None = None
    step: int | None = None
    frames: int = 16
    stride: int = 1
    sampled_fps: float | None = None
    fps: float | None = None
    every: int = 1
    fit: Literal["crop", "squash", "cover"] = "crop"
    resample: Literal["area", "bilinear", "bicubic", "lanczos"] = "area"
    batch_size: int | None = None
    seed: int = 0
    fingerprint: str | None = None
    split: str | None = None
    vidgan: str | None = None
    categories: tuple[str, ...] | None = None
    context: int | None = None
    name: str | None = None
    trained_on: str | None = None
    licence: str | None = None
    other: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "ModelFacts":
        """Read the content of `vidgan.json`, or the `facts` of a model. Missing entries take their defaults.

        Raises:
            PretrainedError: an entry is of the wrong type; the message names it.
        """
        values = {key: value for key, value in content.items() if key != "class"}
        data = values.pop("data", None)
        if data is not None:
            if not isinstance(data, Mapping):
                raise PretrainedError(f"{FACTS}: data is {data!r}, a mapping is expected; the model folder is damaged")
            values |= {"fingerprint": data.get("fingerprint"), "split": data.get("split")}
        known = cls.__dataclass_fields__.keys() - {"other"}
        for key in known & values.keys():
            if not _is_valid(key, values[key]):
                raise PretrainedError(f"{FACTS}: {key} is {values[key]!r}; the model folder is damaged")
        if values.get("categories") is not None:
            values["categories"] = tuple(str(name) for name in values["categories"])
        other = {key: value for key, value in values.items() if key not in known}
        return cls(**{key: value for key, value in values.items() if key in known}, other=other)

    def to_json(self) -> dict[str, Any]:
        """The content of `vidgan.json` without the class. Optional entries without a value are left out."""
        data = {"fingerprint": self.fingerprint, "split": self.split}
        content: dict[str, Any] = {}
        for key in _ORDER:
            value = (data if any(data.values()) else None) if key == "data" else getattr(self, key)
            if value is not None or key in _ALWAYS:
                content[key] = list(value) if isinstance(value, tuple) else value
        return content | dict(self.other)


_ORDER = (
    "run", "step", "frames", "stride", "sampled_fps", "fps", "every", "fit", "resample", "batch_size", "seed", "data",
    "vidgan", "categories", "context", "name", "trained_on", "licence",
)  # fmt: skip
_ALWAYS = {"frames", "stride", "sampled_fps", "fps", "every", "fit", "resample", "seed"}
_TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("frames", "stride", "every", "seed"), (int,)),
    **dict.fromkeys(("step", "batch_size", "context"), (int, type(None))),
    **dict.fromkeys(("sampled_fps", "fps"), (int, float, type(None))),
    **dict.fromkeys(("fit", "resample"), (str,)),
    "categories": (list, tuple, type(None)),
}  # everything else is text or absent


def _is_valid(key: str, value: object) -> bool:
    return isinstance(value, _TYPES.get(key, (str, type(None)))) and not isinstance(value, bool)


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


def read_facts(path: str | Path) -> dict[str, Any]:
    """The content of `vidgan.json`: class, step, data, frames, categories, ... (`ModelFacts.from_json` reads it).

    Raises:
        PretrainedError: there is no model, or the file is damaged.
    """
    file = model_folder(path) / FACTS
    try:
        facts = json.loads(file.read_text())
    except ValueError as error:
        raise PretrainedError(f"{file}: not JSON ({error}); the model folder is damaged") from None
    if not isinstance(facts, dict) or "class" not in facts:
        raise PretrainedError(f"{file}: names no model class; the model folder is damaged")
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


class Pretrained(PyTorchModelHubMixin):
    """Adds `save_pretrained`, `from_pretrained` and `push_to_hub` to a network.

    Attributes:
        facts: JSON dictionary saved with the weights (`ModelFacts.from_json` reads it).
    """

    facts: dict[str, Any]

    def _save_pretrained(self, save_directory: Path) -> None:
        super()._save_pretrained(save_directory)
        facts = {"class": type(self).__name__} | getattr(self, "facts", {})
        (save_directory / FACTS).write_text(json.dumps(facts, indent=2) + "\n")

    def generate_model_card(self, *args: Any, **kwargs: Any) -> Any:
        """The text of the model card, from `facts`. A hand-written README.md in the folder is never replaced."""
        content = getattr(self, "facts", {})
        facts = ModelFacts.from_json(content)
        size = sum(parameter.numel() for parameter in self.parameters())  # type: ignore[attr-defined]
        rows = "\n".join(f"| {key} | {json.dumps(value)} |" for key, value in content.items())
        name = type(self).__name__
        use = (
            "clips = model.sample(8, frames=32, seed=0)"
            if name == "MoCoGAN"
            else "future = model.predict(context, horizon=10)"
        )
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
        return _Card(
            f"---\nlibrary_name: vidgan\ntags: [video, gan, {name.lower()}]\n---\n\n# {facts.name or name}\n\n"
            f"Weights of a {name} ({size:,} parameters) trained with vidgan: the moving average of the generator.\n\n"
            f"```python\nfrom vidgan import {name}\n\n"
            f'model = {name}.from_pretrained("{facts.name or "FOLDER"}")\n{use}\n```\n\n'
            f"| fact | value |\n|---|---|\n{rows}\n\n{scope}. {terms} Results outside that domain were not measured.\n"
        )

    @classmethod
    def from_pretrained(cls, path: str | Path, **kwargs: Any) -> Self:  # type: ignore[override]
        """Load trained weights.

        Args:
            path: a model folder or a training run (its newest saved model). A str may also name shipped weights
                ("shapes", "mocogan/shapes") or a repository `owner/name` on the Hugging Face hub. A local run or model
                folder of that name takes precedence over shipped weights, and these over the hub. The hub is not
                queried if a local folder `owner` exists.

        Raises:
            PretrainedError: no such model, another model's weights, or damaged files.
        """
        name = str(path)
        shipped = find_shipped(path, cls.__name__) if isinstance(path, str) and not _weights_in(Path(path)) else None
        hub_like = isinstance(path, str) and name.count("/") == 1 and not name.startswith((".", "/"))
        on_hub = hub_like and not Path(path).parent.is_dir()
        if shipped is not None or not on_hub:
            folder = shipped or model_folder(path)
            facts = read_facts(folder)
            if facts["class"] != cls.__name__:
                raise PretrainedError(f"{folder}: holds a {facts['class']}, not a {cls.__name__}")
            name = str(folder)
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # the mixin prints what it loads
                model = super().from_pretrained(name, strict=True, **kwargs)
            if not Path(name).exists():
                facts = json.loads(Path(hf_hub_download(name, FACTS)).read_text())
        except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
            raise PretrainedError(
                f"{path}: no such folder, and the download from the Hugging Face hub failed"
                f" ({type(error).__name__}); give a local path, check the name and the connection, or use shipped"
                f" weights, {_accepted(name, cls.__name__)}"
            ) from None
        except (SafetensorError, RuntimeError, TypeError, ValueError, AttributeError) as error:
            raise PretrainedError(f"{path}: the model is damaged or of another version: {error}") from None
        model.facts = {key: value for key, value in facts.items() if key != "class"}
        model.eval()  # type: ignore[attr-defined]
        return model

    @classmethod
    def _load_as_pickle(cls, *args: Any, **kwargs: Any) -> Any:
        """The mixin's fallback for a hub repository without a safetensors file."""
        raise ValueError("it holds no model.safetensors, and pickled weights are not read")


class _Card(str):
    """A text with the `save` method that the mixin calls to write README.md."""

    def save(self, filepath: Path | str) -> None:
        """Write the card."""
        Path(filepath).write_text(self)
