"""A trial of a whole output, muxed in memory: header, a frame, a few packets of every other stream, trailer."""

import io
from collections.abc import Callable

import av
import numpy as np
from av.container import OutputContainer
from av.stream import Stream

from recycle.footage.codecs import Choice
from recycle.footage.encode import Picture
from recycle.translation.passage import Passage
from recycle.translation.segments import open_encoder, open_output
from recycle.translation.timecode import find_timecode

Attach = Callable[[OutputContainer, Stream], Passage]
"""Adds the other streams to an output that has its picture's."""


def mux_trial(container: str, choice: Choice, picture: Picture, attach: Attach) -> io.BytesIO:
    """What an output would be whose video has one black frame; `container` is FFmpeg's name.

    Raises whatever the muxer, the encoder or a converter raises.
    """
    memory = io.BytesIO()
    with open_output(memory, container, picture) as file:
        encoder = open_encoder(file, choice, picture, tag=container in ("mp4", "mov"))
        with attach(file, encoder.stream) as passage:
            encoder.write(np.zeros((picture.height, picture.width, 3), np.uint8), 0)
            encoder.close()
            passage.sample()
    memory.seek(0)
    return memory


def keeps_timecode(trial: io.BytesIO, container: str) -> bool:
    """Whether the timecode is in what `mux_trial` gave."""
    with av.open(trial, format=container, metadata_errors="replace") as file:
        return find_timecode(file.metadata, *(stream.metadata for stream in file.streams)) is not None


class Nowhere(io.RawIOBase):
    """A file that forgets what is written."""

    def __init__(self) -> None:
        self._place = self._size = 0

    def seekable(self) -> bool:
        """It is, as muxers go back to fill in lengths."""
        return True

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Only the length is kept."""
        self._place += len(data)
        self._size = max(self._size, self._place)
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        """As of a file of that length."""
        self._place = offset + (0, self._place, self._size)[whence]
        return self._place

    def tell(self) -> int:
        """As of a file."""
        return self._place
