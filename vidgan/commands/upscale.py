"""`vidgan upscale`: enlarge a video with a trained upscaler."""

from functools import partial
from pathlib import Path

from vidgan.commands.map_video import MappedVideo, OnFrame, map_video
from vidgan.data.frame_stream import FrameStream
from vidgan.errors import ConfigError
from vidgan.own_code import own_code
from vidgan.tasks import load_model
from vidgan.tasks.upscaling.upscaler import ClipUpscaler, require_size


def upscale(
    run: Path | str,
    video: Path,
    out: Path,
    *,
    text: str | None = None,
    frames: int | None = None,
    fps: float | None = None,
    format: str | None = None,
    layout: str = "single",
    device: str = "auto",
    overwrite: bool = False,
    allow_own_code: bool = False,
    on_frame: OnFrame = lambda done, total: None,
) -> MappedVideo:
    """Write the enlarged video as `out` (without sound) and a record of the options (json).

    The video may have any length and size; it is read and written frame by frame.

    Args:
        run: a run or model folder of the task upscaling, the name of shipped weights, or one on the hub.
        video: video file, folder of frames, strip image or npy file.
        text: what the video shows, for a model that reads captions.
        frames: enlarge only the first of them; None: all.
        fps: frame rate of the output; default: that of the video, or 8 without a clock.
        format: a key of `vidgan.video.encode.FORMATS`; default: by the suffix of `out`.
        layout: "single", or "side" with the model's input to the left of the output.
        device: "auto", "cpu" or "cuda".
        overwrite: replace existing files.
        allow_own_code: follow the import paths of own parts of the model; importing runs the module.
        on_frame: called after each frame with the number of finished frames and of all frames; may raise to stop.

    Raises:
        PretrainedError: no such model, or one of another task.
        ConfigError: an invalid option, a text that the model cannot read, or frames that are too small.
        DataError, VideoError: no such video, or a damaged one.
        FileExistsError: a result exists.
    """
    with own_code(allowed=allow_own_code):
        model: ClipUpscaler = load_model(run, "mapping", task="upscaling")
    if model.reads_captions and text is None:
        raise ConfigError('--text: required, because this model enlarges by what a caption says, such as --text "..."')
    if text is not None and not model.reads_captions:
        raise ConfigError("--text: this model reads no captions; only one trained with model.text does")
    if text is not None:
        model.tokeniser.numbers([text])  # refuses unknown words

    def check(stream: FrameStream) -> None:
        try:
            require_size(stream.size)
        except ValueError as error:
            raise ConfigError(f"{video}: {error}") from None

    return map_video(
        model,
        video,
        out,
        name=str(run),
        mapping=None if text is None else partial(model.map_frames, text=text),
        check=check,
        frames=frames,
        fps=fps,
        format=format,
        layout=layout,
        device=device,
        overwrite=overwrite,
        record={"scale": model.scale, "text": text},
        on_frame=on_frame,
    )
