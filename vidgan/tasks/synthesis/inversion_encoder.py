"""A learnt start for inversion: a network from clips to codes, trained on clips that the generator itself draws.

Such clips come with their exact codes, in any number, so no data are needed. Real clips are not among them; the codes
of one are a start for the optimisation (Zhu et al. 2016), not its result.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from vidgan.errors import ConfigError
from vidgan.hub import Pretrained
from vidgan.losses.reconstruction import l1
from vidgan.pixels import to_byte, to_float
from vidgan.seeding import Draws, derive_seed
from vidgan.tasks.inference import device_of, evaluating, frozen
from vidgan.tasks.synthesis.codes import Codes, model_hash
from vidgan.tasks.synthesis.content_encoder import ContentEncoder
from vidgan.types import ByteClip, Clip, Latents

__all__ = ["EncodedClips", "EncoderSettings", "InversionEncoder", "train_encoder"]

WIDTH, MAX_WIDTH, FEATURES, HIDDEN = 16, 256, 256, 128
FRAMES_WEIGHT = 10.0  # of L1 between rendered frames, which weighs codes by how much of them is visible


@dataclass(frozen=True)
class EncodedClips:
    """Codes of B clips of T frames."""

    content: Tensor  # (B, dim_content)
    path: Tensor  # (B, T, dim_motion)
    category: Tensor  # (B, N) logits; (B, 1) zeros for a model without categories


class InversionEncoder(nn.Module, Pretrained):
    """Convolutions read each frame, a recurrent network both ways reads their sequence.

    Args:
        image_size: (H, W) of a frame.
        dim_content, dim_motion: lengths of the codes.
        num_categories: 0 for a model without.

    Attributes:
        facts: with the key `generator`, the `model_hash` of the model that it was trained for.
    """

    usage = "codes = model.encode(clip)"

    def __init__(self, *, image_size: tuple[int, int], dim_content: int, dim_motion: int, num_categories: int) -> None:
        super().__init__()
        self.architecture = {
            "image_size": list(image_size),
            "dim_content": dim_content,
            "dim_motion": dim_motion,
            "num_categories": num_categories,
        }
        self.frames = ContentEncoder(image_size=image_size, dim_content=FEATURES, width=WIDTH, max_width=MAX_WIDTH)
        self.sequence = nn.GRU(FEATURES, HIDDEN, batch_first=True, bidirectional=True)
        self.content = nn.Sequential(nn.Linear(FEATURES, 2 * HIDDEN), nn.SiLU(), nn.Linear(2 * HIDDEN, dim_content))
        self.category = nn.Linear(2 * HIDDEN, max(1, num_categories))
        self.path = nn.Linear(2 * HIDDEN, dim_motion)

    @classmethod
    def from_architecture(cls, architecture: dict[str, Any]) -> "InversionEncoder":
        """The network that `architecture`, as saved with its weights, describes."""
        height, width = architecture["image_size"]
        return cls(**{**architecture, "image_size": (height, width)})

    @classmethod
    def for_model(cls, model: Any) -> "InversionEncoder":
        """An untrained encoder for a MoCoGAN; weights from torch's global generator."""
        return cls(
            image_size=model.image_size,
            dim_content=model.dim_content,
            dim_motion=model.dim_motion,
            num_categories=model.num_categories,
        )

    def forward(self, clips: Clip) -> EncodedClips:
        """Clips (B, T, C, H, W) in [-1, 1] -> codes."""
        features, _ = self.frames(rearrange(clips, "b t c h w -> (b t) c h w"))
        features = rearrange(features, "(b t) d -> b t d", b=len(clips))
        sequence, _ = self.sequence(features)  # (B, T, 2 * HIDDEN)
        return EncodedClips(
            content=self.content(features.mean(dim=1)),
            path=self.path(sequence),
            category=self.category(sequence.mean(dim=1)),
        )

    def encode(self, clip: ByteClip) -> Codes:
        """The codes of a clip (T, C, H, W) uint8, with its motion as a path, on the CPU."""
        with evaluating(self):
            encoded = self(to_float(clip.to(device_of(self)))[None])
        category = int(encoded.category[0].argmax())
        return Codes(encoded.content[0].cpu(), encoded.path[0].cpu(), "path", category, self.facts["generator"])

    def check_for(self, model: Any, path: object) -> None:
        """Raise ConfigError unless the encoder was trained for `model`."""
        expected, trained = model_hash(model), self.facts.get("generator")
        if trained != expected:
            raise ConfigError(
                f"{path}: this encoder was trained for another model ({str(trained)[:8]}..., this one is"
                f" {expected[:8]}...); train one with `vidgan train-encoder`"
            )


