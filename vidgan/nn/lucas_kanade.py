"""Dense optical flow without learned weights: coarse-to-fine Lucas-Kanade with propagation between neighbours.

For few training drives a learned estimator is the weakest part of a forecaster: it knows only what it saw. This one is
least squares on each window (Lucas and Kanade 1981; the pyramid of Bouguet 2001), made robust by weights (iteratively
reweighted least squares), and after each step a pixel may take over the flow of a neighbour that explains it better
(PatchMatch, Barnes et al. 2009; DIS flow, Kroeger et al. 2016), which finds motion that the coarse levels missed.
docs/results.md compares it with OpenCV's DIS.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.nn.blur import gaussian_blur
from vidgan.nn.modes import without_autocast, without_gradient
from vidgan.nn.warp import resize_flow, warp

__all__ = ["LucasKanadeEstimator"]

SMALLEST = 8  # pixels on the short side of the coarsest level
WINDOW = 2.0  # pixels, sigma of the windows that are matched
SMOOTHING = (1.0, 1.0, 0.7)  # pixels, sigma of the smoothing after each step, finest level first, the last for the rest
EDGES = 8.0  # weight of the brightness gradient beside the colours: edges say more of motion than shades
ROBUST = 0.02  # colour difference from which on a pixel counts less
RIDGE = 1e-2  # keeps flat windows where they are
DOUBT = 0.3  # misfit beside which smaller ones make no difference to how much a pixel is trusted
REACHES = (2, 4)  # pixels, how far away a neighbour is asked, in turn
MARGIN = 1e-5  # misfit by which a neighbour must be better: more than rounding, so that every backend decides alike


class LucasKanadeEstimator(nn.Module):
    """Q without weights: takes (current, previous), returns the backward flow in pixels, as the learned estimators do.

    The flow is a fixed point of the least-squares step. It is sought without gradient; one more step taken with
    gradient gives the fixed point's derivative with respect to both frames (the implicit function theorem, with the
    curvature of the squared error taken as constant).

    Args:
        levels: of the pyramid, each half the size of the one before; fewer where a frame is too small.
        steps: on each coarse level.
        fine_steps: on the finest level.
        symmetric: estimate both directions and average, which halves the noise for twice the time.
        fine_propagation: neighbours are asked on the finest level too.
    """

    accepts_start = True

    def __init__(
        self,
        *,
        levels: int = 4,
        steps: int = 8,
        fine_steps: int = 3,
        symmetric: bool = True,
        fine_propagation: bool = True,
    ) -> None:
        super().__init__()
        self.fine_propagation = fine_propagation
        self.levels, self.steps, self.fine_steps, self.symmetric = levels, steps, fine_steps, symmetric

    def forward(self, current: Tensor, previous: Tensor, start: Tensor | None = None) -> Tensor:
        """Frames (N, C, H, W) in [-1, 1] -> backward flow (N, 2, H, W) float32 in pixels.

        With `start`, a flow that is nearly right already, only the finest level's steps are taken from there, and one
        direction is estimated.
        """
        with without_autocast(current.device.type):
            current, previous = current.float(), previous.float()
            if start is not None:
                return self._finest(current, previous, start.float())
            if not self.symmetric:
                return self._finest(current, previous, self._coarse(current, previous))
            ones, others = torch.cat([current, previous]), torch.cat([previous, current])  # (2N, C, H, W)
            both = self._finest(ones, others, self._coarse(ones, others))
            backward, forward = both.unflatten(0, (2, -1))  # each (N, 2, H, W); `chunk` would fix N in an export
            return (backward - warp(forward, backward)) / 2

    def _coarse(self, current: Tensor, previous: Tensor) -> Tensor:
        """Flow from all levels but the finest, at full size."""
        with without_gradient():
            pyramid = [(current, previous)]
            while len(pyramid) < self.levels and min(pyramid[-1][0].shape[-2:]) >= 2 * SMALLEST:
                pyramid.append((F.avg_pool2d(pyramid[-1][0], 2), F.avg_pool2d(pyramid[-1][1], 2)))
            flow = torch.zeros_like(pyramid[-1][0][:, :1]).expand(-1, 2, -1, -1)
            for level in range(len(pyramid) - 1, 0, -1):
                now, before = pyramid[level]
                flow = resize_flow(flow, (now.shape[-2], now.shape[-1]))
                smoothing = SMOOTHING[min(level, len(SMOOTHING) - 1)]
                flow = _search(_described(now), _described(before), flow, self.steps, smoothing)
            return resize_flow(flow, (current.shape[-2], current.shape[-1]))

    def _finest(self, current: Tensor, previous: Tensor, flow: Tensor) -> Tensor:
        """Steps at full size, the last one with gradient."""
        now, before = _described(current), _described(previous)
        with without_gradient():
            flow = _search(now.detach(), before.detach(), flow.detach(), self.fine_steps - 1, SMOOTHING[0])
            if self.fine_propagation:
                flow = _propagate(now, before, flow, REACHES[(self.fine_steps - 1) % len(REACHES)])
        return _least_squares(now, before, flow, SMOOTHING[0])


def _described(frames: Tensor) -> Tensor:
    """What is matched: colours and weighted brightness gradient, (N, C, H, W) -> (N, C + 2, H, W)."""
    dx, dy = _gradient(frames.mean(dim=1, keepdim=True))
    return torch.cat([frames, EDGES * dx, EDGES * dy], dim=1)


def _gradient(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Central differences along x and y, each of the maps' shape."""
    padded = F.pad(maps, (1, 1, 1, 1), mode="replicate")
    dx = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    dy = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
    return dx, dy


