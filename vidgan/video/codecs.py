"""What the installed PyAV brings: codecs, and the version of FFmpeg's codec library."""

from collections.abc import Iterable

import av


def missing_codecs(names: Iterable[str]) -> list[str]:
    """The encoders and decoders among `names` that PyAV lacks."""
    return [name for name in names if name not in av.codecs_available]


def libavcodec_version() -> str:
    """Version of FFmpeg's libavcodec, such as "61.19.100"."""
    return ".".join(str(part) for part in av.library_versions["libavcodec"])
