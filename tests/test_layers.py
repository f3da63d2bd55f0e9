"""Imports go downward only. The rule is read from the source, so that a breach shows without running anything."""

import ast
from pathlib import Path

import pytest

import vidgan

ROOT = Path(vidgan.__file__).parent
LAYER = {
    "types": 0, "pixels": 0, "seeding": 0,
    "video": 1, "nn": 1, "losses": 1,
    "data": 2, "models": 2, "evaluation": 2,
    "training": 3, "report": 3,
    "schema": 4, "config": 4, "checks": 4, "build": 4, "cli": 4, "verbs": 4, "__init__": 4, "__main__": 4,
}  # fmt: skip
MAY_IMPORT = {
    "data": {"video"},
    "models": {"nn"},
    "evaluation": set(),
    "training": {"losses"},
    "report": set(),
}
ONLY_IN = {"av": "video", "accelerate": "training", "cv2": "video", "huggingface_hub": "models"}
# `build` hands the accelerator to the training loop, `train` passes it on; `doctor` prints PyAV's codecs.
EXCEPTIONS = {("build", "accelerate"), ("verbs", "accelerate"), ("verbs", "av")}


def imports(path: Path) -> set[str]:
    """Dotted names that a file imports, relative ones resolved."""
    package = ["vidgan", *path.relative_to(ROOT).parts[:-1]]
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            names.add(".".join([*base, *([node.module] if node.module else [])]))
    return names


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_go_downward(path: Path) -> None:
    home = path.relative_to(ROOT).parts[0].removesuffix(".py")
    if home == "configs":
        return
    for name in imports(path):
        parts = name.split(".")
        if parts[0] in ONLY_IN and (home, parts[0]) not in EXCEPTIONS:
            assert home == ONLY_IN[parts[0]], f"{path} imports {name}, which only {ONLY_IN[parts[0]]} may"
        assert parts[0] not in ("pipelines", "tests", "tools"), f"{path} imports {name}"
        if parts[0] != "vidgan" or len(parts) == 1 or parts[1] == home:
            continue
        target = parts[1]
        assert LAYER[target] <= LAYER[home], f"{path} (layer {LAYER[home]}) imports {name} (layer {LAYER[target]})"
        if LAYER[home] < 4 and LAYER[target] > 0:
            assert target in MAY_IMPORT.get(home, set()), f"{path}: {home} may not import {target}"


def test_no_file_has_outgrown_its_room() -> None:
    long = {
        p.relative_to(ROOT).as_posix(): n for p in ROOT.rglob("*.py") if (n := len(p.read_text().splitlines())) > 320
    }
    assert not long
