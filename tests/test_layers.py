"""Imports go downward only, inside packages too. The rule is read from the source, so nothing has to run."""

import ast
from pathlib import Path

import pytest

import vidgan

ROOT = Path(vidgan.__file__).parent
LAYER = {
    "types": 0, "pixels": 0, "seeding": 0, "files": 0, "errors": 0, "sections": 0, "own_code": 0, "cores": 0,
    "seeds": 0, "memory": 0, "model_facts": 0, "tokens": 0,
    "video": 1, "nn": 1, "losses": 1, "metrics": 1, "pretrained": 1,
    "data": 2, "training": 2, "hub": 2,
    "tasks": 3,
    "config": 4, "build": 4, "precision": 4, "runs": 4, "evaluation": 4, "report": 4,
    "studio": 5, "exporting": 5, "commands": 5, "cli": 5, "__init__": 5, "__main__": 5,
}  # fmt: skip
# Layers 1 and 2: the packages of the same or a lower layer, above the ground floor, that each may import.
MAY_IMPORT = {
    "video": set(), "nn": set(), "losses": set(), "metrics": set(), "pretrained": set(),
    "data": {"video"}, "training": {"losses"}, "hub": set(),
}  # fmt: skip
ONLY_IN = {"av": {"video"}, "accelerate": {"training"}, "cv2": {"video"}, "huggingface_hub": {"hub"}}
TASK_FOLDERS = {path.name for path in (ROOT / "tasks").iterdir() if (path / "task.py").is_file()}
FILES = sorted(path for path in ROOT.rglob("*.py") if path.relative_to(ROOT).parts[0] != "configs")


def module_name(path: Path) -> str:
    """`vidgan/video/decode.py` -> `vidgan.video.decode`; a package's `__init__.py` has the package's name."""
    parts = ["vidgan", *path.relative_to(ROOT).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in FILES}


def imports(path: Path) -> set[str]:
    """Modules that a file imports, in functions as well; only blocks under TYPE_CHECKING are left out."""
    names: set[str] = set()
    pending: list[ast.AST] = [ast.parse(path.read_text())]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            pending += node.orelse
            continue
        pending += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import; write the full name"
            assert node.module is not None
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                names.add(whole if whole in MODULES else node.module)
    return names


def package(module: str) -> str:
    """The first part of a module's name below `vidgan`."""
    return [*module.split("."), "__init__"][1]


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_go_downward(module: str) -> None:
    home = package(module)
    for name in imports(MODULES[module]):
        top = name.split(".")[0]
        assert top not in ("pipelines", "tests", "tools"), f"{module} imports {name}"
        if top in ONLY_IN:
            assert home in ONLY_IN[top], f"{module} imports {name}, which only {', '.join(ONLY_IN[top])} may import"
        if top != "vidgan" or name == "vidgan" or package(name) == home:
            continue
        target = package(name)
        assert LAYER[target] <= LAYER[home], f"{module} (layer {LAYER[home]}) imports {name} (layer {LAYER[target]})"
        if home in MAY_IMPORT and LAYER[target] > 0:
            assert target in MAY_IMPORT[home], f"{module}: {home} may not import {target}"


def test_tasks_do_not_import_each_other() -> None:
    for module, path in MODULES.items():
        parts = module.split(".")
        if parts[1:2] == ["tasks"] and len(parts) > 2 and path.parent.name != "tasks":
            others = {name for name in imports(path) if name.startswith("vidgan.tasks.")}
            foreign = {n for n in others if n.split(".")[2] in TASK_FOLDERS - {parts[2]}}
            assert not foreign, f"{module} imports {foreign}"


def test_no_module_imports_itself_through_others() -> None:
    graph = {module: {n for n in imports(path) if n in MODULES and n != "vidgan"} for module, path in MODULES.items()}
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, "import cycle: " + " -> ".join([*trail[trail.index(module) :], module])
        if module not in done:
            for target in sorted(graph[module]):
                visit(target, (*trail, module))
            done.add(module)

    for module in graph:
        visit(module, ())
