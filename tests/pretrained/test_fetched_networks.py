"""The networks with random weights (shapes, sizes, padding), and with the real ones where the cache has them."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.pretrained.cache import WEIGHTS, load_network, weights_folder
from vidgan.pretrained.efficientnet_lite import CLASSES, FEATURES, EfficientNetLite2, _SameConv
from vidgan.pretrained.face_embedding import FaceEmbedding
from vidgan.pretrained.rife import RIFE
from vidgan.video.decode import read_frames


def frames(number: int, height: int, width: int, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (number, 3, height, width), dtype=torch.uint8, generator=random)


USERS_WEIGHTS = weights_folder()  # read before the tests get a cache of their own


def fetched(network: nn.Module, name: str) -> nn.Module:
    """The network with its published weights; skips where they were not fetched."""
    path = USERS_WEIGHTS / name / WEIGHTS
    if not path.is_file():
        pytest.skip(f"{path} was not fetched")
    return load_network(network, name, path)


def picture(shared_data: Path, name: str, position: int = 20) -> Tensor:
    """Frame of a clip: (1, 3, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(read_frames(shared_data / "clips" / name)[position]))[None].permute(
        0, 3, 1, 2
    )


@pytest.mark.parametrize(
    ("network", "tensors", "parameters"),
    [(EfficientNetLite2, 386, 6_092_072), (FaceEmbedding, 117, 5_614_592), (RIFE, 120, 5_306_256)],
)
def test_sizes_are_those_of_the_published_files(network: type[nn.Module], tensors: int, parameters: int) -> None:
    with torch.device("meta"):
        net = network()
    assert len(net.state_dict()) == tensors
    assert sum(parameter.numel() for parameter in net.parameters()) == parameters


@pytest.mark.parametrize(("size", "expected"), [(5, 3), (6, 3), (7, 4)])
def test_same_padding_is_tensorflows(size: int, expected: int) -> None:
    conv = _SameConv(1, 1, 3, 2, bias=False)
    nn.init.ones_(conv.weight)
    out = conv(torch.ones(1, 1, size, size))
    assert out.shape[-1] == expected
    # An even size is padded by one pixel right and below alone, an odd one by one on every side.
    assert float(out[0, 0, 0, 0].detach()) == (9.0 if size % 2 == 0 else 4.0)
    assert float(out[0, 0, -1, -1].detach()) == 4.0


def test_random_networks_have_golden_shapes() -> None:
    with torch.inference_mode():
        efficient = EfficientNetLite2(side=32).eval()
        batch = frames(2, 40, 24)
        assert efficient(batch).shape == (2, FEATURES) and efficient.classify(batch).shape == (2, CLASSES)
        assert torch.allclose(efficient(batch)[:1], efficient(batch[:1]), atol=1e-5)
        assert FaceEmbedding().eval()(batch).shape == (2, 128)
        rife = RIFE().eval()
        middle = rife(batch, frames(2, 40, 24, seed=1))
        assert middle.shape == (2, 3, 40, 24) and middle.min() >= 0 and middle.max() <= 1


def test_interpolation_of_equal_frames_is_that_frame_without_flow() -> None:
    """With all weights zero there is no flow, and both frames are blended equally."""
    net = RIFE().eval()
    for parameter in net.parameters():
        nn.init.zeros_(parameter)
    first, second = frames(1, 32, 64), frames(1, 32, 64, seed=1)
    with torch.inference_mode():
        assert torch.allclose(net(first, second), (first.float() + second.float()) / 510, atol=1e-4)


@pytest.mark.parametrize(
    ("clip", "label"), [("nature/airplanes.mp4", 895), ("natural/blackswan.mp4", 100), ("nature/balloons.mp4", 417)]
)
def test_classifier_names_what_clips_show(shared_data: Path, clip: str, label: int) -> None:
    """ImageNet classes: 100 black swan, 417 balloon, 895 warplane."""
    net = fetched(EfficientNetLite2(), "efficientnet-lite2")
    assert isinstance(net, EfficientNetLite2)
    assert int(net.classify(picture(shared_data, clip)).argmax()) == label


def test_interpolated_frame_is_closer_than_the_average_of_its_neighbours(shared_data: Path) -> None:
    net = fetched(RIFE(), "rife")
    clip = torch.from_numpy(read_frames(shared_data / "clips" / "natural" / "blackswan.mp4")[:3].copy())
    first, truth, second = (
        F.interpolate(frame[None].permute(0, 3, 1, 2).float(), (128, 224), mode="area").round().to(torch.uint8)
        for frame in clip
    )
    errors = [
        (guess - truth.float() / 255).square().mean()
        for guess in (net(first, second), (first.float() + second.float()) / 510)
    ]
    assert errors[0] < errors[1] / 2


def test_faces_of_one_person_are_closer_than_those_of_two(shared_data: Path) -> None:
    net = fetched(FaceEmbedding(), "dlib-face")
    rows = []
    for number in (11, 18, 19):
        clip = read_frames(shared_data / "clips" / "faces" / f"d{number}.mp4")
        height, width = clip.shape[1:3]
        faces = clip[[0, len(clip) // 2], height // 5 : -height // 5, width // 5 : -width // 5]
        rows.append(net(torch.from_numpy(faces.copy()).permute(0, 3, 1, 2)))
    same = [float((row[0] - row[1]).norm()) for row in rows]
    different = [float((rows[i][0] - rows[j][1]).norm()) for i in range(3) for j in range(3) if i != j]
    assert np.mean(same) < 0.75 * np.mean(different)
