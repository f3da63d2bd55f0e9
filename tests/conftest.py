"""Fixtures that every test may use."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real videos beside the checkout (or VIDGAN_SHARED_DATA); tests that need it skip without it."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("VIDGAN_SHARED_DATA", default))
    if not folder.is_dir():
        pytest.skip("the real data folder is not beside this checkout")
    return folder
