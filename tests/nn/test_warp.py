"""Backward warping: exact values, borders, sign and gradients."""

import pytest
import torch

from vidgan.nn.warp import carry_flow, resize_flow, warp


def constant_flow(dx: float, dy: float, size: tuple[int, int], batch: int = 1) -> torch.Tensor:
    return torch.tensor([dx, dy], dtype=torch.float32).view(1, 2, 1, 1).expand(batch, 2, *size).contiguous()


@pytest.mark.parametrize("size", [(16, 16), (13, 21), (1, 5)])
def test_zero_flow_is_the_identity(size: tuple[int, int]) -> None:
    frames = torch.randn(2, 3, *size)
    torch.testing.assert_close(warp(frames, torch.zeros(2, 2, *size)), frames, atol=1e-5, rtol=0)


def test_zero_flow_is_exact_on_sizes_of_a_power_of_two() -> None:
    frames = torch.randn(1, 3, 64, 128)
    assert torch.equal(warp(frames, torch.zeros(1, 2, 64, 128)), frames)


@pytest.mark.parametrize(("dx", "dy"), [(1, 0), (-2, 0), (0, 3), (0, -1), (2, -3)])
def test_whole_pixels_are_a_shift_with_repeated_border(dx: int, dy: int) -> None:
    frame = torch.randn(1, 2, 16, 32)
    rows = (torch.arange(16) + dy).clamp(0, 15)
    columns = (torch.arange(32) + dx).clamp(0, 31)
    assert torch.equal(warp(frame, constant_flow(dx, dy, (16, 32))), frame[:, :, rows][:, :, :, columns])


def test_half_a_pixel_is_the_mean_of_two() -> None:
    frame = torch.tensor([[[[0.0, 1.0, 4.0, 9.0]]]])
    expected = torch.tensor([[[[0.5, 2.5, 6.5, 9.0]]]])
    torch.testing.assert_close(warp(frame, constant_flow(0.5, 0, (1, 4))), expected)


def test_flow_beyond_the_frame_reads_the_border() -> None:
    frame = torch.arange(16.0).view(1, 1, 4, 4)
    far = warp(frame, constant_flow(1000, 1000, (4, 4)))
    assert torch.equal(far, torch.full_like(far, 15))


def test_the_sign_is_backward() -> None:
    """A square moves right by 3 and up by 2; its flow points left and down, to its origin."""
    before, after = torch.zeros(1, 1, 32, 32), torch.zeros(1, 1, 32, 32)
    before[..., 10:18, 8:16] = 1
    after[..., 8:16, 11:19] = 1
    flow = constant_flow(-3, 2, (32, 32))
    assert torch.equal(warp(before, flow), after)


def test_each_row_uses_its_own_flow() -> None:
    frames = torch.randn(2, 1, 8, 8)
    flow = torch.cat([constant_flow(1, 0, (8, 8)), constant_flow(0, -1, (8, 8))])
    both = warp(frames, flow)
    for i in range(2):
        torch.testing.assert_close(both[i : i + 1], warp(frames[i : i + 1], flow[i : i + 1]))


def test_gradients_agree_with_finite_differences() -> None:
    torch.manual_seed(0)
    frames = torch.randn(1, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    # Not at integer positions, where bilinear sampling has a kink, and not at the border, where it is clamped.
    flow = (torch.rand(1, 2, 5, 6, dtype=torch.float64) * 0.3 + 0.2).requires_grad_()
    assert torch.autograd.gradcheck(warp, (frames, flow))


def test_autocast_does_not_round_positions() -> None:
    frame = torch.arange(512.0).view(1, 1, 1, 512)
    flow = constant_flow(0.25, 0, (1, 512))
    with torch.autocast("cpu", torch.bfloat16):
        moved = warp(frame, flow)
    assert moved.dtype == torch.float32
    torch.testing.assert_close(moved, warp(frame, flow))
    assert warp(frame.bfloat16(), flow.bfloat16()).dtype == torch.float32


def test_mismatched_shapes_are_rejected() -> None:
    with pytest.raises(ValueError, match="warp"):
        warp(torch.zeros(1, 3, 8, 8), torch.zeros(1, 2, 8, 4))


def test_carried_flow_moves_with_the_object() -> None:
    """A block at columns 6..13 moves right by 2; one frame later its flow is at 8..13 and no longer at 6."""
    flow = torch.zeros(1, 2, 4, 20)
    flow[:, 0, :, 6:14] = -2
    carried = carry_flow(flow)
    assert torch.equal(carried[0, 0, 0, 8:14], torch.full((6,), -2.0))
    assert torch.equal(carried[0, 0, 0, 6:8], torch.zeros(2))
    uniform = constant_flow(1.5, -0.5, (8, 8))
    torch.testing.assert_close(carry_flow(uniform), uniform)


def test_resized_flow_is_in_pixels_of_the_new_grid() -> None:
    flow = constant_flow(4, -2, (8, 16))
    torch.testing.assert_close(resize_flow(flow, (16, 64)), constant_flow(16, -4, (16, 64)))
    torch.testing.assert_close(resize_flow(flow, (4, 8)), constant_flow(2, -1, (4, 8)))
    assert resize_flow(flow, (8, 16)) is flow
