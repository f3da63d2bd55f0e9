"""What users call on a trained MoCoGAN: uint8 clips, the same for the same seed on any device."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from vidgan.hub import ModelFacts, Pretrained
from vidgan.pixels import to_byte, to_float
from vidgan.seeding import Draws
from vidgan.tasks.inference import device_of, evaluating
from vidgan.tasks.synthesis.layers import Layers
from vidgan.tasks.synthesis.modulated import Truncation
from vidgan.types import ByteClip, Latents

__all__ = ["ClipSampler"]


class ClipSampler(Pretrained):
    """Adds `sample` to a MoCoGAN (the protocol `vidgan.tasks.base.ClipModel`)."""

    usage = "clips = model.sample(8, frames=32, seed=0)"

    @property
    def is_layered(self) -> bool:
        """Whether clips are composed of a background, a foreground and a mask."""
        model: Any = self
        return model.background is not None

    @property
    def needs_first_frame(self) -> bool:
        """Whether every clip continues a given frame (image-to-video)."""
        model: Any = self
        return model.encoder is not None

    @property
    def reads_captions(self) -> bool:
        """Whether clips are made from text."""
        model: Any = self
        return model.text is not None

    def category_index(self, category: int | str) -> int:
        """The number of a category, given as a number (int) or by name (str): a name may look like a number.

        Raises:
            ValueError: this model has no categories, or not this one.
        """
        model: Any = self
        number = model.num_categories
        if number == 0:
            raise ValueError(f"category {category!r}: this model has no categories")
        names = [str(name) for name in getattr(self, "facts", {}).get("categories", range(number))]
        if isinstance(category, str) and category in names:
            return names.index(category)
        if isinstance(category, int) and 0 <= category < number:
            return category
        raise ValueError(f"category {category!r} is unknown to this model (accepted: {', '.join(names)})")

    def latents(
        self,
        clips: int,
        frames: int,
        *,
        seed: int = 0,
        category: int | str | None = None,
        text: str | Sequence[str] | None = None,
    ) -> Latents:
        """Latents of `clips` clips. Clip i depends on (seed, i) alone, so more clips only add to the same ones.

        `_replace(content=...)` or `_replace(motion=...)` exchanges one while the other stays. Several texts give
        `clips` clips each, one text after another; the clips of two texts differ in their text codes alone.

        Raises:
            ConfigError: a text has words that the model does not know; the message names the nearest ones.
            ValueError: a text for a model that reads none, or as in `category_index`.
        """
        model: Any = self
        categories = None if category is None else torch.full((clips,), self.category_index(category))
        draws = Draws(seed, "sample", rows=range(clips))
        latents: Latents = model.draw_latents(draws, frames, categories)
        if not self.reads_captions:
            if text is not None:
                raise ValueError("text: this model reads no captions (model.text)")
            return latents
        texts = self.captions(clips, seed=seed, text=text)
        latents = Latents(*(part.repeat(len(texts) // clips, *[1] * (part.dim() - 1)) for part in latents))
        device = device_of(self)
        with evaluating(model):
            captions = model.tokeniser.encode(texts).to(device)
            latents, _, _ = model.with_text(latents._replace(text=latents.text.to(device)), captions)
        return latents._replace(text=latents.text.cpu())

    def captions(self, clips: int, *, seed: int = 0, text: str | Sequence[str] | None = None) -> list[str]:
        """The caption of each clip that `latents` and `sample` make with these arguments; [] if the model reads none.

        Raises:
            ValueError: an empty list of texts.
        """
        model: Any = self
        if not self.reads_captions:
            return []
        if text is None:
            examples = list(ModelFacts.from_json(getattr(self, "facts", {})).captions or model.tokeniser.words[:1])
            chosen = Draws(seed, "sample", "caption", rows=range(clips)).integers(len(examples)).tolist()
            return [examples[number] for number in chosen]
        each = [text] if isinstance(text, str) else list(text)
        if not each:
            raise ValueError("text is an empty list; accepted: one text or more")
        return [one for one in each for _ in range(clips)]

    def latents_between(self, first: str, second: str, steps: int, frames: int, *, seed: int = 0) -> Latents:
        """Latents of `steps` >= 2 clips whose text codes lead in equal steps from one text to another.

        Everything else of the clips is equal, so they show what the model makes of codes that no caption has (GAN-INT,
        Reed et al. 2016).

        Raises:
            ConfigError: as in `latents`.
            ValueError: fewer than 2 steps, or a model that reads no captions.
        """
        if steps < 2:
            raise ValueError(f"steps is {steps}; accepted: 2 or more")
        ends = self.latents(1, frames, seed=seed, text=[first, second])
        share = torch.linspace(0, 1, steps)[:, None]  # (steps, 1)
        alike = Latents(*(part[:1].repeat(steps, *[1] * (part.dim() - 1)) for part in ends))
        return alike._replace(text=torch.lerp(ends.text[:1], ends.text[1:], share))

    def sample(
        self,
        clips: int = 1,
        *,
        frames: int | None = None,
        seed: int = 0,
        category: int | str | None = None,
        text: str | Sequence[str] | None = None,
        first_frame: Tensor | None = None,
        batch_size: int = 16,
        truncation: float | None = None,
        truncate_motion: bool = False,
    ) -> ByteClip:
        """Synthesise clips.

        Args:
            clips: number of clips, of each text if there are several.
            frames: length, 2 or more; default: as trained, or 16.
            seed: same seed, same clips.
            category: number (int) or name (str), for all clips; default: each clip draws its own.
            text: one text, or several; only for models that read captions. Default: each clip draws one of the captions
                that the model was trained with.
            first_frame: (C, H, W) uint8, the frame to continue, or (clips, C, H, W), one for each clip; only for models
                trained image-to-video.
            batch_size: clips rendered at once.
            truncation: psi in [0, 1], which pulls the style of each clip toward the mean one: 1 changes nothing, 0
                gives all clips one look. Only for models with frame.kind=modulated.
            truncate_motion: pull motion toward its mean too.

        Returns:
            (clips, frames, C, H, W) uint8, on the CPU; of several texts `clips` each, one text after another.

        Raises:
            ConfigError: a text has words that the model does not know; the message names the nearest ones.
            ValueError: an argument that does not fit this model.
        """
        frames = frames or int(getattr(self, "facts", {}).get("frames", 16))
        if clips < 1 or frames < 2:
            raise ValueError(f"sample needs at least 1 clip of at least 2 frames, got clips={clips}, frames={frames}")
        return self.render(
            self.latents(clips, frames, seed=seed, category=category, text=text),
            first_frame=first_frame,
            batch_size=batch_size,
            truncation=truncation,
            truncate_motion=truncate_motion,
        )

    def render(
        self,
        latents: Latents,
        *,
        first_frame: Tensor | None = None,
        batch_size: int = 16,
        truncation: float | None = None,
        truncate_motion: bool = False,
    ) -> ByteClip:
        """Clips from latents, (B, T, C, H, W) uint8 on the CPU, rendered in evaluation mode and float32.

        Options as in `sample`.

        Raises:
            ValueError: a first frame for a model without an encoder, or none for a model that needs it; truncation
                outside [0, 1], or of a model without styles.
        """
        options: dict[str, Any] = {}
        if truncation is not None:
            if not 0 <= truncation <= 1:
                raise ValueError(f"truncation must lie in 0 to 1, got {truncation}")
            options["truncation"] = Truncation(truncation, truncate_motion)
        return torch.cat([to_byte(clips) for clips in self._batches(latents, first_frame, batch_size, **options)])

    def render_layers(self, latents: Latents, *, first_frame: Tensor | None = None, batch_size: int = 16) -> Layers:
        """The layers of clips, float32 on the CPU; `to_byte(layers.clip())` equals `render` of the same latents.

        Raises:
            ValueError: this model draws whole frames, or as in `render`.
        """
        if not self.is_layered:
            raise ValueError("this model draws whole frames; only one trained with model.layers has layers")
        batches = list(self._batches(latents, first_frame, batch_size, as_layers=True))
        return Layers(*(torch.cat(parts) for parts in zip(*batches, strict=True)))

    def _batches(self, latents: Latents, first_frame: Tensor | None, batch_size: int, **options: Any) -> Iterator[Any]:
        """What `forward` returns for each batch of rows, on the CPU."""
        model: Any = self
        num_clips = len(latents.content)
        if first_frame is None and self.needs_first_frame:
            raise ValueError("this model continues a given frame (image-to-video): give first_frame")
        if first_frame is not None:
            if not self.needs_first_frame:
                raise ValueError("this model was not trained image-to-video (model.encoder); leave first_frame out")
            size = (model.channels, *model.image_size)
            if first_frame.shape not in (size, (num_clips, *size)):
                raise ValueError(
                    f"first_frame must be (C, H, W) = {size}, or {num_clips} of them, got {tuple(first_frame.shape)}"
                )
            first_frame = first_frame.expand(num_clips, *size)
        device = device_of(self)
        for start in range(0, num_clips, batch_size):
            rows = slice(start, start + batch_size)
            some = Latents(*(part[rows].to(device) for part in latents))
            frames = None if first_frame is None else to_float(first_frame[rows].to(device))
            with evaluating(model):
                made = model(some, first_frame=frames, **options)
            yield Layers(*(part.cpu() for part in made)) if isinstance(made, Layers) else made.cpu()
