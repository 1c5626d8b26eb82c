"""Copies sound, subtitles and data into a container, or converts them to a format that it can hold."""

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import av
from av.codec import Codec
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream

from recycle.rendering.timed_text import Sample, Screen
from recycle.video.container import open_container
from recycle.video.packets import demux

_USUAL = {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
"""FFmpeg's default channel layout for each number of channels."""
_BACK = {"SL": "BL", "SR": "BR"}

_SOUND = {"mp4": ("aac",), "mov": ("aac",), "matroska": ("aac",), "webm": ("libopus",)}
"""Audio codecs of each container, in order of preference."""
_LOSSLESS = {"mov": ("alac",), "matroska": ("flac",)}
"""Audio codecs to try first for a lossless source."""
_LAYOUTS = {
    "aac": ("mono", "stereo", "3.0", "4.0", "5.0", "5.1", "7.1"),
    "libopus": ("mono", "stereo", "3.0", "quad", "5.0", "5.1", "6.1", "7.1"),
    "alac": ("mono", "stereo", "3.0", "4.0", "5.0", "5.1"),
}
"""Channel layouts that every decoder of the codec supports, by number of channels."""
_BITS_PER_CHANNEL = {"aac": 128_000, "libopus": 96_000}
_OPUS_RATE = 48_000

_TIMED_TEXT = "mov_text"
_TEXT = {"mp4": _TIMED_TEXT, "mov": _TIMED_TEXT, "webm": "webvtt", "matroska": "subrip"}
_TEXT_SOURCES = {"subrip", "srt", "ass", "ssa", "webvtt", "mov_text", "text"}

_COVERS = {
    "mjpeg": ("jpg", "image/jpeg"),
    "png": ("png", "image/png"),
    "gif": ("gif", "image/gif"),
    "tiff": ("tif", "image/tiff"),
}
"""File suffix and MIME type of the image formats that FFmpeg reads from an attached file."""


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


class Form(Protocol):
    """A way to store a stream in a container."""

    @property
    def description(self) -> str:
        """The new format, as text for the user; '' if the stream is copied unchanged."""

    def open(self, stream: Stream, output: OutputContainer) -> Carrier:
        """Add a stream to `output` for `stream` of the source. May raise any exception."""


@dataclass(frozen=True)
class Copy:
    """Copies packets unchanged."""

    layout: str | None = None
    """Channel layout to set if the sound states only a number of channels; None keeps the layout."""
    description = ""

    def open(self, stream: Stream, output: OutputContainer) -> Carrier:
        """See `Form`."""
        target: Any = output.add_stream_from_template(stream)
        if self.layout is not None:
            target.codec_context.layout = self.layout
        return _Copied(target)


@dataclass(frozen=True)
class Cover:
    """Stores a cover picture as an attached file, as Matroska does."""

    data: bytes
    name: str
    mime_type: str
    description = ""

    def open(self, stream: Stream, output: OutputContainer) -> Carrier:
        """See `Form`."""
        return _Attached(output.add_attachment(self.name, self.mime_type, self.data))


@dataclass(frozen=True)
class Sound:
    """Decodes sound and encodes it again."""

    codec: str
    rate: int
    layout: str
    format: str
    """Sample format of the encoder."""
    channels: int
    """Number of channels of the source."""

    @property
    def description(self) -> str:
        """See `Form`."""
        mixed = av.AudioLayout(self.layout).nb_channels < self.channels
        return f"{self.codec}, its {self.channels} channels mixed to {self.layout}" if mixed else self.codec

    def open(self, stream: Stream, output: OutputContainer) -> Carrier:
        """See `Form`."""
        target: Any = output.add_stream(self.codec, rate=self.rate)
        target.codec_context.layout = self.layout
        target.codec_context.format = self.format
        if self.codec in _BITS_PER_CHANNEL:
            target.bit_rate = _BITS_PER_CHANNEL[self.codec] * target.codec_context.layout.nb_channels
        target.codec_context.open(strict=False)
        return _Converted(stream, target)


@dataclass(frozen=True)
class Text:
    """Converts subtitles to another text format."""

    codec: str

    @property
    def description(self) -> str:
        """See `Form`."""
        return self.codec

    def open(self, stream: Stream, output: OutputContainer) -> Carrier:
        """See `Form`."""
        return _Samples(stream, output) if self.codec == _TIMED_TEXT else _Lines(stream, output, self.codec)


def copy_of(stream: Stream) -> Copy:
    """Copy the stream unchanged; sound that states only a number of channels gets FFmpeg's default layout."""
    own = _layout_of(stream)
    layout = None if own is None else _usual_layout(own)
    return Copy(None if layout is None or layout == own else layout.name)


def cover_of(stream: Stream, source: Path) -> Cover | None:
    """The cover picture in `stream` of the file `source`; None if Matroska readers do not support its format.

    Raises FootageError or av.FFmpegError if the picture cannot be read.
    """
    context = stream.codec_context
    suffix, mime_type = _COVERS.get("" if context is None else context.name, ("", ""))
    with open_container(source) as container:
        data = next((bytes(p) for p in demux(container, container.streams[stream.index]) if p.size), b"")
    if not data or not mime_type:
        return None
    return Cover(data, stream.metadata.get("filename") or f"cover.{suffix}", mime_type)


def conversions(stream: Stream, container: str) -> list[Form]:
    """Forms to try in order if `container` (FFmpeg's name) cannot hold `stream` unchanged; empty if none exists."""
    context: Any = stream.codec_context
    if context is None:
        return []
    if stream.type == "subtitle" and context.name in _TEXT_SOURCES and container in _TEXT:
        return [Text(_TEXT[container])]
    own = _layout_of(stream)
    layout = None if own is None else _usual_layout(own)
    if own is None or layout is None or not context.sample_rate:
        return []
    codecs = (*(_LOSSLESS.get(container, ()) if context.codec.lossless else ()), *_SOUND.get(container, ()))
    named = [(codec, name) for codec in codecs for name in _layouts(codec, layout)]
    mixed = [(codec, name) for codec in codecs for name in ("stereo", "mono")]
    return [_sound(codec, context, name, own.nb_channels) for codec, name in dict.fromkeys([*named, *mixed])]


def _layout_of(stream: Stream) -> av.AudioLayout | None:
    """Channel layout of sound; None if its channels have a custom order, and for streams that are not sound.

    PyAV frees the memory of a custom order twice as soon as any layout object of it is released, including those of
    decoded frames; this ends the process. Such a layout object is therefore never released, and such sound can only be
    copied.
    """
    context: Any = stream.codec_context
    if stream.type != "audio" or context is None:
        return None
    layout: av.AudioLayout = context.layout
    if " channels (" not in layout.name:
        return layout
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(layout))
    return None


