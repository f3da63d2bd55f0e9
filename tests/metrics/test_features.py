"""Networks from files: tiny TorchScript files with the interfaces of the real ones, whose outputs are known."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.errors import WeightsError
from vidgan.files import file_hash
from vidgan.metrics import fvd
from vidgan.metrics.features import inception_features, script_features

# The files of the field are TorchScript; torch warns that the format is deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")


class TinyI3D(nn.Module):
    """Called as i3d_torchscript.pt is; returns 400 numbers that identify its input."""

    def forward(self, x: Tensor, rescale: bool = True, resize: bool = True, return_features: bool = True) -> Tensor:
        if resize:
            frames = x.transpose(1, 2).flatten(0, 1)
            frames = F.interpolate(frames, size=[224, 224], mode="bilinear", align_corners=False)
            x = frames.unflatten(0, [x.shape[0], x.shape[2]]).transpose(1, 2)
        if rescale:
            x = 2 * x / 255 - 1
        if not return_features:
            return x
        means = x.mean(dim=[2, 3, 4])
        last = torch.stack([x[:, 0, -1, 0, 0], x[:, 0, -1, -1, -1]], dim=1)
        return torch.cat([means, last], dim=1).repeat(1, 80)


class TinyInception(nn.Module):
    def forward(self, x: Tensor, return_features: bool = False) -> Tensor:
        assert x.dtype == torch.uint8
        return x.float().mean(dim=[2, 3]).repeat(1, 683)[:, :2048] if return_features else x.float()


class ChannelMeans(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(2).mean(dim=2)


def script(path: Path, module: nn.Module) -> Path:
    torch.jit.script(module).save(str(path))
    return path


def noise(number: int, length: int = 10, height: int = 24, width: int = 32) -> torch.Tensor:
    random = torch.Generator().manual_seed(number)
    return torch.randint(0, 256, (number, length, 3, height, width), dtype=torch.uint8, generator=random)


@pytest.mark.parametrize("resize", ["file", "original"])
def test_i3d_features(resize: fvd.Resize, tmp_path: Path) -> None:
    path = script(tmp_path / "i3d.pt", TinyI3D())
    clips = noise(5)
    net = fvd.i3d(path, resize=resize, batch=2)
    rows = net(clips)
    assert rows.shape == (5, 400) and rows.dtype == np.float64
    expected = clips.double().mean(dim=(1, 3, 4)).numpy() / 127.5 - 1  # resizing keeps the mean, nearly
    np.testing.assert_allclose(rows[:, :3], expected, atol=0.02)
    # The upper left corner is the corner pixel in both.
    corner = clips[:, -1, 0, 0, 0].double().numpy() / 127.5 - 1
    np.testing.assert_allclose(rows[:, 3], corner, atol=1e-6)
    np.testing.assert_allclose(rows, fvd.i3d(path, resize=resize)(clips), rtol=1e-5)  # any batch size
    assert net.weights == {"i3d.pt": file_hash(path)} and net.distances == ("fvd", "kvd")


def test_resize_as_tensorflow_1() -> None:
    # tf.compat.v1.image.resize_bilinear([[0, 1, 2, 3]], (1, 8)), corners not aligned: source position i / 2
    row = torch.arange(4.0)[None]
    assert fvd.resize_tf1(row, (1, 8)).tolist() == [[0, 0.5, 1, 1.5, 2, 2.5, 3, 3]]
    assert fvd.resize_tf1(row, (1, 2)).tolist() == [[0, 2]]
    column = fvd.resize_tf1(torch.tensor([[0.0], [3.0]]), (3, 1)).flatten()
    assert column.tolist() == pytest.approx([0.0, 2.0, 3.0])


def test_invalid_i3d_files_and_clips_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"FVD .*none\.pt.*i3d_torchscript\.pt"):
        fvd.i3d(tmp_path / "none.pt")
    (tmp_path / "junk.pt").write_bytes(b"junk")
    with pytest.raises(WeightsError, match=r"junk\.pt"):
        fvd.i3d(tmp_path / "junk.pt")
    net = fvd.i3d(script(tmp_path / "i3d.pt", TinyI3D()))
    with pytest.raises(ValueError, match="at least 10 frames, got 9"):
        net(noise(2, length=9))
    with pytest.raises(ValueError, match="'file' or 'original'"):
        fvd.i3d(tmp_path / "i3d.pt", resize="short side")  # type: ignore[arg-type]


class ThreeArguments(nn.Module):
    def forward(self, x: Tensor, rescale: bool, resize: bool, return_features: bool) -> Tensor:
        return x.flatten(1)[:, :1024]


def test_another_layer_is_not_fvd(tmp_path: Path) -> None:
    net = fvd.i3d(script(tmp_path / "pooled.pt", ThreeArguments()))
    with pytest.raises(WeightsError, match=r"pooled\.pt: .*\(2, 400\).*\(2, 1024\)"):
        net(noise(2))


def test_inception_features_are_one_row_a_frame(tmp_path: Path) -> None:
    net = inception_features(script(tmp_path / "inception.pt", TinyInception()), batch=7)
    clips = noise(3, length=5)
    rows = net(clips)
    assert rows.shape == (3, 5, 2048) and net.distances == ("frame_fid", "frame_kid")
    np.testing.assert_allclose(rows[..., :3], clips.double().mean(dim=(3, 4)).numpy(), rtol=1e-5)


@pytest.mark.parametrize("frames", [False, True])
def test_any_network_can_be_loaded_from_a_file(tmp_path: Path, frames: bool) -> None:
    path = script(tmp_path / "net.pt", ChannelMeans())
    clips = noise(4, length=3)
    net = script_features(path, size=(48, 64), frames=frames, batch=3)  # twice the size: means stay
    rows = net(clips)
    wanted = clips.double().mean(dim=(3, 4) if frames else (1, 3, 4)).numpy() / 127.5 - 1
    assert rows.shape == wanted.shape
    np.testing.assert_allclose(rows, wanted, atol=5e-3)
    assert "not FVD" in net.definition and net.distances is None
