"""The settings of one `vidgan evaluate`, checked together before anything is read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from vidgan.errors import ConfigError
from vidgan.evaluation.protocols import ForecastProtocol, GenerationProtocol, find_protocol


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a model or two folders are scored.

    Attributes:
        data: prepared data; default: the run's own.
        split: "test", or "all" clips of data that the model was not trained on.
        protocol, variant: a preset by name; None: windows of the test split that do not overlap.
        allow_deviation: score data that were not prepared as the protocol fixes; the result then says so by its name.
        best: the weights of the best evaluation.
        context, horizon: frames given and forecast; default: as trained. Fixed by a protocol.
        growing: forecast frame t from all true frames before it, rather than all frames from the first `context`. Fixed
            by a protocol.
        metrics: names, in place of the protocol's or the default ones.
        samples: futures drawn a window; default: the protocol's, or 1.
        best_by: the metric that chooses the best sample; None: each metric its own.
        clips: clips compared on each side, for a model that generates.
        frames: length of its clips, to score them longer than it was trained on; None: as trained.
        seed: of draws and of the bootstrap.
        seeds: evaluation seeds of a model that generates: seed, seed + 1, ...
        mcs: of a model with categories, also whether its clips show the category asked for (trains a classifier).
        flow_histograms: of sets of clips, also compare how they move (takes the time of optical flow on every clip).
        weights: name -> file of network weights.
        device: "auto", "cpu" or "cuda".
    """

    data: Path | None = None
    split: str = "test"
    protocol: str | None = None
    variant: str | None = None
    allow_deviation: bool = False
    best: bool = False
    context: int | None = None
    horizon: int | None = None
    growing: bool = False
    metrics: tuple[str, ...] = ()
    samples: int | None = None
    best_by: str | None = None
    clips: int | None = None
    frames: int | None = None
    seed: int = 0
    seeds: int = 1
    mcs: bool = False
    flow_histograms: bool = False
    weights: Mapping[str, Path] = field(default_factory=dict)
    device: str = "auto"

    def preset(self) -> ForecastProtocol | GenerationProtocol | None:
        """The protocol, if one is named.

        Raises:
            ConfigError, ValueError: there is no such one, or options that it fixes are given too.
        """
        if self.protocol is None:
            for option, value in {"--variant": self.variant, "--allow-deviation": self.allow_deviation}.items():
                if value:
                    raise ConfigError(f"{option} has no effect without --protocol")
            return None
        if self.context or self.horizon or self.growing:
            raise ConfigError(
                f"--context, --horizon and --growing are fixed by --protocol {self.protocol}; leave them out"
            )
        return find_protocol(self.protocol, self.variant)

    def refuse(self, what: str, *options: str) -> None:
        """Raise ConfigError if one of these options is set, since it has no effect on `what`."""
        defaults = Settings()
        idle = [name for name in options if getattr(self, name) != getattr(defaults, name)]
        if idle:
            told = ", ".join(f"--{name.replace('_', '-')}" for name in idle)
            raise ConfigError(f"{told} has no effect on {what}")

    def torch_device(self, local_rank: int = 0) -> torch.device:
        """The device to run on.

        Raises:
            ConfigError: a GPU is asked for and torch sees none.
        """
        found = torch.cuda.is_available()
        if self.device == "cuda" and not found:
            raise ConfigError("--device cuda, but torch sees no GPU; use auto or cpu")
        if self.device == "cpu" or not found:
            return torch.device("cpu")
        return torch.device("cuda", local_rank % torch.cuda.device_count())


def parse_weights(given: list[str]) -> dict[str, Path]:
    """`NAME=PATH` entries.

    Raises:
        ConfigError: another form, or a name twice.
    """
    found: dict[str, Path] = {}
    for entry in given:
        name, equals, path = entry.partition("=")
        if not (name and equals and path):
            raise ConfigError(f"--weights {entry}: write NAME=PATH, such as i3d=i3d_torchscript.pt")
        if name in found:
            raise ConfigError(f"--weights {name} is given twice")
        found[name] = Path(path)
    return found


def parse_frames(text: str) -> tuple[int, int | None] | int:
    """`2:10` -> (2, 10), `2:` -> (2, None), `:10` -> (0, 10): which frames; `64` -> 64: how many.

    Raises:
        ConfigError: another form, or nothing between the ends.
    """
    first, colon, last = text.partition(":")
    if text.isdigit():
        return int(text)
    if not colon or not all(part.isdigit() or not part for part in (first, last)):
        raise ConfigError(
            f"--frames {text}: write FIRST:END, such as 2:10 (END not included) or 2:, for two folders; a"
            " number, such as 64, for a model that generates"
        )
    start, stop = int(first or 0), int(last) if last else None
    if stop is not None and stop <= start:
        raise ConfigError(f"--frames {text}: no frame lies between")
    return start, stop
