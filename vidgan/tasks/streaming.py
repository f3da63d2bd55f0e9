"""Running a model over a stream of frames of any length in constant memory.

`carried` is for models that hand a state from frame to frame, `Watcher` for forecasters that are asked for a forecast
after each frame.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from vidgan.pixels import to_byte, to_float
from vidgan.tasks.base import ForecastModel
from vidgan.tasks.inference import device_of, evaluating
from vidgan.types import ByteClip

__all__ = ["Remembering", "Watcher", "carried"]

State = TypeVar("State")


def carried(frames: Iterable[Tensor], step: Callable[[Tensor, State | None], tuple[Tensor, State]]) -> Iterator[Tensor]:
    """One output per frame of a model with a carried state.

    Args:
        frames: (C, h, w) each.
        step: (frame (1, C, h, w), state; None before the first frame) -> (output (1, C', H, W), new state).
    """
    state: State | None = None
    for frame in frames:
        output, state = step(frame[None], state)
        yield output[0]


@runtime_checkable
class Remembering(Protocol):
    """A forecaster whose knowledge of the past is a state that each frame updates.

    Attributes:
        decoding: what `continued` is to do to forecasts.
    """

    decoding: Any

    def observe(self, frame: Tensor, memory: Any | None) -> Any:
        """The state after a frame (1, C, H, W) in [-1, 1]; None before the first one."""
        ...

    def continued(self, memory: Any, horizon: int, **options: Any) -> Any:
        """A `vidgan.types.Prediction` of the frames that follow."""
        ...


class Watcher:
    """A forecaster that follows a video frame by frame, in constant memory.

    A `Remembering` model reads each frame once. Any other one reads the last frames again for every forecast.

    Args:
        model: the forecaster.
        context: frames that a model without a state is given.
    """

    def __init__(self, model: ForecastModel, context: int) -> None:
        self.model = model
        self.frames_seen = 0
        self._memory: Any = None
        self._recent: deque[Tensor] = deque(maxlen=max(2, context))

    def see(self, frame: Tensor) -> None:
        """Take in the next frame, (C, H, W) uint8."""
        self.frames_seen += 1
        model: Any = self.model
        if not isinstance(model, Remembering):
            self._recent.append(frame)
            return
        with evaluating(model):
            self._memory = model.observe(to_float(frame[None].to(device_of(model))), self._memory)

    def forecast(self, horizon: int) -> ByteClip:
        """The frames that follow, (horizon, C, H, W) uint8 on the CPU.

        Raises:
            ValueError: fewer than two frames were seen.
        """
        if self.frames_seen < 2:
            raise ValueError(f"a forecast needs 2 frames or more, got {self.frames_seen}")
        model: Any = self.model
        if not isinstance(model, Remembering):
            return model.predict(torch.stack(tuple(self._recent))[None], horizon)[0]
        with evaluating(model):
            prediction = model.continued(self._memory, horizon, decoding=model.decoding, implied=False)
            return to_byte(prediction.frames[0].cpu())
