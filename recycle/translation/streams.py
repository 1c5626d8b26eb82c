"""Sound, subtitles and whatever else accompanies the picture: carried over packet by packet, unchanged."""

import io
from collections import Counter
from collections.abc import Generator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

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

        All packets are delayed by `shift` seconds. A folder (of images) has no other streams.
        Raises FootageError if `source` cannot be opened.
        """
        self.notices: list[str] = []
        self._output = output
        self._shift = shift
        self._targets: dict[int, Stream] = {}
        self._last: dict[int, int] = {}
        self._lost: Counter[str] = Counter()
        self._input = None if source.is_dir() else open_container(source)
        if self._input is not None:
            self._adopt(self._input, video_stream(self._input, source), video)
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
        for name, count in self._lost.items():
            self.notices.append(f"{count} damaged packets of {name} could not be carried over")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._packets.close()
        if self._input is not None:
            self._input.close()

    def _adopt(self, source: InputContainer, source_video: VideoStream, video: Stream) -> None:
        video.metadata.update(_without(source_video.metadata, _OF_THE_ENCODING))
        video.disposition = source_video.disposition
        self._output.metadata.update(_without(source.metadata, _OF_THE_CONTAINER))
        chapters = source.chapters()
        if chapters:
            self._output.set_chapters(chapters)
        for stream in source.streams:
            # mp4 keeps chapter titles in a track with one packet for each, which its muxer writes anew
            is_chapters = stream.type == "data" and bool(chapters) and stream.frames == len(chapters)
            if stream.index != source_video.index and not is_chapters:
                self._add(stream)

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
        if self._input is None or not self._targets:
            return
        streams = [self._input.streams[index] for index in self._targets]
        failures = 0
        while failures < _MAX_READ_FAILURES:
            try:
                for packet in self._input.demux(streams):
                    failures = 0
                    if packet.size:
                        yield packet
                return
            except av.FFmpegError:
                failures += 1
        self.notices.append("sound and other streams end early: the file cannot be read any further")

    def _mux(self, packet: "Packet[Stream]") -> None:
        stream, index = packet.stream, packet.stream.index
        shift = round(self._shift / packet.time_base)
        dts = packet.dts if packet.dts is not None else packet.pts
        dts = dts + shift if dts is not None else self._last.get(index, 0)
        if index in self._last:  # muxers refuse times that go back, and repeat only for subtitles
            dts = max(dts, self._last[index] + (stream.type not in ("subtitle", "data")))
        packet.dts = self._last[index] = dts
        packet.pts = dts if packet.pts is None else max(packet.pts + shift, dts)
        packet.stream = self._targets[index]
        try:
            self._output.mux_one(packet)
        except (av.error.InvalidDataError, av.error.ArgumentError):
            self._lost[_name(stream)] += 1


def _fits(stream: Stream, container: str) -> bool:
    """Whether `container` (FFmpeg's name) takes the stream: tried in memory."""
    if stream.disposition & Disposition.attached_pic and container != "mp4":
        return False  # mov loses cover pictures, Matroska takes them for video
    try:
        with av.open(io.BytesIO(), "w", format=container) as trial:
            trial.add_stream_from_template(stream)
            trial.start_encoding()
    except (av.FFmpegError, ValueError):
        return False
    return True


def _time(packet: "Packet[Stream]") -> Fraction:
    stamp = packet.dts if packet.dts is not None else packet.pts
    return (stamp or 0) * packet.time_base


def _without(metadata: dict[str, str], keys: set[str]) -> dict[str, str]:
    return {k: v for k, v in metadata.items() if k.lower() not in keys and not k.startswith("_STATISTICS")}


def _name(stream: Stream) -> str:
    codec = stream.codec_context.name if stream.codec_context is not None else "unknown codec"
    return f"stream {stream.index} ({stream.type}, {codec})"
