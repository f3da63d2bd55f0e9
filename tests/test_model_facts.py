"""Facts of trained weights: the content of vidgan.json as one record."""

import json
from pathlib import Path
from typing import Any

import pytest

from vidgan.errors import PretrainedError
from vidgan.hub import ModelFacts, read_facts, shipped_weights


@pytest.mark.parametrize("folder", shipped_weights().values(), ids=lambda folder: folder.parent.name)
def test_shipped_facts_survive_the_record(folder: Path) -> None:
    """Keys, values and their order."""
    content = {key: value for key, value in read_facts(folder).items() if key != "class"}
    facts = ModelFacts.from_json(content)
    assert json.dumps(facts.to_json()) == json.dumps(content)
    assert facts.name is not None and facts.fingerprint == content["data"]["fingerprint"]
    assert facts.other["config"] == content["config"]


def test_missing_facts_take_their_defaults() -> None:
    facts = ModelFacts.from_json({"class": "MoCoGAN", "frames": 12, "categories": ["walk", "run"]})
    assert (facts.frames, facts.stride, facts.fit, facts.context) == (12, 1, "crop", None)
    assert facts.categories == ("walk", "run") and facts == ModelFacts.from_json(facts.to_json())
    assert "data" not in facts.to_json() and "context" not in facts.to_json()


@pytest.mark.parametrize(
    "wrong", [{"frames": "16"}, {"stride": None}, {"sampled_fps": "8"}, {"data": "x"}, {"categories": 3}, {"run": 1}]
)
def test_facts_of_the_wrong_type_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(PretrainedError, match=f"vidgan.json: {next(iter(wrong))}"):
        ModelFacts.from_json(wrong)
