"""Indexes the key frames of a file without decoding it, so that decoding can begin at any of them."""

from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from recycle.video.frame import longest_pause
from recycle.video.packets import demux

_SEEKABLE = ("mov", "matroska")
"""Demuxers (prefixes of FFmpeg's names) that seek reliably."""


@dataclass(frozen=True)
class Index:
    """Timestamps of a video stream in units of its time base; each packet has a distinct one."""

    stamps: tuple[int, ...]
    """Timestamps of all packets, in display order."""
    keys: tuple[int, ...]
    """Timestamps of the key frames, in display order."""

    def entry(self, start: int) -> int | None:
        """The key frame at which to begin decoding so that all frames from `start` are intact; None: the first one.

        It is the second to last key frame at or before `start`. After a seek, the first group of pictures may refer to
        earlier pictures (open groups, gradual refresh), and temporal filters need earlier frames.
        """
        at = bisect_right(self.keys, start) - 2
        return self.keys[at] if at > 0 else None


def build_index(container: InputContainer, stream: VideoStream, *, until: int | None = None) -> Index | None:
    """Index the packets of a newly opened file, up to the decoding timestamp `until`; None if seeking is not safe.

    Seeking is not safe if a timestamp is missing, repeated or hours after the previous one, a packet is damaged, or the
    container does not seek reliably.
    """
    unit = stream.time_base
    if unit is None or not container.format.name.startswith(_SEEKABLE):
        return None
    stamps, keys = [], []
    try:
        for packet in demux(container, stream):
            if not packet.size or packet.is_discard:  # an edit list discards a packet
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
    """Number of frames that the container's own index places beyond the end of the file, so that they are missing."""
    size = container.size
    return sum(entry.pos + entry.size > size for entry in stream.index_entries) if size > 0 else 0
