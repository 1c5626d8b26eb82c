"""Sound, subtitles and whatever else accompanies the picture: carried over packet by packet, unchanged."""

import io
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import suppress
from fractions import Fraction
from math import ceil
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, cast

import av
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Disposition, Stream

from recycle.footage.codecs import CONTAINERS
from recycle.footage.decode import open_container, video_stream
from recycle.footage.packets import demux, stamp_of
from recycle.translation.convert import Converter, conversion, open_converter
from recycle.translation.joints import Joints

if TYPE_CHECKING:
    from av.audio.codeccontext import AudioCodecContext
    from av.container.core import Chapter

_OF_THE_CONTAINER = {"major_brand", "minor_version", "compatible_brands", "encoder"}
_OF_THE_ENCODING = {"rotate", "duration", "encoder", "encoder_settings", "encoded_library_settings", "alpha_mode"} | {
    "bps",
    "number_of_frames",
    "number_of_bytes",
    "variant_bitrate",
}
"""Tags that a new encoding makes false; mkvmerge writes some with a language behind them, such as BPS-eng."""
_MAX_READ_FAILURES = 16
_FIRST = 16
"""Packets of sound among which one can be decoded."""
_INTERLEAVING = Fraction(10)
"""Seconds by which streams of a file may be stored apart."""


