"""The commands and the Python code of the README and the guides run; the commands of all pages have valid options.

In these pages `bash` commands and `python` code are run, with trainings cut to two steps. Commands in `sh` blocks need
other data or machines; of these, as of the pages that are not guides, only options and config keys are checked.
"""

import os
import re
import shlex
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from command_server import CommandServer
from typer.main import get_command

from vidgan.cli.app import app
from vidgan.config import find_config, load_config
from vidgan.video.encode import write_mp4

ROOT = Path(__file__).resolve().parents[1]
README, DOCS = ROOT / "README.md", ROOT / "docs"
RECIPES = DOCS / "guide_recipes.md"
# The pages whose commands use the reader's own videos, in reading order: later pages use the runs of earlier ones.
OWN_PAGES = [
    README,
    DOCS / "getting_started.md",
    *(
        DOCS / f"guide_{name}.md"
        for name in (
            "prepare",
            "train",
            "synthesise",
            "captions",
            "edit",
            "dissect",
            "forecast",
            "upscale",
            "translate",
            "evaluate",
            "distributed",
        )
    ),
    DOCS / "python_api.md",
]
PAGES = [README, *sorted(DOCS.glob("*.md"))]

# Two steps with small batches: the tests show that a command works as written, not what it learns.
TWO_STEPS = [
    "train.steps=2", "train.batch_size=2", "train.micro_batches=1", "train.warmup=0", "every.evaluate=null",
    "every.preview=2",
]  # fmt: skip
REAL = ("actions", "shapes", "sky", "gestures", "natural", "kitti")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
NAMED = re.compile(r"# (\w+\.py)\n")  # first line of a code block that shows a file
LINK = re.compile(r"\]\((?!https?:)(?P<path>[^)#]*)(?:#(?P<anchor>[^)]*))?\)")


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """(language, text) of each code block of a page, in order."""
    for found in FENCE.finditer(page.read_text()):
        yield found[1], found[2]


def links(page: Path) -> list[tuple[str, str]]:
    """(path, anchor) of each link of a page to a file, either of them possibly empty."""
    return [(found["path"], found["anchor"] or "") for found in LINK.finditer(FENCE.sub("", page.read_text()))]


def commands(text: str) -> list[str]:
    """The `vidgan` commands of a code block, without comments."""
    lines = text.replace("\\\n", " ").splitlines()
    parts = [part.strip() for line in lines for part in re.split(r"&&|;", re.split(r"\s+#", line)[0])]
    parts = [re.sub(r"^.*-m vidgan\b", "vidgan", part) for part in parts]
    return [part for part in parts if part.startswith("vidgan ")]


@pytest.fixture(scope="module")
def server() -> Iterator[CommandServer]:
    with CommandServer() as running:
        yield running


def run(server: CommandServer, command: str, folder: Path, data: str = "DATA") -> None:
    """Run one command in `folder`, with `DATA` filled in and training cut to two steps."""
    words = [word.replace("DATA/", f"{data}/") for word in shlex.split(command)[1:]]
    if words[0] == "train":
        words += TWO_STEPS
    done = server.run(words, folder)
    assert done.returncode == 0, f"{command}\n{done.output}"


def run_python(script: str, folder: Path) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    line = [sys.executable, "-c", script]
    done = subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"


def moving_videos(folder: Path, names: list[str]) -> None:
    """A few moving gradients with noise, 40 frames each."""
    rng = np.random.default_rng(0)
    across = np.linspace(0, 200, 96)[None, None, :, None] + np.zeros((40, 72, 96, 3))
    for i, name in enumerate(names):
        clip = np.stack([np.roll(frame, (i + 1) * t, axis=1) for t, frame in enumerate(across)])
        write_mp4(folder / f"{name}.mp4", (clip + rng.integers(0, 50, clip.shape)).astype(np.uint8), fps=10)


