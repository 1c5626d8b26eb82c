"""One frame, the facts about the frames of a source, and timestamps that only ever grow."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Any, Self

import av
import cv2
import numpy as np
from numpy.typing import NDArray

ASSUMED_RATE = Fraction(25)
"""Frames per second of a source that states no rate and has no timestamps."""
Pixels = NDArray[np.unsignedinteger[Any]]
"""Pictures of uint8, or of uint16 where 10 bits are to be kept."""


@dataclass(frozen=True, eq=False)
class Beside:
    """What belongs to a frame and no network sees."""

    alpha: Pixels | None = None
    """(H, W) opacity at the size of the reader's frames, of the dtype of their pixels; None: not asked for."""
    captions: av.VideoFrame | None = None
    """A tiny picture that carries closed captions as its side data; None: the frame has none."""


NOTHING = Beside()


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
    beside: Beside = NOTHING

    @property
    def seconds(self) -> Fraction:
        """The presentation time in seconds, exactly."""
        return self.pts * self.time_base


@dataclass(frozen=True, eq=False)
class LazyFrame:
    """A decoded picture whose pixels are made when they are asked for, at the size that is asked for."""

    convert: Callable[[tuple[int, int] | None, bool], Pixels]
    """What `pixels` calls."""
    pts: int
    """As of Frame."""
    time_base: Fraction
    concealed: bool = False
    beside: Callable[[], Beside] = lambda: NOTHING
    """Makes what belongs to the frame beside its pixels."""

    @classmethod
    def of(cls, pixels: Pixels, pts: int, time_base: Fraction) -> Self:
        """A picture that is there already, (H, W, 3) RGB: such as one that was drawn or received."""
        return cls(partial(sized, pixels), pts, time_base)

    @property
    def seconds(self) -> Fraction:
        """The presentation time in seconds, exactly."""
        return self.pts * self.time_base

    def pixels(self, size: tuple[int, int] | None = None, *, rough: bool = False) -> Pixels:
        """Upright RGB (height, width, 3) at `size` (width, height), or that of the reader.

        Smaller ones are without aliasing. `rough`: sooner, and a few grey levels off. Raises FootageError for a pixel
        format that cannot be converted.
        """
        return self.convert(size, rough)

    def develop(self, size: tuple[int, int] | None = None) -> Frame:
        """The frame with its pixels, at `size` (width, height) or that of the reader."""
        return Frame(self.pixels(size), self.pts, self.time_base, self.concealed, self.beside())


def sized(pixels: Pixels, size: tuple[int, int] | None, rough: bool) -> Pixels:
    """RGB at `size` (width, height), without aliasing; None: as it is. `rough` makes no difference."""
    if size is None or size == (pixels.shape[1], pixels.shape[0]):
        return pixels
    how = cv2.INTER_AREA if size[0] * size[1] < pixels.shape[0] * pixels.shape[1] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(pixels, size, interpolation=how), dtype=pixels.dtype)


@dataclass(frozen=True)
class StreamInfo:
    """What a source delivers."""

    width: int
    height: int
    """Size of the delivered frames in pixels: upright, and with square pixels if they were asked for."""
    time_base: Fraction
    average_rate: Fraction | None = None
    """Frames per second; None if unknown or absurd."""
    sample_aspect_ratio: Fraction = Fraction(1)
    """Width of a delivered pixel over its height; 1 if unknown."""
    start: Fraction = Fraction(0)
    """Seconds at which the first frame is shown."""
    duration: Fraction | None = None
    """Seconds from `start` to the end, as the file claims."""
    frame_count: int | None = None
    """Estimated number of frames, from the file's claims."""
    rotation: int = 0
    """Counter-clockwise degrees by which the stored picture is turned to stand upright (already done)."""


def longest_pause(second: int) -> int:
    """The longest distance of two timestamps that is believed, in units of which a second has `second`.

    That is what an mp4 holds, 2^31 units of its timescale, but at least six hours.
    """
    second = max(1, second)
    return max(6 * 3600 * second, (2**31 - 1) * second // mp4_timescale(second))


def mp4_timescale(second: int) -> int:
    """Units per second that FFmpeg gives a track of an mp4, for timestamps of which a second has `second`."""
    while second < 10_000:
        second *= 2
    return second


class Clock:
    """Strictly increasing timestamps, equal to the given ones wherever those already increase.

    One that repeats or goes back a little becomes its predecessor + 1. A jump, back by more than a second or
    ahead by more than the `longest_pause`, starts a new piece, as where recordings were joined: it follows on
    without a gap and keeps its own distances.
    """

    def __init__(self, second: int) -> None:
        """`second`: units of one second."""
        self.shift = 0
        """What the present piece is moved by."""
        self._second = max(1, second)
        self._pause = longest_pause(self._second)
        self._last: int | None = None

    def __call__(self, stamp: int | None, *, step: int) -> int:
        """The timestamp for `stamp`; `step`: its distance from the one before, where the source tells none."""
        if self._last is None:
            self._last = 0 if stamp is None else stamp
            return self._last
        last, self._last = self._last, self._last + step
        if stamp is None:
            return self._last
        candidates = (stamp, stamp + self.shift)
        for candidate in candidates:
            if last < candidate <= last + self._pause:
                self._last = candidate
                break
        else:
            if any(last - self._second <= candidate <= last for candidate in candidates):
                self._last = last + 1
                return self._last
        self.shift = self._last - stamp
        return self._last
