"""Guards: told once when they begin and once when they end, the same after a resume, and able to stop a run."""

from pathlib import Path
from typing import Any

import pytest
from test_loop import play_dirac

from vidgan.errors import CollapseError
from vidgan.training.checkpoint import load_latest
from vidgan.training.diagnostics import warnings
from vidgan.training.guards import Guards
from vidgan.training.journal import read
from vidgan.training.loop import Protection
from vidgan.training.trackers import Trackers
from vidgan.training.watch import Hooks


def previews(shares: list[float]) -> list[dict[str, Any]]:
    """Previews whose samples differ by these shares of what real clips do."""
    return [{"step": i + 1, "diversity/fake": share, "diversity/real": 1.0} for i, share in enumerate(shares)]


def told(shares: list[float], guards: Guards) -> list[dict[str, Any]]:
    records = []
    for record in previews(shares):
        guards.note(record)
        for warning in guards.look(record["step"]):
            guards.note(warning)
            records.append({key: value for key, value in warning.items() if key != "message"})
    return records


def test_a_warning_is_told_when_it_begins_and_when_it_ends() -> None:
    guards = Guards(stop=("mode_collapse",))
    assert told([0.5, 0.01, 0.01, 0.01, 0.5, 0.01, 0.01], guards) == [
        {"step": 3, "warning": "mode_collapse", "holds": True, "since": 2},
        {"step": 5, "warning": "mode_collapse", "holds": False},
        {"step": 7, "warning": "mode_collapse", "holds": True, "since": 6},
    ]
    assert guards.fatal is not None and guards.fatal.name == "mode_collapse"


def test_what_was_told_before_a_resume_is_not_told_again() -> None:
    history = previews([0.01, 0.01])
    first = Guards()
    for record in history:
        first.note(record)
    history += list(first.look(2))
    assert len(history) == 3
    resumed = Guards(history=history)
    assert list(resumed.look(2)) == []
    assert resumed.fatal is None, "only named warnings stop a run"


def test_an_evaluation_that_does_not_come_back_is_a_warning() -> None:
    def scores(*values: float) -> list[dict[str, Any]]:
        return [{"step": 10 * (i + 1), "evaluation/score": value} for i, value in enumerate(values)]

    (found,) = warnings(scores(20.0, 25.0, 22.0, 22.0, 21.0, 22.0, 22.0))
    assert (found.name, found.step) == ("evaluation_worsens", 20)
    assert not warnings(scores(20.0, 25.0, 22.0, 22.0, 21.0, 22.0)), "four since the best"
    assert not warnings(scores(20.0, 25.0, 24.0, 24.0, 23.0, 24.0, 24.0)), "within a tenth of the best"
    (distance,) = warnings(scores(-100.0, -50.0, *[-56.0] * 5))
    assert distance.step == 20


def test_a_collapse_stops_the_run_after_it_was_saved(tmp_path: Path) -> None:
    closed: list[bool] = []
    hooks = Hooks(
        preview=lambda step: {"diversity/fake": 0.5 if step < 20 else 0.01, "diversity/real": 1.0},
        close=lambda: closed.append(True),
    )
    with pytest.raises(CollapseError, match=r"stopped after step 25: The samples are almost all alike"):
        play_dirac(tmp_path, None, steps=50, preview=5, hooks=hooks, protection=Protection(stop=("mode_collapse",)))
    saved = load_latest(tmp_path / "checkpoints")
    assert saved is not None and saved.step == 25
    (warning,) = (record for record in read(tmp_path / "journal.jsonl") if "warning" in record)
    assert (warning["step"], warning["since"], warning["holds"]) == (25, 20, True)
    assert closed == [True]


def test_without_stop_a_collapse_is_told_and_the_run_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    hooks = Hooks(preview=lambda step: {"diversity/fake": 0.01, "diversity/real": 1.0})
    assert len(play_dirac(tmp_path, None, steps=20, preview=5, hooks=hooks)) == 20
    assert caplog.text.count("mode_collapse") == 1


def test_a_blow_up_of_the_gradients_stops_the_run(tmp_path: Path) -> None:
    """Logged norms: 60 of about 1, then 20 times as much and more."""
    guards = Guards(stop=("exploding_gradient",))
    for step in range(1, 66):
        guards.note({"step": step, "seconds": 0.1, "grad_norm/frame": 1.0 if step <= 60 else 25.0})
    (warning,) = guards.look(65)
    assert (warning["warning"], warning["since"]) == ("exploding_gradient", 61)
    assert guards.fatal is not None


def test_a_tracker_that_fails_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def log(self, step: int, scalars: Any) -> None:
            raise ConnectionError("no network")

        def video(self, step: int, name: str, clip: Any, fps: float) -> None:
            raise AssertionError("asked again")

        def close(self) -> None:
            raise AssertionError("asked again")

    class Kept(Broken):
        def __init__(self) -> None:
            self.seen: list[Any] = []

        def log(self, step: int, scalars: Any) -> None:
            self.seen.append((step, dict(scalars)))

        def video(self, step: int, name: str, clip: Any, fps: float) -> None:
            self.seen.append((step, name, fps))

        def close(self) -> None:
            self.seen.append("closed")

    kept = Kept()
    trackers = Trackers([Broken(), kept])
    trackers.log({"step": 3, "loss/frame": 0.5, "observed": ["preview"]})
    trackers.log({"step": 4, "warning": "saturation"})  # nothing to draw
    trackers.media(4, "samples", None, 8.0)  # type: ignore[arg-type]
    trackers.close()
    assert kept.seen == [(3, {"loss/frame": 0.5}), (4, "samples", 8.0), "closed"]
    assert "Broken is left out from now on: no network" in caplog.text
