"""Flow errors against golden values; flow files against files written by other programs, and round trips."""

import math
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vidgan.evaluation import (
    FlowFileError,
    angular_error,
    end_point_error,
    fl_all,
    read_flo,
    read_kitti,
    write_flo,
    write_kitti,
)
from vidgan.metrics.flow import photometric_error
from vidgan.nn.warp import warp


def golden_flows() -> tuple[torch.Tensor, torch.Tensor]:
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    target = torch.stack([x, y])
    return target + torch.stack([4 * (x % 2), torch.zeros_like(x)]), target


def test_golden_values() -> None:
    prediction, target = golden_flows()
    assert end_point_error(prediction, target) == pytest.approx(2.0)
    assert fl_all(prediction, target) == pytest.approx(48.7060547)


def test_angular_error() -> None:
    zero, right = torch.zeros(2, 1, 1), torch.tensor([1.0, 0.0]).reshape(2, 1, 1)
    assert angular_error(right, zero) == pytest.approx(45.0)
    assert angular_error(-right, right) == pytest.approx(90.0)
    assert angular_error(right, right) == pytest.approx(0.0, abs=1e-5)


def test_one_number_per_flow_over_valid_pixels() -> None:
    target = torch.zeros(3, 2, 2, 2)
    prediction = torch.full((3, 2, 2, 2), math.nan)
    prediction[:, 0, 0, 0], prediction[:, 1, 0, 0] = torch.tensor([3.0, 6.0, 0.0]), torch.tensor([4.0, 8.0, 1.0])
    valid = torch.zeros(3, 2, 2, dtype=torch.bool)
    valid[:, 0, 0] = True
    assert end_point_error(prediction, target, valid).tolist() == [5.0, 10.0, 1.0]
    assert fl_all(prediction, target, valid) == pytest.approx(200 / 3)


def test_photometric_error_by_hand() -> None:
    first, second = torch.zeros(2, 1, 1, 3, 4, dtype=torch.uint8)
    first[..., 1], second[..., 2] = 90, 90  # a column that has moved one pixel to the right
    flow = torch.zeros(1, 2, 3, 4)
    still = photometric_error(first, second, flow, warp)
    flow[:, 0] = 1
    assert still == pytest.approx(45.0)  # two of four columns are wrong by 90
    assert photometric_error(first, second, flow, warp) == pytest.approx(0.0)
    valid = torch.zeros(1, 3, 4, dtype=torch.bool)
    valid[..., 2] = True
    flow[..., :2] = math.nan  # unknown pixels may hold anything
    assert photometric_error(first, second, flow, warp, valid) == pytest.approx(0.0)
    with pytest.raises(ValueError, match="uint8"):
        photometric_error(first.float(), second.float(), flow, warp)
    with pytest.raises(ValueError, match=r"\(N, 2, H, W\)"):
        photometric_error(first, second, flow[:, :1], warp)


def test_invalid_flows_are_rejected() -> None:
    flow = torch.zeros(2, 4, 4)
    with pytest.raises(ValueError, match="no valid pixel"):
        end_point_error(flow, flow, torch.zeros(4, 4, dtype=torch.bool))
    with pytest.raises(ValueError, match="prediction flow.*finite"):
        end_point_error(flow * math.nan, flow)
    with pytest.raises(ValueError, match="one shape"):
        fl_all(flow, flow[None])
    with pytest.raises(ValueError, match="bool of shape"):
        fl_all(flow, flow, torch.ones(4, 4))


def test_flo_bytes_and_round_trip(tmp_path: Path) -> None:
    flow = torch.tensor([[[1.5, -2.0, 0.25]], [[0.0, 7.0, -1.0]]])  # (2, 1, 3)
    path = tmp_path / "a.flo"
    write_flo(path, flow, torch.tensor([[True, True, False]]))
    data = path.read_bytes()
    assert struct.unpack("<f", data[:4])[0] == 202021.25
    assert struct.unpack("<ii4f", data[4:28]) == (3, 1, 1.5, 0.0, -2.0, 7.0)
    back, known = read_flo(path)
    assert known.tolist() == [[True, True, False]]
    assert torch.equal(back, torch.tensor([[[1.5, -2.0, 0.0]], [[0.0, 7.0, 0.0]]]))
    with pytest.raises(FileExistsError):
        write_flo(path, flow)
    write_flo(path, flow, overwrite=True)
    assert torch.equal(read_flo(path)[0], flow)


def test_broken_flo_files(tmp_path: Path) -> None:
    path = tmp_path / "b.flo"
    for data, reason in (
        (b"JUNK" + bytes(100), "PIEH"),
        (b"PIEH" + bytes(4), "header"),
        (b"PIEH" + struct.pack("<ii", 2, 2) + bytes(31), "2x2.*44 bytes.*43"),
        (b"PIEH" + struct.pack("<ii", -1, -1) + bytes(8), "-1x-1"),
    ):
        path.write_bytes(data)
        with pytest.raises(FlowFileError, match=reason) as caught:
            read_flo(path)
        assert "b.flo" in str(caught.value)


