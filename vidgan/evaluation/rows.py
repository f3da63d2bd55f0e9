"""The single measurements of an evaluation: one row per (window, step), one column per (forecaster, metric).

A result in JSON holds means. Paired differences with another result need the measurements, which are saved in a
compressed npz file (no pickle): `RESULT.rows.npz` for `RESULT.json`.
"""

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from vidgan.metrics.values import Values, finite_mean, finite_or_none

Table: TypeAlias = dict[str, dict[str, Values]]  # name -> metric -> values


@dataclass(frozen=True)
class Rows:
    """Measurements of W windows (or videos), step by step.

    Attributes:
        windows: W names, such as "drive 3@20": source and first frame.
        sources: W names of the source videos, the units of the bootstrap.
        values: name -> metric -> (W, K), +inf and NaN as `vidgan.metrics.values` defines them; NaN also for a step
            beyond the end of a video that is shorter than the longest.
    """

    windows: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    values: Table = field(default_factory=dict)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """One dictionary per measurement: name, metric, window, source, horizon (from 1), value (None: infinite)."""
        for name, metrics in self.values.items():
            for metric, table in metrics.items():
                for (window, step), value in np.ndenumerate(table):
                    if not np.isnan(value):
                        yield {
                            "name": name,
                            "metric": metric,
                            "window": self.windows[window],
                            "source": self.sources[window],
                            "horizon": step + 1,
                            "value": finite_or_none(value),
                        }


def video_means(table: Values) -> Values:
    """(V, T) -> (V,): mean over the frames of each video by the rule of `vidgan.metrics.values`."""
    return finite_mean(table, axis=1)


def rows_path(result: Path) -> Path:
    """The file with the measurements of the result file `result`."""
    return result.with_name(f"{result.name.removesuffix('.json')}.rows.npz")


def rows_bytes(rows: Rows) -> bytes:
    """The content of the npz file."""
    names = [(name, metric) for name, metrics in rows.values.items() for metric in metrics]
    arrays: dict[str, Any] = {
        "windows": np.array(rows.windows, dtype=str),
        "sources": np.array(rows.sources, dtype=str),
        "columns": np.array(names, dtype=str).reshape(-1, 2),
    }
    arrays |= {f"column-{i}": rows.values[name][metric] for i, (name, metric) in enumerate(names)}
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **arrays)
    return content.getvalue()


def load_rows(path: Path) -> Rows:
    """Read a file written from `rows_bytes`.

    Raises:
        ValueError: no such file, or it is damaged; the message names it.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            values: Table = {}
            for i, (name, metric) in enumerate(stored["columns"].tolist()):
                values.setdefault(name, {})[metric] = np.asarray(stored[f"column-{i}"], dtype=np.float64)
            return Rows(stored["windows"].tolist(), stored["sources"].tolist(), values)
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: the measurements of a result cannot be read ({error}); evaluate again") from error
