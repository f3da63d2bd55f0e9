"""Moving MNIST (Srivastava et al., 2015): the published test file, and clips generated from the MNIST digits.

``moving-mnist`` reads ``mnist_test_seq.npy`` (or another ``*mnist_test_seq.npy``), uint8 (20, 10000, 64, 64), time
first, as the test split. If ``train-images-idx3-ubyte(.gz)`` is present, training clips are generated from its digits.
``mnist-idx`` needs only digits: training clips use the train images and test clips the t10k images. With one of the two
files, they use the first four fifths and the last fifth of its digits, so that no digit is in both. Generation is
described in `vidgan.data.synthetic.moving_digits`.
"""

import json
import re
from collections.abc import Mapping
from typing import Final

from vidgan.data.layouts.layout import Layout, all_match, search_all
from vidgan.data.sources.file_tree import FileTree, is_clip_file
from vidgan.data.sources.source import Source
from vidgan.errors import DataError

_FROZEN: Final = re.compile(r"(?:^|/)[^/]*mnist_test_seq(?:_\d+)?\.npy$")
_DIGITS: Final = re.compile(r"(?:^|/)(train|t10k)-images[-.]idx3-ubyte(?:\.gz)?$")
_BATCH: Final = 250  # clips per source, the unit of work of a reading process
_GENERATION: Final = {
    "clips": ("10000", "[1-9][0-9]{0,6}"),
    "frames": ("20", "[2-9]|[1-9][0-9]{1,3}"),
    "digits": ("2", "[1-9]"),
    "seed": ("0", "[0-9]{1,9}"),
}


def _find_frozen(tree: FileTree, options: Mapping[str, str]) -> list[Source]:
    frozen = [Source(name, "time-first", (name,), split="test") for name, _ in search_all(_FROZEN, tree.names)]
    digits = [name for name, match in search_all(_DIGITS, tree.names) if match[1] == "train"]
    changed = [key for key, (default, _) in _GENERATION.items() if options[key] != default]
    if changed and not digits:
        problem = f"{changed[0]} has no effect without train-images-idx3-ubyte, the digits of the training clips"
        raise DataError(f"{tree.root}: layout moving-mnist: {problem}")
    return frozen + _batches(digits[0], "train", 0.0, 1.0, options) if frozen and digits else frozen


def _find_digits(tree: FileTree, options: Mapping[str, str]) -> list[Source]:
    files: dict[str, str] = {}
    for name, match in search_all(_DIGITS, tree.names):
        files.setdefault(match[1], name)
    if len(files) == 2:
        parts = [(files["train"], "train", 0.0, 1.0), (files["t10k"], "test", 0.0, 1.0)]
    else:
        parts = [(name, *part) for name in files.values() for part in (("train", 0.0, 0.8), ("test", 0.8, 1.0))]
    tests = {**options, "clips": options["test_clips"]}
    return [source for part in parts for source in _batches(*part, tests if part[1] == "test" else options)]


def _batches(name: str, split: str, low: float, high: float, options: Mapping[str, str]) -> list[Source]:
    """Sources of up to `_BATCH` clips each, from the digits between the fractions `low` and `high` of the file."""
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
    lambda tree: all_match(_FROZEN, [name for name in tree.names if is_clip_file(name)]),
    _GENERATION,
)
MNIST_IDX = Layout(
    "mnist-idx",
    "train-images-idx3-ubyte and t10k-images-idx3-ubyte, or one of them, plain or .gz",
    _find_digits,
    options={**_GENERATION, "test_clips": ("1000", "[1-9][0-9]{0,6}")},
)
