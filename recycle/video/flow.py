"""Computes optical flow between two frames and warps a frame with it."""

import cv2
import numpy as np
from numpy.typing import NDArray

Flow = NDArray[np.float32]
"""(H, W, 2): displacement (x, y) of each pixel, in pixels."""

_LEAST = 16
"""Minimum side of what DISOpticalFlow gets: with 15 rows and 42 columns or more, OpenCV 5.0 crashes the process."""


def optical_flow(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> Flow:
    """Dense optical flow from `before` to `after`, uint8 RGB (H, W, 3), of equal size.

    Computed by cv2.DISOpticalFlow (Kroeger et al., ECCV 2016) on grey levels. The outermost row or column of frames
    with fewer than 16 is repeated.
    """
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    height, width = after.shape[:2]
    below, beside = max(0, _LEAST - height), max(0, _LEAST - width)
    first, second = (
        cv2.copyMakeBorder(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), 0, below, 0, beside, cv2.BORDER_REPLICATE)
        for frame in (before, after)
    )
    return np.asarray(dis.calc(first, second, None)[:height, :width], dtype=np.float32)


def ends(flow: Flow) -> NDArray[np.float32]:
    """Position (x, y) of each pixel after the flow, (H, W, 2) in pixels."""
    height, width = flow.shape[:2]
    return np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).astype(np.float32) + flow


def sample(values: NDArray[np.float32], places: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sample `values` (H, W, C) at `places` (H, W, 2; x, y in pixels) bilinearly; the border is replicated outwards."""
    sampled = cv2.remap(values, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(sampled, dtype=np.float32)
