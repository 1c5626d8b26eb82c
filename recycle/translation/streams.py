"""Sound, subtitles and whatever else accompanies the picture: carried over packet by packet, unchanged."""

import io
from collections.abc import Generator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Disposition, Stream

from recycle.footage.decode import open_container, video_stream

CONTAINERS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}
"""Outputs that take H.264 with timestamps of any kind: the file's suffix and FFmpeg's name."""

_OF_THE_CONTAINER = {"major_brand", "minor_version", "compatible_brands", "encoder"}
_OF_THE_ENCODING = {"rotate", "duration", "encoder", "bps", "number_of_frames", "number_of_bytes"}
_MAX_READ_FAILURES = 16


class OtherStreams:
    """All streams of a file but the video that is translated, on their way into an output container.

    Metadata, dispositions and chapters come along. A stream that the container cannot hold is left out and
    told of in `notices`. The file is read a second time beside the video's reader, so that neither waits for
    the other and memory stays constant.
    """

    def __init__(self, source: Path, output: OutputContainer, video: Stream, *, shift: Fraction) -> None:
        """Add the streams of `source` to `output`, which has its `video` stream and no packet yet.

        All packets are delayed by `shift` seconds. Raises FootageError if `source` cannot be opened.
        """
        self.notices: list[str] = []
        self._output = output
        self._shift = shift
        self._input = open_container(source)
        self._lost: dict[int, int] = {}
        self._last: dict[int, int] = {}
        self._earliest = Fraction(0)
        own = video_stream(self._input, source)
        video.metadata.update(_without(own.metadata, _OF_THE_ENCODING))
        video.disposition = own.disposition
        output.metadata.update(_without(self._input.metadata, _OF_THE_CONTAINER))
        chapters = self._input.chapters()
        if chapters:
            output.set_chapters(chapters)
        self._targets: dict[int, Stream] = {}
        for stream in self._input.streams:
            if stream.index != own.index and not (chapters and _is_chapter_track(stream)):
                self._add(stream)
        self._packets = self._demux()
        self._next = next(self._packets, None)

    def copy_until(self, seconds: Fraction | None) -> None:
        """Mux all packets up to the source's time `seconds`; None: all that remain.

        Raises av.FFmpegError if the output cannot be written.
        """
        while self._next is not None and (seconds is None or _time(self._next) <= seconds):
            self._mux(self._next)
            self._next = next(self._packets, None)

    def finish(self) -> None:
        """Mux all packets that remain and sum up what was lost."""
        self.copy_until(None)
        if self._earliest < 0 and self._output.format.name == "matroska":  # its muxer delays all streams
            late = f"all times are {-float(self._earliest):.3f} s later"
            self.notices.append(f"{late}: Matroska cannot hold sound from before 0; .mp4 can")
        for index, count in self._lost.items():
            stream = self._input.streams[index]
            self.notices.append(f"{count} damaged packets of {_name(stream)} could not be carried over")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._packets.close()
        self._input.close()

    def _add(self, stream: Stream) -> None:
        container = self._output.format.name
        takers = [suffix for suffix, name in CONTAINERS.items() if _fits(stream, name)]
        if stream.type == "video" and not stream.disposition & Disposition.attached_pic:
            self.notices.append(f"{_name(stream)} is left out: only the first video stream is translated")
        elif container not in (CONTAINERS[suffix] for suffix in takers):
            advice = f"; {' or '.join(takers)} can" if takers else ""
            self.notices.append(f"{_name(stream)} is left out: {container} cannot hold it{advice}")
        else:
            target = self._output.add_stream_from_template(stream)
            target.metadata.update(stream.metadata)
            target.disposition = stream.disposition
            self._targets[stream.index] = target

    def _demux(self) -> Generator["Packet[Stream]", None, None]:
        streams = [self._input.streams[index] for index in self._targets]
        failures = 0
        while streams and failures < _MAX_READ_FAILURES:
            try:
                for packet in self._input.demux(streams):
                    failures = 0
                    if packet.size:
                        yield packet
                return
            except av.FFmpegError:
                failures += 1

    def _mux(self, packet: "Packet[Stream]") -> None:
        index = packet.stream.index
        shift = round(self._shift / packet.time_base)
        dts = packet.dts if packet.dts is not None else packet.pts
        dts = dts + shift if dts is not None else self._last.get(index, 0)
        if index in self._last:  # muxers refuse times that go back, and repeat only for subtitles
            dts = max(dts, self._last[index] + (packet.stream.type not in ("subtitle", "data")))
        packet.dts = self._last[index] = dts
        packet.pts = dts if packet.pts is None else max(packet.pts + shift, dts)
        packet.stream = self._targets[index]
        self._earliest = min(self._earliest, packet.pts * packet.time_base)
        try:
            self._output.mux_one(packet)
        except (av.error.InvalidDataError, av.error.ArgumentError):
            self._lost[index] = self._lost.get(index, 0) + 1


def _fits(stream: Stream, container: str) -> bool:
    """Whether `container` (FFmpeg's name) takes the stream: tried in memory."""
    try:
        with av.open(io.BytesIO(), "w", format=container) as trial:
            trial.add_stream_from_template(stream)
            trial.start_encoding()
    except (av.FFmpegError, ValueError):
        return False
    return True


def _is_chapter_track(stream: Stream) -> bool:
    """Whether this is the text track in which mp4 keeps chapter titles; the muxer writes it anew."""
    return (
        stream.type == "data"
        and stream.codec_context is None
        and "text" in stream.metadata.get("handler_name", "")
    )


def _time(packet: "Packet[Stream]") -> Fraction:
    stamp = packet.dts if packet.dts is not None else packet.pts
    return (stamp or 0) * packet.time_base


def _without(metadata: dict[str, str], keys: set[str]) -> dict[str, str]:
    return {k: v for k, v in metadata.items() if k.lower() not in keys and not k.startswith("_STATISTICS")}


def _name(stream: Stream) -> str:
    codec = stream.codec_context.name if stream.codec_context is not None else "unknown codec"
    return f"stream {stream.index} ({stream.type}, {codec})"
