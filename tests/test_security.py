"""Untrusted files (config, checkpoint, model folder, archive) run no code, and write and read only in their folder."""

import ast
import hashlib
import io
import json
import os
import pickle
import re
import struct
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import SMALL

import vidgan
from vidgan.config import load_config, parse_config
from vidgan.errors import ConfigError

ROOT = Path(vidgan.__file__).parent
PICKLING = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
RUNNING = {"eval", "exec", "os.system", "os.popen", "compile", "__import__"}


class Payload:
    """Unpickling it would create the file `marker`, which every test with a payload checks."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return (Path.touch, (self.marker,))


@pytest.fixture
def marker(tmp_path: Path) -> Iterator[Path]:
    """The file that a payload would create; it must never exist."""
    path = tmp_path / "code-ran"
    yield path
    assert not path.exists()


def dotted(node: ast.expr) -> str:
    """`a.b.c` of a name or attribute, `.b` of an attribute of anything else."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def keyword(call: ast.Call, name: str) -> Any:
    """The constant that a call passes for a keyword, None if it does not."""
    return next((getattr(k.value, "value", None) for k in call.keywords if k.arg == name), None)


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_source_unpickles_and_evaluates_nothing(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            assert not PICKLING & {alias.name.split(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert (node.module or "").split(".")[0] not in PICKLING
        if not isinstance(node, ast.Call):
            continue
        name, where = dotted(node.func), f"{path}:{node.lineno}"
        assert name not in RUNNING, f"{where}: {name}"
        assert keyword(node, "shell") is not True, f"{where}: shell=True"
        assert keyword(node, "allow_pickle") is not True, f"{where}: allow_pickle=True"
        assert not name.endswith((".extractall", ".extract")), f"{where}: read members by name instead"
        if name in ("torch.load", "load_state_dict_from_url", "torch.hub.load_state_dict_from_url"):
            assert keyword(node, "weights_only") is True, f"{where}: {name} without weights_only=True"
        if name == "torch.jit.load":  # only for files that a user names by path, documented to run their code
            assert path.relative_to(ROOT).as_posix() == "metrics/weights.py", where
        if name in ("np.load", "numpy.load"):
            assert keyword(node, "allow_pickle") is False, f"{where}: np.load without allow_pickle=False"
        if name.split(".")[0] == "yaml":
            assert name in ("yaml.scan", "yaml.safe_load"), f"{where}: {name}"


def config_text(**changes: Any) -> str:
    values = SMALL["mocogan"] | {"train": {"steps": 1, "batch_size": 1}, "data": {"root": "x"}} | changes
    return json.dumps(values)  # JSON is YAML


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("name: !!python/object/apply:pathlib.Path.touch ['{marker}']", "not valid YAML"),
        ("name: !!python/object/new:pathlib.Path ['{marker}']", "not valid YAML"),
        ("name: !!python/name:os.system", "not valid YAML"),
        ("name: &a x\nout: *a", "aliases"),
        ("a: " + "[" * 20_000, "nested more than 20 deep"),
    ],
)
def test_yaml_builds_no_objects(tmp_path: Path, marker: Path, line: str, message: str) -> None:
    path = tmp_path / "evil.yaml"
    path.write_text(line.replace("{marker}", str(marker)))
    with pytest.raises(ConfigError, match=message):
        load_config(path)


def test_yaml_cannot_explode(tmp_path: Path) -> None:
    """Nine levels of nine aliases would expand to 387 million values."""
    lines = ["a: &a [x,x,x,x,x,x,x,x,x]"]
    lines += [f"{b}: &{b} [{','.join(['*' + a] * 9)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)]
    path = tmp_path / "bomb.yaml"
    path.write_text("\n".join(lines))
    with pytest.raises(ConfigError, match="aliases"):
        load_config(path)
    path.write_text("#" * 1_000_001)
    with pytest.raises(ConfigError, match="larger than 1000000 bytes"):
        load_config(path)


def test_a_config_cannot_read_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDGAN_CANARY", "a-secret")
    path = tmp_path / "config.yaml"
    path.write_text(config_text(out="${oc.env:VIDGAN_CANARY}"))
    with pytest.raises(ConfigError, match=r"out: interpolation") as raised:
        load_config(path)
    assert "a-secret" not in str(raised.value)
    path.write_text(config_text())
    with pytest.raises(ConfigError, match=r"model.name: interpolation"):
        load_config(path, ["model.name=${oc.decode:${oc.env:VIDGAN_CANARY}}"])


@pytest.mark.parametrize("name", ["../../x", "/tmp/x", "a/b", "..", ".hidden", "a\x00b", "a\nb", "-rf", ""])
def test_a_run_stays_in_its_output_folder(name: str) -> None:
    values = json.loads(config_text()) | {"name": name}
    with pytest.raises(ConfigError, match="name: "):
        parse_config(values, "test")


def checkpoint(folder: Path, files: dict[str, bytes], manifest_extra: dict[str, Any] | None = None) -> Path:
    """A forged checkpoint: any files, with a manifest whose digests are correct."""
    from vidgan.training.manifest import FORMAT_VERSION, _checksum

    path = folder / "step-00000001"
    path.mkdir(parents=True)
    listed: dict[str, Any] = {}
    for name, payload in files.items():
        if "/" not in name:
            (path / name).write_bytes(payload)
        listed[name] = {"sha256": hashlib.sha256(payload).hexdigest(), "bytes": len(payload)}
    body: dict[str, Any] = {"format_version": FORMAT_VERSION, "step": 1, "files": listed, "versions": {}}
    body |= manifest_extra or {}
    body["checksum"] = _checksum(body)
    (path / "manifest.json").write_text(json.dumps(body))
    return path


@pytest.mark.parametrize("file", ["generator.safetensors", "optimizer-generator.safetensors", "generator.pkl"])
def test_a_pickle_in_a_checkpoint_is_not_read(tmp_path: Path, marker: Path, file: str) -> None:
    from vidgan.errors import CheckpointError
    from vidgan.training.checkpoint import load_latest

    buffer = io.BytesIO()
    torch.save(Payload(marker), buffer)
    for payload in (pickle.dumps(Payload(marker)), buffer.getvalue()):
        folder = tmp_path / hashlib.sha256(payload).hexdigest()
        checkpoint(folder, {"state.json": b"{}", file: payload})
        with pytest.raises(CheckpointError, match=str(tmp_path)):
            load_latest(folder)


@pytest.mark.parametrize("name", ["../secret", "../../secret", "/etc/hostname", "sub/../../secret"])
def test_a_manifest_cannot_name_files_outside_its_folder(tmp_path: Path, name: str) -> None:
    """Even with a correct digest, with which an attacker could test for the content of a file."""
    from vidgan.errors import CheckpointError
    from vidgan.training.checkpoint import load_checkpoint

    (tmp_path / "secret").write_bytes(b"{}")
    (tmp_path / "checkpoints").mkdir()
    path = checkpoint(tmp_path / "checkpoints", {"state.json": b"{}", name: b"{}"})
    with pytest.raises(CheckpointError, match=re.escape(name)):
        load_checkpoint(path)


def huge_header() -> bytes:
    """A safetensors file whose header claims the size of the address space."""
    return struct.pack("<Q", 2**62) + b"{}"


def false_header() -> bytes:
    """A safetensors file whose only tensor claims a terabyte."""
    entry = {"w": {"dtype": "F32", "shape": [1 << 38], "data_offsets": [0, 1 << 40]}}
    text = json.dumps(entry).encode()
    return struct.pack("<Q", len(text)) + text


@pytest.mark.parametrize("payload", [huge_header(), false_header(), b"", b"\x80\x04."])
def test_sizes_in_a_header_are_not_trusted(tmp_path: Path, payload: bytes) -> None:
    from vidgan.errors import CheckpointError, PretrainedError
    from vidgan.tasks.synthesis.mocogan import MoCoGAN
    from vidgan.training.checkpoint import load_checkpoint

    path = checkpoint(tmp_path, {"state.json": b"{}", "generator.safetensors": payload})
    with pytest.raises(CheckpointError):
        load_checkpoint(path)
    folder = model_folder(tmp_path / "model")
    (folder / "model.safetensors").write_bytes(payload)
    with pytest.raises(PretrainedError, match="model.safetensors"):
        MoCoGAN.from_pretrained(folder)


def model_folder(folder: Path) -> Path:
    from vidgan.tasks.synthesis.config import MoCoGANConfig
    from vidgan.tasks.synthesis.mocogan import build_mocogan

    config = MoCoGANConfig.model_validate({"dim_content": 4, "dim_motion": 4, "frame": {"width": 4, "max_width": 8}})
    model = build_mocogan(config, image_size=(32, 32), num_categories=0)
    model.facts = {"frames": 8, "data": {"fingerprint": "f", "split": "s"}, "fps": 12.5}
    model.save_pretrained(folder)
    return folder


def changed(path: Path, key: str, value: Any) -> None:
    """Set `a.b` in a JSON file."""
    content = json.loads(path.read_text())
    *sections, last = key.split(".")
    section = content
    for name in sections:
        section = section[name]
    section[last] = value
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("image_size", "a"), ("image_size", [32]), ("image_size", [1 << 40, 32]), ("image_size", [32, 32.5]),
        ("image_size", [64, 64]), ("num_categories", 10**9), ("num_categories", "x"), ("num_categories", -1),
        ("model.frame.width", 10**9), ("model.frame.width", 16_384), ("model.frame.width", "wide"),
        ("model.dim_content", 10**6), ("model.frame.kind", "unknown"), ("model.frame", None), ("model", [0] * 1000),
        ("model", None), ("surprise", 1), ("model.surprise", 1), ("model.motion.input_scale", "NaN"),
    ],
)  # fmt: skip
def test_an_architecture_that_is_not_that_of_the_weights_is_refused_before_it_is_built(
    tmp_path: Path, key: str, value: Any
) -> None:
    from vidgan.errors import PretrainedError
    from vidgan.tasks.synthesis.mocogan import MoCoGAN

    folder = model_folder(tmp_path / "model")
    MoCoGAN.from_pretrained(folder)
    changed(folder / "config.json", key, value)
    with pytest.raises(PretrainedError, match=re.escape(str(tmp_path))):
        MoCoGAN.from_pretrained(folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("frames", 10**9), ("frames", "x"), ("frames", 0), ("frames", True), ("frames", None), ("fps", 1e308),
        ("fps", 0), ("stride", 2.5), ("seed", -1), ("step", "1"), ("fit", "stretch"), ("categories", "abc"),
        ("categories", [1]), ("context", -3), ("data", 5), ("data", {"fingerprint": 1}), ("name", ["a"]), ("class", 1),
        ("class", "DualMotionGAN"), ("sampled_fps", [1]),
    ],
)  # fmt: skip
def test_facts_that_no_training_writes_are_refused(tmp_path: Path, key: str, value: Any) -> None:
    from vidgan.errors import PretrainedError
    from vidgan.tasks.synthesis.mocogan import MoCoGAN

    folder = model_folder(tmp_path / "model")
    changed(folder / "vidgan.json", key, value)
    with pytest.raises(PretrainedError, match=re.escape(str(tmp_path))):
        MoCoGAN.from_pretrained(folder)


