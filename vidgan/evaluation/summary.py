"""Summarise measurements as a result: means, intervals, differences, skill, calibration, difficulty, cases."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vidgan.evaluation.measure import OF_SAMPLES, SPREAD, Measured, Measures
from vidgan.evaluation.results import Bin, Case, ForecastScores, Score
from vidgan.evaluation.rows import Rows, Table, Values
from vidgan.metrics.calibration import coverage, spread_skill
from vidgan.metrics.frame import SEQUENCE_SUMS
from vidgan.metrics.statistics import MIN_RESAMPLES, SourceBootstrap
from vidgan.metrics.values import count_exact, count_skipped, finite_mean, finite_or_none, rank_quality

COPY_LAST = "copy-last"
DIVERSITY = "mean squared difference between the samples of a forecaster, RGB in [0, 1]"
SKILL = "1 - MSE-pix / MSE-pix of {name}, of the means over windows; 1 is perfect, 0 as good as {name}"
GREY = "; one channel: the luma, which of grey data is the grey level"
# SSIM of the first target and the last context frame; thresholds of MMVP (Zhong et al. 2023).
EASY, HARD = 0.9, 0.6


def summarise(
    measured: Measured,
    measures: Measures,
    *,
    context: int,
    horizon: int,
    protocol: str = "custom",
    subject: str | None = None,
    reference: str = COPY_LAST,
    cumulative: Sequence[int] = (),
    main: str | None = None,
    mask_note: str = "",
    fingerprint: str = "",
    resamples: int = MIN_RESAMPLES,
    seed: int = 0,
) -> ForecastScores:
    """Means, intervals, differences, difficulty bins and cases of measurements.

    Args:
        subject: the evaluated forecaster; default: the first.
        cumulative: numbers n: also the mean over the first n steps, as METRIC_firstN.
        main: the metric that orders the cases; default: the first after MSE, or MSE.
        mask_note: added to the definitions of masked metrics: the source of the masks.
        others: as in `vidgan.evaluation.forecasts.score_forecast`.

    Raises:
        ValueError: there is no window.
    """
    bootstrap = SourceBootstrap(measured.sources, resamples=resamples, seed=seed)
    values = measured.values
    subject = subject or next(iter(values))
    chosen = [key for key in values[subject] if key not in OF_SAMPLES]
    whole = {name: table | _sequence_sums(table, measures) for name, table in values.items()}
    scores = {
        name: {key: score_of(bootstrap, v) for key, v in table.items() if key not in SPREAD}
        for name, table in whole.items()
    }
    for name, table in values.items():
        for count in (n for n in cumulative if n <= horizon):
            firsts = {f"{key}_first{count}": score_of(bootstrap, table[key][:, :count]) for key in chosen}
            scores[name] |= {key: Score(s.mean, [], s.exact, s.skipped) for key, s in firsts.items()}
    differences: dict[str, dict[str, Score]] = {}
    baseline = whole[reference]
    for name, table in whole.items():
        if name != reference:
            scores[name]["skill"] = Score(*bootstrap.skill(table["mse"], baseline["mse"]))
            differences[name] = {
                key: Score(*bootstrap.difference(table[key], baseline[key])) for key in (*chosen, *measures.sums)
            }
    metrics = measures.frame | measures.masked
    definitions = {
        key: metric.definition + (mask_note if key in measures.masked else "") for key, metric in metrics.items()
    }
    better: dict[str, str] = {key: metric.better for key, metric in metrics.items()}
    definitions |= {total: SEQUENCE_SUMS[total][1] for total in measures.sums}
    better |= dict.fromkeys(measures.sums, "lower")
    definitions = {key: text + (GREY if measures.grey else "") for key, text in definitions.items()}
    for count in (n for n in cumulative if n <= horizon):
        definitions |= {f"{key}_first{count}": f"mean of {key} over forecast frames 1..{count}" for key in chosen}
        better |= {f"{key}_first{count}": better[key] for key in chosen}
    definitions["skill"] = SKILL.format(name=reference)
    if measured.samples:
        definitions["diversity"] = DIVERSITY
    calibration, bins = _calibration(measured), _bins(measured, whole, reference)
    main = main or next((key for key in measures.frame if key != "mse"), "mse")
    return ForecastScores(
        protocol=protocol,
        definitions=definitions,
        better=better | {"skill": "higher"},
        fingerprint=fingerprint,
        frame_size=measured.frame_size,
        seed=seed,
        notes=[*bootstrap.notes(), *_spread_notes(calibration), *_bin_notes(bins)],
        context=context,
        horizon=horizon,
        windows=len(measured.ids),
        sources=bootstrap.num_sources,
        resamples=resamples,
        subject=subject,
        reference=reference,
        samples=measured.samples,
        best_by=measures.best_by if measured.samples else None,
        scores=scores,
        differences=differences,
        calibration=calibration,
        bins=bins,
        cases=choose_cases(values[subject][main], measured.ids, subject, main, higher=better[main] == "higher"),
        rows=Rows(measured.ids, measured.sources, values),
    )


def _sequence_sums(table: Mapping[str, Values], measures: Measures) -> dict[str, Values]:
    """metric -> (W, 1): sums over the horizon."""
    return {total: table[SEQUENCE_SUMS[total][0]].sum(axis=1, keepdims=True) for total in measures.sums}


def score_of(bootstrap: SourceBootstrap, values: Values) -> Score:
    """Mean over windows of (W, K) values with its interval, the curve over the steps, and the values left out."""
    return Score(*bootstrap.mean(values), count_exact(values), count_skipped(values))


def _calibration(measured: Measured) -> dict[str, dict[str, Any]]:
    """sampler -> calibration: nominal and observed shares of central intervals, spread ratio, rank shares."""
    calibration = {}
    for name, batches in measured.ranks.items():
        counts = batches.sum(axis=0)
        variance, error = (float(measured.values[f"{name}/mean"][key].mean()) for key in SPREAD)
        ratio = spread_skill(variance, error, measured.samples[name])
        calibration[name] = {
            "coverage": [list(share) for share in coverage(counts)],
            "rank_shares": (counts / counts.sum()).tolist(),
            **{key: finite_or_none(value) for key, value in ratio._asdict().items()},
        }
    return calibration


def _spread_notes(calibration: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The calibration in words."""
    notes = []
    for name, entry in calibration.items():
        nominal, observed = entry["coverage"][-1]
        ratio = "none" if entry["ratio"] is None else f"{entry['ratio']:.2f}"
        notes.append(
            f"{name}: the ground truth is within the central {nominal:.0%} of the samples for {observed:.0%} of the"
            f" pixels; spread over error {ratio} (1 is calibrated, below 1 overconfident)"
        )
    return notes


