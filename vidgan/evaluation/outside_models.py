"""Models that vidgan did not train: a Python function, an entry point of a package, or an ONNX file.

A function says by its parameters what it is:

- `predict(context, horizon)` continues clips: `context` (B, T, 3, H, W) uint8 RGB -> (B, horizon, 3, H, W) uint8. With
  a further parameter `seed` (int or None) it is stochastic.
- `sample(clips, frames, seed)` generates clips: -> (clips, frames, 3, H, W) uint8.

Each is tried once on real data before anything is scored.
"""

import inspect
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import numpy as np
import torch
from torch import Tensor

from vidgan.errors import ConfigError
from vidgan.files import file_hash
from vidgan.own_code import load_entry_point, load_own, path_of
from vidgan.pixels import to_byte, to_float
from vidgan.seeding import derive_seed
from vidgan.types import ByteClip, Forecast, Latents

__all__ = ["ENTRY_POINTS", "OutsideForecaster", "OutsideGenerator", "OutsideModel", "load_outside"]

logger = logging.getLogger(__name__)

ENTRY_POINTS = "vidgan.models"  # group in which a package registers functions
KEY = "--model"
FORECASTS, GENERATES = ("context", "horizon"), ("clips", "frames", "seed")
RANGE_KEY = "value_range"  # metadata of an ONNX file: "LOW,HIGH" of its float frames
DEFAULT_RANGE = (-1.0, 1.0)
PROTOCOL = (
    "accepted are predict(context, horizon), optionally with seed, which continues clips, and sample(clips, frames,"
    " seed), which generates them"
)
FRAMES = "uint8 RGB frames from 0 to 255"


class OutsideForecaster:
    """A function of a context and a horizon as a `ForecastModel`.

    Args:
        name: row in score tables.
        function: `predict(context, horizon)` or `predict(context, horizon, seed=...)`. It is given one clip at a time,
            so that numbers do not depend on batches.
        stochastic: whether it takes a seed.
    """

    image_size = (0, 0)  # any
    part_names: ClassVar[tuple[str, ...]] = ()
    side_multiple = 1  # frames are not padded

    def __init__(self, name: str, function: Callable[..., Any], *, stochastic: bool = False) -> None:
        self.forecast_name = name
        self.facts: dict[str, Any] = {}
        self.can_sample = stochastic
        self._function = function

    def forecast(
        self, context: ByteClip, horizon: int, *, seed: int | None = None, rows: Sequence[int] | None = None
    ) -> Forecast:
        """As `ForecastModel.forecast`."""
        numbers = rows or range(len(context))
        frames = [
            self._call(clip[None], horizon, None if seed is None else _seed(seed, row, 0))
            for clip, row in zip(context, numbers, strict=True)
        ]
        return Forecast(frames=to_float(torch.cat(frames)), parts={}, flow=None)

    def predict(
        self,
        context: ByteClip,
        horizon: int = 10,
        *,
        samples: int = 1,
        seed: int | None = None,
        rows: Sequence[int] | None = None,
    ) -> ByteClip:
        """As `ForecastModel.predict`."""
        numbers = rows or range(len(context))
        drawn = [
            torch.cat(
                [
                    self._call(clip[None], horizon, None if seed is None else _seed(seed, row, sample))
                    for clip, row in zip(context, numbers, strict=True)
                ]
            )
            for sample in range(samples)
        ]
        return torch.stack(drawn) if samples > 1 else drawn[0]

    def check(self, context: ByteClip, horizon: int) -> None:
        """Try the function on one real context, (1, T, 3, H, W) uint8.

        Raises:
            ConfigError: it fails, or returns no frames of the right shape, type and range.
        """
        seed = 0 if self.can_sample else None
        first = self._call(context, horizon, seed)
        _require_bytes(self.forecast_name, first, context)
        if not torch.equal(first, self._call(context, horizon, seed)):
            fault = "with the same seed" if self.can_sample else "without a parameter seed"
            logger.warning("%s: two calls %s differ, so its scores cannot be repeated", self.forecast_name, fault)

    def _call(self, context: ByteClip, horizon: int, seed: int | None) -> ByteClip:
        shape = (len(context), horizon, *context.shape[2:])
        given = {"seed": seed} if self.can_sample else {}
        # A copy: the function may write into it.
        return _checked(self.forecast_name, lambda: self._function(context.clone(), horizon, **given), shape, context)


