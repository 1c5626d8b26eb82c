"""Whether translated frames look like their domain, and whether they still show what their source does."""

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
"""Of the levels of features that are compared: textures, and things."""
LINES = (112, 224)
"""Least and greatest number of pixels of the shorter side at which frames are compared."""
BATCH = 8
LEAST_GAP = 0.5
"""Kernel distance of both domains, at least, that counts as the whole way; two halves of one film are at 0.3 to 0.9."""
BLUR = 2.0
"""Blur of edges, in pixels of LINES[0], so that they need not lie at the very same place."""
FOLLOWS = 0.3
"""Correlation from which on the output follows its source. Measured: true counterparts by night 0.34 to 0.54, as label
maps 0.43, trained models 0.50 to 0.89; frames of the domain that have nothing to do with the source at most 0.09."""
MOVES = 0.05
"""Part of the deviation of a clip's edges that must be over time, that there is anything to follow."""


class Appearance:
    """Real frames of one domain; tells how far others are from them, compared with untouched frames of the other."""

    def __init__(self, real: Tensor, untouched: Tensor, eyes: FeatureNetwork) -> None:
        """real: (N, 3, H, W) of the domain; untouched: (M, 3, H, W) of the other; float in [-1, 1], on the CPU.

        They are looked at when the first distance is asked for.
        """
        self._frames, self._untouched, self._eyes = real, untouched, eyes

    def distance(self, frames: Tensor) -> float:
        """Of frames (N, 3, H, W) in [-1, 1]: about 0 for real ones, 1 as far as the untouched. Lower is better.

        Kernel distance (recycle.networks.distance) of pooled features, summed over STRIDES, divided by that of the
        untouched frames, or by LEAST_GAP where those are nearer; at least 0; NaN for frames that are not finite.
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
    """What changes in a clip over time; tells whether a translation of it follows."""

    def __init__(self, clip: Tensor) -> None:
        """clip: (T, 3, H, W) in [-1, 1]."""
        edges = _edges(clip)
        self._change = edges - edges.mean(0)
        self._still = len(clip) < 2 or float(self._change.std()) < MOVES * float(edges.std())

    def lost(self, translated: Tensor) -> float:
        """Of the clip's translation (T, 3, H, W): 0: it follows, 1: it has nothing to do with the clip.

        1 − r / FOLLOWS within [0, 1], r the correlation of changes: edges of each frame, less those of the clip's mean.
        What is the same in all frames, such as the room behind two persons, counts for neither. 0 for a still clip.
        """
        if self._still:
            return 0.0
        edges = _edges(translated)
        change = edges - edges.mean(0)
        power = float(np.sqrt(np.square(change).sum() * np.square(self._change).sum()))
        follows = float((change * self._change).sum()) / power if power > 0 else 0.0
        return float(np.clip(1 - follows / FOLLOWS, 0, 1))


def _edges(clip: Tensor) -> NDArray[np.float32]:
    """Blurred lengths of the gradients of luminance, (T, h, w), the shorter side LINES[0] long."""
    pixels = (clip.clamp(-1, 1) * 127.5 + 127.5).round().byte().permute(0, 2, 3, 1).contiguous().numpy()
    return np.stack([_edges_of(frame) for frame in pixels])


def _edges_of(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    scale = LINES[0] / min(frame.shape[:2])
    size: Sequence[int] = [round(side * scale) for side in frame.shape[1::-1]]
    grey = cv2.resize(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA)
    x, y = (cv2.Sobel(grey, cv2.CV_32F, *order) for order in ((1, 0), (0, 1)))
    return np.asarray(cv2.GaussianBlur(np.hypot(x, y), (0, 0), BLUR), np.float32)
