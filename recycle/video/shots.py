"""Detects cuts between shots with the detectors of PySceneDetect, applied to decoded frames."""

from fractions import Fraction
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from recycle.video.frame import Pixels, small

if TYPE_CHECKING:
    from scenedetect import FrameTimecode

_DETECTION_WIDTH = 256
_MIN_SHOT = 5
"""Minimum length of a shot in frames; anything shorter is a flash."""
_WINDOW = 2
"""Number of frames on each side with which AdaptiveDetector compares a frame; also its delay."""
_BLOCK = 8
"""Side in pixels of the blocks that are compared to detect repeated frames."""
_REPEAT = 6
"""Mean change of a block, in levels of 255, below which the block counts as unchanged. Recompression of a repeated
frame hardly ever reaches it: in two films of 24 frames/s stored at 60, the largest change of a frame's blocks has a
median of 2 and a 95th percentile of 4 to 5."""
_CUT = 27.0
"""Minimum mean change of hue, saturation and brightness at a cut, in levels of 255, without lookahead."""
_ANY_RATE = Fraction(25)  # PySceneDetect requires a rate, but all lengths here are in frames


class CutDetector:
    """Detects cuts without lookahead, for streaming.

    A frame that differs strongly from its predecessor is a cut (PySceneDetect's ContentDetector), so a flash gives two
    cuts.
    """

    def __init__(self) -> None:
        from scenedetect.detectors import ContentDetector  # imported late: most translations need no cuts

        self._detector = ContentDetector(threshold=_CUT, min_scene_len=0)
        self._index = 0

    def is_cut(self, pixels: Pixels) -> bool:
        """Whether the next frame, RGB (H, W, 3) uint8 or uint16, starts a new shot; False for the first frame."""
        cuts = self._detector.process_frame(_timecode(self._index), _small_bgr(pixels))
        self._index += 1
        return bool(cuts)


class ShotFinder:
    """Finds cuts in one pass; compares the change at each frame with that of its neighbours (AdaptiveDetector).

    Fast camera motion therefore does not count as a cut. Repeated frames are skipped, so footage that shows each
    picture two to four times, such as film at 60 frames/s, does not give cuts either. A picture that lasts six frames
    or more is a still, and the change after it is a cut. Add all frames, then call `finish` once.
    """

    def __init__(self, *, threshold: float = 3.0) -> None:
        """`threshold` is the minimum ratio of a cut's change to that of its neighbours (adaptive_threshold)."""
        from scenedetect.detectors import AdaptiveDetector

        self._detector = AdaptiveDetector(adaptive_threshold=threshold, min_scene_len=_MIN_SHOT, window_width=_WINDOW)
        self._last: NDArray[np.uint8] | None = None
        self._index = 0
        self._repeats = 0
        self._starts: list[int] = []

    def add(self, pixels: Pixels) -> None:
        """Process the next frame, RGB (H, W, 3) uint8 or uint16."""
        image = _small_bgr(pixels)
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
        for _ in range(_WINDOW):  # the detector lags behind; repeats make it decide the last frames
            self._process(self._last)
        return [0, *(start for start in self._starts if 0 < start < count)]

    def _process(self, image: NDArray[np.uint8]) -> None:
        self._starts += [cut.frame_num for cut in self._detector.process_frame(_timecode(self._index), image)]
        self._last = image
        self._index += 1


def detection_size(width: int, height: int) -> tuple[int, int]:
    """Width and height at which frames are compared; wider frames are shrunk to it."""
    if width <= _DETECTION_WIDTH:
        return width, height
    return _DETECTION_WIDTH, max(1, round(height * _DETECTION_WIDTH / width))


def _timecode(index: int) -> "FrameTimecode":
    from scenedetect import FrameTimecode

    return FrameTimecode(index, fps=_ANY_RATE)


def _repeats(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> bool:
    """Whether no block has changed; blocks also reveal small and slow motion."""
    height, width = before.shape[:2]
    blocks = (max(1, width // _BLOCK), max(1, height // _BLOCK))
    return bool(np.max(cv2.resize(cv2.absdiff(before, after), blocks, interpolation=cv2.INTER_AREA)) < _REPEAT)


def _small_bgr(pixels: Pixels) -> NDArray[np.uint8]:
    reduced = small(pixels, detection_size(pixels.shape[1], pixels.shape[0]))
    return np.asarray(cv2.cvtColor(reduced, cv2.COLOR_RGB2BGR), dtype=np.uint8)
