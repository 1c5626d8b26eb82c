"""Selects the frames of a source to keep: by frame rate, and without near-duplicates."""

import math
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

_ROUNDING = Fraction(1, 1000)
"""Maximum error in seconds of timestamps that containers round."""


class RateSelector:
    """Reduces the frame rate by timestamps, so that variable frame rates and gaps are handled.

    A grid of `fps` points per second starts at the first frame. A frame is kept when it reaches the next point. A
    tolerance of half a source frame selects the nearest frame and absorbs rounded timestamps. At a rate of at least the
    source's, every frame is kept.
    """

    def __init__(self, fps: float | None, *, source_rate: Fraction | None) -> None:
        """`fps` None keeps all frames; `source_rate` is the source's frames per second, None if unknown."""
        self._fps = None if fps is None else Fraction(fps).limit_denominator(100_000)
        self._tolerance = 1 / (2 * source_rate) if source_rate else Fraction(0)
        self._start: Fraction | None = None
        self._next = 0

    def keeps(self, seconds: Fraction) -> bool:
        """Whether to keep the frame shown at `seconds`; call this for the frames in increasing order of time."""
        if self._fps is None:
            return True
        if self._start is None:
            self._start = seconds
        position = (seconds - self._start + self._tolerance) * self._fps
        if position < self._next - _ROUNDING * self._fps * bool(self._tolerance):
            return False
        self._next = max(math.floor(position), self._next) + 1
        return True


class DuplicateDropper:
    """Drops frames that hardly differ from the last kept frame."""

    def __init__(self, threshold: float) -> None:
        """`threshold` is the largest mean absolute difference of a duplicate, in grey levels of 255; 0 keeps all
        frames."""
        self._threshold = threshold
        self._last: NDArray[np.uint8] | None = None

    def keeps(self, pixels: NDArray[np.uint8]) -> bool:
        """Whether to keep this frame, (H, W, 3) uint8 RGB; all frames must have the same size."""
        if self._threshold == 0:
            return True
        grey = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
        if self._last is not None and float(cv2.absdiff(grey, self._last).mean()) <= self._threshold:
            return False
        self._last = grey
        return True
