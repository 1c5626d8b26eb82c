"""Flicker removed from translated video, along the optical flow of its source.

A model translates each frame by itself: where the source stays as it is, its translation may still flicker. Here each
output becomes the weighted mean of itself and the last PAST outputs, each carried along the flow of the *source*:

    y_t = (g_t + Σ_k s^k m_k · g_{t−k}(p_k)) / (1 + Σ_k s^k m_k),   k = 1 … PAST

g are the outputs, s is the strength, p_k is where each pixel was k frames ago (the flows between neighbouring frames,
composed), and m_k in [0, 1] says how far that place may be trusted: the product of the forward-backward consistency
of all flows on the way, times exp(−(r_k / σ)²), where r_k is by how much the source at p_k differs from the source
here. So what appears, moves unpredictably or changes its light keeps its own output, and a cut begins anew.

Why a window and not the recursion y_t = (1 − s) g_t + s y_{t−1}(p_1) of Lai et al. ("Learning Blind Video Temporal
Consistency", ECCV 2018) and others: a recursion depends on all frames before it, so that a resumed video, or a part of
one, would give other frames. The window with weights s^k is this recursion, cut off after PAST frames. It depends on
PAST frames before each and on nothing else, whoever computes it; each output is resampled once and not once per frame,
so that little sharpness is lost; what goes wrong is gone after PAST frames; and full strength does not freeze anything.
Flicker that is independent from frame to frame keeps 1 / (PAST + 1)² of its energy between neighbouring frames.
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
"""Outputs before each frame that it is averaged with. Fewer leave more flicker, more cost sharpness and time: with 4, 8
and 12 a made flicker of 13 times the source's own warp error came down to 1.5, 1.1 and 1.05 times it, and the variance
of the Laplacian to 1.01, 0.97 and 0.95 of the source's."""

_SIGMA = 18.0
"""σ: the difference, in levels of 255, at which the source counts as changed: well above the noise of compression."""
_FLOW_SIDE = 512
"""The longer side, in pixels, of the largest frames between which flow is computed; larger ones are shrunk to it."""
_LEAST_SIDE = 12
"""Frames with a shorter side are left as they are: they have no flow."""

_AGREEMENT = np.exp(-np.square(np.arange(256) / _SIGMA)).astype(np.float32)

Way = NDArray[np.float32]
"""(h, w, 3): by how many pixels, x and y, each pixel was elsewhere in an earlier frame, and how far that may be trusted
(0 to 1). Of the size at which flow is computed."""


class Seen(NamedTuple):
    """What the stabiliser knows of a frame of the source."""

    source: NDArray[np.uint8]
    """(H, W, 3) RGB, of the output's size."""
    way: Way | None
    """To the frame before; None where there is none in the same shot."""


def shrink(pixels: Pixels, size: tuple[int, int]) -> NDArray[np.uint8]:
    """A frame (H, W, 3) of uint8 or uint16 levels as uint8 of another `size`, height and width."""
    if pixels.dtype == np.uint16:
        pixels = (pixels // 257).astype(np.uint8)
    if pixels.shape[:2] == size:
        return pixels
    return np.asarray(cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA), dtype=np.uint8)


def look(before: NDArray[np.uint8] | None, now: NDArray[np.uint8]) -> Seen:
    """See a frame (H, W, 3) uint8, and how it came from the one before in its shot (None: it is the first)."""
    height, width = now.shape[:2]
    if before is None or min(height, width) < _LEAST_SIDE:
        return Seen(now, None)
    scale = min(1.0, max(_FLOW_SIDE / max(height, width), _LEAST_SIDE / min(height, width)))
    size = round(height * scale), round(width * scale)
    return Seen(now, _way(shrink(before, size), shrink(now, size)))


class Watch:
    """Sees the frames of a stream, in order, in threads of its own while they are translated."""

    def __init__(self, size: tuple[int, int], *, threads: int) -> None:
        """`size`: height and width of the outputs."""
        self._size = size
        self._pool = ThreadPoolExecutor(threads, "watch")
        self._before: NDArray[np.uint8] | None = None

    def __call__(self, pixels: Pixels, cut: bool) -> Callable[[], Seen]:
        """See the next frame, (H, W, 3) of uint8 or uint16 levels; `cut`: a new shot begins with it. The
        function that is returned waits for the result."""
        before, self._before = None if cut else self._before, shrink(pixels, self._size)
        return self._pool.submit(look, before, self._before).result

    def close(self) -> None:
        """End the threads; what has not begun never will."""
        self._pool.shutdown(cancel_futures=True)


class Stabiliser:
    """Stabilises the outputs for a stream of frames of one size, in order."""

    def __init__(self, strength: float) -> None:
        """`strength` s, above 0 and up to 1: how much the output k frames ago counts, s^k, where nothing changed."""
        self._weights = [np.float32(strength**k) for k in range(1, PAST + 1)]
        self._past: deque[tuple[NDArray[np.uint8], NDArray[np.uint16]]] = deque(maxlen=PAST)
        self._ways: list[Way] = []

    def __call__(self, seen: Seen, output: NDArray[np.float32]) -> NDArray[np.float32]:
        """The stabilised output: (H, W, 3) float32 in [-1, 1], as `output`, which is the translation of `seen`.

        Where nothing before may be trusted, and in the first frame of a shot, it is `output` bit for bit.
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
        """Lead all ways on from the new frame."""
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
    """The flow from `now` back to `before`, and exp(−|w + ŵ|² / (0.01 (|w|² + |ŵ|²) + 0.5)), 0 outside of the frame.

    That is the forward-backward check of Ruder et al., GCPR 2016, eq. 5, without its hard edge.
    """
    back, forth = optical_flow(now, before), optical_flow(before, now)
    position = _places(back)
    height, width = position.shape[:2]
    inside = ((position >= 0) & (position <= (width - 1, height - 1))).all(axis=-1)
    returned = sample(forth, position)
    mismatch = _square(back + returned) / (0.01 * (_square(back) + _square(returned)) + 0.5)
    return np.dstack((back, np.exp(-mismatch) * inside)).astype(np.float32)


def _enlarge(way: Way, size: tuple[int, ...]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Places (H, W, 2), x and y, and trust (H, W), for frames of `size`."""
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
