"""Determines the duration of the last frame of a video, which no later timestamp gives."""

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from recycle.video.frame import longest_pause
from recycle.video.index import beyond_end

_STATED = ("mov", "gif", "apng")
"""Demuxers (prefixes of FFmpeg's names) of containers that state the duration of every frame."""
_ENDS = ("matroska", "nut", "asf", "avi")
"""Demuxers whose stream durations count from time 0, not from the first frame."""
_IN_FLIGHT = 1000
"""Maximum number of packets in a decoder."""
_SEGMENT = bytes.fromhex("18538067")
"""ID of the Matroska element Segment, which contains the rest of the file."""


class Lasting:
    """Finds the duration of the last frame of a stream, from its packet or from the stated end of the track."""

    def __init__(self, container: InputContainer, stream: VideoStream, path: Path, *, step: int) -> None:
        """`step` is the usual distance of frames, in units of the stream's time base."""
        assert stream.time_base is not None, "a stream that is read has one"
        self._step = step
        self._longest = longest_pause(int(1 / stream.time_base))
        self._stated = container.format.name.startswith(_STATED)
        self._mov = container.format.name.startswith("mov")
        self._end = _end_of_track(container, stream, path)
        self._durations: dict[int, int] = {}
        self._start = stream.start_time or 0
        self._first_dts: int | None = None
        """Decoding timestamp of the first packet."""
        self._last_end: int | None = None
        """Decoding timestamp plus duration of the latest packet."""

    def note(self, packets: "Iterator[Packet[VideoStream]]") -> "Iterator[Packet[VideoStream]]":
        """Yield the packets unchanged and record the durations that they state."""
        for packet in packets:
            if packet.pts is not None:
                self._durations[packet.pts] = packet.duration or 0
                if len(self._durations) > _IN_FLIGHT:
                    del self._durations[next(iter(self._durations))]
            if packet.dts is not None and packet.size:
                self._first_dts = packet.dts if self._first_dts is None else self._first_dts
                self._last_end = packet.dts + (packet.duration or 0)
            yield packet

    def after(self, pts: int, *, trust_end: bool) -> int:
        """Duration of the last frame, whose timestamp in the file is `pts`; both in units of the stream's time base.

        `trust_end`: whether the stated end of the track is reliable, because the file is neither damaged nor joined.
        """
        own = self._durations.get(pts, 0)
        end = self._end
        if self._mov and end is not None and self._first_dts is not None and self._last_end is not None:
            # The index of a fragmented file already counts from 0, so `end` contains the start twice.
            end = min(end, self._start + self._last_end - self._first_dts)
        if trust_end and end is not None and pts < end <= pts + self._longest:
            return end - pts
        if own > self._longest:
            return self._step
        if self._stated and own:
            return own
        return max(own, self._step)  # elsewhere FFmpeg guesses durations, sometimes too short


def _end_of_track(container: InputContainer, stream: VideoStream, path: Path) -> int | None:
    """End of the last frame in units of the stream's time base; None if the file states none that is reliable.

    Only a complete file is reliable. If a Matroska file states two ends, the earlier one counts.
    """
    unit = stream.time_base
    assert unit is not None, "a stream that is read has one"
    name = container.format.name
    if name.startswith("mov"):  # FFmpeg reports the shorter of the header's duration and the sum of all frames
        whole = stream.duration and not beyond_end(container, stream)
        return (stream.start_time or 0) + (stream.duration or 0) if whole else None
    if name.startswith("avi"):
        return stream.duration if stream.duration and _is_complete_avi(container, stream, path) else None
    if not name.startswith("matroska"):
        return None
    tag = _seconds(stream.metadata.get("DURATION", ""))
    alone = not container.streams.audio and not container.streams.subtitles
    claims = [tag] if tag is not None else []
    if container.duration and (alone or tag is not None):  # otherwise it may be the end of the audio
        claims.append(Fraction(container.duration, av.time_base))
    return int(min(claims) / unit) if claims and _is_complete_matroska(path) else None


def states_the_end(container: InputContainer, path: Path) -> bool:
    """Whether the duration that FFmpeg reports for a file counts from time 0, so that it is an end, not a length."""
    name = container.format.name
    return name.startswith(_ENDS) or (name.startswith("mov") and _has_segment_index(path))


def _has_segment_index(path: Path) -> bool:
    """Whether an MP4 has an index of its fragments (box sidx) before the first fragment."""
    with path.open("rb") as file:
        while len(head := file.read(16)) == 16:
            size, kind = int.from_bytes(head[:4], "big"), head[4:8]
            size = int.from_bytes(head[8:], "big") if size == 1 else size
            if kind in (b"sidx", b"moof") or size < 8:
                return kind == b"sidx"
            file.seek(size - 16, 1)
    return False


def _seconds(text: str) -> Fraction | None:
    """Seconds of a Matroska tag such as 00:00:12.500000000; None if it has another form."""
    match = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", text.strip())
    if match is None:
        return None
    hours, minutes, seconds = match.groups()
    return int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds)


def _is_complete_avi(container: InputContainer, stream: VideoStream, path: Path) -> bool:
    """Whether an AVI has an index and all its RIFF chunks (one, or one per gigabyte) have the length that they state.

    A file that is truncated or still being recorded may state any length.
    """
    if not stream.index_entries or beyond_end(container, stream):
        return False
    with path.open("rb") as file:
        end, length = 0, file.seek(0, 2)
        while file.seek(end) < length and (head := file.read(8))[:4] == b"RIFF":
            size = int.from_bytes(head[4:], "little")
            if not 4 < size <= length - end - 8:
                return False
            end += 8 + size + size % 2
    return end > 0


def _is_complete_matroska(path: Path) -> bool:
    """Whether the file is as long as its header states; a file that is truncated or still being recorded is not."""
    with path.open("rb") as file:
        head = file.read(4096)
        length = file.seek(0, 2)
    at = head.find(_SEGMENT)
    if at < 0 or at + 12 > len(head) or not head[at + 4]:
        return False
    width = 9 - head[at + 4].bit_length()  # the first byte encodes the length of the number (RFC 8794, section 4)
    size = int.from_bytes(head[at + 4 : at + 4 + width], "big") - (1 << 7 * width)
    return size < (1 << 7 * width) - 1 and at + 4 + width + size <= length
