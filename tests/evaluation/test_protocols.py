"""Presets: their windows counted by hand, their data checks, and the published rows they may stand beside."""

import inspect
import re

import pytest
from typer.testing import CliRunner

from vidgan.cli.app import app
from vidgan.data.layouts.discovery import check_layout
from vidgan.data.preparing.prepare import prepare
from vidgan.evaluation import METRICS
from vidgan.evaluation.protocols import LPIPS, PROTOCOLS, ForecastProtocol, Windows, find_protocol
from vidgan.evaluation.published import PUBLISHED, quoted_rows
from vidgan.metrics.frame import SEQUENCE_SUMS
from vidgan.metrics.masked import MASKED

FORECASTS = [protocol for protocol in PROTOCOLS.values() if isinstance(protocol, ForecastProtocol)]


class TestWindows:
    def test_from_the_front_without_overlap(self) -> None:
        assert Windows().starts(35, 11) == [0, 11, 22]  # the last 2 frames are dropped
        assert Windows().starts(10, 11) == []
        assert Windows(hop=5).starts(20, 10) == [0, 5, 10]
        assert Windows(first=1).starts(100, 9) == [0]

    def test_from_the_end_on_every_third_frame(self) -> None:
        """OpenSTL's Caltech: frames 2, 5, 8, ... of 77 are 25; two windows of 11 end with the clip."""
        rule = Windows(align="end", stride=3, offset=2)
        assert rule.starts(77, 11) == [2 + 3 * 3, 2 + 3 * 14]
        assert rule.starts(34, 11) == [2]  # frames 2, 5, ..., 32
        assert rule.starts(32, 11) == []

    def test_a_category_can_have_a_hop_of_its_own(self) -> None:
        rule = Windows(hops={"running": 3})
        assert rule.starts(36, 30, category="running") == [0, 3, 6]
        assert rule.starts(36, 30, category="boxing") == [0]

    def test_a_random_start_is_keyed_by_clip_and_seed(self) -> None:
        rule = Windows(align="random")
        starts = [rule.starts(1000, 40, key=key, seed=seed) for key, seed in (("a", 0), ("a", 0), ("b", 0), ("a", 1))]
        assert all(len(start) == 1 and 0 <= start[0] <= 960 for start in starts)
        assert starts[0] == starts[1] and len({start[0] for start in starts}) == 3


@pytest.mark.parametrize("protocol", FORECASTS, ids=lambda protocol: protocol.name)
def test_every_metric_of_a_preset_exists(protocol: ForecastProtocol) -> None:
    known = METRICS.keys() | LPIPS.keys() | MASKED.keys() | SEQUENCE_SUMS.keys()
    assert set(protocol.metrics) <= known
    assert protocol.context >= 1 and protocol.horizon >= 1 and protocol.data


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=lambda protocol: protocol.name)
def test_quoted_rows_fit_the_metrics_of_their_preset(protocol: ForecastProtocol) -> None:
    if not protocol.published:
        return
    measured = {"fvd", "inception_score"}
    if isinstance(protocol, ForecastProtocol):
        measured = {*protocol.metrics, *(f"{m}_first{n}" for m in protocol.metrics for n in protocol.cumulative)}
    for table, row in quoted_rows(protocol):
        assert row.values.keys() <= measured, (table, row.method)


def test_published_rows_carry_how_sure_they_are() -> None:
    caltech = {row.method: row for row in PUBLISHED["caltech"]}
    ours = caltech["Dual Motion GAN"]
    assert ours.values == {"mse": pytest.approx(2.41e-3), "ssim": 0.899} and not ours.verified
    assert ours.label == "Dual Motion GAN (quoted, unverified: second-hand)"
    assert "psnr" not in caltech["SimVP"].values  # 33.1 dB is an overflow
    openstl = next(row for row in PUBLISHED["caltech-openstl"] if row.method == "TAU")
    assert openstl.label == "TAU (quoted)" and openstl.values["psnr"] == 27.83
    # A PSNR above 33 dB on KTH or Caltech in 2022-23 was squared in uint8.
    for table in ("caltech", "kth-10to20", "kth-10to40", "mmnist"):
        assert all(row.values.get("psnr", 0) < 33 for row in PUBLISHED[table])


def test_data_of_another_preparation_are_told_apart() -> None:
    preparation = PROTOCOLS["caltech-10to1"].preparation
    assert preparation is not None
    settings = preparation.options()
    assert settings["every"] == 3 and settings["layout"] == "caltech-seq" and settings["cuts"] == "off"
    assert preparation.deviations(settings, (128, 160)) == []
    assert preparation.deviations({**settings, "every": 1}, (128, 160)) == ["every is 1, not 3"]
    found = preparation.deviations({}, (64, 64))
    assert found[0] == "frames are 64x64, not 128x160" and "layout is auto, not caltech-seq" in found


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=lambda protocol: protocol.name)
def test_prepare_takes_what_a_preset_fixes(protocol: ForecastProtocol) -> None:
    if protocol.preparation is not None:
        check_layout(protocol.preparation.layout)
        assert protocol.preparation.options().keys() <= inspect.signature(prepare).parameters.keys()


def test_finding_a_protocol() -> None:
    assert find_protocol("caltech-10to1-openstl").windows.align == "end"  # type: ignore[union-attr]
    with pytest.raises(ValueError, match=r"caltech-10to2.*did you mean caltech-10to1.*gen-fvd2048-16"):
        find_protocol("caltech-10to2")


def test_the_presets_of_the_field_are_there() -> None:
    wanted = """kitti-prednet caltech-10to1 mmnist-10to10 kth-10to20 kth-10to40 kth-svg-10to30 bair-2to28 smmnist-5to20
        ucf-mathieu ucf-dvf ucf-full human36m-4to4 human36m-4to4-legacy cityscapes davis vimeo gen-ucf-is
        gen-fvd2048-16 folder"""
    assert set(wanted.split()) <= PROTOCOLS.keys()


def test_the_command_names_every_preset() -> None:
    text = re.sub(r"-\s+", "-", CliRunner().invoke(app, ["evaluate", "--help"]).stdout)  # lines break at hyphens
    missing = [name for name in PROTOCOLS if not re.search(rf"\b{name}[,;.) ]", text)]
    assert not missing
