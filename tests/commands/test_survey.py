"""`vidgan survey`: the page in a real browser, its key, and the scores of its votes."""

import json
import re
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from browser import headless_browser, page_errors, requested
from helpers import run_vidgan

from vidgan.commands.survey import DAMAGES, damaged, make, read
from vidgan.errors import ConfigError
from vidgan.video.encode import write_mp4


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sets of three videos of one name, dim and lit."""
    folder = tmp_path_factory.mktemp("survey")
    rng = np.random.default_rng(0)
    for name, level in (("set-dim", 40), ("set-lit", 200)):
        (folder / name).mkdir()
        for clip in "abc":
            frames = level + rng.integers(-20, 20, (6, 32, 48, 3))
            frames[:, 8:24, 8:24] = np.arange(6)[:, None, None, None] * 20 + 60  # a square that becomes brighter
            write_mp4(folder / name / f"{clip}.mp4", frames.astype(np.uint8), fps=8)
    make([folder / "set-dim", folder / "set-lit"], folder / "page.html", pairs=6, catch=4, seed=3)
    return folder


def key_of(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "page.key.json").read_text())
    return content


def answers(folder: Path, path: Path, preferred: str, *, careful: bool = True) -> Path:
    """Votes for the set `preferred`; a careless voter fails the catch trials."""
    key = key_of(folder)
    votes = []
    for number, trial in enumerate(key["trials"]):
        choice = "left" if trial["left"] == preferred else "right"
        if trial["intact"] is not None:
            wrong = "left" if trial["intact"] == "right" else "right"
            choice = trial["intact"] if careful else wrong
        votes.append({"trial": number, "choice": choice, "seconds": 1.0})
    path.write_text(json.dumps({"vidgan_survey": 1, "survey": key["survey"], "voter": path.stem, "votes": votes}))
    return path


def test_the_page_hides_what_the_key_says(survey: Path) -> None:
    page, key = (survey / "page.html").read_text(), key_of(survey)
    assert not re.search(r"set-dim|set-lit|intact|https?:", page)
    assert page.count("data:image/webp") == 10 and len(key["trials"]) == 10
    catch = [trial for trial in key["trials"] if trial["intact"]]
    pairs = [trial for trial in key["trials"] if not trial["intact"]]
    assert len(catch) == 4 and {trial["left"] for trial in catch} == {"set-dim", "set-lit"}
    assert sorted(trial["clips"][0] for trial in pairs) == ["a", "a", "b", "b", "c", "c"]
    assert all(trial["clips"][0] == trial["clips"][1] and trial["left"] != trial["right"] for trial in pairs)
    assert {trial["left"] for trial in pairs} == {"set-dim", "set-lit"}  # the order is drawn


def test_damage_is_plain_to_see() -> None:
    clip = torch.arange(64, dtype=torch.uint8).repeat(4, 3, 64, 1) * 3 + 20
    for kind in DAMAGES:
        error = (damaged(clip, kind, seed=0).float() - clip.float()).abs().mean()
        assert error > 5
    assert damaged(clip, "mosaic", seed=0)[0, 0, 0].unique().numel() == 8


def test_votes_become_scores(survey: Path, tmp_path: Path, capfd: Any, monkeypatch: Any) -> None:
    ann, bob = (
        answers(survey, tmp_path / "ann.json", "set-lit"),
        answers(survey, tmp_path / "bob.json", "set-dim", careful=False),
    )
    scores = read([ann, bob], key=survey / "page.key.json")
    assert scores.votes == 6 and scores.voters["bob.json"] == {"passed": 0, "catch": 4, "failed": True, "counts": False}
    assert scores.preferred["set-dim over set-lit"].mean == pytest.approx(0.5 / 7)
    code, out, _ = run_vidgan(capfd, monkeypatch, "survey", "read", ann, bob, "--key", survey / "page.key.json")
    assert code == 0 and "bob.json: 0 of 4 passed: FAILED, the votes are left out" in out and "6 votes (0 ties)" in out
    both = read([ann, bob], key=survey / "page.key.json", keep_failed=True)
    assert both.votes == 12 and both.preferred["set-dim over set-lit"].mean == pytest.approx(0.5)
    with pytest.raises(ConfigError, match="every voter failed"):
        read([bob], key=survey / "page.key.json")


def test_wrong_files_are_refused(survey: Path, tmp_path: Path) -> None:
    key = survey / "page.key.json"
    ann = answers(survey, tmp_path / "ann.json", "set-lit")
    shutil.copy(ann, tmp_path / "again.json")
    with pytest.raises(ConfigError, match=r"again.json holds the same votes"):
        read([ann, tmp_path / "again.json"], key=key)
    content = json.loads(ann.read_text())
    for change, message in (
        ({"survey": "other"}, "of the survey other"),
        ({"votes": [{"trial": 99, "choice": "left"}]}, "trial 99"),
        ({"votes": [{"trial": 0, "choice": "up"}]}, "'up'"),
        ({"vidgan_survey": 2}, "format 2"),
    ):
        (tmp_path / "bad.json").write_text(json.dumps(content | change))
        with pytest.raises(ConfigError, match=f"bad.json.*{message}"):
            read([tmp_path / "bad.json"], key=key)
    with pytest.raises(ConfigError, match="no key of a survey"):
        read([ann], key=ann)
    with pytest.raises(ConfigError, match="two or more sets"):
        make([survey / "set-dim"], tmp_path / "page.html")
    with pytest.raises(FileExistsError, match=r"page.html"):
        make([survey / "set-dim", survey / "set-lit"], survey / "page.html")
    write_mp4(tmp_path / "large" / "a.mp4", np.zeros((4, 64, 64, 3), np.uint8), fps=8)
    with pytest.raises(ValueError, match="resize the videos"):
        make([survey / "set-dim", tmp_path / "large"], tmp_path / "page.html", pairs=2, catch=0)
    assert not list(tmp_path.glob("page*"))


def test_voting_in_a_browser(survey: Path, tmp_path: Path) -> None:
    """Keys, buttons and going back; the votes are downloaded, nothing is requested from outside."""
    with headless_browser(tmp_path) as browser:
        browser.get((survey / "page.html").as_uri())

        def find(name: str) -> Any:
            return browser.find_element("id", name)

        def press(key: str) -> None:
            browser.find_element("tag name", "body").send_keys(key)

        left, right, down, backspace = "\ue012", "\ue014", "\ue015", "\ue003"
        assert find("count").text == "Pair 1 of 10" and find("pair").size["width"] == int(
            find("pair").get_attribute("width")
        )
        press(down)
        press(backspace)
        assert find("count").text == "Pair 1 of 10"
        find("tie").click()
        choices = ["tie"]
        for trial in key_of(survey)["trials"][1:]:
            side = trial["intact"] or ("left" if trial["left"] == "set-lit" else "right")
            press(left if side == "left" else right)
            choices.append(side)
        assert "All 10 pairs are done" in find("count").text and not find("trial").is_displayed()
        press(left)  # without effect
        browser.refresh()  # the votes are kept
        assert "All 10 pairs are done" in find("count").text
        find("voter").send_keys("Ann B")
        find("save").click()
        (saved,) = _wait(lambda: list(tmp_path.glob("votes-*.json")))
        urls = requested(browser)
        assert urls and not [url for url in urls if url.startswith(("http", "ws"))]
        assert not page_errors(browser)
    assert saved.name.endswith("-Ann-B.json")
    assert [vote["choice"] for vote in json.loads(saved.read_text())["votes"]] == choices
    scores = read([saved], key=survey / "page.key.json")
    first_is_pair = key_of(survey)["trials"][0]["intact"] is None
    assert scores.ties == int(first_is_pair) and scores.score["set-lit"].mean > 0
    assert scores.voters[saved.name]["passed"] == 4 - (not first_is_pair)


def _wait(look: Any) -> Any:
    for _ in range(100):
        if result := look():
            return result
        time.sleep(0.1)
    raise AssertionError("nothing was downloaded")
