"""Saving and loading trained generators: safetensors, the constructor's arguments as JSON, and a generated card.

Built on huggingface_hub's mixin, which records the constructor's arguments; nothing is pickled. A folder holds
`model.safetensors`, `config.json` (arguments), `vidgan.json` (what the weights were trained on and for how long) and
`README.md` (the card).

Small trained weights ship inside the package, under names like the configs' (`mocogan/shapes`). Where the kind of model
is known, the last part is enough: `MoCoGAN.from_pretrained("shapes")`.
"""

import contextlib
import io
import json
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

from huggingface_hub import PyTorchModelHubMixin, hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from safetensors import SafetensorError

from vidgan.errors import PretrainedError

FACTS = "vidgan.json"
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


class Pretrained(PyTorchModelHubMixin):
    """Adds `save_pretrained`, `from_pretrained` and `push_to_hub` to a network.

    `facts` is a JSON dictionary that travels with the weights (data, steps, frames, category names).
    """

    facts: dict[str, Any]

    def _save_pretrained(self, save_directory: Path) -> None:
        super()._save_pretrained(save_directory)
        facts = {"class": type(self).__name__} | getattr(self, "facts", {})
        (save_directory / FACTS).write_text(json.dumps(facts, indent=2) + "\n")

    def generate_model_card(self, *args: Any, **kwargs: Any) -> Any:
        """The card's text, made from `facts`; a hand-written README.md in the folder is never replaced."""
        facts = getattr(self, "facts", {})
        size = sum(parameter.numel() for parameter in self.parameters())  # type: ignore[attr-defined]
        told = "\n".join(f"| {key} | {json.dumps(value)} |" for key, value in facts.items())
        name = type(self).__name__
        use = (
            "clips = model.sample(8, frames=32, seed=0)"
            if name == "MoCoGAN"
            else "future = model.predict(context, horizon=10)"
        )
        licence, trained_on = facts.get("licence"), facts.get(TRAINED_ON)
        terms = (
            f"Licence of the weights: {licence}." if licence else "The licence of the weights follows that of the data."
        )
        scope = (
            f"Trained only on {trained_on}" if trained_on else "Intended for research on video like the training data"
        )
        return _Card(
            f"---\nlibrary_name: vidgan\ntags: [video, gan, {name.lower()}]\n---\n\n# {facts.get('name', name)}\n\n"
            f"Weights of a {name} ({size:,} parameters) trained with vidgan: the moving average of the generator.\n\n"
            f"```python\nfrom vidgan import {name}\n\n"
            f'model = {name}.from_pretrained("{facts.get("name", "FOLDER")}")\n{use}\n```\n\n'
            f"| fact | value |\n|---|---|\n{told}\n\n{scope}. {terms} Results outside that domain were not measured.\n"
        )

    @classmethod
    def from_pretrained(cls, path: str | Path, **kwargs: Any) -> Self:  # type: ignore[override]
        """Load trained weights.

        Args:
            path: a model folder or a training run (its newest saved model); as a str also the name of weights that come
                with vidgan ("shapes", "mocogan/shapes"), or `owner/name` on the Hugging Face hub. A run or model folder
                of that name comes before shipped weights, and these before the hub, which is not asked where a folder
                `owner` lies here.

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
                f"{path}: no such folder, and it could not be had from the Hugging Face hub"
                f" ({type(error).__name__}); give a local path, check the name and the connection, or take weights that"
                f" come with vidgan, {_accepted(name, cls.__name__)}"
            ) from None
        except (SafetensorError, RuntimeError, TypeError, ValueError, AttributeError) as error:
            raise PretrainedError(f"{path}: the model is damaged or of another version: {error}") from None
        model.facts = {key: value for key, value in facts.items() if key != "class"}
        model.eval()  # type: ignore[attr-defined]
        return model

    @classmethod
    def _load_as_pickle(cls, *args: Any, **kwargs: Any) -> Any:
        """What the mixin falls back on where a name on the hub has no safetensors file."""
        raise ValueError("it holds no model.safetensors, and pickled weights are not read")


class _Card(str):
    """What the mixin saves as README.md: a text that can write itself."""

    def save(self, filepath: Path | str) -> None:
        """Write the card."""
        Path(filepath).write_text(self)
