"""Exported models in ONNX Runtime: numpy arrays in and out, no torch.

The same seed gives the same clips and samples as the model that was exported, within a grey level: random numbers are
torch's (`vidgan.exporting.draws`), in the order in which the models draw them.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vidgan.errors import ConfigError, PretrainedError
from vidgan.exporting.draws import NumpyDraws
from vidgan.exporting.metadata import PROPERTY, ExportedModel
from vidgan.tokens import WordTokeniser

__all__ = ["OnnxForecaster", "OnnxGenerator", "open_onnx"]

_DRAWN_AT_ONCE = 16  # time steps, as `MoCoGAN.draw_latents` draws them
_CODE_PLACES = ("content", "motion")


class OnnxGenerator:
    """A MoCoGAN in ONNX Runtime.

    Args:
        session: of the file.
        exported: its metadata.
    """

    def __init__(self, session: Any, exported: ExportedModel) -> None:
        self.exported = exported
        self._session = session
        self._shapes = {entry.name: entry.shape for entry in session.get_inputs()}

    @property
    def interface(self) -> dict[str, Any]:
        """What a program needs to know of the inputs, beside the metadata."""
        text = {"text_size": self._shapes["text"][1]} if self.reads_captions else {}
        return {"code_sizes": [self._shapes["content"][1], self._shapes["motion"][2]]} | text

    @property
    def needs_first_frame(self) -> bool:
        """Whether every clip continues a given frame."""
        return "first_frame" in self._shapes

    @property
    def reads_captions(self) -> bool:
        """Whether clips are made from text."""
        return "tokens" in self._shapes

    def latents(
        self,
        clips: int,
        frames: int,
        *,
        seed: int = 0,
        category: str | None = None,
        text: str | Sequence[str] | None = None,
    ) -> dict[str, np.ndarray]:
        """The codes of `clips` clips by input name; clip i depends on (seed, i) alone.

        Several texts give `clips` clips each, one text after another.

        Raises:
            ConfigError: no such category, an unknown word, or a text for a model that reads none.
        """
        exported, rows = self.exported, range(clips)
        draws = NumpyDraws(seed, "sample", rows=rows)
        content_codes, motion_codes = self._information_codes(seed, clips)
        dim_content = self._shapes["content"][1] - content_codes.shape[1] - exported.noise
        dim_motion = self._shapes["motion"][2] - motion_codes.shape[1]
        content = [draws.normal(dim_content), content_codes]
        if exported.noise:
            content.append(NumpyDraws(seed, "sample", "noise", rows=rows).normal(exported.noise))
        categories = draws.integers(max(1, exported.categories))
        if category is not None:
            categories = np.full(clips, self._category(category))
        initial = draws.normal(1, dim_motion)
        steps = exported.warm_up + frames
        blocks = [draws.normal(_DRAWN_AT_ONCE, dim_motion) for _ in range(0, steps, _DRAWN_AT_ONCE)]
        motion = np.concatenate([initial, *blocks], axis=1)[:, : steps + 1]
        repeated = np.broadcast_to(motion_codes[:, None], (*motion.shape[:2], motion_codes.shape[1]))
        codes = {
            "content": np.concatenate(content, axis=1),
            "motion": np.concatenate([motion, repeated], axis=2),
            "category": categories,
        }
        codes = {name: codes[name] for name in codes if name in self._shapes}
        if self.reads_captions:
            return self._with_captions(codes, clips, seed, text)
        if text is not None:
            raise ConfigError("--text: this model reads no captions; only one trained with model.text does")
        return codes

    def _information_codes(self, seed: int, clips: int) -> tuple[np.ndarray, np.ndarray]:
        """Random values behind the content (B, N) and behind the motion (B, M), as `InfoCodes.draw` draws them."""
        parts: dict[str, list[np.ndarray]] = {place: [np.zeros((clips, 0), np.float32)] for place in _CODE_PLACES}
        for name, code in self.exported.codes.items():
            draws = NumpyDraws(seed, "sample", "code", name, rows=range(clips))
            if code["kind"] == "categorical":
                values = np.eye(code["size"], dtype=np.float32)[draws.integers(code["size"])]
            else:
                values = 2 * draws.uniform(1) - 1
            parts[code["enters"]].append(values)
        content, motion = (np.concatenate(parts[place], axis=1) for place in _CODE_PLACES)
        return content, motion

    def _with_captions(
        self, codes: dict[str, np.ndarray], clips: int, seed: int, text: str | Sequence[str] | None
    ) -> dict[str, np.ndarray]:
        """The codes, repeated for each text, with words and the noise of text codes."""
        exported = self.exported
        codes["text"] = NumpyDraws(seed, "sample", "text", rows=range(clips)).normal(self._shapes["text"][1])
        texts = self.captions(clips, seed=seed, text=text)
        codes = {name: np.concatenate([values] * (len(texts) // clips)) for name, values in codes.items()}
        return codes | {"tokens": WordTokeniser(exported.vocabulary).numbers(texts)}

    def captions(self, clips: int, *, seed: int = 0, text: str | Sequence[str] | None = None) -> list[str]:
        """The caption of each clip that `sample` makes with these arguments; [] if the model reads none."""
        if not self.reads_captions:
            return []
        if text is not None:
            return [one for one in ([text] if isinstance(text, str) else text) for _ in range(clips)]
        examples = self.exported.training.captions or self.exported.vocabulary[:1]
        chosen = NumpyDraws(seed, "sample", "caption", rows=range(clips)).integers(len(examples))
        return [examples[number] for number in chosen]

    def sample(
        self,
        clips: int,
        *,
        frames: int | None = None,
        seed: int = 0,
        category: str | None = None,
        text: str | Sequence[str] | None = None,
        first_frame: np.ndarray | None = None,
        batch_size: int = 16,
    ) -> np.ndarray:
        """Synthesise clips.

        Args:
            clips: number of clips, of each text if there are several.
            frames: length, 2 or more; default: as trained.
            seed: same seed, same clips.
            category: name of the category of all clips; default: each clip draws its own.
            text: one text or several, for a model that reads captions; default: captions of its training.
            first_frame: (3, H, W) uint8, the frame to continue, for image-to-video models.
            batch_size: clips rendered at once.

        Returns:
            (clips, frames, 3, H, W) uint8; of several texts `clips` each, one text after another.

        Raises:
            ConfigError: an argument that does not fit this model.
        """
        frames = frames or self.exported.frames
        if clips < 1 or frames < 2:
            raise ConfigError(f"at least 1 clip of 2 frames is needed, got clips={clips}, frames={frames}")
        if (first_frame is not None) != self.needs_first_frame:
            needed = "required, because this model continues a given frame (image-to-video)"
            refused = "this model was not trained image-to-video (model.encoder)"
            raise ConfigError(f"--first-frame: {needed if self.needs_first_frame else refused}")
        codes = self.latents(clips, frames, seed=seed, category=category, text=text)
        rows = len(codes["content"])
        if first_frame is not None:
            codes["first_frame"] = np.broadcast_to(first_frame, (rows, *first_frame.shape))
        return np.concatenate([*self._batches(codes, rows, batch_size)])

    def render(self, codes: dict[str, np.ndarray]) -> np.ndarray:
        """Codes by input name -> (B, T, 3, H, W) uint8."""
        frames: np.ndarray = self._session.run(None, {name: np.ascontiguousarray(codes[name]) for name in codes})[0]
        return frames

    def _batches(self, codes: dict[str, np.ndarray], rows: int, batch_size: int) -> Iterator[np.ndarray]:
        for start in range(0, rows, batch_size):
            yield self.render({name: values[start : start + batch_size] for name, values in codes.items()})

    def _category(self, category: str) -> int:
        number = self.exported.categories
        if not number:
            raise ConfigError(f"--category {category}: this model has no categories")
        names = [*map(str, self.exported.training.categories or range(number))]
        if category not in names:
            raise ConfigError(f"--category {category}: unknown to this model; accepted: {', '.join(names)}")
        return names.index(category)


class OnnxForecaster:
    """A Dual Motion GAN in ONNX Runtime, one frame per call with explicit state (`vidgan.exporting.forecast_step`).

    Args:
        session: of the file.
        exported: its metadata.
    """

    def __init__(self, session: Any, exported: ExportedModel) -> None:
        self.exported = exported
        self._session = session
        shapes = {entry.name: entry.shape[1:] for entry in session.get_inputs()}
        self._noises = {name: shape for name, shape in shapes.items() if name.endswith("_noise")}
        self._states = {name: shape for name, shape in shapes.items() if name.startswith("state_")}

    @property
    def interface(self) -> dict[str, Any]:
        """What a program needs to know of the inputs, beside the metadata: shapes without the batch."""
        return {"noises": self._noises, "states": self._states}

    @property
    def can_sample(self) -> bool:
        """Whether different seeds give different forecasts."""
        return bool(self._noises)

    def predict(
        self, context: np.ndarray, horizon: int = 10, *, samples: int = 1, seed: int | None = None
    ) -> np.ndarray:
        """Forecast the frames that follow.

        Args:
            context: (B, T, 3, H, W) uint8, T of 2 or more.
            horizon: K, frames to forecast.
            samples: N forecasts; more than one draws the motion code N times.
            seed: of the draws; None with one sample gives the best single guess.

        Returns:
            (B, K, 3, H, W) uint8; (N, B, K, 3, H, W) for `samples` > 1.

        Raises:
            ConfigError: the context does not fit, or samples of a model that has none.
        """
        size = self.exported.image_size
        if context.ndim != 5 or context.shape[1] < 2 or context.shape[2:] != (3, *size):
            raise ConfigError(f"the context must be (B, T, 3, {size[0]}, {size[1]}), T of 2 or more: {context.shape}")
        if (samples > 1 or seed is not None) and not self.can_sample:
            raise ConfigError(f"--samples {samples}: this model makes a single forecast")
        state = self.observe(context)
        if samples == 1:
            return self.continued(state, horizon, seed=seed)
        first = 0 if seed is None else seed
        return np.stack([self.continued(state, horizon, seed=first + number) for number in range(samples)])

    def observe(self, context: np.ndarray) -> dict[str, np.ndarray]:
        """The state after a context (B, T, 3, H, W) uint8."""
        batch = len(context)
        state = {name: np.zeros((batch, *shape), np.float32) for name, shape in self._states.items()}
        for frame in np.moveaxis(context, 1, 0):
            _, state = self._step(True, frame, self._silence(batch), state)
        return state

    def continued(self, state: dict[str, np.ndarray], horizon: int, *, seed: int | None = None) -> np.ndarray:
        """The frames after those in `state`: (B, horizon, 3, H, W) uint8. The state itself stays as it is."""
        batch = len(next(iter(state.values())))
        draws = None if seed is None else NumpyDraws(seed, "forecast", rows=range(batch))
        blank = np.zeros((batch, 3, *self.exported.image_size), np.uint8)
        frames = []
        for _ in range(horizon):
            noises = self._silence(batch)
            if draws is not None:
                noises = {name: draws.normal(*shape) for name, shape in self._noises.items()}
            frame, state = self._step(False, blank, noises, state)
            frames.append(frame)
        return np.stack(frames, axis=1)

    def _silence(self, batch: int) -> dict[str, np.ndarray]:
        return {name: np.zeros((batch, *shape), np.float32) for name, shape in self._noises.items()}

    def _step(
        self, observing: bool, frame: np.ndarray, noises: dict[str, np.ndarray], state: dict[str, np.ndarray]
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        inputs = {"observing": np.array(observing), "frame": np.ascontiguousarray(frame), **noises, **state}
        forecast, *values = self._session.run(None, inputs)
        return forecast, dict(zip(self._states, values, strict=True))


def open_onnx(path: Path, kind: str | None = None) -> OnnxGenerator | OnnxForecaster:
    """Open a file that `vidgan export --to onnx` wrote.

    Args:
        path: the file.
        kind: "clips" or "forecast", the only accepted one; None: either.

    Raises:
        PretrainedError: no such file, no ONNX file, one that vidgan did not export, or one of another kind.
        ConfigError: onnxruntime is missing.
    """
    if not path.is_file():
        raise PretrainedError(f"{path}: no such file")
    try:
        import onnxruntime
    except ImportError as error:
        raise ConfigError(f"{path}: needs onnxruntime; install it with pip install 'vidgan[export]'") from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has no common base class of its exceptions
        raise PretrainedError(f"{path}: no readable ONNX file ({' '.join(str(error).split())[:300]})") from None
    text = session.get_modelmeta().custom_metadata_map.get(PROPERTY)
    if text is None:
        raise PretrainedError(
            f"{path}: vidgan did not export this file (no metadata {PROPERTY}); models of others are scored with"
            " `vidgan evaluate --model`"
        )
    exported = ExportedModel.from_text(text, path)
    if kind not in (None, exported.kind):
        does = "generates clips" if exported.kind == "clips" else "continues clips"
        raise PretrainedError(f"{path}: holds a {exported.model}, which {does}")
    return OnnxGenerator(session, exported) if exported.kind == "clips" else OnnxForecaster(session, exported)