def test_kitti_round_trip(tmp_path: Path) -> None:
    flow = torch.randn(2, 9, 7, generator=torch.Generator().manual_seed(0)) * 100
    known = torch.rand(9, 7, generator=torch.Generator().manual_seed(1)) > 0.3
    path = tmp_path / "a.png"
    write_kitti(path, flow, known)
    back, mask = read_kitti(path)
    assert torch.equal(mask, known)
    torch.testing.assert_close(back, torch.where(known, flow, 0), atol=1 / 128, rtol=0)
    with pytest.raises(ValueError, match="-512"):
        write_kitti(tmp_path / "far.png", flow * 100)
    path.write_bytes(b"no image")
    with pytest.raises(FlowFileError, match=r"a\.png"):
        read_kitti(path)


@pytest.mark.shared_data
def test_real_flow_files(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "flow"
    flow, known = read_kitti(folder / "kitti" / "flow_gt.png")
    assert flow.shape == (2, 375, 1242)
    assert known.float().mean().item() == pytest.approx(0.162, abs=5e-4)
    assert end_point_error(torch.zeros_like(flow), flow, known) == pytest.approx(51, abs=0.6)  # its mean motion
    write_kitti(tmp_path / "again.png", flow, known)
    again, mask = read_kitti(tmp_path / "again.png")
    assert torch.equal(again, flow) and torch.equal(mask, known)
    with pytest.raises(FlowFileError, match="3 channels of 16 bits"):
        read_kitti(folder / "kitti" / "frame1.png")
    for name, shape in (("RubberWhale", (2, 388, 584)), ("Venus", (2, 380, 420))):
        path = folder / "middlebury" / name / "flow10.flo"
        flow, known = read_flo(path)
        assert flow.shape == shape and flow.abs().max() < 100 and known.float().mean() > 0.9
        assert end_point_error(flow, flow, known) == 0.0
        write_flo(tmp_path / f"{name}.flo", flow, known)
        again, mask = read_flo(tmp_path / f"{name}.flo")
        assert torch.equal(again, flow) and torch.equal(mask, known)


# Mean absolute difference in grey levels: second frame warped onto the first by the true flow, and unwarped.
MIDDLEBURY = {
    "RubberWhale": (1.40, 5.71),
    "Dimetrodon": (1.63, 5.99),
    "Grove2": (4.30, 17.82),
    "Urban2": (2.05, 11.07),
    "Venus": (4.28, 12.92),
}
CHAIRS = {"0000001": (5.92, 17.25), "0000007": (7.16, 21.40)}


def image(path: Path) -> torch.Tensor:
    return torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1)[None]


def real_pairs(folder: Path) -> dict[str, tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]]:
    """First frame, second frame, true forward flow, where it is known: one batch of one each."""
    pairs = {}
    for name in MIDDLEBURY:
        here = folder / "middlebury" / name
        pairs[name] = (image(here / "frame10.png"), image(here / "frame11.png"), *read_flo(here / "flow10.flo"))
    for name in CHAIRS:
        here = folder / "flyingchairs"
        frames = [image(here / f"{name}-img{index}.ppm") for index in (0, 1)]
        pairs[name] = (*frames, *read_flo(here / f"{name}-gt.flo"))
    return {name: (first, second, flow[None], known[None]) for name, (first, second, flow, known) in pairs.items()}


@pytest.mark.shared_data
def test_true_flow_warps_the_second_frame_onto_the_first(shared_data: Path) -> None:
    for name, (first, second, flow, known) in real_pairs(shared_data / "flow").items():
        warped, still, wrong = (
            photometric_error(first, second, sign * flow, warp, known).item() for sign in (1, 0, -1)
        )
        expected = (MIDDLEBURY | CHAIRS)[name]
        assert warped == pytest.approx(expected[0], abs=0.25), name  # the references exclude what leaves the frame
        assert still == pytest.approx(expected[1], abs=0.2), name
        assert wrong > still, name  # the direction check


@pytest.mark.shared_data
def test_kitti_pair(shared_data: Path) -> None:
    folder = shared_data / "flow" / "kitti"
    flow, known = read_kitti(folder / "flow_gt.png")
    first, second = image(folder / "frame1.png"), image(folder / "frame2.png")
    warped, still, wrong = (
        photometric_error(first, second, sign * flow[None], warp, known[None]).item() for sign in (1, 0, -1)
    )
    assert warped < 0.5 * still < 0.5 * wrong
    # Errors of zero flow are the lengths of the true one: nearly every pixel moves by more than 3 px.
    zero = torch.zeros_like(flow)
    assert fl_all(zero, flow, known) > 95
    assert angular_error(zero, flow, known) > 80
    assert end_point_error(flow + torch.tensor([3.0, 4.0])[:, None, None], flow, known) == pytest.approx(5.0, abs=1e-4)
