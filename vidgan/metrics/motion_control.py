"""Motion control score (MCS, Tulyakov et al. 2018): does a generated clip show the requested category?

A small video classifier is trained on labelled real clips and tested on real clips of held-out sources. MCS is the
share of generated clips whose requested category it recognises, in [0, 1]. The paper's classifier is not published, so
scores compare only for the same classifier, data and held-out accuracy. Report that accuracy first: a classifier that
fails on real clips says nothing about generated ones.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from vidgan.metrics.content import check_clips
from vidgan.metrics.values import Values
from vidgan.pixels import to_float
from vidgan.seeding import derive_seed, generator
from vidgan.types import ByteClip

logger = logging.getLogger(__name__)


WIDTH = 16
BATCH = 16
MAX_SIDE = 64  # pixels; larger frames are averaged down
HELD_OUT = 0.25  # share of the sources of each category
VALIDATION = 0.1  # share of the other sources that decides when to stop
MIN_BATCHES = 24  # per epoch, so that a few dozen clips are learned before PATIENCE runs out
PATIENCE = 6  # epochs without a lower validation loss
CONVERGED = 0.01  # validation loss at which training stops
SHIFT = 1 / 16  # maximum displacement of a training clip, as a share of the frame size

DEFINITION = (
    "MCS: share of generated clips whose requested category a 3D-convolution classifier recovers; trained here on real "
    "clips, held-out real accuracy {accuracy:.3f} on {clips} clips"
)


class VideoClassifier(nn.Module):
    """One spatial and three space-time convolutions, pooled over space and time: (B, 3, T, H, W) -> (B, K).

    The input is each frame and its difference from the previous one, because categories differ in their motion. Space
    is downsampled before time, so that a motion of several pixels per frame spans neighbouring cells. Mean and maximum
    pooling make the output independent of where and when a motion happens, and separate a small object from its
    background. H and W are at least 16, T is arbitrary.
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
        channels = 6  # RGB and its difference from the previous frame
        for width, kernel, stride in shapes:
            padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
            layers += [nn.Conv3d(channels, width, kernel, stride, padding), nn.BatchNorm3d(width), nn.ReLU()]
            channels = width
        self.trunk = nn.Sequential(*layers)
        self.head = nn.Linear(2 * channels, categories)

    def forward(self, clips: Tensor) -> Tensor:
        differences = F.pad(clips.diff(dim=2), (0, 0, 0, 0, 1, 0))  # (B, 3, T, H, W), zero for the first frame
        features = self.trunk(torch.cat([clips, differences], dim=1))  # (B, C, t, h, w)
        return self.head(torch.cat([features.mean(dim=(2, 3, 4)), features.amax(dim=(2, 3, 4))], dim=1))


@dataclass(frozen=True)
class Classifier:
    """A trained classifier and its accuracy."""

    net: VideoClassifier
    names: tuple[str, ...]  # category names, in the order of their labels
    accuracy: float  # on held-out real clips
    held_out: int  # number of held-out clips
    by_category: dict[str, float]  # category name -> accuracy on its held-out real clips
    epochs: int

    @property
    def definition(self) -> str:
        """Definition of MCS with this classifier, as results repeat it."""
        return DEFINITION.format(accuracy=self.accuracy, clips=self.held_out)

    def probabilities(self, clips: ByteClip) -> Values:
        """Class probabilities: (N, T, 3, H, W) uint8 -> (N, K) float64, each row sums to 1."""
        check_clips(clips)
        device = next(self.net.parameters()).device
        with torch.inference_mode():
            parts = [self.net(_prepare(part, device)).double().softmax(dim=1).cpu() for part in clips.split(BATCH)]
        return torch.cat(parts).numpy()


@dataclass(frozen=True)
class CategoryCheck:
    """Input of `score_synthesis` for the motion control score."""

    classifier: Classifier
    requested: Sequence[int]  # the requested category of each generated clip
    labels: Sequence[int]  # the category of each real clip


