"""Sound and text that a container cannot hold as they are, in a form that it can."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Protocol, cast

import av
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream

_AUDIO = {
    "mp4": ("aac", 256_000),
    "mov": ("aac", 256_000),
    "matroska": ("aac", 256_000),
    "webm": ("libopus", 192_000),
}
_TEXT = {"mp4": "mov_text", "mov": "mov_text", "webm": "webvtt", "matroska": "subrip"}
_TEXT_SOURCES = {"subrip", "srt", "ass", "ssa", "webvtt", "mov_text", "text"}


class Converter(Protocol):
    """One stream on its way into another codec."""

    target: Stream
    """The stream of the output."""

    def convert(self, packet: "Packet[Any] | None") -> "Iterator[Packet[Any]]":
        """What becomes of a packet of the source; None: what is left at the end. Raises av.FFmpegError."""


def conversion(stream: Stream, container: str) -> str | None:
    """Codec into which `stream` is converted for `container` (FFmpeg's name); None: there is no faithful one."""
    context = stream.codec_context
    if context is None:
        return None
    if stream.type == "audio" and container in _AUDIO and cast(Any, context).sample_rate:
        return _AUDIO[container][0]
    if stream.type == "subtitle" and context.name in _TEXT_SOURCES:
        return _TEXT.get(container)
    return None


def open_converter(stream: Stream, output: OutputContainer) -> Converter:
    """Add a stream to `output` into which `stream` is converted (see `conversion`)."""
    container = output.format.name
    return _Sound(stream, output, container) if stream.type == "audio" else _Text(stream, output, container)


class _Sound:
    def __init__(self, stream: Any, output: OutputContainer, container: str) -> None:
        codec, bitrate = _AUDIO[container]
        self._source = stream
        rate = 48000 if codec == "libopus" else min(stream.codec_context.sample_rate, 96000)
        self.target = cast(Any, output.add_stream(codec, rate=rate))
        self.target.codec_context.layout = stream.codec_context.layout
        self.target.bit_rate = bitrate
        self._resampler: av.AudioResampler | None = None

    def convert(self, packet: "Packet[Any] | None") -> "Iterator[Packet[Any]]":
        encoder = self.target.codec_context
        if self._resampler is None:
            encoder.open(strict=False)
            size = encoder.frame_size or 1024
            self._resampler = av.AudioResampler(encoder.format, encoder.layout, encoder.sample_rate, size)
        for frame in self._source.decode(packet):
            for part in self._resampler.resample(frame):
                yield from self.target.encode(part)
        if packet is None:
            for part in self._resampler.resample(None):
                yield from self.target.encode(part)
            yield from self.target.encode(None)


class _Text:
    def __init__(self, stream: Any, output: OutputContainer, container: str) -> None:
        self._source = stream
        self._unit = Fraction(1, 1000)
        self.target = cast(Any, output.add_stream(_TEXT[container]))
        stream.codec_context.open(strict=False)  # only an open decoder tells the styles
        self.target.codec_context.subtitle_header = stream.codec_context.subtitle_header
        self.target.time_base = self.target.codec_context.time_base = self._unit

    def convert(self, packet: "Packet[Any] | None") -> "Iterator[Packet[Any]]":
        if packet is None or packet.pts is None:
            return
        found = self._source.codec_context.decode2(packet)
        if found is None or not len(found):
            return
        line = self.target.codec_context.encode_subtitle(found)
        scale = packet.time_base / self._unit
        line.time_base = self._unit
        line.pts = line.dts = round(packet.pts * scale)
        line.duration = round((packet.duration or 0) * scale)
        yield line
