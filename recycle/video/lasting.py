"""How long the last frame of a video is shown: no later frame tells it."""

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
"""Demuxers (the first of FFmpeg's names) of containers that state a duration for every frame."""
_ENDS = ("matroska", "nut", "asf", "avi")
"""Demuxers whose durations count from 0, not from the first frame."""
_IN_FLIGHT = 1000
"""Packets that a decoder holds at most."""
_SEGMENT = bytes.fromhex("18538067")
"""The element of a Matroska file that holds everything else."""


class Lasting:
    """The duration of the last frame of one stream: as its packet states it, or as the end of its track implies."""

    def __init__(self, container: InputContainer, stream: VideoStream, path: Path, *, step: int) -> None:
        """`step`: the usual distance of frames, in units of the stream's time base."""
        assert stream.time_base is not None, "a stream that is read has one"
        self._step = step
        self._longest = longest_pause(int(1 / stream.time_base))
        self._stated = container.format.name.startswith(_STATED)
        self._mov = container.format.name.startswith("mov")
        self._end = _end_of_track(container, stream, path)
        self._durations: dict[int, int] = {}
        self._start = stream.start_time or 0
        self._first_dts: int | None = None
        """Of the first packet of the file."""
        self._last_end: int | None = None
        """When the packet that was read last ends, by its decoding timestamp."""

    def note(self, packets: "Iterator[Packet[VideoStream]]") -> "Iterator[Packet[VideoStream]]":
        """The packets themselves; the durations that they state are remembered until their frames are decoded."""
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
        """Duration of the last frame, whose timestamp in the file is `pts`; both in units of the time base.

        `trust_end`: the file is neither damaged nor joined, so that the stated end of its track is the true one.
        """
        own = self._durations.get(pts, 0)
        end = self._end
        if self._mov and end is not None and self._first_dts is not None and self._last_end is not None:
            # The index of a fragmented file counts from 0 already, so that the start is in `end` twice.
            end = min(end, self._start + self._last_end - self._first_dts)
        if trust_end and end is not None and pts < end <= pts + self._longest:
            return end - pts
        if own > self._longest:
            return self._step
        if self._stated and own:
            return own
        return max(own, self._step)  # others leave durations to FFmpeg, which may guess them too short


def _end_of_track(container: InputContainer, stream: VideoStream, path: Path) -> int | None:
    """When the last frame vanishes, in units of the stream's time base; None if the file does not say it credibly.

    Only a complete file is believed, and of its own two witnesses the one that names the earlier time.
    """
    unit = stream.time_base
    assert unit is not None, "a stream that is read has one"
    name = container.format.name
    if name.startswith("mov"):  # FFmpeg takes the shorter one of the header's claim and the sum of all frames
        whole = stream.duration and not beyond_end(container, stream)
        return (stream.start_time or 0) + (stream.duration or 0) if whole else None
    if name.startswith("avi"):
        return stream.duration if stream.duration and _is_complete_avi(container, stream, path) else None
    if not name.startswith("matroska"):
        return None
    tag = _seconds(stream.metadata.get("DURATION", ""))
    alone = not container.streams.audio and not container.streams.subtitles
    claims = [tag] if tag is not None else []
    if container.duration and (alone or tag is not None):  # else it may be the end of the sound
        claims.append(Fraction(container.duration, av.time_base))
    return int(min(claims) / unit) if claims and _is_complete_matroska(path) else None


def states_the_end(container: InputContainer, path: Path) -> bool:
    """Whether the duration that FFmpeg tells of a file counts from 0, not from the first frame: it is an end."""
    name = container.format.name
    return name.startswith(_ENDS) or (name.startswith("mov") and _has_segment_index(path))


def _has_segment_index(path: Path) -> bool:
    """Whether an MP4 has an index of its fragments (the box sidx), before the first of them."""
    with path.open("rb") as file:
        while len(head := file.read(16)) == 16:
            size, kind = int.from_bytes(head[:4], "big"), head[4:8]
            size = int.from_bytes(head[8:], "big") if size == 1 else size
            if kind in (b"sidx", b"moof") or size < 8:
                return kind == b"sidx"
            file.seek(size - 16, 1)
    return False


def _seconds(text: str) -> Fraction | None:
    """Of a Matroska tag such as 00:00:12.500000000."""
    match = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", text.strip())
    if match is None:
        return None
    hours, minutes, seconds = match.groups()
    return int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds)


def _is_complete_avi(container: InputContainer, stream: VideoStream, path: Path) -> bool:
    """Whether an AVI has an index, and every part of it (one, or one per gigabyte) is as long as it states.

    One that is cut off, or still recorded, may state any length.
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
    """Whether the file is as long as its own header states; one that is cut off, or still recorded, is not."""
    with path.open("rb") as file:
        head = file.read(4096)
        length = file.seek(0, 2)
    at = head.find(_SEGMENT)
    if at < 0 or at + 12 > len(head) or not head[at + 4]:
        return False
    width = 9 - head[at + 4].bit_length()  # a number's first byte tells how many it has (RFC 8794, section 4)
    size = int.from_bytes(head[at + 4 : at + 4 + width], "big") - (1 << 7 * width)
    return size < (1 << 7 * width) - 1 and at + 4 + width + size <= length
