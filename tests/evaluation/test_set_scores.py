"""Optional scores of sets of clips: feature networks and optical flow, with floor, controls and hashes."""

import numpy as np
import pytest
import torch

from vidgan.evaluation.set_scores import score_synthesis
from vidgan.evaluation.tables import score_document
from vidgan.metrics.clip_statistics import CONTROLS
from vidgan.metrics.features import ClipMeasure, FeatureNet, SetMeasures
from vidgan.metrics.frechet import frechet_between, kernel_distance
from vidgan.types import ByteClip


def sliding(number: int, seed: int, size: int = 24) -> torch.Tensor:
    """Smooth textures that move right by one pixel per frame: (N, 6, 3, size, size)."""
    random = torch.Generator().manual_seed(seed)
    coarse = torch.rand(number, 3, 6, 8, generator=random) * 255
    wide = torch.nn.functional.interpolate(coarse, (size, size + 6), mode="bilinear").to(torch.uint8)
    return torch.stack([wide[..., 6 - t : 6 - t + size] for t in range(6)], dim=1)


def motion(clips: ByteClip) -> np.ndarray:
    steps = clips.double().diff(dim=1)
    return torch.stack([steps.abs().mean(dim=(1, 2, 3, 4)), clips.double().mean(dim=(1, 2, 3, 4))], dim=1).numpy()


def frame_means(clips: ByteClip) -> np.ndarray:
    return clips.double().mean(dim=(3, 4)).numpy()  # (N, T, 3)


