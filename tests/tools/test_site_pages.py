"""The documentation site: its generated references are complete, and its pages keep to the facts of the code."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import site_pages
from typer.main import get_command

import vidgan
from vidgan.cli.app import app
from vidgan.config import config_keys
from vidgan.tasks import TASKS

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def test_every_command_and_option_is_in_the_reference() -> None:
    page = site_pages.command_reference()
    groups = [("vidgan", get_command(app))]
    num_commands = 0
    while groups:
        name, command = groups.pop()
        if hasattr(command, "commands"):
            groups += [(f"{name} {part}", inner) for part, inner in command.commands.items()]
            continue
        num_commands += 1
        part = page.split(f"## {name}\n")[1].split("\n## ")[0]
        for parameter in command.params:
            option = next((option for option in parameter.opts if option.startswith("--")), None)
            if option not in (None, "--help") and not parameter.hidden:
                assert re.search(rf"^\| `[^`]*{option}\b", part, re.MULTILINE), f"{name} {option}"
    assert page.count("\n```text\nvidgan") + page.startswith("## ") >= num_commands > 25


def test_defaults_and_ranges_have_their_own_words() -> None:
    part = site_pages.command_reference().split("## vidgan generate\n")[1].split("\n## ")[0]
    assert re.search(r"^\| `--clips <int>` \| 16 \| Number of clips.* \(1 to 1000000\) \|$", part, re.MULTILINE)
    assert "| `--seed <int>` | 0 | Random seed; the same seed gives the same result. (0 or more) |" in part


@pytest.mark.parametrize("task", TASKS)
def test_every_config_key_is_in_the_reference_with_its_meaning(task: str) -> None:
    page = site_pages.config_reference()
    shared, _, rest = page.partition("\n## synthesis\n")
    own = f"\n## synthesis\n{rest}".split(f"\n## {task}\n")[1].split("\n## ")[0]
    for key, kind, _, meaning in config_keys(task):
        assert meaning, f"{key} has no description"
        heading = kind.startswith("section")
        entry = f"### `{key}`" if heading else f"| `{key}` |"
        assert entry in own or entry in shared, f"{task}: {key}"


def test_units_have_a_column() -> None:
    assert "| `train.steps` | int | steps | `required` | Training steps. |" in site_pages.config_reference()


def test_every_public_name_is_in_the_python_reference() -> None:
    page = site_pages.python_reference()
    for name in vidgan.__all__:
        assert name == "__version__" or f":: vidgan.{name}\n" in page, name


def test_cells_are_plain_text() -> None:
    assert site_pages.escaped("a|b <c> `d*|` *e*\n f") == r"a\|b \<c\> `d*\|` \*e\*" + " f"


def test_the_contents_list_every_page() -> None:
    contents = site_pages.contents()
    entries = {
        line for block in re.findall(r"```{toctree}\n(.*?)```", contents, re.DOTALL) for line in block.split("\n")
    }
    pages = {page.stem for page in DOCS.glob("*.md")} - {"index", "README"}
    assert pages | {"gallery/index"} <= entries


def literals() -> Iterator[str]:
    """All string literals of the package, adjacent ones joined, `…` for what is formatted into them."""
    for path in (ROOT / "vidgan").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_messages_in_the_questions_exist() -> None:
    quoted = re.findall(r"^### .*?`([^`]+)`", (DOCS / "faq.md").read_text(), re.MULTILINE)
    source = "\n".join(literals())
    assert len(quoted) > 15
    for message in quoted:
        assert message in source, f"no message of vidgan contains {message!r}"


def test_marks_are_known() -> None:
    for page in DOCS.glob("*.md"):
        for name in site_pages.MARK.findall(page.read_text()):
            assert name in site_pages.PARTS, f"{page.name}: {name}"
