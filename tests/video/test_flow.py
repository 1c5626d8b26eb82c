"""Optical flow of frames of every shape, also of those with which OpenCV crashes the process."""

import cv2
import numpy as np
import pytest

from recycle.video.flow import optical_flow

SIDES = (1, 2, 11, 12, 15, 16, 42, 97, 400)


@pytest.mark.parametrize("height", SIDES)
def test_the_flow_of_frames_of_every_shape_follows_a_shift(height: int) -> None:
    random = np.random.default_rng(0)
    for width in SIDES:
        wide = cv2.GaussianBlur(random.integers(0, 256, (height, width + 2, 3), np.uint8), (0, 0), 1.5)
        flow = optical_flow(wide[:, 2:], wide[:, :-2])
        assert flow.shape == (height, width, 2)
        assert flow.dtype == np.float32
        assert np.isfinite(flow).all()
        if min(height, width) >= 42:
            assert np.median(flow[..., 0]) == pytest.approx(2, abs=0.3)
