"""Arithmetic of charts: round tick marks, short number texts, running means, and fewer points with the same outline."""

import math
from collections.abc import Sequence

Point = tuple[float, float]


def nice_ticks(low: float, high: float, target: int = 5) -> list[float]:
    """Round values (1, 2 or 5 times a power of ten apart) within [low, high], about `target` of them."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        raise ValueError(f"ticks need finite low < high, got {low} and {high}")
    rough = (high - low) / target
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{number * step:.12g}") for number in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Values for a logarithmic axis, `low` and `high` being exponents of ten: decades, or 1-2-5 steps if few fit."""
    first, last = math.ceil(low - 1e-9), math.floor(high + 1e-9)
    decades = list(range(first, last + 1))
    if len(decades) >= 3:
        every = math.ceil(len(decades) / 6)
        return [10.0**exponent for exponent in decades[::every]]
    fine = [factor * 10.0**exponent for exponent in range(first - 1, last + 1) for factor in (1, 2, 5)]
    inside = [value for value in fine if low - 1e-9 <= math.log10(value) <= high + 1e-9]
    return inside if len(inside) >= 2 else nice_ticks(10.0**low, 10.0**high, 4)


def short(value: float, digits: int = 4) -> str:
    """A number as a person would write it: `digits` significant ones, thousands grouped, powers for the very small."""
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1e7 or size < 1e-3:
        mantissa, exponent = f"{value:.2e}".split("e")
        return f"{float(mantissa):g}e{int(exponent)}"
    if size >= 1000:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def tick_text(value: float) -> str:
    """Like `short`, with M and k where the zeros of a large round number would take the space."""
    for limit, letter in ((1e6, "M"), (1e5, "k")):
        if abs(value) >= limit:
            return f"{value / (1e6 if letter == 'M' else 1e3):g}{letter}"
    return short(value)


def running_mean(values: Sequence[float], window: int) -> list[float]:
    """Mean over the `window` values centred on each; at the ends over those that there are."""
    sums = [0.0]
    for value in values:
        sums.append(sums[-1] + value)
    half = window // 2
    result = []
    for i in range(len(values)):
        start, stop = max(0, i - half), min(len(values), i + half + 1)
        result.append((sums[stop] - sums[start]) / (stop - start))
    return result


def thin(points: Sequence[Point], limit: int) -> list[Point]:
    """At most `limit` of the points: the lowest and the highest of each stretch, so that no spike disappears."""
    if len(points) <= limit:
        return list(points)
    inner = points[1:-1]
    stretches = (limit - 2) // 2
    kept = [points[0]]
    for number in range(stretches):
        stretch = inner[number * len(inner) // stretches : (number + 1) * len(inner) // stretches]
        lowest, highest = min(stretch, key=lambda point: point[1]), max(stretch, key=lambda point: point[1])
        kept += sorted({lowest, highest})
    return [*kept, points[-1]]


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of the values lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * (len(ordered) - 1))))]
