"""What kind of pictures footage holds, by its colours alone: label maps, those of the street, or none at all."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from recycle.street.paint import LABELS

FLAT = 3
"""Levels of 255 by which pixels of a flat place, 3 × 3 of them, differ from those at their right and below, at most."""
LEAST_FLAT = 0.025
"""Part of label maps that is flat, at least: the little that is flat in photographs may be of a few colours. Measured:
0.03 and more of the street's labels 48 lines high in video of much loss (H.264, CRF 28; 0.011 at a frame per second),
0.11 and more at 96 lines; 0.00 to 0.06 of the street by day."""
COLOURS, NEAR, AROUND, DRAWN = 12, 5, 14, 0.79
"""Frames are label maps where at least the part DRAWN of their flat pixels is within NEAR levels of one of COLOURS
colours; what is within AROUND of one is no other's. Measured, where enough is flat: masks and the street's labels as
PNG 1.00, in lossy video 0.95 to 1.00 from 96 lines on and 0.82 to 0.99 at 48; photographed and simulated footage 0.60
at most, the street under any light 0.76, through a thermal camera 0.76, films whose colours were taken out 0.67. Of 113
sets of frames, of all these, none is mistaken. Counting the colours of flat pixels mistakes 24, most of them grey
films; nearness to a few colours of all pixels, flat or not, mistakes 6, all of them labels in lossy video."""
CONTRAST = 50.0
"""Standard deviation of the values below which NEAR shrinks with it: darkness is no drawing."""
SAMPLE = 60_000
"""Most flat pixels that are compared."""
STREET = 12
"""Levels by which nine tenths of the flat pixels differ from colours of the street's labels, at most."""
GREY = 3.0
"""Levels between the highest and the lowest channel of the median frame, on average, up to which it is grey. Measured:
films without colours 0.0, also in lossy video; the street in the rain 8.9, at night and six times as dark 4.5."""

Pixels = NDArray[np.uint8]


def are_label_maps(frames: Sequence[Pixels]) -> bool:
    """Whether RGB frames (H, W, 3) at their own size consist of flat areas of a few colours."""
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
    """Whether nearly all flat pixels of label maps, RGB frames (H, W, 3), have a colour of the street's labels."""
    flat = _flat_pixels(frames)[::4].astype(np.int16)
    away = np.min([np.abs(flat - np.array(colour, np.int16)).max(-1) for colour in LABELS.values()], axis=0)
    return bool(len(flat)) and float((away < STREET).mean()) > 0.9


def have_no_colours(frames: Sequence[Pixels]) -> bool:
    """Whether the channels of most RGB frames (H, W, 3) are about equal; smaller frames have less noise of colours."""
    return float(np.median([np.ptp(frame, axis=2).mean() for frame in frames])) <= GREY


def _flat_pixels(frames: Sequence[Pixels]) -> Pixels:
    """Colours (N, 3) of the pixels in the midst of flat places."""
    return np.concatenate([_flat_pixels_of(frame) for frame in frames])


def _flat_pixels_of(frame: Pixels) -> Pixels:
    here, limit = frame[:-1, :-1], (FLAT,) * 3
    steps = cv2.absdiff(frame[:-1, 1:], here), cv2.absdiff(frame[1:, :-1], here)
    flat = [cv2.inRange(step, (0, 0, 0), limit) for step in steps]
    return np.asarray(here[cv2.erode(cv2.bitwise_and(*flat), np.ones((3, 3), np.uint8)) > 0], np.uint8)
