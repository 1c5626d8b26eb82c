"""Reduces the flicker of translated video, along the optical flow of its source.

A model translates each frame independently, so the translation may flicker where the source does not change. Here each
output becomes the weighted mean of itself and the last PAST outputs, warped along the flow of the *source*:

    y_t = (g_t + Σ_k s^k m_k · g_{t−k}(p_k)) / (1 + Σ_k s^k m_k),   k = 1 … PAST

g are the outputs, and s is the strength. p_k is the position of each pixel k frames ago (the composed flows between
neighbouring frames). m_k in [0, 1] is the confidence in this position: the product of the forward-backward consistency
of all flows on the way, times exp(−(r_k / σ)²), where r_k is the difference between the source at p_k and the present
source. So objects that appear, move unpredictably or change in brightness keep their own output. A cut starts anew.

A common alternative is the recursion y_t = (1 − s) g_t + s y_{t−1}(p_1) of Lai et al. ("Learning Blind Video Temporal
Consistency", ECCV 2018) and others. It depends on all frames before, so a resumed video, or a part of one, would have
different frames. The window with weights s^k is this recursion, cut off after PAST frames. It has four advantages: the
result depends only on the PAST frames before each frame; each output is resampled once and not once per frame, so
little sharpness is lost; errors disappear after PAST frames; and full strength does not freeze the picture. At full
strength, flicker that is independent between frames keeps 1 / (PAST + 1)² of its energy between neighbouring frames.
"""

from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from recycle.video.flow import ends, optical_flow, sample
from recycle.video.frame import Pixels

PAST = 8
"""Number of previous outputs in the mean. Fewer leave more flicker; more cost sharpness and time. With 4, 8 and 12,
synthetic flicker of 13 times the source's own warp error fell to 1.5, 1.1 and 1.05 times it, and the variance of the
Laplacian to 1.01, 0.97 and 0.95 of the source's."""

_SIGMA = 18.0
"""σ: the difference, in levels of 255, at which the source counts as changed. It is well above compression noise."""
_FLOW_SIDE = 512
"""Maximum longer side, in pixels, of frames for the flow; larger frames are shrunk to it."""
_LEAST_SIDE = 12
"""Minimum side, in pixels, of frames for the flow. Smaller frames have no flow and are not stabilised."""

_AGREEMENT = np.exp(-np.square(np.arange(256) / _SIGMA)).astype(np.float32)

Way = NDArray[np.float32]
"""(h, w, 3), at the size at which the flow is computed: the displacement of each pixel to its position in an earlier
frame, x and y in pixels, and the confidence in it, in [0, 1]."""


class Seen(NamedTuple):
    """The input of the stabiliser for one frame of the source."""

    source: NDArray[np.uint8]
    """The frame at the size of the output: (H, W, 3) RGB."""
    way: Way | None
    """Displacement to the previous frame; None if there is none in the same shot, or the frame is too small."""


