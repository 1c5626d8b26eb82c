"""Measures whether translated frames look like their domain, and whether they keep the content of their source."""

from collections.abc import Sequence
from functools import cached_property

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from recycle.networks.distance import kernel_distance
from recycle.networks.features import FeatureNetwork, pooled

STRIDES = (8, 32)
"""Strides of the compared feature levels: textures, and objects."""
LINES = (112, 224)
"""Minimum and maximum shorter side in pixels at which frames are compared."""
BATCH = 8
"""Number of frames per forward pass."""
LEAST_GAP = 0.5
"""Minimum kernel distance of both domains that counts as distance 1; two halves of one film are at 0.3 to 0.9."""
BLUR = 2.0
"""Standard deviation of the blur of edges in pixels of LINES[0], so that edges need not coincide exactly."""
FOLLOWS = 0.3
"""Correlation from which on the output follows its source. Measured: true counterparts by night 0.34 to 0.54, as label
maps 0.43, trained models 0.50 to 0.89; unrelated frames of the domain at most 0.09."""
MOVES = 0.05
"""Minimum proportion of the standard deviation of a clip's edges that is over time; below it, nothing moves."""


class Appearance:
    """Measures the distance of frames from the real frames of a domain, relative to untranslated frames of the other
    domain."""

    def __init__(self, real: Tensor, untouched: Tensor, eyes: FeatureNetwork) -> None:
        """Set the reference frames: `real` of the domain, `untouched` of the other.

        Both are (N, 3, H, W) float in [-1, 1], on the CPU. Their features are computed when the first distance is
        requested.
        """
        self._frames, self._untouched, self._eyes = real, untouched, eyes

    def distance(self, frames: Tensor) -> float:
        """Distance of frames (N, 3, H, W) in [-1, 1]: about 0 for real ones, 1 for untranslated ones. Lower is better.

        The kernel distance (recycle.networks.distance) of pooled features, summed over STRIDES and divided by that of
        the untranslated frames, or by LEAST_GAP if that is larger; at least 0; NaN for frames that are not finite.
        """
        return float(np.maximum(self._distance(frames), 0)) / max(self._gap, LEAST_GAP)

    @cached_property
    def _real(self) -> list[Tensor]:
        return self._described(self._frames)

    @cached_property
    def _gap(self) -> float:
        return self._distance(self._untouched)

    def _distance(self, frames: Tensor) -> float:
        return sum(kernel_distance(x, y) for x, y in zip(self._described(frames), self._real, strict=True))

    @torch.inference_mode()
    def _described(self, frames: Tensor) -> list[Tensor]:
        """Pooled features (N, C) for each of STRIDES."""
        eyes = self._eyes
        short = min(frames.shape[-2:])
        scale = min(max(short, LINES[0]), LINES[1]) / short
        size = [round(side * scale) for side in frames.shape[-2:]]
        found = []
        for batch in frames.split(BATCH):
            levels = eyes(F.interpolate(batch, size, mode="bilinear", antialias=True) if scale != 1 else batch)
            found.append([pooled(levels[eyes.strides.index(stride)]) for stride in STRIDES])
        return [torch.cat(column) for column in zip(*found, strict=True)]


class Content:
    """The changes of a clip over time; measures whether a translation follows them."""

    def __init__(self, clip: Tensor) -> None:
        """`clip` is (T, 3, H, W) in [-1, 1]."""
        edges = _edges(clip)
        self._change = edges - edges.mean(0)
        self._still = len(clip) < 2 or float(self._change.std()) < MOVES * float(edges.std())

    def lost(self, translated: Tensor) -> float:
        """Lost content of the clip's translation (T, 3, H, W); 0: it follows the clip, 1: it is unrelated to it.

        1 − r / FOLLOWS within [0, 1], where r is the correlation of changes: the edges of each frame minus the mean
        edges of the clip. Constant content, such as the room behind two people, therefore has no influence. 0 for a
        still clip.
        """
        if self._still:
            return 0.0
        edges = _edges(translated)
        change = edges - edges.mean(0)
        power = float(np.sqrt(np.square(change).sum() * np.square(self._change).sum()))
        follows = float((change * self._change).sum()) / power if power > 0 else 0.0
        return float(np.clip(1 - follows / FOLLOWS, 0, 1))


def _edges(clip: Tensor) -> NDArray[np.float32]:
    """Blurred gradient magnitudes of the luminance, (T, h, w), with a shorter side of LINES[0] pixels."""
    pixels = (clip.clamp(-1, 1) * 127.5 + 127.5).round().byte().permute(0, 2, 3, 1).contiguous().numpy()
    return np.stack([_edges_of(frame) for frame in pixels])


def _edges_of(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    scale = LINES[0] / min(frame.shape[:2])
    size: Sequence[int] = [round(side * scale) for side in frame.shape[1::-1]]
    grey = cv2.resize(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA)
    x, y = (cv2.Sobel(grey, cv2.CV_32F, *order) for order in ((1, 0), (0, 1)))
    return np.asarray(cv2.GaussianBlur(np.hypot(x, y), (0, 0), BLUR), np.float32)
