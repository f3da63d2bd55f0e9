"""Means per source video."""

import json
from pathlib import Path

import by_source
import numpy as np
import pytest

from vidgan.evaluation.rows import Rows, rows_bytes, rows_path

ROWS = Rows(
    windows=["b:0", "a:0", "b:5"],
    sources=["b", "a", "b"],
    values={
        "model": {"psnr": np.array([[20.0, 10.0], [31.0, 33.0], [30.0, np.nan]])},
        "copy-last": {"psnr": np.array([[12.0, 14.0], [np.inf, np.inf], [np.inf, 16.0]])},
    },
)


def test_means_exclude_exact_frames(tmp_path: Path) -> None:
    result, out = tmp_path / "scores.json", tmp_path / "table.json"
    rows_path(result).write_bytes(rows_bytes(ROWS))
    assert by_source.main([str(result), "--out", str(out)]) == 0
    table = json.loads(out.read_text())
    assert table["columns"] == ["source", "windows", "model", "copy-last"]
    assert table["rows"] == [["a", 1, 32.0, None], ["b", 2, 20.0, 14.0]]
    with pytest.raises(FileExistsError):
        by_source.main([str(result), "--out", str(out)])
    with pytest.raises(SystemExit, match=r"no ssim of 'model'; .*model \(psnr\); copy-last \(psnr\)"):
        by_source.main([str(result), "--metric", "ssim"])
