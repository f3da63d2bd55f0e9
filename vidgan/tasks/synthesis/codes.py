"""The codes of one clip of a MoCoGAN: what inversion finds, what edits change, and the file that holds them."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from vidgan.errors import DataError
from vidgan.files import write_bytes
from vidgan.pixels import to_byte
from vidgan.tasks.inference import device_of, evaluating
from vidgan.tasks.synthesis.layers import Layers
from vidgan.types import ByteClip, Latents

__all__ = [
    "Codes",
    "MotionKind",
    "as_path",
    "layers_of",
    "load_codes",
    "model_hash",
    "path_of",
    "render_codes",
    "save_codes",
]

MotionKind = Literal["inputs", "path"]

FORMAT = "vidgan codes 1"  # key of the metadata
MAX_BYTES = 1_000_000_000  # of a codes file
MAX_CLIPS = 100_000
MAX_VALUE = 1e6  # of a number in a code; real ones are below 100


@dataclass(frozen=True)
class Codes:
    """The codes of one clip.

    Attributes:
        content: (dim_content,) float32, z_C.
        motion: float32. For `kind` "inputs" (warm_up + T + 1, dim_motion), the initial state and inputs of the motion
            network, which can be continued; for "path" (T, dim_motion), the motion code of each frame.
        kind: what `motion` holds.
        category: number of the category; 0 for a model without.
        model: `model_hash` of the model that they belong to.
        fine_content: (dim_content,), the content of the levels from `fine_from` on; None for the same everywhere.
        fine_from: level of the frame generator, 0 for the coarsest.
    """

    content: Tensor
    motion: Tensor
    kind: MotionKind
    category: int
    model: str
    fine_content: Tensor | None = None
    fine_from: int = 0

    @classmethod
    def from_latents(cls, latents: Latents, row: int, model: Any) -> "Codes":
        """The codes of one clip of `MoCoGAN.latents`."""
        return cls(
            latents.content[row].clone(),
            latents.motion[row].clone(),
            "inputs",
            int(latents.category[row]),
            model_hash(model),
        )


def model_hash(model: Any) -> str:
    """32 hexadecimal digits that change with any weight and with the architecture of a model."""
    digest = hashlib.blake2b(json.dumps(model.architecture, sort_keys=True).encode(), digest_size=16)
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def path_of(model: Any, codes: Codes) -> Tensor:
    """The motion code of each frame, (T, dim_motion) on the CPU."""
    if codes.kind == "path":
        return codes.motion
    with evaluating(model):
        device = device_of(model)
        category = torch.tensor([codes.category], device=device)
        path: Tensor = model.path(codes.motion[None].to(device), category)[0]
    return path.cpu()


def as_path(model: Any, codes: Codes) -> Codes:
    """The same clip with its motion as a path."""
    return replace(codes, motion=path_of(model, codes), kind="path")


def render_codes(model: Any, codes: Codes) -> ByteClip:
    """The clip of codes, (T, 3, H, W) uint8 on the CPU.

    The same codes give the same bytes on one machine with one number of threads.

    Raises:
        ValueError: the codes mix contents, which the model's frame generator cannot.
    """
    return to_byte(_draw(model, codes)[0]).cpu()


def layers_of(model: Any, codes: Codes) -> Layers:
    """The layers of a clip of a layered model, a batch of one, float32 on the CPU.

    Raises:
        ValueError: the model draws whole frames, or as `render_codes`.
    """
    return Layers(*(part.cpu() for part in _draw(model, codes, as_layers=True)))


def _draw(model: Any, codes: Codes, *, as_layers: bool = False) -> Any:
    """What the model draws from the codes of one clip, a batch of one on its device."""
    path = path_of(model, codes)
    device = device_of(model)
    with evaluating(model):
        fine = None if codes.fine_content is None else codes.fine_content[None].to(device)
        return model.draw(
            codes.content[None].to(device),
            path[None].to(device),
            torch.tensor([codes.category], device=device),
            fine_content=fine,
            fine_from=codes.fine_from,
            as_layers=as_layers,
        )


def save_codes(path: Path, codes: Mapping[str, Codes]) -> None:
    """Write the codes of clips of one model, by name, as a safetensors file, atomically.

    Raises:
        ValueError: no codes, or codes of several models.
    """
    models = {one.model for one in codes.values()}
    if len(models) != 1:
        raise ValueError(f"{path}: a codes file holds clips of one model, got {len(models)}")
    tensors: dict[str, Tensor] = {}
    entries = []
    for number, (name, one) in enumerate(codes.items()):
        tensors[f"{number}.content"] = one.content.clone()
        tensors[f"{number}.motion"] = one.motion.clone()
        if one.fine_content is not None:
            tensors[f"{number}.fine_content"] = one.fine_content.clone()
        entries.append({"name": name, "kind": one.kind, "category": one.category, "fine_from": one.fine_from})
    facts = {"model": models.pop(), "clips": entries}
    write_bytes(path, save(tensors, metadata={FORMAT: json.dumps(facts)}))  # one entry: the library keeps no order


def load_codes(path: Path, model: Any) -> dict[str, Codes]:
    """Read codes that belong to `model`, by the names of their clips.

    Raises:
        DataError: no codes file, a damaged one, or codes of another model.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; accepted: a codes file that `vidgan invert` wrote")
    if path.stat().st_size > MAX_BYTES:
        raise DataError(f"{path}: larger than {MAX_BYTES} bytes, the most that is accepted")
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            if FORMAT not in metadata:
                raise DataError(f"{path}: is no codes file ({FORMAT}); accepted: a file that `vidgan invert` wrote")
            facts = json.loads(metadata[FORMAT])
            entries = facts["clips"]
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118, it has no __iter__
        if len(entries) > MAX_CLIPS:
            raise DataError(f"{path}: holds {len(entries)} clips; accepted: at most {MAX_CLIPS}")
        loaded = {
            str(entry["name"]): Codes(
                tensors[f"{number}.content"],
                tensors[f"{number}.motion"],
                entry["kind"],
                int(entry["category"]),
                facts["model"],
                tensors.get(f"{number}.fine_content"),
                int(entry["fine_from"]),
            )
            for number, entry in enumerate(entries)
        }
    except DataError:
        raise
    except (SafetensorError, OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise DataError(f"{path}: damaged, no codes can be read ({' '.join(str(error).split())})") from None
    expected = model_hash(model)
    if any(codes.model != expected for codes in loaded.values()):
        raise DataError(
            f"{path}: these codes belong to another model ({str(facts['model'])[:8]}..., not {expected[:8]}...); use"
            " the run that they were made with, or invert the clips again"
        )
    for name, codes in loaded.items():
        _check(path, name, codes, model)
    if not loaded:
        raise DataError(f"{path}: holds no clips")
    return loaded


def _check(path: Path, name: str, codes: Codes, model: Any) -> None:
    """Raise DataError unless the codes fit the model."""
    warm_up = model.warm_up + 1 if codes.kind == "inputs" else 0
    fits = (
        codes.kind in ("inputs", "path")
        and codes.content.shape == (model.dim_content,)
        and codes.motion.ndim == 2
        and codes.motion.shape[1] == model.dim_motion
        and codes.motion.shape[0] > warm_up
        and 0 <= codes.category < max(1, model.num_categories)
        and (codes.fine_content is None or codes.fine_content.shape == (model.dim_content,))
        and all(
            part.dtype == torch.float32 and bool((part.abs() <= MAX_VALUE).all())
            for part in (codes.content, codes.motion, codes.fine_content)
            if part is not None
        )
    )
    if not fits:
        raise DataError(f"{path}: the codes of {name!r} do not fit this model; the file is damaged")
