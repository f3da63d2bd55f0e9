"""Guards report a fault once at its start and once at its end, also across a resume, and can stop a run."""

from pathlib import Path
from typing import Any

import pytest
from test_loop import play_dirac

from vidgan.errors import CollapseError
from vidgan.training.checkpoint import load_latest
from vidgan.training.diagnostics import diagnose
from vidgan.training.guards import Guards
from vidgan.training.journal import read_journal
from vidgan.training.loop import Protection
from vidgan.training.recorder import Hooks
from vidgan.training.trackers import Trackers


def previews(shares: list[float]) -> list[dict[str, Any]]:
    """Records of previews whose samples have these shares of the diversity of real clips."""
    return [{"step": i + 1, "diversity/fake": share, "diversity/real": 1.0} for i, share in enumerate(shares)]


def reports(shares: list[float], guards: Guards) -> list[dict[str, Any]]:
    records = []
    for record in previews(shares):
        guards.add(record)
        for warning in guards.check(record["step"]):
            guards.add(warning)
            records.append({key: value for key, value in warning.items() if key != "message"})
    return records


def test_fault_is_reported_at_its_start_and_its_end() -> None:
    guards = Guards(stop=("mode_collapse",))
    assert reports([0.5, 0.01, 0.01, 0.01, 0.5, 0.01, 0.01], guards) == [
        {"step": 3, "warning": "mode_collapse", "holds": True, "since": 2},
        {"step": 5, "warning": "mode_collapse", "holds": False},
        {"step": 7, "warning": "mode_collapse", "holds": True, "since": 6},
    ]
    assert guards.fatal is not None and guards.fatal.name == "mode_collapse"


def test_fault_reported_before_a_resume_is_not_repeated() -> None:
    history = previews([0.01, 0.01])
    first = Guards()
    for record in history:
        first.add(record)
    history += list(first.check(2))
    assert len(history) == 3
    resumed = Guards(history=history)
    assert list(resumed.check(2)) == []
    assert resumed.fatal is None, "only selected faults stop a run"


def test_lasting_decline_of_the_score_is_a_fault() -> None:
    def scores(*values: float) -> list[dict[str, Any]]:
        return [{"step": 10 * (i + 1), "evaluation/score": value} for i, value in enumerate(values)]

    (fault,) = diagnose(scores(20.0, 25.0, 22.0, 22.0, 21.0, 22.0, 22.0))
    assert (fault.name, fault.step) == ("evaluation_worsens", 20)
    assert not diagnose(scores(20.0, 25.0, 22.0, 22.0, 21.0, 22.0)), "four since the best"
    assert not diagnose(scores(20.0, 25.0, 24.0, 24.0, 23.0, 24.0, 24.0)), "within a tenth of the best"
    (distance,) = diagnose(scores(-100.0, -50.0, *[-56.0] * 5))
    assert distance.step == 20


def test_collapse_stops_the_run_after_it_was_saved(tmp_path: Path) -> None:
    closed: list[bool] = []
    hooks = Hooks(
        preview=lambda step: {"diversity/fake": 0.5 if step < 20 else 0.01, "diversity/real": 1.0},
        close=lambda: closed.append(True),
    )
    with pytest.raises(CollapseError, match=r"step 25: .*guards\.stop"):
        play_dirac(tmp_path, None, steps=50, preview=5, hooks=hooks, protection=Protection(stop=("mode_collapse",)))
    saved = load_latest(tmp_path / "checkpoints")
    assert saved is not None and saved.step == 25
    (warning,) = (record for record in read_journal(tmp_path) if "warning" in record)
    assert (warning["step"], warning["since"], warning["holds"]) == (25, 20, True)
    assert closed == [True]


def test_without_stop_a_collapse_is_only_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    hooks = Hooks(preview=lambda step: {"diversity/fake": 0.01, "diversity/real": 1.0})
    assert len(play_dirac(tmp_path, None, steps=20, preview=5, hooks=hooks)) == 20
    assert caplog.text.count("mode_collapse") == 1


def test_exploding_gradients_stop_the_run(tmp_path: Path) -> None:
    """60 norms of 1, then 25."""
    guards = Guards(stop=("exploding_gradient",))
    for step in range(1, 66):
        guards.add({"step": step, "seconds": 0.1, "grad_norm/frame": 1.0 if step <= 60 else 25.0})
    (warning,) = guards.check(65)
    assert (warning["warning"], warning["since"]) == ("exploding_gradient", 61)
    assert guards.fatal is not None


def test_failing_tracker_is_disabled(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def log(self, step: int, scalars: Any) -> None:
            raise ConnectionError("no network")

        def video(self, step: int, name: str, clip: Any, fps: float) -> None:
            raise AssertionError("called after its failure")

        def close(self) -> None:
            raise AssertionError("called after its failure")

    class Working(Broken):
        def __init__(self) -> None:
            self.calls: list[Any] = []

        def log(self, step: int, scalars: Any) -> None:
            self.calls.append((step, dict(scalars)))

        def video(self, step: int, name: str, clip: Any, fps: float) -> None:
            self.calls.append((step, name, fps))

        def close(self) -> None:
            self.calls.append("closed")

    working = Working()
    trackers = Trackers([Broken(), working])
    trackers.log({"step": 3, "loss/frame": 0.5, "observed": ["preview"]})
    trackers.log({"step": 4, "warning": "saturation"})  # no scalars
    trackers.media(4, "samples", None, 8.0)  # type: ignore[arg-type]
    trackers.close()
    assert working.calls == [(3, {"loss/frame": 0.5}), (4, "samples", 8.0), "closed"]
    assert "Broken" in caplog.text and "no network" in caplog.text
