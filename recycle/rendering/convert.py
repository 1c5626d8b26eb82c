"""Chooses how a container stores sound, subtitles and data: unchanged, or converted to a format that it can hold."""

import ctypes
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import av
from av.codec import Codec
from av.container import OutputContainer
from av.stream import Stream

from recycle.rendering.carriers import (
    TIMED_TEXT,
    Attached,
    Carrier,
    Converted,
    Copied,
    Filled,
    Lines,
    Samples,
    pcm_width,
)
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

_TEXT = {"mp4": TIMED_TEXT, "mov": TIMED_TEXT, "webm": "webvtt", "matroska": "subrip"}
_TEXT_SOURCES = {"subrip", "srt", "ass", "ssa", "webvtt", "mov_text", "text"}

_COVERS = {
    "mjpeg": ("jpg", "image/jpeg"),
    "png": ("png", "image/png"),
    "gif": ("gif", "image/gif"),
    "tiff": ("tif", "image/tiff"),
}
"""File suffix and MIME type of the image formats that FFmpeg reads from an attached file."""


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
    pcm: int = 0
    """Bytes of a sample of all channels, if the sound is PCM of a known layout; else 0."""
    description = ""

    def open(self, stream: Stream, output: OutputContainer) -> Carrier:
        """See `Form`."""
        target: Any = output.add_stream_from_template(stream)
        if self.layout is not None:
            target.codec_context.layout = self.layout
        if self.pcm and output.format.name in ("mp4", "mov"):
            return Filled(stream, target, self.pcm)
        return Copied(target)


@dataclass(frozen=True)
class Cover:
    """Stores a cover picture as an attached file, as Matroska does."""

    data: bytes
    name: str
    mime_type: str
    description = ""

    def open(self, stream: Stream, output: OutputContainer) -> Carrier:
        """See `Form`."""
        return Attached(output.add_attachment(self.name, self.mime_type, self.data))


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
        return Converted(stream, target)


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
        return Samples(stream, output) if self.codec == TIMED_TEXT else Lines(stream, output, self.codec)


def copy_of(stream: Stream) -> Copy:
    """Copy the stream unchanged; sound that states only a number of channels gets FFmpeg's default layout."""
    own = _layout_of(stream)
    layout = None if own is None else _usual_layout(own)
    pcm = 0 if own is None else pcm_width(stream) * own.nb_channels
    return Copy(None if layout is None or layout == own else layout.name, pcm)


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
