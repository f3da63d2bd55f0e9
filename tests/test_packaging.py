"""pyproject.toml keeps to its own lists, and a source distribution holds what a wheel is built from."""

import importlib.util
import json
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_all_names_every_extra_that_a_command_uses() -> None:
    extras = PROJECT["optional-dependencies"]
    named = extras["all"][0].removeprefix("vidgan[").removesuffix("]").split(",")
    assert sorted(named) == sorted(set(extras) - {"all", "docs"})


def test_the_tested_versions_of_python_are_the_declared_ones() -> None:
    workflow = (ROOT / ".github" / "workflows" / "test.yml").read_text()
    declared = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if line.startswith("Programming Language")]
    versions = [version for version in declared if "." in version]
    assert f"python: {json.dumps(versions)}" in workflow
    assert PROJECT["requires-python"] == f">={versions[0]}"


def test_the_licence_names_what_the_package_contains() -> None:
    assert PROJECT["license"] == "Apache-2.0 AND MIT"
    assert sorted(PROJECT["license-files"]) == ["LICENSE", "vidgan/report/vendor/uPlot-LICENSE.txt"]
    vendored = {path for path in (ROOT / "vidgan").rglob("vendor/*") if path.suffix == ".js"}
    assert {path.name.split(".")[0] for path in vendored} == {"uPlot"}
    # The frames of a film that the README shows have the licence's text beside them.
    text = (ROOT / "docs" / "images" / "LICENSE-cup.txt").read_text()
    assert (ROOT / "LICENSE").read_text().split("APPENDIX")[0].strip() in text


def test_a_wheel_from_the_source_distribution_equals_one_from_the_checkout(tmp_path: Path) -> None:
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("hatchling, which builds both, is not installed")

    def build(kind: str, source: Path, out: Path) -> Path:
        command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(out)]
        subprocess.run(command, cwd=source, check=True, capture_output=True)
        (made,) = out.iterdir()
        return made

    with tarfile.open(build("sdist", ROOT, tmp_path / "sdist")) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    direct = build("wheel", ROOT, tmp_path / "direct")
    through = build("wheel", unpacked, tmp_path / "through")
    assert direct.name.endswith("-py3-none-any.whl")  # nothing is compiled
    contents = []
    for wheel in (direct, through):
        with zipfile.ZipFile(wheel) as file:
            contents.append({entry.filename: entry.CRC for entry in file.infolist()})
    assert contents[0] == contents[1]
    assert any(name.endswith("configs/mocogan/videos.yaml") for name in contents[0])
    for name in PROJECT["license-files"]:
        assert any(entry.endswith(f".dist-info/licenses/{name}") for entry in contents[0])
