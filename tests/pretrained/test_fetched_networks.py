"""The networks with random weights (shapes, sizes, padding), and with the real ones where the cache has them."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from small_networks import small_sentence_encoder
from torch import Tensor, nn

from vidgan.pretrained.cache import WEIGHTS, load_network, weights_folder
from vidgan.pretrained.efficientnet_lite import CLASSES, FEATURES, EfficientNetLite2, _SameConv
from vidgan.pretrained.face_embedding import FaceEmbedding
from vidgan.pretrained.rife import RIFE
from vidgan.pretrained.sentence_encoder import DIM, SentenceEncoder
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
    [
        (EfficientNetLite2, 386, 6_092_072),
        (FaceEmbedding, 117, 5_614_592),
        (RIFE, 120, 5_306_256),
        (SentenceEncoder, 102, 22_565_376),
    ],
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


def test_sentences_are_split_into_the_longest_pieces() -> None:
    """[CLS] is 2, [SEP] is 3, and a word without pieces is [UNK], 1. Accents go, hyphens stay."""
    net = small_sentence_encoder()
    assert net.pieces_of(["a", "unaffable", "square"]) == [2, 4, 9, 10, 11, 6, 3]
    assert net.pieces_of(["réd", "red-up", "zebra"]) == [2, 5, 5, 12, 7, 1, 3]
    assert len(net.pieces_of(["red"] * 500)) == 128


def test_vectors_of_sentences_have_length_1_and_do_not_depend_on_padding() -> None:
    net = small_sentence_encoder()
    vectors = net.encode([["red"], ["a", "red", "square", "up"]])
    assert vectors.shape == (2, DIM)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(2))
    torch.testing.assert_close(net.encode([["red"]]), vectors[:1], atol=1e-5, rtol=1e-4)
    assert (net.encode([["up", "a", "red", "square"]]) - vectors[1:]).abs().max() > 1e-3, "the order counts"


def test_sentence_similarities_are_those_of_the_published_model() -> None:
    """The example of the model's page: 0.943 and 0.257."""
    net = fetched(SentenceEncoder(), "minilm")
    assert isinstance(net, SentenceEncoder)
    texts = ("that is a happy person", "that is a very happy person", "today is a sunny day")
    vectors = net.encode([text.split() for text in texts])
    assert (vectors[:1] @ vectors[1:].T)[0].tolist() == pytest.approx([0.943, 0.257], abs=1e-3)
    assert net.pieces_of(["unaffable"])[1:-1] == [14477, 20961, 3468]  # BERT's own example: una ##ffa ##ble
