"""Flow errors against golden values, flow files against files written by others, and the way back from disk."""

import math
import struct
from pathlib import Path

import pytest
import torch

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


def test_one_number_a_flow_and_only_valid_pixels() -> None:
    target = torch.zeros(3, 2, 2, 2)
    prediction = torch.full((3, 2, 2, 2), math.nan)
    prediction[:, 0, 0, 0], prediction[:, 1, 0, 0] = torch.tensor([3.0, 6.0, 0.0]), torch.tensor([4.0, 8.0, 1.0])
    valid = torch.zeros(3, 2, 2, dtype=torch.bool)
    valid[:, 0, 0] = True
    assert end_point_error(prediction, target, valid).tolist() == [5.0, 10.0, 1.0]
    assert fl_all(prediction, target, valid) == pytest.approx(200 / 3)


def test_refusals() -> None:
    flow = torch.zeros(2, 4, 4)
    with pytest.raises(ValueError, match="no valid pixel"):
        end_point_error(flow, flow, torch.zeros(4, 4, dtype=torch.bool))
    with pytest.raises(ValueError, match="prediction flow holds values that are not finite"):
        end_point_error(flow * math.nan, flow)
    with pytest.raises(ValueError, match="one shape"):
        fl_all(flow, flow[None])
    with pytest.raises(ValueError, match="bool of shape"):
        fl_all(flow, flow, torch.ones(4, 4))


def test_flo_bytes_and_return(tmp_path: Path) -> None:
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
        (b"JUNK" + bytes(100), "not a .flo"),
        (b"PIEH" + bytes(4), "cut short"),
        (b"PIEH" + struct.pack("<ii", 2, 2) + bytes(31), "2x2, so 44 bytes were expected, but it has 43"),
        (b"PIEH" + struct.pack("<ii", -1, -1) + bytes(8), "header says -1x-1"),
    ):
        path.write_bytes(data)
        with pytest.raises(FlowFileError, match=reason) as caught:
            read_flo(path)
        assert "b.flo" in str(caught.value)


def test_kitti_png_and_return(tmp_path: Path) -> None:
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
    with pytest.raises(FlowFileError, match=r"a\.png: not a readable PNG"):
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