@dataclass(frozen=True)
class EncoderSettings:
    """How an encoder is trained.

    Attributes:
        steps: training steps.
        batch_size: clips of a step.
        fresh: clips of a step with fresh codes; the others were rendered earlier, which is much faster.
        replay: number of rendered clips that are kept.
        frames: of a clip.
        learning_rate: highest of Adam, in one cycle.
        shown_frames: frames of each clip that are rendered from the encoder's content and the true path.
        seed: of the weights and the codes.
    """

    steps: int = 1000
    batch_size: int = 8
    fresh: int = 2
    replay: int = 512
    frames: int = 16
    learning_rate: float = 2e-3
    shown_frames: int = 1
    seed: int = 0


class _Drawn(NamedTuple):
    """Clips that the generator drew, (B, ...) each, with their codes."""

    clip: ByteClip
    content: Tensor
    path: Tensor
    category: Tensor

    @classmethod
    def draw(cls, model: Any, draws: Draws, frames: int) -> "_Drawn":
        latents: Latents = model.draw_latents(draws, frames)
        with torch.no_grad():
            path = model.path(latents.motion, latents.category)
            clip = to_byte(model.draw(latents.content, path, latents.category))
        return cls(clip, latents.content, path, latents.category)

    def joined(self, other: "_Drawn", limit: int) -> "_Drawn":
        """The newest `limit` clips of both."""
        return _Drawn(*(torch.cat(parts)[-limit:] for parts in zip(self, other, strict=True)))

    def rows(self, rows: Tensor) -> "_Drawn":
        return _Drawn(*(part[rows] for part in self))


def train_encoder(
    model: Any,
    settings: EncoderSettings = EncoderSettings(),
    *,
    on_step: Callable[[dict[str, float]], None] = lambda _: None,
) -> InversionEncoder:
    """Train an encoder on clips that `model` draws. The model does not change.

    The loss is the mean squared error of content and path (the path in its own standard deviations), the cross entropy
    of the category, and L1 of some frames rendered from the encoded content and the true path: while the encoded path
    is poor, frames rendered from it would say nothing about content.

    Args:
        on_step: called after each step with the losses by name.

    Raises:
        ConfigError: a model that continues a given frame or reads captions.
    """
    if model.needs_first_frame:
        raise ConfigError("this model continues a given frame (model.encoder), so its clips have no free content code")
    if model.reads_captions:
        raise ConfigError("this model reads captions (model.text), and codes of a clip hold no caption")
    device = device_of(model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(settings.seed, "encoder"))
        encoder = InversionEncoder.for_model(model).to(device)
    optimizer = torch.optim.Adam(encoder.parameters(), lr=settings.learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.learning_rate, total_steps=settings.steps + 1)
    pool: _Drawn | None = None
    with frozen(model):
        for step in range(settings.steps):
            number = settings.batch_size if pool is None else settings.fresh
            draws = Draws(settings.seed, "encoder", step, rows=range(settings.batch_size), device=device)
            fresh = _Drawn.draw(
                model, Draws(settings.seed, "encoder clips", step, rows=range(number), device=device), settings.frames
            )
            pool = fresh if pool is None else pool.joined(fresh, settings.replay)
            rows = draws.integers(len(pool.clip))
            rows[:number] = torch.arange(len(pool.clip) - number, len(pool.clip), device=device)
            losses = _losses(model, encoder, pool.rows(rows), draws, settings)
            optimizer.zero_grad()
            torch.stack(list(losses.values())).sum().backward()
            optimizer.step()
            schedule.step()
            on_step({name: float(loss.detach()) for name, loss in losses.items()})
    encoder.facts = {"generator": model_hash(model), "step": settings.steps, "frames": settings.frames}
    return encoder.eval()


def _losses(
    model: Any, encoder: InversionEncoder, drawn: _Drawn, draws: Draws, settings: EncoderSettings
) -> dict[str, Tensor]:
    clips = to_float(drawn.clip)
    encoded = encoder(clips)
    losses = {
        "content": F.mse_loss(encoded.content, drawn.content),
        "path": F.mse_loss(encoded.path, drawn.path) / drawn.path.var().clamp(min=1e-6),
    }
    if model.num_categories:
        losses["category"] = F.cross_entropy(encoded.category, drawn.category)
    times = draws.integers(settings.frames, settings.shown_frames)  # (B, S)
    shown, true = (
        torch.stack([row[chosen] for row, chosen in zip(rows, times, strict=True)]) for rows in (drawn.path, clips)
    )
    losses["frames"] = FRAMES_WEIGHT * l1(model.draw(encoded.content, shown, drawn.category), true)
    return losses
