"""ONNX Runtime for browsers, which a page embeds: one pinned npm package, checked and kept in the cache."""

from pathlib import Path
from typing import Final

from vidgan.files import cache_folder, write_bytes
from vidgan.pretrained.catalogue import Entry
from vidgan.pretrained.fetching import Download, extract, fetch_archive

__all__ = ["RUNTIME", "SCRIPT", "WASM", "is_fetched", "runtime_files", "runtime_folder"]

SCRIPT: Final = "ort.wasm.bundle.min.mjs"
WASM: Final = "ort-wasm-simd-threaded.wasm"
RUNTIME: Final = Entry(
    name="onnxruntime-web",
    purpose="runs exported models in a page (`vidgan export --to html`)",
    registry="npm",
    package="onnxruntime-web",
    version="1.30.0",
    archive="onnxruntime-web-1.30.0.tgz",
    archive_sha256="d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71",
    megabytes=33.1,
    member=f"package/dist/{WASM}",
    member_sha256="3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
    manifest=f"package/dist/{SCRIPT}",
    manifest_sha256="11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    tensors_sha256="",
    licence="MIT",
    licence_member="package/README.md",
    origin="Microsoft's ONNX Runtime, compiled to WebAssembly",
)


_MEMBERS: Final = {
    WASM: (RUNTIME.member, RUNTIME.member_sha256),
    SCRIPT: (f"package/dist/{SCRIPT}", RUNTIME.manifest_sha256),
}


def runtime_folder() -> Path:
    """Where the runtime is kept in the cache."""
    return cache_folder() / "runtimes" / f"{RUNTIME.package}-{RUNTIME.version}"


def is_fetched() -> bool:
    """Whether the cache holds the runtime."""
    return all((runtime_folder() / name).is_file() for name in _MEMBERS)


def runtime_files(*, archive: Path | None = None, download: Download | None = None) -> dict[str, bytes]:
    """Script and WebAssembly of the runtime, by file name, from the cache or fetched with npm.

    Args:
        archive: the package's archive, or its folder, on a machine without a network.
        download: puts the archive into a folder; default: npm.

    Raises:
        WeightsError: the package cannot be had, or differs from the pinned one.
    """
    folder = runtime_folder()
    if not is_fetched():
        source = fetch_archive(RUNTIME, archive=archive, download=download)
        for name, (member, expected) in _MEMBERS.items():
            write_bytes(folder / name, extract(source, member, expected))
        if archive is None:
            source.unlink(missing_ok=True)
    return {name: (folder / name).read_bytes() for name in _MEMBERS}
