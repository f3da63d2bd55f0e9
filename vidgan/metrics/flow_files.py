"""Flow files of the benchmarks: Middlebury's .flo and KITTI's 16-bit PNG. Both hold *forward* flow by convention.

In memory a flow is (2, H, W) float32 in pixels, with a mask (H, W) bool of the pixels whose flow is known. Unknown
pixels are zero.
"""

import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from vidgan.errors import FlowFileError
from vidgan.types import Flow

FLO_MAGIC = b"PIEH"  # 202021.25 as a little-endian float32
FLO_UNKNOWN = 1e9
KITTI_SCALE = 64.0
KITTI_OFFSET = 32768.0


def read_flo(path: Path | str) -> tuple[Flow, Tensor]:
    """Read a Middlebury .flo file.

    Returns:
        Flow (2, H, W) float32 in pixels and its mask (H, W) bool; values above 1e9, or not finite, are unknown.

    Raises:
        FlowFileError: the file is not a .flo file, is truncated, or is too long.
        FileNotFoundError: the file does not exist.
    """
    data = Path(path).read_bytes()
    if data[:4] != FLO_MAGIC:
        raise FlowFileError(f"{path}: not a .flo file, whose first bytes are PIEH")
    if len(data) < 12:
        raise FlowFileError(f"{path}: truncated inside its header of 12 bytes")
    width, height = struct.unpack("<ii", data[4:12])
    expected = 12 + 8 * width * height
    if width <= 0 or height <= 0 or len(data) != expected:
        raise FlowFileError(
            f"{path}: a flow of {width}x{height}, as in its header, needs {expected} bytes, the file has {len(data)}"
        )
    vectors = np.frombuffer(data, dtype="<f4", offset=12).reshape(height, width, 2)
    return _with_unknown(vectors, (np.abs(vectors) <= FLO_UNKNOWN).all(axis=2))  # NaN compares false: unknown


def write_flo(path: Path | str, flow: Flow, valid: Tensor | None = None, *, overwrite: bool = False) -> None:
    """Write (2, H, W) pixels as a .flo file; pixels outside ``valid`` (H, W) are marked unknown.

    Raises:
        ValueError: not a flow, or values that are not finite at valid pixels.
        FileExistsError: the file exists and ``overwrite`` is False.
    """
    vectors, known = _vectors_to_write(flow, valid)
    vectors = np.where(known[..., None], vectors, 10 * FLO_UNKNOWN).astype("<f4")
    height, width = known.shape
    _write(path, FLO_MAGIC + struct.pack("<ii", width, height) + vectors.tobytes(), overwrite)


def read_kitti(path: Path | str) -> tuple[Flow, Tensor]:
    """Read a KITTI flow PNG: 16 bits, dx = (R - 32768) / 64, dy = (G - 32768) / 64, known where B > 0.

    Returns:
        Flow (2, H, W) float32 in pixels and its mask (H, W) bool.

    Raises:
        FlowFileError: not a PNG, or not one of three 16-bit channels (an 8-bit copy has lost the flow).
        FileNotFoundError: the file does not exist.
    """
    # torchvision is slow to import, and Pillow and imageio reduce such files to 8 bits.
    from torchvision.io import decode_png

    data = Path(path).read_bytes()
    try:
        image = decode_png(torch.frombuffer(bytearray(data), dtype=torch.uint8))
    except RuntimeError as error:
        raise FlowFileError(f"{path}: not a readable PNG file ({str(error).splitlines()[0]})") from error
    if image.dtype != torch.uint16 or image.shape[0] != 3:
        raise FlowFileError(
            f"{path}: a KITTI flow must have 3 channels of 16 bits, got {image.shape[0]} of {image.dtype}"
        )
    levels = image.numpy().transpose(1, 2, 0).astype(np.float32)  # (H, W, 3)
    return _with_unknown((levels[..., :2] - KITTI_OFFSET) / KITTI_SCALE, levels[..., 2] > 0)


def write_kitti(path: Path | str, flow: Flow, valid: Tensor | None = None, *, overwrite: bool = False) -> None:
    """Write (2, H, W) pixels as a KITTI flow PNG, rounded to 1/64 px.

    Raises:
        ValueError: not a flow, or a valid pixel outside the range of the format (-512 to 511.98 px).
        FileExistsError: the file exists and ``overwrite`` is False.
    """
    vectors, known = _vectors_to_write(flow, valid)
    levels = np.where(known[..., None], np.round(vectors * KITTI_SCALE + KITTI_OFFSET), 0)
    if levels.min() < 0 or levels.max() > 65535:
        raise ValueError(f"{path}: a KITTI flow PNG holds -512 to 511.98 px, and the flow exceeds this range")
    samples = np.concatenate([levels, known[..., None]], axis=2).astype(">u2")  # (H, W, 3) big-endian
    rows = samples.reshape(known.shape[0], -1).view(np.uint8)
    unfiltered = np.pad(rows, ((0, 0), (1, 0)))  # each row starts with its filter type, 0
    header = struct.pack(">IIBBBBB", known.shape[1], known.shape[0], 16, 2, 0, 0, 0)  # 16 bits, RGB
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(unfiltered.tobytes())), (b"IEND", b""))
    _write(path, b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(name, body) for name, body in chunks), overwrite)


def _png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _with_unknown(vectors: np.ndarray, known: np.ndarray) -> tuple[Flow, Tensor]:
    flow = np.where(known[..., None], vectors, 0).astype(np.float32).transpose(2, 0, 1)  # (2, H, W)
    return torch.from_numpy(np.ascontiguousarray(flow)), torch.from_numpy(known)


def _vectors_to_write(flow: Flow, valid: Tensor | None) -> tuple[np.ndarray, np.ndarray]:
    """(2, H, W) -> (H, W, 2) float32 and the mask of known pixels (H, W)."""
    if flow.dim() != 3 or flow.shape[0] != 2:
        raise ValueError(f"a flow to write must be (2, H, W), got {tuple(flow.shape)}")
    if valid is not None and valid.shape != flow.shape[1:]:
        raise ValueError(f"valid must have shape {tuple(flow.shape[1:])}, got {tuple(valid.shape)}")
    vectors = rearrange(flow.detach().cpu().float(), "c h w -> h w c").numpy()
    known = np.ones(vectors.shape[:2], dtype=bool) if valid is None else valid.cpu().bool().numpy()
    if not np.isfinite(vectors[known]).all():
        raise ValueError("the flow has values that are not finite at valid pixels")
    return vectors, known


def _write(path: Path | str, data: bytes, overwrite: bool) -> None:
    with Path(path).open("wb" if overwrite else "xb") as file:
        file.write(data)