class OutsideGenerator:
    """A function `sample(clips, frames, seed)` as a `ClipModel`. Clips of one call are determined by its seed."""

    num_categories = 0
    needs_first_frame = False

    def __init__(self, name: str, function: Callable[[int, int, int], Any]) -> None:
        self.name = name
        self.image_size = (0, 0)
        self.facts: dict[str, Any] = {}
        self._function = function

    def latents(self, clips: int, frames: int, *, seed: int = 0, category: int | str | None = None) -> Latents:
        """The seed of each clip; the length is kept in the shape of `motion`."""
        seeds = torch.tensor([[_seed(seed, clip, 0)] for clip in range(clips)])
        return Latents(
            seeds, torch.zeros(clips, frames + 1, 1), torch.zeros(clips, dtype=torch.int64), torch.zeros(clips, 0)
        )

    def render(self, latents: Latents, *, first_frame: Tensor | None = None, batch_size: int = 16) -> ByteClip:
        """As `ClipModel.render`; a batch is drawn with the seed of its first clip."""
        frames = latents.motion.shape[1] - 1
        parts = []
        for first in range(0, len(latents.content), batch_size):
            seeds = latents.content[first : first + batch_size]
            parts.append(self._call(len(seeds), frames, int(seeds[0])))
        return torch.cat(parts)

    def sample(
        self,
        clips: int,
        *,
        frames: int | None = None,
        seed: int = 0,
        category: int | str | None = None,
        first_frame: Tensor | None = None,
        batch_size: int = 16,
    ) -> ByteClip:
        """As `ClipModel.sample`."""
        assert frames is not None, "the evaluation names the length"
        return self.render(self.latents(clips, frames, seed=seed), batch_size=batch_size)

    def check(self, real: ByteClip) -> None:
        """Try the function once; `real` is a real clip (1, T, 3, H, W) whose shape its clips must have.

        Raises:
            ConfigError: it fails, or returns no clips of the right shape, type and range.
        """
        self.image_size = (real.shape[-2], real.shape[-1])
        clips = self._call(2, real.shape[1], 0)
        _require_bytes(self.name, clips, real)
        if torch.equal(clips[0], clips[1]):
            logger.warning("%s: two clips of one call are equal", self.name)
        if not torch.equal(clips, self._call(2, real.shape[1], 0)):
            logger.warning("%s: two calls with the same seed differ, so its scores cannot be repeated", self.name)

    def _call(self, clips: int, frames: int, seed: int) -> ByteClip:
        return _checked(self.name, lambda: self._function(clips, frames, seed), (clips, frames, 3, *self.image_size))


OutsideModel: TypeAlias = OutsideForecaster | OutsideGenerator


def load_outside(model: str | Callable[..., Any]) -> tuple[OutsideModel, dict[str, str]]:
    """The model that `--model` names, and the sha256 of the file that it is in.

    Args:
        model: `my.py:predict`, `my_module:predict`, `FILE.onnx`, an entry point of the group `vidgan.models`, or a
            function from Python. A class is called without arguments; its object must be such a function.

    Raises:
        ConfigError: it cannot be loaded, is no such function, or would run code without `allow_own_code`.
    """
    if isinstance(model, str) and model.endswith(".onnx"):
        path = Path(model)
        if not path.is_file():
            raise ConfigError(f"{KEY}: there is no file {path}")
        return _from_onnx(path), {path.name: file_hash(path)}
    function: Any
    if not isinstance(model, str):
        function, name = model, getattr(model, "__name__", type(model).__name__)
    elif ":" in model:
        function, name = load_own(model, KEY), model.rpartition(":")[2]
    else:
        function, name = load_entry_point(model, ENTRY_POINTS, KEY), model
    if inspect.isclass(function):
        try:
            function = function()
        except Exception as error:
            raise ConfigError(f"{KEY}: {model}() failed: {type(error).__name__}: {error}") from error
    return _from_function(function, name), _source_hash(function)


