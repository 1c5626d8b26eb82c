"""The built-in kinds of source, and the choice of a kind for a path."""

from pathlib import Path

from recycle.video.animation import WebpReader
from recycle.video.decode import VideoReader
from recycle.video.images import ImageFolderReader
from recycle.video.source import USUAL, Reading, Source, added_kind
from recycle.video.still import ImageReader, PatternReader

SHIPPED: tuple[type[Source], ...] = (PatternReader, ImageFolderReader, WebpReader, ImageReader, VideoReader)
"""Built-in kinds in the order in which they are tried. The last one takes any path and raises an error if it is not a
video."""


def open_source(path: Path, reading: Reading = USUAL) -> Source:
    """Open the source at `path`: of an added kind (see `add_source`), a pattern or folder of numbered images, an
    animated WebP, a single image, or a video file.

    Raises FootageError, in one line, if it cannot be read.
    """
    kind = added_kind(path) or next(kind for kind in SHIPPED if kind.takes(path))
    return kind(path, reading)
