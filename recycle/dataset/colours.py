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
INSIDE, WIDTH, LEAST_INSIDE = 0.05, 5, 0.005
"""The most frequent flat colour may be a background: a black bar or leader, or the wall of a studio. If at least the
proportion INSIDE of the pixels is inside of other things, at least WIDTH pixels wide, then these too must have few
colours, and the proportion LEAST_INSIDE of flat pixels. Lines on a background, such as skeletons, are narrower.
Measured inside: 0.93 to 1.00 of the flat pixels of masks and the street's labels are near a colour, and 0.007 and more
are flat; photographed footage with black bars, with a black leader, or cut out on white, black or green has 0.08 to
0.58 near a colour (with the background up to 1.00)."""
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

EMPTY = 1.0
"""Maximum standard deviation in levels, of the channel that varies most, of a frame without content."""

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def are_label_maps(frames: Sequence[Pixels]) -> bool:
    """Whether RGB frames (H, W, 3) uint8, at their original size, consist of flat areas of a few colours."""
    frames = [frame for frame in frames if frame.std((0, 1)).max() > EMPTY]
    pixels = sum(frame.shape[0] * frame.shape[1] for frame in frames)
    flat = [_is_flat(frame) for frame in frames]
    colours = _at(frames, flat)
    if len(colours) == 0 or len(colours) < LEAST_FLAT * pixels:
        return False
    spread = float(np.mean([frame[::4, ::4].reshape(-1, 3).std(0).mean() for frame in frames]))
    near = NEAR * min(1.0, spread / CONTRAST)
    share, background = _few_colours(colours, near)
    if share < DRAWN:
        return False
    inside = [_inside(frame, background) for frame in frames]
    within = sum(map(np.count_nonzero, inside))
    if within < INSIDE * pixels:
        return True
    there = _at(frames, [each & inner for each, inner in zip(flat, inside, strict=True)])
    return len(there) > LEAST_INSIDE * within and _few_colours(there, near)[0] >= DRAWN


def _few_colours(pixels: Pixels, near: float) -> tuple[float, Pixels]:
    """Of `pixels` (N, 3), N > 0, the proportion within `near` levels of one of COLOURS colours; the first colour."""
    left, found = pixels[:: -(-len(pixels) // SAMPLE)].astype(np.int16), 0
    total, colours = len(left), list[Pixels]()
    while len(left) and len(colours) < COLOURS:
        cells = (left // 8).astype(np.int64) @ np.array([1024, 32, 1])
        centre = np.median(left[cells == np.bincount(cells).argmax()], axis=0)
        centre = np.median(left[np.abs(left - centre).max(1) <= 8], axis=0)
        distance = np.abs(left - centre).max(1)
        found += int((distance <= near).sum())
        left = left[distance > AROUND]
        colours.append(centre.astype(np.uint8))
    return found / total, colours[0]


def _inside(frame: Pixels, background: Pixels) -> Mask:
    """(H, W): whether no pixel of the WIDTH × WIDTH pixels around has the background's colour."""
    centre = background.astype(np.int16)
    others = cv2.bitwise_not(cv2.inRange(frame, np.clip(centre - AROUND, 0, 255), np.clip(centre + AROUND, 0, 255)))
    return np.asarray(cv2.erode(others, np.ones((WIDTH, WIDTH), np.uint8)) > 0)


def are_of_the_street(frames: Sequence[Pixels]) -> bool:
    """Whether nearly all flat pixels of label maps, RGB (H, W, 3) uint8, have a colour of the street's labels."""
    flat = _at(frames, [_is_flat(frame) for frame in frames])[::4].astype(np.int16)
    away = np.min([np.abs(flat - np.array(colour, np.int16)).max(-1) for colour in LABELS.values()], axis=0)
    return bool(len(flat)) and float((away < STREET).mean()) > 0.9


def are_empty(frames: Sequence[Pixels]) -> bool:
    """Whether each of the RGB frames (H, W, 3) uint8 shows one colour alone, such as black."""
    return all(frame.std((0, 1)).max() <= EMPTY for frame in frames)


def have_no_colours(frames: Sequence[Pixels]) -> bool:
    """Whether most RGB frames (H, W, 3) uint8 are grey. Reduced frames have less colour noise."""
    return float(np.median([np.ptp(frame, axis=2).mean() for frame in frames])) <= GREY


def _at(frames: Sequence[Pixels], masks: Sequence[Mask]) -> Pixels:
    """Colours (N, 3) of the pixels of `frames` at which `masks` are True."""
    found = [frame[mask] for frame, mask in zip(frames, masks, strict=True)]
    return np.concatenate(found) if found else np.empty((0, 3), np.uint8)


def _is_flat(frame: Pixels) -> Mask:
    """(H, W): whether a pixel is in the middle of a flat area; the last row and column never are."""
    here, limit = frame[:-1, :-1], (FLAT,) * 3
    steps = cv2.absdiff(frame[:-1, 1:], here), cv2.absdiff(frame[1:, :-1], here)
    flat = [cv2.inRange(step, (0, 0, 0), limit) for step in steps]
    found = np.zeros(frame.shape[:2], np.bool_)
    found[:-1, :-1] = cv2.erode(cv2.bitwise_and(*flat), np.ones((3, 3), np.uint8)) > 0
    return found
