"""Frames, the properties of a stream of frames, and a clock of strictly increasing timestamps."""

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
"""Pictures of uint8, or of uint16 (full range) to preserve more than 8 bits."""


@dataclass(frozen=True, eq=False)
class Beside:
    """Data that accompanies a frame and is not passed to a network."""

    alpha: Pixels | None = None
    """Opacity (H, W) at the size of the source's frames, with the dtype of their pixels; None if not requested."""
    captions: av.VideoFrame | None = None
    """A tiny frame whose side data are the closed captions; None if there are none."""


NOTHING = Beside()


@dataclass(frozen=True, eq=False)
class Frame:
    """An upright picture and its presentation time."""

    pixels: Pixels
    """RGB (H, W, 3), uint8 or uint16 over the full range; rotation and flips of the source are applied. From
    `LazyFrame.hand_over`: planes (H × 3/2, W), as in `recycle.video.planes`."""
    pts: int
    """Presentation timestamp in units of `time_base`; the source's own value if that is usable."""
    time_base: Fraction
    """Seconds per unit."""
    concealed: bool = False
    """Whether the source's own frame is lost and this is its nearest neighbour."""
    beside: Beside = NOTHING

    @property
    def seconds(self) -> Fraction:
        """The presentation time in seconds, exactly."""
        return self.pts * self.time_base


@dataclass(frozen=True, eq=False)
class LazyFrame:
    """A decoded picture that is converted to RGB only on request, at the requested size."""

    convert: Callable[[tuple[int, int] | None, bool], Pixels]
    """Implements `pixels`: takes `size` and `rough`."""
    pts: int
    """As in Frame."""
    time_base: Fraction
    concealed: bool = False
    beside: Callable[[], Beside] = lambda: NOTHING
    """Returns the data that accompanies the frame."""
    planes: Callable[[], Pixels] | None = None
    """Returns the planes of the picture, in the format `Source.planes`; not for sources without planes."""

    @classmethod
    def of(cls, pixels: Pixels, pts: int, time_base: Fraction) -> Self:
        """Wrap existing pixels, RGB (H, W, 3), such as a drawn or received picture."""
        return cls(partial(sized, pixels), pts, time_base)

    @property
    def seconds(self) -> Fraction:
        """The presentation time in seconds, exactly."""
        return self.pts * self.time_base

    def pixels(self, size: tuple[int, int] | None = None, *, rough: bool = False) -> Pixels:
        """Upright RGB (height, width, 3) at `size` (width, height), by default the size of the source's frames.

        Shrinking avoids aliasing. `rough` is faster, with errors of a few grey levels. Raises FootageError for a pixel
        format that cannot be converted.
        """
        return self.convert(size, rough)

    def develop(self, size: tuple[int, int] | None = None) -> Frame:
        """Convert to a Frame at `size` (width, height), by default that of the source's frames; see `pixels`."""
        return Frame(self.pixels(size), self.pts, self.time_base, self.concealed, self.beside())

    def hand_over(self) -> Frame:
        """The Frame whose pixels are the planes of the picture; only if `Source.planes` is not None.

        Raises FootageError for a pixel format that cannot be converted.
        """
        assert self.planes is not None, "sources with planes set them"
        return Frame(self.planes(), self.pts, self.time_base, self.concealed, self.beside())


def sized(pixels: Pixels, size: tuple[int, int] | None, rough: bool = False) -> Pixels:
    """Resize RGB pixels to `size` (width, height) without aliasing; None keeps the size. `rough` is ignored."""
    if size is None or size == (pixels.shape[1], pixels.shape[0]):
        return pixels
    how = cv2.INTER_AREA if size[0] * size[1] < pixels.shape[0] * pixels.shape[1] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(pixels, size, interpolation=how), dtype=pixels.dtype)


def small(pixels: Pixels, size: tuple[int, int]) -> NDArray[np.uint8]:
    """A frame (H, W, 3), uint8 or uint16, as uint8 at `size` (width, height), which must not exceed its own."""
    if pixels.dtype == np.uint16:
        pixels = (pixels // 257).astype(np.uint8)
    if (pixels.shape[1], pixels.shape[0]) != size:
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return np.asarray(pixels, dtype=np.uint8)


@dataclass(frozen=True)
class StreamInfo:
    """Properties of the frames of a source."""

    width: int
    height: int
    """Size of the frames in pixels: upright, and with square pixels if `Reading.square_pixels` is set."""
    time_base: Fraction
    """Seconds per unit of the timestamps."""
    average_rate: Fraction | None = None
    """Frames per second; None if unknown or implausible."""
    sample_aspect_ratio: Fraction = Fraction(1)
    """Width of a pixel divided by its height; 1 if unknown."""
    start: Fraction = Fraction(0)
    """Presentation time of the first frame in seconds."""
    duration: Fraction | None = None
    """Seconds from `start` to the end, as stated by the file; None if unknown."""
    frame_count: int | None = None
    """Number of frames, as stated by the file or estimated from its duration and rate; None if unknown."""
    rotation: int = 0
    """Counter-clockwise degrees by which the stored picture was rotated to make the frames upright."""


def longest_pause(second: int) -> int:
    """The longest plausible distance of two timestamps, in units of 1/`second` s.

    It is the longest distance that an mp4 can store, 2^31 - 1 units of its timescale, but at least six hours.
    """
    second = max(1, second)
    return max(6 * 3600 * second, (2**31 - 1) * second // mp4_timescale(second))


def mp4_timescale(second: int) -> int:
    """Timescale (units per second) that FFmpeg chooses for an mp4 track whose timestamps have units of 1/`second` s."""
    while second < 10_000:
        second *= 2
    return second


class Clock:
    """Makes timestamps strictly increasing; those that already increase are unchanged.

    A timestamp that repeats or goes back by at most a second becomes its predecessor + 1. A jump (back by more than a
    second, or ahead by more than `longest_pause`) starts a new piece, as in joined recordings. The piece is shifted to
    follow without a gap, and its distances are preserved.
    """

    def __init__(self, second: int) -> None:
        """`second` is the number of timestamp units per second."""
        self.shift = 0
        """Shift of the current piece, in units."""
        self._second = max(1, second)
        self._pause = longest_pause(self._second)
        self._last: int | None = None

    def __call__(self, stamp: int | None, *, step: int) -> int:
        """The corrected timestamp for `stamp` (None: missing); `step` is the distance to assume if it is unknown."""
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