def test_own_videos_and_python(server: CommandServer, tmp_path: Path) -> None:
    """Commands that repeat an earlier one are run once; the Python code of all pages is one script."""
    moving_videos(tmp_path / "my_videos", ["street", *(f"clip{i}" for i in range(19))])
    moving_videos(tmp_path / "my_truth", ["one", "two"])
    moving_videos(tmp_path / "my_forecasts", ["one", "two"])
    for name, text in ((NAMED.match(text), text) for page in OWN_PAGES for kind, text in blocks(page)):
        if name is not None:
            (tmp_path / name[1]).write_text(text)
    texts = [text for page in OWN_PAGES for kind, text in blocks(page) if kind == "bash"]
    for command in dict.fromkeys(command for text in texts for command in commands(text)):
        run(server, command, tmp_path)
    scripts = [text for page in OWN_PAGES for kind, text in blocks(page) if kind == "python" and not NAMED.match(text)]
    checks = [
        "assert clips.shape == (8, 32, 3, 64, 64) and future.shape == (1, 10, 3, 64, 64)",
        "assert futures.shape == (4, 1, 10, 3, 64, 64) and exchanged.shape == (4, 32, 3, 64, 64)",
        "assert isinstance(model, vidgan.MoCoGAN) and result.steps == 2",
    ]
    run_python("\n".join([*scripts, *checks]), tmp_path)
    assert (tmp_path / "weights" / "model.safetensors").is_file()


def recipes() -> dict[str, list[str]]:
    """The commands of the recipes, by the data set that they name."""
    by_data: dict[str, list[str]] = {name: [] for name in REAL}
    for kind, text in blocks(RECIPES):
        for command in commands(text) if kind == "bash" else ():
            by_data[next(name for name in REAL if re.search(rf"\b{name}\b", command))].append(command)
    return by_data


@pytest.mark.parametrize("name", [name for name in REAL if name != "shapes"])
def test_real_data(server: CommandServer, name: str, shared_data: Path, tmp_path: Path) -> None:
    for command in recipes()[name]:
        run(server, command, tmp_path, str(shared_data))
    run_dir = next((tmp_path / "runs").iterdir())
    assert list((run_dir / "previews").iterdir()) and (run_dir / "model" / "model.safetensors").is_file()


def test_real_shapes(server: CommandServer, shared_data: Path, tmp_path: Path) -> None:
    """Directly from the archive, with forty of its seven thousand strips."""
    folder = tmp_path / "few" / "mocogan"
    folder.mkdir(parents=True)
    with (
        tarfile.open(shared_data / "mocogan" / "shapes.tar.gz") as every,
        tarfile.open(folder / "shapes.tar.gz", "w:gz") as some,
    ):
        members = [member for member in every if member.isfile()]
        for member in members[:20] + members[-20:]:
            some.addfile(member, every.extractfile(member))
    for command in recipes()["shapes"]:
        run(server, command, tmp_path, str(tmp_path / "few"))


def check_options(command: str) -> None:
    """Parse a command line as `vidgan` does, and read the config of `vidgan train` with its overrides; run nothing."""
    line = re.sub(r"\[(?=-)[^]]*\]+", "", command)  # optional arguments: `prepare SOURCE --out DATA [--layout NAME]`
    parser, words = get_command(app), shlex.split(line)[1:]
    while hasattr(parser, "commands"):
        name = words.pop(0)
        assert name in parser.commands, f"{command}: no such command"
        parser = parser.commands[name]
    context = parser.make_context(name, words)
    if name == "train" and (ROOT / "configs" / f"{context.params['config']}.yaml").is_file():
        # `seed=SEED` and `seed=$seed` are placeholders.
        overrides = context.params["overrides"] or []
        changes = [change for change in overrides if not re.search(r"=.*(\$|\b[A-Z]+$)", change)]
        load_config(find_config(context.params["config"]), changes, template=True)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_has_valid_options(page: Path) -> None:
    for kind, text in blocks(page):
        for command in commands(text) if kind in ("bash", "sh", "") else ():
            try:
                check_options(command)
            except Exception as error:
                raise AssertionError(f"{page.name}: {command}: {error}") from error


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for path, anchor in links(page):
        target = page.parent / path if path else page
        assert target.exists(), f"{page.name}: {path}"
        assert not anchor or anchor in anchors(target), f"{page.name}: {path}#{anchor}"


def test_the_index_links_every_page() -> None:
    linked = {path for path, _ in links(DOCS / "README.md")}
    # index.md is the page itself, as the front page of the site.
    assert {page.name for page in DOCS.glob("*.md")} - linked == {"README.md", "index.md"}