@dataclass(frozen=True)
class CategoryScores:
    """Motion control score of a set of clips."""

    right: npt.NDArray[np.bool_]  # (N,), whether the recognised category is the requested one
    accuracy: float  # MCS: the mean of `right`
    by_category: dict[str, float]  # category name -> accuracy of the clips that request it
    confusion: npt.NDArray[np.int64]  # (K, K), number of clips: row requested, column recognised
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
    """Train a classifier on labelled real clips and test it on real clips of held-out sources.

    A quarter of the sources of each category is held out for the accuracy; a tenth of the others decides when to stop.
    The same arguments give the same classifier on the same machine with the same number of threads.

    Args:
        clips: (N, T, 3, H, W) uint8.
        labels: (N,), the category of each clip, 0..K-1.
        names: K category names, K >= 2.
        sources: the video (or person) of each clip; default: every clip has its own. The clips of one source are either
            all held out or none is. A mirrored copy has the source of its original.
        epochs: maximum number; training stops earlier when the validation loss no longer falls.
        learning_rate: step size of Adam.
        seed: seed of the split, the weights and the order of the clips.
        device: device of the network.

    Raises:
        ValueError: labels that do not fit, or a category with fewer than two sources.
    """
    check_clips(clips)
    labels = torch.as_tensor(labels, dtype=torch.int64).cpu()
    names = tuple(names)
    groups = [str(source) for source in (range(len(clips)) if sources is None else sources)]
    if len(labels) != len(clips) or len(groups) != len(clips):
        raise ValueError(f"{len(clips)} clips need as many labels and sources, got {len(labels)} and {len(groups)}")
    if len(names) < 2 or labels.min() < 0 or labels.max() >= len(names):
        raise ValueError(f"labels must lie in 0..K-1 for K >= 2 category names, got {len(names)} names")
    others, held_out = _split(groups, labels, names, HELD_OUT, seed)
    fitting, validation = _split([groups[row] for row in others], labels[others], names, VALIDATION, seed + 1, least=1)
    fitting, validation = others[fitting], others[validation if len(validation) else fitting]
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
            inputs = _shift(_prepare(clips[rows], device), draws)
            loss = F.cross_entropy(net(inputs), labels[rows].to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
        logits = _logits(net.eval(), clips[validation], device)
        validation_loss = float(F.cross_entropy(logits, labels[validation]))
        logger.info("classifier: epoch %d, validation loss %.4f", epoch, validation_loss)
        waited += 1
        if validation_loss < best_loss:
            best = {name: tensor.clone() for name, tensor in net.state_dict().items()}
            best_loss, waited = validation_loss, 0
        if waited >= PATIENCE or best_loss < CONVERGED:
            break
    net.load_state_dict(best)
    net.eval().requires_grad_(False)
    recognised = _logits(net, clips[held_out], device).argmax(dim=1)
    right = (recognised == labels[held_out]).double()
    by_category = {name: float(right[labels[held_out] == index].mean()) for index, name in enumerate(names)}
    return Classifier(net, names, float(right.mean()), len(held_out), by_category, epoch)


def category_scores(classifier: Classifier, clips: ByteClip, requested: Sequence[int] | Tensor) -> CategoryScores:
    """MCS and the accuracy of each category.

    Args:
        classifier: from `train_classifier`.
        clips: generated clips, (N, T, 3, H, W) uint8, of the size, length and frame rate of the training clips.
        requested: (N,), the requested category of each clip.

    Raises:
        ValueError: requests that do not fit the clips or the classifier.
    """
    categories = np.asarray(torch.as_tensor(requested, dtype=torch.int64).cpu())
    number = len(classifier.names)
    if len(categories) != len(clips) or not ((categories >= 0) & (categories < number)).all():
        raise ValueError(
            f"{len(clips)} clips need as many requested categories in 0..{number - 1}, got {len(categories)}"
        )
    recognised = classifier.probabilities(clips).argmax(axis=1)
    confusion = np.zeros((number, number), dtype=np.int64)
    np.add.at(confusion, (categories, recognised), 1)
    counts = confusion.sum(axis=1)
    by_category = {
        name: float(confusion[index, index] / counts[index])
        for index, name in enumerate(classifier.names)
        if counts[index]
    }
    right = categories == recognised
    return CategoryScores(right, float(right.mean()), by_category, confusion, classifier.definition)


def _split(
    groups: Sequence[str], labels: Tensor, names: Sequence[str], share: float, seed: int, least: int = 2
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Split rows into two parts without a common source; the second has about ``share`` of each category's sources."""
    second: set[str] = set()
    for index, name in enumerate(names):
        sources = sorted({groups[row] for row in np.flatnonzero(labels.numpy() == index).tolist()})
        if len(sources) < least:
            raise ValueError(f"category {name!r} has {len(sources)} source videos, {least} are needed to hold one out")
        number = max(1, round(share * len(sources))) if len(sources) > 1 else 0
        order = np.random.default_rng(derive_seed("split", seed, index)).permutation(len(sources))
        # A person who shows several categories is held out for all of them.
        free = [sources[row] for row in order if sources[row] not in second]
        second |= set(free[: max(0, number - (len(sources) - len(free)))])
        if second.issuperset(sources):
            raise ValueError(f"every source of category {name!r} would be held out: it needs more source videos")
    in_second = np.array([group in second for group in groups])
    return np.flatnonzero(~in_second), np.flatnonzero(in_second)


def _batches(rows: npt.NDArray[np.intp], draws: torch.Generator) -> Iterator[Tensor]:
    """One epoch: all rows in random order, repeated until there were `MIN_BATCHES` batches."""
    count = 0
    while count < MIN_BATCHES:
        order = torch.randperm(len(rows), generator=draws)
        for batch in torch.from_numpy(rows)[order].split(BATCH):
            yield batch
            count += 1


def _shift(clips: Tensor, draws: torch.Generator) -> Tensor:
    """Displace the batch by one random offset, replicating borders; the same for all frames, so it adds no motion."""
    height, width = clips.shape[-2:]
    down, right = int(height * SHIFT), int(width * SHIFT)
    top, left = (int(torch.randint(2 * margin + 1, (1,), generator=draws)) for margin in (down, right))
    padded = F.pad(clips, (right, right, down, down, 0, 0), mode="replicate")
    return padded[..., top : top + height, left : left + width]


def _logits(net: VideoClassifier, clips: ByteClip, device: torch.device | str) -> Tensor:
    with torch.inference_mode():
        return torch.cat([net(_prepare(part, device)).cpu() for part in clips.split(BATCH)])


def _prepare(clips: ByteClip, device: torch.device | str) -> Tensor:
    """(B, T, 3, H, W) uint8 -> (B, 3, T, h, w) in [-1, 1], h and w at most `MAX_SIDE`."""
    frames = rearrange(to_float(clips.to(device)), "b t c h w -> b c t h w")
    height, width = (min(side, MAX_SIDE) for side in frames.shape[-2:])
    if (height, width) == frames.shape[-2:]:
        return frames
    return F.adaptive_avg_pool3d(frames, (frames.shape[2], height, width))
