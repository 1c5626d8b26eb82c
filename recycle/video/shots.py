"""Where one shot ends and the next begins (PySceneDetect, on our own decoded frames)."""

from collections.abc import Iterable
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray
from scenedetect import FrameTimecode
from scenedetect.detectors import AdaptiveDetector, ContentDetector

from recycle.video.frame import Pixels

_DETECTION_WIDTH = 256
_MIN_SHOT = 5
"""Frames of the shortest shot that is told apart; anything shorter is a flash."""
_WINDOW = 2
"""Frames before and after one to which AdaptiveDetector compares it, so also its delay."""
_BLOCK = 8
"""Side of the blocks, in pixels, whose changes tell whether a frame repeats the last one."""
_REPEAT = 6
"""Mean change of a block, in levels of 255, that recompressing a repeated frame hardly ever reaches: the greatest of a
frame's blocks has a median of 2 and 4 to 5 at the 95th percentile in two films of 24 pictures stored at 60."""
_ANY_RATE = Fraction(25)  # PySceneDetect wants a rate, but every length here is counted in frames


class CutDetector:
    """Tells at once, without looking ahead, whether a frame is the first of a new shot; for streaming.

    Every frame that differs strongly from its predecessor counts (PySceneDetect's ContentDetector), so a
    flash is two cuts.
    """

    def __init__(self, *, threshold: float = 27.0) -> None:
        """`threshold`: mean change of hue, saturation and brightness, of 255, from which a frame is a cut."""
        self._detector = ContentDetector(threshold=threshold, min_scene_len=0)
        self._index = 0

    def is_cut(self, pixels: Pixels) -> bool:
        """Whether this frame, (H, W, 3) RGB, starts a new shot; False for the very first frame."""
        cuts = self._detector.process_frame(FrameTimecode(self._index, fps=_ANY_RATE), _small_bgr(pixels))
        self._index += 1
        return bool(cuts)


class ShotFinder:
    """Finds cuts in one pass over the frames, comparing each change with its neighbours' (AdaptiveDetector).

    Fast camera motion is not mistaken for a cut, nor are the steps of footage that shows each picture two, three or
    four times, such as film at 60 frames a second: such repeats are left out. What lasts six frames or more is a
    still, after which a change is a cut. Add all frames, then call `finish` once.
    """

    def __init__(self, *, threshold: float = 3.0) -> None:
        """`threshold`: how many times larger than around it a change must be (adaptive_threshold)."""
        self._detector = AdaptiveDetector(adaptive_threshold=threshold, min_scene_len=_MIN_SHOT, window_width=_WINDOW)
        self._last: NDArray[np.uint8] | None = None
        self._index = 0
        self._repeats = 0
        self._starts: list[int] = []

    def add(self, pixels: Pixels) -> None:
        """Look at the next frame, (H, W, 3) uint8 RGB."""
        image = _small_bgr(pixels)
        self._repeats = self._repeats + 1 if self._last is not None and _repeats(self._last, image) else 0
        if 0 < self._repeats < _MIN_SHOT - 1:
            self._index += 1
        else:
            self._process(image)

    def finish(self) -> list[int]:
        """Indices of the first frames of all shots, 0 included; empty if there was no frame."""
        count = self._index
        if self._last is None:
            return []
        for _ in range(_WINDOW):  # the last frames are judged, too
            self._process(self._last)
        return [0, *(start for start in self._starts if 0 < start < count)]

    def _process(self, image: NDArray[np.uint8]) -> None:
        timecode = FrameTimecode(self._index, fps=_ANY_RATE)
        self._starts += [cut.frame_num for cut in self._detector.process_frame(timecode, image)]
        self._last = image
        self._index += 1


def find_cuts(frames: Iterable[Pixels], *, threshold: float = 3.0) -> list[int]:
    """Indices of the first frames of the shots among `frames`, (H, W, 3) uint8 RGB, 0 included."""
    finder = ShotFinder(threshold=threshold)
    for pixels in frames:
        finder.add(pixels)
    return finder.finish()


def detection_size(width: int, height: int) -> tuple[int, int]:
    """Width and height at which frames are looked at; larger ones are shrunk to it."""
    if width <= _DETECTION_WIDTH:
        return width, height
    return _DETECTION_WIDTH, max(1, round(height * _DETECTION_WIDTH / width))


def _repeats(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> bool:
    """Whether no block has changed, small and slow motion included."""
    height, width = before.shape[:2]
    blocks = (max(1, width // _BLOCK), max(1, height // _BLOCK))
    return bool(np.max(cv2.resize(cv2.absdiff(before, after), blocks, interpolation=cv2.INTER_AREA)) < _REPEAT)


def _small_bgr(pixels: Pixels) -> NDArray[np.uint8]:
    if pixels.dtype == np.uint16:
        pixels = (pixels // 257).astype(np.uint8)
    own = (pixels.shape[1], pixels.shape[0])
    if (size := detection_size(*own)) != own:
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), dtype=np.uint8)