def shrink(pixels: Pixels, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Convert a frame (H, W, 3), uint8 or uint16, to uint8 and resize it to `size`, height and width."""
    if pixels.dtype == np.uint16:
        pixels = (pixels // 257).astype(np.uint8)
    if pixels.shape[:2] == size:
        return pixels
    return np.asarray(cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA), dtype=np.uint8)


def look(before: NDArray[np.uint8] | None, now: NDArray[np.uint8]) -> Seen:
    """Compute the flow from `now` back to `before`, the previous frame of its shot or None; both (H, W, 3) uint8."""
    height, width = now.shape[:2]
    if before is None or min(height, width) < _LEAST_SIDE:
        return Seen(now, None)
    scale = min(1.0, max(_FLOW_SIDE / max(height, width), _LEAST_SIDE / min(height, width)))
    size = round(height * scale), round(width * scale)
    return Seen(now, _way(shrink(before, size), shrink(now, size)))


class Watch:
    """Computes the flow of a stream's frames in its own threads, while they are translated."""

    def __init__(self, size: tuple[int, int], *, threads: int) -> None:
        """`size` is the height and width of the outputs; `threads` is the number of threads."""
        self._size = size
        self._pool = ThreadPoolExecutor(threads, "watch")
        self._before: NDArray[np.uint8] | None = None

    def __call__(self, pixels: Pixels, cut: bool) -> Callable[[], Seen]:
        """Take the next frame, (H, W, 3) uint8 or uint16; `cut` tells whether a new shot begins with it.

        The returned function waits for the result and returns it.
        """
        before, self._before = None if cut else self._before, shrink(pixels, self._size)
        return self._pool.submit(look, before, self._before).result

    def close(self) -> None:
        """End the threads. Frames that wait are not processed."""
        self._pool.shutdown(cancel_futures=True)


class Stabiliser:
    """Stabilises the outputs of a stream of frames of one size, in order."""

    def __init__(self, strength: float) -> None:
        """`strength` s is in (0, 1]: the output of k frames ago has the weight s^k where the source did not change."""
        self._weights = [np.float32(strength**k) for k in range(1, PAST + 1)]
        self._past: deque[tuple[NDArray[np.uint8], NDArray[np.uint16]]] = deque(maxlen=PAST)
        self._ways: list[Way] = []

    def __call__(self, seen: Seen, output: NDArray[np.float32]) -> NDArray[np.float32]:
        """Stabilise `output`, the translation of `seen`: (H, W, 3) float32 in [-1, 1], like the result.

        In the first frame of a shot, and where the confidence is 0, the result equals `output` bit for bit.
        """
        self._advance(seen.way)
        total, weights = output.copy(), np.ones((*output.shape[:2], 1), np.float32)
        for weight, (source, earlier), way in zip(self._weights, self._past, self._ways, strict=False):
            places, trust = _enlarge(way, output.shape[:2])
            there = cv2.remap(source, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            red, green, blue = cv2.split(cv2.absdiff(there, seen.source))
            change = cv2.blur(cv2.max(cv2.max(red, green), blue), (3, 3))
            trust = (cv2.LUT(change, _AGREEMENT) * trust * weight)[..., None]
            carried = cv2.remap(earlier, places, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
            total += trust * (carried.astype(np.float32) / np.float32(32767.5) - 1)
            weights += trust
        levels = (np.clip(output, -1, 1) + 1) * np.float32(32767.5) + np.float32(0.5)
        self._past.appendleft((seen.source, levels.astype(np.uint16)))
        return np.asarray(total / weights, dtype=np.float32)

    def _advance(self, way: Way | None) -> None:
        """Update all displacements so that they start at the new frame."""
        if way is None:
            self._past.clear()
            self._ways = []
            return
        places = _places(way)
        further = [sample(each, places) for each in self._ways[: PAST - 1]]
        for each in further:
            each[..., :2] += way[..., :2]
            each[..., 2] *= way[..., 2]
        self._ways = [way, *further]


def _way(before: NDArray[np.uint8], now: NDArray[np.uint8]) -> Way:
    """The flow w from `now` back to `before`, and the confidence exp(−|w + ŵ|² / (0.01 (|w|² + |ŵ|²) + 0.5)).

    ŵ is the opposite flow. The confidence is 0 outside the frame. This is the forward-backward check of Ruder et al.,
    GCPR 2016, eq. 5, without its hard threshold.
    """
    back, forth = optical_flow(now, before), optical_flow(before, now)
    position = _places(back)
    height, width = position.shape[:2]
    inside = ((position >= 0) & (position <= (width - 1, height - 1))).all(axis=-1)
    returned = sample(forth, position)
    mismatch = _square(back + returned) / (0.01 * (_square(back) + _square(returned)) + 0.5)
    return np.dstack((back, np.exp(-mismatch) * inside)).astype(np.float32)


def _enlarge(way: Way, size: tuple[int, ...]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Positions (H, W, 2), x and y in pixels, and confidence (H, W), for frames of `size`."""
    height, width = way.shape[:2]
    if (height, width) != size:
        way = np.asarray(cv2.resize(way, size[::-1], interpolation=cv2.INTER_LINEAR), dtype=np.float32)
        way[..., :2] *= np.array((size[1] / width, size[0] / height), np.float32)
    return _places(way), way[..., 2]


def _places(way: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(way[..., :2] + _grid(*way.shape[:2]))


@lru_cache(maxsize=4)
def _grid(height: int, width: int) -> NDArray[np.float32]:
    return ends(np.zeros((height, width, 2), np.float32))


def _square(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(vectors[..., 0] ** 2 + vectors[..., 1] ** 2)