def _from_function(function: Any, name: str) -> OutsideModel:
    if not callable(function):
        raise ConfigError(f"{KEY}: {name} is a {type(function).__name__}, not a function; {PROTOCOL}")
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{KEY}: the parameters of {name} are unknown ({error}); {PROTOCOL}") from error
    names = [key for key, parameter in parameters.items() if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]
    required = [key for key in names if parameters[key].default is inspect.Parameter.empty]
    if tuple(names[:2]) == FORECASTS and set(required) <= {*FORECASTS, "seed"}:
        return OutsideForecaster(name, function, stochastic="seed" in names)
    if tuple(names[:3]) == GENERATES and set(required) <= set(GENERATES):
        return OutsideGenerator(name, function)
    raise ConfigError(f"{KEY}: {name}({', '.join(parameters)}) has other parameters; {PROTOCOL}")


def _source_hash(function: Any) -> dict[str, str]:
    """sha256 of the file that defines a function; none for one from an interactive session."""
    defined = function if inspect.isroutine(function) else type(function)
    try:
        file = Path(inspect.getfile(defined))
    except (OSError, TypeError):
        return {}
    return {file.name: file_hash(file)} if file.is_file() else {}


def _seed(*keys: int) -> int:
    """A seed that numpy and torch accept."""
    return derive_seed("outside model", *keys) % 2**31


def _checked(name: str, call: Callable[[], Any], shape: tuple[int, ...], context: ByteClip | None = None) -> ByteClip:
    """The result of a call, if it is uint8 of that shape."""
    given = "" if context is None else f" for a context of shape {tuple(context.shape)}"
    expected = f"it must return {FRAMES} of shape {shape}"
    try:
        with torch.no_grad():
            answer = call()
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(f"{KEY}: {name} failed{given} ({type(error).__name__}: {error}); {expected}") from error
    if isinstance(answer, np.ndarray):
        answer = torch.from_numpy(np.ascontiguousarray(answer))
    if not isinstance(answer, Tensor):
        raise ConfigError(f"{KEY}: {name} returned {type(answer).__name__}{given}; {expected}")
    if answer.dtype != torch.uint8 or tuple(answer.shape) != shape:
        raise ConfigError(
            f"{KEY}: {name} returned {str(answer.dtype).removeprefix('torch.')} of shape {tuple(answer.shape)}{given};"
            f" {expected}"
        )
    return answer.detach().cpu()


def _require_bytes(name: str, frames: ByteClip, real: ByteClip) -> None:
    """Refuse frames in 0..1 that were rounded to bytes."""
    if int(frames.max()) <= 1 < int(real.max()):
        raise ConfigError(
            f"{KEY}: {name} returned values up to {int(frames.max())}; it must return {FRAMES} (were frames in [0, 1]"
            " converted without multiplying by 255?)"
        )


def _from_onnx(path: Path) -> OutsideModel:
    """The model in an ONNX file: one input (B, T, 3, H, W) of a forecaster, or the latents of a generator."""
    try:
        import onnxruntime
    except ImportError as error:
        raise ConfigError(
            f"{KEY}: {path}: ONNX files need onnxruntime; install it with pip install 'vidgan[export]'"
        ) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=onnxruntime.get_available_providers())
    except Exception as error:
        raise ConfigError(f"{KEY}: {path} is no readable ONNX file ({' '.join(str(error).split())})") from error
    network = _OnnxNetwork(path, session)
    return (
        OutsideForecaster(path.stem, network.predict)
        if network.forecasts
        else OutsideGenerator(path.stem, network.draw)
    )


