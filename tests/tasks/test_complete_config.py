"""A run's config.yaml holds every value that built its networks, so that a changed default cannot slip in."""

from pathlib import Path
from typing import Any

import pytest
from helpers import small_config
from pydantic import BaseModel

import vidgan
from vidgan.config import load_config


def missing_keys(section: BaseModel, written: dict[str, Any], prefix: str = "") -> list[str]:
    """Fields of a config that a file does not hold."""
    missing = []
    for name in type(section).model_fields:
        value = getattr(section, name)
        if name not in written:
            missing.append(prefix + name)
        elif isinstance(value, BaseModel):
            missing += missing_keys(value, written[name], f"{prefix}{name}.")
    return missing


@pytest.mark.parametrize("model", ["mocogan", "dual_motion"])
def test_a_run_keeps_every_value(model: str, shapes_data: Path, tmp_path: Path) -> None:
    import yaml

    result = vidgan.train(small_config(model, shapes_data, tmp_path, train__steps=1), quiet=True)
    written = yaml.safe_load((result.run_dir / "config.yaml").read_text())
    assert not missing_keys(load_config(result.run_dir / "config.yaml"), written)


def test_a_changed_default_is_reported_and_refused(shapes_data: Path, tmp_path: Path) -> None:
    config = small_config("mocogan", shapes_data, tmp_path, train__steps=1)
    assert "bias" not in config.model.frame.model_fields_set
    vidgan.train(config, quiet=True)
    # As a version of vidgan with another default would read the same file.
    frame = config.model.frame.model_copy(update={"bias": False})
    newer = config.model_copy(update={"model": config.model.model_copy(update={"frame": frame})})
    with pytest.raises(vidgan.ConfigError, match=r"model\.frame\.bias: True -> False"):
        vidgan.train(newer, quiet=True)
