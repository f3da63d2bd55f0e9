"""Track features of flow whose tracks are known."""

import numpy as np
import pytest
import torch

from vidgan.metrics.tracks import DIRECTIONS, FEATURES, dynamic_degree, track_features


def backward(x: float, y: float, steps: int = 3) -> torch.Tensor:
    """Backward flow of a motion by (x, y) everywhere: (1, steps, 2, 24, 24)."""
    return torch.tensor([-x, -y])[None, None, :, None, None].expand(1, steps, 2, 24, 24).contiguous()


def test_steady_motion_has_velocity_in_one_direction_and_no_acceleration() -> None:
    features = track_features(backward(0.0, 3.0))
    assert features.shape == (1, FEATURES)
    velocity, acceleration = features[0].reshape(2, 4, DIRECTIONS)
    down = np.zeros((4, DIRECTIONS))
    down[:, 2] = np.log(4.0)  # sectors: right, down-right, down, ...
    assert velocity == pytest.approx(down, rel=1e-5)
    assert acceleration == pytest.approx(np.zeros((4, DIRECTIONS)), abs=1e-6)


def test_acceleration_is_the_change_of_velocity_in_order_of_time() -> None:
    faster = torch.cat([backward(1.0, 0.0, 1), backward(3.0, 0.0, 1)], dim=1)
    right, left = (track_features(flow)[0, FEATURES // 2 :].reshape(4, DIRECTIONS) for flow in (faster, faster.flip(1)))
    assert right[:, 0] == pytest.approx(np.log(3.0)) and left[:, 4] == pytest.approx(np.log(3.0))
    assert right.sum() == pytest.approx(4 * np.log(3.0))


def test_points_are_followed() -> None:
    """A point that starts at rest on the right moves once it has followed the flow into the left half."""
    steps = torch.zeros(1, 2, 2, 24, 24)
    steps[:, 1, 0] = -12.0  # the last frame came from 12 pixels to the left
    steps[:, 0, 1, :, :12] = -5.0  # what was on the left then had come from 5 pixels above
    velocity = track_features(steps)[0, : FEATURES // 2].reshape(4, DIRECTIONS)
    # Every track ends up on the left: those that start on the right (quadrants 1 and 3) have moved down before.
    assert velocity[[1, 3], 2] == pytest.approx(np.log(6.0) / 2, rel=1e-4)


def test_dynamic_degree_is_the_speed_of_the_fastest_pixels() -> None:
    flow = torch.zeros(1, 2, 2, 10, 20)
    flow[:, :, 0, 0, :10] = 4.0  # 10 of 200 pixels: 5 %
    assert dynamic_degree(flow) == pytest.approx([4.0])
    assert dynamic_degree(flow * 0) == pytest.approx([0.0])


def test_two_frames_have_no_acceleration() -> None:
    with pytest.raises(ValueError, match="at least 3 frames"):
        track_features(backward(1.0, 0.0, 1))
