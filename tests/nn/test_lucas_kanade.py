"""Flow by least squares: known motion, its derivative, and motion on real frames beside ground truth."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from vidgan.metrics.flow_files import read_flo
from vidgan.nn.lucas_kanade import LucasKanadeEstimator
from vidgan.nn.warp import resize_flow, warp


def texture(height: int = 64, width: int = 80) -> Tensor:
    """A smooth random image, (1, 3, H, W) in [-1, 1]."""
    coarse = torch.rand(1, 3, height // 4, width // 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic").clamp(-1, 1)


def inside(flow: Tensor) -> Tensor:
    """Without the margin that a motion of some pixels reaches from outside."""
    return flow[..., 12:-12, 12:-12]


@pytest.mark.parametrize("motion", [(0.0, 0.0), (1.3, -0.7), (-7.0, 4.0)])
@pytest.mark.parametrize("symmetric", [True, False])
def test_a_shift_is_estimated(motion: tuple[float, float], symmetric: bool) -> None:
    previous = texture()
    true = torch.tensor(motion)[None, :, None, None].expand(1, 2, *previous.shape[-2:])
    current = warp(previous, true)
    estimated = LucasKanadeEstimator(symmetric=symmetric)(current, previous)
    assert estimated.shape == (1, 2, 64, 80)
    assert inside(estimated - true).abs().max() < 0.15


def test_one_colour_does_not_move() -> None:
    plain = torch.full((2, 3, 32, 48), 0.3)
    assert torch.equal(LucasKanadeEstimator()(plain, plain), torch.zeros(2, 2, 32, 48))


def test_rows_are_independent() -> None:
    frames = torch.cat([texture(), texture().flip(-1), texture().flip(-2)])
    moved = frames.roll((1, 2), dims=(-2, -1))
    together = LucasKanadeEstimator()(moved, frames)
    alone = torch.cat([LucasKanadeEstimator()(moved[i : i + 1], frames[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=0)


def test_mirrored_frames_have_mirrored_flow() -> None:
    previous, current = texture(), texture().roll(2, dims=-1)
    flow = LucasKanadeEstimator()(current, previous)
    mirrored = LucasKanadeEstimator()(current.flip(-1), previous.flip(-1)).flip(-1)
    torch.testing.assert_close(
        inside(mirrored), inside(flow) * torch.tensor([-1.0, 1.0])[:, None, None], atol=0.05, rtol=0
    )


def test_gradients_survive_an_earlier_forecast() -> None:
    """Tensors that the estimator caches for a frame size must not be made in inference mode."""
    frames = texture(24, 40)  # a size that no other test uses
    with torch.inference_mode():
        LucasKanadeEstimator()(frames, frames)
    current = frames.roll(1, dims=-1).requires_grad_()
    LucasKanadeEstimator()(current, frames).square().sum().backward()
    assert current.grad is not None and current.grad.abs().max() > 0


def test_gradient_is_that_of_the_motion() -> None:
    """current = previous moved by m: the estimate is m, so its derivative with respect to m is the unit matrix."""
    previous = texture()
    motion = torch.tensor([0.6, -0.4], requires_grad=True)
    current = warp(previous, motion[None, :, None, None].expand(1, 2, 64, 80))
    estimated = inside(LucasKanadeEstimator(symmetric=False)(current, previous)).mean(dim=(0, 2, 3))
    jacobian = torch.stack([torch.autograd.grad(part, motion, retain_graph=True)[0] for part in estimated])
    torch.testing.assert_close(jacobian, torch.eye(2), atol=0.2, rtol=0)


def test_a_start_near_the_truth_is_refined() -> None:
    previous = texture()
    true = torch.tensor([9.0, 0.0])[None, :, None, None].expand(1, 2, 64, 80)
    current = warp(previous, true)
    estimated = LucasKanadeEstimator()(current, previous, true + 0.8)
    assert inside(estimated - true).abs().mean() < 0.2


@pytest.mark.parametrize(("name", "limit"), [("RubberWhale", 0.25), ("Dimetrodon", 0.3), ("Venus", 0.7)])
def test_middlebury(shared_data: Path, name: str, limit: float) -> None:
    """Mean end-point error (px) at 240x180, far below that of zero flow."""
    folder = shared_data / "flow" / "middlebury" / name
    first, second = (_frame(folder / f"frame{i}.png") for i in (10, 11))
    true, known = read_flo(folder / "flow10.flo")  # from the first to the second: the first is "current"
    true = resize_flow(torch.where(known, true, 0.0).float()[None], (180, 240))
    all_known = torch.nn.functional.interpolate(known.float()[None, None], size=(180, 240), mode="area")[0, 0] == 1

    def error(flow: Tensor) -> float:
        return float((flow - true).norm(dim=1)[0][all_known].mean())

    assert error(LucasKanadeEstimator()(first, second)) < limit < error(torch.zeros_like(true)) / 2


def _frame(path: Path) -> Tensor:
    """(1, 3, 180, 240) in [-1, 1]."""
    pixels = np.array(Image.open(path).convert("RGB").resize((240, 180), Image.Resampling.BOX))
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 127.5 - 1
