"""Shifts a clock that starts late, such as that of a broadcast, so that the file starts at 0."""

from collections.abc import Iterable, Set
from contextlib import suppress
from fractions import Fraction
from itertools import islice
from math import floor, gcd, lcm
from pathlib import Path

import av
from av.stream import Disposition, Stream

from recycle.video.container import open_container
from recycle.video.packets import demux

LATE = Fraction(10)
"""Start times from this many seconds on are taken for the clock of a recorder; earlier ones for an intended delay."""
_FINE = Fraction(1, 100)
FIRST = 40
"""Number of packets that always include the first frame in presentation order."""


def late_start(streams: Iterable[Stream], source: Path) -> Fraction:
    """Seconds to subtract from the times of all `streams`, the video first, so that the earliest starts at 0.

    Returns 0 if it starts before LATE. The result is a multiple of the time base of every stream, so that relative
    times stay exact; if these have no common multiple below 0.01 s, it is a multiple of the video's time base. Raises
    FootageError if `source`, the file of the streams, cannot be opened.
    """
    timed = [stream for stream in streams if not stream.disposition & Disposition.attached_pic and stream.time_base]
    starts = [s.start_time * s.time_base for s in timed if s.start_time is not None and s.time_base]
    if timed and min(starts, default=LATE) >= LATE:
        starts += _first_times(source, {stream.index for stream in timed if stream.start_time is None})
    if not starts or min(starts) < LATE:
        return Fraction(0)
    units = [stream.time_base for stream in timed if stream.time_base]
    common = Fraction(lcm(*(unit.numerator for unit in units)), gcd(*(unit.denominator for unit in units)))
    unit = common if common <= _FINE else units[0]
    return floor(min(starts) / unit) * unit


def _first_times(source: Path, wanted: Set[int]) -> list[Fraction]:
    """Start times, in seconds, of streams for which FFmpeg states none, such as reordered video in Matroska."""
    times: list[Fraction] = []
    if wanted:
        with suppress(av.FFmpegError), open_container(source) as container:
            streams = [container.streams[index] for index in sorted(wanted)]
            for packet in islice(demux(container, *streams), FIRST):
                stamp = packet.pts if packet.pts is not None else packet.dts
                if packet.size and stamp is not None:
                    times.append(stamp * packet.time_base)
    return times