class OtherStreams:
    """All streams of a file but the video that is translated, on their way into an output container.

    Metadata, dispositions and chapters come along. A stream that the container cannot hold is converted, or left
    out where that is not possible: `notices` tells at once. The file is read a second time beside the video's
    reader, so that neither waits for the other and memory stays constant.
    """

    def __init__(
        self, source: Path, container: str, *, start: Fraction | None = None, end: Fraction | None = None
    ) -> None:
        """Decide what becomes of the streams of `source` in `container` (FFmpeg's name).

        Only packets from `start` to before `end`, in seconds, are taken. A folder (of images) has no other
        streams. Raises FootageError if `source` cannot be opened.
        """
        self.notices: list[str] = []
        """What cannot be carried over as it is; known before any work."""
        self.late: list[str] = []
        """What went wrong since."""
        self.container = container
        """FFmpeg's name of the output's container."""
        self._span = (start, end)
        self._input = None if source.is_dir() else open_container(source)
        self._copied: list[Stream] = []
        self._converted: list[Stream] = []
        if self._input is not None:
            self._video = video_stream(self._input, source)
            self._chapters = self._input.chapters()
            _learn([stream for stream in self._input.streams if _is_unheard(stream)], source)
            for stream in self._input.streams:
                # mp4 keeps chapter titles in a track with one packet for each, which its muxer writes anew
                is_chapters = stream.type == "data" and self._chapters and stream.frames == len(self._chapters)
                if stream.index != self._video.index and not is_chapters:
                    self._decide(stream, container)

    @property
    def carried(self) -> list[Stream]:
        """The streams of the source that are carried over, its video first; none of a folder of images."""
        return [] if self._input is None else [self._video, *self._copied, *self._converted]

    def attach(self, output: OutputContainer, video: Stream, *, shift: Fraction) -> None:
        """Add the streams to `output`, which has its `video` stream and no packet yet; then copy.

        All packets are delayed by `shift` seconds.
        """
        self._output = output
        self._shift = shift
        self._targets: dict[int, Stream] = {}
        self._converters: dict[int, Converter] = {}
        self._last: dict[int, int] = {}
        self._lost: Counter[str] = Counter()
        if self._input is not None:
            video.metadata.update(_without(self._video.metadata, _OF_THE_ENCODING))
            video.disposition = self._video.disposition
            output.metadata.update(_without(self._input.metadata, _OF_THE_CONTAINER))
            if self._chapters:
                output.set_chapters(_moved(self._chapters, shift, self._span))
        for stream in sorted(self._copied + self._converted, key=lambda s: s.index):
            if stream in self._copied:
                target = output.add_stream_from_template(stream)
            else:
                converter = self._converters[stream.index] = open_converter(stream, output)
                target = converter.target
            target.metadata.update(stream.metadata)
            target.disposition = stream.disposition
            self._targets[stream.index] = target
        self._packets = self._read()
        self._next = next(self._packets, None)

    def copy_until(self, seconds: Fraction | None) -> None:
        """Mux all packets up to the source's time `seconds`; None: all that remain.

        Raises av.FFmpegError if the output cannot be written.
        """
        while self._next is not None and (seconds is None or _time(self._next) <= seconds):
            self._take(self._next)
            self._next = next(self._packets, None)

    def finish(self) -> None:
        """Mux all packets that remain and sum up what was lost."""
        self.copy_until(None)
        for index in self._converters:
            self._convert(index, None)
        for name, count in self._lost.items():
            self.late.append(f"{count} damaged packets of {name} could not be carried over")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._input is not None:
            self._input.close()

    def _decide(self, stream: Stream, container: str) -> None:
        if stream.type == "video" and not stream.disposition & Disposition.attached_pic:
            self.notices.append(f"{_name(stream)} is left out: only the first video stream is translated")
        elif _fits(stream, container):
            self._copied.append(stream)
        elif (codec := conversion(stream, container)) is not None:
            self._converted.append(stream)
            self.notices.append(f"{_name(stream)} is converted to {codec}: {container} cannot hold it as it is")
        elif _is_unheard(stream):
            self.notices.append(f"{_name(stream)} is left out: nothing of it can be decoded")
        else:
            takers = [suffix for suffix, name in CONTAINERS.items() if _fits(stream, name)]
            advice = f"; {' or '.join(takers)} can" if takers else ""
            self.notices.append(f"{_name(stream)} is left out: {container} cannot hold it{advice}")

    def _read(self) -> Generator["Packet[Stream]", None, None]:
        start, end = self._span
        for packet in self._demux():
            if start is None or _time(packet) >= start:
                if end is not None and _time(packet) >= end + _INTERLEAVING:
                    return
                if end is None or _time(packet) < end:
                    _shorten(packet, end)
                    yield packet

    def _demux(self) -> Iterator["Packet[Stream]"]:
        if self._input is None or not self._targets:
            return
        streams = [self._video, *(self._input.streams[index] for index in self._targets)]
        joints = Joints(self._video)
        failures = 0
        while failures < _MAX_READ_FAILURES:
            try:
                for packet in demux(self._input, *streams):
                    failures = 0
                    if packet.size and packet.stream.index == self._video.index:
                        yield from joints.picture(packet)
                    elif packet.size:
                        yield from joints.other(packet)
                break
            except av.FFmpegError:
                failures += 1
        else:
            self.late.append("sound and other streams end early: the file cannot be read any further")
        yield from joints.rest()

    def _take(self, packet: "Packet[Stream]") -> None:
        if packet.stream.index in self._converters:
            self._convert(packet.stream.index, packet)
        else:
            self._mux(packet, packet.stream)

    def _convert(self, index: int, packet: "Packet[Stream] | None") -> None:
        assert self._input is not None, "streams come from an input"
        stream = self._input.streams[index]
        try:
            for done in self._converters[index].convert(packet):
                self._mux(done, stream)
        except (av.error.InvalidDataError, av.error.ArgumentError):
            self._lost[_name(stream)] += 1

    def _mux(self, packet: "Packet[Stream]", stream: Stream) -> None:
        index = stream.index
        shift = round(self._shift / packet.time_base)
        stamp = stamp_of(packet)
        dts = stamp + shift if stamp is not None else self._last.get(index, 0)
        if stream.type in ("subtitle", "data") or stream.disposition & Disposition.attached_pic:
            dts = max(dts, 0)  # what began before a clock that is set back: at once
        if index in self._last:  # muxers refuse times that go back, and repeat only for subtitles
            unit = self._targets[index].time_base or packet.time_base
            step = 0 if stream.type in ("subtitle", "data") else max(1, ceil(unit / packet.time_base))
            dts = max(dts, self._last[index] + step)
        packet.dts = self._last[index] = dts
        packet.pts = dts if packet.pts is None else max(packet.pts + shift, dts)
        packet.stream = self._targets[index]
        try:
            self._output.mux_one(packet)
        except (av.error.InvalidDataError, av.error.ArgumentError):
            self._lost[_name(stream)] += 1


