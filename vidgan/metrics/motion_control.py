"""Motion control score (MCS, Tulyakov et al. 2018): does a generated clip show the category that was asked for?

A small video classifier is trained on labelled real clips and proves itself on real clips of sources that it never saw;
then it reads generated clips, and the share whose category it recovers is the score. The paper's classifier is not
published, so an MCS compares only with others of the same classifier, data and held-out accuracy. Print that accuracy
first: a classifier that fails on real clips says nothing about generated ones.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.metrics.content import check_clips
from vidgan.pixels import to_float
from vidgan.seeding import derive_seed, generator
from vidgan.types import ByteClip

logger = logging.getLogger(__name__)

Array: TypeAlias = npt.NDArray[np.float64]

WIDTH = 16
BATCH = 16
LARGEST = 64  # frames are averaged down to at most this many pixels a side
HELD_OUT = 0.25  # of the sources of each category
LEAST_BATCHES = 24  # of an epoch: a few dozen clips would else be given up before they are learnt
PATIENCE = 6  # epochs without a lower loss on the watched clips
LEARNT = 0.01  # watched loss at which training has nothing left to learn
SHIFT = 1 / 16  # of the frame: training clips are shown displaced by up to this much

DEFINITION = (
    "MCS: share of generated clips whose requested category a 3D-convolution classifier recovers; trained here on real "
    "clips, held-out real accuracy {accuracy:.3f} on {clips} clips"
)


class VideoClassifier(nn.Module):
    """One spatial and three space-time convolutions, pooled over space and time: (B, 3, T, H, W) -> (B, K).

    The net sees each frame and its change since the frame before, for motion is what categories of motion differ in.
    Frames are reduced before time is, so that several pixels a frame still span neighbouring cells. Mean and maximum
    make the answer indifferent to where and when a motion happens, and hold a small object apart from its background.
    Any length and any size from 16 will do.
    """

    def __init__(self, categories: int) -> None:
        super().__init__()
        shapes = (  # channels, kernel, stride
            (WIDTH, (1, 5, 5), (1, 2, 2)),
            (2 * WIDTH, (3, 3, 3), (1, 2, 2)),
            (4 * WIDTH, (3, 3, 3), (2, 2, 2)),
            (4 * WIDTH, (3, 3, 3), (2, 2, 2)),
        )
        layers: list[nn.Module] = []
        channels = 6  # RGB and its change since the frame before
        for width, kernel, stride in shapes:
            padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
            layers += [nn.Conv3d(channels, width, kernel, stride, padding), nn.BatchNorm3d(width), nn.ReLU()]
            channels = width
        self.trunk = nn.Sequential(*layers)
        self.head = nn.Linear(2 * channels, categories)

    def forward(self, clips: Tensor) -> Tensor:
        changes = F.pad(clips.diff(dim=2), (0, 0, 0, 0, 1, 0))  # (B, 3, T, H, W), none into the first frame
        features = self.trunk(torch.cat([clips, changes], dim=1))  # (B, C, t, h, w)
        return self.head(torch.cat([features.mean(dim=(2, 3, 4)), features.amax(dim=(2, 3, 4))], dim=1))


@dataclass(frozen=True)
class Classifier:
    """A trained classifier and what it is worth."""

    net: VideoClassifier
    names: tuple[str, ...]  # of the categories, in the order of their labels
    accuracy: float  # on held-out real clips
    held_out: int  # how many those were
    by_category: dict[str, float]  # accuracy on the held-out real clips of each category
    epochs: int

    @property
    def definition(self) -> str:
        return DEFINITION.format(accuracy=self.accuracy, clips=self.held_out)

    def probabilities(self, clips: ByteClip) -> Array:
        """(N, T, 3, H, W) uint8 -> (N, K) float64, rows sum to 1."""
        check_clips(clips)
        device = next(self.net.parameters()).device
        with torch.inference_mode():
            parts = [self.net(_input(part, device)).double().softmax(dim=1).cpu() for part in clips.split(BATCH)]
        return torch.cat(parts).numpy()


@dataclass(frozen=True)
class CategoryCheck:
    """What `score_synthesis` needs for the motion control score."""

    classifier: Classifier
    requested: Sequence[int]  # the category that each generated clip was asked to show
    labels: Sequence[int]  # the category of each real clip


@dataclass(frozen=True)
class CategoryScores:
    """How well the requested categories show in generated clips."""

    right: npt.NDArray[np.bool_]  # (N,)
    accuracy: float  # MCS, their mean
    by_category: dict[str, float]  # accuracy of the clips that were asked for each category
    confusion: npt.NDArray[np.int64]  # (K, K): row asked for, column recognised
    definition: str


def train_classifier(
    clips: ByteClip,
    labels: Sequence[int] | Tensor,
    *,
    names: Sequence[str],
    sources: Sequence[str] | None = None,
    epochs: int = 16,
    learning_rate: float = 2e-3,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> Classifier:
    """Train on labelled real clips and measure on real clips of other sources.

    A quarter of each category's sources is held out for the accuracy; a tenth of the others decides when to stop. The
    same arguments give the same classifier on the same machine and thread count.

    Args:
        clips: (N, T, 3, H, W) uint8.
        labels: (N,), the category of each clip, 0..K-1.
        names: K category names, K >= 2.
        sources: the video (or person) that each clip was cut from; default: each is its own. Clips of one source stay
            on one side. A mirrored copy has the source of its original.
        epochs: at most; training stops earlier when the watched loss no longer falls.
        learning_rate: of Adam.

    Raises:
        ValueError: labels that do not fit, or a category with fewer than two sources.
    """
    check_clips(clips)
    labels = torch.as_tensor(labels, dtype=torch.int64).cpu()
    names = tuple(names)
    own = [str(row) for row in range(len(clips))]
    groups = own if sources is None else [str(source) for source in sources]
    if len(labels) != len(clips) or len(groups) != len(clips):
        raise ValueError(f"{len(clips)} clips need as many labels and sources, got {len(labels)} and {len(groups)}")
    if len(names) < 2 or labels.min() < 0 or labels.max() >= len(names):
        raise ValueError(f"labels lie in 0..K-1 for K >= 2 category names, got {len(names)} names")
    training, held_out = _split(groups, labels, names, HELD_OUT, seed)
    kept = [groups[row] for row in training]
    fitting, watched = _split(kept, labels[training], names, 0.1, seed + 1, least=1)
    fitting, watched = training[fitting], training[watched if len(watched) else fitting]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed("classifier", seed))
        net = VideoClassifier(len(names)).to(device)
    optimizer = torch.optim.Adam(net.parameters(), lr=learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    best, best_loss, waited, epoch = {}, float("inf"), 0, 0
    for epoch in range(1, epochs + 1):
        net.train()
        draws = generator("classifier", seed, epoch)
        for rows in _batches(fitting, draws):
            shown = _shifted(_input(clips[rows], device), draws)
            loss = F.cross_entropy(net(shown), labels[rows].to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
        logits = _logits(net.eval(), clips[watched], device)
        watched_loss = float(F.cross_entropy(logits, labels[watched]))
        logger.info("classifier: epoch %d, watched loss %.4f", epoch, watched_loss)
        waited += 1
        if watched_loss < best_loss:
            best = {name: tensor.clone() for name, tensor in net.state_dict().items()}
            best_loss, waited = watched_loss, 0
        if waited >= PATIENCE or best_loss < LEARNT:
            break
    net.load_state_dict(best)
    net.eval().requires_grad_(False)
    found = _logits(net, clips[held_out], device).argmax(dim=1)
    right = (found == labels[held_out]).double()
    by_category = {name: float(right[labels[held_out] == index].mean()) for index, name in enumerate(names)}
    return Classifier(net, names, float(right.mean()), len(held_out), by_category, epoch)


def category_scores(classifier: Classifier, clips: ByteClip, requested: Sequence[int] | Tensor) -> CategoryScores:
    """MCS and the accuracy of each category.

    Args:
        clips: generated, (N, T, 3, H, W) uint8, of the size, length and frame rate that the classifier was trained on.
        requested: (N,), the category that each clip was asked to show.

    Raises:
        ValueError: requests that do not fit the clips or the classifier.
    """
    wanted = np.asarray(torch.as_tensor(requested, dtype=torch.int64).cpu())
    number = len(classifier.names)
    if len(wanted) != len(clips) or not ((wanted >= 0) & (wanted < number)).all():
        raise ValueError(f"{len(clips)} clips need as many requested categories in 0..{number - 1}, got {len(wanted)}")
    found = classifier.probabilities(clips).argmax(axis=1)
    confusion = np.zeros((number, number), dtype=np.int64)
    np.add.at(confusion, (wanted, found), 1)
    asked = confusion.sum(axis=1)
    by_category = {
        name: float(confusion[index, index] / asked[index])
        for index, name in enumerate(classifier.names)
        if asked[index]
    }
    right = wanted == found
    return CategoryScores(right, float(right.mean()), by_category, confusion, classifier.definition)


def _split(
    groups: Sequence[str], labels: Tensor, names: Sequence[str], share: float, seed: int, least: int = 2
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Row numbers of two parts without a common source; the second holds about ``share`` of each category's sources."""
    second: set[str] = set()
    for index, name in enumerate(names):
        found = sorted({groups[row] for row in np.flatnonzero(labels.numpy() == index).tolist()})
        if len(found) < least:
            raise ValueError(f"category {name!r} has {len(found)} source videos, {least} are needed to hold one out")
        wanted = max(1, round(share * len(found))) if len(found) > 1 else 0
        order = np.random.default_rng(derive_seed("split", seed, index)).permutation(len(found))
        # A person who shows several categories is held out for all of them.
        free = [found[row] for row in order if found[row] not in second]
        second |= set(free[: max(0, wanted - (len(found) - len(free)))])
        if second.issuperset(found):
            raise ValueError(f"every source of category {name!r} would be held out: it needs more source videos")
    here = np.array([group in second for group in groups])
    return np.flatnonzero(~here), np.flatnonzero(here)


