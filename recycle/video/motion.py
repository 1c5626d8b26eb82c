"""Separates moving objects from the background of a fixed camera.

The background is the median over time of frames from the whole video, which moving objects cover only now and then
(Piccardi, "Background subtraction techniques: a review", IEEE SMC 2004, temporal median filter). A pixel moves where a
frame differs from it by more than the pixel's own noise allows. So the mask of a frame depends on this frame and the
video alone, and not on the frames that were read before, as it would with a background that follows the video (such as
OpenCV's MOG2): a resumed video, or a part of one, has the same masks.
"""

from contextlib import closing

import cv2
import numpy as np
from numpy.typing import NDArray

from recycle.errors import FootageError
from recycle.video.frame import LazyFrame, Pixels, small
from recycle.video.source import Source

VERSION = 1
"""Increment when masks change; it invalidates unfinished work."""

Mask = NDArray[np.uint8]
"""(H, W): 255 where something moves, otherwise 0."""

_SIDE = 480
"""Maximum longer side in pixels of the frames that are compared; the masks have this size."""
_SAMPLES = 100
"""Number of frames of which the background is the median, at least, if the video has so many; less than twice as
many."""
_LEAST, _MOST = 16.0, 48.0
"""Bounds, in levels of 255, of the difference from the background at which a pixel counts as moving. The lower one is
above compression noise; the upper one keeps a pixel that objects often cover from counting as noise."""
_DEVIATIONS = 4 * 1.4826
"""The threshold is 4 standard deviations, estimated from the median absolute deviation."""
_GAP, _MARGIN = 9, 5
"""Widths in pixels of the holes in an object that are closed, and of the margin around it."""
_SPECK = 1 / 2000
"""Smallest share of the frame that an object covers; smaller ones are ignored."""


class Background:
    """The median of a video over time, and the difference from it that counts as movement."""

    def __init__(self, source: Source) -> None:
        """Learn the background of a seekable `source`.

        Reads evenly spaced key frames if the source has enough of them and an index, otherwise all frames. Raises
        FootageError if it cannot be read.
        """
        height, width = source.info.height, source.info.width
        scale = min(1.0, _SIDE / max(height, width))
        self._size = max(1, round(width * scale)), max(1, round(height * scale))
        samples = np.stack([cv2.blur(pixels, (3, 3)) for pixels in _samples(source, self._size)])
        self._picture = _median(samples)
        deviation = _median(np.abs(samples.astype(np.int16) - self._picture).astype(np.uint8)).max(axis=-1)
        self._threshold = np.clip(_DEVIATIONS * deviation, _LEAST, _MOST).astype(np.uint8)

    def moving(self, pixels: Pixels) -> Mask:
        """The mask of a frame (H, W, 3), uint8 or uint16, at the size at which frames are compared."""
        now = cv2.blur(small(pixels, self._size), (3, 3))
        red, green, blue = cv2.split(cv2.absdiff(now, self._picture))
        difference = cv2.max(cv2.max(red, green), blue)
        return _cleaned(np.asarray(cv2.compare(difference, self._threshold, cv2.CMP_GT), dtype=np.uint8))


def _median(samples: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The median of (N, H, W, C) over the samples: (H, W, C); of two in the middle, the greater."""
    rows = [np.sort(samples[:, y].reshape(len(samples), -1).T, axis=1, kind="stable") for y in range(samples.shape[1])]
    middle = np.stack([row[:, len(samples) // 2] for row in rows])
    return np.asarray(middle.reshape(samples.shape[1:]))


def _samples(source: Source, size: tuple[int, int]) -> list[Pixels]:
    """At least _SAMPLES and fewer than 2 _SAMPLES evenly spaced frames, or all frames of a shorter video."""
    index = source.index()
    keys = () if index is None else index.keys
    if len(keys) >= _SAMPLES:
        frames = [_at(source, key) for key in keys[:: len(keys) // _SAMPLES]]
        return [frame.pixels(size) for frame in frames if frame is not None]
    samples, stride = [], 1
    with closing(source.read()) as every:
        for number, frame in enumerate(every):
            if number % stride:
                continue
            samples.append(frame.pixels(size))
            if len(samples) == 2 * _SAMPLES:
                samples, stride = samples[::2], 2 * stride
    if not samples:
        raise FootageError(f"{source.path}: there is no frame")
    return samples


def _at(source: Source, key: int) -> LazyFrame | None:
    with closing(source.read(start=key, end=key + 1, entry=key)) as frames:
        return next(iter(frames), None)


def _cleaned(mask: Mask) -> Mask:
    """The mask without specks, with holes closed, and with a margin."""
    mask = np.asarray(cv2.medianBlur(mask, 5), dtype=np.uint8)
    mask = np.asarray(cv2.morphologyEx(mask, cv2.MORPH_CLOSE, _disc(_GAP)), dtype=np.uint8)
    _, labels, facts, _ = cv2.connectedComponentsWithStats(mask)
    large = facts[:, cv2.CC_STAT_AREA] >= _SPECK * mask.size
    large[0] = False  # the background
    kept = large[labels].astype(np.uint8) * np.uint8(255)
    return np.asarray(cv2.dilate(kept, _disc(2 * _MARGIN + 1)), dtype=np.uint8)


def _disc(width: int) -> Mask:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width)), dtype=np.uint8)
