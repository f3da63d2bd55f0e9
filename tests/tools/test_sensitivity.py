"""The sensitivity table: its damages, its verdicts, and the marks that results repeat."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tools.sensitivity import OTHER, REFERENCE, Sides, damages, first_number, jitter, marks, page, shift_hue, verdict
from vidgan.evaluation.comparison import Entry, compare_results
from vidgan.evaluation.sensitivity import BLIND, REWARDED, sensitivity_marks, sensitivity_notes
from vidgan.evaluation.set_scores import score_synthesis
from vidgan.evaluation.tables import FORMATS, as_markdown, comparison_tables, result_tables, score_document
from vidgan.files import read_json

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_damages_do_what_they_say() -> None:
    random = torch.Generator().manual_seed(0)
    first, second = (torch.randint(0, 256, (2, 7, 3, 16, 16), generator=random).to(torch.uint8) for _ in range(2))
    made = {name: clips() for name, clips in damages(Sides(first, second)).items()}
    assert all(clips.shape == (2, 4, 3, 16, 16) and clips.dtype == torch.uint8 for clips in made.values())
    assert torch.equal(made[OTHER], second[:, [0, 2, 4, 6]])
    assert torch.equal(made["half speed"], second[:, :4])
    assert torch.equal(made["looped"], second[:, [0, 2, 0, 2]])
    assert torch.equal(made["copied"], first[:, ::2])
    assert torch.equal(made["reversed"], made[OTHER].flip(1))


def test_jitter_moves_whole_frames_by_up_to_three_pixels() -> None:
    clip = torch.zeros(1, 20, 3, 16, 16, dtype=torch.uint8)
    clip[..., 8, 8] = 255
    places = jitter(clip)[0, :, 0].flatten(1).argmax(dim=1)
    down, across = places // 16 - 8, places % 16 - 8
    assert jitter(clip).sum() == clip.sum() and len(set(places.tolist())) > 5
    assert down.abs().max() <= 3 and across.abs().max() <= 3


def test_hue_keeps_grey_and_brightness() -> None:
    grey = torch.full((1, 3, 3, 4, 4), 77, dtype=torch.uint8)
    assert torch.equal(shift_hue(grey), grey)
    muted = torch.tensor([140, 110, 120], dtype=torch.uint8)[None, None, :, None, None].expand(1, 3, 3, 4, 4)
    turned = shift_hue(muted)[0, 0, :, 0, 0]
    assert (abs(int(turned.sum()) - 370) <= 2 and int(turned.argmax()) != 0) or int(turned.argmin()) != 1


@pytest.mark.parametrize(
    ("better", "floor", "values", "expected"),
    [
        ("lower", [1, 2, 3], [4, 5, 6], "yes"),
        ("lower", [1, 2, 3], [4, 5, 2], "no"),
        ("lower", [4, 5, 6], [1, 2, 3], "better"),
        ("higher", [0.8, 0.9], [0.2, 0.7], "yes"),
        ("higher", [0.2, 0.7], [0.8, 0.9], "better"),
        (None, [5, 6, 7], [2, 3, 4], "yes"),  # 3 away in each draw, and the floor ranges over 2
        (None, [5, 6, 7], [4, 5, 6], "no"),
    ],
)  # fmt: skip
def test_verdicts(better: str | None, floor: list[float], values: list[float], expected: str) -> None:
    assert verdict({OTHER: floor, "frozen": values}, "frozen", better) == expected


def test_a_number_of_clips_counts_by_its_distance_from_the_reference() -> None:
    values = {REFERENCE: [1.0, 1.0], OTHER: [1.2, 0.9], "frozen": [0.0, 0.0], "blurred": [1.1, 0.7]}
    assert verdict(values, "frozen", None) == "yes" and verdict(values, "blurred", None) == "no"


def test_cells_name_the_smallest_number_from_which_on_the_damage_is_seen() -> None:
    seen, unseen, rewarded = [3.0, 3.0], [1.5, 0.5], [0.1, 0.1]
    entry = {
        "better": {"distance": "lower"},
        "values": {
            str(number): {"distance": {OTHER: [1.0, 2.0], "frozen": frozen, "blurred": seen, "looped": rewarded}}
            for number, frozen in ((8, seen), (16, unseen), (32, seen))
        },
    }
    assert [first_number(entry, "distance", name) for name in ("frozen", "blurred", "looped")] == ["32", "8", "!"]
    clips = {"8": 48, "16": 48, "32": 96}
    result = {"frames": 8, "draws": 2, "flow": "dis", "data": {"made": {**entry, "clips": clips, "size": [64, 64]}}}
    assert marks(result) == ([], {"distance": ["looped"]})
    assert "| `distance`‡ | 32 | 8 | ! |" in page(result)
    assert "sets of 8, 16 from 48 clips; sets of 32 from 96 clips on each side." in page(result)


def test_marks_and_page_are_those_of_the_measured_table() -> None:
    result = read_json(DOCS / "results" / "sensitivity.json")
    blind, rewarded = marks(result)
    assert tuple(blind) == BLIND and {name: tuple(names) for name, names in rewarded.items()} == dict(REWARDED)
    assert (DOCS / "sensitivity.md").read_text() == page(result)
    for entry in result["data"].values():
        for table in entry["values"].values():
            assert all(np.isfinite(values).all() for row in table.values() for values in row.values())


def test_tables_mark_measures_of_sets_and_have_them_as_rows() -> None:
    random = torch.Generator().manual_seed(0)
    clips = torch.randint(0, 256, (12, 4, 3, 16, 16), generator=random).to(torch.uint8)
    scores = score_synthesis(clips[:8], clips[8:], splits=1)
    value = scores.scores["frozen"]["diversity"].mean
    header, _, *rows = as_markdown(result_tables(scores)).splitlines()[2:]
    assert header == "|  | generated | real | frozen | shuffled | reversed | blurred |"
    names = [row.split(" | ")[0].removeprefix("| ") for row in rows if row.startswith("|")]
    assert names == [
        "motion_energy", "flicker", "content_distance", "motion_histogram‡ ↓", "diversity†", "nearest_clip",
        "frechet_inhouse‡ ↓",
    ]  # fmt: skip
    assert f"{value.mean:.4f} [{value.low:.4f}, {value.high:.4f}]" in rows[4].split(" | ")[3]
    assert any(note.startswith("† diversity: told no tested damage") for note in scores.notes)
    latex = FORMATS["latex"](result_tables(scores))
    assert r"\begin{tabular}{lrrrrrr}" in latex and r"diversity$^\dagger$ &" in latex
    assert r"frechet\_inhouse$^\ddagger$ $\downarrow$ &" in latex
    assert [row[0] for row in score_document(scores)["table"]["rows"]] == names
    both = compare_results([Entry("a", scores), Entry("b", replace(scores, seed=1))])
    text = FORMATS["text"](comparison_tables(both, "two sets"))
    assert text.splitlines()[7].startswith("diversity†")


def test_the_page_of_metrics_marks_the_same_measures() -> None:
    text = (DOCS / "metrics.md").read_text().split("## Sets of clips", 1)[1]
    table = [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| `")]
    for name in {*BLIND, *REWARDED}:
        assert any(re.search(f"`{name}`{sensitivity_marks(name)}(?![†‡])", line) for line in table), name


def test_results_repeat_the_marks() -> None:
    assert sensitivity_notes(["motion_energy"]) == []
    notes = sensitivity_notes([*BLIND, *REWARDED])
    assert all(any(name in note for note in notes) for name in (*BLIND, *REWARDED))