def _misfit(now: Tensor, before: Tensor, flow: Tensor, window: float = WINDOW) -> Tensor:
    """How badly each window is explained by a flow, (N, 1, H, W)."""
    return gaussian_blur((warp(before, flow) - now).abs().sum(dim=1, keepdim=True), window)


def _search(now: Tensor, before: Tensor, flow: Tensor, steps: int, smoothing: float) -> Tensor:
    for step in range(steps):
        flow = _least_squares(now, before, _propagate(now, before, flow, REACHES[step % len(REACHES)]), smoothing)
    return flow


def _propagate(now: Tensor, before: Tensor, flow: Tensor, reach: int) -> Tensor:
    """Each pixel's best flow among its own and those of the four neighbours `reach` pixels away."""
    height, width = flow.shape[-2:]
    padded = F.pad(flow, (reach, reach, reach, reach), mode="replicate")
    best, misfit = flow, _misfit(now, before, flow)
    for x, y in ((2, 1), (0, 1), (1, 2), (1, 0)):  # in units of the reach, (1, 1) being the pixel itself
        candidate = padded[..., y * reach : y * reach + height, x * reach : x * reach + width]
        its_misfit = _misfit(now, before, candidate)
        better = its_misfit < misfit - MARGIN
        best, misfit = torch.where(better, candidate, best), torch.where(better, its_misfit, misfit)
    return best


def _least_squares(now: Tensor, before: Tensor, flow: Tensor, smoothing: float) -> Tensor:
    """One Gauss-Newton step on each window, at most a pixel far, then smoothed, surer pixels counting more.

    Solves, over the window, ``min_d sum w |before(x + flow + d) - now(x)|^2`` with the warped frame linearised. Only
    the difference of the frames carries gradient; slopes and weights are taken as constants.
    """
    moved = warp(before, flow)
    difference = moved - now
    with without_gradient():
        dx, dy = _gradient((now + moved) / 2)
        weight = (difference.square().sum(dim=1, keepdim=True) + ROBUST**2).rsqrt()
        products = [weight * (a * b).sum(dim=1, keepdim=True) for a, b in ((dx, dx), (dx, dy), (dy, dy))]
        xx, xy, yy = gaussian_blur(torch.cat(products, dim=1), WINDOW).split(1, dim=1)
        xx, yy = xx + RIDGE, yy + RIDGE
        determinant = xx * yy - xy * xy
    pulls = [-weight * (slope * difference).sum(dim=1, keepdim=True) for slope in (dx, dy)]
    x, y = gaussian_blur(torch.cat(pulls, dim=1), WINDOW).split(1, dim=1)
    step = torch.cat([(yy * x - xy * y) / determinant, (xx * y - xy * x) / determinant], dim=1)  # (N, 2, H, W)
    flow = flow + step.clamp(-1, 1)
    with without_gradient():
        # The smaller eigenvalue of the structure tensor: how well the window tells motion in every direction.
        corner = (xx + yy - ((xx - yy).square() + 4 * xy.square()).sqrt()) / 2
        trust = (corner.clamp_min(0) + DOUBT * RIDGE) / (_misfit(now, before, flow, 1.0) + DOUBT)
    return gaussian_blur(flow * trust, smoothing) / gaussian_blur(trust, smoothing)
