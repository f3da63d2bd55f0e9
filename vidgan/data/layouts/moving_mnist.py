"""Moving MNIST (Srivastava et al., 2015): the frozen test file, and clips drawn from the MNIST digits.

``moving-mnist`` takes ``mnist_test_seq.npy`` (or another ``*mnist_test_seq.npy``), uint8 (20, 10000, 64, 64), time
first, as the test split; with ``train-images-idx3-ubyte(.gz)`` beside it, training clips are drawn from those digits.
``mnist-idx`` needs the digits alone: training clips from the train images and test clips from the t10k images, or, with
one of the two files, from the first four fifths and the last fifth of its digits, so that no digit is in both. How a
clip is drawn is told in `vidgan.data.synthetic.moving_digits`.
"""

import json
import re
from collections.abc import Mapping
from typing import Final

from vidgan.data.layouts.layout import Layout, all_match, search_all
from vidgan.data.sources.entries import Source
from vidgan.data.sources.listing import Listing, is_clip_file
from vidgan.errors import DataError

_FROZEN: Final = re.compile(r"(?:^|/)[^/]*mnist_test_seq(?:_\d+)?\.npy$")
_DIGITS: Final = re.compile(r"(?:^|/)(train|t10k)-images[-.]idx3-ubyte(?:\.gz)?$")
_BATCH: Final = 250  # clips of one source, the unit that a worker takes
_DRAWING: Final = {
    "clips": ("10000", "[1-9][0-9]{0,6}"),
    "frames": ("20", "[2-9]|[1-9][0-9]{1,3}"),
    "digits": ("2", "[1-9]"),
    "seed": ("0", "[0-9]{1,9}"),
}


def _find_frozen(listing: Listing, options: Mapping[str, str]) -> list[Source]:
    frozen = [Source(name, "time-first", (name,), split="test") for name, _ in search_all(_FROZEN, listing.names)]
    digits = [name for name, match in search_all(_DIGITS, listing.names) if match[1] == "train"]
    asked = [key for key, (default, _) in _DRAWING.items() if options[key] != default]
    if asked and not digits:
        problem = f"{asked[0]} has no effect without train-images-idx3-ubyte, from whose digits clips are drawn"
        raise DataError(f"{listing.root}: layout moving-mnist: {problem}")
    return frozen + _batches(digits[0], "train", 0.0, 1.0, options) if frozen and digits else frozen


def _find_digits(listing: Listing, options: Mapping[str, str]) -> list[Source]:
    files: dict[str, str] = {}
    for name, match in search_all(_DIGITS, listing.names):
        files.setdefault(match[1], name)
    if len(files) == 2:
        parts = [(files["train"], "train", 0.0, 1.0), (files["t10k"], "test", 0.0, 1.0)]
    else:
        parts = [(name, *part) for name in files.values() for part in (("train", 0.0, 0.8), ("test", 0.8, 1.0))]
    tests = {**options, "clips": options["test_clips"]}
    return [source for part in parts for source in _batches(*part, tests if part[1] == "test" else options)]


def _batches(name: str, split: str, low: float, high: float, options: Mapping[str, str]) -> list[Source]:
    """Sources of up to `_BATCH` clips each, from the digits between the shares `low` and `high` of the file."""
    count = int(options["clips"])
    sources = []
    for first in range(0, count, _BATCH):
        last = min(first + _BATCH, count)
        recipe = {
            "clips": [first, last],
            "share": [low, high],
            "frames": int(options["frames"]),
            "digits": int(options["digits"]),
            "seed": int(options["seed"]),
            "split": split,
        }
        title = f"{name}:{split}:{first}-{last - 1}"
        sources.append(Source(title, "digits", (name,), split=split, recipe=json.dumps(recipe)))
    return sources


MOVING_MNIST = Layout(
    "moving-mnist",
    "mnist_test_seq.npy, and for training clips train-images-idx3-ubyte or its .gz",
    _find_frozen,
    lambda listing: all_match(_FROZEN, [name for name in listing.names if is_clip_file(name)]),
    _DRAWING,
)
MNIST_IDX = Layout(
    "mnist-idx",
    "train-images-idx3-ubyte and t10k-images-idx3-ubyte, or one of them, plain or .gz",
    _find_digits,
    options={**_DRAWING, "test_clips": ("1000", "[1-9][0-9]{0,6}")},
)