def test_weights_that_cannot_be_those_of_a_model_are_refused(tmp_path: Path) -> None:
    """NaN, infinity, integers and tensors of another name or shape."""
    from safetensors.torch import load_file, save_file

    from vidgan.errors import PretrainedError
    from vidgan.tasks.synthesis.mocogan import MoCoGAN

    folder = model_folder(tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    name = next(key for key, value in weights.items() if value.ndim > 1)
    for changes in (
        {name: torch.full_like(weights[name], float("nan"))},
        {name: torch.full_like(weights[name], float("-inf"))},
        {name: weights[name].to(torch.int8)},
        {name: weights[name][:1].clone()},
        {"surprise": torch.zeros(1)},
    ):
        save_file(weights | changes, folder / "model.safetensors")
        with pytest.raises(PretrainedError, match=re.escape(next(iter(changes)))):
            MoCoGAN.from_pretrained(folder)
    halves = {key: value.half() if value.is_floating_point() else value for key, value in weights.items()}
    save_file(halves, folder / "model.safetensors")
    MoCoGAN.from_pretrained(folder)  # half precision is no damage


@pytest.mark.parametrize("name", ["config.json", "vidgan.json", "model.safetensors"])
@pytest.mark.parametrize("kind", ["pipe", "/dev/zero", "deep", "folder", "large", "empty"])
def test_a_file_of_a_model_folder_that_is_no_ordinary_file_is_refused(tmp_path: Path, name: str, kind: str) -> None:
    """Reading a pipe would wait, and a device has no end."""
    from vidgan.errors import PretrainedError
    from vidgan.tasks.synthesis.mocogan import MoCoGAN

    path = model_folder(tmp_path / "model") / name
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "/dev/zero":
        path.symlink_to(kind)
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_text({"deep": "[" * 100_000, "large": " " * 1_000_001, "empty": ""}[kind])
    with pytest.raises(PretrainedError, match=re.escape(str(tmp_path))):
        MoCoGAN.from_pretrained(path.parent)


def test_pickled_weights_in_a_model_folder_are_not_read(tmp_path: Path, marker: Path) -> None:
    from vidgan.errors import PretrainedError
    from vidgan.tasks.synthesis.mocogan import MoCoGAN

    folder = model_folder(tmp_path / "model")
    (folder / "model.safetensors").unlink()
    torch.save(Payload(marker), folder / "pytorch_model.bin")
    with pytest.raises(PretrainedError):
        MoCoGAN.from_pretrained(folder)


@pytest.mark.parametrize("file", ["config.json", "vidgan.json"])
def test_the_json_files_of_a_model_folder_are_only_data(tmp_path: Path, file: str, marker: Path) -> None:
    """A class by path, unknown arguments and files without JSON are refused."""
    from vidgan.errors import PretrainedError
    from vidgan.tasks.synthesis.mocogan import MoCoGAN

    folder = model_folder(tmp_path / "model")
    for text in (
        json.dumps({"class": "os.system", "__class__": "os.system", "touch": str(marker)}),
        "!!python/object/apply:os.system ['true']",
        "[]",
    ):
        (folder / file).write_text(text)
        with pytest.raises(PretrainedError):
            MoCoGAN.from_pretrained(folder)


def test_archive_members_are_not_extracted(tmp_path: Path) -> None:
    """Names that lead outside, links and devices are quarantined; nothing is written outside the data set."""
    from PIL import Image

    from vidgan.data.preparing.prepare import prepare

    strip = io.BytesIO()
    Image.new("RGB", (32, 32 * 8), (200, 30, 30)).save(strip, "PNG")
    source, out = tmp_path / "source", tmp_path / "deep" / "out"
    source.mkdir()
    with tarfile.open(source / "clips.tar", "w") as archive:
        valid = [f"valid{number}.png" for number in range(5)]
        for name in (*valid, "../../evil.png", f"{tmp_path}/absolute.png"):
            member = tarfile.TarInfo(name)
            member.size = len(strip.getvalue())
            archive.addfile(member, io.BytesIO(strip.getvalue()))
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        archive.addfile(link)
        device = tarfile.TarInfo("device.png")
        device.type = tarfile.CHRTYPE
        archive.addfile(device)
    prepare(source / "clips.tar", out, size=(32, 32), layout="strips", holdout=0.0)
    outside = {p for p in tmp_path.rglob("*") if p.is_file() and out not in p.parents}
    assert outside == {source / "clips.tar"}
    quarantined = [json.loads(line) for line in (out / "quarantine.jsonl").read_text().splitlines()]
    assert len(quarantined) == 4
    assert len(json.loads((out / "index.json").read_text())["clips"]) == len(valid)


@pytest.mark.parametrize("category", ["<script>alert(1)</script>", "..", "a'\"b", "x\x00y", "-rf", "%2e%2e", "CON"])
def test_a_label_becomes_a_safe_file_name(category: str) -> None:
    from vidgan.files import clip_id

    name = clip_id(f"{category}/../../{category}")
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-")
    assert not name.startswith("-") and len(name) < 80


def test_an_index_cannot_name_files_outside_its_folder(tmp_path: Path, shapes_data: Path) -> None:
    from vidgan.data.store.index import load_index
    from vidgan.errors import DataError

    content = json.loads((shapes_data / "index.json").read_text())
    for name in ("../../etc/passwd", "/etc/passwd", "..", "a/b", "a\x00"):
        content["clips"][0]["id"] = name
        (tmp_path / "index.json").write_text(json.dumps(content))
        with pytest.raises(DataError, match=str(tmp_path)):
            load_index(tmp_path)


def test_names_are_escaped_in_a_report() -> None:
    from vidgan.report import KeyValues, Section, Table, Text, Warnings, render_page

    evil = "<script>alert(1)</script>\"'&"
    page = render_page(
        title=evil,
        sections=[
            Section(
                evil,
                [
                    Text(evil),
                    KeyValues({evil: evil}),
                    Table([evil], [[evil]], caption=evil),
                    Warnings([type("Fault", (), {"name": evil, "step": 1, "message": evil})()]),
                ],
            )
        ],
        subtitle=evil,
    )
    assert "<script>alert" not in page and page.count("&lt;script&gt;alert") >= 6


def test_a_category_name_is_escaped_in_the_report_of_a_run(tmp_path: Path) -> None:
    """The config, the journal and the scores."""
    from vidgan.report import run_sections
    from vidgan.report.page import render_page

    evil = "<script>alert(1)</script>"
    records = [{"step": step, f"loss/generator/{evil}": 1.0, f"accuracy/{evil}/real": 0.1} for step in (1, 2)]
    (tmp_path / "journal.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    (tmp_path / "config.yaml").write_text(f"name: '{evil}'\n")
    (tmp_path / "scores").mkdir()
    (tmp_path / "scores" / "test.json").write_text(json.dumps({"kind": evil, "categories": [evil]}))
    page = render_page(title=evil, sections=run_sections(tmp_path))
    assert "<script>alert" not in page and "&lt;script&gt;" in page


def test_a_run_stores_nothing_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens in the environment appear in no file of a run."""
    from vidgan.config import dump_config

    monkeypatch.setenv("HF_TOKEN", "hf_canary")
    monkeypatch.setenv("WANDB_API_KEY", "wandb_canary")
    config = parse_config(json.loads(config_text()), "test")
    folder = model_folder(tmp_path / "model")
    written = dump_config(config) + "".join(p.read_bytes().decode("latin-1") for p in folder.iterdir())
    assert "canary" not in written and os.environ["HF_TOKEN"] == "hf_canary"