def flow(now: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Backward flow along x from the brightness constraint, one number per frame."""
    current, previous = (frame.astype(float).sum(axis=2) for frame in (now, before))
    slope = np.gradient(previous, axis=1)
    shift = ((current - previous) * slope).sum() / max((slope * slope).sum(), 1e-9)
    return np.stack([np.full(current.shape, shift), np.zeros(current.shape)])


def test_feature_networks_and_flow_add_measures() -> None:
    real, fake = sliding(40, seed=0), sliding(20, seed=1)
    net = FeatureNet(frame_means, "means of every frame", {"net.pt": "ab12"}, ("frame_fid", "frame_kid"))
    result = score_synthesis(real, fake, flow=flow, features={"motion": motion, "frames": net}, splits=2)
    distances = {
        "frechet_motion",
        "kernel_motion",
        "frame_fid",
        "frame_kid",
        "flow_speed",
        "flow_direction",
        "track_frechet",
    }
    for name in ("generated", "real", *CONTROLS):
        assert distances <= result.scores[name].keys(), name
    assert distances <= result.definitions.keys() and distances <= result.better.keys()
    assert result.definitions["frame_fid"] == "Fréchet distance; means of every frame"
    assert "not FVD" in result.definitions["frechet_motion"]
    assert result.provenance["metric_weights"] == {"net.pt": "ab12"}
    assert result.clips == 20

    def value(name: str, measure: str) -> float:
        mean = result.scores[name][measure].mean.mean
        assert mean is not None
        return mean

    # Each measure sees the damage that it is for, and the generated clips lie at the floor.
    assert value("frozen", "frechet_motion") > 10 * value("real", "frechet_motion")
    assert value("frozen", "flow_speed") > 0.5 > 10 * value("real", "flow_speed")
    assert value("reversed", "flow_direction") > 3.5 > 0.5 > value("real", "flow_direction")
    assert value("shuffled", "track_frechet") > 4 * value("real", "track_frechet")
    assert value("frozen", "dynamic_degree") == 0 and value("real", "dynamic_degree") > 0.5
    assert value("generated", "flow_direction") < 0.5 and value("generated", "flow_speed") < 0.1
    assert value("shuffled", "flow_direction") > 4 * value("real", "flow_direction")


def test_a_network_brings_measures_of_clips_and_of_sets() -> None:
    """Curves have their mean in the table; a measure that needs more clips is left out with a note."""
    whole = FeatureNet(
        frame_means,
        "means of every frame",
        distances=(),
        of_clips={
            "first": ClipMeasure(lambda table: table[:, 0, 0], "level of the first frame"),
            "curve": ClipMeasure(lambda table: table[:, :, 0] / 255, "level of each frame"),
        },
        of_sets=SetMeasures(
            lambda ours, theirs: {"gap": float(ours.mean() - theirs.mean())}, {"gap": "difference"}, {"gap": "lower"}, 4
        ),
    )
    real, fake = sliding(8, seed=0), sliding(4, seed=1)
    result = score_synthesis(real, fake, features={"means": whole}, splits=2)
    levels = fake[:, :, 0].double().mean(dim=(0, 2, 3))  # (T,)
    curve = result.scores["generated"]["curve"]
    assert [step.mean for step in curve.horizon] == pytest.approx((levels / 255).tolist())
    assert curve.mean.mean == pytest.approx(float(levels.mean() / 255))
    assert result.scores["generated"]["first"].mean.mean == pytest.approx(float(levels[0]))
    assert result.scores["frozen"]["curve"].horizon[-1] == result.scores["frozen"]["curve"].horizon[0]
    assert "gap" in result.scores["real"] and result.better["gap"] == "lower"
    assert {"first", "curve", "gap"} <= result.definitions.keys() and "frechet_means" not in result.definitions
    document = score_document(result)
    assert document["steps"] == [1, 2, 4, 5] and len(document["curves"]["curve"]["generated"]) == 6
    few = score_synthesis(real[:6], fake, features={"means": whole}, splits=1)
    assert "gap" not in few.scores["generated"] and "gap" not in few.better
    assert any("gap need at least 4 clips" in note for note in few.notes)


def test_distances_are_those_of_the_rows() -> None:
    real, fake = sliding(8, seed=0), sliding(4, seed=1)
    given = {"whole": motion, "frames": frame_means}
    result = score_synthesis(real, fake, sources=list("aaaabbbb"), features=given, splits=1)
    # Sources a and b are the halves; which of them is the reference is drawn.
    expected = {
        name: {
            (frechet_between(*pair), kernel_distance(*pair))
            for half in (real[:4], real[4:])
            for pair in [[table.reshape(-1, table.shape[-1]) for table in (function(fake), function(half))]]
        }
        for name, function in given.items()
    }
    for name in given:
        found = [result.scores["generated"][f"{kind}_{name}"].mean.mean for kind in ("frechet", "kernel")]
        assert any(found == pytest.approx(pair) for pair in expected[name]), name


def test_too_few_clips_are_named_with_the_bias() -> None:
    clips = sliding(8, seed=0)
    wide = FeatureNet(lambda given: np.random.default_rng(0).random((len(given), 400)), "x", {}, ("fvd", "kvd"))
    notes = score_synthesis(clips, clips[:4], features={"i3d": wide}, splits=1).notes
    (note,) = [note for note in notes if "fvd" in note]
    assert "4 clips per set" in note and "below 4000" in note and "below 400 the covariance is singular" in note
    narrow = score_synthesis(clips, clips[:4], features={"one": lambda given: np.ones((len(given), 1))}, splits=1)
    assert any("frechet_one" in note and "below 10 " in note for note in narrow.notes)


def test_features_of_another_shape_are_refused() -> None:
    clips = sliding(8, seed=0)
    with pytest.raises(ValueError, match=r"'short' of 8 clips must be finite and \(8, D\).*got \(7, 3\)"):
        score_synthesis(clips, clips, features={"short": lambda given: np.zeros((7, 3))})
    with pytest.raises(ValueError, match="must be finite"):
        score_synthesis(clips, clips, features={"nan": lambda given: np.full((len(given), 3), np.nan)})


def test_continued_clips_are_compared_with_the_controls_of_the_same_clips() -> None:
    real = sliding(12, seed=0)
    frozen = real[:, :1].expand_as(real).contiguous()
    scores = score_synthesis(real, frozen, continued=True, splits=3).scores
    assert scores["generated"].keys() == scores["frozen"].keys()
    for measure, score in scores["frozen"].items():
        assert scores["generated"][measure].mean.mean == score.mean.mean, measure
    with pytest.raises(ValueError, match="6 of 12"):
        score_synthesis(real, frozen[:6], continued=True)
