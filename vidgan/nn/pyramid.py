"""Sizes of image pyramids: resolutions and channels per level."""

from collections.abc import Iterator

__all__ = ["channel_plan", "pyramid", "width_problems"]

_MIN_GRID = 4  # minimum side of the coarsest level


def pyramid(image_size: tuple[int, int]) -> tuple[int, tuple[int, int]]:
    """Number of times a frame is halved, and the (height, width) of the coarsest grid.

    A frame is halved while both sides are even and the shorter one stays at least 4: 64x64 -> (4, (4, 4)),
    128x160 -> (5, (4, 5)), 96x96 -> (4, (6, 6)), 96x32 -> (3, (12, 4)).

    Args:
        image_size: (H, W) in pixels.

    Raises:
        ValueError: a side is not a multiple of 16, or is below 32.
    """
    height, width = image_size
    if any(side < 32 or side % 16 for side in (height, width)):
        raise ValueError(f"image_size={height}x{width}: height and width must be multiples of 16 and at least 32")
    depth = 0
    while height % 2 == 0 and width % 2 == 0 and min(height, width) >= 2 * _MIN_GRID:
        height, width, depth = height // 2, width // 2, depth + 1
    return depth, (height, width)


def channel_plan(width: int, levels: int, max_width: int) -> list[int]:
    """Channels per level, from the finest to the coarsest: `width`, doubled at each level, at most `max_width`.

    Raises:
        ValueError: `width` is below 1, or above `max_width`.
    """
    if width < 1 or max_width < width:
        raise ValueError(f"width={width}, max_width={max_width}: need 1 <= width <= max_width")
    return [min(width * 2**level, max_width) for level in range(levels)]


def width_problems(width: int, max_width: int) -> Iterator[str]:
    """What is wrong with the widths of a config section, whose channels `channel_plan` lists."""
    if max_width < width:
        yield f"max_width={max_width} must not be below width={width}"