def _usual_layout(layout: av.AudioLayout) -> av.AudioLayout | None:
    """The layout, or the default layout for its number of channels if it names no speakers; None if no default
    exists."""
    if _speakers(layout) != {"NONE"}:
        return layout
    return av.AudioLayout(_USUAL[layout.nb_channels]) if layout.nb_channels in _USUAL else None


def _sound(codec: str, source: Any, layout: str, channels: int) -> Sound:
    encoder = Codec(codec, "w")
    rates = sorted(encoder.audio_rates or [source.sample_rate])
    rate = next((rate for rate in rates if rate >= source.sample_rate), rates[-1])
    formats = [form.name for form in encoder.audio_formats or ()]
    if codec in ("flac", "alac"):
        bits = 16 if source.format is None or source.format.bytes <= 2 else 32
        formats = [name for name in formats if name.startswith(f"s{bits}")]
    return Sound(codec, _OPUS_RATE if codec == "libopus" else rate, layout, formats[0], channels)


def _layouts(codec: str, own: av.AudioLayout) -> list[str]:
    """Layouts of `codec` that hold all channels of `own`, in order of preference.

    First the same layout; then the same with back speakers for side speakers; then larger layouts, whose additional
    channels are silent; finally the same layout again, for encoders that describe it in a way that few decoders
    support.
    """
    speakers = _speakers(own)
    behind = {name if _BACK.get(name) in speakers else _BACK.get(name, name) for name in speakers}
    known = _LAYOUTS.get(codec, ())
    same = [name for name in known if name == own.name]
    moved = [name for name in known if _speakers(av.AudioLayout(name)) == behind]
    more = [name for name in known if _speakers(av.AudioLayout(name)) > behind]
    return [*same, *moved, *more, own.name]