class _OnnxNetwork:
    """An ONNX session as a function of frames or of latents."""

    def __init__(self, path: Path, session: Any) -> None:
        self.path, self.session = path, session
        self.inputs = session.get_inputs()
        shapes = ", ".join(f"{one.name} {one.type} {one.shape}" for one in self.inputs)
        ranks = [len(one.shape) for one in self.inputs]
        types = {one.type for one in self.inputs}
        self.forecasts = ranks == [5] and types <= {"tensor(uint8)", "tensor(float)"}
        if not self.forecasts and (5 in ranks or types != {"tensor(float)"}):
            raise ConfigError(
                f"{KEY}: {path} has the inputs {shapes}; accepted are one input (B, T, 3, H, W), uint8 or float32, of a"
                " model that continues clips, or float32 inputs of fewer dimensions, the latents of one that generates"
            )
        self.low, self.high = self._range()

    def predict(self, context: ByteClip, horizon: int) -> ByteClip:
        """(B, T, 3, H, W) -> (B, horizon, 3, H, W); a model of fewer frames is applied to its own output again.

        A file with a fixed number of context frames is given the last ones.
        """
        entry = self.inputs[0]
        given = entry.shape[1] if isinstance(entry.shape[1], int) else None
        if given is not None and context.shape[1] < given:
            raise ConfigError(
                f"{KEY}: {self.path} needs {given} context frames and is given {context.shape[1]}; pass --context"
                f" {given}"
            )
        frames = context
        while frames.shape[1] < context.shape[1] + horizon:
            following = self._run({entry.name: self._encode(frames if given is None else frames[:, -given:])})
            frames = torch.cat([frames, following], dim=1)
        return frames[:, context.shape[1] : context.shape[1] + horizon]

    def draw(self, clips: int, frames: int, seed: int) -> ByteClip:
        """Clips of standard normal latents; a longer clip is cut to `frames`."""
        random = np.random.default_rng(seed)
        batch = self.inputs[0].shape[0]
        size = batch if isinstance(batch, int) else clips
        made: list[Tensor] = []
        while sum(map(len, made)) < clips:
            latents = {}
            for entry in self.inputs:
                sides = [size, *entry.shape[1:]]
                if not all(isinstance(side, int) for side in sides):
                    raise ConfigError(
                        f"{KEY}: {self.path}: {entry.name} has the shape {entry.shape}; only the batch may be variable"
                    )
                latents[entry.name] = random.standard_normal(sides, dtype=np.float32)
            made.append(self._run(latents))
        return torch.cat(made)[:clips, :frames]

    def _run(self, inputs: dict[str, Any]) -> ByteClip:
        output = self.session.run(None, inputs)[0]
        if output.ndim != 5:
            raise ConfigError(f"{KEY}: {self.path} returns shape {output.shape}; accepted is (B, T, 3, H, W)")
        return torch.from_numpy(output) if output.dtype == np.uint8 else self._decode(output)

    def _encode(self, frames: ByteClip) -> Any:
        if self.inputs[0].type == "tensor(uint8)":
            return frames.numpy()
        return ((to_float(frames) + 1) / 2 * (self.high - self.low) + self.low).numpy()

    def _decode(self, output: Any) -> ByteClip:
        span = self.high - self.low
        lowest, highest = float(output.min()), float(output.max())
        if not (lowest >= self.low - span / 2 and highest <= self.high + span / 2):  # also NaN
            raise ConfigError(
                f"{KEY}: {self.path} returns values from {lowest:.3g} to {highest:.3g}; its frames must lie in"
                f" [{self.low:g}, {self.high:g}] (the metadata property {RANGE_KEY}, such as 0,1, says otherwise)"
            )
        return to_byte((torch.from_numpy(output) - self.low) / span * 2 - 1)

    def _range(self) -> tuple[float, float]:
        text = self.session.get_modelmeta().custom_metadata_map.get(RANGE_KEY)
        if text is None:
            return DEFAULT_RANGE
        try:
            low, high = map(float, text.split(","))
        except ValueError:
            low = high = 0.0
        if not low < high:
            raise ConfigError(f"{KEY}: {self.path}: its metadata {RANGE_KEY} is {text!r}; accepted is LOW,HIGH")
        return low, high


def describe(model: str | Callable[..., Any]) -> str:
    """How a result names the model."""
    return model if isinstance(model, str) else path_of(model)
