"""Which set measures to distrust, as measured by `tools/sensitivity.py` (docs/sensitivity.md).

A test compares these marks with `docs/results/sensitivity.json`.
"""

from collections.abc import Iterable, Mapping
from typing import Final

NOT_SEEING: Final = "†"  # mark of a measure in `BLIND`
REWARDING: Final = "‡"  # mark of a measure in `REWARDED`
BLIND: Final[tuple[str, ...]] = ("diversity", "flow_direction", "transition_kernel", "precision", "recall")
"""Measures that see no damage in more than half of the tested data sets."""

REWARDED: Final[Mapping[str, tuple[str, ...]]] = {
    "motion_histogram": ("half speed",),
    "frechet_inhouse": ("blurred", "frozen", "half speed"),
    "flow_speed": ("half speed",),
    "flow_direction": ("frozen", "looped", "shuffled"),
    "track_frechet": ("frozen", "half speed"),
    "transition_frechet": ("frozen", "half speed"),
    "transition_kernel": ("half speed",),
    "recall": ("frozen",),
}
"""Measure -> kinds of damage that it called better than real clips in a tested data set."""


def sensitivity_marks(measure: str) -> str:
    """The signs that tables put after the name of a measure of sets; none for one that passed."""
    return NOT_SEEING * (measure in BLIND) + REWARDING * (measure in REWARDED)


def sensitivity_notes(measures: Iterable[str]) -> list[str]:
    """Notes for a result with these measures."""
    measures = list(measures)
    blind = [name for name in measures if name in BLIND]
    rewarded = [f"{name} ({', '.join(REWARDED[name])})" for name in measures if name in REWARDED]
    notes = []
    if blind:
        notes.append(
            f"{NOT_SEEING} {', '.join(blind)}: told no tested damage from real clips reliably (docs/sensitivity.md)"
        )
    if rewarded:
        notes.append(f"{REWARDING} called damaged clips better than real ones on tested data: {'; '.join(rewarded)}")
    return notes