def _batches(rows: npt.NDArray[np.intp], draws: torch.Generator) -> Iterator[Tensor]:
    """An epoch: all rows in random order, again until there were enough batches."""
    shown = 0
    while shown < LEAST_BATCHES:
        order = torch.randperm(len(rows), generator=draws)
        for batch in torch.from_numpy(rows)[order].split(BATCH):
            yield batch
            shown += 1


def _shifted(clips: Tensor, draws: torch.Generator) -> Tensor:
    """The batch displaced by one random offset, borders repeated; whole clips, so that no motion is added."""
    height, width = clips.shape[-2:]
    down, right = int(height * SHIFT), int(width * SHIFT)
    top, left = (int(torch.randint(2 * margin + 1, (1,), generator=draws)) for margin in (down, right))
    padded = F.pad(clips, (right, right, down, down, 0, 0), mode="replicate")
    return padded[..., top : top + height, left : left + width]


def _logits(net: VideoClassifier, clips: ByteClip, device: torch.device | str) -> Tensor:
    with torch.inference_mode():
        return torch.cat([net(_input(part, device)).cpu() for part in clips.split(BATCH)])


def _input(clips: ByteClip, device: torch.device | str) -> Tensor:
    """(B, T, 3, H, W) uint8 -> (B, 3, T, h, w) in [-1, 1], h and w at most `LARGEST`."""
    frames = to_float(clips.to(device)).transpose(1, 2)  # (B, 3, T, H, W)
    height, width = (min(side, LARGEST) for side in frames.shape[-2:])
    if (height, width) == frames.shape[-2:]:
        return frames
    return F.adaptive_avg_pool3d(frames, (frames.shape[2], height, width))
