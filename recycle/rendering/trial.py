"""Muxes a trial of a whole output in memory: header, one frame, a few packets of every other stream, trailer."""

import io
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass

import av
import numpy as np
from av.container import InputContainer, OutputContainer
from av.stream import Stream

from recycle.rendering.labels import Labels, missing_tags
from recycle.rendering.passage import Passage, StreamFailure
from recycle.rendering.segments import open_encoder, open_output
from recycle.rendering.timecode import find_timecode
from recycle.video.codecs import Choice
from recycle.video.encode import Picture

Attach = Callable[[OutputContainer, Stream], Passage]
"""Adds the other streams to an output that already has its video stream."""


@dataclass(frozen=True)
class ReadBack:
    """What a reader finds in a trial."""

    timecode: bool
    """Whether it has a timecode."""
    labels: Mapping[int | None, list[str]]
    """Missing labels of each stream, by its number in the source; None: the video."""
    tags: Sequence[str]
    """Keys of the missing tags of the file."""


def mux_trial(container: str, choice: Choice, picture: Picture, attach: Attach) -> ReadBack:
    """Write a trial output whose video is one black frame, and read it back; `container` is FFmpeg's name.

    Raises any exception of the muxer, encoder or converters, and StreamFailure for a stream that was written but that
    the reader does not find.
    """
    memory = io.BytesIO()
    with open_output(memory, container, picture) as file:
        encoder = open_encoder(file, choice, picture, tag=container in ("mp4", "mov"))
        with attach(file, encoder.stream) as passage:
            encoder.write(np.zeros((picture.height, picture.width, 3), np.uint8), 0)
            encoder.close()
            passage.sample()
            targets = passage.targets
            written = {index: kind_of(target) for index, target in targets.items() if passage.written[index]}
            streams: list[tuple[int | None, Stream]] = [(None, encoder.stream), *targets.items()]
            labels = {index: (stream.type, Labels.of(stream)) for index, stream in streams}
            tags = dict(file.metadata)
    memory.seek(0)
    with av.open(memory, "r", format=container, metadata_errors="replace") as output:
        _require(written, output)
        return ReadBack(
            find_timecode(output.metadata, *(stream.metadata for stream in output.streams)) is not None,
            _missing(labels, {None, *written}, output),
            list(missing_tags(tags, output.metadata)),
        )


def kind_of(stream: Stream) -> tuple[str, str | None]:
    """Type and codec of a stream, independent of the encoder or decoder in use."""
    if stream.type == "attachment":
        return stream.type, None  # an attachment has a file name and no codec
    context = stream.codec_context
    if context is None:
        return stream.type, getattr(stream, "name", None)
    return stream.type, context.codec.canonical_name


def _require(written: Mapping[int, tuple[str, str | None]], file: InputContainer) -> None:
    """Raise StreamFailure for a written stream that cannot be read: the mp4 muxer accepts data that no reader
    recognises."""
    found = Counter(kind_of(stream) for stream in file.streams)
    for index, kind in written.items():
        if not found[kind]:
            raise StreamFailure(index, "it can be written, but not read back")
        found[kind] -= 1


def _missing(
    labels: Mapping[int | None, tuple[str, Labels]], written: Set[int | None], file: InputContainer
) -> dict[int | None, list[str]]:
    """Missing labels of each stream; streams of one type keep their order."""
    missing = {}
    for kind in ("video", "audio", "subtitle"):
        found = [stream for stream in file.streams if stream.type == kind]
        wanted = {index: label for index, (own, label) in labels.items() if own == kind}
        if len(wanted) != len(found):  # mp4 omits tracks without packets
            wanted = {index: label for index, label in wanted.items() if index in written}
        for (index, label), stream in zip(wanted.items(), found, strict=False):
            if lost := label.missing(stream):
                missing[index] = lost
    return missing


class NullFile(io.RawIOBase):
    """A file that discards what is written, and keeps only its size."""

    def __init__(self) -> None:
        self._place = self._size = 0

    def seekable(self) -> bool:
        """True: muxers seek back to fill in lengths."""
        return True

    def writable(self) -> bool:
        """True."""
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Count the bytes and discard them."""
        self._place += len(data)
        self._size = max(self._size, self._place)
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move as in a file of that size."""
        self._place = offset + (0, self._place, self._size)[whence]
        return self._place

    def tell(self) -> int:
        """The current position."""
        return self._place
