"""Detects cuts between shots, by the rules of PySceneDetect's ContentDetector and AdaptiveDetector.

They are written out here because they take a fifth of the time of PySceneDetect's own, and give the same cuts.
"""

from collections import deque
from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from recycle.video.frame import Pixels

_DETECTION_WIDTH = 256
_MIN_SHOT = 5
"""Minimum length of a shot in frames; anything shorter is a flash."""
_MIN_CHANGE = 15.0
"""Minimum change at a cut that ShotFinder finds, in levels of 255 (min_content_val of AdaptiveDetector)."""
_MAX_RATIO = 255.0
"""Maximum ratio of a change to those of its neighbours; also the ratio if the neighbours do not change at all."""
_NOTHING = 0.00001
"""A mean change below this counts as none."""
_WINDOW = 2
"""Number of frames on each side with which ShotFinder compares a frame; also its delay."""
_BLOCK = 8
"""Side in pixels of the blocks that are compared to detect repeated frames."""
_REPEAT = 6
"""Mean change of a block, in levels of 255, below which the block counts as unchanged. Recompression of a repeated
frame hardly ever reaches it: in two films of 24 frames/s stored at 60, the largest change of a frame's blocks has a
median of 2 and a 95th percentile of 4 to 5."""


class CutDetector:
    """Detects cuts without lookahead, for streaming.

    A frame that differs strongly from its predecessor is a cut (ContentDetector), so a flash gives two cuts.
    """

    def __init__(self, *, threshold: float = 27.0) -> None:
        """`threshold` is the minimum mean change of hue, saturation and brightness at a cut, in levels of 255."""
        self._threshold = threshold
        self._change = _Change()

    def is_cut(self, pixels: Pixels) -> bool:
        """Whether the next frame, RGB (H, W, 3) uint8 or uint16, starts a new shot; False for the first frame."""
        return self._change(_small(pixels)) >= self._threshold


class ShotFinder:
    """Finds cuts in one pass; compares the change at each frame with that of its neighbours (AdaptiveDetector).

    Fast camera motion therefore does not count as a cut. Repeated frames are skipped, so footage that shows each
    picture two to four times, such as film at 60 frames/s, does not give cuts either. A picture that lasts six frames
    or more is a still, and the change after it is a cut. Add all frames, then call `finish` once.
    """

    def __init__(self, *, threshold: float = 3.0) -> None:
        """`threshold` is the minimum ratio of a cut's change to that of its neighbours (adaptive_threshold)."""
        self._threshold = threshold
        self._change = _Change()
        self._changes: deque[tuple[int, float]] = deque(maxlen=2 * _WINDOW + 1)
        """Number and change of the latest frames that were not skipped."""
        self._last: NDArray[np.uint8] | None = None
        self._index = 0
        self._repeats = 0
        self._starts: list[int] = []

    def add(self, pixels: Pixels) -> None:
        """Process the next frame, RGB (H, W, 3) uint8 or uint16."""
        image = _small(pixels)
        self._repeats = self._repeats + 1 if self._last is not None and _repeats(self._last, image) else 0
        if 0 < self._repeats < _MIN_SHOT - 1:
            self._index += 1
        else:
            self._process(image)

    def finish(self) -> list[int]:
        """Indices of the first frames of all shots, including 0; empty if there were no frames."""
        count = self._index
        if self._last is None:
            return []
        for _ in range(_WINDOW):  # a decision lags behind; repeats cause those about the last frames
            self._process(self._last)
        return [0, *(start for start in self._starts if 0 < start < count)]

    def _process(self, image: NDArray[np.uint8]) -> None:
        self._changes.append((self._index, self._change(image)))
        self._last = image
        self._index += 1
        if len(self._changes) == self._changes.maxlen:
            self._decide()

    def _decide(self) -> None:
        """Record the frame in the middle of the window if it starts a shot."""
        index, change = self._changes[_WINDOW]
        around = sum(other for at, other in self._changes if at != index) / (2 * _WINDOW)
        ratio = _MAX_RATIO if around < _NOTHING else min(change / around, _MAX_RATIO)
        last = self._starts[-1] if self._starts else 0
        if ratio >= self._threshold and change >= _MIN_CHANGE and index - last >= _MIN_SHOT:
            self._starts.append(index)


class _Change:
    """Mean change of hue, saturation and brightness between a frame and its predecessor (content_val)."""

    def __init__(self) -> None:
        self._last: NDArray[np.uint8] | None = None

    def __call__(self, image: NDArray[np.uint8]) -> float:
        """The change in levels of 255, from RGB (H, W, 3); 0 for the first frame."""
        last, self._last = self._last, np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2HSV), np.uint8)
        return 0.0 if last is None else cv2.norm(self._last, last, cv2.NORM_L1) / last.size


def find_cuts(frames: Iterable[Pixels], *, threshold: float = 3.0) -> list[int]:
    """Indices of the first frames of all shots, including 0; see ShotFinder. `frames` are RGB (H, W, 3)."""
    finder = ShotFinder(threshold=threshold)
    for pixels in frames:
        finder.add(pixels)
    return finder.finish()


def detection_size(width: int, height: int) -> tuple[int, int]:
    """Width and height at which frames are compared; wider frames are shrunk to it."""
    if width <= _DETECTION_WIDTH:
        return width, height
    return _DETECTION_WIDTH, max(1, round(height * _DETECTION_WIDTH / width))


def _repeats(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> bool:
    """Whether no block has changed; blocks also reveal small and slow motion."""
    height, width = before.shape[:2]
    blocks = (max(1, width // _BLOCK), max(1, height // _BLOCK))
    return bool(np.max(cv2.resize(cv2.absdiff(before, after), blocks, interpolation=cv2.INTER_AREA)) < _REPEAT)


def _small(pixels: Pixels) -> NDArray[np.uint8]:
    """The frame as uint8 at `detection_size`; the caller's own array if it is small already."""
    if pixels.dtype == np.uint16:
        pixels = (pixels // 257).astype(np.uint8)
    own = (pixels.shape[1], pixels.shape[0])
    if (size := detection_size(*own)) != own:
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return np.asarray(pixels, dtype=np.uint8)
