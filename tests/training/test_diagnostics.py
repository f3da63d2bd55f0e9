"""Each warning fires on its fault and stays quiet on a healthy run."""

import math
import random
from collections.abc import Callable
from typing import Any

import pytest

from vidgan.training.diagnostics import WINDOW, warnings

Record = dict[str, Any]


def healthy(steps: int = 200) -> list[Record]:
    """A run as it should be: noisy losses and norms, previews every 20 steps."""
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


def spoiled(change: Callable[[Record], None], since: int) -> list[Record]:
    records = healthy()
    for record in records:
        if record["step"] >= since:
            change(record)
    return records


def put(**values: float) -> Callable[[Record], None]:
    """A change that sets keys (written with __ for /) in the records that hold them."""
    named = {key.replace("__", "/"): value for key, value in values.items()}
    return lambda record: record.update({key: value for key, value in named.items() if key in record})


def found(records: list[Record]) -> dict[str, int]:
    return {warning.name: warning.step for warning in warnings(records)}


def test_a_healthy_run_has_no_warnings() -> None:
    assert warnings(healthy()) == []
    assert warnings([]) == []
    assert warnings(healthy(3)) == []


FAULTS: dict[str, tuple[Callable[[Record], None], str]] = {
    "discriminator_wins": (put(accuracy__video__real=1.0, accuracy__video__fake=0.995), "'video'"),
    "discriminator_learns_nothing": (
        put(accuracy__frame__real=0.52, accuracy__frame__fake=0.47, loss__frame__adversarial=2 * math.log(2)),
        "loss/frame/adversarial",
    ),
    "mode_collapse": (put(diversity__fake=0.04), "alike"),
    "frozen_clips": (put(motion__fake=0.002), "hardly move"),
    "saturation": (put(saturation__fake=0.4), "black or white"),
    "exploding_gradient": (put(grad_norm__generator=40.0), "'generator'"),
    "vanishing_gradient": (put(grad_norm__generator=1e-5), "'generator'"),
    "zero_gradient": (put(grad_norm__video=0.0), "'video'"),
    "waiting_for_data": (put(data_wait_share=0.3), "30% of the time"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_alone_and_says_what_to_do(name: str) -> None:
    change, words = FAULTS[name]
    late = name in ("exploding_gradient", "vanishing_gradient")
    since = 190 if late else 140
    (warning,) = warnings(spoiled(change, since))
    assert warning.name == name
    assert words in warning.message
    expected = {"discriminator_learns_nothing": 151, "waiting_for_data": 151}.get(name, since)
    assert warning.step == expected
    assert len(warning.message.split()) > 20


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_that_has_gone_is_not_reported(name: str) -> None:
    records = spoiled(FAULTS[name][0], 100)
    assert found(records[: len(records) // 2] + healthy()[len(records) // 2 :]) == {}


def test_one_bad_preview_or_spike_is_no_fault() -> None:
    assert found(spoiled(put(diversity__fake=0.0, motion__fake=0.0, saturation__fake=0.9), 181)) == {}
    assert found(spoiled(put(grad_norm__generator=1e6), 197)) == {}
    assert "exploding_gradient" in found(spoiled(put(grad_norm__generator=1e6), 196))


def test_just_inside_the_limits_is_no_fault() -> None:
    assert found(spoiled(put(diversity__fake=0.0501, motion__fake=0.00301, saturation__fake=0.34), 100)) == {}
    assert found(spoiled(put(accuracy__video__real=1.0, accuracy__video__fake=0.99), 100)) == {}
    assert found(spoiled(put(data_wait_share=0.2), 100)) == {}
    assert found(spoiled(put(accuracy__video__real=1.0, accuracy__video__fake=1.0), 200 - WINDOW + 2)) == {}


def test_a_coin_with_a_moving_loss_is_an_equilibrium_not_a_fault() -> None:
    assert found(spoiled(put(accuracy__frame__real=0.5, accuracy__frame__fake=0.5), 100)) == {}


def test_a_constant_answer_is_found_though_one_side_is_always_right() -> None:
    change = put(accuracy__frame__real=1.0, accuracy__frame__fake=0.0, loss__frame__adversarial=2.0)
    assert "discriminator_learns_nothing" in found(spoiled(change, 100))


def test_saturation_like_the_real_clips_is_no_fault() -> None:
    assert found(spoiled(put(saturation__fake=0.9, saturation__real=0.85), 100)) == {}
    records = [{key: value for key, value in r.items() if key != "saturation/real"} for r in healthy()]
    assert found([record | {"saturation/fake": 0.5} for record in records]) == {"saturation": 1}


def test_the_oldest_comes_first() -> None:
    def change(record: Record) -> None:
        if record["step"] >= 140:
            put(diversity__fake=0.0)(record)
        if record["step"] >= 100:
            put(motion__fake=0.0)(record)

    assert [warning.name for warning in warnings(spoiled(change, 0))] == ["frozen_clips", "mode_collapse"]
