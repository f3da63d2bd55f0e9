"""Fixtures that every test may use."""

import os
from pathlib import Path

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the tests that share a fixture of their module run in one worker of xdist, which then makes it only once."""
    for item in items:
        if not isinstance(item, pytest.Function) or item.get_closest_marker("xdist_group") is not None:
            continue
        fixtures = [fixture for same in item._fixtureinfo.name2fixturedefs.values() for fixture in same]
        if any(fixture.scope == "module" for fixture in fixtures):
            item.add_marker(pytest.mark.xdist_group(item.path.name))


@pytest.fixture(scope="session", autouse=True)
def cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A cache folder for this session, so that no test reads or writes the user's."""
    os.environ["VIDGAN_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real videos beside the checkout (or VIDGAN_SHARED_DATA); tests that need it skip without it."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("VIDGAN_SHARED_DATA", default))
    if not folder.is_dir():
        pytest.skip("the real data folder is not beside this checkout")
    return folder


@pytest.fixture(scope="session")
def shapes_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eighteen prepared clips of moving shapes: 20 frames of 32x32, three categories, flow, a test split."""
    from vidgan.data.preparing.prepare import prepare
    from vidgan.data.synthetic.shapes import render_shapes

    folder = tmp_path_factory.mktemp("shapes")
    render_shapes(folder / "videos", clips=18, frames=20, size=32, seed=0)
    prepare(folder / "videos", folder / "data", size=(32, 32), flow="auto", categories=True, holdout=0.3)
    return folder / "data"
