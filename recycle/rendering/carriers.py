"""Converts the packets of one stream while they are copied into an output."""

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Protocol

import av
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream

from recycle.rendering.timed_text import Sample, Screen

TIMED_TEXT = "mov_text"
"""FFmpeg's name of 3GPP Timed Text."""
_PCM = re.compile(r"pcm_(?:[sfu](?P<bits>\d+)(?:[bl]e)?|alaw|mulaw)")
"""Names of codecs whose packets are samples, with the bits of a sample."""
_SILENCE = {"pcm_u8": b"\x80", "pcm_alaw": b"\xd5", "pcm_mulaw": b"\xff"}
"""A silent byte, unless it is 0."""
_GAP = Fraction(1, 50)
"""Seconds that PCM sound may be early before silence is added; timestamps of milliseconds are not exact."""


class Damaged(Exception):
    """A packet of the source cannot be decoded."""


class Carrier(Protocol):
    """Converts the packets of one stream while it is copied into an output."""

    target: Stream
    """The stream of the output."""

    def convert(self, packet: "Packet[Any] | None") -> "Iterator[Packet[Any]]":
        """Packets to write for one packet of the source; None flushes the remaining packets at the end.

        Raises Damaged if the packet cannot be decoded, and any exception of the encoder if it cannot be encoded.
        """


def pcm_width(stream: Stream) -> int:
    """Bytes of a sample of PCM sound; 0 for other streams."""
    found = None if stream.codec_context is None else _PCM.fullmatch(stream.codec_context.name)
    return 0 if found is None else int(found["bits"] or 8) // 8


def _decoded(decode: Any, packet: "Packet[Any] | None") -> Any:
    try:
        return decode(packet)
    except MemoryError:
        raise
    except Exception as error:  # PyAV also raises Python's exceptions, such as UnicodeDecodeError
        raise Damaged(str(error)) from error


class Copied:
    """Copies packets unchanged."""

    def __init__(self, target: Stream) -> None:
        self.target = target

    def convert(self, packet: "Packet[Any] | None") -> "Iterator[Packet[Any]]":
        """See `Carrier`."""
        if packet is not None:
            yield packet


class Filled(Copied):
    """PCM in mp4 and mov, which store no times for it: silence fills its gaps, so that what follows stays in time."""

    def __init__(self, source: Any, target: Stream, size: int) -> None:
        """`size` is that of a sample of all channels, in bytes."""
        super().__init__(target)
        context = source.codec_context
        self._rate: int = context.sample_rate
        self._size = size
        self._silence = _SILENCE.get(context.name, b"\0")
        self._end: Fraction | None = None

    def convert(self, packet: "Packet[Any] | None") -> "Iterator[Packet[Any]]":
        """See `Carrier`."""
        if packet is None:
            return
        if packet.pts is not None:
            start = packet.pts * packet.time_base
            self._end = start if self._end is None else self._end
            gap = start - self._end
            missing = round(gap * self._rate) if gap > _GAP else 0
            while missing:
                count = min(self._rate, missing)
                yield self._silent(count, packet.time_base)
                self._end += Fraction(count, self._rate)
                missing -= count
        if self._end is not None:
            self._end += Fraction(packet.size // self._size, self._rate)
        yield packet

    def _silent(self, count: int, unit: Fraction) -> "Packet[Any]":
        assert self._end is not None, "it follows a packet"
        packet: Packet[Any] = Packet(self._silence * (count * self._size))
        packet.time_base = unit
        packet.pts = packet.dts = round(self._end / unit)
        packet.duration = round(Fraction(count, self._rate) / unit)
        return packet


class Attached:
    """An attached file is part of the header and has no packets."""

    def __init__(self, target: Stream) -> None:
        self.target = target

    def convert(self, packet: "Packet[Any] | None") -> "Iterator[Packet[Any]]":
        """See `Carrier`."""
        yield from ()


class Converted:
    """Decodes sound and encodes it again."""

    def __init__(self, source: Any, target: Any) -> None:
        self.target = target
        self._source = source
        self._encoder = target.codec_context
        self._kind: tuple[str, str, int] | None = None
        self._end: Fraction | None = None
        self._resampler = self._to_encoder()

    def convert(self, packet: "Packet[Any] | None") -> "Iterator[Packet[Any]]":
        """See `Carrier`."""
        for frame in _decoded(self._source.decode, packet):
            start = self._end if frame.pts is None else frame.pts * frame.time_base
            if start is not None:
                self._end = start + Fraction(frame.samples, frame.sample_rate)
                if frame.pts is None:  # of several frames of a packet only the first has a time; the last may have none
                    frame.time_base = self._source.time_base
                    frame.pts = round(start / frame.time_base)
            kind = (frame.format.name, frame.layout.name, frame.sample_rate)
            if kind != self._kind:  # a resampler accepts frames of one kind only
                yield from self._encoded(self._resampler.resample(None))
                self._kind, self._resampler = kind, self._to_encoder()
            yield from self._encoded(self._resampler.resample(frame))
        if packet is None:
            yield from self._encoded(self._resampler.resample(None))
            yield from self.target.encode(None)

    def _to_encoder(self) -> av.AudioResampler:
        return av.AudioResampler(self._encoder.format, self._encoder.layout, self._encoder.sample_rate)

    def _encoded(self, frames: "list[av.AudioFrame]") -> "Iterator[Packet[Any]]":
        unit = Fraction(1, self._encoder.sample_rate)
        for frame in frames:
            if frame.pts is not None and frame.time_base is not None:  # the encoder accepts one time base only
                frame.pts = round(frame.pts * frame.time_base / unit)
            frame.time_base = unit
            yield from self.target.encode(frame)


class Lines:
    """Converts subtitles to another text format."""

    def __init__(self, stream: Any, output: OutputContainer, codec: str) -> None:
        self._source = stream
        self._unit = Fraction(1, 1000)
        target: Any = output.add_stream(codec)
        self.target = target
        stream.codec_context.open(strict=False)  # only an open decoder provides the styles
        target.codec_context.subtitle_header = stream.codec_context.subtitle_header
        target.time_base = target.codec_context.time_base = self._unit

    def convert(self, packet: "Packet[Any] | None") -> "Iterator[Packet[Any]]":
        """See `Carrier`."""
        if packet is None or packet.pts is None:
            return
        found = _decoded(self._source.codec_context.decode2, packet)
        if found is None or not len(found):
            return
        target: Any = self.target
        line = target.codec_context.encode_subtitle(found)
        scale = packet.time_base / self._unit
        line.time_base = self._unit
        line.pts = line.dts = start = round(packet.pts * scale)
        line.duration = round((packet.pts + (packet.duration or 0)) * scale) - start
        yield line


class Samples(Lines):
    """Lines as 3GPP Timed Text, whose samples do not overlap."""

    def __init__(self, stream: Any, output: OutputContainer) -> None:
        super().__init__(stream, output, TIMED_TEXT)
        self._screen = Screen()

    def convert(self, packet: "Packet[Any] | None") -> "Iterator[Packet[Any]]":
        """See `Carrier`."""
        for line in super().convert(packet):
            start = line.pts or 0
            end = start + line.duration if line.duration else None
            yield from map(self._packet, self._screen.add(Sample(start, end, bytes(line))))
        if packet is None:
            yield from map(self._packet, self._screen.finish())

    def _packet(self, sample: Sample) -> "Packet[Any]":
        packet: Packet[Any] = Packet(sample.data)
        packet.time_base = self._unit
        packet.pts = packet.dts = sample.start
        packet.duration = 0 if sample.end is None else sample.end - sample.start
        return packet
