"""Where decoding of a file can begin, without decoding it."""

from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from recycle.video.frame import longest_pause
from recycle.video.packets import demux

_SEEKABLE = ("mov", "matroska")
"""Demuxers (the first of FFmpeg's names) that land where they are asked to."""


@dataclass(frozen=True)
class Index:
    """Timestamps of a video stream whose every packet has one of its own, in units of its time base."""

    stamps: tuple[int, ...]
    """Of all packets, in order of display."""
    keys: tuple[int, ...]
    """Of the key frames."""

    def entry(self, start: int) -> int | None:
        """The key frame from which on to decode so that all frames from `start` on are whole; None: the first.

        That is the last but one before `start`: the first group of pictures after a jump may refer to pictures
        before it (open groups, gradual refresh), and filters over time need a past.
        """
        at = bisect_right(self.keys, start) - 2
        return self.keys[at] if at > 0 else None


def build_index(container: InputContainer, stream: VideoStream, *, until: int | None = None) -> Index | None:
    """Read the packets of a newly opened file, up to the timestamp `until`; None if one cannot jump in it safely.

    That is so if a timestamp is missing, repeated or hours after the one before, a packet is damaged, or the
    container is not known to find its key frames.
    """
    unit = stream.time_base
    if unit is None or not container.format.name.startswith(_SEEKABLE):
        return None
    stamps, keys = [], []
    try:
        for packet in demux(container, stream):
            if not packet.size or packet.is_discard:  # discard: cut off by an edit list
                continue
            if packet.pts is None or packet.is_corrupt:
                return None
            if until is not None and packet.dts is not None and packet.dts > until:
                break
            stamps.append(packet.pts)
            if packet.is_keyframe:
                keys.append(packet.pts)
    except av.FFmpegError:
        return None
    if len(set(stamps)) != len(stamps) or keys != sorted(keys):
        return None
    stamps.sort()
    longest = longest_pause(int(1 / unit))
    if any(after - stamp > longest for stamp, after in pairwise(stamps)):
        return None
    return Index(tuple(stamps), tuple(keys))


def beyond_end(container: InputContainer, stream: VideoStream) -> int:
    """Frames that the container's own index places behind the end of the file."""
    size = container.size
    return sum(entry.pos + entry.size > size for entry in stream.index_entries) if size > 0 else 0
