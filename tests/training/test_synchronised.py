"""Synchronisation of processes: networks learn through their prepared module, and every rank joins each collective."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_turns import build
from torch import nn

import vidgan

ROOT = Path(vidgan.__file__).parent
COLLECTIVE = {
    "gather", "reduce", "broadcast", "barrier", "all_reduce", "all_gather", "wait_for_everyone", "backward",
    "prepare_model", "max_over_ranks", "mean_over_ranks", "wait_for_all", "require_equal_weights", "save", "roll_back",
    "turn", "run_loop",
}  # fmt: skip
RANK_NAMES = ("is_main", "is_main_process", "is_local_main_process", "recorder", "process_index", "rank")


class Prepared(nn.Module):
    """Stands for the wrapper that averages gradients; counts nested calls."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module, self.inside = module, 0

    def forward(self, *arguments: Any, **options: Any) -> Any:
        self.inside += 1
        try:
            return self.module(*arguments, **options)
        finally:
            self.inside -= 1


@pytest.mark.parametrize("penalty", ["r1", "gradient_penalty"])
@pytest.mark.parametrize("model", ["mocogan", "dual_motion"])
def test_learning_network_is_called_through_its_prepared_module(
    model: str, penalty: str, shapes_data: Path, tmp_path: Path
) -> None:
    """Otherwise its gradients would not be averaged, and the processes would diverge without an error."""
    algorithm, step = build(model, shapes_data, tmp_path, objective__penalty={"kind": penalty, "weight": 1.0})
    called: set[str] = set()
    for name, module in algorithm.trainees.raw.items():
        wrapper = Prepared(module)
        algorithm.trainees.prepared[name] = wrapper

        def check(module: nn.Module, *_: Any, name: str = name, wrapper: Prepared = wrapper) -> None:
            if next(module.parameters()).requires_grad:
                assert wrapper.inside == 1, f"{name} learns without its prepared module"
                called.add(name)

        module.register_forward_pre_hook(check)
    step(0)
    assert called == set(algorithm.trainees.raw)


def rank_branches(tree: ast.AST) -> Iterator[list[ast.stmt]]:
    """Yield statements that only some ranks execute: under `if is_main:`, or after `if not is_main: return`."""
    for node in ast.walk(tree):
        for body in (getattr(node, "body", None), getattr(node, "orelse", None)):
            if not isinstance(body, list):
                continue
            for index, statement in enumerate(body):
                if isinstance(statement, ast.If) and depends_on_rank(statement.test):
                    yield statement.body
                    yield statement.orelse
                    if isinstance(statement.body[-1], ast.Return | ast.Raise):
                        yield body[index + 1 :]


def depends_on_rank(test: ast.expr) -> bool:
    names = {n.id for n in ast.walk(test) if isinstance(n, ast.Name)}
    names |= {n.attr for n in ast.walk(test) if isinstance(n, ast.Attribute)}
    return bool(names & set(RANK_NAMES))


def collectives(statements: list[ast.stmt]) -> list[str]:
    calls = [n for s in statements for n in ast.walk(s) if isinstance(n, ast.Call)]
    named = [(c.func.attr if isinstance(c.func, ast.Attribute) else getattr(c.func, "id", ""), c.lineno) for c in calls]
    return [f"{name} (line {line})" for name, line in named if name in COLLECTIVE]


FILES = [*sorted((ROOT / "training").glob("*.py")), *sorted((ROOT / "commands").glob("*.py"))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_collective_depends_on_the_rank(path: Path) -> None:
    for statements in rank_branches(ast.parse(path.read_text())):
        assert not collectives(statements), f"{path.name}: only some ranks execute {collectives(statements)}"


@pytest.mark.parametrize(
    "code",
    [
        "if accelerator.is_main_process:\n    accelerator.gather(x)",
        "def f(self):\n    if not self.ranks.is_main:\n        return\n    self.ranks.wait_for_all()",
        "if ranks.is_main:\n    pass\nelse:\n    for x in y:\n        dist.barrier()",
    ],
)
def test_collective_in_a_rank_branch_is_detected(code: str) -> None:
    assert any(collectives(statements) for statements in rank_branches(ast.parse(code)))
