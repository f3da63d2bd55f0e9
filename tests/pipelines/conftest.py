"""Makes the pipelines importable."""

import sys
from pathlib import Path

PIPELINES = Path(__file__).resolve().parents[2] / "pipelines"
sys.path.insert(0, str(PIPELINES))
