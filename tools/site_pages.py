"""The parts of the documentation site that are generated from the code: commands, config keys, Python API, contents.

A page asks for a part with a line of its own, `<!-- generated: NAME -->`; `docs/conf.py` replaces it while Sphinx reads
the page. NAME is a key of `PARTS`.
"""

import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from typer.main import get_command

import vidgan
from vidgan.cli.app import app
from vidgan.config import config_keys, shipped_configs
from vidgan.tasks import TASKS
from vidgan.video.container import REASONS

ROOT: Final = Path(__file__).resolve().parents[1]
DOCS: Final = ROOT / "docs"
GUIDES: Final = "Guides"  # heading of the contents under which further guides are listed
MARK: Final = re.compile(r"^<!-- generated: (?P<name>[\w-]+) -->$", re.MULTILINE)
UNIT: Final = re.compile(r" Unit: (?P<unit>.+)\.$")
DEFAULT: Final = re.compile(r"\s*\[default: (?P<default>[^;\]]*)(; )?(?P<rest>[^\]]*)\]")
RANGE: Final = re.compile(r"\[(?P<low>[\d.]+)<=x(<=(?P<high>[\d.]+))?(; required)?\]")
UNLIMITED: Final = 1_000_000_000  # a larger limit of an option only keeps out numbers that nobody means


def filled(page: str) -> str:
    """The page with every mark replaced by what it asks for.

    Raises:
        KeyError: a mark with an unknown name.
    """
    return MARK.sub(lambda mark: PARTS[mark["name"]](), page)


def escaped(text: str) -> str:
    """Plain text as Markdown that may stand in a table cell; code in backticks is kept."""
    parts = re.split(r"(`[^`]*`)", " ".join(text.split()))
    parts[::2] = [re.sub(r"([\\*_<>\[\]{}$])", r"\\\1", part) for part in parts[::2]]
    return "".join(parts).replace("|", r"\|")


def code(text: str) -> str:
    """Text as code in a table cell; nothing for an empty text."""
    return f"`{text}`".replace("|", r"\|") if text else ""


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; cells are Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, ["---"] * len(header), *rows])


def commands() -> Iterator[tuple[str, Any]]:
    """(full name, command) of every `vidgan` command, groups resolved, in the order of `vidgan --help`."""

    def below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
        if not hasattr(command, "commands"):
            yield name, command
            return
        for part, inner in command.commands.items():
            yield from below(f"{name} {part}", inner)

    yield from below("vidgan", get_command(app))


def command_reference() -> str:
    """Every command with its usage, arguments and options."""
    parts = []
    for name, command in commands():
        context = command.context_class(command, info_name=name)
        usage = " ".join(command.collect_usage_pieces(context))
        text = "\n\n".join(_paragraph(text) for text in inspect.cleandoc(command.help or "").split("\n\n"))
        parts.append(f"## {name}\n\n```text\n{name} {usage}\n```\n\n{text}")
        rows = []
        for parameter in command.params:
            record = parameter.get_help_record(context)
            if record is None or "--help" in parameter.opts:
                continue
            default = "required" if parameter.required else ""
            if match := DEFAULT.search(record[1]):
                default = match["default"]
            meaning = DEFAULT.sub(lambda match: f" [{match['rest']}]" if match["rest"] else "", record[1])
            meaning = RANGE.sub(_range_in_words, meaning.replace(" [required]", ""))
            rows.append([code(record[0].replace(" range>", ">")), escaped(default), escaped(meaning)])
        if rows:
            parts.append(table(["argument or option", "default", "meaning"], rows))
    return "\n\n".join(parts)


def _paragraph(text: str) -> str:
    """A paragraph of a help text; one that begins with a backspace keeps its lines, as on a terminal."""
    if text.startswith("\b"):
        return f"```text\n{text.removeprefix(chr(8)).strip(chr(10))}\n```"
    return escaped(text)


def _range_in_words(match: re.Match[str]) -> str:
    """`[1<=x<=8]` -> (1 to 8), and (1 or more) without a limit that matters."""
    high = match["high"]
    return f"({match['low']} or more)" if high is None or float(high) >= UNLIMITED else f"({match['low']} to {high})"


