"""A trial of a whole output, muxed in memory: header, a frame, a few packets of every other stream, trailer."""

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
"""Adds the other streams to an output that has its picture's."""


@dataclass(frozen=True)
class ReadBack:
    """What a reader finds in a trial."""

    timecode: bool
    """Whether it has a timecode."""
    labels: Mapping[int | None, list[str]]
    """What is missing of the labels of a stream of the source, by its number; None: of the video."""
    tags: Sequence[str]
    """Keys of tags of the file that are missing."""


def mux_trial(container: str, choice: Choice, picture: Picture, attach: Attach) -> ReadBack:
    """What a reader finds in an output whose video has one black frame; `container` is FFmpeg's name.

    Raises whatever the muxer, the encoder or a converter raises, and StreamFailure for a stream that was written and
    that the reader does not find.
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
    """Type and codec of a stream, the same for every encoder and decoder of the codec."""
    if stream.type == "attachment":
        return stream.type, None  # its name is that of a file
    context = stream.codec_context
    if context is None:
        return stream.type, getattr(stream, "name", None)
    return stream.type, context.codec.canonical_name


def _require(written: Mapping[int, tuple[str, str | None]], file: InputContainer) -> None:
    """Some muxers write what no reader knows, as those of mp4 do with data of other containers."""
    found = Counter(kind_of(stream) for stream in file.streams)
    for index, kind in written.items():
        if not found[kind]:
            raise StreamFailure(index, "it is written, and cannot be read again")
        found[kind] -= 1


def _missing(
    labels: Mapping[int | None, tuple[str, Labels]], written: Set[int | None], file: InputContainer
) -> dict[int | None, list[str]]:
    """What is missing of the labels of each stream; streams of a type keep their order."""
    missing = {}
    for kind in ("video", "audio", "subtitle"):
        found = [stream for stream in file.streams if stream.type == kind]
        wanted = {index: label for index, (own, label) in labels.items() if own == kind}
        if len(wanted) != len(found):  # mp4 has no track without packets
            wanted = {index: label for index, label in wanted.items() if index in written}
        for (index, label), stream in zip(wanted.items(), found, strict=False):
            if lost := label.missing(stream):
                missing[index] = lost
    return missing


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
