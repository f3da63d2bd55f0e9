"""Weight files of metrics: checked before a run, recorded by hash in the result, loaded without unpickling code."""

import logging
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from vidgan.errors import WeightsError
from vidgan.files import file_hash

logger = logging.getLogger(__name__)


def require_weights(path: Path, needed_for: str, how: str) -> Path:
    """Return the path if the file exists.

    Args:
        path: the weight file.
        needed_for: the metric, as the error message names it.
        how: where to get the file.

    Raises:
        WeightsError: the file does not exist.
    """
    if not Path(path).is_file():
        raise WeightsError(f"{needed_for} needs the weight file {path}, which does not exist; {how}")
    return Path(path)


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Load a state dict (name -> tensor) to the CPU, in float32.

    Raises:
        WeightsError: the file holds anything other than tensors, which are all that is unpickled.
    """
    try:
        content: Any = (
            load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, weights_only=True, map_location="cpu")
        )
    except Exception as error:  # a damaged file can make the unpickler raise any exception
        raise WeightsError(f"{path}: not a file of tensors ({type(error).__name__})") from error
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise WeightsError(f"{path}: expected a state dict of tensors")
    return {str(name): value.float() for name, value in content.items()}


def load_script(path: Path, device: torch.device | str) -> torch.jit.ScriptModule:
    """Load a TorchScript module in evaluation mode. **This runs code from the file**: use trusted files only.

    Raises:
        WeightsError: the file is not TorchScript.
    """
    logger.info("running the TorchScript code of %s, sha256 %s", path, file_hash(path))
    try:
        with warnings.catch_warnings():
            # The format is deprecated, but I3D and Inception are distributed in it.
            warnings.filterwarnings("ignore", "`torch.jit", FutureWarning)
            return torch.jit.load(str(path), map_location=device).eval()
    except RuntimeError as error:
        raise WeightsError(f"{path}: not a TorchScript file ({str(error).splitlines()[0]})") from error
