"""Each fault is detected, and a healthy run has none."""

import math
import random
from collections.abc import Callable
from typing import Any

import pytest

from vidgan.training.diagnostics import WINDOW, diagnose

Record = dict[str, Any]


def healthy(steps: int = 200) -> list[Record]:
    """Records of a healthy run: noisy losses and norms, previews every 20 steps."""
    rng = random.Random(0)
    records: list[Record] = []
    for step in range(1, steps + 1):
        record: Record = {
            "step": step,
            "seconds": 0.1,
            "clips_per_second": 80.0,
            "data_wait_share": rng.uniform(0.0, 0.1),
            "loss/frame/adversarial": rng.uniform(0.9, 1.3),
            "loss/generator/frame": rng.uniform(0.7, 2.0),
            "lr/frame": 2e-4,
        }
        for net in ("frame", "video"):
            record[f"accuracy/{net}/real"] = rng.uniform(0.6, 1.0)
            record[f"accuracy/{net}/fake"] = rng.uniform(0.6, 1.0)
        for net in ("generator", "frame", "video"):
            record[f"grad_norm/{net}"] = rng.lognormvariate(0, 0.5)
        records.append(record)
        if step % 20 == 0:
            sample = {"diversity/fake": 0.3, "diversity/real": 0.5, "motion/fake": 0.02, "motion/real": 0.03}
            records.append(
                {"step": step, **sample, "saturation/fake": 0.1, "saturation/real": 0.05, "ema_distance": 0.1}
            )
    return records


def with_fault(change: Callable[[Record], None], since: int) -> list[Record]:
    records = healthy()
    for record in records:
        if record["step"] >= since:
            change(record)
    return records


def setting(**values: float) -> Callable[[Record], None]:
    """Return a change that sets keys (written with __ for /) in the records that have them."""
    named = {key.replace("__", "/"): value for key, value in values.items()}
    return lambda record: record.update({key: value for key, value in named.items() if key in record})


def faults(records: list[Record]) -> dict[str, int]:
    return {fault.name: fault.step for fault in diagnose(records)}


def test_healthy_run_has_no_faults() -> None:
    assert diagnose(healthy()) == []
    assert diagnose([]) == []
    assert diagnose(healthy(3)) == []


FAULTS: dict[str, tuple[Callable[[Record], None], str]] = {
    "discriminator_wins": (setting(accuracy__video__real=1.0, accuracy__video__fake=0.995), "'video'"),
    "discriminator_learns_nothing": (
        setting(accuracy__frame__real=0.52, accuracy__frame__fake=0.47, loss__frame__adversarial=2 * math.log(2)),
        "loss/frame/adversarial",
    ),
    "mode_collapse": (setting(diversity__fake=0.04), "diversity"),
    "frozen_clips": (setting(motion__fake=0.002), "stride"),
    "saturation": (setting(saturation__fake=0.4), "saturated"),
    "exploding_gradient": (setting(grad_norm__generator=40.0), "'generator'"),
    "vanishing_gradient": (setting(grad_norm__generator=1e-5), "'generator'"),
    "zero_gradient": (setting(grad_norm__video=0.0), "'video'"),
    "waiting_for_data": (setting(data_wait_share=0.3), "data.workers"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_detected_alone_with_advice(name: str) -> None:
    change, key = FAULTS[name]
    late = name in ("exploding_gradient", "vanishing_gradient")
    since = 190 if late else 140
    (fault,) = diagnose(with_fault(change, since))
    assert fault.name == name
    assert key in fault.message
    expected = {"discriminator_learns_nothing": 151, "waiting_for_data": 151}.get(name, since)
    assert fault.step == expected
    assert len(fault.message.split()) > 20


@pytest.mark.parametrize("name", FAULTS)
def test_past_fault_is_not_reported(name: str) -> None:
    records = with_fault(FAULTS[name][0], 100)
    assert faults(records[: len(records) // 2] + healthy()[len(records) // 2 :]) == {}


def test_single_bad_preview_or_spike_is_no_fault() -> None:
    assert faults(with_fault(setting(diversity__fake=0.0, motion__fake=0.0, saturation__fake=0.9), 181)) == {}
    assert faults(with_fault(setting(grad_norm__generator=1e6), 197)) == {}
    assert "exploding_gradient" in faults(with_fault(setting(grad_norm__generator=1e6), 196))


def test_value_just_inside_its_limit_is_no_fault() -> None:
    assert faults(with_fault(setting(diversity__fake=0.0501, motion__fake=0.00301, saturation__fake=0.34), 100)) == {}
    assert faults(with_fault(setting(accuracy__video__real=1.0, accuracy__video__fake=0.99), 100)) == {}
    assert faults(with_fault(setting(data_wait_share=0.2), 100)) == {}
    assert faults(with_fault(setting(accuracy__video__real=1.0, accuracy__video__fake=1.0), 200 - WINDOW + 2)) == {}


def test_chance_accuracy_with_a_varying_loss_is_no_fault() -> None:
    assert faults(with_fault(setting(accuracy__frame__real=0.5, accuracy__frame__fake=0.5), 100)) == {}


def test_constant_output_is_detected_although_one_side_is_always_correct() -> None:
    change = setting(accuracy__frame__real=1.0, accuracy__frame__fake=0.0, loss__frame__adversarial=2.0)
    assert "discriminator_learns_nothing" in faults(with_fault(change, 100))


def test_saturation_as_high_as_that_of_real_clips_is_no_fault() -> None:
    assert faults(with_fault(setting(saturation__fake=0.9, saturation__real=0.85), 100)) == {}
    records = [{key: value for key, value in r.items() if key != "saturation/real"} for r in healthy()]
    assert faults([record | {"saturation/fake": 0.5} for record in records]) == {"saturation": 1}


def test_oldest_fault_comes_first() -> None:
    def change(record: Record) -> None:
        if record["step"] >= 140:
            setting(diversity__fake=0.0)(record)
        if record["step"] >= 100:
            setting(motion__fake=0.0)(record)

    assert [fault.name for fault in diagnose(with_fault(change, 0))] == ["frozen_clips", "mode_collapse"]
