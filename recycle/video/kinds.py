"""The kinds of source that ship, and the choice of one for a path."""

from pathlib import Path

from recycle.video.decode import VideoReader
from recycle.video.images import ImageFolderReader
from recycle.video.source import USUAL, Reading, Source, added_kind

SHIPPED: tuple[type[Source], ...] = (ImageFolderReader, VideoReader)
"""Asked in this order; the last takes whatever is left, and says what is wrong with it."""


def open_source(path: Path, reading: Reading = USUAL) -> Source:
    """The source at `path`: of a kind that was added (`add_source`), a folder of numbered images, or a video file.

    Raises FootageError, in one line, for what cannot be read.
    """
    kind = added_kind(path) or next(kind for kind in SHIPPED if kind.takes(path))
    return kind(path, reading)
