"""Copies the packets of a file's sound, subtitles and data into an output."""

from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any, Self

import av
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Disposition, Stream

from recycle.plural import counted
from recycle.rendering.carriers import Carrier, Copied, Damaged
from recycle.rendering.convert import Form
from recycle.rendering.joints import Joints
from recycle.rendering.labels import written_as
from recycle.video.conceal import MAX_READ_FAILURES
from recycle.video.container import open_container, video_stream
from recycle.video.packets import demux, stamp_of, time_of

Times = tuple[Fraction | None, Fraction | None]
"""Start and end of a span in seconds, end exclusive; None: the start or the end of the file."""

_INTERLEAVING = Fraction(10)
"""Maximum distance in seconds between streams as stored in a file."""
_SAMPLE = 8
"""Packets of each stream in a sample."""
_SAMPLE_READ = 400
"""Maximum number of packets of the file that are read for a sample."""
_SAMPLE_BYTES = 16 * 2**20
_EARLY = Fraction(1)
"""Seconds by which sound may end before its last packet; decoders and encoders buffer less than this."""


class StreamFailure(Exception):
    """A stream cannot be carried over; `index` is its number in the source."""

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(reason)
        self.index = index


class Passage:
    """Copies or converts the other streams of a file into an output.

    It opens the file separately from the video's reader, so that neither waits for the other and memory stays constant.
    Damaged packets are skipped and counted.
    """

    def __init__(
        self, source: Path | None, forms: Mapping[int, Form], output: OutputContainer, *, shift: Fraction, span: Times
    ) -> None:
        """Add a stream to `output`, which has no packet yet, for each stream in `forms` (by number in `source`).

        All packets are delayed by `shift` seconds; packets outside `span` are skipped. Raises FootageError if the file
        cannot be opened, StreamFailure if `output` rejects a stream.
        """
        self.late: list[str] = []
        """Notices about what went wrong."""
        self.lost: list[int] = []
        """Numbers of the streams of which most is missing."""
        self.written: Counter[int] = Counter()
        """Number of packets written, by stream."""
        self.refused: Counter[int] = Counter()
        """Number of packets that could not be encoded or written, by stream."""
        self.damaged: Counter[int] = Counter()
        """Number of packets that could not be decoded, by stream."""
        self._output, self._shift, self._span = output, shift, span
        self._carriers: dict[int, Carrier] = {}
        self._last: dict[int, int] = {}
        self._read_spans: dict[int, tuple[Fraction, Fraction]] = {}
        self._written_until: dict[int, Fraction] = {}
        self._sampled = False
        self._input = None
        if forms and source is not None:
            self._input = open_container(source)
            try:
                self._video = video_stream(self._input, source)
                for index, form in sorted(forms.items()):
                    self._carriers[index] = _opened(form, self._input.streams[index], output)
            except BaseException:
                self._input.close()
                raise
        self._packets = self._read()
        self._next: Packet[Stream] | None = None
        self._begun = False

    @property
    def targets(self) -> dict[int, Stream]:
        """The streams of the output, by their numbers in the source."""
        return {index: carrier.target for index, carrier in self._carriers.items()}

    def copy_until(self, seconds: Fraction | None) -> None:
        """Write all packets up to the source's time `seconds`; None writes all remaining packets.

        Raises av.FFmpegError if the output cannot be written, StreamFailure if it rejects a stream.
        """
        if not self._begun:
            self._begun, self._next = True, next(self._packets, None)
        while self._next is not None and (seconds is None or time_of(self._next) <= seconds):
            self._take(self._next.stream.index, self._next)
            self._next = next(self._packets, None)

    def sample(self) -> None:
        """Write only the first packets of each stream, regardless of the span.

        Raises the errors of `copy_until`, and StreamFailure for a stream that `output` rejects.
        """
        self._sampled, self._span = True, (None, None)
        self._drain()
        for index, count in self.refused.items():
            if not self.written[index]:
                raise StreamFailure(index, f"none of its first {count} packets can be carried over")

    def finish(self) -> None:
        """Write all remaining packets, and collect notices about what is missing.

        Raises the errors of `copy_until`, and StreamFailure for a stream of which nothing could be written.
        """
        self._drain()
        for index, count in (self.refused + self.damaged).items():
            if not self.written[index]:
                raise StreamFailure(index, f"none of its {count} packets could be carried over")
            damaged = counted(count, "damaged packet")
            self._miss(index, f"{damaged} of {{}} could not be carried over", count > self.written[index])
        for index, (begin, end) in self._read_spans.items():
            if self._carriers[index].target.type == "audio":
                if not self.written[index]:
                    raise StreamFailure(index, "it could not be decoded")
                early = end - self._written_until[index]
                if early > _EARLY:
                    self._miss(index, f"{{}} ends {float(early):.1f} s early", 2 * early > end - begin)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._input is not None:
            self._packets.close()
            self._input.close()

    def _drain(self) -> None:
        self.copy_until(None)
        for index in self._carriers:
            self._take(index, None)

    def _read(self) -> Generator["Packet[Stream]", None, None]:
        start, end = self._span
        for packet in self._demux():
            _open(packet, start)
            if start is None or time_of(packet) >= start:
                if end is not None and time_of(packet) >= end + _INTERLEAVING:
                    return
                if end is None or time_of(packet) < end:
                    _shorten(packet, end)
                    yield packet

    def _demux(self) -> Iterator["Packet[Stream]"]:
        if self._input is None:
            return
        streams = [self._video, *(self._input.streams[index] for index in self._carriers)]
        # Only copies can be heard: decoders drop what is hidden. In mp4 and mov it has negative times and stays hidden.
        copied = {index for index, carrier in self._carriers.items() if isinstance(carrier, Copied)}
        heard = set[int]() if self._output.format.name in ("mp4", "mov") else copied
        joints = Joints(self._video, heard=heard)
        failures = 0
        seen: Counter[int] = Counter()
        size = 0
        while failures < MAX_READ_FAILURES:
            try:
                for packet in demux(self._input, *streams):
                    failures = 0
                    if packet.size and packet.stream.index == self._video.index:
                        yield from joints.picture(packet)
                    elif packet.size:
                        yield from joints.other(packet)
                    seen[packet.stream.index] += not (packet.is_discard and packet.stream.index in heard)
                    size += packet.size
                    if self._sampled and self._is_sample(seen, size):
                        break
                break
            except av.FFmpegError:
                failures += 1
        else:
            self.lost += [index for index in self._carriers if index not in self.lost]
            self.late.append("sound and other streams end early: the file cannot be read any further")
        yield from joints.rest()

    def _is_sample(self, seen: Counter[int], size: int) -> bool:
        with_packets = (index for index, one in self._carriers.items() if one.target.type != "attachment")
        enough = all(seen[index] >= _SAMPLE for index in with_packets)
        return enough or seen.total() >= _SAMPLE_READ or size >= _SAMPLE_BYTES

    def _miss(self, index: int, notice: str, most: bool) -> None:
        """Add a notice about missing parts of a stream; `most`: whether most of it is missing."""
        self.late.append(notice.format(self._name(index)))
        if most and index not in self.lost:
            self.lost.append(index)

    def _take(self, index: int, packet: "Packet[Stream] | None") -> None:
        if packet is not None and stamp_of(packet) is not None:
            time = time_of(packet) + self._shift
            self._read_spans[index] = (self._read_spans.get(index, (time, time))[0], time)
        for done in self._converted(index, packet):
            self._mux(done, index)

    def _converted(self, index: int, packet: "Packet[Stream] | None") -> "Iterator[Packet[Any]]":
        try:
            yield from self._carriers[index].convert(packet)
        except MemoryError:
            raise
        except Damaged:
            self.damaged[index] += 1
        except Exception:  # encoders raise many types; none may stop the video
            self.refused[index] += 1

    def _mux(self, packet: "Packet[Any]", index: int) -> None:
        target = self._carriers[index].target
        shift = round(self._shift / packet.time_base)
        stamp = stamp_of(packet)
        dts = stamp + shift if stamp is not None else self._last.get(index, 0)
        if target.type in ("subtitle", "data") or target.disposition & Disposition.attached_pic:
            if dts < 0 and packet.duration:
                packet.duration = max(1, packet.duration + dts)
            dts = max(dts, 0)  # shifted to before 0: show it at once
        if index in self._last:  # muxers reject decreasing times, and accept equal ones only for subtitles
            unit = target.time_base or packet.time_base
            step = 0 if target.type in ("subtitle", "data") else max(1, ceil(unit / packet.time_base))
            dts = max(dts, self._last[index] + step)
        packet.dts = self._last[index] = dts
        packet.pts = dts if packet.pts is None else max(packet.pts + shift, dts)
        if target.type == "data" and not packet.duration:  # mp4 ignores packets without a duration
            packet.duration = max(1, ceil((target.time_base or packet.time_base) / packet.time_base))
        packet.stream = target
        self._written_until[index] = dts * packet.time_base
        try:
            self._output.mux_one(packet)
            self.written[index] += 1
        except (av.error.InvalidDataError, av.error.ArgumentError):
            self.refused[index] += 1
        except av.FFmpegError as error:
            if is_of_the_disk(error):
                raise
            raise StreamFailure(index, str(error.strerror or error)) from error

    def _name(self, index: int) -> str:
        assert self._input is not None, "streams come from an input"
        return name_of(self._input.streams[index])


