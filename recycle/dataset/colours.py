"""Classifies footage by its colours: label maps, label maps of the street, or greyscale."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from recycle.street.paint import LABELS

FLAT = 3
"""Maximum difference, in levels of 255, between a pixel of a flat 3 × 3 area and its right and lower neighbours."""
LEAST_FLAT = 0.025
"""Minimum proportion of flat pixels in label maps; the few flat pixels of photographs may have few colours. Measured:
0.03 and more for the street's labels at 48 lines in strongly compressed video (H.264, CRF 28; 0.011 at one frame per
second), 0.11 and more at 96 lines; 0.00 to 0.06 for the street by day."""
COLOURS, NEAR, AROUND, DRAWN = 12, 5, 14, 0.79
"""Frames are label maps if at least the proportion DRAWN of their flat pixels is within NEAR levels of one of COLOURS
colours; pixels within AROUND levels of one colour are not used for another. Measured, if enough is flat: masks and the
street's labels as PNG 1.00, in lossy video 0.95 to 1.00 from 96 lines on and 0.82 to 0.99 at 48; photographed and
simulated footage at most 0.60, the street under any light 0.76, through a thermal camera 0.76, films converted to grey
0.67. None of these 113 sets of frames is misclassified. Counting the colours of flat pixels misclassifies 24, most of
them grey films; using all pixels instead of flat ones misclassifies 6, all of them labels in lossy video."""
CONTRAST = 50.0
"""Standard deviation of the values below which NEAR is reduced in proportion, so that dark frames do not count as label
maps."""
SAMPLE = 60_000
"""Maximum number of flat pixels that are compared."""
STREET = 12
"""Maximum difference in levels between nine tenths of the flat pixels and the nearest colour of the street's labels."""
GREY = 3.0
"""Maximum average difference in levels between the highest and lowest channel of the median greyscale frame. Measured:
films converted to grey 0.0, also in lossy video; the street in the rain 8.9, at night and six times as dark 4.5."""

Pixels = NDArray[np.uint8]


def are_label_maps(frames: Sequence[Pixels]) -> bool:
    """Whether RGB frames (H, W, 3) uint8, at their original size, consist of flat areas of a few colours."""
    flat = _flat_pixels(frames)
    if len(flat) < LEAST_FLAT * sum(frame.shape[0] * frame.shape[1] for frame in frames):
        return False
    spread = np.mean([frame[::4, ::4].reshape(-1, 3).std(0).mean() for frame in frames])
    left = flat[:: -(-len(flat) // SAMPLE)].astype(np.int16)
    total, near, found = len(left), NEAR * min(1.0, float(spread) / CONTRAST), 0
    for _ in range(COLOURS):
        if len(left) == 0:
            break
        cells = (left // 8).astype(np.int64) @ np.array([1024, 32, 1])
        centre = np.median(left[cells == np.bincount(cells).argmax()], axis=0)
        centre = np.median(left[np.abs(left - centre).max(1) <= 8], axis=0)
        distance = np.abs(left - centre).max(1)
        found += int((distance <= near).sum())
        left = left[distance > AROUND]
    return found >= DRAWN * total


def are_of_the_street(frames: Sequence[Pixels]) -> bool:
    """Whether nearly all flat pixels of label maps, RGB (H, W, 3) uint8, have a colour of the street's labels."""
    flat = _flat_pixels(frames)[::4].astype(np.int16)
    away = np.min([np.abs(flat - np.array(colour, np.int16)).max(-1) for colour in LABELS.values()], axis=0)
    return bool(len(flat)) and float((away < STREET).mean()) > 0.9


def have_no_colours(frames: Sequence[Pixels]) -> bool:
    """Whether most RGB frames (H, W, 3) uint8 are grey. Reduced frames have less colour noise."""
    return float(np.median([np.ptp(frame, axis=2).mean() for frame in frames])) <= GREY


def _flat_pixels(frames: Sequence[Pixels]) -> Pixels:
    """Colours (N, 3) of the pixels in the middle of flat areas."""
    return np.concatenate([_flat_pixels_of(frame) for frame in frames])


def _flat_pixels_of(frame: Pixels) -> Pixels:
    here, limit = frame[:-1, :-1], (FLAT,) * 3
    steps = cv2.absdiff(frame[:-1, 1:], here), cv2.absdiff(frame[1:, :-1], here)
    flat = [cv2.inRange(step, (0, 0, 0), limit) for step in steps]
    return np.asarray(here[cv2.erode(cv2.bitwise_and(*flat), np.ones((3, 3), np.uint8)) > 0], np.uint8)