def _is_unheard(stream: Stream) -> bool:
    """Whether FFmpeg knows the codec of some sound and nothing else of it."""
    context = cast("AudioCodecContext | None", stream.codec_context)
    return stream.type == "audio" and context is not None and not context.sample_rate


def _learn(streams: list[Stream], source: Path) -> None:
    """Decode the first frame of sound that begins where FFmpeg, on opening, did not look: its rate and channels."""
    contexts = {stream.index: cast("AudioCodecContext", stream.codec_context) for stream in streams}
    if not contexts:
        return
    tried: Counter[int] = Counter()
    with suppress(av.FFmpegError), open_container(source) as container:
        for packet in demux(container, *(container.streams[index] for index in contexts)):
            context = contexts.get(packet.stream.index)
            if context is not None and packet.size:
                tried[packet.stream.index] += 1
                with suppress(av.FFmpegError):
                    context.decode(packet)
                if context.sample_rate or tried[packet.stream.index] == _FIRST:
                    context.flush_buffers()
                    del contexts[packet.stream.index]
            if not contexts:
                return


def _shorten(packet: "Packet[Stream]", end: Fraction | None) -> None:
    """Let text vanish at the end of the span: else it would make the output longer than its picture."""
    if end is not None and packet.stream.type == "subtitle" and packet.duration:
        packet.duration = min(packet.duration, round((end - _time(packet)) / packet.time_base))


def _moved(
    chapters: "list[Chapter]", shift: Fraction, span: tuple[Fraction | None, Fraction | None]
) -> "list[Chapter]":
    """Chapters delayed by `shift` seconds; those outside the span are left out, the others cut to it."""
    moved: list[Chapter] = []
    for chapter in chapters:
        unit = chapter["time_base"] or Fraction(1, 1000)
        first, last = chapter["start"] * unit, chapter["end"] * unit
        first = first if span[0] is None else max(first, span[0])
        last = last if span[1] is None else min(last, span[1])
        if first < last or span == (None, None):
            start, end = (max(0, round((time + shift) / unit)) for time in (first, last))
            moved.append({**chapter, "start": start, "end": end})
    return moved


def _fits(stream: Stream, container: str) -> bool:
    """Whether `container` (FFmpeg's name) takes the stream: tried in memory."""
    if stream.disposition & Disposition.attached_pic and container != "mp4":
        return False  # mov loses cover pictures, Matroska takes them for video
    if stream.type in ("attachment", "data") and container == "webm":
        return False  # FFmpeg writes them; no player reads such a file
    try:
        with av.open(io.BytesIO(), "w", format=container) as trial:
            trial.add_stream_from_template(stream)
            trial.start_encoding()
    except (av.FFmpegError, ValueError):
        return False
    return True


def _time(packet: "Packet[Stream]") -> Fraction:
    return (stamp_of(packet) or 0) * packet.time_base


def _without(metadata: dict[str, str], keys: set[str]) -> dict[str, str]:
    return {
        k: v
        for k, v in metadata.items()
        if k.lower().removesuffix("-eng") not in keys and not k.startswith("_STATISTICS")
    }


def _name(stream: Stream) -> str:
    codec = stream.codec_context.name if stream.codec_context is not None else "unknown codec"
    return f"stream {stream.index} ({stream.type}, {codec})"