def name_of(stream: Stream) -> str:
    """Description of a stream for messages, such as "stream 1 (audio, aac)"."""
    own = getattr(stream, "name", None) if stream.type == "data" else None
    codec = stream.codec_context.name if stream.codec_context is not None else own or "unknown codec"
    return f"stream {stream.index} ({stream.type}, {codec})"


def is_of_the_disk(error: Exception) -> bool:
    """Whether a write error was caused by the disk or the system, and not by the data."""
    return isinstance(error, OSError | MemoryError)


def _opened(form: Form, stream: Stream, output: OutputContainer) -> Carrier:
    try:
        carrier = form.open(stream, output)
    except MemoryError:
        raise
    except Exception as error:
        raise StreamFailure(stream.index, str(error)) from error
    carrier.target.metadata.update(written_as(stream.metadata, output.format.name))
    carrier.target.disposition = stream.disposition
    return carrier


def _open(packet: "Packet[Stream]", start: Fraction | None) -> None:
    """Let a subtitle that is on screen at the start of the span begin there."""
    if start is None or packet.stream.type != "subtitle" or packet.pts is None or not packet.duration:
        return
    early = ceil((start - time_of(packet)) / packet.time_base)
    if 0 < early < packet.duration:
        packet.pts += early
        packet.dts = packet.pts
        packet.duration -= early


def _shorten(packet: "Packet[Stream]", end: Fraction | None) -> None:
    """Limit the duration of a subtitle to the end of the span; otherwise the output would outlast its video."""
    if end is not None and packet.stream.type == "subtitle" and packet.duration:
        packet.duration = min(packet.duration, round((end - time_of(packet)) / packet.time_base))
