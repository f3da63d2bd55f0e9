"""Saving and loading trained generators: safetensors, the constructor's arguments as JSON, and a generated card.

Built on huggingface_hub's mixin, which records the constructor's arguments; nothing is pickled. A folder holds
`model.safetensors`, `config.json` (arguments), `vidgan.json` (what the weights were trained on and for how long) and
`README.md` (the card).
"""

import contextlib
import io
import json
from pathlib import Path
from typing import Any, Self

from huggingface_hub import PyTorchModelHubMixin, hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from safetensors import SafetensorError

FACTS = "vidgan.json"


class PretrainedError(ValueError):
    """A folder or name does not hold weights for this model; the message says what it holds."""


def model_folder(path: str | Path) -> Path:
    """The folder with the weights: `path` itself, or `path/model` for a training run.

    Raises:
        PretrainedError: there are none.
    """
    folder = Path(path)
    for candidate in (folder, folder / "model"):
        if (candidate / FACTS).is_file():
            return candidate
    if not folder.exists():
        raise PretrainedError(f"{path}: no such folder; give a training run or a folder written by save_pretrained")
    if (folder / "config.yaml").is_file():
        raise PretrainedError(f"{path}: this run has no saved model yet; it appears with the first checkpoint")
    raise PretrainedError(f"{path}: holds neither a training run nor a model (no {FACTS})")


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
        return _Card(
            f"---\nlibrary_name: vidgan\ntags: [video, gan, {name.lower()}]\n---\n\n# {name}\n\n"
            f"Weights of a {name} ({size:,} parameters) trained with vidgan: the moving average of the generator.\n\n"
            f"```python\nfrom vidgan import {name}\n\nmodel = {name}.from_pretrained(FOLDER)\n{use}\n```\n\n"
            f"| fact | value |\n|---|---|\n{told}\n\n"
            "Intended for research on video like the training data. The licence of the weights follows the terms of"
            " that data. Results outside its domain were not measured.\n"
        )

    @classmethod
    def from_pretrained(cls, path: str | Path, **kwargs: Any) -> Self:  # type: ignore[override]
        """Load a model folder, a training run (its newest saved model), or `owner/name` from the Hugging Face hub.

        Raises:
            PretrainedError: no such model, another model's weights, or damaged files.
        """
        name = str(path)
        if Path(path).exists() or name.count("/") != 1 or name.startswith((".", "/")):
            folder = model_folder(path)
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
                f" ({type(error).__name__}); give a local path, or check the name and the connection"
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