def _bins(measured: Measured, values: Table, reference: str) -> dict[str, Bin]:
    """Means over the windows of each difficulty; no bins if frames are too small for SSIM."""
    like = measured.similarity
    if np.isnan(like).any():
        return {}
    sources = np.array(measured.sources)
    bins = {}
    for name, inside in {"easy": like >= EASY, "middle": (like >= HARD) & (like < EASY), "hard": like < HARD}.items():
        means = {
            forecaster: {
                key: finite_or_none(finite_mean(each[inside])) for key, each in table.items() if key not in SPREAD
            }
            for forecaster, table in values.items()
        }
        for table in means.values():
            error, copied = table["mse"], means[reference]["mse"]
            table["skill"] = 1 - error / copied if error is not None and copied else None
        bins[name] = Bin(int(inside.sum()), len(set(sources[inside])), means)
    return bins


def _bin_notes(bins: Mapping[str, Bin]) -> list[str]:
    """The number of windows of each difficulty."""
    if not bins:
        return []
    counts = ", ".join(f"{one.windows} {name}" for name, one in bins.items())
    rule = f"easy from {EASY}, hard below {HARD}"
    return [f"windows by SSIM-G of the last context and the first target frame ({rule}): {counts}"]


def choose_cases(values: Values, ids: Sequence[str], subject: str, metric: str, *, higher: bool) -> list[Case]:
    """The subject's best, median and worst window by a metric's mean over the steps; ties go to the earlier one.

    Args:
        values: (W, K), the metric of the subject.
        ids: names of the windows.
        higher: whether a higher value is better.
    """
    means = np.array([finite_mean(row) for row in values])
    order = np.argsort(-rank_quality(means, higher_is_better=higher), kind="stable")
    chosen = {"best": order[0], "median": order[len(order) // 2], "worst": order[-1]}
    return [Case(which, subject, metric, int(n), ids[n], finite_or_none(means[n])) for which, n in chosen.items()]
