"""The Inception Score on a value computed elsewhere, and TGAN's C3D with a miniature of its file."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.errors import WeightsError
from vidgan.metrics.inception import CONVOLUTIONS, DENSE, c3d, c3d_classifier, inception_score

ROWS = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6], [0.25, 0.5, 0.25]])


def test_golden_value() -> None:
    assert inception_score(ROWS).score == pytest.approx(1.2467337681, abs=1e-6)  # there without the eps of 1e-7
    assert inception_score(ROWS, eps=1e-20).score == pytest.approx(1.2467337681, abs=1e-10)
    assert inception_score(ROWS).deviation == 0


def test_extremes_and_splits() -> None:
    certain = np.eye(5).repeat(3, axis=0)
    assert inception_score(certain).score == pytest.approx(5.0, abs=1e-5)
    assert inception_score(np.full((6, 5), 0.2)).score == pytest.approx(1.0)
    # Sorted by class, every split holds a single class and scores 1: with few clips per split the score is biased.
    assert inception_score(certain, splits=5).score == pytest.approx(1.0)
    two = inception_score(ROWS, splits=2)
    parts = [inception_score(half).score for half in (ROWS[:2], ROWS[2:])]
    assert two == pytest.approx((np.mean(parts), np.std(parts)))


def test_invalid_probabilities_are_rejected() -> None:
    with pytest.raises(ValueError, match="sum to 1"):
        inception_score(ROWS * 2)
    with pytest.raises(ValueError, match="sum to 1"):
        inception_score(ROWS * np.nan)
    with pytest.raises(ValueError, match="5 splits need"):
        inception_score(ROWS, splits=5)


def miniature() -> dict[str, np.ndarray]:
    """TGAN's C3D with two channels a layer: the array names and the shape of everything else are the file's."""
    random = np.random.default_rng(0)
    arrays = {}
    channels = 3
    for name in CONVOLUTIONS:
        arrays[f"{name}/W"] = random.normal(size=(2, channels, 3, 3, 3)) * 0.2
        arrays[f"{name}/b"] = random.normal(size=2) * 0.1
        channels = 2
    width = 2 * 1 * 4 * 4  # 112 pixels are halved five times, rounding up: 4; 16 frames four times: 1
    for name, out in zip(DENSE, (6, 5, 4), strict=True):
        arrays[f"{name}/W"], arrays[f"{name}/b"] = random.normal(size=(out, width)) * 0.3, random.normal(size=out)
        width = out
    return {name: array.astype(np.float32) for name, array in arrays.items()}


class Preparation(nn.Module):
    """Stands in for a classifier and returns its input: the mean of each channel and one corner pixel."""

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[1:] == (3, 16, 112, 112)
        return torch.cat([x.mean(dim=[2, 3, 4]), x[:, :, 0, 0, 0]], dim=1)


def test_tgans_file(tmp_path: Path) -> None:
    arrays = miniature()
    np.savez(tmp_path / "c3d.npz", **arrays)
    mean = np.random.default_rng(1).uniform(90, 110, (3, 1, 16, 128, 171)).astype(np.float32)
    np.savez(tmp_path / "mean2.npz", mean=mean)
    clips = torch.randint(0, 256, (2, 16, 3, 128, 128), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    probabilities = c3d_classifier(tmp_path / "c3d.npz", tmp_path / "mean2.npz", batch=1)(clips)
    assert probabilities.shape == (2, 4) and probabilities.sum(axis=1) == pytest.approx(1.0)
    # 128x128 needs no resizing: BGR less columns 21..148 of the mean, central 112x112.
    prepared = clips.float().flip(2).transpose(1, 2) - torch.from_numpy(mean[:, 0, :, :, 21:149])
    logits = c3d(prepared[..., 8:120, 8:120], {name: torch.from_numpy(array) for name, array in arrays.items()})
    np.testing.assert_allclose(probabilities, logits.softmax(dim=1).numpy(), atol=1e-5)
    (tmp_path / "half.npz").write_bytes((tmp_path / "c3d.npz").read_bytes()[:5000])
    for name, reason in (("mean2.npz", r"mean2\.npz: .*conv1a/W"), ("half.npz", r"half\.npz")):
        with pytest.raises(WeightsError, match=reason):
            c3d_classifier(tmp_path / name, tmp_path / "mean2.npz")
    with pytest.raises(WeightsError, match="an array 'mean'"):
        c3d_classifier(tmp_path / "c3d.npz", tmp_path / "c3d.npz")
    with pytest.raises(WeightsError, match=r"absent\.npz.*tgan"):
        c3d_classifier(tmp_path / "absent.npz", tmp_path / "mean2.npz")
    with pytest.raises(ValueError, match="16 frames, got 15"):
        c3d_classifier(tmp_path / "c3d.npz", tmp_path / "mean2.npz")(clips[:, :15])


@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")
def test_a_torchscript_classifier_and_the_resize(tmp_path: Path) -> None:
    torch.jit.script(Preparation()).save(str(tmp_path / "c3d.pt"))
    np.savez(tmp_path / "mean2.npz", mean=np.zeros((3, 1, 16, 128, 171), np.float32))
    random = torch.Generator().manual_seed(0)
    clips = torch.randint(0, 256, (1, 16, 3, 8, 8), dtype=torch.uint8, generator=random)
    clips = F.interpolate(clips.flatten(0, 1).float(), (64, 64), mode="bilinear").round().to(torch.uint8)[None]
    probabilities = c3d_classifier(tmp_path / "c3d.pt", tmp_path / "mean2.npz")(clips)
    cv2 = pytest.importorskip("cv2")
    frame = cv2.resize(clips[0, 0].permute(1, 2, 0).float().numpy(), (128, 128), interpolation=cv2.INTER_CUBIC)
    corner = frame.clip(0, 255)[8, 8, ::-1]  # BGR, as the network receives it
    differences = np.log(probabilities[0, 3:]) - np.log(probabilities[0, 3])
    np.testing.assert_allclose(differences, corner - corner[0], atol=0.01)
