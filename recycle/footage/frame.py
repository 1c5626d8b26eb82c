"""One frame, the facts about the frames of a source, and timestamps that only ever grow."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.unsignedinteger[Any]]
"""Pictures of uint8, or of uint16 where 10 bits are to be kept."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One upright picture and the moment it is shown."""

    pixels: Pixels
    """(H, W, 3) RGB, uint8 or uint16; the rotation and flips that the source asks for are applied."""
    pts: int
    """Presentation timestamp in units of `time_base`: the source's own value where it is usable."""
    time_base: Fraction
    """Seconds per unit."""
    concealed: bool = False
    """The source's own frame is lost: this is its nearest neighbour."""

    @property
    def seconds(self) -> Fraction:
        """The presentation time in seconds, exactly."""
        return self.pts * self.time_base


@dataclass(frozen=True)
class StreamInfo:
    """What a reader delivers."""

    width: int
    height: int
    """Size of the delivered frames in pixels: upright, and with square pixels if they were asked for."""
    time_base: Fraction
    average_rate: Fraction | None
    """Frames per second; None if unknown or absurd."""
    sample_aspect_ratio: Fraction
    """Width of a delivered pixel over its height; 1 if unknown."""
    start: Fraction
    """Seconds at which the video begins, as the file claims."""
    duration: Fraction | None
    """Seconds, as the file claims."""
    frame_count: int | None
    """Estimated number of frames, from the file's claims."""
    rotation: int
    """Counter-clockwise degrees by which the stored picture is turned to stand upright (already done)."""


def repair_timestamps(stamps: Iterable[int | None], *, step: int, second: int) -> Iterator[int]:
    """Yield strictly increasing timestamps, equal to the given ones wherever those already increase.

    A missing one is `step` (units of one frame) after its predecessor. One that repeats or goes back a little
    becomes its predecessor + 1. A jump back of more than `second` (units of one second) starts a new piece,
    as where recordings were joined: it follows on, `step` later, and keeps its own distances.
    """
    last: int | None = None
    shift = 0
    for stamp in stamps:
        if last is None:
            current = 0 if stamp is None else stamp
        elif stamp is None:
            current = last + step
        elif stamp > last:
            current, shift = stamp, 0
        elif stamp + shift > last:
            current = stamp + shift
        elif last - (stamp + shift) > second:
            current = last + step
            shift = current - stamp
        else:
            current = last + 1
        yield current
        last = current
