"""MoCoGAN's generator (Tulyakov, Liu, Yang, Kautz, CVPR 2018): a content code that stays, a motion code that moves.

A clip is drawn from z_C ~ N(0, I), one a clip; a category z_A, one a clip; and a path z_M(1..T) in motion space that a
recurrent net R_M walks from fresh noise at each step. The frame generator G_I renders frame t from (z_C, z_M(t)).
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.nn.blocks import require_choice
from vidgan.nn.pyramid import channel_plan, pyramid
from vidgan.nn.recompute import recompute
from vidgan.nn.spectral_norm import spectral_normalise
from vidgan.seeding import Draws
from vidgan.tasks.synthesis.content_encoder import ContentEncoder
from vidgan.tasks.synthesis.dcgan import FrameGenerator
from vidgan.tasks.synthesis.moved_image import FLOW, moved
from vidgan.tasks.synthesis.sampling import ClipSampler
from vidgan.tasks.synthesis.style import StyleFrameGenerator
from vidgan.types import Clip, Latents

__all__ = ["WIRINGS", "MoCoGAN", "MotionNet"]

WIRINGS = ("motion", "frame")
_BLOCK = 16  # time steps drawn at once
_FAR = 8  # frames in which a code of length one leads as far as a code itself does


FRAME_GENERATORS: dict[str, Callable[..., nn.Module]] = {"dcgan": FrameGenerator, "style": StyleFrameGenerator}
OPTIONS = {
    "dcgan": ("norm", "activation", "upsampling", "full_resolution", "coordinates", "modulation", "bias"),
    "style": ("full_resolution", "mapping", "motion_places", "reach", "motion_levels", "move_picture"),
}


class MotionNet(nn.Module):
    """R_M: one GRU cell that turns per-step noise into a path of motion codes.

    Args:
        dim_motion: length of the codes, of the noise and of the first state that is passed in.
        num_conditions: length of the constant input beside the noise (one-hot category), 0 for none.
        hidden: size of the GRU's state. If it differs from `dim_motion`, a linear layer maps the first state to it.
        linear: codes are a linear map of the state; otherwise they are the state, each value within (-1, 1) once the
            first state has faded (the paper's).
        input_scale: standard deviation of the per-step noise.
        inertia: added to the start of the update gate's bias; above 0 the path starts out slow and smooth.
    """

    def __init__(
        self, *, dim_motion: int, num_conditions: int, hidden: int, linear: bool, input_scale: float, inertia: float
    ) -> None:
        super().__init__()
        if hidden != dim_motion and not linear:
            raise ValueError(
                f"motion_hidden={hidden} differs from dim_motion={dim_motion}, so linear_motion must be true: only a"
                " linear output can change the length of the code"
            )
        self.input_scale = input_scale
        self.cell = nn.GRUCell(dim_motion + num_conditions, hidden)
        with torch.no_grad():
            self.cell.bias_ih[hidden : 2 * hidden] += inertia  # gates in the order reset, update, new
        self.first = nn.Linear(dim_motion, hidden) if hidden != dim_motion else nn.Identity()
        self.output = nn.Linear(hidden, dim_motion) if linear else nn.Identity()

    def forward(self, motion: Tensor, condition: Tensor) -> Tensor:
        """Walk the path.

        Args:
            motion: (B, T+1, dim_motion), row 0 the first state, rows 1..T standard normal noise.
            condition: (B, num_conditions), the same at every step.

        Returns:
            Codes of frames 1..T, (B, T, dim_motion) float32; the first state is no frame's code.
        """
        # The state is a sum over time: bfloat16 would let the path of a long clip drift.
        with torch.autocast(device_type=motion.device.type, enabled=False):
            motion, condition = motion.float(), condition.float()
            state = self.first(motion[:, 0])  # (B, hidden)
            states = []
            for noise in (self.input_scale * motion[:, 1:]).unbind(dim=1):
                state = self.cell(torch.cat([noise, condition], dim=1), state)
                states.append(state)
            return self.output(torch.stack(states, dim=1))


class MoCoGAN(nn.Module, ClipSampler):
    """The whole generator. Any clip length can be rendered, whatever length it was trained on.

    The defaults give the released code's layers; `category_wiring="frame"`, `bias=False` its exact parameters.

    Args:
        image_size: (H, W), multiples of 16 from 32 up.
        channels: of a frame.
        generator: "dcgan" (the paper's frame generator) or "style" (content scales and shifts every layer, see
            `vidgan.tasks.synthesis.style`).
        dim_content: length of z_C.
        dim_motion: length of z_M(t), the code that the frame generator reads.
        motion_hidden: size of the recurrent state, None for `dim_motion`.
        linear_motion: the motion code is a linear map of the recurrent state instead of the state itself.
        motion_input_scale: standard deviation of the noise that enters at each step.
        motion_inertia: start of the recurrent net's update bias; above 0 motion starts out slow and smooth.
        motion_lead_in: steps that the recurrent net takes before the first frame, so that what is seen does not begin
            with the fading of its random first state, which knows no category and would be all that moves.
        num_categories: 0 for a model without categories.
        category_wiring: "motion" (one-hot category enters the recurrent net: the paper's best variant) or "frame" (it
            enters the frame generator: the released code).
        width, max_width: of either generator and of the content encoder.
        norm, activation, upsampling, coordinates, modulation, bias: of the "dcgan" generator, None for the defaults of
            `FrameGenerator`; the content encoder takes those that apply to it.
        full_resolution: of either generator, None for its default.
        mapping, motion_places, reach, motion_levels: of the "style" generator, None for the defaults of
            `StyleFrameGenerator`.
        image_to_video: also build an encoder that reads the content code from a given first frame.
        move_picture: with it, of the "style" generator: what the encoder saw is shown to every level of the generator,
            which draws where the picture's pixels go and how colours change, see `vidgan.tasks.synthesis.moved_image`.
        spectral: spectral norm on the frame generator and the content encoder.
        checkpoint_activations: the frame generator runs again in the backward pass instead of keeping its activations
            while the discriminators work: less memory for more time, the same gradients.

    Raises:
        ValueError: an argument is outside what is listed above.
    """

    def __init__(
        self,
        *,
        image_size: tuple[int, int],
        channels: int = 3,
        generator: str = "dcgan",
        dim_content: int = 50,
        dim_motion: int = 10,
        motion_hidden: int | None = None,
        linear_motion: bool = False,
        motion_input_scale: float = 1.0,
        motion_inertia: float = 0.0,
        motion_lead_in: int = 0,
        num_categories: int = 0,
        category_wiring: str = "motion",
        width: int = 64,
        max_width: int = 512,
        norm: str | None = None,
        activation: str | None = None,
        upsampling: str | None = None,
        full_resolution: bool | None = None,
        coordinates: bool | None = None,
        modulation: bool | None = None,
        bias: bool | None = None,
        mapping: int | None = None,
        motion_places: bool | None = None,
        reach: float | None = None,
        motion_levels: int | None = None,
        image_to_video: bool = False,
        move_picture: bool | None = None,
        spectral: bool = False,
        checkpoint_activations: bool = False,
    ) -> None:
        super().__init__()
        require_choice("generator", generator, FRAME_GENERATORS)
        options: dict[str, Any] = {
            "norm": norm,
            "activation": activation,
            "upsampling": upsampling,
            "full_resolution": full_resolution,
            "coordinates": coordinates,
            "modulation": modulation,
            "bias": bias,
            "mapping": mapping,
            "motion_places": motion_places,
            "reach": reach,
            "motion_levels": motion_levels,
            "move_picture": move_picture,
        }
        chosen = {name: value for name, value in options.items() if value is not None}
        for name in chosen:
            if name not in OPTIONS[generator]:
                kinds = " and ".join(repr(kind) for kind, names in OPTIONS.items() if name in names)
                raise ValueError(f"{name} has no effect on generator={generator!r}, only on {kinds}")
        require_choice("category_wiring", category_wiring, WIRINGS)
        for name, value in {"dim_content": dim_content, "dim_motion": dim_motion}.items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if num_categories < 0 or num_categories == 1:
            raise ValueError(f"num_categories must be 0 (none) or at least 2, got {num_categories}")
        if motion_lead_in < 0:
            raise ValueError(f"motion_lead_in must be at least 0, got {motion_lead_in}")
        self.move_picture = chosen.pop("move_picture", False)
        if self.move_picture and not image_to_video:
            raise ValueError("move_picture has no effect without image_to_video=true: no picture is given")
        self.motion_lead_in = motion_lead_in
        self.image_size = (image_size[0], image_size[1])
        self.channels = channels
        self.dim_content = dim_content
        self.dim_motion = dim_motion
        self.num_categories = num_categories
        self.category_wiring = category_wiring
        self.image_to_video = image_to_video
        self.checkpoint_activations = checkpoint_activations
        self.motion = MotionNet(
            dim_motion=dim_motion,
            num_conditions=num_categories if category_wiring == "motion" else 0,
            hidden=motion_hidden or dim_motion,
            linear=linear_motion,
            input_scale=motion_input_scale,
            inertia=motion_inertia,
        )
        if self.move_picture:
            chosen["seen"] = [*channel_plan(width, pyramid(self.image_size)[0], max_width)[::-1], channels]
        self.frame = FRAME_GENERATORS[generator](
            image_size=self.image_size,
            channels=channels + (FLOW if self.move_picture else 0),
            dim_content=dim_content + (num_categories if category_wiring == "frame" else 0),
            dim_motion=dim_motion,
            width=width,
            max_width=max_width,
            **chosen,
        )
        self.encoder = (
            ContentEncoder(
                image_size=self.image_size,
                channels=channels,
                dim_content=dim_content,
                width=width,
                max_width=max_width,
                norm=chosen.get("norm", "batch" if generator == "dcgan" else "none"),
                bias=chosen.get("bias", True),
            )
            if image_to_video
            else None
        )
        if spectral:
            for part in (self.frame, self.encoder):
                if part is not None:
                    spectral_normalise(part)

    def draw_latents(self, draws: Draws, frames: int, category: Tensor | None = None) -> Latents:
        """Latents of clips of `frames` frames, one for each row of `draws`, on the device of `draws`.

        A longer clip from equal draws starts as the shorter one, and a given category changes no other number.

        Args:
            draws: fresh streams.
            frames: T >= 1.
            category: (B,) int64; None draws it uniformly.

        Raises:
            ValueError: `frames` or `category` does not fit.
        """
        if frames < 1:
            raise ValueError(f"frames must be at least 1, got {frames}")
        content = draws.normal(self.dim_content)
        drawn = draws.integers(max(1, self.num_categories))
        category = drawn if category is None else self._checked(category, len(draws)).to(drawn.device)
        first = draws.normal(1, self.dim_motion)
        # In blocks of fixed size: the start of a draw of another size would hold other numbers.
        steps = self.motion_lead_in + frames
        blocks = [draws.normal(_BLOCK, self.dim_motion) for _ in range(0, steps, _BLOCK)]
        motion = torch.cat([first, *blocks], dim=1)[:, : steps + 1]  # (B, motion_lead_in + T + 1, dim_motion)
        return Latents(content=content, motion=motion, category=category)

    def _checked(self, category: Tensor, rows: int) -> Tensor:
        if self.num_categories == 0:
            raise ValueError("category: this model has no categories (num_categories=0)")
        if category.shape != (rows,):
            raise ValueError(f"category must have shape ({rows},), got {tuple(category.shape)}")
        if bool(((category < 0) | (category >= self.num_categories)).any()):
            raise ValueError(f"category must lie in 0..{self.num_categories - 1}, got {category.tolist()}")
        return category

    def forward(self, latents: Latents, *, first_frame: Tensor | None = None, times: Tensor | None = None) -> Clip:
        """Render clips.

        Args:
            latents: of B clips of T frames, see `draw_latents`.
            first_frame: (B, C, H, W) in [-1, 1]; its code replaces `latents.content`; frame 0 with `move_picture`.
            times: (B, S) int64 in 0..T-1; only these frames of each clip are rendered, in this order.

        Returns:
            (B, T, C, H, W), or (B, S, C, H, W) with `times`; float32 in [-1, 1].

        Raises:
            ValueError: a first frame for a model that was built without an encoder, or none for one that moves it.
        """
        one_hot = F.one_hot(latents.category, self.num_categories) if self.num_categories else None
        none = latents.content.new_zeros(len(latents.content), 0)
        to_motion, to_frame = (
            one_hot if one_hot is not None and self.category_wiring == wiring else none for wiring in WIRINGS
        )
        path = self.motion(latents.motion, to_motion)[:, self.motion_lead_in :]  # (B, T, dim_motion)
        if self.move_picture:  # codes are then speeds: what drifts goes on drifting
            path = (path.cumsum(dim=1) - path[:, :1]) / _FAR
        if times is not None:
            path = path.gather(1, times[:, :, None].expand(-1, -1, self.dim_motion))  # (B, S, dim_motion)
        content, seen = (latents.content, []) if first_frame is None else self._encode(first_frame)
        still = torch.cat([content, to_frame.to(content.dtype)], dim=1)  # (B, dim_content [+ N])
        if not self.move_picture:
            return self._draw(still, path)
        if first_frame is None:
            raise ValueError("this model moves a picture (move_picture): give first_frame")
        return moved(first_frame, self._draw(still, path, *seen), path.norm(dim=2))

    def _draw(self, still: Tensor, motion: Tensor, *seen: Tensor) -> Tensor:
        """Content codes (B, dim_content [+ N]) and paths (B, S, dim_motion) -> what G_I draws, (B, S, C, H, W)."""
        held = still[:, None].expand(-1, motion.shape[1], -1)  # (B, S, dim_content [+ N])
        codes = held.flatten(0, 1), motion.flatten(0, 1), *seen
        frames = recompute(self.frame, *codes) if self.checkpoint_activations else self.frame(*codes)  # (B*S, C, H, W)
        return frames.unflatten(0, motion.shape[:2])  # (B, S, C, H, W)

    def tensor_parts(self) -> list[nn.Module]:
        """The parts that are functions of tensors alone, which torch.compile can take whole."""
        return [part for part in (self.frame, self.encoder) if part is not None]

    def _encode(self, first_frame: Tensor) -> tuple[Tensor, list[Tensor]]:
        if self.encoder is None:
            raise ValueError("first_frame was given, but this model has no encoder: build it with image_to_video=true")
        return self.encoder(first_frame)
