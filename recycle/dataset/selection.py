"""Which frames of a source are kept: by rate, and without near-duplicates."""

import math
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

_ROUNDING = Fraction(1, 1000)
"""Seconds by which containers round timestamps."""


class RateSelector:
    """Thins frames to a rate, by their timestamps, so that variable frame rates and gaps are no trouble.

    A grid of `fps` points per second starts at the first frame; a frame is kept when it reaches the next
    point. Half a source frame of tolerance keeps the nearest frame and makes rounded timestamps harmless. At
    a rate of at least the source's, every frame is kept.
    """

    def __init__(self, fps: float | None, *, source_rate: Fraction | None) -> None:
        """`fps` None keeps all; `source_rate` is the source's frames per second, None if unknown."""
        self._fps = None if fps is None else Fraction(fps).limit_denominator(100_000)
        self._tolerance = 1 / (2 * source_rate) if source_rate else Fraction(0)
        self._start: Fraction | None = None
        self._next = 0

    def keeps(self, seconds: Fraction) -> bool:
        """Whether to keep the frame shown at `seconds`; frames come in increasing time."""
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
    """Drops frames that hardly differ from the last one kept."""

    def __init__(self, threshold: float) -> None:
        """`threshold`: largest mean absolute difference, in grey levels of 255, of a duplicate; 0: none."""
        self._threshold = threshold
        self._last: NDArray[np.uint8] | None = None

    def keeps(self, pixels: NDArray[np.uint8]) -> bool:
        """Whether to keep this frame, (H, W, 3) uint8 RGB, all of one size."""
        if self._threshold == 0:
            return True
        grey = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
        if self._last is not None and float(cv2.absdiff(grey, self._last).mean()) <= self._threshold:
            return False
        self._last = grey
        return True
