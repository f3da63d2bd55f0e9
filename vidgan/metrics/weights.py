"""Weight files: found or explained before a run, named by their hash in the result, loaded without unpickling code."""

import hashlib
import logging
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vidgan.errors import WeightsError

logger = logging.getLogger(__name__)


def file_hash(path: Path) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_weights(path: Path, needed_for: str, how: str) -> Path:
    """The path, if there is such a file.

    Raises:
        WeightsError: there is none; the message says what it is needed for and how to get it.
    """
    if not Path(path).is_file():
        raise WeightsError(f"{needed_for} needs the weight file {path}, which does not exist; {how}")
    return Path(path)


def load_tensors(path: Path) -> dict[str, Tensor]:
    """A state dict (name -> tensor) on the CPU, in float32.

    Raises:
        WeightsError: not a file of tensors; nothing else is ever unpickled.
    """
    try:
        content: Any = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # stray bytes make the unpickler fail in any way
        raise WeightsError(f"{path}: not a file of tensors ({type(error).__name__})") from error
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise WeightsError(f"{path}: holds something else than a state dict of tensors")
    return {str(name): value.float() for name, value in content.items()}


def load_script(path: Path, device: torch.device | str) -> torch.jit.ScriptModule:
    """A TorchScript module in evaluation mode. **This runs code from the file**: only give one that you trust.

    Raises:
        WeightsError: not a TorchScript file.
    """
    logger.info("%s: a TorchScript file, its code will run; sha256 %s", path, file_hash(path))
    try:
        with warnings.catch_warnings():
            # torch announces the end of the format, but it is the one that I3D and Inception are distributed in.
            warnings.filterwarnings("ignore", "`torch.jit", FutureWarning)
            return torch.jit.load(str(path), map_location=device).eval()
    except RuntimeError as error:
        raise WeightsError(f"{path}: not a TorchScript file ({str(error).splitlines()[0]})") from error
