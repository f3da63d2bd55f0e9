"""`vidgan translate`: apply a trained clip-to-clip translation to a video of any length."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice, repeat
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vidgan.commands.map_video import MappedVideo, OnFrame, map_video
from vidgan.data.frame_stream import FrameStream, open_stream
from vidgan.errors import ConfigError, DataError, PretrainedError
from vidgan.hub import ModelFacts
from vidgan.own_code import own_code
from vidgan.tasks import load_model
from vidgan.tasks.translation.conditions import HolesCondition, is_grey
from vidgan.tasks.translation.translator import Translator
from vidgan.tasks.translation.unpaired_translator import UnpairedTranslator
from vidgan.video.resize import fit_image

__all__ = ["resize_frame", "translate"]

LOOKED_AT = 50  # first frames of a video that are searched for colour
CONTRAST = 8  # grey levels; an empty frame says nothing of colour


def translate(
    run: Path | str,
    video: Path,
    out: Path,
    *,
    mask: Path | None = None,
    reverse: bool = False,
    own_size: bool = False,
    frames: int | None = None,
    fps: float | None = None,
    format: str | None = None,
    layout: str = "single",
    device: str = "auto",
    overwrite: bool = False,
    allow_own_code: bool = False,
    on_frame: OnFrame = lambda done, total: None,
) -> MappedVideo:
    """Write a video as a trained translation renders it, and a record of the options (json); memory holds a few frames.

    What a paired model reads is computed from the video; a video that the model repairs (dark, noisy, small, with
    holes, of a low frame rate) is read as it is. A model of label maps reads a folder or video of label maps.

    Args:
        run: a run or model folder of a translation, paired or unpaired.
        video: video file, folder of frames, strip image or npy file.
        out: the file to write.
        mask: for models that fill holes: a video or folder of as many frames, or one frame for all; bright is a hole.
        reverse: for unpaired models: translate from the second domain to the first.
        own_size: keep the video's frame size; default: frames are resized to those of the training.
        frames: translate only the first of them.
        fps: frame rate of the output; default: that of the video, times the factor of an interpolating model.
        format: a key of `vidgan.video.encode.FORMATS`; default: by the suffix of `out`.
        layout: "single", or "side" with the model's input to the left of the output.
        device: "auto", "cpu" or "cuda".
        overwrite: replace existing files.
        allow_own_code: follow the import paths of own parts of the model; importing runs the module.
        on_frame: called after each frame with the number of finished frames and of all frames; may raise to stop.

    Raises:
        PretrainedError: no such model. ConfigError: an option without effect on this model. DataError, VideoError: no
            such video, or one that the model cannot read. FileExistsError: a result exists.
    """
    with own_code(allowed=allow_own_code):
        model: Any = load_model(run, "mapping")
    if not isinstance(model, Translator | UnpairedTranslator):
        raise PretrainedError(f"{run}: holds a {type(model).__name__}; accepted: a model of a translation")
    _check_options(model, mask=mask, reverse=reverse)
    stored = getattr(model, "reads_conditions", False)
    resize = None if own_size else partial(resize_frame, model.image_size, ModelFacts.from_json(model.facts), stored)
    masks = None if mask is None else open_stream(mask, frames=frames)
    mapping: Callable[[Iterator[Tensor]], Iterator[Tensor]]
    if isinstance(model, UnpairedTranslator):
        mapping, rate = partial(model.translate_frames, to="a" if reverse else "b"), 1
    else:
        mapping, rate = partial(_translated, model, masks=masks, resize=resize), model.condition.rate
    return map_video(
        model,
        video,
        out,
        name=str(run),
        prepare=(lambda frame: frame) if resize is None else resize,
        mapping=mapping,
        rate=rate,
        check=partial(_check_video, model, masks),
        frames=frames,
        fps=fps,
        format=format,
        layout=layout,
        device=device,
        overwrite=overwrite,
        record={"mask": None if mask is None else str(mask), "reverse": reverse, "own_size": own_size},
        on_frame=on_frame,
    )


def _translated(
    model: Translator, frames: Iterator[Tensor], *, masks: FrameStream | None, resize: Callable[[Tensor], Tensor] | None
) -> Iterator[Tensor]:
    """Frames through the model, with the masks of a stream beside them."""
    if masks is None:
        return model.translate_frames(frames)
    tensors = (torch.from_numpy(image).permute(2, 0, 1).contiguous() for image in masks)
    sized = (image if resize is None else resize(image) for image in tensors)
    planes = (image.amax(dim=0, keepdim=True) for image in sized)  # (1, H, W)
    if masks.frames > 1:
        return model.translate_frames(frames, planes)
    plane = next(planes)
    return model.translate_frames(frames, (plane for _ in repeat(None)))


def resize_frame(size: tuple[int, int], facts: ModelFacts, stored: bool, frame: Tensor) -> Tensor:
    """A frame (3, h, w) as the clips of the training were prepared: (3, H, W)."""
    resample = "nearest" if stored else facts.resample  # labels must not be mixed
    image = fit_image(frame.permute(1, 2, 0).contiguous().numpy(), size, facts.fit, resample=resample)
    return torch.from_numpy(image.copy()).permute(2, 0, 1).contiguous()


def _check_options(model: Translator | UnpairedTranslator, *, mask: Path | None, reverse: bool) -> None:
    """Raise ConfigError for an option that the model does not read, or for one that it needs."""
    fills = isinstance(model, Translator) and isinstance(model.condition, HolesCondition)
    if mask is not None and not fills:
        raise ConfigError(f"--mask {mask} has no effect on a model that fills no holes; remove it")
    if mask is None and fills:
        raise ConfigError("--mask is missing: this model fills holes; accepted: a video, folder or frame")
    if reverse and isinstance(model, Translator):
        raise ConfigError("--reverse has no effect on a paired model; remove it")


def _check_video(model: Translator | UnpairedTranslator, masks: FrameStream | None, stream: FrameStream) -> None:
    """Raise DataError for a video that the model cannot read."""
    if masks is not None and masks.frames not in (1, stream.frames):
        raise DataError(
            f"--mask {masks.path}: {masks.frames} frames, {stream.path} has {stream.frames}; accepted: as many, or one"
        )
    if masks is not None and masks.size != stream.size:
        ours, theirs = (f"{size[1]}x{size[0]}" for size in (stream.size, masks.size))
        raise DataError(
            f"--mask {masks.path}: frames of {theirs} pixels, {stream.path} has {ours}; accepted: equal sizes"
        )
    if isinstance(model, UnpairedTranslator):
        return
    if model.condition.rate > 1 and stream.frames < 2:
        raise DataError(f"{stream.path}: 1 frame; this model interpolates and needs 2")
    if model.condition.reads_colour and _lacks_colour(stream):
        raise DataError(
            f"{stream.path}: is grey, but this model reads colour (condition {model.condition.kind}); accepted: a"
            " colour video, such as a colourising model writes"
        )


def _lacks_colour(stream: FrameStream) -> bool:
    """Whether the first frames show something, and nothing coloured."""
    shown = False
    for image in islice(stream, LOOKED_AT):
        frame = torch.from_numpy(image).permute(2, 0, 1)
        if not is_grey(frame):
            return False
        shown = shown or int(frame.max()) - int(frame.min()) > CONTRAST
    return shown
