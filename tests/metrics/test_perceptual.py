"""LPIPS and ST-LPIPS against the published example, and against torchmetrics with the same random trunk."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vidgan.errors import WeightsError
from vidgan.files import file_hash
from vidgan.metrics import perceptual
from vidgan.metrics.perceptual import BACKBONES, lpips_metric, stlpips_metric


def example(shared_data: Path) -> dict[str, torch.Tensor]:
    """The example of the LPIPS repository: people judge p1 closer to ref than p0."""
    folder = shared_data / "weights" / "lpips_lin_v0.1"
    return {
        name: torch.from_numpy(np.array(Image.open(folder / f"ex_{name}.png").convert("RGB"))).permute(2, 0, 1)
        for name in ("ref", "p0", "p1")
    }


@pytest.mark.shared_data
def test_published_layers_on_another_trunk_are_not_called_lpips(shared_data: Path) -> None:
    weights = shared_data / "weights"
    trunk = weights / "squeezenet" / "squeezenet1_1_caffe_features.pt"
    metric = lpips_metric("squeeze", backbone=trunk, linear=weights / "lpips_lin_v0.1" / "squeeze.pth")
    frames = example(shared_data)
    near, far = (metric.function(frames[name], frames["ref"]) for name in ("p1", "p0"))
    assert far == pytest.approx(0.3957, abs=1e-4) and near == pytest.approx(0.2025, abs=1e-4)
    assert "not LPIPS" in metric.definition and trunk.name in metric.definition
    assert metric.weights[trunk.name] == file_hash(trunk) and len(metric.weights) == 2
    both = metric.function(torch.stack([frames["p0"], frames["p1"]])[None], torch.stack([frames["ref"]] * 2)[None])
    assert both.shape == (1, 2)
    np.testing.assert_allclose(both[0], [far, near], rtol=1e-5)
    assert metric.function(frames["ref"], frames["ref"]) == 0


@pytest.mark.shared_data
def test_st_lpips(shared_data: Path) -> None:
    metric = stlpips_metric(shared_data / "weights" / "stlpips" / "alex_shift_tolerant.pth")
    frames = example(shared_data)
    assert metric.function(frames["p0"], frames["ref"]) == pytest.approx(0.7778, abs=1e-4)
    assert metric.function(frames["p1"], frames["ref"]) == pytest.approx(0.1320, abs=1e-4)
    assert metric.definition.startswith("ST-LPIPS") and not metric.pooled


def test_equal_to_torchmetrics(tmp_path: Path) -> None:
    torchmetrics_lpips = pytest.importorskip("torchmetrics.functional.image.lpips")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = torchmetrics_lpips._LPIPS(pretrained=True, net="squeeze", pnet_rand=True)
    trunk = tmp_path / "trunk.pth"
    # "slices.1.3.squeeze.weight" there is torchvision's "features.3.squeeze.weight".
    named = {"features." + name.split(".", 2)[2]: tensor for name, tensor in theirs.net.state_dict().items()}
    torch.save(named, trunk)
    metric = lpips_metric("squeeze", backbone=trunk)
    random = torch.Generator().manual_seed(0)
    a, b = torch.randint(0, 256, (2, 2, 3, 64, 72), dtype=torch.uint8, generator=random)
    with torch.inference_mode():
        expected = theirs(a.float() / 127.5 - 1, b.float() / 127.5 - 1).flatten().numpy()
    np.testing.assert_allclose(metric.function(a, b), expected, rtol=1e-4)
    assert expected.min() > 0.01


@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_every_trunk_fits_its_layers(net: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The feature maps of random trunks have the channels that the published layers expect."""
    import torchvision

    pytest.importorskip("torchmetrics")
    facts = BACKBONES[net]
    with torch.device("meta"):
        features = getattr(torchvision.models, facts.model)(weights=None).features
    random = torch.Generator().manual_seed(0)
    state = {f"features.{k}": 0.05 * torch.randn(v.shape, generator=random) for k, v in features.state_dict().items()}
    torch.save(state, tmp_path / facts.file)
    metric = lpips_metric(net, backbone=tmp_path / facts.file)  # type: ignore[arg-type]
    a, b = torch.randint(0, 256, (2, 3, 32, 40), dtype=torch.uint8, generator=random)
    assert metric.function(a, b) > 1e-3 and metric.function(a, a) == 0
    assert "not LPIPS" in metric.definition  # the file has the name, but not the hash
    hashes = {facts.file: facts.file.rpartition("-")[2].removesuffix(".pth"), f"{net}.pth": facts.linear}
    monkeypatch.setattr(perceptual, "file_hash", lambda path: hashes[path.name] + "0" * 56)
    published = lpips_metric(net, backbone=tmp_path / facts.file)  # type: ignore[arg-type]
    assert published.definition.startswith(f"LPIPS v0.1 ({net}): ")


@pytest.mark.parametrize("net", BACKBONES)
def test_missing_weights_are_reported_before_the_run(net: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(WeightsError, match=rf"LPIPS \({net}\).*download https://download.pytorch.org/models/.*\.pth"):
        lpips_metric(net)  # type: ignore[arg-type]


def test_wrong_weights_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "trunk.pth"
    torch.save({"features.0.weight": torch.zeros(2, 3, 3, 3)}, path)
    with pytest.raises(WeightsError, match=r"trunk\.pth: .*alexnet.*features\.0\.weight"):
        lpips_metric("alex", backbone=path)
    path.write_bytes(b"junk")
    with pytest.raises(WeightsError, match=r"trunk\.pth"):
        lpips_metric("alex", backbone=path)
    with pytest.raises(ValueError, match="resnet.*alex, vgg, squeeze"):
        lpips_metric("resnet")  # type: ignore[arg-type]
    torch.save({"net.slice1.0.weight": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match=r"trunk\.pth: .*scaling_layer\.shift"):
        stlpips_metric(path)


@pytest.mark.shared_data
def test_small_or_grey_frames_are_rejected(shared_data: Path) -> None:
    metric = stlpips_metric(shared_data / "weights" / "stlpips" / "alex_shift_tolerant.pth")
    for shape in ((3, 31, 64), (1, 64, 64)):
        frame = torch.zeros(*shape, dtype=torch.uint8)
        with pytest.raises(ValueError, match="RGB frames of at least 32x32"):
            metric.function(frame, frame)