def config_reference() -> str:
    """Every key of every task: first the keys that all tasks share, then those of each task."""
    keys = {task: list(config_keys(task)) for task in TASKS}
    shared = [row for row in next(iter(keys.values())) if all(row in rows for rows in keys.values())]
    configs = sorted(shipped_configs())
    parts = [
        "Shipped configs: " + ", ".join(f"`{name}`" for name in configs) + ".",
        f"## Keys of every task\n\n{key_tables(shared, '###')}",
    ]
    for task, rows in keys.items():
        own = [row for row in rows if row not in shared]
        parts.append(f"## {task}\n\n{_sentence(TASKS[task].config.__doc__)}\n\n{key_tables(own, '###')}")
    return "\n\n".join(parts)


def key_tables(rows: list[tuple[str, str, str, str]], level: str) -> str:
    """One table per section; a section, or one kind of a part, opens a new one."""
    groups: list[tuple[str, list[list[str]]]] = [("", [])]
    for key, kind, default, meaning in rows:
        if kind.startswith("section"):
            label = kind.removeprefix("section").removeprefix(", ")
            heading = f"{level} `{key}`{f', {label}' if label else ''}\n\n{escaped(_sentence(meaning))}"
            groups.append((heading, []))
            continue
        unit = UNIT.search(meaning)
        text = UNIT.sub("", meaning)
        groups[-1][1].append([code(key), escaped(kind), unit["unit"] if unit else "", code(default), escaped(text)])
    header = ["key", "type", "unit", "default", "meaning"]
    return "\n\n".join(
        part for heading, cells in groups for part in (heading, table(header, cells) if cells else "") if part
    )


def _sentence(text: str | None) -> str:
    """The first paragraph of a docstring, on one line."""
    return " ".join((text or "").strip().split("\n\n")[0].split())


def python_reference() -> str:
    """autodoc directives for everything in `vidgan.__all__`: models, commands, errors."""
    groups: dict[str, list[str]] = {"Models": [], "Functions": [], "Errors": []}
    for name in vidgan.__all__:
        value = getattr(vidgan, name)
        if not callable(value):
            continue  # __version__
        home = f"vidgan.{name}"
        if not inspect.isclass(value):
            groups["Functions"].append(f".. autofunction:: {home}")
        elif issubclass(value, Exception):
            groups["Errors"].append(f".. autoexception:: {home}")
        else:
            groups["Models"].append(f".. autoclass:: {home}\n   :members:\n   :inherited-members: Module")
    return "\n\n".join(
        f"## {heading}\n\n```{{eval-rst}}\n" + "\n\n".join(sorted(entries)) + "\n```"
        for heading, entries in groups.items()
    )


def video_reasons() -> str:
    """The reasons for which a video is refused, with their meanings."""
    return table(["reason", "meaning"], [[code(reason), escaped(meaning)] for reason, meaning in REASONS.items()])


def contents() -> str:
    """docs/README.md with a navigation made from its headings and links; guides that it does not list yet are added."""
    page = (DOCS / "README.md").read_text().replace("](examples/)", "](gallery/index.rst)")
    listed: dict[str, list[str]] = {}
    for heading, body in re.findall(r"^## (.+)\n((?:(?!^## ).*\n?)*)", page, re.MULTILINE):
        listed[heading] = re.findall(r"^- \[[^]]+\]\(([\w./]+)\.(?:md|rst)\)", body, re.MULTILINE)
    known = {name for names in listed.values() for name in names}
    listed[GUIDES] += sorted(path.stem for path in DOCS.glob("guide_*.md") if path.stem not in known)
    trees = [
        f"```{{toctree}}\n:hidden:\n:caption: {heading}\n:maxdepth: 2\n\n" + "\n".join(names) + "\n```"
        for heading, names in listed.items()
        if names
    ]
    return "\n\n".join([page.rstrip(), *trees])


def repository_page(name: str) -> str:
    """A page from the root of the repository, with links as they are within the documentation."""
    text = (ROOT / name).read_text()
    text = re.sub(r"\]\(docs/([^)]+)\)", r"](\1)", text)
    return text.replace("](SECURITY.md)", "](security.md)").replace("](CONTRIBUTING.md)", "](contributing.md)")


PARTS: Final[dict[str, Callable[[], str]]] = {
    "commands": command_reference,
    "config-keys": config_reference,
    "python": python_reference,
    "contents": contents,
    "video-reasons": video_reasons,
    "contributing": lambda: repository_page("CONTRIBUTING.md"),
    "security": lambda: repository_page("SECURITY.md"),
    "changelog": lambda: repository_page("CHANGELOG.md"),
}