def _speakers(layout: av.AudioLayout) -> set[str]:
    return {channel.name for channel in layout.channels}


def _decoded(decode: Any, packet: "Packet[Any] | None") -> Any:
    try:
        return decode(packet)
    except MemoryError:
        raise
    except Exception as error:  # PyAV also raises Python's exceptions, such as UnicodeDecodeError
        raise Damaged(str(error)) from error


class _Copied:
    def __init__(self, target: Stream) -> None:
        self.target = target

    def convert(self, packet: "Packet[Any] | None") -> "Iterator[Packet[Any]]":
        if packet is not None:
            yield packet


class _Attached:
    """An attached file is part of the header and has no packets."""

    def __init__(self, target: Stream) -> None:
        self.target = target

    def convert(self, packet: "Packet[Any] | None") -> "Iterator[Packet[Any]]":
        yield from ()


class _Converted:
    def __init__(self, source: Any, target: Any) -> None:
        self.target = target
        self._source = source
        self._encoder = target.codec_context
        self._kind: tuple[str, str, int] | None = None
        self._resampler = self._to_encoder()

    def convert(self, packet: "Packet[Any] | None") -> "Iterator[Packet[Any]]":
        for frame in _decoded(self._source.decode, packet):
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


class _Lines:
    def __init__(self, stream: Any, output: OutputContainer, codec: str) -> None:
        self._source = stream
        self._unit = Fraction(1, 1000)
        target: Any = output.add_stream(codec)
        self.target = target
        stream.codec_context.open(strict=False)  # only an open decoder provides the styles
        target.codec_context.subtitle_header = stream.codec_context.subtitle_header
        target.time_base = target.codec_context.time_base = self._unit

    def convert(self, packet: "Packet[Any] | None") -> "Iterator[Packet[Any]]":
        if packet is None or packet.pts is None:
            return
        found = _decoded(self._source.codec_context.decode2, packet)
        if found is None or not len(found):
            return
        target: Any = self.target
        line = target.codec_context.encode_subtitle(found)
        scale = packet.time_base / self._unit
        line.time_base = self._unit
        line.pts = line.dts = round(packet.pts * scale)
        line.duration = round((packet.duration or 0) * scale)
        yield line


class _Samples(_Lines):
    """Lines as 3GPP Timed Text, whose samples do not overlap."""

    def __init__(self, stream: Any, output: OutputContainer) -> None:
        super().__init__(stream, output, _TIMED_TEXT)
        self._screen = Screen()

    def convert(self, packet: "Packet[Any] | None") -> "Iterator[Packet[Any]]":
        for line in super().convert(packet):
            end = line.pts + line.duration if line.duration else None
            yield from map(self._packet, self._screen.add(Sample(line.pts, end, bytes(line))))
        if packet is None:
            yield from map(self._packet, self._screen.finish())

    def _packet(self, sample: Sample) -> "Packet[Any]":
        packet: Packet[Any] = Packet(sample.data)
        packet.time_base = self._unit
        packet.pts = packet.dts = sample.start
        packet.duration = 0 if sample.end is None else sample.end - sample.start
        return packet
