"""The number of CPU threads follows the cores that other programs leave free."""

from pathlib import Path

import pytest
import torch

from vidgan import cores
from vidgan.cores import ThreadControl, Usage, adapted_threads, read_usage, usable_cores

START = Usage(0.0, 0.0, 0.0, 0.0)


def run(control: ThreadControl, *seconds: tuple[float, float, float]) -> list[int]:
    """Give the control measurements half a second apart; each is (waited, ran, idle) in cores."""
    usage, counts = control._last, []
    for waited, ran, idle in seconds:
        usage = Usage(usage.time + 0.5, usage.waited + waited / 2, usage.ran + ran / 2, usage.idle + idle / 2)
        counts.append(control.add(usage))
    return counts


def test_an_idle_machine_keeps_every_thread() -> None:
    assert run(ThreadControl(2, START), *[(0.01, 1.9, 0.1)] * 20) == [2] * 20


def test_one_taken_core_of_two_leaves_one_thread_at_once() -> None:
    assert run(ThreadControl(2, START), (0.7, 1.3, 0.0), (0.0, 1.0, 0.0)) == [1, 1]


def test_a_competitor_at_a_fifth_of_a_core_counts_from_the_second_measurement() -> None:
    assert run(ThreadControl(2, START), (0.2, 1.8, 0.0), (0.2, 1.8, 0.0)) == [2, 1]
    assert run(ThreadControl(2, START), (0.2, 1.8, 0.0), (0.0, 1.9, 0.1), (0.2, 1.8, 0.0)) == [2, 2, 2]


def test_as_many_threads_end_as_cores_are_taken() -> None:
    assert run(ThreadControl(8, START), (2.9, 5.1, 0.0)) == [5]


def test_one_thread_always_remains() -> None:
    assert run(ThreadControl(2, START), (1.5, 0.5, 0.0), (0.5, 0.5, 0.0), (0.9, 0.1, 0.0)) == [1, 1, 1]


def test_a_core_that_stays_idle_is_used_again() -> None:
    control = ThreadControl(2, START)
    run(control, (1.0, 1.0, 0.0))
    assert run(control, *[(0.0, 1.0, 1.0)] * 3) == [1, 1, 2]


def test_a_core_that_is_partly_idle_is_left_alone() -> None:
    control = ThreadControl(2, START)
    run(control, (1.0, 1.0, 0.0))
    assert run(control, *[(0.0, 1.0, 0.6)] * 20) == [1] * 20


def test_own_idle_time_is_no_free_core() -> None:
    """One thread that waits for data half of the time leaves half a core idle; a competitor takes the other core."""
    control = ThreadControl(2, START)
    run(control, (1.0, 1.0, 0.0))
    assert run(control, *[(0.0, 0.5, 0.9)] * 20) == [1] * 20


def test_failed_attempts_become_rarer() -> None:
    control = ThreadControl(2, START)
    run(control, (1.0, 1.0, 0.0))
    waits = []
    for _ in range(3):
        waited = 1
        while run(control, (0.0, 1.0, 1.0)) == [1]:
            waited += 1
        waits.append(waited / 2)
        run(control, (0.8, 1.2, 0.0))
    assert waits == [1.5, 3.0, 6.0]


def test_the_first_count_excludes_cores_that_were_taken_before() -> None:
    # 3 of 8 cores were busy with other programs for two seconds, in which this process ran on one.
    assert ThreadControl(8, START).begin(Usage(2.0, 0.0, 2.0, 8.0)) == 5
    assert ThreadControl(8, START).begin(Usage(2.0, 0.0, 2.0, 14.0)) == 8
    assert ThreadControl(8, START).begin(Usage(0.01, 0.0, 0.0, 0.0)) == 8  # too short to tell


def test_counters_of_this_process_grow() -> None:
    before = read_usage()
    torch.randn(400, 400).inverse()
    after = read_usage()
    assert after.time > before.time and after.ran > before.ran
    assert after.waited >= before.waited and after.idle >= before.idle >= 0


def test_the_quota_of_a_control_group_limits_the_cores(tmp_path: Path) -> None:
    group = tmp_path / "sys" / "user" / "job"
    group.mkdir(parents=True)
    membership = tmp_path / "cgroup"
    membership.write_text("0::/user/job\n")
    assert cores._quota(tmp_path / "sys", membership) == float("inf")
    (group / "cpu.max").write_text("max 100000\n")
    (group.parent / "cpu.max").write_text("250000 100000\n")
    assert cores._quota(tmp_path / "sys", membership) == 2.5
    (group / "cpu.max").write_text("50000 100000\n")
    assert cores._quota(tmp_path / "sys", membership) == 0.5
    assert usable_cores() >= 1


def test_a_fixed_number_of_threads_is_not_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert cores._Process().count() is None


def test_the_caller_gets_its_number_of_threads_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        monkeypatch.setattr(cores._process, "count", lambda: 2)
        with adapted_threads() as ceiling:
            assert (ceiling, torch.get_num_threads()) == (3, 2)
        assert torch.get_num_threads() == 3
        monkeypatch.setattr(cores._process, "count", lambda: 8)
        with adapted_threads():
            assert torch.get_num_threads() == 3  # never more than the caller's
    finally:
        torch.set_num_threads(before)
