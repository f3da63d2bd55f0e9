"""The cache of fetched weights: one folder per network, checked before use.

A folder `NAME` holds `weights.safetensors`, `origin.json` (package, version, licence, hashes) and `LICENCE`. The
tensors must have the hash in the catalogue, so that a changed or half-copied file is refused.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from vidgan.errors import ConfigError, WeightsError
from vidgan.files import cache_folder
from vidgan.pretrained.catalogue import BY_NAME, Entry

WEIGHTS: Final = "weights.safetensors"
ORIGIN: Final = "origin.json"
LICENCE: Final = "LICENCE"

Network = TypeVar("Network", bound=nn.Module)


def weights_folder() -> Path:
    """Folder of the fetched weights, one folder each."""
    return cache_folder() / "weights"


def find_entry(name: str) -> Entry:
    """The catalogue's entry of this name.

    Raises:
        ConfigError: there is none.
    """
    if name not in BY_NAME:
        raise ConfigError(f"{name}: no weights of this name; `vidgan weights fetch` knows {', '.join(BY_NAME)}")
    return BY_NAME[name]


def fetched_path(name: str) -> Path | None:
    """The file of fetched weights; None if they were not fetched."""
    path = weights_folder() / name / WEIGHTS
    return path if path.is_file() else None


def require_fetched(name: str) -> Path:
    """The file of fetched weights.

    Raises:
        ConfigError: the catalogue has no such name. WeightsError: they were not fetched; the message says how.
    """
    entry = find_entry(name)
    path = fetched_path(name)
    if path is None:
        raise WeightsError(
            f"{weights_folder() / name / WEIGHTS}: the weights {name} were not fetched; run `{fetch_command(entry)}`"
        )
    return path


def fetch_command(entry: Entry) -> str:
    """The command line that fetches an entry."""
    accept = f" --accept-licence {entry.licence}" if entry.acknowledge else ""
    return f"vidgan weights fetch {entry.name}{accept}"


def load_network(network: Network, name: str, path: Path | None = None) -> Network:
    """Load fetched weights strictly into a network, which is frozen and set to evaluation.

    Args:
        network: with the tensors of the entry `name`.
        name: of the catalogue.
        path: another place of the same weights; default: the cache.

    Raises:
        WeightsError: they were not fetched, or the file has other tensors than those of the catalogue.
    """
    path = path or require_fetched(name)
    tensors = read_tensors(path)
    if tensor_hash(tensors) != find_entry(name).tensors_sha256:
        raise WeightsError(
            f"{path}: these are not the weights {name} of the catalogue, or they were altered;"
            f" `{fetch_command(find_entry(name))}` replaces an altered file of the cache"
        )
    network.load_state_dict(tensors, strict=True)
    return network.eval().requires_grad_(False)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file.

    Raises:
        WeightsError: it is missing or damaged.
    """
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: not a readable safetensors file ({error})") from None


def tensor_hash(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, types, shapes and values, whatever their order: 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(repr((name, str(tensor.dtype), tuple(tensor.shape))).encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
